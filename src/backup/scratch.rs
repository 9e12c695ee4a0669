//! Folders that are gone when the work in them is done, and room for them.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};

use super::BackupError;

/// Begins their names.
const PARTIAL: &str = ".partial-";
/// Kept free where events are taken: the larger of this and a fiftieth of the file system, where no setting says.
const FLOOR: u64 = 64 << 20;

/// A folder that nobody else can look into, gone when dropped. It is locked while its process lives.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    _lock: File,
    kept: bool,
}

impl Scratch {
    /// A new one, after what processes have left there that were killed was taken away.
    pub(super) fn make(parent: &Path, name: &str) -> Result<Self, BackupError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| BackupError::File(path, error)
        };
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(at(parent))?;
        sweep(parent).map_err(at(parent))?;
        let path = parent.join(format!("{PARTIAL}{name}"));
        DirBuilder::new().mode(0o700).create(&path).map_err(at(&path))?;
        let lock = File::open(&path).map_err(at(&path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| at(&path)(error.into()))?;
        Ok(Self { path, _lock: lock, kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it a folder of that name, which stays.
    pub(super) fn keep(mut self, to: &Path) -> Result<(), BackupError> {
        let at = |error| BackupError::File(to.to_owned(), error);
        fs::rename(&self.path, to).map_err(at)?;
        self.kept = true;
        to.parent().map_or(Ok(()), sync)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            // What stays is swept away by the next.
            _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Takes away what nobody works in any more.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let is_partial = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PARTIAL));
        if !is_partial || !path.is_dir() {
            continue;
        }
        let Ok(folder) = File::open(&path) else { continue };
        if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

/// Whether so much more fits into a folder, with some to spare: where it shares its disk with what lies at `beside`, so
/// much that events are still taken.
pub(super) fn check_room(folder: &Path, needed: u64, beside: &Path, floor: u64) -> Result<(), BackupError> {
    // What does not exist yet will lie where the nearest of its parents does.
    let existing = |path: &Path| path.ancestors().find(|path| path.exists()).map(Path::to_owned);
    let Some(place) = existing(folder) else { return Ok(()) };
    let Ok(stat) = statvfs(&place) else { return Ok(()) };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    let is_shared = existing(beside).is_some_and(|beside| device(&beside) == device(&place));
    let floor = match floor {
        _ if !is_shared => 0,
        0 => FLOOR.max(stat.f_blocks.saturating_mul(stat.f_frsize) / 50),
        floor => floor,
    };
    let needed = needed.saturating_add(needed / 16).saturating_add(1 << 20).saturating_add(floor);
    if free >= needed { Ok(()) } else { Err(BackupError::NoRoom { place: folder.to_owned(), needed, free }) }
}

/// Brings a file or folder to the disk.
pub(super) fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| BackupError::File(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_has_left_goes_and_what_a_living_one_works_in_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".partial-dead/x")).unwrap();
        let living = Scratch::make(dir.path(), "living").unwrap();
        let other = Scratch::make(dir.path(), "other").unwrap();
        assert!(living.path().exists() && !dir.path().join(".partial-dead").exists());
        other.keep(&dir.path().join("kept")).unwrap();
        drop(living);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["kept"]);
    }

    #[test]
    fn a_disk_without_room_is_told_before_it_is_filled() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("not/there/yet");
        check_room(&place, 1, dir.path(), 1).unwrap();
        for (needed, floor) in [(1 << 60, 1), (1, 1 << 60)] {
            assert!(matches!(check_room(&place, needed, dir.path(), floor), Err(BackupError::NoRoom { .. })));
        }
        check_room(&place, 1, Path::new("/proc"), 1 << 60).unwrap();
    }
}
