//! An empty cluster that others are copied from: `initdb` takes a second, a copy a tenth of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::{SUPERUSER, client, folder, programs, server, stdout};

/// As an operator's cluster comes, so that what depends on it shows: texts are not in the order of their bytes there.
const SETTINGS: [&str; 8] = [
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--locale-provider=icu",
    "--icu-locale=en",
    "--auth=trust",
    "--data-checksums",
    "--no-instructions",
    "--no-sync",
];

/// Lays an empty cluster down at `data`, which must not be there yet.
pub fn copy_to(data: &Path) {
    stdout(Command::new("cp").args(["-a", "--reflink=auto"]).arg(template()).arg(data));
}

/// Made once for each version of PostgreSQL, settings and account, then kept beside the build.
fn template() -> PathBuf {
    let version = stdout(client("initdb").arg("--version"));
    let account = rustix::process::geteuid().as_raw();
    let key = hex::encode(Sha256::digest(format!("{version} {SETTINGS:?} {account}")));
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres-{}", &key[..12]));
    if !kept.exists() {
        let lock = File::create(kept.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        // Whoever held the lock before may have made it.
        if !kept.exists() {
            make(&kept);
        }
    }
    kept
}

/// The build may lie where the server's account cannot look, so it is made elsewhere and brought over.
fn make(kept: &Path) {
    let (home, part) = (folder(&std::env::temp_dir()), kept.with_extension("part"));
    let initdb = programs().join("initdb");
    stdout(server(&initdb).args(SETTINGS).args(["--username", SUPERUSER, "--pgdata"]).arg(home.join("data")));
    _ = fs::remove_dir_all(&part);
    stdout(Command::new("cp").arg("-a").arg(home.join("data")).arg(&part));
    fs::rename(&part, kept).unwrap();
    fs::remove_dir_all(home).unwrap();
}
