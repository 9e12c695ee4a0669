//! Rows on their way into a file: read page by page as somebody wants their bytes.

use std::io::{self, Read};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::line;
#[cfg(feature = "parquet")]
use super::parquet::Columns;
use crate::model::{Kept, Record, RecordFormat, RecordsAsk};
use crate::store::Store;

/// Rows as they are compressed, read page by page as somebody wants them.
pub(super) struct Packed<'a> {
    store: &'a dyn Store,
    /// The next page; none behind the last.
    ask: Option<RecordsAsk>,
    packer: Option<Packer>,
    out: Vec<u8>,
    at: usize,
    rows: u64,
}

impl<'a> Packed<'a> {
    pub(super) fn new(store: &'a dyn Store, ask: RecordsAsk, format: RecordFormat) -> io::Result<Self> {
        let packer = Some(Packer::new(format, ask.kind)?);
        Ok(Self { store, ask: Some(ask), packer, out: Vec::new(), at: 0, rows: 0 })
    }

    /// How many there were so far.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    fn fill(&mut self) -> io::Result<()> {
        (self.out, self.at) = (Vec::new(), 0);
        while self.out.is_empty() {
            let Some(packer) = &mut self.packer else { return Ok(()) };
            match self.ask {
                Some(ask) => {
                    let page = self.store.records(&ask).map_err(io::Error::other)?;
                    self.rows += page.rows.len() as u64;
                    for row in page.rows {
                        packer.add(row)?;
                    }
                    self.ask = page.next.map(|next| RecordsAsk { after: Some(next), ..ask });
                    self.out = packer.ready()?;
                }
                None => {
                    if let Some(packer) = self.packer.take() {
                        self.out = packer.finish()?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Read for Packed<'_> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        if self.at == self.out.len() {
            self.fill()?;
        }
        let some = part.len().min(self.out.len() - self.at);
        part[..some].copy_from_slice(&self.out[self.at..self.at + some]);
        self.at += some;
        Ok(some)
    }
}

/// What makes bytes of rows.
enum Packer {
    Lines(GzEncoder<Vec<u8>>),
    #[cfg(feature = "parquet")]
    Columns(Columns),
}

impl Packer {
    #[cfg_attr(not(feature = "parquet"), expect(unused_variables, reason = "lines of all kinds are begun alike"))]
    fn new(format: RecordFormat, kind: Kept) -> io::Result<Self> {
        Ok(match format {
            RecordFormat::Ndjson => Self::Lines(GzEncoder::new(Vec::new(), Compression::default())),
            #[cfg(feature = "parquet")]
            RecordFormat::Parquet => Self::Columns(Columns::new(kind)?),
        })
    }

    fn add(&mut self, row: Record) -> io::Result<()> {
        match self {
            Self::Lines(gzip) => line::write(row, gzip),
            #[cfg(feature = "parquet")]
            Self::Columns(columns) => columns.add(row),
        }
    }

    /// What is ready; there may be nothing yet.
    fn ready(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Lines(gzip) => Ok(std::mem::take(gzip.get_mut())),
            #[cfg(feature = "parquet")]
            Self::Columns(columns) => columns.ready(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Lines(gzip) => gzip.finish(),
            #[cfg(feature = "parquet")]
            Self::Columns(columns) => columns.finish(),
        }
    }
}
