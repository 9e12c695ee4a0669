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
                *self.string_counts.entry((app, kind)).or_default() += 1;
                tx.last_insert_rowid()
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
                let small = facts.only(&[Fact::Version, Fact::System]);
                if small != *facts && self.facts_count(tx, app)? >= limits.fact_sets {
                    self.facts(tx, app, &small, limits)?
                } else {
                    Arc::new(self.insert_facts(tx, app, facts, &digest)?)
                }
            }
        };
        if self.facts.len() >= REMEMBERED {
            self.facts.clear();
        }
        self.facts.insert((app, digest), interned.clone());
        Ok(interned)
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
        *self.facts_counts.entry(app).or_default() += 1;
        interned.id = tx.last_insert_rowid();
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
