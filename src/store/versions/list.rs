//! The versions of an app as pages list them: what was set of them, together with what was counted under them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::Result;
use super::super::sql::{Cell, Sql};
use super::{MOST, judged, rules};
use crate::model::{
    AppId, Dimension, EnvironmentId, Fact, Judged, KnownBuild, KnownVersion, Millis, OTHER, Platform, VersionDetail,
    VersionNumber, VersionRule, Versions, VersionsPage,
};
use crate::rollup::Bucket;

/// What is counted under one version, all environments together.
#[derive(Default)]
struct Counted {
    sessions: i64,
    events: i64,
    /// First and last UTC day, in each environment where there is one.
    days: Vec<(EnvironmentId, Bucket, Bucket)>,
}

/// A page of the versions of an app.
pub(in crate::store) fn versions(db: &dyn Sql, page: &VersionsPage) -> Result<Versions> {
    let (mut all, counted) = known(db, page)?;
    let known = all.len();
    let wanted = page.search.as_deref().map(str::to_lowercase);
    all.retain(|one| wanted.as_ref().is_none_or(|wanted| one.name.to_lowercase().contains(wanted)));
    let found = all.len();
    all.sort_by(|a, b| order(a.number, &a.name).cmp(&order(b.number, &b.name)));
    if let Some(after) = &page.after {
        let last = order(VersionNumber::of(after), after);
        all.retain(|one| order(one.number, &one.name) > last);
    }
    let more = all.len() > page.limit as usize;
    all.truncate(page.limit as usize);
    sight(db, &mut all, &counted)?;
    Ok(Versions { rows: all, found, known, sessions: sessions(db, page)?, more })
}

/// One version, whatever the page's search and bounds; `None` where it is not known.
pub(in crate::store) fn version(db: &dyn Sql, page: &VersionsPage, name: &str) -> Result<Option<VersionDetail>> {
    let (mut all, counted) = known(db, page)?;
    all.retain(|one| one.name == name);
    sight(db, &mut all, &counted)?;
    let Some(version) = all.pop() else { return Ok(None) };
    let rows = db.rows(
        "SELECT b.number, b.platform, b.status, b.notes, b.status_at, b.created_at FROM versions v \
         JOIN builds b ON b.version_id = v.id WHERE v.app_id = $1 AND v.name = $2 \
         ORDER BY b.number DESC, b.platform LIMIT $3",
        &[page.app.0.into(), name.into(), MOST.into()],
    )?;
    let builds = rows.iter().filter_map(|row| {
        let platform = Platform::parse(&row.text(1))?;
        Some(KnownBuild { number: row.int(0), platform, judged: judged(row, 2), created_at: Millis(row.int(5)) })
    });
    Ok(Some(VersionDetail { version, sessions: sessions(db, page)?, builds: builds.collect() }))
}

/// The place of a version among all.
fn order(number: VersionNumber, name: &str) -> (Reverse<VersionNumber>, &str) {
    (Reverse(number), name)
}

/// All versions of an app, by whatever they are known, without the times at which they were seen.
fn known(db: &dyn Sql, page: &VersionsPage) -> Result<(Vec<KnownVersion>, HashMap<String, Counted>)> {
    let everywhere = rules(db, page.app)?.into_iter().find(|rule| rule.platform.is_none());
    let mut all = BTreeMap::new();
    for (name, judged, created_at, builds) in set(db, page.app)? {
        all.insert(name.clone(), row(name, judged, Some(created_at), builds));
    }
    let counted = counted(db, page)?;
    for (name, counted) in &counted {
        let found = all.entry(name.clone()).or_insert_with(|| {
            let by_rule = everywhere.as_ref().zip(VersionNumber::read(name)).map(judge);
            row(name.clone(), by_rule.unwrap_or(Judged::SUPPORTED), None, 0)
        });
        (found.sessions, found.events) = (counted.sessions, counted.events);
    }
    Ok((all.into_values().collect(), counted))
}

fn judge((rule, number): (&VersionRule, VersionNumber)) -> Judged {
    rule.judge(number)
}

fn row(name: String, judged: Judged, created_at: Option<Millis>, builds: i64) -> KnownVersion {
    let number = VersionNumber::of(&name);
    KnownVersion { name, number, judged, seen: None, created_at, sessions: 0, events: 0, builds }
}

