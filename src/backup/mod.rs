//! Backups: a folder for each, with a copy of the database and a manifest that says what is in it. Made beside a running
//! server, checked before they count, restored only into an empty place.

pub mod age;
mod keep;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use keep::kept;

use crate::model::Millis;
use crate::store::StoreError;
use crate::store::sqlite::backup::{self, Contents};

/// The copy, in a backup's folder.
const DATABASE: &str = "tallybox.db";
/// What it holds.
const MANIFEST: &str = "manifest.json";
/// Begins the names of folders of backups that are not whole.
const PARTIAL: &str = ".partial-";
/// Begins the names of folders of backups.
const PREFIX: &str = "tallybox-";
/// The layout of folder and manifest.
const FORMAT: u32 = 1;

/// Why there is no backup, or it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database, or the copy of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file, with its path.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// The manifest makes no sense, or is of a newer program.
    #[error("{0} is no manifest that this version can read")]
    Manifest(PathBuf),
    /// The copy is not what the manifest says; what differs, in words.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// There is something already where a backup is to be restored.
    #[error("{0} is there already: a backup is restored into an empty place only")]
    Occupied(PathBuf),
}

/// What a backup holds, as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// When it was begun, in milliseconds since 1970.
    pub made_at: i64,
    /// The version of the program that made it.
    pub program: String,
    /// Number of the last migration.
    pub schema: i64,
    /// Bytes of the copy.
    pub bytes: u64,
    /// SHA-256 of the copy, in hex.
    pub sha256: String,
    /// Rows of each table.
    pub tables: BTreeMap<String, i64>,
}

/// A backup that lies in a folder of backups; nothing of it but its name and manifest was looked at.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its own folder.
    pub folder: PathBuf,
    /// What it says of itself.
    pub manifest: Manifest,
}

/// Makes a backup of the SQLite database at `database` in a folder of its own in `into`, and checks it. Until it is
/// whole and on the disk it has another name, so what is found by its name is whole.
pub fn make(database: &Path, into: &Path, now: Millis) -> Result<Found, BackupError> {
    fs::create_dir_all(into).map_err(|error| BackupError::File(into.to_owned(), error))?;
    sweep(into)?;
    let name = format!("{PREFIX}{}", now.timestamp().strftime("%Y%m%dT%H%M%S%3fZ"));
    let (partial, folder) = (into.join(format!("{PARTIAL}{name}")), into.join(&name));
    private_folder(&partial)?;
    let made = fill(database, &partial, now).and_then(|manifest| {
        fs::rename(&partial, &folder).map_err(|error| BackupError::File(folder.clone(), error))?;
        sync(into)?;
        Ok(manifest)
    });
    match made {
        Ok(manifest) => Ok(Found { folder, manifest }),
        Err(error) => {
            // Whatever could not be written; what stays is swept away by the next.
            _ = fs::remove_dir_all(&partial);
            Err(error)
        }
    }
}

/// Checks a backup to the last byte: its hash, the database's own integrity, the rows of each table.
pub fn verify(folder: &Path) -> Result<Manifest, BackupError> {
    let manifest = read_manifest(folder)?;
    let copy = folder.join(DATABASE);
    let (bytes, sha256) = hash(&copy)?;
    if (bytes, &sha256) != (manifest.bytes, &manifest.sha256) {
        return Err(BackupError::Damaged(format!("{} is not the file that was written", copy.display())));
    }
    compare(&manifest, &backup::inspect(&copy)?)?;
    Ok(manifest)
}

/// Puts a backup that is whole to where a database is to be, which must be empty.
pub fn restore(folder: &Path, database: &Path) -> Result<Manifest, BackupError> {
    let beside = |suffix: &str| {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        PathBuf::from(path)
    };
    for there in [database.to_owned(), beside("-wal"), beside("-shm")] {
        if there.exists() {
            return Err(BackupError::Occupied(there));
        }
    }
    let manifest = verify(folder)?;
    let partial = beside(".partial");
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| BackupError::File(path, error)
    };
    fs::copy(folder.join(DATABASE), &partial).map_err(at(&partial))?;
    if hash(&partial)?.1 != manifest.sha256 {
        return Err(BackupError::Damaged(format!("{} was not written right", partial.display())));
    }
    sync(&partial)?;
    fs::rename(&partial, database).map_err(at(database))?;
    sync(database.parent().unwrap_or(Path::new("/")))?;
    Ok(manifest)
}

