//! Every figure of the box, gathered from the parts that keep them when they are asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::metrics::{Exposition, Kind, Number};
use crate::ingest::{Counters, Door, Intake};
use crate::model::{Budget, JobRun, JobStanding, Kept, LookupCounts, Millis, PruneStanding, Withheld};
use crate::store::{PoolStatus, StoreStatus};

use super::health;
use super::metrics;
use super::state::WebState;

/// All of them. The names that the telemetry-kit guide's dashboards ask for are kept (`http_requests_total`,
/// `http_request_duration_seconds`, `db_connections_active`, `events_ingested_total`, `events_failed_total`), those of
/// Teardown's hosted service (`ingest_...`) and those that every process has (`process_...`); all others begin with
/// `tallybox_`. A family is told even while it has no samples, so that names do not come and go.
pub async fn gather(state: &WebState) -> Exposition {
    let database = metrics::database(state).await;
    let reason = health::reason(state).await;
    let mut text = Exposition::default();
    expose_process(&mut text, state);
    let mut ready = text.family("tallybox_ready", Kind::Gauge, "Whether events are taken: 1, or 0 with the reason.");
    ready.sample(&[("reason", reason.map_or("", health::Reason::name))], reason.is_none());
    state.metrics.requests.expose(&mut text);
    expose_budgets(&mut text, &state.metrics.requests.answering().budgets(state.clock.now()));
    expose_events(&mut text, state.intake.counters());
    expose_commits(&mut text, state);
    expose_door(&mut text, &state.door, state.intake.counters());
    state.metrics.identify.expose(&mut text);
    expose_caches(&mut text, &caches(state, database.as_ref()));
    text.gauge("tallybox_live_streams", "Open pages that are told of news.", state.streams.count());
    expose_chores(&mut text, state);
    expose_jobs(&mut text, &state.metrics.jobs.lock().clone(), state.clock.now());
    expose_database(&mut text, database.as_ref());
    text
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn seconds(at: Millis) -> f64 {
    at.0 as f64 / 1_000.0
}

fn expose_process(text: &mut Exposition, state: &WebState) {
    let mut build = text.family("tallybox_build_info", Kind::Gauge, "Always 1; its labels say what is running.");
    let version = ("version", env!("CARGO_PKG_VERSION"));
    match &state.about.build_id {
        Some(build_id) => build.sample(&[version, ("build", build_id)], true),
        None => build.sample(&[version], true),
    }
    let started = seconds(state.about.node.started_at);
    text.gauge("process_start_time_seconds", "When this process was started, in seconds since 1970.", started);
    let help = "Memory that this process holds.";
    let mut memory = text.family("process_resident_memory_bytes", Kind::Gauge, help);
    memory.sample_if(&[], resident_bytes());
    let files = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    text.family("process_open_fds", Kind::Gauge, "Open files and sockets.").sample_if(&[], files);
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn expose_budgets(text: &mut Exposition, budgets: &[Budget]) {
    type Figure = fn(&Budget) -> f64;
    let families: [(&'static str, &str, Figure); 5] = [
        ("tallybox_objective_target_ratio", "Share of requests that is to meet the objective.", |budget| budget.target),
        ("tallybox_objective_requests", "Requests of 30 days, of all nodes.", |budget| budget.requests as f64),
        ("tallybox_objective_misses", "Those of them that missed the objective.", |budget| budget.bad as f64),
        (
            "tallybox_error_budget_left_ratio",
            "Which part of the misses that the objective allows in 30 days is left; below 0 it is missed.",
            |budget| budget.left,
        ),
        (
            "tallybox_error_budget_pace_ratio",
            "How fast the budget is spent in this hour and the one before: at 1 it lasts 30 days.",
            |budget| budget.pace,
        ),
    ];
    for (name, help, figure) in families {
        let mut family = text.family(name, Kind::Gauge, help);
        for budget in budgets {
            let labels = [("traffic", budget.traffic.as_str()), ("objective", budget.aim.as_str())];
            family.sample(&labels, figure(budget));
        }
    }
}

fn expose_events(text: &mut Exposition, counters: &Counters) {
    let (stored, duplicate, set_aside) = (&counters.stored, &counters.duplicate, &counters.set_aside);
    let failed = read(set_aside) + read(&counters.refused);
    text.counter("events_ingested_total", "Events newly on disk.", read(stored));
    text.counter("events_failed_total", "Events set aside or refused.", failed);

    let help = "Events by what became of them: received = stored + duplicate + set_aside + dropped + banned + \
                sampled + unlisted + paused + stopped + refused, and those on their way.";
    let mut events = text.family("tallybox_events_total", Kind::Counter, help);
    // Received last: what is counted meanwhile must not make the sum larger than it.
    let withheld = Withheld::ALL.map(|why| (why.as_str(), &counters.withheld[why as usize]));
    let decided = [
        ("stored", stored),
        ("duplicate", duplicate),
        ("set_aside", set_aside),
        ("dropped", &counters.dropped),
        ("banned", &counters.banned),
    ];
    let last = [("refused", &counters.refused), ("received", &counters.received)];
    for (outcome, counter) in decided.into_iter().chain(withheld).chain(last) {
        events.sample(&[("outcome", outcome)], read(counter));
    }
    let help = "Events of each app: received = stored + duplicate + rejected + refused, and those on their way; \
                rejected are those set aside, dropped, withheld by order of the owner, or of somebody banned.";
    let mut by_app = text.family("tallybox_app_events_total", Kind::Counter, help);
    for app in counters.by_app() {
        for (outcome, events) in app.outcomes() {
            by_app.sample(&[("app", app.slug.as_str()), ("outcome", outcome)], events);
        }
    }
    let help = "Events that were set aside and that members have discarded.";
    text.counter("tallybox_set_aside_discarded_total", help, read(&counters.discarded));
}

fn expose_commits(text: &mut Exposition, state: &WebState) {
    let counters = state.intake.counters();
    let mut commits = text.family("tallybox_commits_total", Kind::Counter, "Commits of events.");
    commits.sample(&[("result", "done")], read(&counters.commits));
    commits.sample(&[("result", "failed")], read(&counters.failed_commits));
    for (name, help, histogram) in [
        ("tallybox_commit_duration_seconds", "Time of a commit, synced to the disk.", &counters.commit_times),
        ("tallybox_commit_events", "Events of a commit.", &counters.commit_events),
        ("tallybox_commit_requests", "Requests of a commit.", &counters.commit_requests),
        (
            "tallybox_queue_duration_seconds",
            "Time that a request waits for its commit to begin.",
            &counters.queue_times,
        ),
    ] {
        text.family(name, Kind::Histogram, help).histogram(&[], histogram);
    }
    expose_queue(text, &state.intake, state.about.queue_requests);
}

fn expose_queue(text: &mut Exposition, intake: &Intake, most: usize) {
    let (bytes, room) = intake.waiting_bytes();
    text.gauge("tallybox_queued_requests", "Requests that wait for a commit.", read(&intake.counters().queued));
    text.gauge("tallybox_queue_limit_requests", "Most requests that may wait for a commit.", most);
    text.gauge("tallybox_queued_bytes", "Bytes of events that wait for a commit.", bytes);
    text.gauge("tallybox_queue_limit_bytes", "Most bytes of events that may wait for a commit.", room);
}

fn expose_door(text: &mut Exposition, door: &Door, counters: &Counters) {
    let help = "Requests with a good credential that were turned away, by reason.";
    let mut turned = text.family("tallybox_turned_away_total", Kind::Counter, help);
    for (why, requests) in door.turned() {
        turned.sample(&[("reason", why.as_str())], requests);
    }
    let help = "Requests of SDKs that were refused, by reason; those of tallybox_turned_away_total are among them.";
    let mut refused = text.family("tallybox_refusals_total", Kind::Counter, help);
    for refusal in counters.refusals.all() {
        refused.sample(&[("reason", &label(refusal.reason))], refusal.count);
    }
}

/// Words as the value of a label.
fn label(words: &str) -> String {
    words.chars().filter(|c| *c != '\'').map(|c| if c == ' ' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Everything that remembers, and how it does.
pub fn caches(state: &WebState, database: Option<&StoreStatus>) -> Vec<(&'static str, LookupCounts)> {
    let (keys, reports) = (state.keys.stats(), state.reports.stats());
    let mut all = vec![
        ("ingest_keys", LookupCounts { hits: keys.hits, misses: keys.misses }),
        ("reports", LookupCounts { hits: reports.hits, misses: reports.misses }),
        ("version_policies", state.policies.lookups()),
        ("collected", state.collects.lookups()),
    ];
    if let Some(roster) = &state.metrics.roster {
        let [devices, sessions] = roster.lookups();
        all.extend([("devices", devices), ("device_sessions", sessions)]);
    }
    all.extend(database.into_iter().flat_map(|database| database.caches.iter().copied()));
    all
}

fn expose_caches(text: &mut Exposition, caches: &[(&'static str, LookupCounts)]) {
    let help = "Look-ups in what is remembered: hits came from memory, misses from the database.";
    let mut lookups = text.family("tallybox_cache_lookups_total", Kind::Counter, help);
    for (cache, counts) in caches {
        lookups.sample(&[("cache", cache), ("result", "hit")], counts.hits);
        lookups.sample(&[("cache", cache), ("result", "miss")], counts.misses);
    }
}

/// What goes on in the background.
fn expose_chores(text: &mut Exposition, state: &WebState) {
    let backlog = *state.metrics.backlog.lock();
    let mut gauge = |name, help, value: Option<u64>| text.family(name, Kind::Gauge, help).sample_if(&[], value);
    let help = "Days whose events wait to be settled.";
    gauge("tallybox_unsettled_days", help, backlog.map(|backlog| backlog.days));
    let help = "Past periods whose users wait to be counted, and past days whose sessions do.";
    gauge("tallybox_unsettled_counts", help, backlog.map(|backlog| backlog.counts));
    let backup = state.metrics.backup.lock().clone();
    let newest = backup.newest.map_or(0, |at| u64::try_from(at.seconds()).unwrap_or(0));
    let help = "When the newest backup was made, in seconds since 1970; 0 while there is none.";
    gauge("tallybox_backup_newest_seconds", help, backup.scheduled.then_some(newest));
    let failed = u64::from(backup.failed.is_some());
    gauge("tallybox_backup_failed", "1 while the last backup has failed.", backup.scheduled.then_some(failed));
    expose_pruning(text, &state.metrics.pruning.lock().clone());
    let pushes = state.metrics.pushes.read();
    let help = "Times that these figures were sent to the collector of otlp_metrics_url, by how that went.";
    let mut family = text.family("tallybox_metrics_pushes_total", Kind::Counter, help);
    family.sample(&[("result", "done")], pushes.hits);
    family.sample(&[("result", "failed")], pushes.misses);
}

fn expose_pruning(text: &mut Exposition, standing: &PruneStanding) {
    let help = "1 while nothing is deleted by age because the clock is doubted.";
    text.gauge("tallybox_prune_held", help, standing.held.is_some());
    let mut rows = text.family("tallybox_pruned_rows_total", Kind::Counter, "Rows deleted by age, by what they were.");
    for (kind, removed) in Kept::ALL.iter().zip(standing.removed) {
        rows.sample(&[("what", kind.as_str())], removed);
    }
    let help = "Files laid down before their rows were deleted.";
    text.family("tallybox_archived_files_total", Kind::Counter, help).sample(&[], standing.archived);
}

/// Jobs that are done here, by name.
fn expose_jobs(text: &mut Exposition, jobs: &[JobStanding], now: Millis) {
    let known: Vec<_> = jobs.iter().filter_map(|standing| Some((standing, standing.run.as_ref()?))).collect();
    type Figure = fn(&JobStanding, &JobRun, Millis) -> Number;
    let figures: [(&'static str, &str, Figure); 6] = [
        (
            "tallybox_job_last_end_seconds",
            "When a job last came to its end, in seconds since 1970; 0 for never.",
            |_, run, _| run.ended_at.map_or(0, Millis::seconds).into(),
        ),
        ("tallybox_job_duration_seconds", "How long the last run of a job took.", |_, run, _| {
            Number::Real(run.took as f64 / 1_000.0)
        }),
        ("tallybox_job_failures", "How many runs of a job have failed in a row.", |_, run, _| run.failures.into()),
        ("tallybox_job_next_seconds", "When a job is due, in seconds since 1970.", |_, run, _| {
            run.next_at.seconds().into()
        }),
        ("tallybox_job_running", "1 while one of the fleet is at a job.", |_, run, _| run.held.is_some().into()),
        ("tallybox_job_overdue", "1 while a job is late.", |standing, _, now| standing.is_overdue(now).into()),
    ];
    for (name, help, figure) in figures {
        let mut family = text.family(name, Kind::Gauge, help);
        for (standing, run) in &known {
            family.sample(&[("job", standing.job.name)], figure(standing, run, now));
        }
    }
}

fn expose_database(text: &mut Exposition, database: Option<&StoreStatus>) {
    text.gauge("tallybox_database_up", "Whether the database has told its figures.", database.is_some());
    let active: Option<u32> = database.map(|status| status.pools.iter().map(|pool| pool.active).sum());
    text.family("db_connections_active", Kind::Gauge, "Connections to the database in use.").sample_if(&[], active);
    expose_pools(text, database.map_or(&[], |status| &status.pools));
    let help = "Statements and commits that took longer than slow_query_ms.";
    text.family("tallybox_slow_queries_total", Kind::Counter, help).sample_if(&[], database.map(|status| status.slow));
    type Figure = fn(&StoreStatus) -> Option<u64>;
    let gauges: [(&'static str, &str, Figure); 9] = [
        ("tallybox_replica_used", "Whether reports are read from the replica.", |status| status.replica.map(u64::from)),
        ("tallybox_events_outside_partitions", "Events outside of all monthly partitions, up to 100,000.", |status| {
            status.outside_partitions
        }),
        ("tallybox_database_writable", "Whether events are taken.", |status| {
            Some(u64::from(status.read_only.is_none()))
        }),
        ("tallybox_database_schema", "Number of the last migration.", |status| u64::try_from(status.schema).ok()),
        ("tallybox_database_bytes", "Size of the database file.", |status| Some(status.bytes)),
        ("tallybox_database_wal_bytes", "Size of the write-ahead log.", |status| Some(status.wal_bytes)),
        ("tallybox_disk_free_bytes", "Free space where the database lies.", |status| status.free_bytes),
        ("tallybox_disk_floor_bytes", "Free space below which no events are taken.", |status| status.floor_bytes),
        ("tallybox_disk_ballast_bytes", "Size of the file that is given up in need; 0 once it is.", |status| {
            status.free_bytes.map(|_| status.ballast_bytes.unwrap_or(0))
        }),
    ];
    for (name, help, figure) in gauges {
        text.family(name, Kind::Gauge, help).sample_if(&[], database.and_then(figure));
    }
}

fn expose_pools(text: &mut Exposition, pools: &[PoolStatus]) {
    let help = "Connections to the database, by what they are for; waiting counts callers that have none yet.";
    let mut family = text.family("tallybox_database_connections", Kind::Gauge, help);
    for pool in pools {
        for (state, count) in
            [("max", pool.max), ("open", pool.open), ("active", pool.active), ("waiting", pool.waiting)]
        {
            family.sample(&[("pool", pool.name), ("state", state)], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_labels() {
        assert_eq!(label("The client's clock is wrong"), "the_clients_clock_is_wrong");
    }
}
