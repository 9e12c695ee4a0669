//! How a backup is made: a copy of one state, read back, laid down, and last of all its manifest.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};

use super::age::{Key, Sealer, sealed_bytes};
use super::scratch::{Scratch, check_room, sync};
use super::{BackupError, Database, Engine, Found, Manifest, Sealed, Shelf, dump, manifest, name_of, time_of};
use crate::depot::{Laid, Tally};
use crate::model::Millis;
use crate::store::contents::Contents;
use crate::store::postgres::PostgresOptions;
use crate::store::postgres::backup::Snapshot;
use crate::store::sqlite::backup;

/// The format of what is encrypted.
const AGE: &str = "age-encryption.org/v1";

/// How far the making of a backup stands behind all else that the box does, as `nice` has it. No further: what writes to a file
/// holds its file system's journal for a moment, and commits would wait for one that waits for a processor.
const NICE: i32 = 10;

impl Shelf {
    /// Makes a backup, and checks it. Until it is whole and laid down it has no manifest, or another name; so what is
    /// found is whole.
    pub fn make(&self, database: &Database, now: Millis) -> Result<Found, BackupError> {
        // In a thread of its own, since a priority cannot be taken back. Threads that it makes have its own.
        let make = || {
            // Where that is refused it is as dear as anything else.
            _ = rustix::process::setpriority_process(None, NICE);
            self.make_behind(database, now)
        };
        thread::scope(|threads| joined(threads.spawn(make)))
    }

    fn make_behind(&self, database: &Database, now: Millis) -> Result<Found, BackupError> {
        self.sweep(now)?;
        let name = name_of(now);
        // A plain copy for a folder is made where it will lie; all others do not show there before they are encrypted.
        let in_place = self.depot.path().filter(|_| self.key.is_none());
        let parent = in_place.unwrap_or(&self.data);
        check_room(parent, length(database), &self.data, self.floor)?;
        let scratch = Scratch::make(parent, &name)?;
        let copy = scratch.path().join(database.engine().file());
        let counted = match database {
            Database::Sqlite(path) => copy_sqlite(path, &copy)?,
            Database::Postgres(options) => Some(copy_postgres(options, &copy)?),
        };
        let contents = || counted.map_or_else(|| Ok(backup::inspect(&copy)?), Ok);
        let describe = |(contents, laid)| Manifest::new(now.0, database.engine(), contents, laid);
        let manifest = match in_place {
            Some(folder) => {
                let manifest = both(contents, || Ok((hash(&copy)?, None))).map(describe)?;
                let path = scratch.path().join(manifest::NAME);
                fs::write(&path, manifest.text()).map_err(|error| BackupError::File(path.clone(), error))?;
                sync(&path)?;
                sync(scratch.path())?;
                scratch.keep(&folder.join(&name))?;
                manifest
            }
            None => {
                let laid = both(contents, || self.lay(&name, &copy)).map(describe);
                laid.and_then(|manifest| self.tell(&name, &manifest).map(|()| manifest)).inspect_err(
                    // Without a manifest it is no backup; what cannot be deleted now is swept away a day later.
                    |_| _ = self.delete(&name),
                )?
            }
        };
        Ok(Found { place: self.depot.shown(&name), name, manifest })
    }

    /// Lays down a copy, encrypted where there is a key.
    fn lay(&self, name: &str, copy: &Path) -> Result<(Laid, Option<Sealed>), BackupError> {
        let at = |error| BackupError::File(copy.to_owned(), error);
        let engine_file = copy.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut file = Tally::new(File::open(copy).map_err(at)?);
        let about = fs::metadata(copy).map_err(at)?.len();
        let (name_of_file, laid, sealed) = match &self.key {
            None => {
                let name = format!("{name}/{engine_file}");
                let laid = self.depot.put(&name, &mut file, about)?;
                (name, laid, None)
            }
            Some(key) => {
                let name = format!("{name}/{engine_file}.age");
                let laid = self.depot.put(&name, &mut Sealer::new(key, &mut file), sealed_bytes(about))?;
                (name, laid.clone(), Some(sealed(key, laid)))
            }
        };
        // A bucket has refused what did not hash to what was signed; a disk is asked.
        if self.depot.path().is_some() && self.depot.fetch(&name_of_file, &mut io::sink())? != laid {
            return Err(BackupError::Damaged(format!("{} was not written right", self.depot.shown(&name_of_file))));
        }
        Ok((file.laid(), sealed))
    }

