//! Figures for Prometheus: who may read them, and the parts that they come from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

use crate::auth::token;
use crate::http::metrics::{Exposition, IdentifyMetrics, RequestMetrics};
use crate::http::refuse;
use crate::ingest::Roster;
use crate::model::{BackupStanding, JobStanding, Lookups, Millis, Origin, PruneStanding};
use crate::store::{Backlog, StoreStatus};

use super::error::{Page, PageError};
use super::figures;
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
    /// Identify and its events.
    pub identify: IdentifyMetrics,
    /// What waits to be settled, once that is known.
    pub backlog: Arc<parking_lot::Mutex<Option<Backlog>>>,
    /// How backups stand.
    pub backup: Arc<parking_lot::Mutex<BackupStanding>>,
    /// What is remembered of devices and their sessions.
    pub roster: Option<Roster>,
    /// How sending figures to a collector went: hits arrived.
    pub pushes: Arc<Lookups>,
    /// How the deletion by age stands.
    pub pruning: Arc<parking_lot::Mutex<PruneStanding>>,
    /// How jobs stand.
    pub jobs: Arc<parking_lot::Mutex<Vec<JobStanding>>>,
    /// What other machines have to show; without one it is closed to them.
    pub token: Option<SecretString>,
}

/// The same, ready to answer.
pub struct Metrics {
    pub(super) requests: RequestMetrics,
    pub(super) identify: IdentifyMetrics,
    pub(super) backlog: Arc<parking_lot::Mutex<Option<Backlog>>>,
    pub(super) roster: Option<Roster>,
    pub(super) pushes: Arc<Lookups>,
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
        let MetricsParts { requests, identify, backlog, backup, pruning, jobs, roster, pushes, token } = parts;
        let token_hash = token.map(|token| token::hash(token.expose_secret()));
        Self {
            requests,
            identify,
            backlog,
            roster,
            pushes,
            backup,
            pruning,
            jobs,
            token_hash,
            database: Mutex::default(),
        }
    }
}

/// `GET /metrics`, in Prometheus' text format: open to this machine, to others with the token as bearer. Where no token
/// is set others find nothing.
pub async fn get(State(state): State<WebState>, origin: Origin, headers: HeaderMap) -> Page {
    if !is_from_here(&origin, &headers) {
        let Some(expected) = &state.metrics.token_hash else { return Err(PageError::NotFound) };
        if !shows(&headers, expected) {
            return Ok(unauthorized());
        }
    }
    let text = figures::gather(&state).await.into_text();
    Ok(([(CONTENT_TYPE, Exposition::CONTENT_TYPE)], text).into_response())
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
    use std::sync::atomic::Ordering;

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
    use crate::ingest::{Counters, Intake, QueueSize};
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
        let requests = RequestMetrics::default();
        let token = token.map(SecretString::from);
        let (intake, _) = Intake::start(store.clone(), Arc::default(), clock.clone(), QueueSize::default()).unwrap();
        let counters = intake.counters().clone();
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
            guides: Vec::new(),
            metrics: MetricsParts {
                requests: requests.clone(),
                backlog: Arc::new(parking_lot::Mutex::new(Some(Backlog { days: 11, counts: 12 }))),
                token,
                ..MetricsParts::default()
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
            r#"tallybox_cache_lookups_total{cache="ingest_keys",result="hit"} 0"#,
            r#"tallybox_cache_lookups_total{cache="reports",result="miss"} 0"#,
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
