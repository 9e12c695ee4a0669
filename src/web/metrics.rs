//! Figures for Prometheus. Each engine keeps its own; they are gathered here when they are asked for.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

use crate::auth::ingest_key::KeyStats;
use crate::auth::token;
use crate::http::metrics::{Exposition, IdentifyMetrics, Kind, RequestMetrics};
use crate::http::refuse;
use crate::ingest::{Counters, Door};
use crate::model::{BackupStanding, JobRun, JobStanding, Kept, Millis, Origin, PruneStanding};
use crate::query::Stats;
use crate::store::{Backlog, PoolStatus, StoreStatus};

use super::error::{Page, PageError};
use super::state::WebState;

/// How long the database's figures are believed, in milliseconds.
const BELIEVED: i64 = 1_000;
/// How long the database may take to tell them.
const PATIENCE: Duration = Duration::from_secs(3);

/// Headers that tell of a proxy on the way.
const FORWARDING: [&str; 6] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// What `/metrics` needs of the parts that the composition root hands over.
#[derive(Default)]
pub struct MetricsParts {
    /// Requests answered.
    pub requests: RequestMetrics,
    /// Events by what became of them.
    pub counters: Arc<Counters>,
    /// Identify and its events.
    pub identify: IdentifyMetrics,
    /// What waits to be settled, once that is known.
    pub backlog: Arc<parking_lot::Mutex<Option<Backlog>>>,
    /// How backups stand.
    pub backup: Arc<parking_lot::Mutex<BackupStanding>>,
    /// How the deletion by age stands.
    pub pruning: Arc<parking_lot::Mutex<PruneStanding>>,
    /// How jobs stand.
    pub jobs: Arc<parking_lot::Mutex<Vec<JobStanding>>>,
    /// What other machines have to show; without one it is closed to them.
    pub token: Option<SecretString>,
}

/// The same, ready to answer.
pub struct Metrics {
    requests: RequestMetrics,
    counters: Arc<Counters>,
    identify: IdentifyMetrics,
    backlog: Arc<parking_lot::Mutex<Option<Backlog>>>,
    pub(super) backup: Arc<parking_lot::Mutex<BackupStanding>>,
    pub(super) pruning: Arc<parking_lot::Mutex<PruneStanding>>,
    pub(super) jobs: Arc<parking_lot::Mutex<Vec<JobStanding>>>,
    token_hash: Option<[u8; 32]>,
    /// The database's last figures, `None` where it gave none. However many ask, it is asked once.
    database: Mutex<Option<(Millis, Option<StoreStatus>)>>,
}

impl Metrics {
    /// Ready to answer. Of the token only a hash is kept.
    pub fn new(parts: MetricsParts) -> Self {
        let MetricsParts { requests, counters, identify, backlog, backup, pruning, jobs, token } = parts;
        let token_hash = token.map(|token| token::hash(token.expose_secret()));
        Self { requests, counters, identify, backlog, backup, pruning, jobs, token_hash, database: Mutex::default() }
    }
}

