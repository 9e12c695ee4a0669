//! Files that other products have exported, read as events.

mod app_center;
mod aptabase;
mod csv;
mod json;
mod posthog;
mod umami;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use hashbrown::HashMap;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::model::{EventId, Millis, RawEvent, RawPerson};

/// Longest row that is read, in bytes.
const ROW: usize = 4 << 20;
/// Rows of which it is remembered how often the same came before.
const REMEMBERED: usize = 200_000;

/// What has written a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Aptabase: a month's events as CSV.
    Aptabase,
    /// PostHog: events as JSON, one on each line or in an array.
    PostHog,
    /// Umami: the events of a website as CSV.
    Umami,
    /// Visual Studio App Center: logs of devices as JSON arrays.
    AppCenter,
}

impl Product {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Aptabase, Self::PostHog, Self::Umami, Self::AppCenter];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aptabase => "aptabase",
            Self::PostHog => "posthog",
            Self::Umami => "umami",
            Self::AppCenter => "app-center",
        }
    }

    /// The product of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|product| product.name() == text)
    }
}

/// What a row is.
#[derive(Debug)]
pub enum Row {
    /// An event.
    Event(Box<RawEvent<'static>>),
    /// What was told of somebody, and when.
    Person(Millis, Box<RawPerson<'static>>),
    /// Of a kind that is no event here.
    Other,
    /// Not usable; why, in words without its values.
    Odd(String),
}

/// Why the rest of a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// It is not what it is said to be, from that line on.
    #[error("line {0}: {1}")]
    At(u64, String),
}

/// A file's rows, one after the other.
pub struct Rows {
    product: Product,
    source: Source,
    ids: Ids,
}

enum Source {
    Csv(csv::Records<Box<dyn BufRead>>),
    Json(json::Objects<Box<dyn BufRead>>),
}

impl Rows {
    /// Opens a file, which may be compressed with gzip. `read` counts the bytes of it that were read.
    ///
    /// # Errors
    /// Where it cannot be read, or has other columns than the product's exports.
    pub fn open(product: Product, path: &Path, read: Arc<AtomicU64>) -> Result<Self, ForeignError> {
        let mut file = BufReader::with_capacity(256 << 10, Counted { file: File::open(path)?, read });
        let packed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let text: Box<dyn BufRead> =
            if packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
        Self::read(product, text)
    }

    fn read(product: Product, text: Box<dyn BufRead>) -> Result<Self, ForeignError> {
        let source = match product {
            Product::Aptabase => Source::Csv(csv::Records::open(text, &aptabase::WANTED)?),
            Product::Umami => Source::Csv(csv::Records::open(text, &umami::WANTED)?),
            Product::PostHog | Product::AppCenter => Source::Json(json::Objects::new(text)),
        };
        Ok(Self { product, source, ids: Ids { product, seen: HashMap::new() } })
    }

    /// The next row with the number of its first line; none behind the last.
    ///
    /// # Errors
    /// Where the rest cannot be told apart into rows.
    pub fn row(&mut self) -> Result<Option<(u64, Row)>, ForeignError> {
        let (line, read) = match &mut self.source {
            Source::Csv(records) => {
                let Some((line, record)) = records.record()? else { return Ok(None) };
                let read = match self.product {
                    Product::Umami => umami::event(&record, &mut self.ids),
                    Product::Aptabase | Product::PostHog | Product::AppCenter => {
                        aptabase::event(&record, &mut self.ids)
                    }
                };
                (line, read)
            }
            Source::Json(objects) => {
                let Some((line, text)) = objects.object()? else { return Ok(None) };
                let read = match self.product {
                    Product::AppCenter => app_center::event(&text, &mut self.ids),
                    Product::PostHog | Product::Aptabase | Product::Umami => posthog::event(&text, &mut self.ids),
                };
                (line, read)
            }
        };
        Ok(Some((line, read.unwrap_or_else(Row::Odd))))
    }
}

/// Ids for rows that have none: the same for the same row, however often a file is read.
struct Ids {
    product: Product,
    /// How often rows were there before; of the last many.
    seen: HashMap<[u8; 16], u32>,
}

impl Ids {
    /// The id of a row by its text. The second of two equal rows is another event.
    fn of<'t>(&mut self, parts: impl IntoIterator<Item = &'t str>) -> EventId {
        let mut hash = Sha256::new().chain_update(self.product.name());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let key = half(&hash.clone().finalize());
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        let before = self.seen.entry(key).or_default();
        hash.update(before.to_be_bytes());
        *before += 1;
        EventId(half(&hash.finalize()))
    }
}

fn half(hash: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

/// Reads a line with its end behind what is in `row` already, which begins at line `first`.
fn line(text: &mut impl BufRead, row: &mut Vec<u8>, first: u64) -> Result<(), ForeignError> {
    let room = (ROW - row.len().min(ROW)) as u64;
    text.take(room + 1).read_until(b'\n', row)?;
    if row.len() > ROW {
        return Err(ForeignError::At(first, format!("a row of more than {ROW} bytes")));
    }
    Ok(())
}

/// A time with its offset, or one of universal time without: `2026-11-20T10:00:00Z`, `2026-11-20 10:00:00`.
fn moment(text: &str) -> Option<Millis> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(Millis(at.as_millisecond()));
    }
    let at = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(Millis(at.timestamp().as_millisecond()))
}

/// A country's two letters.
fn country(text: &str) -> Option<String> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic())).then(|| text.to_ascii_uppercase())
}

/// An operating system in this box's spelling.
fn system(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let known = ["windows", "android", "linux", "ipados", "ios"].into_iter().find(|known| lower.starts_with(known));
    match lower.as_str() {
        "mac os" | "macos" | "mac os x" | "mac" | "darwin" => "macos".to_owned(),
        "chrome os" | "chromeos" => "chromeos".to_owned(),
        _ => known.map_or_else(|| name.trim().to_owned(), str::to_owned),
    }
}

/// A language in the usual spelling: `en_us` is `en-US`.
fn locale(text: &str) -> Option<String> {
    let mut parts = text.trim().split(['-', '_', '.']);
    let language = parts.next().filter(|part| (2..=3).contains(&part.len()) && part.is_ascii())?;
    let language = language.to_ascii_lowercase();
    Some(match parts.next().filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_alphabetic())) {
        Some(region) => format!("{language}-{}", region.to_ascii_uppercase()),
        None => language,
    })
}

/// Counts what is read of a file.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(into)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
