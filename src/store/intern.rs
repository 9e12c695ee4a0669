//! Repeated texts and sets of facts, stored once and named by number.

use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};
use sha2::{Digest, Sha256};

use super::sql::{Cell, Row, Sql};
use super::{Draft, Entry, Result};
use crate::model::{AppId, Event, Fact, Facts, Limits, OTHER};
use crate::rollup::{FactIds, InternedError, InternedFacts};

/// Kinds of text beside the facts, as in `strings.kind`.
pub(super) const EVENT: &str = "event";
const CATEGORY: &str = "category";
pub(super) const ERROR: &str = "error";

/// How many texts and sets are remembered in memory before those of other apps are forgotten: some 20 MB at the most.
const REMEMBERED: usize = 100_000;

/// The numbers of one event's texts.
#[derive(Clone, Debug)]
pub(super) struct Interned {
    pub(super) name: i64,
    pub(super) category: Option<i64>,
    pub(super) facts: Arc<InternedFacts>,
    pub(super) error: Option<InternedError>,
}

/// The numbers of all texts of some drafts.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    /// One for each event, in order.
    pub(super) events: Vec<Interned>,
    /// The facts of each installation that says who it is, in order.
    pub(super) devices: Vec<Arc<InternedFacts>>,
}

/// Remembers the numbers of texts and sets of facts, those of an app all or none. Nothing that it knows ever changes:
/// only what it does not know yet has to be asked of the database.
#[derive(Default)]
pub(super) struct Interner {
    apps: HashMap<AppId, Known>,
}

/// All texts and sets of one app, as far as they have been read.
#[derive(Default)]
struct Known {
    strings: HashMap<StringKey, i64>,
    counts: HashMap<&'static str, u32>,
    last_string: i64,
    facts: HashMap<[u8; 16], Arc<InternedFacts>>,
    last_facts: i64,
}

#[derive(PartialEq, Eq, Hash)]
struct StringKey {
    kind: &'static str,
    text: Box<str>,
}

#[derive(Hash)]
struct StringRef<'a> {
    kind: &'static str,
    text: &'a str,
}

impl Equivalent<StringKey> for StringRef<'_> {
    fn equivalent(&self, key: &StringKey) -> bool {
        self.kind == key.kind && *self.text == *key.text
    }
}

impl Interner {
    /// The numbers of all texts of the drafts; `None` where one is not known yet.
    pub(super) fn find(&self, drafts: &[Draft], limits: &Limits) -> Option<Numbers> {
        let mut found = Numbers::default();
        let mut last: Option<(AppId, &Arc<Facts>, Arc<InternedFacts>)> = None;
        for (app, event) in events(drafts) {
            let known = self.apps.get(&app)?;
            // The events of a batch mostly share their facts.
            let facts = match last {
                Some((last_app, last_facts, ref interned))
                    if last_app == app && Arc::ptr_eq(last_facts, event.facts()) =>
                {
                    interned.clone()
                }
                _ => {
                    let interned = known.find_facts(event.facts(), limits)?;
                    last = Some((app, event.facts(), interned.clone()));
                    interned
                }
            };
            let category = match event.category() {
                Some(text) => Some(known.find(CATEGORY, text, limits.names)?),
                None => None,
            };
            let error = match event.error() {
                Some(error) => {
                    let group = known.find(ERROR, &error.group, limits.error_groups)?;
                    Some(InternedError { group, fatal: error.fatal })
                }
                None => None,
            };
            found.events.push(Interned {
                name: known.find(EVENT, event.name(), limits.names)?,
                category,
                facts,
                error,
            });
        }
        for (app, facts) in devices(drafts) {
            found.devices.push(self.apps.get(&app)?.find_facts(facts, limits)?);
        }
        Some(found)
    }

