//! The verb `serve`: the composition root, the only place that knows every part.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::supervisor::Supervisor;
use super::{datadir, open, watch};
use crate::auth::ingest_key::IngestKeys;
use crate::auth::login::{LoginTimes, Logins};
use crate::auth::oidc::{Oidc, OidcOptions};
use crate::auth::session_token::SessionTokens;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::http::body::BodyLimits;
use crate::http::limit::{AddressLimiter, Allowance};
use crate::http::metrics::{Answering, IdentifyMetrics, RequestMetrics};
use crate::http::{self, IpNet, Route, ServerOptions, Socket};
use crate::ingest::{Intake, Places, QueueSize, Roster, Writer};
use crate::jobs::{self, Jobs, Progress};
use crate::logging;
use crate::model::{Guide, Limits, Lookups, Millis, Node, SessionTimes, VersionChange, age_of};
use crate::protocol::teardown::{Origins, Teardown, Tenancy};
use crate::protocol::telemetry_kit::ErrorShape;
use crate::protocol::version_check::{self, Judge, Unjudged};
use crate::protocol::{self, Choice, Cors, Gate, Outside};
use crate::query::{Policies, Reports, VersionHooks};
use crate::store::sqlite::{Options, Synchronous};
use crate::store::{Store, StoreError};
use crate::web::{self, BoxParts, Keeping, MetricsParts, Site, WebParts, WebState};

/// The file in the data directory that tells where the server listens, for port 0 and for scripts.
const ADDRESS_FILE: &str = "tallybox.addr";

/// How long the listener stays open after the signal to stop: load balancers see that the box is not ready, and
/// clients get an answer that they try again on, instead of a refused connection. A socket that is only lent to this
/// process stays open anyhow.
const FAREWELL: Duration = Duration::from_millis(500);

/// How often a node tells the others that it is there.
const BEAT: Duration = Duration::from_secs(10);

/// Until the next try, where the database is not there yet: once it is, whoever waits for readiness finds all done.
const AGAIN: Duration = Duration::from_millis(200);

/// Threads for work that blocks: reading the database, hashing passwords, unpacking bodies.
const BLOCKING_THREADS: usize = 16;

/// How long a database is looked for damage before anything is written to it: all of one of some hundred megabytes. The
/// job `check` looks at larger ones.
const GLANCE: Duration = Duration::from_millis(300);

/// Failed proofs of an ingest key that an address may make.
const FAILURES: Allowance = Allowance { burst: 100, per: 10 * Millis::MINUTE };

/// Runs the server until it is told to stop: by SIGTERM or SIGINT, gracefully; by a second one, at once.
pub fn run(config: Config) -> anyhow::Result<()> {
    let (supervisor, lent) = Supervisor::meet()?;
    let warnings = datadir::prepare(&config)?;
    let _lock = datadir::lock(&config)?;
    let _logging = logging::start(&config).context("logging cannot start")?;
    for warning in warnings.into_iter().chain(config.warnings()) {
        tracing::warn!("{warning}");
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("the runtime cannot start")?
        .block_on(serve(&config, &supervisor, lent))
}

/// With more requests than these in the queue, nothing is deleted by age.
const QUIET: u64 = 64;

/// What the status page tells of this process.
fn about(config: &Config, node: Node, address: SocketAddr) -> BoxParts {
    BoxParts {
        words: protocol::words(),
        node,
        listening: address.to_string(),
        settings: config.shown().to_vec(),
        warnings: config.warnings(),
        queue_requests: config.queue_requests,
        build_id: config.teardown_build_id.clone(),
        service_id: config.teardown_service_id.clone(),
    }
}

/// Tells the other nodes of a shared database that this one is there, until it is aborted.
fn beat(store: Arc<dyn Store>, clock: Clock, node: Node) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let node = Node { seen_at: clock.now(), ..node.clone() };
            let store = store.clone();
            let mut pause = BEAT;
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.beat(&node)).await {
                tracing::debug!(%error, "the other nodes could not be told that this one is there");
                pause = AGAIN;
            }
            tokio::time::sleep(pause).await;
        }
    })
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Everything that the server answers.
///
/// # Errors
/// Where the setting `protocols` names what is not there, or a prefix that is taken.
pub fn routes(config: &Config) -> anyhow::Result<Vec<Route>> {
    let others: Vec<Route> = version_check::routes().list().iter().chain(web::routes().list()).cloned().collect();
    let protocols = choice(config).list(&limits(config), &others).map_err(anyhow::Error::msg);
    Ok([protocols.context("protocols")?, others].concat())
}