/// What installations named or somebody set, newest first, with the number of builds.
fn set(db: &dyn Sql, app: AppId) -> Result<Vec<(String, Judged, Millis, i64)>> {
    let rows = db.rows(
        "SELECT v.name, v.status, v.notes, v.status_at, v.created_at, \
         (SELECT count(*) FROM builds b WHERE b.version_id = v.id) \
         FROM versions v WHERE v.app_id = $1 ORDER BY v.id DESC LIMIT $2",
        &[app.0.into(), MOST.into()],
    )?;
    let named = rows.iter().filter(|row| row.text(0) != OTHER);
    Ok(named.map(|row| (row.text(0), judged(row, 1), Millis(row.int(4)), row.int(5))).collect())
}

/// What is counted, by version. Interned versions have a cap of their own.
fn counted(db: &dyn Sql, page: &VersionsPage) -> Result<HashMap<String, Counted>> {
    let names = db.rows(
        "SELECT id, text FROM strings WHERE app_id = $1 AND kind = $2",
        &[page.app.0.into(), Fact::Version.name().into()],
    )?;
    let mut by_value: HashMap<i64, (String, Counted)> = names
        .iter()
        .filter(|row| row.text(1) != OTHER)
        .map(|row| (row.int(0), (row.text(1), Counted::default())))
        .collect();
    let since = since(page);
    for environment in &page.environments {
        let rows = db.rows(
            "SELECT value, min(bucket), max(bucket), \
             CAST(sum(CASE WHEN bucket >= $1 THEN sessions ELSE 0 END) AS BIGINT), \
             CAST(sum(CASE WHEN bucket >= $1 THEN events ELSE 0 END) AS BIGINT) \
             FROM rollup_days WHERE env_id = $2 AND dimension = $3 AND (events > 0 OR sessions > 0) GROUP BY value",
            &[since.clone(), environment.0.into(), code()],
        )?;
        for row in &rows {
            if let Some((_, counted)) = by_value.get_mut(&row.int(0)) {
                counted.days.push((*environment, Bucket(row.int(1)), Bucket(row.int(2))));
                counted.sessions += row.int(3);
                counted.events += row.int(4);
            }
        }
    }
    let all = by_value.into_values();
    Ok(all.filter(|(_, counted)| !counted.days.is_empty()).collect())
}

/// Finds the first and last bucket of the versions that are shown: the summaries of hours are read for those days alone.
fn sight(db: &dyn Sql, shown: &mut [KnownVersion], counted: &HashMap<String, Counted>) -> Result<()> {
    let days = |one: &KnownVersion| counted.get(&one.name).map_or(&[][..], |counted| &counted.days);
    let wanted: BTreeSet<(EnvironmentId, Bucket)> =
        shown.iter().flat_map(days).flat_map(|(env, first, last)| [(*env, *first), (*env, *last)]).collect();
    let mut seen: HashMap<String, (i64, i64)> = HashMap::new();
    for (environment, day) in wanted {
        let rows = db.rows(
            "SELECT s.text, min(r.bucket), max(r.bucket) FROM rollup_hours r JOIN strings s ON s.id = r.value \
             WHERE r.env_id = $1 AND r.dimension = $2 AND r.bucket >= $3 AND r.bucket < $4 \
             AND (r.events > 0 OR r.sessions > 0) GROUP BY s.text",
            &[environment.0.into(), code(), day.0.into(), (day.0 + Bucket::PER_DAY).into()],
        )?;
        for row in &rows {
            let (first, last) = (row.int(1), row.int(2));
            let times = seen.entry(row.text(0)).or_insert((first, last));
            *times = (times.0.min(first), times.1.max(last));
        }
    }
    for one in shown {
        one.seen = seen.get(&one.name).map(|(first, last)| (Bucket(*first).start(), Bucket(*last).start()));
    }
    Ok(())
}

/// Sessions of all versions together.
fn sessions(db: &dyn Sql, page: &VersionsPage) -> Result<i64> {
    let mut all = 0;
    for environment in &page.environments {
        let sql = "SELECT CAST(sum(sessions) AS BIGINT) FROM rollup_days \
                   WHERE env_id = $1 AND dimension = 0 AND bucket >= $2";
        all += db.value(sql, &[environment.0.into(), since(page)])?.int();
    }
    Ok(all)
}

fn since(page: &VersionsPage) -> Cell {
    Cell::Int(Bucket(page.since.0.div_euclid(Bucket::MS)).day().0)
}

/// The number of the summaries by version.
fn code() -> Cell {
    Dimension::Fact(Fact::Version).code().map_or(Cell::Null, Cell::Int)
}
