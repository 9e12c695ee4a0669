//! Secrets in files of their own: made once, private, and never seen half-written.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::token;

/// The text of a file, which is made with mode 0600 from `make` and a newline if it is not there. Processes that race
/// to make it all get the text of the one that came first.
///
/// # Errors
/// Those of the file system.
pub(super) fn read_or_make(path: &Path, make: impl FnOnce() -> Zeroizing<String>) -> io::Result<Zeroizing<String>> {
    match read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        read => return read,
    }
    match create(path, &make()) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
        Ok(()) | Err(_) => read(path),
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    std::fs::read_to_string(path).map(Zeroizing::new)
}

/// Writes the text beside `path` and links it into place whole, so that nobody ever reads half of it.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let draft = draft_path(path);
    let text = Zeroizing::new(format!("{text}\n"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&draft, path));
    let removed = std::fs::remove_file(&draft);
    linked.and(removed)?;
    File::open(folder(path))?.sync_all()
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", hex::encode(token::random::<8>())));
    path.with_file_name(name)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