fn choice(config: &Config) -> Choice {
    Choice { entries: config.protocols.clone() }
}

/// Bounds of requests.
fn limits(config: &Config) -> Limits {
    Limits {
        wire_bytes: config.max_body_bytes,
        body_bytes: config.max_body_bytes,
        event_bytes: config.max_event_bytes,
        age: age_of(open::keeps(config).events).unwrap_or(i64::MAX),
        ..Limits::default()
    }
}

async fn serve(config: &Config, supervisor: &Supervisor, lent: Option<std::net::TcpListener>) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let parts = Parts::open(config, Clock::system())?;
    let socket = if lent.is_some() { Socket::Lent } else { Socket::Own };
    let (listener, address) = listen(config, lent).await?;
    let url = greet(config, &parts, address).await?;
    let about = about(config, parts.node.clone(), address);
    let beating = beat(parts.store.clone(), parts.clock.clone(), about.node.clone());

    let answering = Answering::new(watch::objectives(config), watch::traffic(&routes(config)?));
    let requests = RequestMetrics::default().with_answering(answering.clone());
    let options = ServerOptions { socket, connections: requests.connections().clone(), ..server_options(config)? };
    let (node, store) = (about.node.clone(), parts.store.clone());
    let guides = choice(config).guides().map_err(anyhow::Error::msg)?;
    let state = parts.state(config, requests.clone(), about, guides);
    let pushing = watch::push(config, state.clone(), parts.pushes.clone());
    let router = parts.router(config, state)?;
    let router = http::layers(router, parts.clock.clone(), &options, requests);
    let counting = Arc::new(watch::Counting::new(answering, store.clone(), parts.clock.clone()));
    let keeping = counting.clone().start();
    let (intake, stopping) = (parts.intake.clone(), parts.stopping.clone());
    let stop = async {
        signals.next().await;
        tracing::info!("stopping: requests in flight finish, then everything queued is committed");
        supervisor.stopping();
        stopping.store(true, Ordering::Relaxed);
        tokio::spawn(async move {
            signals.next().await;
            tracing::warn!("told to stop twice: ending now");
            std::process::exit(1);
        });
        // Who waits at a lent socket is served by the next process, so nobody needs to be sent away.
        if socket == Socket::Own {
            intake.drain();
            tokio::time::sleep(FAREWELL).await;
        }
    };
    supervisor.ready(&url);
    tokio::select! {
        served = http::serve(listener, router, options, stop) => served.context("the server failed")?,
        () = supervisor.feed(parts.writer.pulse()) => {}
    }

    drop(intake);
    [keeping, beating].into_iter().chain(pushing).for_each(|task| task.abort());
    let Parts { intake, writer, jobs, .. } = parts;
    drop(intake);
    tokio::task::spawn_blocking(move || {
        writer.join();
        drop(jobs);
        if let Err(error) = counting.keep() {
            tracing::warn!(%error, "how the last requests were answered is not written down");
        }
    })
    .await
    .context("the writer did not end")?;
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.leave(&node)).await {
        tracing::debug!(%error, "the other nodes find out by themselves that this one has stopped");
    }
    tracing::info!("stopped");
    Ok(())
}

/// What the server is made of.
struct Parts {
    clock: Clock,
    node: Node,
    store: Arc<dyn Store>,
    keys: IngestKeys,
    logins: Logins,
    oidc: Option<Oidc>,
    tokens: SessionTokens,
    identify: IdentifyMetrics,
    roster: Roster,
    pushes: Arc<Lookups>,
    intake: Intake,
    writer: Writer,
    jobs: Jobs,
    progress: Progress,
    /// Set when the box has been told to stop.
    stopping: Arc<AtomicBool>,
}

