//! Rows as files in a depot: one for each app, environment, kind and UTC day, compressed, and beside it what it is. That is
//! laid down last, so that what has none is not whole; and the same rows always give the same files.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::pack::Packed;
use crate::depot::{Depot, DepotError};
use crate::model::{App, Environment, Kept, Millis, RecordFormat, RecordsAsk, Salt, TimeRange};
use crate::store::{Store, StoreError};

/// What files of lines are called.
const LINES: &str = "tallybox-records/1";
/// What files of columns are called.
const COLUMNS: &str = "tallybox-records-parquet/1";
/// Rows that are read together.
const TOGETHER: u32 = 2_000;
/// Longest manifest.
const MANIFEST: usize = 64 << 10;
/// About the bytes of a compressed row.
const ROW: u64 = 100;

/// Why rows were not laid down or read back.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The depot.
    #[error("the archive: {0}")]
    Depot(#[from] DepotError),
    /// A file in it is not what it should be.
    #[error("{0}")]
    Odd(String),
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `tallybox-records/1`, or `tallybox-records-parquet/1`.
    pub format: String,
    /// Events, sessions or what was set aside.
    pub kind: String,
    /// UUID of the app.
    pub app: uuid::Uuid,
    /// Its short name then.
    pub app_name: String,
    /// What tells whether pseudonyms are of the same key.
    pub pseudonyms: String,
    /// Name of the environment.
    pub environment: String,
    /// The UTC day.
    pub day: String,
    /// The stretch of that day, in milliseconds since 1970.
    pub from: i64,
    /// Its end, which does not belong to it.
    pub to: i64,
    /// How many rows.
    pub rows: u64,
    /// Length of the compressed file.
    pub bytes: u64,
    /// SHA-256 of it, in hex.
    pub sha256: String,
    /// Its name in the depot.
    pub file: String,
}

impl Manifest {
    /// Whether its rows are lines, which can be read back; other programs read columns.
    pub fn is_of_lines(&self) -> bool {
        self.format == LINES
    }

    /// What it is about, where this program knows that.
    pub fn kept(&self) -> Option<Kept> {
        Kept::parse(&self.kind)
    }

    /// The UTC day since 1970, where it is all of one.
    pub fn whole_day(&self) -> Option<i64> {
        let day = self.from.div_euclid(Millis::DAY);
        (self.from == day * Millis::DAY && self.to == self.from.saturating_add(Millis::DAY)).then_some(day)
    }

    /// Whether its pseudonyms are those of an app.
    pub fn is_of(&self, app: &App) -> bool {
        self.app == app.uuid && self.pseudonyms == fingerprint(&app.salt)
    }
}

/// Tells keys of pseudonyms apart, and nothing of them.
fn fingerprint(salt: &Salt) -> String {
    let mut hash = Sha256::new();
    hash.update(b"tallybox pseudonyms\0");
    hash.update(salt.0);
    let mut hex = hex::encode(hash.finalize());
    hex.truncate(16);
    hex
}

/// Where rows are laid down, and how.
pub struct Archive {
    /// Where.
    pub depot: Depot,
    /// How.
    pub format: RecordFormat,
}

/// Whose rows are laid down, and which.
#[derive(Clone, Copy)]
pub struct Parcel<'a> {
    /// The app.
    pub app: &'a App,
    /// One of its environments.
    pub environment: &'a Environment,
    /// What.
    pub kind: Kept,
    /// When: within one UTC day.
    pub range: TimeRange,
}

/// Lays rows down; none where there are none.
pub fn lay(store: &dyn Store, archive: &Archive, parcel: Parcel<'_>) -> Result<Option<Manifest>, PruneError> {
    let Parcel { app, environment, kind, range } = parcel;
    let depot = &archive.depot;
    let rows = store.count_records((environment.id, kind), range)?;
    if rows == 0 {
        return Ok(None);
    }
    let day = Millis(range.from.0).timestamp().strftime("%Y-%m-%d").to_string();
    let stem = format!("{}/{}/{}/{day}", app.uuid, environment.slug, kind.as_str());
    // Names of their own, so that files of both kinds lie in one place.
    let (format, rows_end, manifest_end) = match archive.format {
        RecordFormat::Ndjson => (LINES, "ndjson.gz", "json"),
        #[cfg(feature = "parquet")]
        RecordFormat::Parquet => (COLUMNS, "parquet", "parquet.json"),
    };
    let file = format!("{stem}.{rows_end}");
    let ask = RecordsAsk { environment: environment.id, kind, range, after: None, limit: TOGETHER };
    let packed = Packed::new(store, ask, archive.format);
    let mut packed = packed.map_err(|error| PruneError::Odd(error.to_string()))?;
    let laid = depot.put(&file, &mut packed, rows.saturating_mul(ROW))?;
    let manifest = Manifest {
        format: format.to_owned(),
        kind: kind.as_str().to_owned(),
        app: app.uuid,
        app_name: app.slug.to_string(),
        pseudonyms: fingerprint(&app.salt),
        environment: environment.slug.to_string(),
        day,
        from: range.from.0,
        to: range.to.0,
        rows: packed.rows(),
        bytes: laid.bytes,
        sha256: laid.sha256,
        file,
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| PruneError::Odd(error.to_string()))?;
    depot.put(&format!("{stem}.{manifest_end}"), &mut &text[..], text.len() as u64)?;
    Ok(Some(manifest))
}

/// What lies in a depot: every file that is whole.
pub fn manifests(depot: &Depot) -> Result<Vec<Manifest>, PruneError> {
    let mut found = Vec::new();
    for stored in depot.list("")?.iter().filter(|stored| stored.name.ends_with(".json")) {
        let text = depot.read(&stored.name, MANIFEST)?;
        let odd = |why: &str| PruneError::Odd(format!("{}: {why}", depot.shown(&stored.name)));
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| odd(&error.to_string()))?;
        if ![LINES, COLUMNS].contains(&manifest.format.as_str()) {
            return Err(odd(&format!("its format is neither {LINES} nor {COLUMNS}")));
        }
        found.push(manifest);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_whole_from_midnight_to_midnight() {
        let manifest = |from, to| Manifest {
            format: LINES.to_owned(),
            kind: "events".to_owned(),
            app: uuid::Uuid::nil(),
            app_name: String::new(),
            pseudonyms: String::new(),
            environment: String::new(),
            day: String::new(),
            from,
            to,
            rows: 0,
            bytes: 0,
            sha256: String::new(),
            file: String::new(),
        };
        for (from, to, day) in [
            (3 * Millis::DAY, 4 * Millis::DAY, Some(3)),
            (3 * Millis::DAY + 1, 4 * Millis::DAY, None),
            (3 * Millis::DAY, 4 * Millis::DAY - 1, None),
            (3 * Millis::DAY, 5 * Millis::DAY, None),
            (i64::MAX, i64::MAX, None),
        ] {
            assert_eq!(manifest(from, to).whole_day(), day, "{from} {to}");
        }
    }
}
