//! How a backup is used: checked to the last byte, put to where a database is to be, or tried out.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::age::{Key, Opener};
use super::make::hash;
use super::scratch::{Scratch, check_room, sync};
use super::{BackupError, Database, Engine, Found, Manifest, Sealed, Shelf, dump};
use crate::depot::{DepotError, Laid, Tally};
use crate::store::postgres::PostgresOptions;
use crate::store::postgres::backup::{inspect, is_empty};
use crate::store::sqlite::backup;

impl Shelf {
    /// Checks a backup to the last byte: its hashes, the copy's own integrity, the rows of each table.
    pub fn verify(&self, name: &str) -> Result<Manifest, BackupError> {
        let found = self.find(name)?;
        // A plain copy in a folder is read where it is.
        let in_place = self.depot.path().filter(|_| found.manifest.encrypted.is_none());
        match in_place {
            Some(folder) => {
                let copy = folder.join(name).join(found.manifest.file());
                if !copy.exists() {
                    return Err(BackupError::Damaged(format!("{} is not there", copy.display())));
                }
                check(&found.manifest, &hash(&copy)?, &copy.display().to_string())?;
                look_into(&found.manifest, &copy)?;
            }
            None => _ = self.bring(&found, &self.data)?,
        }
        Ok(found.manifest)
    }

    /// Puts a backup that is whole to where a database is to be, which must be empty.
    pub fn restore(&self, name: &str, to: &Database) -> Result<Manifest, BackupError> {
        let found = self.find(name)?;
        found.manifest.engine.fits(to)?;
        match to {
            Database::Sqlite(path) => self.restore_sqlite(&found, path)?,
            Database::Postgres(options) => self.restore_postgres(&found, options)?,
        }
        Ok(found.manifest)
    }

    /// Tries out the newest backup: restores it beside the data, checks all of it and deletes it again. `None` where
    /// there is none. A copy of PostgreSQL is read to its last row, which takes no server.
    pub fn drill(&self) -> Result<Option<Found>, BackupError> {
        let Some(newest) = self.list()?.into_iter().next() else { return Ok(None) };
        self.bring(&newest, &self.data)?;
        Ok(Some(newest))
    }

    fn restore_sqlite(&self, found: &Found, database: &Path) -> Result<(), BackupError> {
        for there in [database.to_owned(), beside(database, "-wal"), beside(database, "-shm")] {
            if there.exists() {
                return Err(BackupError::Occupied(there.display().to_string()));
            }
        }
        let folder = database.parent().unwrap_or(Path::new("/"));
        let (_scratch, copy) = self.bring(found, folder)?;
        // It is of the database that was there, which had more.
        _ = fs::remove_file(backup::mark_path(database));
        fs::rename(&copy, database).map_err(|error| BackupError::File(database.to_owned(), error))?;
        sync(folder)
    }

    fn restore_postgres(&self, found: &Found, options: &PostgresOptions) -> Result<(), BackupError> {
        if !is_empty(options)? {
            return Err(BackupError::Occupied("a database with tables in it".to_owned()));
        }
        let (_scratch, copy) = self.bring(found, &self.data)?;
        dump::restore(options, &copy)?;
        found.manifest.compare(&inspect(options)?)
    }

    /// Brings a copy into a folder of its own in `folder`, opened, and checks all of it. It goes with the folder.
    fn bring(&self, found: &Found, folder: &Path) -> Result<(Scratch, PathBuf), BackupError> {
        let manifest = &found.manifest;
        let key = self.key_for(manifest)?;
        check_room(folder, manifest.bytes, &self.data, self.floor)?;
        let scratch = Scratch::make(folder, &format!("{}-{}", found.name, std::process::id()))?;
        let copy = scratch.path().join(manifest.engine.file());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy);
        let mut to = Tally::new(file.map_err(|error| BackupError::File(copy.clone(), error))?);
        let name = format!("{}/{}", found.name, manifest.file());
        let place = self.depot.shown(&name);
        match key {
            None => _ = self.depot.fetch(&name, &mut to)?,
            Some((key, sealed)) => {
                let mut opener = Opener::new(key, &mut to);
                let laid = self.depot.fetch(&name, &mut opener)?;
                check_sealed(sealed, &laid, &place)?;
                opener.finish().map_err(|error| BackupError::from(DepotError::Stream(error)))?;
            }
        }
        check(manifest, &to.laid(), &place)?;
        sync(&copy)?;
        look_into(manifest, &copy)?;
        Ok((scratch, copy))
    }

    /// What opens a copy, where it has to be opened.
    fn key_for<'a>(&'a self, manifest: &'a Manifest) -> Result<Option<(&'a Key, &'a Sealed)>, BackupError> {
        let Some(sealed) = &manifest.encrypted else { return Ok(None) };
        let wanted = sealed.recipient.clone();
        match &self.key {
            None => Err(BackupError::NoKey(wanted)),
            Some(key) if key.recipient() != wanted => Err(BackupError::OtherKey { wanted, given: key.recipient() }),
            Some(key) => Ok(Some((key, sealed))),
        }
    }
}

/// Whether a copy holds what its manifest says, by the database's own word.
fn look_into(manifest: &Manifest, copy: &Path) -> Result<(), BackupError> {
    match manifest.engine {
        Engine::Sqlite => manifest.compare(&backup::inspect(copy)?),
        Engine::Postgres => manifest.compare_rows(&dump::count(copy)?),
    }
}

fn check(manifest: &Manifest, found: &Laid, place: &str) -> Result<(), BackupError> {
    compare((manifest.bytes, &manifest.sha256), found, place)
}

fn check_sealed(sealed: &Sealed, found: &Laid, place: &str) -> Result<(), BackupError> {
    compare((sealed.bytes, &sealed.sha256), found, place)
}

fn compare(written: (u64, &str), found: &Laid, place: &str) -> Result<(), BackupError> {
    if (found.bytes, &*found.sha256) == written {
        return Ok(());
    }
    Err(BackupError::Damaged(format!("{place} is not the file that was written")))
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}