/// `GET /metrics`, in Prometheus' text format: open to this machine, to others with the token as bearer. Where no token
/// is set others find nothing. The names that the telemetry-kit guide's dashboards ask for are kept
/// (`http_requests_total`, `http_request_duration_seconds`, `db_connections_active`, `events_ingested_total`,
/// `events_failed_total`), and those of Teardown's hosted service (`ingest_...`); all others begin with `tallybox_`.
pub async fn get(State(state): State<WebState>, origin: Origin, headers: HeaderMap) -> Page {
    if !is_from_here(&origin, &headers) {
        let Some(expected) = &state.metrics.token_hash else { return Err(PageError::NotFound) };
        if !shows(&headers, expected) {
            return Ok(unauthorized());
        }
    }
    let database = database(&state).await;
    let mut text = Exposition::default();
    text.family("tallybox_build_info", Kind::Gauge, "Always 1; its label is the version.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    state.metrics.requests.expose(&mut text);
    expose_events(&mut text, &state.metrics.counters);
    expose_door(&mut text, &state.door);
    state.metrics.identify.expose(&mut text);
    expose_caches(&mut text, state.keys.stats(), state.reports.stats());
    text.gauge("tallybox_live_streams", "Open pages that are told of news.", state.streams.count());
    if let Some(backlog) = *state.metrics.backlog.lock() {
        text.gauge("tallybox_unsettled_days", "Past days whose events wait to be settled.", backlog.days);
        text.gauge("tallybox_unsettled_counts", "Past periods whose users wait to be counted.", backlog.counts);
    }
    let backup = state.metrics.backup.lock().clone();
    if backup.scheduled {
        let newest = backup.newest.map_or(0, |at| u64::try_from(at.seconds()).unwrap_or(0));
        text.gauge("tallybox_backup_newest_seconds", "When the newest backup was made, in seconds since 1970.", newest);
        let failed = u64::from(backup.failed.is_some());
        text.gauge("tallybox_backup_failed", "1 while the last backup has failed.", failed);
    }
    expose_pruning(&mut text, &state.metrics.pruning.lock().clone());
    expose_jobs(&mut text, &state.metrics.jobs.lock().clone(), state.clock.now());
    expose_database(&mut text, database.as_ref());
    Ok(([(CONTENT_TYPE, Exposition::CONTENT_TYPE)], text.into_text()).into_response())
}

fn expose_pruning(text: &mut Exposition, standing: &PruneStanding) {
    let help = "1 while nothing is deleted by age because the clock is doubted.";
    text.gauge("tallybox_prune_held", help, u64::from(standing.held.is_some()));
    let mut rows = text.family("tallybox_pruned_rows_total", Kind::Counter, "Rows deleted by age, by what they were.");
    for (kind, removed) in Kept::ALL.iter().zip(standing.removed) {
        rows.sample(&[("what", kind.as_str())], removed);
    }
    text.counter("tallybox_archived_files_total", "Files laid down before their rows were deleted.", standing.archived);
}

fn expose_events(text: &mut Exposition, counters: &Counters) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (stored, duplicate, set_aside) = (&counters.stored, &counters.duplicate, &counters.set_aside);
    let failed = read(set_aside) + read(&counters.refused);
    text.counter("events_ingested_total", "Events newly on disk.", read(stored));
    text.counter("events_failed_total", "Events set aside or refused.", failed);

    let help = "Events by what became of them: received = stored + duplicate + set_aside + dropped + banned + \
                refused, and those on their way.";
    let mut events = text.family("tallybox_events_total", Kind::Counter, help);
    // Received last: what is counted meanwhile must not make the sum larger than it.
    for (outcome, counter) in [
        ("stored", stored),
        ("duplicate", duplicate),
        ("set_aside", set_aside),
        ("dropped", &counters.dropped),
        ("banned", &counters.banned),
        ("refused", &counters.refused),
        ("received", &counters.received),
    ] {
        events.sample(&[("outcome", outcome)], read(counter));
    }
    let help = "Events that were set aside and that members have discarded.";
    text.counter("tallybox_set_aside_discarded_total", help, read(&counters.discarded));
    let mut commits = text.family("tallybox_commits_total", Kind::Counter, "Commits of events.");
    commits.sample(&[("result", "done")], read(&counters.commits));
    commits.sample(&[("result", "failed")], read(&counters.failed_commits));
    text.gauge("tallybox_queued_requests", "Requests that wait for a commit.", read(&counters.queued));
}

fn expose_door(text: &mut Exposition, door: &Door) {
    let help = "Requests with a good credential that were turned away, by reason.";
    let mut turned = text.family("tallybox_turned_away_total", Kind::Counter, help);
    for (why, requests) in door.turned() {
        turned.sample(&[("reason", why.as_str())], requests);
    }
}

fn expose_caches(text: &mut Exposition, keys: KeyStats, reports: Stats) {
    let mut lookups =
        text.family("tallybox_key_lookups_total", Kind::Counter, "Look-ups of ingest keys, one a request.");
    lookups.sample(&[("result", "hit")], keys.hits);
    lookups.sample(&[("result", "miss")], keys.misses);
    let mut reads = text.family("tallybox_report_reads_total", Kind::Counter, "Questions for reports, by the cache.");
    reads.sample(&[("result", "hit")], reports.hits);
    reads.sample(&[("result", "miss")], reports.misses);
}

