//! The lines of a file that was laid down, once it is found to be what its manifest says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::archive::{Manifest, PruneError};
use super::line;
use crate::depot::Depot;
use crate::model::EventRecord;

/// Longest line: more than any event has that the box takes.
const LINE: u64 = 4 << 20;

/// A copy of a file on this machine, deleted when it is dropped.
pub struct Unpacked {
    path: PathBuf,
    lines: BufReader<MultiGzDecoder<BufReader<File>>>,
    name: String,
}

impl Unpacked {
    /// Brings a file here and checks it to the last byte.
    pub fn fetch(depot: &Depot, manifest: &Manifest, into: &Path) -> Result<Self, PruneError> {
        let path = into.join(format!("import-{}.part", uuid::Uuid::new_v4()));
        let name = depot.shown(&manifest.file);
        let fetched = depot.fetch_file(&manifest.file, &path);
        let opened = fetched.map_err(PruneError::from).and_then(|laid| {
            if laid.sha256 != manifest.sha256 || laid.bytes != manifest.bytes {
                return Err(PruneError::Odd(format!("{name} is not the file that its manifest tells of")));
            }
            File::open(&path).map_err(|error| PruneError::Odd(format!("{}: {error}", path.display())))
        });
        match opened {
            Ok(file) => {
                let lines = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
                Ok(Self { path, lines, name })
            }
            Err(error) => {
                _ = std::fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// The next events, at most so many, and how many lines were none; none at all behind the last.
    pub fn next(&mut self, most: usize) -> Result<Option<(Vec<EventRecord>, u64)>, PruneError> {
        let (mut events, mut odd) = (Vec::new(), 0);
        while events.len() < most {
            let mut text = Vec::new();
            let read = (&mut self.lines).take(LINE).read_until(b'\n', &mut text);
            let read = read.map_err(|error| PruneError::Odd(format!("{}: {error}", self.name)))?;
            if read == 0 {
                break;
            }
            if text.last() != Some(&b'\n') && read as u64 == LINE {
                return Err(PruneError::Odd(format!("{} has a line that no event is as long as", self.name)));
            }
            match line::event(&text) {
                Some(event) => events.push(event),
                None => odd += 1,
            }
        }
        Ok((!events.is_empty() || odd > 0).then_some((events, odd)))
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.path);
    }
}
