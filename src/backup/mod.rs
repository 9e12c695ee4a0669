//! Backups: a copy of the database and a manifest that says what is in it, in a folder of their own, on a disk or in
//! S3-compatible storage. Made beside a running server, checked before they count, restored only into an empty place.

pub mod age;
mod dump;
mod keep;
mod make;
mod manifest;
mod scratch;
mod take;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use keep::kept;
pub use manifest::{Engine, Manifest, Sealed};

use crate::config::Place;
use crate::depot::{Depot, DepotError};
use crate::model::Millis;
use crate::store::StoreError;
use crate::store::postgres::PostgresOptions;
use age::{AgeError, Key};

/// Begins the names of folders of backups.
const PREFIX: &str = "tallybox-";
/// How the time of a backup stands in its name.
const TIME: &str = "%Y%m%dT%H%M%S%3fZ";

/// Why there is no backup, or it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database, or the copy of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Where backups lie.
    #[error(transparent)]
    Depot(DepotError),
    /// A file, with its path.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// The manifest makes no sense, or is of a newer program.
    #[error("{0} is no manifest that this version can read")]
    Manifest(String),
    /// There is no backup of that name, or none at all.
    #[error("there is no backup at {0}")]
    Missing(String),
    /// The copy is not what the manifest says; what differs, in words.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// There is something already where a backup is to be restored.
    #[error("{0} is there already: a backup is restored into an empty place only")]
    Occupied(String),
    /// What would be written does not fit.
    #[error(
        "there is too little room at {place}: {} MiB are needed, what is kept free for events among it, and {} MiB are free",
        needed.div_ceil(1 << 20),
        free >> 20
    )]
    NoRoom {
        /// Where.
        place: PathBuf,
        /// How many bytes.
        needed: u64,
        /// How many there are.
        free: u64,
    },
    /// It is encrypted, and there is no key.
    #[error("the backup is encrypted to {0}: give the key that belongs to it as backup_key or backup_key_file")]
    NoKey(String),
    /// It is encrypted, and the key is another one.
    #[error(
        "the backup is encrypted to {wanted}, and backup_key is the key of {given}: give the one that belongs to it"
    )]
    OtherKey {
        /// To whom it is encrypted.
        wanted: String,
        /// Whose key there is.
        given: String,
    },
    /// It is a copy of the other kind of database.
    #[error(
        "the backup is of {} and database_url names another kind of database; restore it into one of its own kind, and \
         then `tallybox move` it",
        .0.words()
    )]
    OtherEngine(Engine),
    /// A program of PostgreSQL that is not there or has failed; what to do, in words.
    #[error("{0}")]
    Tool(String),
}

impl From<DepotError> for BackupError {
    fn from(error: DepotError) -> Self {
        match error {
            DepotError::Stream(error) => match AgeError::behind(&error) {
                Some(age) => Self::Damaged(age.to_string()),
                None => Self::Depot(DepotError::Stream(error)),
            },
            DepotError::Missing(place) => Self::Missing(place),
            other => Self::Depot(other),
        }
    }
}

/// A database that is copied, or that a copy is put into.
#[derive(Clone, Debug)]
pub enum Database {
    /// This file.
    Sqlite(PathBuf),
    /// The one that a server has there.
    Postgres(Box<PostgresOptions>),
}

impl Database {
    fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }
}

/// A backup that lies on a shelf; nothing of it but its name and manifest was looked at.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Where it is, as people say it.
    pub place: String,
    /// What it says of itself.
    pub manifest: Manifest,
}

/// Where backups lie, and what it takes to make and to use them.
#[derive(Clone, Debug)]
pub struct Shelf {
    depot: Depot,
    /// The directory of the data, where work is done that cannot be done on the shelf.
    data: PathBuf,
    /// Bytes that are kept free there, 0 for the usual.
    floor: u64,
    key: Option<Key>,
}

impl Shelf {
    /// The shelf in a depot. What is worked on lies in `data` meanwhile, where `floor` bytes are kept free, or the usual
    /// where that is 0. With a key, copies are encrypted.
    pub fn new(depot: Depot, data: &Path, floor: u64, key: Option<Key>) -> Self {
        Self { depot, data: data.to_owned(), floor, key }
    }

    /// The shelf in what begins with a segment of this one.
    pub fn under(&self, segment: &str) -> Result<Self, BackupError> {
        Ok(Self { depot: self.depot.under(segment)?, ..self.clone() })
    }

    /// Whether it is a folder of this machine.
    pub fn is_here(&self) -> bool {
        self.depot.path().is_some()
    }