/// The backups in a folder, newest first. What has no manifest that can be read is none.
pub fn list(into: &Path) -> Result<Vec<Found>, BackupError> {
    let mut found = Vec::new();
    for folder in folders(into)? {
        let is_ours = folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
        if is_ours && let Ok(manifest) = read_manifest(&folder) {
            found.push(Found { folder, manifest });
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.manifest.made_at));
    Ok(found)
}

/// Deletes the backups in a folder that the rule does not keep: see [`kept`]. Those that are gone.
pub fn prune(into: &Path) -> Result<Vec<Found>, BackupError> {
    let all = list(into)?;
    let keep = kept(&all.iter().map(|one| Millis(one.manifest.made_at)).collect::<Vec<_>>());
    let mut gone = Vec::new();
    for one in all.into_iter().filter(|one| !keep.contains(&Millis(one.manifest.made_at))) {
        fs::remove_dir_all(&one.folder).map_err(|error| BackupError::File(one.folder.clone(), error))?;
        gone.push(one);
    }
    Ok(gone)
}

fn fill(database: &Path, folder: &Path, now: Millis) -> Result<Manifest, BackupError> {
    let copy = folder.join(DATABASE);
    backup::copy(database, &copy)?;
    sync(&copy)?;
    let contents = backup::inspect(&copy)?;
    let (bytes, sha256) = hash(&copy)?;
    let manifest = Manifest {
        format: FORMAT,
        made_at: now.0,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        schema: contents.schema,
        bytes,
        sha256,
        tables: contents.tables,
    };
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).map_err(|_| BackupError::Manifest(path.clone()))?;
    fs::write(&path, text + "\n").map_err(|error| BackupError::File(path.clone(), error))?;
    sync(&path)?;
    sync(folder)?;
    Ok(manifest)
}

fn read_manifest(folder: &Path) -> Result<Manifest, BackupError> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(|error| BackupError::File(path.clone(), error))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|_| BackupError::Manifest(path.clone()))?;
    if manifest.format == FORMAT { Ok(manifest) } else { Err(BackupError::Manifest(path)) }
}

fn compare(manifest: &Manifest, contents: &Contents) -> Result<(), BackupError> {
    if manifest.schema != contents.schema {
        return Err(BackupError::Damaged(format!("schema {} in place of {}", contents.schema, manifest.schema)));
    }
    for (table, rows) in &manifest.tables {
        let found = contents.tables.get(table);
        if found != Some(rows) {
            let found = found.map_or("no such table".to_owned(), |rows| format!("{rows} rows"));
            return Err(BackupError::Damaged(format!("{table} has {found} in place of {rows}")));
        }
    }
    Ok(())
}

/// Takes away what backups that came to no end have left.
fn sweep(into: &Path) -> Result<(), BackupError> {
    for folder in folders(into)? {
        let is_partial =
            folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PARTIAL));
        if is_partial {
            fs::remove_dir_all(&folder).map_err(|error| BackupError::File(folder.clone(), error))?;
        }
    }
    Ok(())
}

fn folders(into: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let at = |error| BackupError::File(into.to_owned(), error);
    let entries = match fs::read_dir(into) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(error)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.map_err(at)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// Makes a folder that nobody else can look into: a backup holds what the database holds.
fn private_folder(folder: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|error| BackupError::File(folder.to_owned(), error))
}

/// Brings a file or folder to the disk.
fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| BackupError::File(path.to_owned(), error))
}

/// Length and SHA-256 of a file.
fn hash(path: &Path) -> Result<(u64, String), BackupError> {
    let at = |error| BackupError::File(path.to_owned(), error);
    let mut file = File::open(path).map_err(at)?;
    let (mut hasher, mut part, mut bytes) = (Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut part).map_err(at)? {
            0 => return Ok((bytes, hex::encode(hasher.finalize()))),
            read => {
                hasher.update(&part[..read]);
                bytes += read as u64;
            }
        }
    }
}
