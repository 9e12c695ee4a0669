//! A real server of S3-compatible storage over a temporary folder, which checks signatures: `tests/clients/s3-server`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tallybox::config::{Place, StorageAccess};
use tempfile::TempDir;

use super::{Launch, client_program};

/// The one bucket that there is.
pub const BUCKET: &str = "shelf";
/// Who may use it.
pub const ACCESS_KEY: &str = "AKIATALLYBOX";
/// What proves it.
pub const SECRET_KEY: &str = "canary-secret-of-the-storage";

/// A running server. Dropping it ends the process and deletes the files.
pub struct Storage {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Storage {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tallybox-").tempdir().unwrap();
        fs::create_dir(folder.path().join(BUCKET)).unwrap();
        // It ends with its input, also where this process is killed.
        let mut child = Command::new(client_program("s3-server"))
            .arg(folder.path())
            .args([ACCESS_KEY, SECRET_KEY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        Self { folder, port: port.trim().parse().unwrap(), child }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn access(&self) -> StorageAccess {
        StorageAccess {
            endpoint: self.endpoint(),
            region: "eu-central-1".to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.into(),
        }
    }

    /// Where the server keeps what is in the bucket.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    pub fn place(prefix: &str) -> Place {
        Place::Bucket { bucket: BUCKET.to_owned(), prefix: prefix.to_owned() }
    }
}

impl Launch {
    /// With the keys to a storage.
    #[must_use]
    pub fn storage(self, storage: &Storage) -> Self {
        self.setting("TALLYBOX_S3_ENDPOINT", storage.endpoint())
            .setting("TALLYBOX_S3_REGION", "eu-central-1")
            .setting("TALLYBOX_S3_ACCESS_KEY", ACCESS_KEY)
            .setting("TALLYBOX_S3_SECRET_KEY", SECRET_KEY)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