    /// Learns from the database what the drafts need, and adds what it does not know either, up to each kind's cap.
    /// Nobody else may do so for the same apps at the same time.
    pub(super) fn learn(&mut self, db: &dyn Sql, drafts: &[Draft], limits: &Limits) -> Result<()> {
        let remembered: usize = self.apps.values().map(|known| known.strings.len() + known.facts.len()).sum();
        if remembered > REMEMBERED {
            self.apps.retain(|app, _| drafts.iter().any(|draft| draft.app.id == *app));
        }
        let mut apps: Vec<_> = drafts.iter().map(|draft| draft.app.id).collect();
        apps.sort_unstable();
        apps.dedup();
        for app in apps {
            self.apps.entry(app).or_default().catch_up(db, app)?;
        }
        for (app, event) in events(drafts) {
            let known = self.apps.entry(app).or_default();
            known.learn(db, app, EVENT, (event.name(), limits.names))?;
            if let Some(category) = event.category() {
                known.learn(db, app, CATEGORY, (category, limits.names))?;
            }
            if let Some(error) = event.error() {
                known.learn(db, app, ERROR, (&error.group, limits.error_groups))?;
            }
            known.learn_facts(db, app, event.facts(), limits)?;
        }
        for (app, facts) in devices(drafts) {
            self.apps.entry(app).or_default().learn_facts(db, app, facts, limits)?;
        }
        Ok(())
    }
}

impl Known {
    /// The number of a text, or that of [`OTHER`] once there are `cap` texts of the kind.
    fn find(&self, kind: &'static str, text: &str, cap: u32) -> Option<i64> {
        if let Some(id) = self.strings.get(&StringRef { kind, text }) {
            return Some(*id);
        }
        if self.is_full(kind, cap) { self.strings.get(&StringRef { kind, text: OTHER }).copied() } else { None }
    }

    fn is_full(&self, kind: &'static str, cap: u32) -> bool {
        self.counts.get(kind).copied().unwrap_or(0) >= cap
    }

    /// The number of a set of facts. Once the app has [`Limits::fact_sets`], new sets keep only version and system.
    fn find_facts(&self, facts: &Facts, limits: &Limits) -> Option<Arc<InternedFacts>> {
        if let Some(found) = self.facts.get(&digest(facts)) {
            return Some(found.clone());
        }
        if !self.is_full_of_facts(limits) {
            return None;
        }
        self.facts.get(&digest(&self.reduce(facts)?)).cloned()
    }

    fn is_full_of_facts(&self, limits: &Limits) -> bool {
        self.facts.len() >= limits.fact_sets as usize
    }

    /// What is kept of a set when there are too many: version and system, which have no more values than their caps
    /// allow once those beyond are the same. `None` where one of them is not known yet.
    fn reduce(&self, facts: &Facts) -> Option<Facts> {
        let mut small = Facts::default();
        for fact in [Fact::Version, Fact::System] {
            if let Some(text) = facts.get(fact) {
                let id = self.find(fact.name(), text, fact.cardinality())?;
                let known = self.strings.get(&StringRef { kind: fact.name(), text }) == Some(&id);
                small.0[fact as usize] = Some(if known { text.into() } else { OTHER.into() });
            }
        }
        Some(small)
    }

    /// Reads what was added since the last time, here or elsewhere.
    fn catch_up(&mut self, db: &dyn Sql, app: AppId) -> Result<()> {
        let sql = "SELECT id, kind, text FROM strings WHERE app_id = $1 AND id > $2 ORDER BY id";
        for row in db.rows(sql, &[app.0.into(), self.last_string.into()])? {
            // A kind that a newer version has introduced is of no use to this one.
            if let Some(kind) = kind(&row.text(1)) {
                self.remember(kind, row.text(2).into(), row.int(0));
            }
            self.last_string = row.int(0);
        }
        let sql = select_facts("app_id = $1 AND id > $2 ORDER BY id");
        for row in db.rows(&sql, &[app.0.into(), self.last_facts.into()])? {
            self.last_facts = row.int(0);
            if let Some(digest) = row.array(1) {
                self.facts.insert(digest, Arc::new(read_facts(&row)));
            }
        }
        Ok(())
    }

    fn remember(&mut self, kind: &'static str, text: Box<str>, id: i64) {
        self.strings.insert(StringKey { kind, text }, id);
        *self.counts.entry(kind).or_default() += 1;
    }

