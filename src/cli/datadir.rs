//! The data directory: made private, refused where SQLite would be unsafe, locked by the one server that uses it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{Access, Mode};
use rustix::process::{Resource, Rlimit};

use crate::config::Config;

/// Held by the one server that uses a data directory; the lock ends with it, also when the process is killed.
#[derive(Debug)]
#[must_use = "the directory is unlocked once this is dropped"]
pub struct Lock {
    _file: File,
}

/// What a directory lies on.
#[derive(Debug, PartialEq, Eq)]
pub enum Medium {
    /// A file system of this machine, or one that we do not know.
    Local,
    /// A network file system.
    Network(&'static str),
    /// FUSE, which may or may not be one.
    Unsure,
}

/// From now on files are made for their owner alone, and a crash writes no memory image, which would hold secrets.
pub fn protect_process() {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    // Where a limit cannot be lowered it is no worse than before.
    _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Makes the data directory and that of the database where they are not there (mode 0700), and makes sure that they
/// can be written and do not lie on a network file system. Returns what deserves a warning.
pub fn prepare(config: &Config) -> anyhow::Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mut dirs = vec![config.data_dir.as_path()];
    dirs.extend(config.database_path().and_then(Path::parent));
    dirs.dedup();
    for dir in dirs {
        warnings.extend(prepare_one(dir, config, config.database_path())?);
    }
    Ok(warnings)
}

/// The same for one directory, in which that SQLite file will lie if there is one.
pub fn prepare_one(dir: &Path, config: &Config, database: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut warnings = Vec::new();
    create(dir)?;
    match medium(dir)? {
        Medium::Local => {}
        // Without SQLite no file there is written to again and again.
        Medium::Network(_) | Medium::Unsure if database.is_none() => {}
        Medium::Network(name) if config.allow_network_fs => {
            warnings.push(format!("{} lies on a network file system ({name})", dir.display()));
        }
        Medium::Network(name) => bail!(
            "{} lies on a network file system ({name}), where SQLite can lose data: choose a local directory with \
             --data-dir, or take the risk with --allow-network-fs",
            dir.display()
        ),
        Medium::Unsure => {
            warnings
                .push(format!("{} lies on FUSE: if that is a network file system, data can be lost", dir.display()));
        }
    }
    let mode = dir.metadata().with_context(|| format!("{} cannot be read", dir.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        warnings.push(format!("{} can be read by others (mode {:o}): chmod 700 it", dir.display(), mode & 0o777));
    }
    Ok(warnings)
}

/// Takes the lock of the data directory, or says which process holds it.
pub fn lock(config: &Config) -> anyhow::Result<Lock> {
    lock_dir(&config.data_dir)
}

/// The same for any directory.
pub fn lock_dir(dir: &Path) -> anyhow::Result<Lock> {
    let path = lock_path(dir);
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The number is for people: where it cannot be read the message still stands.
            _ = file.take(20).read_to_string(&mut holder);
            let holder = holder.trim().parse::<u32>().map(|pid| format!(" (process {pid})")).unwrap_or_default();
            bail!("another server{holder} uses {}: stop it, or give this one its own --data-dir", dir.display());
        }
        Err(TryLockError::Error(error)) => return Err(error).context(format!("{} cannot be locked", path.display())),
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Lock { _file: file })
}

/// Whether somebody holds the lock of a directory, found out without touching it.
pub fn is_locked(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(file), Ok(locks)) = (lock_path(dir).metadata(), std::fs::read_to_string("/proc/locks")) else {
        return false;
    };
    // As in `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131074 0 EOF`.
    let inode = file.ino().to_string();
    locks.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.nth(1) == Some("FLOCK") && words.nth(3).and_then(|place| place.rsplit(':').next()) == Some(&*inode)
    })
}

/// Where the lock of a directory is.
pub fn lock_path(data_dir: &Path) -> PathBuf {
    data_dir.join("tallybox.lock")
}

fn create(dir: &Path) -> anyhow::Result<()> {
    let advice = || {
        format!(
            "choose another directory with --data-dir, or let this user write there (uid {})",
            rustix::process::geteuid().as_raw()
        )
    };
    match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!("{} is a file, not a directory", dir.display()),
        Err(error) => bail!("{} cannot be made: {error}; {}", dir.display(), advice()),
    }
    match rustix::fs::access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Ok(()),
        Err(error) => bail!("{} cannot be written: {}; {}", dir.display(), std::io::Error::from(error), advice()),
    }
}

/// What a directory lies on.
pub fn medium(dir: &Path) -> anyhow::Result<Medium> {
    let stat =
        rustix::fs::statfs(dir).with_context(|| format!("the file system of {} cannot be told", dir.display()))?;
    // The kernel's magic numbers have 32 bits; the field that carries them is wider on most machines.
    Ok(medium_of(stat.f_type as u32))
}

/// Magic numbers from statfs(2) and the kernel's `magic.h`.
fn medium_of(magic: u32) -> Medium {
    match magic {
        0x6969 => Medium::Network("NFS"),
        0x517B => Medium::Network("SMB"),
        0xFE53_4D42 => Medium::Network("SMB 2"),
        0xFF53_4D42 => Medium::Network("CIFS"),
        0x0102_1997 => Medium::Network("9p"),
        0x5346_414F | 0x6B41_4653 => Medium::Network("AFS"),
        0x00C3_6400 => Medium::Network("Ceph"),
        0x6573_5546 => Medium::Unsure,
        _ => Medium::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(dir: &Path) -> Config {
        let flags = vec![("data_dir".to_owned(), dir.to_str().unwrap().to_owned())];
        Config::load(&Sources { variables: Vec::new(), ..Sources::of_process(flags, None) }).unwrap()
    }

    #[test]
    fn a_new_directory_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir.path().join("a/b"));
        assert_eq!(prepare(&config).unwrap(), Vec::<String>::new());
        for made in ["a", "a/b"] {
            assert_eq!(dir.path().join(made).metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn an_open_directory_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let warnings = prepare(&config(dir.path())).unwrap();
        assert!(warnings[0].contains("can be read by others (mode 755)"), "{warnings:?}");
    }

    #[test]
    fn a_file_in_the_way_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        std::fs::write(&path, "").unwrap();
        for path in [path.clone(), path.join("below")] {
            let error = prepare(&config(&path)).unwrap_err().to_string();
            assert!(error.contains("is a file") || error.contains("cannot be made: Not a directory"), "{error}");
        }
    }

    #[test]
    fn network_file_systems_are_known() {
        assert_eq!(medium_of(0x6969), Medium::Network("NFS"));
        assert_eq!(medium_of(0xFF53_4D42), Medium::Network("CIFS"));
        assert_eq!(medium_of(0x6573_5546), Medium::Unsure);
        for local in [0xEF53, 0x0102_1994, 0x5846_5342, 0x9123_683E, 0x794C_7630] {
            assert_eq!(medium_of(local), Medium::Local); // ext4, tmpfs, XFS, Btrfs, overlay
        }
    }

    #[test]
    fn a_second_server_is_refused_and_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        prepare(&config).unwrap();
        let held = lock(&config).unwrap();
        let error = lock(&config).unwrap_err().to_string();
        assert!(error.contains(&format!("another server (process {})", std::process::id())), "{error}");
        drop(held);
        assert!(lock(&config).is_ok());
    }
}