impl Parts {
    fn open(config: &Config, clock: Clock) -> anyhow::Result<Self> {
        let synchronous = match config.synchronous {
            config::Synchronous::Full => Synchronous::Full,
            config::Synchronous::Normal => Synchronous::Normal,
        };
        let options = Options {
            synchronous,
            disk_floor: config.disk_floor_bytes,
            disk_ballast: config.disk_ballast_bytes,
            slow: config.slow_query_ms,
            keeps: open::keeps(config),
            glance: GLANCE,
            ..Options::default()
        };
        let store = open::store_to_serve(config, options)?;
        let limits = Arc::new(limits(config));
        let size = QueueSize { requests: config.queue_requests, bytes: config.queue_bytes };
        let (intake, writer) =
            Intake::start(store.clone(), limits, clock.clone(), size).context("the writer cannot start")?;
        let intake = intake.with_places(places(config)?).with_readers(protocol::readers());
        let key = open::master_key(config)?;
        let keys = IngestKeys::new(store.clone(), key.clone(), clock.clone());
        let times = LoginTimes { idle: millis(config.login_idle_ms), whole: millis(config.login_max_ms) };
        let logins = Logins::new(store.clone(), key.clone(), clock.clone(), times);
        let oidc = oidc_options(config).map(|options| Oidc::new(options, key, clock.clone()));
        let tokens = open::session_tokens(config)?;
        let (identify, progress) = (IdentifyMetrics::default(), Progress::default());
        let node = open::node(&clock);
        let counters = intake.counters().clone();
        let busy = Arc::new(move || counters.queued.load(Ordering::Relaxed) > QUIET);
        let ground = open::ground_of_jobs(config, store.clone(), &node, progress.clone())?.while_quiet(busy);
        let jobs = jobs::start(ground).context("jobs cannot start")?;
        let (roster, pushes) = (Roster::new(store.clone(), clock.clone()), Arc::default());
        Ok(Self {
            clock,
            node,
            store,
            keys,
            logins,
            oidc,
            tokens,
            identify,
            roster,
            pushes,
            intake,
            writer,
            jobs,
            progress,
            stopping: Arc::default(),
        })
    }

    fn router(&self, config: &Config, state: WebState) -> anyhow::Result<axum::Router> {
        let gate = Gate {
            intake: self.intake.clone(),
            keys: self.keys.clone(),
            clock: self.clock.clone(),
            body: BodyLimits::new(config.max_body_bytes, config.max_body_bytes),
            failures: Arc::new(AddressLimiter::new(self.clock.clone(), FAILURES)),
            respect_dnt: config.respect_dnt,
            cors: Arc::new(Cors::from_list(&config.cors_origins)),
            outside: Arc::new(Outside { public_url: config.public_url.clone(), base_path: config.base_path.clone() }),
            telemetry_kit_errors: match config.telemetry_kit_errors {
                config::ErrorShape::ByPath => ErrorShape::ByPath,
                config::ErrorShape::Flat => ErrorShape::Flat,
                config::ErrorShape::Nested => ErrorShape::Nested,
            },
            teardown: Arc::new(self.teardown(config)),
        };
        let open = version_check::routes().with_state(judge(state.policies.clone()));
        let protocols = protocol::router(gate, &choice(config)).map_err(anyhow::Error::msg)?;
        Ok(protocols.merge(open.merge(web::mount(state)).into_router()))
    }

    fn state(&self, config: &Config, requests: RequestMetrics, about: BoxParts, guides: Vec<Guide>) -> WebState {
        let policies = Policies::new(self.store.clone(), self.clock.clone(), VersionHooks::default().and(told));
        let stopping = self.stopping.clone();
        let metrics = MetricsParts {
            requests,
            identify: self.identify.clone(),
            backlog: self.progress.backlog.clone(),
            backup: self.progress.backup.clone(),
            roster: Some(self.roster.clone()),
            pushes: self.pushes.clone(),
            pruning: self.progress.pruning.clone(),
            jobs: self.progress.jobs.clone(),
            token: config.metrics_token.clone(),
        };
        WebState::new(WebParts {
            store: self.store.clone(),
            reports: Reports::new(self.store.clone(), self.clock.clone()),
            policies,
            logins: self.logins.clone(),
            oidc: self.oidc.clone(),
            keys: self.keys.clone(),
            intake: self.intake.clone(),
            about,
            clock: self.clock.clone(),
            site: Site { base_path: config.base_path.clone(), public_url: config.public_url.clone() },
            keeping: Keeping { respects_dnt: config.respect_dnt },
            draining: Arc::new(move || stopping.load(Ordering::Relaxed)),
            guides,
            metrics,
        })
    }

    fn teardown(&self, config: &Config) -> Teardown {
        let tenancy = config
            .teardown_tenant
            .clone()
            .map_or(Tenancy::ByKey, |tenant| Tenancy::Single { organization: tenant.organization, app: tenant.app });
        Teardown {
            tenancy,
            origins: Arc::new(Origins::from_list(&config.teardown_cors_origins)),
            tokens: self.tokens.clone(),
            times: SessionTimes {
                session: millis(config.session_ttl_ms),
                extend: millis(config.session_reuse_extend_ms),
                token: millis(config.session_token_expiry_ms),
            },
            roster: self.roster.clone(),
            metrics: self.identify.clone(),
            high_volume: config.teardown_high_volume,
            lenient_devices: config.teardown_lenient_devices,
            build_id: config.teardown_build_id.clone(),
            service_id: config.teardown_service_id.clone(),
        }
    }
}

