//! The summaries counted anew from what they summarise: events, sessions, users and their days.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::Result;
use super::report::measures;
use super::scan::{fact_sets, scan_rows};
use super::sql::{Cell, Row, Sql};
use super::{keeping, rights};
use crate::model::{Dimension, EnvironmentId, Fact, Kept, LENGTHS, LocalTime, Millis, TimeRange, Zone};
use crate::rollup::{Bucket, Deltas, FactIds, Fold, InternedError, InternedFacts, Key, Measures};

/// Which summaries are counted anew: those of one UTC day of an environment.
#[derive(Clone, Debug)]
pub struct Recount {
    /// Whose.
    pub environment: EnvironmentId,
    /// The zone of its app.
    pub zone: Arc<Zone>,
    /// Days since 1970.
    pub day: i64,
}

impl Recount {
    fn range(&self) -> TimeRange {
        TimeRange { from: Millis(self.day * Millis::DAY), to: Millis((self.day + 1) * Millis::DAY) }
    }
}

/// The two tables of summaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryTable {
    /// By hour.
    Hours,
    /// By UTC day.
    Days,
}

impl SummaryTable {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hours => "rollup_hours",
            Self::Days => "rollup_days",
        }
    }
}

/// A row of the summaries that is not what lies beneath it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryDifference {
    /// Where it stands.
    pub table: SummaryTable,
    /// Which row.
    pub key: Key,
    /// What it says; nothing where it is missing.
    pub stored: Measures,
    /// What it should say.
    pub counted: Measures,
}

/// First and last UTC day, since 1970, of which an environment may have summaries; none where it has none.
pub(super) fn days(db: &dyn Sql, environment: EnvironmentId) -> Result<Option<(i64, i64)>> {
    let row = db.row(
        "SELECT min(at), max(at) FROM ( \
         SELECT min(bucket) * 900000 AS at FROM rollup_hours WHERE env_id = $1 \
         UNION ALL SELECT max(bucket) * 900000 FROM rollup_hours WHERE env_id = $1 \
         UNION ALL SELECT min(started_at) FROM sessions WHERE env_id = $1 \
         UNION ALL SELECT max(started_at) FROM sessions WHERE env_id = $1) AS ends",
        &[environment.0.into()],
    )?;
    let day = |at: i64| at.div_euclid(Millis::DAY);
    Ok(row.and_then(|row| Some((day(row.some_int(0)?), day(row.some_int(1)?)))))
}

/// Compares the summaries of one UTC day of an environment with a count of what lies beneath them.
pub(super) fn differences(db: &dyn Sql, asked: &Recount) -> Result<Vec<SummaryDifference>> {
    let gone = |kind| keeping::gone_before(db, asked.environment, kind).map(|day| asked.day < day);
    let kept = Stays {
        events: gone(Kept::Events)?,
        sessions: gone(Kept::Sessions)?,
        people: rights::is_erased_day(db, asked.environment, asked.day)?,
    };
    let counted = count(db, asked, kept)?;
    let mut found = Vec::new();
    for (table, counted) in [(SummaryTable::Hours, counted.hours), (SummaryTable::Days, counted.days)] {
        let mut stored = stored(db, asked, table)?;
        for (key, counted) in counted {
            let stored = stored.remove(&key).unwrap_or_default();
            found.extend(differ(kept, table, key, (stored, counted)));
        }
        // What is stored and was not counted at all.
        found.extend(
            stored.into_iter().filter_map(|(key, stored)| differ(kept, table, key, (stored, Measures::default()))),
        );
    }
    Ok(found)
}

/// Writes what was counted in place of what is stored.
pub(super) fn mend(db: &dyn Sql, differences: &[SummaryDifference]) -> Result<()> {
    let columns = Measures::COLUMNS.join(", ");
    let places: Vec<_> = (5..5 + Measures::COLUMNS.len()).map(|place| format!("${place}")).collect();
    for difference in differences {
        let Key { environment, dimension, bucket, value } = difference.key;
        let table = difference.table.name();
        let key = [environment.0, dimension, bucket.0, value];
        let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND dimension = $2 AND bucket = $3 AND value = $4");
        db.run(&sql, &key.map(Cell::Int))?;
        if !difference.counted.is_zero() {
            let sql = format!(
                "INSERT INTO {table} (env_id, dimension, bucket, value, {columns}) VALUES ($1, $2, $3, $4, {})",
                places.join(", ")
            );
            let params: Vec<_> = key.into_iter().chain(difference.counted.values()).map(Cell::Int).collect();
            db.run(&sql, &params)?;
        }
    }
    Ok(())
}

/// What a day's summaries may count although it lies beneath them no more.
#[derive(Clone, Copy)]
struct Stays {
    /// Events that are deleted by age.
    events: bool,
    /// Sessions that are.
    sessions: bool,
    /// People who are erased, with all that they did.
    people: bool,
}

