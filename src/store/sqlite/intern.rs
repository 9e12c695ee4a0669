//! Repeated texts and sets of facts, stored once and named by number.

use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};
use rusqlite::{OptionalExtension, Transaction, params_from_iter, types::Value};
use sha2::{Digest, Sha256};

use crate::model::{AppId, Fact, Facts, Limits, OTHER};
use crate::rollup::InternedFacts;
use crate::store::Result;

/// Kinds of text beside the facts, as in `strings.kind`.
pub(super) const EVENT: &str = "event";
pub(super) const CATEGORY: &str = "category";

/// How many texts and sets are remembered in memory before all are looked up anew: some 20 MB at the most.
const REMEMBERED: usize = 100_000;

/// Remembers the numbers of texts and sets of facts.
#[derive(Default)]
pub(super) struct Interner {
    strings: HashMap<StringKey, i64>,
    string_counts: HashMap<(AppId, &'static str), u32>,
    facts: HashMap<(AppId, [u8; 16]), Arc<InternedFacts>>,
    facts_counts: HashMap<AppId, u32>,
}

#[derive(PartialEq, Eq, Hash)]
struct StringKey {
    app: AppId,
    kind: &'static str,
    text: Box<str>,
}

#[derive(Hash)]
struct StringRef<'a> {
    app: AppId,
    kind: &'static str,
    text: &'a str,
}

impl Equivalent<StringKey> for StringRef<'_> {
    fn equivalent(&self, key: &StringKey) -> bool {
        self.app == key.app && self.kind == key.kind && *self.text == *key.text
    }
}

impl Interner {
    /// The number of a text, or that of [`OTHER`] once the app has `cap` texts of the kind.
    pub(super) fn string(
        &mut self,
        tx: &Transaction<'_>,
        app: AppId,
        kind: &'static str,
        (text, cap): (&str, u32),
    ) -> Result<i64> {
        if let Some(id) = self.strings.get(&StringRef { app, kind, text }) {
            return Ok(*id);
        }
        let id = match find_string(tx, app, kind, text)? {
            Some(id) => id,
            None if text != OTHER && self.string_count(tx, app, kind)? >= cap => {
                self.string(tx, app, kind, (OTHER, u32::MAX))?
            }
            None => {
                tx.prepare_cached("INSERT INTO strings (app_id, kind, text) VALUES (?1, ?2, ?3)")?
                    .execute((app.0, kind, text))?;
                let id = tx.last_insert_rowid();
                // A count that was not needed yet is read when it is.
                if let Some(count) = self.string_counts.get_mut(&(app, kind)) {
                    *count += 1;
                }
                id
            }
        };
        if self.strings.len() >= REMEMBERED {
            self.strings.clear();
        }
        self.strings.insert(StringKey { app, kind, text: text.into() }, id);
        Ok(id)
    }

    /// The number of a set of facts. Once the app has [`Limits::fact_sets`], new sets keep only version and system.
    pub(super) fn facts(
        &mut self,
        tx: &Transaction<'_>,
        app: AppId,
        facts: &Facts,
        limits: &Limits,
    ) -> Result<Arc<InternedFacts>> {
        let digest = digest(facts);
        if let Some(found) = self.facts.get(&(app, digest)) {
            return Ok(found.clone());
        }
        let interned = match find_facts(tx, app, &digest)? {
            Some(found) => Arc::new(found),
            None => {
                let full = self.facts_count(tx, app)? >= limits.fact_sets;
                let small = if full { Some(self.reduce(tx, app, facts)?) } else { None };
                match small.filter(|small| small != facts) {
                    Some(small) => self.facts(tx, app, &small, limits)?,
                    None => Arc::new(self.insert_facts(tx, app, facts, &digest)?),
                }
            }
        };
        if self.facts.len() >= REMEMBERED {
            self.facts.clear();
        }
        self.facts.insert((app, digest), interned.clone());
        Ok(interned)
    }

    /// What is kept of a set when there are too many: version and system, which have no more values than their caps
    /// allow once those beyond are the same.
    fn reduce(&mut self, tx: &Transaction<'_>, app: AppId, facts: &Facts) -> Result<Facts> {
        let mut small = Facts::default();
        for fact in [Fact::Version, Fact::System] {
            if let Some(text) = facts.get(fact) {
                self.string(tx, app, fact.name(), (text, fact.cardinality()))?;
                let known = find_string(tx, app, fact.name(), text)?.is_some();
                small.0[fact as usize] = Some(if known { text.into() } else { OTHER.into() });
            }
        }
        Ok(small)
    }