/// Jobs that are done here, by name.
fn expose_jobs(text: &mut Exposition, jobs: &[JobStanding], now: Millis) {
    let known: Vec<_> = jobs.iter().filter_map(|standing| Some((standing, standing.run.as_ref()?))).collect();
    type Figure = fn(&JobStanding, &JobRun, Millis) -> i64;
    let figures: [(&str, &str, Figure); 6] = [
        (
            "tallybox_job_last_end_seconds",
            "When a job last came to its end, in seconds since 1970; 0 for never.",
            |_, run, _| run.ended_at.map_or(0, Millis::seconds),
        ),
        ("tallybox_job_duration_milliseconds", "How long the last run of a job took.", |_, run, _| run.took),
        ("tallybox_job_failures", "How many runs of a job have failed in a row.", |_, run, _| run.failures),
        ("tallybox_job_next_seconds", "When a job is due, in seconds since 1970.", |_, run, _| run.next_at.seconds()),
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
    text.gauge("tallybox_database_up", "Whether the database answered.", u8::from(database.is_some()));
    let Some(status) = database else { return };
    let active: u32 = status.pools.iter().map(|pool| pool.active).sum();
    text.gauge("db_connections_active", "Connections to the database in use.", active);
    expose_pools(text, &status.pools);
    text.counter("tallybox_slow_queries_total", "Statements and commits that took long.", status.slow);
    if let Some(replica) = status.replica {
        text.gauge("tallybox_replica_used", "Whether reports are read from the replica.", u8::from(replica));
    }
    if let Some(events) = status.outside_partitions {
        let help = "Events outside of all monthly partitions, up to 100,000.";
        text.gauge("tallybox_events_outside_partitions", help, events);
    }
    text.gauge("tallybox_database_writable", "Whether events are taken.", u8::from(status.read_only.is_none()));
    text.gauge("tallybox_database_bytes", "Size of the database file.", status.bytes);
    text.gauge("tallybox_database_wal_bytes", "Size of the write-ahead log.", status.wal_bytes);
    if let Some(free) = status.free_bytes {
        text.gauge("tallybox_disk_free_bytes", "Free space where the database lies.", free);
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

/// The database's figures, where it gives any; however many ask, it is asked once a second.
pub async fn database(state: &WebState) -> Option<StoreStatus> {
    let mut last = state.metrics.database.lock().await;
    if let Some((at, status)) = &*last
        && (0..BELIEVED).contains(&state.clock.now().since(*at))
    {
        return status.clone();
    }
    let status = match tokio::time::timeout(PATIENCE, state.ask(|store| store.status())).await {
        Ok(Ok(status)) => Some(status),
        Ok(Err(error)) => {
            tracing::warn!(%error, "no figures from the database");
            None
        }
        Err(_) => {
            tracing::warn!("no figures from the database in time");
            None
        }
    };
    *last = Some((state.clock.now(), status.clone()));
    status
}

/// Whether a program on this machine asks, straight and for this machine. Behind a proxy on this machine every peer is
/// local, and so is a browser here that a foreign name was made to point at us: neither counts. A proxy that adds no
/// header and asks for this machine by its own name cannot be told apart; it has to keep the path to itself.
fn is_from_here(origin: &Origin, headers: &HeaderMap) -> bool {
    origin.address.is_loopback()
        && !FORWARDING.iter().any(|name| headers.contains_key(*name))
        && headers.get(HOST).and_then(|host| host.to_str().ok()).is_some_and(is_local_name)
}

fn is_local_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn shows(headers: &HeaderMap, expected: &[u8; 32]) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, token)) = given.and_then(|given| given.split_once(' ')) else { return false };
    // Hashes are of one length and cannot be steered, so the time says nothing about the token.
    scheme.eq_ignore_ascii_case("bearer") && bool::from(token::hash(token.trim()).ct_eq(expected))
}

