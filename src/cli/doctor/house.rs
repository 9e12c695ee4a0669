//! What the box stands on: its directory, the disk, permissions, secrets, time.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, Mode, OFlags};

use super::super::datadir::{self, Medium};
use super::Ground;
use super::finding::{Finding, length, mebibytes};
use crate::model::{Millis, Zone};

/// How far clocks may differ.
const SKEW: i64 = 2 * Millis::MINUTE;
/// 2026-01-01: no box has run before.
const FIRST: Millis = Millis(1_767_225_600_000);
/// The default floor: the larger of this and a fiftieth of the disk.
const FLOOR: u64 = 64 << 20;
/// A zone that every system knows which has the data at all.
const ZONE: &str = "Europe/Berlin";

/// All of it.
pub fn all(ground: &Ground<'_>) -> Vec<Finding> {
    let dir = &ground.config.data_dir;
    let mut findings = vec![clock(ground)];
    findings.push(match Zone::find(ZONE) {
        Some(_) => Finding::ok("time-zones", "The time zones of the world are known."),
        None => Finding::problem("time-zones", "The time zones of the world are not known.", "apt-get install tzdata"),
    });
    match fs::metadata(dir) {
        Ok(found) => {
            findings.push(file_system(ground));
            findings.push(disk(ground));
            findings.extend(permissions(ground, &found));
            findings.push(secrets(ground));
        }
        Err(error) => {
            let text = format!("The data directory {} cannot be used: {error}.", dir.display());
            findings.push(Finding::problem("permissions", text, format!("mkdir -m 700 -p {}", dir.display())));
        }
    }
    findings
}

/// The machine's clock against the calendar and the file system.
fn clock(ground: &Ground<'_>) -> Finding {
    const FIX: &str = "timedatectl set-ntp true";
    if ground.now < FIRST {
        let text = format!("The clock says {}, before any box has run.", ground.now.timestamp());
        return Finding::problem("clock", text, FIX);
    }
    match time_of_files(&ground.config.data_dir) {
        Some(files) if files.since(ground.now).abs() > SKEW => {
            let apart = length(files.since(ground.now));
            let text = format!("The file system of the data directory and the clock are {apart} apart.");
            Finding::problem("clock", text, format!("{FIX}, also on the machine that the files lie on"))
        }
        Some(_) => Finding::ok("clock", "The clock and the file system agree."),
        None => Finding::ok("clock", "The clock is in this age; the file system does not tell its own."),
    }
}

/// What time the file system gives to a file, which has no name and is gone at once.
fn time_of_files(dir: &Path) -> Option<Millis> {
    let file =
        rustix::fs::open(dir, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(0o600)).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    Some(Millis(stat.st_mtime.saturating_mul(1_000)))
}

fn file_system(ground: &Ground<'_>) -> Finding {
    let Some(path) = ground.config.database_path() else {
        return Finding::ok("file-system", "PostgreSQL has the data: this machine's file system does not matter.");
    };
    let dir = path.parent().unwrap_or(Path::new("."));
    let move_it = "move it to a disk of this machine, and say so with data_dir";
    match datadir::medium(dir) {
        Ok(Medium::Local) => Finding::ok("file-system", "The database lies on a file system of this machine."),
        Ok(Medium::Network(name)) => {
            let text = format!("{} lies on a network file system ({name}), where SQLite can lose data.", dir.display());
            Finding::problem("file-system", text, move_it)
        }
        Ok(Medium::Unsure) => {
            let text = format!("{} lies on FUSE: over a network data can be lost.", dir.display());
            Finding::warning("file-system", text, move_it)
        }
        Err(error) => Finding::warning("file-system", format!("{error:#}."), move_it),
    }
}