    /// Which shelf and which backup somebody means who names one: by its name on this shelf, or as a folder or bucket with
    /// its name at the end.
    pub fn named(place: &str) -> Option<(Place, String)> {
        let place = place.trim_end_matches('/');
        let (parent, name) = match place.rsplit_once('/') {
            Some((parent, name)) => (if parent.is_empty() { "/" } else { parent }, name),
            None if Path::new(place).is_dir() => (".", place),
            None => return None,
        };
        Some((Place::parse(parent).ok()?, name.to_owned()))
    }

    /// The backups there, newest first. What has no manifest that can be read is none.
    pub fn list(&self) -> Result<Vec<Found>, BackupError> {
        let mut found = Vec::new();
        for name in self.names()? {
            match self.find(&name) {
                Ok(one) => found.push(one),
                Err(BackupError::Manifest(_) | BackupError::Damaged(_) | BackupError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.manifest.made_at));
        Ok(found)
    }

    /// When they were made, newest first, as their names say: their manifests are not read.
    pub fn times(&self) -> Result<Vec<Millis>, BackupError> {
        let mut times: Vec<_> = self.names()?.iter().filter_map(|name| time_of(name)).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        Ok(times)
    }

    /// The one of that name.
    pub fn find(&self, name: &str) -> Result<Found, BackupError> {
        let path = format!("{name}/{}", manifest::NAME);
        let place = self.depot.shown(name);
        let read = self.depot.read(&path, manifest::LONGEST).map_err(|error| match error {
            DepotError::Missing(_) => BackupError::Missing(place.clone()),
            DepotError::Unfit(_) => BackupError::Manifest(self.depot.shown(&path)),
            other => other.into(),
        })?;
        let manifest = Manifest::read(&read, &self.depot.shown(&path))?;
        Ok(Found { name: name.to_owned(), place, manifest })
    }

    /// Deletes the backups that the rule does not keep: see [`kept`]. Those that are gone.
    pub fn prune(&self) -> Result<Vec<Found>, BackupError> {
        let all = self.list()?;
        let keep = kept(&all.iter().map(|one| Millis(one.manifest.made_at)).collect::<Vec<_>>());
        let mut gone = Vec::new();
        for one in all.into_iter().filter(|one| !keep.contains(&Millis(one.manifest.made_at))) {
            self.delete(&one.name)?;
            gone.push(one);
        }
        Ok(gone)
    }

    /// Deletes a backup: first what makes it one.
    fn delete(&self, name: &str) -> Result<(), BackupError> {
        self.depot.delete(&format!("{name}/{}", manifest::NAME))?;
        for stored in self.depot.list(&format!("{name}/"))? {
            self.depot.delete(&stored.name)?;
        }
        Ok(())
    }

    /// Names of what has a manifest.
    fn names(&self) -> Result<Vec<String>, BackupError> {
        let files = self.depot.list(PREFIX)?.into_iter();
        let ending = format!("/{}", manifest::NAME);
        Ok(files.filter_map(|stored| stored.name.strip_suffix(&ending).map(str::to_owned)).collect())
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.depot.fmt(f)
    }
}

fn name_of(at: Millis) -> String {
    format!("{PREFIX}{}", at.timestamp().strftime(TIME))
}

/// The time in a name; `None` where it is no name of ours.
fn time_of(name: &str) -> Option<Millis> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix('Z')?;
    let (seconds, millis) = digits.split_at_checked(15).filter(|(_, millis)| millis.len() == 3)?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", seconds).ok()?;
    let at = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some(Millis(at + millis.parse::<i64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_time() {
        let at = Millis(1_795_662_000_123);
        assert_eq!(time_of(&name_of(at)), Some(at), "{}", name_of(at));
        for name in [
            "tallybox-",
            "tallybox-x",
            "tallybox-20261126T030000Z",
            "20261126T030000000Z",
            "tallybox-20261332T030000000Z",
        ] {
            assert_eq!(time_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_backup_is_named_by_its_place() {
        let named = |text| Shelf::named(text).map(|(place, name)| (place.to_string(), name));
        let of = |place: &str, name: &str| Some((place.to_owned(), name.to_owned()));
        assert_eq!(named("/b/tallybox-1"), of("/b", "tallybox-1"));
        assert_eq!(named("/b/tallybox-1/"), of("/b", "tallybox-1"));
        assert_eq!(named("/tallybox-1"), of("/", "tallybox-1"));
        assert_eq!(named("s3://bucket/a/tallybox-1"), of("s3://bucket/a", "tallybox-1"));
        assert_eq!(named("s3://bucket/tallybox-1"), of("s3://bucket", "tallybox-1"));
        assert_eq!(named("tallybox-1"), None);
    }
}