    /// Lays down the manifest, behind all else.
    fn tell(&self, name: &str, manifest: &Manifest) -> Result<(), BackupError> {
        let text = manifest.text();
        self.depot.put(&format!("{name}/{}", manifest::NAME), &mut text.as_bytes(), text.len() as u64)?;
        Ok(())
    }

    /// Deletes what makes of backups have left that came to no end: files without a manifest, a day after they were begun.
    fn sweep(&self, now: Millis) -> Result<(), BackupError> {
        let whole = self.names()?;
        for stored in self.depot.list(super::PREFIX)? {
            let name = stored.name.split('/').next().unwrap_or_default();
            let is_old = time_of(name).is_some_and(|at| now.since(at) > Millis::DAY);
            if is_old && stored.name.contains('/') && !whole.iter().any(|whole| whole == name) {
                self.depot.delete(&stored.name)?;
            }
        }
        Ok(())
    }
}

/// About how long a copy becomes. What a server has is not known here: its copies are compressed, and a disk that is
/// full is told of as such.
fn length(database: &Database) -> u64 {
    match database {
        Database::Sqlite(path) => fs::metadata(path).map_or(0, |file| file.len()),
        Database::Postgres(_) => 0,
    }
}

/// Copies one state, in which nothing was counted yet.
fn copy_sqlite(database: &Path, copy: &Path) -> Result<Option<Contents>, BackupError> {
    backup::copy(database, copy)?;
    sync(copy)?;
    Ok(None)
}

/// Copies the state that is counted, and holds the copy against the count.
fn copy_postgres(options: &PostgresOptions, copy: &Path) -> Result<Contents, BackupError> {
    let snapshot = Snapshot::take(options)?;
    dump::dump(options, &snapshot, copy)?;
    let contents = snapshot.contents()?;
    drop(snapshot);
    sync(copy)?;
    let rows = dump::count(copy)?;
    match contents.tables.iter().find(|(table, rows_there)| rows.get(*table) != Some(*rows_there)) {
        None => Ok(contents),
        Some((table, _)) => Err(BackupError::Damaged(format!("{table} was not copied as a whole"))),
    }
}

/// Counts what is in a copy while it is hashed or laid down: the one takes the processor, the other the disk.
fn both<A: Send, B>(
    count: impl FnOnce() -> Result<A, BackupError> + Send,
    lay: impl FnOnce() -> Result<B, BackupError>,
) -> Result<(A, B), BackupError> {
    thread::scope(|threads| {
        let counted = threads.spawn(count);
        let laid = lay();
        Ok((joined(counted)?, laid?))
    })
}

/// What came of a thread, its panic included.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn sealed(key: &Key, laid: Laid) -> Sealed {
    Sealed { format: AGE.to_owned(), recipient: key.recipient(), bytes: laid.bytes, sha256: laid.sha256 }
}

/// Length and SHA-256 of a file.
pub(super) fn hash(path: &Path) -> Result<Laid, BackupError> {
    let at = |error| BackupError::File(path.to_owned(), error);
    let mut file = Tally::new(File::open(path).map_err(at)?);
    let mut part = vec![0; 1 << 18];
    while file.read(&mut part).map_err(at)? > 0 {}
    Ok(file.laid())
}

impl Engine {
    /// Whether a database is of this kind.
    pub(super) fn fits(self, database: &Database) -> Result<(), BackupError> {
        if database.engine() == self { Ok(()) } else { Err(BackupError::OtherEngine(self)) }
    }
}
