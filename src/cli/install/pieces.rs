//! One file that is installed: whether it is there, whether it is ours, and how it gets there.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// What tells this program from another one of its name: every version has its unit inside.
const OURS: &[u8] = b"Description=Tallybox, the box an app phones home to";
/// Beginning of the first line of a unit that was installed; its checksum follows.
const STAMP: &str = "# Written by tallybox install-service, which replaces it as long as it is unchanged: ";

/// What kind of file, which decides when it is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The program: of any version.
    Program,
    /// A unit: as an installation has left it.
    Unit,
    /// Settings: never replaced.
    Settings,
}

/// How a file that is to be installed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not there.
    Absent,
    /// It is there and may stay.
    Same,
    /// An earlier one of ours is there.
    Earlier,
}

impl Standing {
    /// Whether something is to be written.
    pub fn is_to_be_written(self) -> bool {
        self != Self::Same
    }

    /// What was done about it.
    pub fn told(self) -> &'static str {
        match self {
            Self::Absent => "written",
            Self::Same => "unchanged",
            Self::Earlier => "replaced",
        }
    }
}

/// A file and what is to be in it.
pub struct Piece {
    pub path: PathBuf,
    kind: Kind,
    contents: Vec<u8>,
}

impl Piece {
    pub fn new(root: &Path, path: &str, kind: Kind, contents: Vec<u8>) -> Self {
        let contents = if kind == Kind::Unit { stamped(contents) } else { contents };
        Self { path: root.join(path), kind, contents }
    }

    /// What is there now; a sentence where it is not ours to replace.
    pub fn standing(&self) -> Result<Standing, String> {
        let path = self.path.display();
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Absent),
            Err(error) => return Err(format!("{path} cannot be looked at: {error}")),
            Ok(found) if self.kind == Kind::Settings && !found.is_dir() => return Ok(Standing::Same),
            Ok(found) if !found.is_file() => return Err(format!("{path} is no plain file: move it away")),
            Ok(_) => {}
        }
        let found = fs::read(&self.path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        match self.kind {
            _ if found == self.contents => Ok(Standing::Same),
            Kind::Program if found.windows(OURS.len()).any(|part| part == OURS) => Ok(Standing::Earlier),
            Kind::Program => Err(format!("{path} is another program: move it away")),
            Kind::Unit if is_unchanged(&found) => Ok(Standing::Earlier),
            Kind::Unit => Err(format!(
                "{path} was written or changed by somebody: keep what you want of it with `systemctl edit`, and move \
                 the file away"
            )),
            Kind::Settings => Ok(Standing::Same),
        }
    }

    /// Writes it, whole or not at all.
    pub fn put(&self, standing: Standing) -> anyhow::Result<()> {
        if !standing.is_to_be_written() {
            return Ok(());
        }
        let folder = self.path.parent().context("every piece lies in a folder")?;
        self.put_into(folder).with_context(|| format!("{} cannot be written", self.path.display()))
    }

    fn put_into(&self, folder: &Path) -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = Path::new(&name);
        let mut file = File::create(new)?;
        file.write_all(&self.contents)?;
        file.set_permissions(Permissions::from_mode(if self.kind == Kind::Program { 0o755 } else { 0o644 }))?;
        file.sync_all()?;
        fs::rename(new, &self.path)
    }
}

fn checksum(text: &[u8]) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

fn stamped(text: Vec<u8>) -> Vec<u8> {
    let mut stamped = format!("{STAMP}{}\n", checksum(&text)).into_bytes();
    stamped.extend(text);
    stamped
}

/// Whether this is what an installation of any version has written.
fn is_unchanged(unit: &[u8]) -> bool {
    let Some(end) = unit.iter().position(|byte| *byte == b'\n') else { return false };
    let (first, text) = (&unit[..end], &unit[end + 1..]);
    first.strip_prefix(STAMP.as_bytes()).is_some_and(|sum| sum == checksum(text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_replaced_as_long_as_nobody_has_changed_it() {
        let home = tempfile::tempdir().unwrap();
        let piece = |text: &str| Piece::new(home.path(), "a/b.service", Kind::Unit, text.into());
        assert_eq!(piece("one").standing(), Ok(Standing::Absent));
        piece("one").put(Standing::Absent).unwrap();
        assert_eq!(piece("one").standing(), Ok(Standing::Same));
        assert_eq!(piece("two").standing(), Ok(Standing::Earlier));
        piece("two").put(Standing::Earlier).unwrap();
        assert_eq!(piece("two").standing(), Ok(Standing::Same));
        let path = piece("two").path;
        let text = fs::read_to_string(&path).unwrap();
        for changed in [text.replace("two", "own"), text.replace(STAMP, "# "), String::new()] {
            fs::write(&path, changed).unwrap();
            assert!(piece("three").standing().unwrap_err().contains("changed by somebody"));
        }
    }

    #[test]
    fn a_program_is_replaced_by_a_program_of_ours_alone() {
        let home = tempfile::tempdir().unwrap();
        let piece = Piece::new(home.path(), "tallybox", Kind::Program, b"new".into());
        fs::write(&piece.path, [b"old ", OURS].concat()).unwrap();
        assert_eq!(piece.standing(), Ok(Standing::Earlier));
        fs::write(&piece.path, "#!/bin/sh").unwrap();
        assert!(piece.standing().unwrap_err().contains("another program"));
        fs::remove_file(&piece.path).unwrap();
        std::os::unix::fs::symlink("/nowhere", &piece.path).unwrap();
        assert!(piece.standing().unwrap_err().contains("no plain file"));
    }

    #[test]
    fn settings_that_are_there_stay() {
        let home = tempfile::tempdir().unwrap();
        let piece = Piece::new(home.path(), "tallybox.toml", Kind::Settings, b"new".into());
        fs::write(&piece.path, "old").unwrap();
        assert_eq!(piece.standing(), Ok(Standing::Same));
    }
}
