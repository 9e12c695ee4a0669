//! What a backup says of itself: the last of its files that is written, and the first that is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupError;
use crate::depot::Laid;
use crate::store::contents::Contents;

/// Its name in a backup's folder.
pub(super) const NAME: &str = "manifest.json";
/// Longest one that is read.
pub(super) const LONGEST: usize = 1 << 20;
/// The layout of folder and manifest. The first had SQLite's copies alone, none of them encrypted, and no seal.
const FORMAT: u32 = 2;

/// Whose copy it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// A database file, which any SQLite opens.
    #[default]
    Sqlite,
    /// What `pg_dump --format=custom` writes.
    Postgres,
}

impl Engine {
    /// What the copy is called.
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Sqlite => "tallybox.db",
            Self::Postgres => "tallybox.dump",
        }
    }

    /// As people say it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// How a copy was encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The format: `age-encryption.org/v1`.
    pub format: String,
    /// To whom: the recipient that belongs to the key.
    pub recipient: String,
    /// Bytes of the encrypted file.
    pub bytes: u64,
    /// SHA-256 of it, in hex.
    pub sha256: String,
}

/// What a backup holds, as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// When it was begun, in milliseconds since 1970.
    pub made_at: i64,
    /// The version of the program that made it.
    pub program: String,
    /// Whose copy it is.
    #[serde(default)]
    pub engine: Engine,
    /// Number of the last migration.
    pub schema: i64,
    /// Bytes of the copy, as it is before it is encrypted.
    pub bytes: u64,
    /// SHA-256 of the same, in hex.
    pub sha256: String,
    /// How it was encrypted, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<Sealed>,
    /// Rows of each table.
    pub tables: BTreeMap<String, i64>,
    /// SHA-256 of all of this with nothing in this place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    seal: String,
}

impl Manifest {
    pub(super) fn new(
        made_at: i64,
        engine: Engine,
        contents: Contents,
        (plain, sealed): (Laid, Option<Sealed>),
    ) -> Self {
        Self {
            format: FORMAT,
            made_at,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            engine,
            schema: contents.schema,
            bytes: plain.bytes,
            sha256: plain.sha256,
            encrypted: sealed,
            tables: contents.tables,
            seal: String::new(),
        }
        .sealed()
    }

    /// Reads one; `place` is how people call it. Every bit of it counts.
    pub(super) fn read(bytes: &[u8], place: &str) -> Result<Self, BackupError> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|_| BackupError::Manifest(place.to_owned()))?;
        match manifest.format {
            1 => Ok(manifest),
            FORMAT if manifest.clone().sealed().text().as_bytes() == bytes => Ok(manifest),
            FORMAT => Err(BackupError::Damaged(format!("{place} is not what was written"))),
            _ => Err(BackupError::Manifest(place.to_owned())),
        }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts and numbers can be written") + "\n"
    }

    /// The name of the file that holds the copy.
    pub(super) fn file(&self) -> String {
        let ending = if self.encrypted.is_some() { ".age" } else { "" };
        format!("{}{ending}", self.engine.file())
    }

    /// Whether a database holds what was copied.
    pub(super) fn compare(&self, contents: &Contents) -> Result<(), BackupError> {
        if self.schema != contents.schema {
            return Err(BackupError::Damaged(format!("schema {} in place of {}", contents.schema, self.schema)));
        }
        self.compare_rows(&contents.tables)
    }

    /// Whether tables hold as many rows as were copied.
    pub(super) fn compare_rows(&self, tables: &BTreeMap<String, i64>) -> Result<(), BackupError> {
        for (table, rows) in &self.tables {
            let found = tables.get(table);
            if found != Some(rows) {
                let found = found.map_or("no such table".to_owned(), |rows| format!("{rows} rows"));
                return Err(BackupError::Damaged(format!("{table} has {found} in place of {rows}")));
            }
        }
        Ok(())
    }

    fn sealed(mut self) -> Self {
        self.seal = String::new();
        self.seal = hex::encode(Sha256::digest(self.text()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_a_manifest_counts() {
        let contents =
            Contents { schema: 12, tables: BTreeMap::from([("events".to_owned(), 7), ("users".to_owned(), 1)]) };
        let laid = Laid { bytes: 4_096, sha256: "ab".repeat(32) };
        let sealed = Sealed { format: "x".to_owned(), recipient: "age1".to_owned(), bytes: 5, sha256: "cd".repeat(32) };
        let manifest = Manifest::new(5, Engine::Postgres, contents, (laid, Some(sealed)));
        let text = manifest.text().into_bytes();
        assert_eq!(Manifest::read(&text, "it").unwrap(), manifest);
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::read(&flipped, "it").is_err(), "bit {bit}");
        }
    }

    #[test]
    fn manifests_of_the_first_layout_are_read() {
        let text = r#"{"format":1,"made_at":1,"program":"0.1.0","schema":9,"bytes":1,"sha256":"a","tables":{}}"#;
        let manifest = Manifest::read(text.as_bytes(), "it").unwrap();
        assert_eq!(
            (manifest.engine, manifest.encrypted.clone(), &*manifest.file()),
            (Engine::Sqlite, None, "tallybox.db")
        );
        assert!(Manifest::read(text.replace(":1,", ":3,").as_bytes(), "it").is_err());
    }
}