/// What differs, if anything does. Where something is deleted by age, what it came to is taken as it is stored; where people
/// are erased, what is stored may be more than what was counted.
fn differ(
    kept: Stays,
    table: SummaryTable,
    key: Key,
    (stored, mut counted): (Measures, Measures),
) -> Option<SummaryDifference> {
    if kept.people {
        counted = counted.at_least(stored);
    }
    if kept.events {
        (counted.events, counted.errors, counted.crashes) = (stored.events, stored.errors, stored.crashes);
    }
    if kept.sessions {
        (counted.sessions, counted.crashed_sessions) = (stored.sessions, stored.crashed_sessions);
    }
    (stored != counted).then_some(SummaryDifference { table, key, stored, counted })
}

/// The day's summaries from what lies beneath them.
fn count(db: &dyn Sql, asked: &Recount, kept: Stays) -> Result<Deltas> {
    let mut fold = Fold::default();
    let mut facts: HashMap<i64, FactIds> = HashMap::new();
    fact_sets(db, asked.environment, &Fact::ALL, &mut |set, values| {
        facts.insert(set, std::array::from_fn(|at| values[at]));
    })?;
    let values = |id: i64| facts.get(&id).copied().unwrap_or_default();
    let (environment, zone, range) = (asked.environment, &asked.zone, asked.range());
    if !kept.events {
        scan_rows(db, environment, range, &mut |event| {
            let facts = InternedFacts { id: event.facts, values: values(event.facts) };
            let error = (event.error != 0).then_some(InternedError { group: event.error, fatal: event.fatal });
            fold.event((environment, Bucket::of(event.at, zone)), event.name, &facts, error);
            ControlFlow::Continue(())
        })?;
    }
    if !kept.sessions {
        let sql = "SELECT started_at, ended_at, facts_id, crashed FROM sessions \
                   WHERE env_id = $1 AND started_at >= $2 AND started_at < $3";
        db.stream(sql, &within(asked), &mut |line| {
            let started_at = Millis(line.int(0));
            let bucket = Bucket::of(started_at, zone);
            let measures = Measures { crashed_sessions: line.int(3), ..Measures::SESSION };
            fold.by_facts(environment, bucket, &values(line.int(2)), measures);
            fold.length(environment, bucket, line.int(1) - line.int(0), 1);
            ControlFlow::Continue(())
        })?;
    }
    let sql = "SELECT first_at FROM users WHERE env_id = $1 AND first_at >= $2 AND first_at < $3";
    db.stream(sql, &within(asked), &mut |line| {
        fold.total(environment, Bucket::of(Millis(line.int(0)), zone), Measures::NEW_USER);
        ControlFlow::Continue(())
    })?;
    sightings(db, asked, &mut fold)?;
    Ok(fold.into_deltas())
}

/// First sightings in an hour and in a day, from the days of users that touch the UTC day.
fn sightings(db: &dyn Sql, asked: &Recount, fold: &mut Fold) -> Result<()> {
    let (environment, zone, range) = (asked.environment, &asked.zone, asked.range());
    let (first, last) = (zone.local(range.from).day, zone.local(range.to.plus(-1)).day);
    let sql = "SELECT day, hours FROM user_days WHERE env_id = $1 AND day >= $2 AND day <= $3";
    let params = [environment.0, first.into(), last.into()].map(Cell::Int);
    let mut add = |bucket: Bucket, measures| {
        if range.contains(bucket.start()) {
            fold.total(environment, bucket, measures);
        }
    };
    db.stream(sql, &params, &mut |line| {
        let day = i32::try_from(line.int(0)).unwrap_or_default();
        add(Bucket::of(zone.midnight(day), zone), Measures::DAY_USER);
        for hour in (0..25).filter(|hour| line.int(1) & (1 << hour) != 0) {
            add(Bucket::of_hour(LocalTime { day, hour }, zone), Measures::USER);
        }
        ControlFlow::Continue(())
    })
}

/// The day's rows of a table.
fn stored(db: &dyn Sql, asked: &Recount, table: SummaryTable) -> Result<BTreeMap<Key, Measures>> {
    let TimeRange { from, to } = asked.range();
    let sql = format!(
        "SELECT dimension, bucket, value, {} FROM {} WHERE env_id = $1 AND bucket >= $2 AND bucket < $3",
        Measures::COLUMNS.join(", "),
        table.name()
    );
    let params = [asked.environment.0, Bucket::at_or_after(from).0, Bucket::at_or_after(to).0].map(Cell::Int);
    let read = |row: &Row| {
        let key = Key {
            environment: asked.environment,
            dimension: row.int(0),
            bucket: Bucket(row.int(1)),
            value: row.int(2),
        };
        (key, measures(row, 3))
    };
    let known = |(key, measures): &(Key, Measures)| is_known(key.dimension) && !measures.is_zero();
    Ok(db.rows(&sql, &params)?.iter().map(read).filter(known).collect())
}

/// Summaries that a newer version keeps beside ours are its own.
fn is_known(dimension: i64) -> bool {
    dimension == LENGTHS || Dimension::SUMMARISED.iter().any(|(_, code)| *code == dimension)
}

fn within(asked: &Recount) -> [Cell; 3] {
    let TimeRange { from, to } = asked.range();
    [asked.environment.0, from.0, to.0].map(Cell::Int)
}
