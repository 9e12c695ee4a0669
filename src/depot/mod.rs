//! Where files are laid down outside of the database: a folder, or a bucket of S3-compatible storage under a prefix.
//! Everything blocks, and streams: what is laid down is never in memory as a whole.

mod bucket;
mod folder;

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::{Place, StorageAccess};
use bucket::Bucket;
use folder::Folder;

/// Bytes that are moved at a time.
const STEP: usize = 1 << 18;

/// Longest name.
const NAME: usize = 400;

/// Why a file was not laid down, read, listed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// A file or folder of this machine, with its path.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// What was to be laid down cannot be read, or what was read not be written.
    #[error(transparent)]
    Stream(io::Error),
    /// There is no such file; which, as people name it.
    #[error("there is no {0}")]
    Missing(String),
    /// The storage cannot be reached or does not answer as it should: later it may.
    #[error("{place} cannot be reached: {said}")]
    Away {
        /// Which bucket.
        place: String,
        /// What went wrong.
        said: String,
    },
    /// The storage has refused; asking again is of no use before something is changed.
    #[error("{place} refuses: {said}")]
    Refused {
        /// Which bucket.
        place: String,
        /// Why, and what to do.
        said: String,
    },
    /// Something is too large for where it is to go, or no name for anything there.
    #[error("{0}")]
    Unfit(String),
}

impl DepotError {
    /// Whether a disk of this machine is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::File(_, error) | Self::Stream(error) => error.kind() == io::ErrorKind::StorageFull,
            Self::Missing(_) | Self::Away { .. } | Self::Refused { .. } | Self::Unfit(_) => false,
        }
    }
}

/// Short for a result of a depot.
pub type Result<T> = std::result::Result<T, DepotError>;

/// What was written: how much, and what it hashes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// A file that lies in a depot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// Its name: segments with slashes between.
    pub name: String,
    /// Length.
    pub bytes: u64,
}

/// A folder or a bucket. Cheap to clone; names in it are segments of letters, digits and `-_.=` with slashes between, of
/// which none begins with a dot.
#[derive(Clone, Debug)]
pub struct Depot(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Folder(Folder),
    Bucket(Bucket),
}

impl Depot {
    /// The depot at a place. Nothing is asked or made yet.
    ///
    /// # Errors
    /// [`DepotError::Refused`] for a bucket without the keys to it.
    pub fn open(place: &Place, access: Option<&StorageAccess>) -> Result<Self> {
        match place {
            Place::Folder(path) => Ok(Self::folder(path)),
            Place::Bucket { bucket, prefix } => Bucket::open(bucket, prefix, access).map(Kind::Bucket).map(Self),
        }
    }

    /// The depot in a folder, which is made when something is laid down.
    pub fn folder(path: &Path) -> Self {
        Self(Kind::Folder(Folder::new(path)))
    }

    /// The depot in what begins with a segment of this one.
    pub fn under(&self, segment: &str) -> Result<Self> {
        check(segment)?;
        Ok(Self(match &self.0 {
            Kind::Folder(folder) => Kind::Folder(folder.under(segment)),
            Kind::Bucket(bucket) => Kind::Bucket(bucket.under(segment)),
        }))
    }

    /// Its folder, where it is one of this machine.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Folder(folder) => Some(folder.path()),
            Kind::Bucket(_) => None,
        }
    }

    /// A file in it as people name it: a path, or `s3://BUCKET/NAME`.
    pub fn shown(&self, name: &str) -> String {
        match &self.0 {
            Kind::Folder(folder) => folder.path().join(name).display().to_string(),
            Kind::Bucket(bucket) => bucket.shown(name),
        }
    }

    /// Lays down all that can be read, in place of what was there by that name. Until all of it is there and on the disk,
    /// nothing is. `about` is how much it will be, which may be wrong by a little.
    pub fn put(&self, name: &str, from: &mut dyn Read, about: u64) -> Result<Laid> {
        check(name)?;
        let mut from = Tally::new(from);
        match &self.0 {
            Kind::Folder(folder) => folder.put(name, &mut from)?,
            Kind::Bucket(bucket) => bucket.put(name, &mut from, about)?,
        }
        Ok(from.laid())
    }

    /// Lays down a file of this machine, which stays.
    pub fn put_file(&self, name: &str, from: &Path) -> Result<Laid> {
        let at = |error| DepotError::File(from.to_owned(), error);
        let mut file = File::open(from).map_err(at)?;
        let about = file.metadata().map_err(at)?.len();
        self.put(name, &mut file, about)
    }

    /// Writes all of a file to where one wants it.
    ///
    /// # Errors
    /// [`DepotError::Missing`], and those of either side. Then a part of it may have been written.
    pub fn fetch(&self, name: &str, to: &mut dyn Write) -> Result<Laid> {
        check(name)?;
        let mut to = Tally::new(to);
        match &self.0 {
            Kind::Folder(folder) => folder.fetch(name, &mut to)?,
            Kind::Bucket(bucket) => bucket.fetch(name, &mut to)?,
        }
        to.flush().map_err(DepotError::Stream)?;
        Ok(to.laid())
    }

    /// Writes all of a file to a new one of this machine, for its owner alone, and brings it to the disk.
    pub fn fetch_file(&self, name: &str, to: &Path) -> Result<Laid> {
        let at = |error| DepotError::File(to.to_owned(), error);
        let mut file = folder::private_file(to).map_err(at)?;
        let laid = self.fetch(name, &mut file)?;
        file.sync_all().map_err(at)?;
        Ok(laid)
    }

    /// All of a small file.
    ///
    /// # Errors
    /// As [`Self::fetch`], and [`DepotError::Unfit`] where it is longer than `limit`.
    pub fn read(&self, name: &str, limit: usize) -> Result<Vec<u8>> {
        let mut bounded = Bounded { bytes: Vec::new(), limit };
        match self.fetch(name, &mut bounded) {
            Err(DepotError::Stream(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(DepotError::Unfit(format!("{} has more than {limit} bytes", self.shown(name))))
            }
            fetched => fetched.map(|_| bounded.bytes),
        }
    }

    /// All files whose names begin so, by name; what is only half there is not among them. An empty beginning is all.
    pub fn list(&self, beginning: &str) -> Result<Vec<Stored>> {
        let mut found = match &self.0 {
            Kind::Folder(folder) => folder.list(beginning)?,
            Kind::Bucket(bucket) => bucket.list(beginning)?,
        };
        found.retain(|stored| check(&stored.name).is_ok());
        found.sort();
        Ok(found)
    }

    /// Deletes a file; it is no error where there is none.
    pub fn delete(&self, name: &str) -> Result<()> {
        check(name)?;
        match &self.0 {
            Kind::Folder(folder) => folder.delete(name),
            Kind::Bucket(bucket) => bucket.delete(name),
        }
    }
}