fn disk(ground: &Ground<'_>) -> Finding {
    let config = ground.config;
    let dir = config.database_path().and_then(Path::parent).unwrap_or(&config.data_dir);
    let Ok(stat) = rustix::fs::statvfs(dir) else {
        return Finding::warning("disk", format!("How much is free in {} cannot be told.", dir.display()), "df -h");
    };
    let [free, all] = [stat.f_bavail, stat.f_blocks].map(|blocks| blocks.saturating_mul(stat.f_frsize));
    let floor = if config.disk_floor_bytes > 0 { config.disk_floor_bytes } else { FLOOR.max(all / 50) };
    let (told, least) = (mebibytes(free), mebibytes(floor));
    let fix =
        format!("make room: du -xh {} | sort -h | tail, or keep events for fewer days (retention_days)", dir.display());
    let is_here = config.database_path().is_some();
    let has_ballast = config.disk_ballast_bytes == 0 || dir.join("ballast").exists();
    if is_here && free < floor {
        return Finding::problem("disk", format!("{told} are free; below {least} no events are taken."), fix);
    }
    if is_here && free < floor.saturating_mul(2) {
        return Finding::warning("disk", format!("Only {told} are free; below {least} no events are taken."), fix);
    }
    if is_here && ground.is_running && !has_ballast {
        let text = format!("{told} are free, but the reserve of {} is not laid.", mebibytes(config.disk_ballast_bytes));
        return Finding::warning("disk", text, fix);
    }
    Finding::ok("disk", format!("{told} are free."))
}

/// Who may read and write, and whose the files are.
fn permissions(ground: &Ground<'_>, dir: &Metadata) -> Vec<Finding> {
    let home = &ground.config.data_dir;
    let mut findings = Vec::new();
    if dir.permissions().mode() & 0o077 != 0 {
        let text = format!("{} can be read by others (mode {:o}).", home.display(), dir.permissions().mode() & 0o777);
        findings.push(Finding::problem("permissions", text, format!("chmod 700 {}", home.display())));
    }
    if rustix::fs::access(home, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let text = format!("{} cannot be written by this user.", home.display());
        let fix = format!("chown -R --reference={0} {0}, or run this as the user whose it is", home.display());
        findings.push(Finding::problem("permissions", text, fix));
    }
    for path in files(ground) {
        let Ok(found) = fs::metadata(&path) else { continue };
        if found.permissions().mode() & 0o077 != 0 {
            let text =
                format!("{} can be read by others (mode {:o}).", path.display(), found.permissions().mode() & 0o777);
            findings.push(Finding::problem("permissions", text, format!("chmod 600 {}", path.display())));
        }
        if found.uid() != dir.uid() {
            let text = format!("{} belongs to another user than its directory.", path.display());
            let fix = format!("chown --reference={} {}", home.display(), path.display());
            findings.push(Finding::problem("permissions", text, fix));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("permissions", "The data directory and the files in it are for their owner alone."));
    }
    findings
}

/// Files that nobody else may read.
fn files(ground: &Ground<'_>) -> Vec<PathBuf> {
    let mut files: Vec<_> = ["master.key", "session.secret"].map(|name| ground.config.data_dir.join(name)).into();
    if let Some(path) = ground.config.database_path() {
        for suffix in ["", "-wal", "-shm"] {
            let mut file = path.as_os_str().to_owned();
            file.push(suffix);
            files.push(file.into());
        }
    }
    files
}

/// Whether there is what the database was sealed with.
fn secrets(ground: &Ground<'_>) -> Finding {
    let config = ground.config;
    let key = config.data_dir.join("master.key");
    if config.master_key.is_some() || key.exists() {
        return Finding::ok("secrets", "The master key is there; keep a copy of it apart from the backups.");
    }
    let has_data = config.database_path().is_none_or(Path::exists);
    if !has_data {
        return Finding::ok("secrets", "There is no database yet; the first start makes the master key.");
    }
    let text = "There is a database but no master key: no ingest key with a secret works without the one of then.";
    Finding::problem("secrets", text, format!("put the copy of master.key back to {}", key.display()))
}