    fn learn(&mut self, db: &dyn Sql, app: AppId, kind: &'static str, (text, cap): (&str, u32)) -> Result<i64> {
        if let Some(id) = self.find(kind, text, cap) {
            return Ok(id);
        }
        let text = if self.is_full(kind, cap) { OTHER } else { text };
        let sql = "INSERT INTO strings (app_id, kind, text) VALUES ($1, $2, $3) RETURNING id";
        let id = db.value(sql, &[app.0.into(), kind.into(), text.into()])?.int();
        self.remember(kind, text.into(), id);
        self.last_string = id;
        Ok(id)
    }

    fn learn_facts(&mut self, db: &dyn Sql, app: AppId, facts: &Facts, limits: &Limits) -> Result<()> {
        if self.find_facts(facts, limits).is_some() {
            return Ok(());
        }
        if self.is_full_of_facts(limits) {
            for fact in [Fact::Version, Fact::System] {
                if let Some(text) = facts.get(fact) {
                    self.learn(db, app, fact.name(), (text, fact.cardinality()))?;
                }
            }
            let small = self.reduce(facts).unwrap_or_default();
            if self.facts.contains_key(&digest(&small)) { Ok(()) } else { self.insert_facts(db, app, &small) }
        } else {
            self.insert_facts(db, app, facts)
        }
    }

    fn insert_facts(&mut self, db: &dyn Sql, app: AppId, facts: &Facts) -> Result<()> {
        let digest = digest(facts);
        let mut values = FactIds::default();
        for fact in Fact::ALL {
            if let Some(text) = facts.get(fact) {
                values[fact as usize] = self.learn(db, app, fact.name(), (text, fact.cardinality()))?;
            }
        }
        let columns = values.iter().map(|id| if *id == 0 { Cell::Null } else { Cell::Int(*id) });
        let params: Vec<_> = [app.0.into(), (&digest).into()].into_iter().chain(columns).collect();
        let places: Vec<_> = (1..=params.len()).map(|place| format!("${place}")).collect();
        let names = Fact::ALL.map(Fact::name).join(", ");
        let sql = format!("INSERT INTO facts (app_id, digest, {names}) VALUES ({}) RETURNING id", places.join(", "));
        let id = db.value(&sql, &params)?;
        self.last_facts = id.int();
        self.facts.insert(digest, Arc::new(InternedFacts { id: id.int(), values }));
        Ok(())
    }
}

/// The values of a set of facts by its number; all none where there is no such set.
pub(super) fn facts_by_id(db: &dyn Sql, id: i64) -> Result<FactIds> {
    let row = db.row(&select_facts("id = $1"), &[id.into()])?;
    Ok(row.map(|row| read_facts(&row).values).unwrap_or_default())
}

fn events(drafts: &[Draft]) -> impl Iterator<Item = (AppId, &Event)> {
    drafts.iter().flat_map(|draft| {
        draft.entries.iter().filter_map(|entry| match entry {
            Entry::Event(event) | Entry::Restored(event) => Some((draft.app.id, event)),
            Entry::SetAside(_) | Entry::Banned | Entry::Withheld(_) => None,
        })
    })
}

fn devices(drafts: &[Draft]) -> impl Iterator<Item = (AppId, &Facts)> {
    drafts.iter().filter_map(|draft| draft.identify.as_ref().map(|identify| (draft.app.id, &*identify.facts)))
}

fn kind(name: &str) -> Option<&'static str> {
    [EVENT, CATEGORY, ERROR].into_iter().chain(Fact::ALL.map(Fact::name)).find(|kind| *kind == name)
}

/// Only called with the two conditions above: no text of a client is ever part of it.
fn select_facts(condition: &str) -> String {
    let columns: Vec<_> = Fact::ALL.iter().map(|fact| fact.name()).collect();
    ["SELECT id, digest, ", &columns.join(", "), " FROM facts WHERE ", condition].concat()
}