impl fmt::Display for Depot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Folder(folder) => folder.path().display().fmt(f),
            Kind::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

/// Whether a name is one: nothing that could lead out of a depot.
fn check(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'=');
    let is_segment = |segment: &str| !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(plain);
    if name.len() <= NAME && name.split('/').all(is_segment) {
        return Ok(());
    }
    Err(DepotError::Unfit(format!("`{}` is no name of a file there", name.escape_debug())))
}

/// Counts and hashes what is read or written through it.
pub struct Tally<T> {
    through: T,
    bytes: u64,
    hash: Sha256,
}

impl<T> Tally<T> {
    /// Before anything.
    pub fn new(through: T) -> Self {
        Self { through, bytes: 0, hash: Sha256::new() }
    }

    fn saw(&mut self, part: &[u8]) {
        self.bytes += part.len() as u64;
        self.hash.update(part);
    }

    /// What has gone through.
    pub fn laid(self) -> Laid {
        Laid { bytes: self.bytes, sha256: hex::encode(self.hash.finalize()) }
    }
}

impl<T: Read> Read for Tally<T> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        let read = self.through.read(part)?;
        self.saw(&part[..read]);
        Ok(read)
    }
}

impl<T: Write> Write for Tally<T> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let written = self.through.write(part)?;
        self.saw(&part[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.through.flush()
    }
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        for name in ["", "/", "/a", "a/", "a//b", "..", "a/../b", ".a", "a/.b", "a b", "a\\b", "a%2f", "ä", "a\n"] {
            assert!(check(name).is_err(), "{name}");
        }
        assert!(check(&"x".repeat(NAME + 1)).is_err());
        for name in ["a", "tallybox-20261126T030000000Z/tallybox.db", "app=1/day=2026-11-26.ndjson.gz"] {
            check(name).unwrap();
        }
    }

    #[test]
    fn a_folder_keeps_what_is_laid_down_whole_or_not_at_all() {
        struct Broken(usize);
        impl Read for Broken {
            fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::other("the source is gone"))?;
                part.fill(b'x');
                Ok(part.len())
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let depot = Depot::folder(&dir.path().join("new"));
        assert_eq!(depot.list("").unwrap(), []);
        assert!(matches!(depot.read("a/b", 9), Err(DepotError::Missing(_))));
        let laid = depot.put("a/b", &mut &b"hello"[..], 5).unwrap();
        assert_eq!((laid.bytes, &*laid.sha256), (5, &*hex::encode(Sha256::digest("hello"))));
        assert!(matches!(depot.put("a/b", &mut Broken(3), 9), Err(DepotError::Stream(_))));
        assert_eq!(depot.read("a/b", 5).unwrap(), b"hello");
        assert!(matches!(depot.read("a/b", 4), Err(DepotError::Unfit(_))));
        assert!(depot.put("c", &mut Broken(0), 9).is_err());
        assert_eq!(depot.list("a/").unwrap(), [Stored { name: "a/b".to_owned(), bytes: 5 }]);
        assert_eq!(depot.under("a").unwrap().list("").unwrap(), [Stored { name: "b".to_owned(), bytes: 5 }]);
        assert_eq!(std::fs::read_dir(dir.path().join("new/a")).unwrap().count(), 1, "half a file stays");
        depot.delete("a/b").unwrap();
        depot.delete("a/b").unwrap();
        assert_eq!(std::fs::read_dir(dir.path().join("new")).unwrap().count(), 0, "an empty folder stays");
    }
}
