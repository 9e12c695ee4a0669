//! The status of the box: whether all is well, and every figure behind that.

mod jobs;

use askama::Template;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use crate::model::{App, BackupStanding, LookupCounts, Millis, Zone};
use crate::store::{PoolStatus, StoreStatus};

use super::super::condition::{self, Condition, Finding, Level};
use super::super::error::{Page, PageError, page};
use super::super::extract::{BoxAction, BoxVisit};
use super::super::format::{Calendar, When, grouped, length, share, size};
use super::super::frame::Frame;
use super::super::objectives::{self, ObjectiveRow};
use super::super::reason::words;
use super::super::state::WebState;

use jobs::JobRow;

#[derive(Template)]
#[template(path = "pages/status.html")]
struct Status {
    frame: Frame,
    json: String,
    level: &'static str,
    verdict: String,
    findings: Vec<Finding>,
    facts: Vec<(&'static str, String)>,
    pools: Vec<PoolStatus>,
    caches: Vec<(&'static str, String, String)>,
    jobs: Vec<JobRow>,
    events: Vec<(&'static str, String)>,
    refused: Vec<Refused>,
    aside: Vec<Aside>,
    objectives: Vec<ObjectiveRow>,
    slow: Vec<Slow>,
    slow_count: String,
    nodes: Vec<NodeRow>,
    /// Where the clock is confirmed, and the proof for it, where nothing is deleted because it is doubted.
    confirm: Option<(String, String)>,
    clock: String,
}

struct Refused {
    reason: &'static str,
    count: String,
    samples: Vec<(When, &'static str, String)>,
}

struct Aside {
    app: String,
    href: String,
    reason: &'static str,
    count: String,
    detail: String,
    newest: When,
}

struct Slow {
    at: When,
    took: String,
    what: String,
    trace: Option<String>,
}

struct NodeRow {
    name: String,
    own: bool,
    version: String,
    started: When,
    seen: String,
}

/// `GET /box`
pub async fn show(State(state): State<WebState>, BoxVisit(visit): BoxVisit) -> Page {
    let condition = condition::examine(&state).await?;
    let apps = state.ask(|store| store.apps()).await?;
    let findings = condition.findings();
    let calendar = Calendar::new(Zone::utc().into(), condition.now);
    let database = condition.database.clone().unwrap_or_default();
    page(&Status {
        frame: Frame::of_box(&state, &visit, ""),
        json: state.site.link("/box.json"),
        level: findings.first().map_or(Level::Well, |finding| finding.level).as_str(),
        verdict: verdict(&findings),
        findings,
        facts: facts(&state, &condition, &database, &calendar),
        pools: database.pools.clone(),
        caches: caches(&condition),
        jobs: jobs::rows(&condition, &calendar),
        events: events(&condition),
        refused: refused(&condition, &calendar),
        aside: aside(&state, &condition, &apps, &calendar),
        objectives: objectives::rows(state.metrics.requests.answering().objectives(), &condition.budgets),
        slow: slow(&database, &calendar),
        slow_count: count(database.slow),
        nodes: nodes(&condition, &calendar),
        confirm: condition.pruning.held.as_ref().map(|_| (state.site.link("/box/clock"), visit.csrf.clone())),
        clock: format!("{} UTC", calendar.date_time(condition.now).text),
    })
}

/// `POST /box/clock`: somebody says that the clock is right, so that deletion by age goes on.
pub async fn confirm_clock(State(state): State<WebState>, action: BoxAction) -> Page {
    let (now, by) = (state.clock.now(), action.visit.by(&state));
    state.ask(move |store| store.confirm_clock(now, &by)).await?;
    state.metrics.pruning.lock().held = None;
    Ok(Redirect::to(&state.site.link("/box")).into_response())
}

/// `GET /box.json`
pub async fn figures(State(state): State<WebState>, _: BoxVisit) -> Result<Response, PageError> {
    let condition = condition::examine(&state).await?;
    let apps = state.ask(|store| store.apps()).await?;
    let body = told(&state, &condition, &apps);
    Ok(([(CONTENT_TYPE, "application/json")], body.to_string()).into_response())
}

fn verdict(findings: &[Finding]) -> String {
    let level = findings.first().map_or(Level::Well, |finding| finding.level);
    match (level, findings.len()) {
        (Level::Well, _) => "All is well".to_owned(),
        (Level::Look, 1) => "All works; one thing deserves a look".to_owned(),
        (Level::Look, n) => format!("All works; {n} things deserve a look"),
        (Level::Wrong, _) => "Something is wrong".to_owned(),
    }
}

fn facts(
    state: &WebState,
    condition: &Condition,
    database: &StoreStatus,
    calendar: &Calendar,
) -> Vec<(&'static str, String)> {
    let about = &state.about;
    let up = length(condition.now.since(about.node.started_at));
    let mut facts = vec![
        ("Version", about.node.version.clone()),
        ("Running for", format!("{up}, since {} UTC", calendar.date_time(about.node.started_at).text)),
        ("Listens on", about.listening.clone()),
        ("Clock", format!("{} UTC; each app has a time zone of its own", calendar.moment(condition.now).text)),
        ("Database", if database.engine.is_empty() { "not reached yet".to_owned() } else { database.engine.clone() }),
        ("Schema", schema(database)),
        ("Size of the database", size(database.bytes)),
        (
            "Waiting to be written",
            format!("{} of at most {} requests", count(condition.queue), count(condition.queue_max)),
        ),
        (
            "Commits since the start",
            format!("{}, {} failed", count(condition.commits), count(condition.failed_commits)),
        ),
        ("Open live pages", count(condition.streams)),
        ("Last backup", backup(&condition.backup, database, calendar)),
    ];
    if database.engine.starts_with("SQLite") {
        facts.push(("Write-ahead log", size(database.wal_bytes)));
    }
    if let Some(free) = database.free_bytes {
        let floor = database.floor_bytes.map_or_else(String::new, |floor| format!(", no events below {}", size(floor)));
        let ballast = database
            .ballast_bytes
            .map_or_else(|| "; no reserve is laid".to_owned(), |ballast| format!("; {} in reserve", size(ballast)));
        facts.push(("Free on the disk", format!("{}{floor}{ballast}", size(free))));
    }
    facts
}

/// With what the program knows of it, where that is less.
fn schema(database: &StoreStatus) -> String {
    let (schema, known) = (database.schema, database.schema_known);
    if schema > known { format!("{schema}, of which this version knows {known}") } else { schema.to_string() }
}

fn backup(standing: &BackupStanding, database: &StoreStatus, calendar: &Calendar) -> String {
    match (standing.scheduled, standing.newest) {
        (true, Some(at)) => format!("{} UTC", calendar.date_time(at).text),
        (true, None) => "none yet".to_owned(),
        (false, _) if database.engine.starts_with("SQLite") => {
            "none by the box: set backup_dir, and it makes one a day".to_owned()
        }
        (false, _) => "none by the box: PostgreSQL has tools of its own".to_owned(),
    }
}

/// What, the share that memory answered, and the figures behind it.
fn caches(condition: &Condition) -> Vec<(&'static str, String, String)> {
    let row = |(name, counts): &(&'static str, LookupCounts)| {
        let (hits, all) = (signed(counts.hits), signed(counts.hits + counts.misses));
        let rate = if all == 0 { "not asked yet".to_owned() } else { share(hits, all) };
        (cache_label(name), rate, format!("{} of {} from memory", grouped(hits), grouped(all)))
    };
    condition.caches.iter().map(row).collect()
}

fn cache_label(name: &'static str) -> &'static str {
    match name {
        "ingest_keys" => "Ingest keys",
        "reports" => "Reports",
        "version_policies" => "Who must update",
        "collected" => "What apps collect",
        "devices" => "Devices of Teardown",
        "device_sessions" => "Their sessions",
        "texts" => "Texts of commits",
        "users" => "Users of commits",
        "sessions" => "Sessions of commits",
        other => other,
    }
}

fn events(condition: &Condition) -> Vec<(&'static str, String)> {
    let events = condition.events;
    [
        ("Received", events.received),
        ("Stored", events.stored),
        ("Came twice", events.duplicate),
        ("Set aside", events.set_aside),
        ("Not to be tracked", events.dropped),
        ("Refused", events.refused),
        ("Discarded by members", events.discarded),
    ]
    .map(|(what, events)| (what, count(events)))
    .into()
}

fn refused(condition: &Condition, calendar: &Calendar) -> Vec<Refused> {
    let row = |refused: &crate::ingest::RefusedFor| Refused {
        reason: refused.reason,
        count: count(refused.count),
        samples: refused
            .samples
            .iter()
            .map(|sample| (calendar.moment(sample.at), sample.protocol, sample.detail.clone()))
            .collect(),
    };
    condition.refused.iter().map(row).collect()
}

fn aside(state: &WebState, condition: &Condition, apps: &[App], calendar: &Calendar) -> Vec<Aside> {
    let row = |row: &crate::model::AsideCount| {
        let app = apps.iter().find(|app| app.id == row.app)?;
        Some(Aside {
            app: app.name.clone(),
            href: state.site.link(&format!("/apps/{}/set-aside?reason={}", app.slug, row.reason.as_str())),
            reason: words(row.reason),
            count: count(row.events),
            detail: row.detail.replace('`', ""),
            newest: calendar.date_time(row.newest),
        })
    };
    condition.aside.iter().filter_map(row).collect()
}

fn slow(database: &StoreStatus, calendar: &Calendar) -> Vec<Slow> {
    let row = |query: &crate::store::SlowQuery| Slow {
        at: calendar.moment(query.at),
        took: format!("{} ms", grouped(i64::try_from(query.took.as_millis()).unwrap_or(i64::MAX))),
        what: query.what.clone(),
        trace: query.trace.map(|trace| trace.to_string()),
    };
    database.slow_queries.iter().map(row).collect()
}

fn nodes(condition: &Condition, calendar: &Calendar) -> Vec<NodeRow> {
    let row = |(at, node): (usize, &crate::model::Node)| NodeRow {
        name: node.name.clone(),
        own: at == 0,
        version: node.version.clone(),
        started: calendar.date_time(node.started_at),
        seen: if at == 0 { "now".to_owned() } else { format!("{} ago", length(condition.now.since(node.seen_at))) },
    };
    condition.nodes.iter().enumerate().map(row).collect()
}

/// The same for programs: names stay, figures are whole numbers, times are RFC 3339.
fn told(state: &WebState, condition: &Condition, apps: &[App]) -> Value {
    let about = &state.about;
    let findings = condition.findings();
    let slug = |id| apps.iter().find(|app| app.id == id).map(|app| app.slug.to_string());
    json!({
        "verdict": findings.first().map_or(Level::Well, |finding| finding.level).as_str(),
        "findings": findings.iter().map(|finding| json!({
            "level": finding.level.as_str(), "what": finding.what, "advice": finding.advice,
        })).collect::<Vec<_>>(),
        "version": about.node.version,
        "started_at": time(about.node.started_at),
        "uptime_seconds": condition.now.since(about.node.started_at) / Millis::SECOND,
        "now": time(condition.now),
        "time_zone": "UTC",
        "listening": about.listening,
        "last_backup": condition.backup.newest.map(|at| at.timestamp().to_string()),
        "database": condition.database.as_ref().map(database_told),
        "queue": { "requests": condition.queue, "max": condition.queue_max },
        "commits": { "done": condition.commits, "failed": condition.failed_commits },
        "caches": condition.caches.iter().map(|(name, counts)| {
            ((*name).to_owned(), json!({ "hits": counts.hits, "misses": counts.misses }))
        }).collect::<serde_json::Map<_, _>>(),
        "objectives": condition.budgets.iter().map(|budget| json!({
            "traffic": budget.traffic.as_str(),
            "objective": budget.aim.as_str(),
            "target": budget.target,
            "requests": budget.requests,
            "misses": budget.bad,
            "budget_left": budget.left,
            "pace": budget.pace,
        })).collect::<Vec<_>>(),
        "events": {
            "received": condition.events.received,
            "stored": condition.events.stored,
            "duplicate": condition.events.duplicate,
            "set_aside": condition.events.set_aside,
            "dropped": condition.events.dropped,
            "refused": condition.events.refused,
            "discarded": condition.events.discarded,
        },
        "refused": condition.refused.iter().map(|refused| json!({
            "reason": refused.reason,
            "count": refused.count,
            "samples": refused.samples.iter().map(|sample| json!({
                "at": time(sample.at), "protocol": sample.protocol, "detail": sample.detail,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "set_aside": condition.aside.iter().map(|row| json!({
            "app": slug(row.app),
            "reason": row.reason.as_str(),
            "events": row.events,
            "newest_at": time(row.newest),
            "detail": row.detail,
        })).collect::<Vec<_>>(),
        "jobs": jobs::told(condition),
        "nodes": condition.nodes.iter().map(|node| json!({
            "name": node.name,
            "version": node.version,
            "started_at": time(node.started_at),
            "seen_at": time(node.seen_at),
        })).collect::<Vec<_>>(),
    })
}

fn database_told(database: &StoreStatus) -> Value {
    json!({
        "engine": database.engine,
        "schema": database.schema,
        "schema_known": database.schema_known,
        "bytes": database.bytes,
        "wal_bytes": database.wal_bytes,
        "free_bytes": database.free_bytes,
        "floor_bytes": database.floor_bytes,
        "ballast_bytes": database.ballast_bytes,
        "read_only": database.read_only,
        "replica_used": database.replica,
        "events_outside_partitions": database.outside_partitions,
        "slow_queries": database.slow,
        "slowest": database.slow_queries.iter().map(|query| json!({
            "at": time(query.at),
            "ms": u64::try_from(query.took.as_millis()).unwrap_or(u64::MAX),
            "what": query.what,
            "trace_id": query.trace.map(|trace| trace.to_string()),
        })).collect::<Vec<_>>(),
        "pools": database.pools.iter().map(|pool| json!({
            "name": pool.name, "max": pool.max, "open": pool.open, "active": pool.active, "waiting": pool.waiting,
        })).collect::<Vec<_>>(),
    })
}

/// As programs read it.
fn time(at: Millis) -> String {
    at.timestamp().to_string()
}

fn count(count: u64) -> String {
    grouped(signed(count))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
