//! A depot that is a folder of this machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{DepotError, Result, STEP, Stored};
use crate::clock::Stopwatch;
use crate::model::STRIDE;

/// Begins the names of files that are not whole.
const PARTIAL: &str = ".partial-";
/// How deep it is looked into.
const DEPTH: usize = 8;

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn under(&self, segment: &str) -> Self {
        Self(self.0.join(segment))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn put(&self, name: &str, from: &mut impl Read) -> Result<()> {
        let to = self.0.join(name);
        let parent = to.parent().unwrap_or(&self.0);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.map_err(|error| DepotError::File(parent.to_owned(), error))?;
        let last = to.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let partial = parent.join(format!("{PARTIAL}{last}"));
        let written = write(&partial, from).and_then(|()| {
            fs::rename(&partial, &to).map_err(|error| DepotError::File(to.clone(), error))?;
            self.sync_from(parent)
        });
        if written.is_err() {
            // What cannot be deleted either is written over by the next, and is no file of the depot.
            _ = fs::remove_file(&partial);
        }
        written
    }

    pub(super) fn fetch(&self, name: &str, to: &mut impl Write) -> Result<()> {
        let path = self.0.join(name);
        let at = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => DepotError::Missing(path.display().to_string()),
            _ => DepotError::File(path.clone(), error),
        };
        let mut file = File::open(&path).map_err(at)?;
        let mut part = vec![0; STEP];
        loop {
            match file.read(&mut part).map_err(at)? {
                0 => return Ok(()),
                read => to.write_all(&part[..read]).map_err(DepotError::Stream)?,
            }
        }
    }

    pub(super) fn list(&self, beginning: &str) -> Result<Vec<Stored>> {
        let mut found = Vec::new();
        let mut folders = vec![(self.0.clone(), String::new())];
        while let Some((folder, name)) = folders.pop() {
            let at = |error| DepotError::File(folder.clone(), error);
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(at)?,
            };
            for entry in entries {
                let entry = entry.map_err(at)?;
                let (Ok(last), kind) = (entry.file_name().into_string(), entry.file_type().map_err(at)?) else {
                    continue;
                };
                let name = if name.is_empty() { last } else { format!("{name}/{last}") };
                let is_under = name.starts_with(beginning) || beginning.starts_with(&format!("{name}/"));
                if !is_under || name.split('/').count() > DEPTH {
                    continue;
                }
                if kind.is_dir() {
                    folders.push((entry.path(), name));
                } else if kind.is_file() && name.starts_with(beginning) {
                    let bytes = entry.metadata().map_err(at)?.len();
                    found.push(Stored { name, bytes });
                }
            }
        }
        Ok(found)
    }

    pub(super) fn delete(&self, name: &str) -> Result<()> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(DepotError::File(path, error)),
            _ => {}
        }
        let inside = path.ancestors().skip(1).take_while(|folder| *folder != self.0);
        for folder in inside {
            // It is gone only if it was empty.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Brings the folders from this one up to the depot's own to the disk, each of which may be new.
    fn sync_from(&self, folder: &Path) -> Result<()> {
        for folder in folder.ancestors() {
            sync(folder)?;
            if folder == self.0 {
                break;
            }
        }
        Ok(())
    }
}

fn write(path: &Path, from: &mut impl Read) -> Result<()> {
    let at = |error| DepotError::File(path.to_owned(), error);
    let mut file = private_file(path).map_err(at)?;
    let (mut part, mut waiting) = (vec![0; STEP], 0);
    loop {
        let read = from.read(&mut part).map_err(DepotError::Stream)?;
        if read == 0 {
            return file.sync_all().map_err(at);
        }
        file.write_all(&part[..read]).map_err(at)?;
        waiting += read as u64;
        if waiting >= STRIDE {
            let watch = Stopwatch::start();
            file.sync_data().map_err(at)?;
            // Whoever has waited for the disk meanwhile comes next, and finds nothing before him.
            std::thread::sleep(watch.elapsed() / 2);
            waiting = 0;
        }
    }
}

/// An empty file that nobody else can read.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| DepotError::File(path.to_owned(), error))
}