    fn insert_facts(
        &mut self,
        tx: &Transaction<'_>,
        app: AppId,
        facts: &Facts,
        digest: &[u8; 16],
    ) -> Result<InternedFacts> {
        let mut interned = InternedFacts::default();
        for fact in Fact::ALL {
            if let Some(text) = facts.get(fact) {
                interned.values[fact as usize] = self.string(tx, app, fact.name(), (text, fact.cardinality()))?;
            }
        }
        let values = interned.values.iter().map(|id| if *id == 0 { Value::Null } else { Value::Integer(*id) });
        let params = [Value::Integer(app.0), Value::Blob(digest.to_vec())].into_iter().chain(values);
        tx.prepare_cached(
            "INSERT INTO facts (app_id, digest, version, build, system, system_version, arch, device, locale, sdk, \
             service, language, shell, ci) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params_from_iter(params))?;
        interned.id = tx.last_insert_rowid();
        if let Some(count) = self.facts_counts.get_mut(&app) {
            *count += 1;
        }
        Ok(interned)
    }

    fn string_count(&mut self, tx: &Transaction<'_>, app: AppId, kind: &'static str) -> Result<u32> {
        if let Some(count) = self.string_counts.get(&(app, kind)) {
            return Ok(*count);
        }
        let count = tx
            .prepare_cached("SELECT count(*) FROM strings WHERE app_id = ?1 AND kind = ?2")?
            .query_row((app.0, kind), |row| row.get(0))?;
        self.string_counts.insert((app, kind), count);
        Ok(count)
    }

    fn facts_count(&mut self, tx: &Transaction<'_>, app: AppId) -> Result<u32> {
        if let Some(count) = self.facts_counts.get(&app) {
            return Ok(*count);
        }
        let count =
            tx.prepare_cached("SELECT count(*) FROM facts WHERE app_id = ?1")?.query_row([app.0], |row| row.get(0))?;
        self.facts_counts.insert(app, count);
        Ok(count)
    }
}

/// The values of a set of facts by its number; all none where there is no such set.
pub(super) fn facts_by_id(tx: &Transaction<'_>, id: i64) -> Result<InternedFacts> {
    let found = tx.prepare_cached(&select_facts("id = ?1"))?.query_row([id], read_facts).optional()?;
    Ok(found.unwrap_or_default())
}

fn find_facts(tx: &Transaction<'_>, app: AppId, digest: &[u8; 16]) -> Result<Option<InternedFacts>> {
    let sql = select_facts("app_id = ?1 AND digest = ?2");
    Ok(tx.prepare_cached(&sql)?.query_row((app.0, digest), read_facts).optional()?)
}

/// Only called with the two conditions above: no text of a client is ever part of it.
fn select_facts(condition: &str) -> String {
    let columns: Vec<_> = Fact::ALL.iter().map(|fact| fact.name()).collect();
    ["SELECT id, ", &columns.join(", "), " FROM facts WHERE ", condition].concat()
}

fn read_facts(row: &rusqlite::Row<'_>) -> rusqlite::Result<InternedFacts> {
    let mut facts = InternedFacts { id: row.get(0)?, ..InternedFacts::default() };
    for (index, value) in facts.values.iter_mut().enumerate() {
        *value = row.get::<_, Option<i64>>(index + 1)?.unwrap_or(0);
    }
    Ok(facts)
}

fn find_string(tx: &Transaction<'_>, app: AppId, kind: &str, text: &str) -> Result<Option<i64>> {
    Ok(tx
        .prepare_cached("SELECT id FROM strings WHERE app_id = ?1 AND kind = ?2 AND text = ?3")?
        .query_row((app.0, kind, text), |row| row.get(0))
        .optional()?)
}

/// Names a set of facts by its content; stable across versions as long as facts are only ever appended.
fn digest(facts: &Facts) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for fact in Fact::ALL {
        if let Some(text) = facts.get(fact) {
            hasher.update(fact.name());
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
    }
    let full: [u8; 32] = hasher.finalize().into();
    let mut digest = [0; 16];
    digest.copy_from_slice(&full[..16]);
    digest
}

#[cfg(test)]
mod tests {
    use super::super::{Options, open};
    use super::*;
    use rusqlite::Connection;

    const APP: AppId = AppId(1);

    fn database() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let conn = open::writer(&directory.path().join("test.db"), Options::default()).unwrap();
        (directory, conn)
    }

    fn facts(version: String, device: Option<&str>) -> Facts {
        let mut facts = Facts::default();
        facts.0[Fact::Version as usize] = Some(version.into());
        facts.0[Fact::Device as usize] = device.map(Into::into);
        facts
    }

    fn count(tx: &Transaction<'_>, table: &str) -> i64 {
        tx.query_row(&["SELECT count(*) FROM ", table].concat(), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn caps_hold_across_restarts_whatever_comes_first() {
        let (_directory, mut conn) = database();
        let tx = conn.transaction().unwrap();
        let limits = Limits { fact_sets: 3, ..Limits::default() };
        let mut before = Interner::default();
        for n in 0..3 {
            before.string(&tx, APP, EVENT, (&format!("e{n}"), 3)).unwrap();
            before.facts(&tx, APP, &facts(format!("{n}"), Some("phone")), &limits).unwrap();
        }
        let mut after = Interner::default();
        // Neither is held to a cap, so neither needs to know how many there are.
        after.string(&tx, APP, EVENT, (OTHER, 3)).unwrap();
        after.facts(&tx, APP, &facts("0".to_owned(), None), &limits).unwrap();
        let other = after.string(&tx, APP, EVENT, ("e9", 3)).unwrap();
        assert_eq!(other, after.string(&tx, APP, EVENT, (OTHER, 3)).unwrap());
        let small = after.facts(&tx, APP, &facts("1".to_owned(), Some("tablet")), &limits).unwrap();
        assert_eq!(small.values[Fact::Device as usize], 0);
    }

    #[test]
    fn no_stream_of_new_versions_grows_the_sets_without_end() {
        let (_directory, mut conn) = database();
        let tx = conn.transaction().unwrap();
        let limits = Limits { fact_sets: 10, ..Limits::default() };
        let mut interner = Interner::default();
        let versions = i64::from(Fact::Version.cardinality());
        for n in 0..versions + 500 {
            interner.facts(&tx, APP, &facts(format!("v{n}"), None), &limits).unwrap();
        }
        // Each version has its set, and all further ones share that of "(other)".
        assert_eq!(count(&tx, "facts"), versions + 1);
        assert_eq!(count(&tx, "strings"), versions + 1);
    }
}
