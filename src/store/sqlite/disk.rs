//! Room on the disk: the floor below which ingest stops, and the ballast that is given up in need.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::store::{Result, StoreError};

/// The default floor: the larger of this and a fiftieth of the file system.
const FLOOR: u64 = 64 << 20;

pub(super) struct Disk {
    directory: PathBuf,
    floor: u64,
    ballast: u64,
}

impl Disk {
    pub(super) fn new(directory: PathBuf, floor: u64, ballast: u64) -> Self {
        Self { directory, floor, ballast }
    }

    /// Bytes that this process may still write here, `None` where the system does not tell.
    pub(super) fn free(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(&self.directory).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// [`StoreError::Full`] while less than the floor is free.
    pub(super) fn check_floor(&self) -> Result<()> {
        if self.room() < 0 { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Bytes free above the floor, negative below it; very many where the system does not tell.
    pub(super) fn room(&self) -> i64 {
        let (Some(free), Some(floor)) = (self.free(), self.floor()) else { return i64::MAX };
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        bytes(free).saturating_sub(bytes(floor))
    }

    /// Bytes that are kept free, `None` where the system does not tell how many there are.
    pub(super) fn floor(&self) -> Option<u64> {
        if self.floor > 0 {
            return Some(self.floor);
        }
        let stat = rustix::fs::statvfs(&self.directory).ok()?;
        Some(FLOOR.max(stat.f_blocks.saturating_mul(stat.f_frsize) / 50))
    }

    /// Size of the ballast that lies there.
    pub(super) fn ballast(&self) -> Option<u64> {
        fs::metadata(self.path()).ok().map(|ballast| ballast.len())
    }

    /// Writes the ballast where there is none and room for it above the floor.
    pub(super) fn lay_ballast(&self) {
        let path = self.path();
        if self.ballast == 0 || path.exists() || self.free().is_none_or(|free| free < self.ballast.saturating_mul(2)) {
            return;
        }
        if self.check_floor().is_err() {
            return;
        }
        if let Err(error) = self.write_ballast() {
            tracing::warn!(%error, "the disk ballast could not be laid");
            _ = fs::remove_file(path);
        }
    }

    /// Gives the ballast up; `false` where there was none.
    pub(super) fn release_ballast(&self) -> bool {
        fs::remove_file(self.path()).is_ok()
    }

    fn write_ballast(&self) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(self.path())?;
        let block = [0xa5; 1 << 16]; // not zeroes, which some file systems do not store
        let mut left = usize::try_from(self.ballast).unwrap_or(0);
        while left > 0 {
            let part = left.min(block.len());
            file.write_all(&block[..part])?;
            left -= part;
        }
        file.sync_all()
    }

    fn path(&self) -> PathBuf {
        self.directory.join("ballast")
    }
}