fn unauthorized() -> Response {
    let mut response = refuse(StatusCode::UNAUTHORIZED, "unauthorized", "This needs the metrics token.");
    response.headers_mut().insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::auth::ingest_key::IngestKeys;
    use crate::auth::login::{LoginTimes, Logins};
    use crate::auth::seal::MasterKey;
    use crate::clock::Clock;
    use crate::http::origin::Peer;
    use crate::http::{ServerOptions, layers};
    use crate::ingest::{Intake, QueueSize};
    use crate::query::{Policies, Reports, VersionHooks};
    use crate::store::Store;
    use crate::store::sqlite::{Options, SqliteStore};
    use crate::web::{BoxParts, Keeping, Site, WebParts, mount};

    const TOKEN: &str = "a-token-of-some-length";

    struct Bench {
        router: Router,
        clock: Clock,
        counters: Arc<Counters>,
        dir: tempfile::TempDir,
    }

    /// A box that nobody has set up.
    fn bench(token: Option<&str>) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap());
        let clock = Clock::manual(Millis(1_000_000));
        let (requests, counters) = (RequestMetrics::default(), Arc::<Counters>::default());
        let token = token.map(SecretString::from);
        let (intake, _) = Intake::start(store.clone(), Arc::default(), clock.clone(), QueueSize::default()).unwrap();
        let state = WebState::new(WebParts {
            intake,
            about: BoxParts::default(),
            reports: Reports::new(store.clone(), clock.clone()),
            policies: Policies::new(store.clone(), clock.clone(), VersionHooks::default()),
            logins: Logins::new(store.clone(), MasterKey::generate(), clock.clone(), LoginTimes::default()),
            oidc: None,
            keys: IngestKeys::new(store.clone(), MasterKey::from_text(&"ab".repeat(32)).unwrap(), clock.clone()),
            store,
            clock: clock.clone(),
            site: Site::default(),
            keeping: Keeping { respects_dnt: true },
            draining: Arc::new(|| false),
            metrics: MetricsParts {
                requests: requests.clone(),
                counters: counters.clone(),
                identify: IdentifyMetrics::default(),
                backlog: Arc::new(parking_lot::Mutex::new(Some(Backlog { days: 11, counts: 12 }))),
                backup: Arc::default(),
                pruning: Arc::default(),
                jobs: Arc::default(),
                token,
            },
        });
        let trusted_proxies = vec!["127.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        let options = ServerOptions { trusted_proxies, ..ServerOptions::default() };
        let router = layers(mount(state).into_router(), clock.clone(), &options, requests);
        Bench { router, clock, counters, dir }
    }

    async fn scrape(bench: &Bench, peer: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::builder().uri("/metrics");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        let response = bench.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Peer, headers, status without a token set, status with one.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, u16);

    #[tokio::test]
    async fn only_this_machine_and_holders_of_the_token_read_figures() {
        let (closed, open) = (bench(None), bench(Some(TOKEN)));
        let local = ("host", "127.0.0.1:3000");
        let bearer = format!("Bearer {TOKEN}");
        let lower = format!("bearer  {TOKEN}");
        let rows: [Row<'_>; 21] = [
            ("127.0.0.1", &[local], 200, 200),
            ("127.0.0.1", &[("host", "localhost")], 200, 200),
            ("127.0.0.1", &[local, ("authorization", "Bearer wrong")], 200, 200),
            ("::1", &[("host", "[::1]:3000")], 200, 200),
            ("::ffff:127.0.0.1", &[local], 200, 200),
            // A proxy on this machine, trusted or not, for a client elsewhere or here.
            ("127.0.0.1", &[local, ("x-forwarded-for", "203.0.113.9")], 404, 401),
            ("127.0.0.1", &[local, ("x-forwarded-for", "127.0.0.1")], 404, 401),
            ("127.0.0.1", &[local, ("forwarded", "for=203.0.113.9")], 404, 401),
            ("127.0.0.1", &[local, ("x-real-ip", "203.0.113.9")], 404, 401),
            ("127.0.0.1", &[local, ("via", "1.1 cache")], 404, 401),
            ("127.0.0.2", &[local, ("x-forwarded-for", "203.0.113.9")], 404, 401),
            ("127.0.0.2", &[local, ("x-forwarded-for", "127.0.0.1")], 404, 401),
            // A foreign name: passed on by a proxy, or made to point here.
            ("127.0.0.1", &[("host", "stats.example.org")], 404, 401),
            ("127.0.0.1", &[], 404, 401),
            // Elsewhere.
            ("192.0.2.1", &[local], 404, 401),
            ("10.0.0.1", &[local, ("x-forwarded-for", "127.0.0.1")], 404, 401),
            ("192.0.2.1", &[local, ("authorization", &bearer)], 404, 200),
            ("192.0.2.1", &[local, ("authorization", &lower)], 404, 200),
            ("192.0.2.1", &[local, ("authorization", TOKEN)], 404, 401),
            ("192.0.2.1", &[local, ("authorization", "Bearer a-token-of-some-lengt")], 404, 401),
            ("127.0.0.1", &[local, ("x-forwarded-for", "203.0.113.9"), ("authorization", &bearer)], 404, 200),
        ];
        for (peer, headers, without, with) in rows {
            for (bench, status) in [(&closed, without), (&open, with)] {
                let (found, text) = scrape(bench, peer, headers).await;
                assert_eq!(found, status, "{peer} {headers:?}");
                assert_eq!(text.contains("tallybox_events_total"), status == 200, "{peer} {headers:?}");
            }
        }
    }

    #[tokio::test]
    async fn every_engine_tells_its_figures() {
        let bench = bench(None);
        for (counter, value) in [
            (&bench.counters.received, 21),
            (&bench.counters.stored, 6),
            (&bench.counters.duplicate, 5),
            (&bench.counters.set_aside, 4),
            (&bench.counters.dropped, 3),
            (&bench.counters.refused, 3),
            (&bench.counters.commits, 8),
            (&bench.counters.failed_commits, 9),
            (&bench.counters.queued, 10),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
        let local = [("host", "localhost")];
        scrape(&bench, "127.0.0.1", &local).await;
        let (_, text) = scrape(&bench, "127.0.0.1", &local).await;
        for line in [
            r#"http_requests_total{method="GET",route="/metrics",status="200"} 1"#,
            r#"http_request_duration_seconds_bucket{method="GET",route="/metrics",le="+Inf"} 1"#,
            "events_ingested_total 6",
            "events_failed_total 7",
            r#"tallybox_events_total{outcome="received"} 21"#,
            r#"tallybox_events_total{outcome="duplicate"} 5"#,
            r#"tallybox_events_total{outcome="dropped"} 3"#,
            r#"tallybox_commits_total{result="done"} 8"#,
            r#"tallybox_commits_total{result="failed"} 9"#,
            "tallybox_queued_requests 10",
            "tallybox_unsettled_days 11",
            "tallybox_unsettled_counts 12",
            r#"tallybox_key_lookups_total{result="hit"} 0"#,
            r#"tallybox_report_reads_total{result="miss"} 0"#,
            "tallybox_database_up 1",
            "tallybox_database_writable 1",
            "db_connections_active 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len(), "{names:?}");
    }

    #[tokio::test]
    async fn database_is_asked_once_a_second() {
        let bench = bench(None);
        let bytes = async || {
            let (_, text) = scrape(&bench, "127.0.0.1", &[("host", "localhost")]).await;
            let line = text.lines().find_map(|line| line.strip_prefix("tallybox_database_bytes ")).unwrap();
            line.parse::<u64>().unwrap()
        };
        let before = bytes().await;
        let file = std::fs::OpenOptions::new().append(true).open(bench.dir.path().join("box.db")).unwrap();
        file.set_len(before + 4_096).unwrap();
        assert_eq!(bytes().await, before);
        bench.clock.set(Millis(1_001_000));
        assert_eq!(bytes().await, before + 4_096);
    }
}