/// The provider at which members may sign in, where one is configured.
fn oidc_options(config: &Config) -> Option<OidcOptions> {
    Some(OidcOptions {
        issuer: config.oidc_issuer.clone()?,
        client_id: config.oidc_client_id.clone()?,
        client_secret: config.oidc_client_secret.clone(),
        name: config.oidc_name.clone(),
        scopes: config.oidc_scopes.clone(),
        groups_claim: config.oidc_groups_claim.clone(),
        groups: config.oidc_groups.clone(),
    })
}

/// The database of addresses, where one is configured: one that cannot be read must not pass for none.
fn places(config: &Config) -> anyhow::Result<Places> {
    let Some(file) = &config.country_database else { return Ok(Places::default()) };
    Places::read(file).with_context(|| format!("the country database {} cannot be read", file.display()))
}

/// Lets version checks be answered by the policies, of which protocols know nothing.
fn judge(policies: Policies) -> Judge {
    Arc::new(move |app, question| {
        let policies = policies.clone();
        Box::pin(async move {
            policies.answer(&app, &question).await.map_err(|error| {
                tracing::warn!(%error, "a version check is answered without a policy");
                Unjudged
            })
        })
    })
}

/// The first who is told of a version's or build's new status: the log.
fn told(change: &VersionChange) -> Result<(), String> {
    let VersionChange { app, version, build, from, to } = change;
    let build = build.map(|(number, platform)| format!("{number} on {}", platform.as_str()));
    let (from, to) = (from.as_str(), to.as_str());
    tracing::info!(app = app.0, version, build, from, to, "a status changed");
    Ok(())
}

fn server_options(config: &Config) -> anyhow::Result<ServerOptions> {
    let trusted: Result<Vec<IpNet>, _> = config.trusted_proxies.iter().map(|network| network.parse()).collect();
    let user_header = config.trusted_user_header.as_ref().map(|name| name.parse());
    Ok(ServerOptions {
        max_connections: config.max_connections,
        trusted_proxies: trusted.context("trusted_proxies")?,
        user_header: user_header.transpose().context("trusted_user_header")?,
        base_path: config.base_path.clone(),
        slow_request: config.slow_request_ms,
        ..ServerOptions::default()
    })
}

async fn listen(config: &Config, lent: Option<std::net::TcpListener>) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let wanted = SocketAddr::new(config.host, config.port);
    let listener = match lent {
        Some(lent) => lent.set_nonblocking(true).and_then(|()| TcpListener::from_std(lent)),
        None => TcpListener::bind(wanted).await,
    };
    let listener = listener.with_context(|| format!("cannot listen on {wanted}"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    if wanted.port() != 0 && address != wanted {
        tracing::warn!(%address, %wanted, "the socket that was handed over decides: host and port are not used");
    }
    let path = config.data_dir.join(ADDRESS_FILE);
    std::fs::write(&path, address.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((listener, address))
}

/// Says where the box is found and, on its first run, how its owner gets in. The link goes to standard output and never
/// into a log. Returns the address.
async fn greet(config: &Config, parts: &Parts, address: SocketAddr) -> anyhow::Result<String> {
    let url = config.public_url.clone().unwrap_or_else(|| {
        let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { address.ip().to_string() };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        format!("http://{host}:{}{}", address.port(), config.base_path)
    });
    tracing::info!(version = env!("CARGO_PKG_VERSION"), url, "listening");
    let (logins, fixed) = (parts.logins.clone(), config.setup_token.clone());
    match welcome(&logins, fixed.as_ref(), &url).await {
        Ok(()) => {}
        Err(error @ StoreError::Unavailable(_)) => {
            tracing::info!(%error, "whether the box is set up is asked again when the database is there");
            let again = url.clone();
            tokio::spawn(async move {
                while welcome(&logins, fixed.as_ref(), &again).await.is_err() {
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
        Err(error) => return Err(error).context("the set-up link cannot be made"),
    }
    Ok(url)
}

/// Prints the link on the first run.
async fn welcome(logins: &Logins, fixed: Option<&SecretString>, url: &str) -> Result<(), StoreError> {
    if let Some(token) = logins.issue_setup_token(fixed.map(|token| token.expose_secret())).await? {
        println!("\nWelcome to Tallybox. Open this link within an hour to make your account:\n");
        println!("    {url}/setup?token={}\n", if fixed.is_some() { "<your setup_token>" } else { &token });
    }
    Ok(())
}

/// The two signals that mean: stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
        Ok(Self { terminate, interrupt })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