fn read_facts(row: &Row) -> InternedFacts {
    let mut facts = InternedFacts { id: row.int(0), ..InternedFacts::default() };
    for (index, value) in facts.values.iter_mut().enumerate() {
        *value = row.int(index + 2);
    }
    facts
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
    use super::*;
    use crate::model::{App, EnvironmentId, EventId, IngestKeyId, Millis, NewApp, Salt, Slug, Zone};
    use crate::store::Store;
    use crate::store::backend::Backend;
    use crate::store::sqlite::{Options, SqliteStore};

    struct Bench {
        store: SqliteStore,
        app: Arc<App>,
        limits: Limits,
        _directory: tempfile::TempDir,
    }

    impl Bench {
        fn new(limits: Limits) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&directory.path().join("test.db"), Options::default()).unwrap();
            let app = NewApp {
                organization: None,
                uuid: uuid::Uuid::new_v4(),
                slug: Slug::from_name("test"),
                slug_fixed: true,
                name: "Test".to_owned(),
                zone: Zone::utc(),
                salt: Salt([1; 32]),
                strict: false,
            };
            let app = Arc::new(store.create_app(&app, &crate::model::By::command_line(Millis(0))).unwrap());
            Self { store, app, limits, _directory: directory }
        }

        /// What becomes of one event's texts, also where its interner has to learn them.
        fn intern(&self, interner: &mut Interner, name: &str, facts: Facts) -> Interned {
            let drafts = [self.draft(name, facts)];
            if interner.find(&drafts, &self.limits).is_none() {
                let learning = std::cell::RefCell::new(&mut *interner);
                self.store.write(|db| learning.borrow_mut().learn(db, &drafts, &self.limits)).unwrap();
            }
            interner.find(&drafts, &self.limits).unwrap().events.remove(0)
        }

        fn draft(&self, name: &str, facts: Facts) -> Draft {
            let event = Event {
                id: EventId::random(),
                claimed_at: Millis(0),
                occurred_at: Millis(0),
                name: name.into(),
                category: None,
                user: None,
                session: None,
                facts: Arc::new(facts),
                props: None,
                error: None,
            };
            let empty = Draft::new(self.app.clone(), EnvironmentId(1), Millis(0));
            Draft { key: Some(IngestKeyId(1)), entries: vec![Entry::Event(event)], ..empty }
        }

        fn count(&self, table: &str) -> i64 {
            let sql = ["SELECT count(*) FROM ", table].concat();
            self.store.read(|db| db.value(&sql, &[])).unwrap().int()
        }
    }

    fn facts(version: String, device: Option<&str>) -> Facts {
        let mut facts = Facts::default();
        facts.0[Fact::Version as usize] = Some(version.into());
        facts.0[Fact::Device as usize] = device.map(Into::into);
        facts
    }

    #[test]
    fn caps_hold_across_restarts() {
        let bench = Bench::new(Limits { fact_sets: 3, names: 3, ..Limits::default() });
        let mut before = Interner::default();
        let ids: Vec<_> = (0..3)
            .map(|n| bench.intern(&mut before, &format!("e{n}"), facts(format!("{n}"), Some("phone"))).name)
            .collect();
        let mut after = Interner::default();
        let other = bench.intern(&mut after, "e9", facts("1".to_owned(), Some("tablet")));
        assert!(!ids.contains(&other.name));
        assert_eq!(other.facts.values[Fact::Device as usize], 0);
        assert_eq!(bench.intern(&mut after, OTHER, facts("0".to_owned(), None)).name, other.name);
        assert_eq!(bench.intern(&mut after, "e2", facts("0".to_owned(), Some("phone"))).name, ids[2]);
        assert_eq!(bench.intern(&mut before, "e7", facts("0".to_owned(), Some("phone"))).name, other.name);
    }

    #[test]
    fn no_stream_of_new_versions_grows_the_sets_without_end() {
        let bench = Bench::new(Limits { fact_sets: 10, ..Limits::default() });
        let versions = i64::from(Fact::Version.cardinality());
        let mut interner = Interner::default();
        let all: Vec<_> = (0..versions + 500).map(|n| bench.draft("e", facts(format!("v{n}"), None))).collect();
        bench.store.write(|db| Interner::default().learn(db, &all, &bench.limits)).unwrap();
        // Each version has its set, and all further ones share that of "(other)"; the name counts among the texts.
        assert_eq!(bench.count("facts"), versions + 1);
        assert_eq!(bench.count("strings"), versions + 2);
        let late = bench.intern(&mut interner, "e", facts("v99999".to_owned(), None));
        assert_eq!(bench.count("facts"), versions + 1);
        assert_ne!(late.facts.values[Fact::Version as usize], 0);
    }
}
