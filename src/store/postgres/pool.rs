//! The connections to one PostgreSQL server: made when needed, given back, and thrown away when in doubt.

use std::future::Future;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::config::{LoadBalanceHosts, SslMode};
use tokio_postgres::{Client, Config, Error};

use super::super::StoreError;
use super::failure::connect_text;
use super::options::PostgresOptions;
use super::target::{Fallback, Place, Target};
use crate::clock::Deadline;

/// After no host could be connected to, nobody tries for this long and up to [`PAUSE_JITTER`] more: a server that
/// comes back is not met by all at once.
const PAUSE: Duration = Duration::from_millis(100);

/// See [`PAUSE`].
const PAUSE_JITTER: u64 = 128;

/// How often somebody who waits for a connection looks again, where no new one can be made but others are in use.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Connections to the primary or to the replica.
///
/// No state of a session is relied upon: nothing is set on a connection when it is made, and nothing is run on one
/// that is given back, so that PgBouncer may stand between.
#[derive(Clone)]
pub(super) struct Pool {
    inner: managed::Pool<Manager>,
    acquire: Duration,
    idle: Duration,
    min: usize,
}

/// How many connections there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figures {
    /// Most that there may be.
    pub(super) max: usize,
    /// Those that there are.
    pub(super) size: usize,
    /// Those of them that nobody uses.
    pub(super) idle: usize,
    /// Callers that wait for one.
    pub(super) waiting: usize,
}

/// A connection that one caller has to itself; dropped, it goes back to the pool.
///
/// One on which a statement was given up half-way, at a limit of time say, must be discarded: the next caller would
/// wait for that statement's end.
pub(super) struct Connection(Object<Manager>);

impl Pool {
    /// Connections to where writes go. Nothing is connected to yet. The error is a sentence about the URL.
    pub(super) fn primary(options: &PostgresOptions) -> Result<Self, String> {
        Ok(Self::new(options.primary()?, options))
    }

    /// Connections to the replica, where there is one.
    pub(super) fn replica(options: &PostgresOptions) -> Result<Option<Self>, String> {
        Ok(options.replica()?.map(|target| Self::new(target, options)))
    }

    fn new(target: Target, options: &PostgresOptions) -> Self {
        let manager = Manager {
            target,
            generation: AtomicU64::new(0),
            first: AtomicUsize::new(0),
            refused: Arc::new(Mutex::new(None)),
        };
        let inner = managed::Pool::builder(manager)
            .max_size(options.pool_max)
            // The one used last, so that those beyond the need idle long enough to be closed.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.acquire_timeout))
            .build()
            .expect("a runtime is named for the limit of time");
        Self { inner, acquire: options.acquire_timeout, idle: options.idle_timeout, min: options.pool_min }
    }

    /// A connection, within the acquire timeout; otherwise [`StoreError::Unavailable`] with the reason, which names
    /// hosts but no password. Must be called on a tokio runtime with time and network.
    pub(super) async fn get(&self) -> Result<Connection, StoreError> {
        let attempt = acquire(self.inner.clone(), Deadline::after(self.acquire));
        let got = if self.figures().idle > 0 {
            tokio::time::timeout(self.acquire, attempt).await
        } else {
            // In a task of its own: what takes longer than this caller waits, such as finding that the first of two
            // hosts says nothing, still ends with a connection for the next one.
            let task = tokio::spawn(attempt);
            let ended =
                async { task.await.unwrap_or_else(|_| Err("the attempt to connect was broken off".to_owned())) };
            tokio::time::timeout(self.acquire, ended).await
        };
        let late = || format!("no connection to PostgreSQL was to be had within {} ms", self.acquire.as_millis());
        got.unwrap_or_else(|_| Err(late())).map(Connection).map_err(StoreError::Unavailable)
    }

    /// Closes every idle connection now; those in use are lent to nobody again. For when the server turned out to be
    /// gone or demoted: see [`super::failure::is_stale_connection`].
    pub(super) fn evict_all(&self) {
        self.inner.manager().generation.fetch_add(1, Ordering::SeqCst);
        drop(self.inner.retain(|_, _| false));
    }

    /// Closes connections that are broken, and those beyond the smallest number that have idled too long. Cheap.
    pub(super) fn trim(&self) {
        let mut surplus = self.inner.status().size.saturating_sub(self.min);
        let keep = |session: &Session, metrics: Metrics| {
            let broken = !self.inner.manager().trusts(session);
            let close = broken || (surplus > 0 && metrics.last_used() >= self.idle);
            surplus -= usize::from(close && surplus > 0);
            !close
        };
        drop(self.inner.retain(keep));
    }

    /// How many connections there are now.
    pub(super) fn figures(&self) -> Figures {
        let status = self.inner.status();
        Figures { max: status.max_size, size: status.size, idle: status.available, waiting: status.waiting }
    }
}

impl Connection {
    /// Closes it at once, whatever the server still does on it.
    pub(super) fn discard(self) {
        Object::take(self.0).task.abort();
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.0.client
    }
}

/// A client and the task that moves its bytes. Dropped, it says goodbye to the server when that has answered.
struct Session {
    client: Client,
    task: JoinHandle<()>,
    generation: u64,
}

struct Manager {
    target: Target,
    /// Grows when all connections are evicted; older ones are not used again.
    generation: AtomicU64,
    /// The host that is tried first: the last one that could be connected to.
    first: AtomicUsize,
    /// Why no host could be connected to, until [`PAUSE`] is over.
    refused: Arc<Mutex<Option<String>>>,
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = String;

    async fn create(&self) -> Result<Session, String> {
        if let Some(text) = self.refused.lock().clone() {
            return Err(text);
        }
        let generation = self.generation.load(Ordering::SeqCst);
        let mut reasons = Vec::new();
        for at in self.order() {
            let place = &self.target.hosts[at];
            match self.reach(place).await {
                Ok((client, task)) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(Session { client, task, generation });
                }
                Err(reason) => reasons.push(format!("{}: {reason}", place.name)),
            }
        }
        let text = reasons.join("; ");
        self.pause(&text);
        Err(text)
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<String> {
        if self.trusts(session) { Ok(()) } else { Err(RecycleError::message("closed")) }
    }
}

impl Manager {
    fn trusts(&self, session: &Session) -> bool {
        !session.client.is_closed() && session.generation == self.generation.load(Ordering::SeqCst)
    }

    /// All hosts, in the order in which they are tried.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.target.hosts.len();
        let first = match self.target.order {
            LoadBalanceHosts::Random => random() as usize % count,
            _ => self.first.load(Ordering::Relaxed),
        };
        (first..count).chain(0..first)
    }

    /// Connects to one host: to each of its addresses in turn, each within the URL's `connect_timeout`, which covers
    /// all that is said until the server is ready and not only the socket, as with libpq.
    async fn reach(&self, place: &Place) -> Result<(Client, JoinHandle<()>), String> {
        let limit = place.config.get_connect_timeout().copied();
        let mut configs = vec![place.config.clone()];
        if let Some((name, port)) = &place.lookup {
            let found = within(limit, tokio::net::lookup_host((name.as_str(), *port))).await?;
            let found = found.map_err(|error| format!("the name cannot be looked up: {error}"))?;
            configs = found.map(|address| at_address(&place.config, address)).collect();
        }
        let mut last = Err("the name has no address".to_owned());
        for config in configs {
            last = within(limit, self.open(&config)).await.and_then(|opened| opened.map_err(|e| connect_text(&e)));
            if last.is_ok() {
                break;
            }
        }
        last
    }

    async fn open(&self, config: &Config) -> Result<(Client, JoinHandle<()>), Error> {
        let connected = match config.connect(self.target.tls.clone()).await {
            Err(error) if self.target.fallback == Fallback::Plain && refuses_tls(&error) => {
                tracing::warn!("PostgreSQL is used without TLS, as sslmode=prefer allows: {}", connect_text(&error));
                let mut plain = config.clone();
                plain.ssl_mode(SslMode::Disable);
                plain.connect(self.target.tls.clone()).await.map_err(|_| error)
            }
            connected => connected,
        };
        let (client, connection) = connected?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection to PostgreSQL ended: {}", connect_text(&error));
            }
        });
        Ok((client, task))
    }

    /// Lets nobody try for a while.
    fn pause(&self, text: &str) {
        *self.refused.lock() = Some(text.to_owned());
        let refused = Arc::clone(&self.refused);
        let pause = PAUSE + Duration::from_millis(u64::from(random()) % PAUSE_JITTER);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            *refused.lock() = None;
        });
    }
}

/// Waits for a connection. Where none can be made but some are in use, one of those will do.
async fn acquire(pool: managed::Pool<Manager>, deadline: Deadline) -> Result<Object<Manager>, String> {
    loop {
        match pool.get().await {
            Ok(object) => return Ok(object),
            Err(PoolError::Backend(_)) if pool.status().size > 0 && !deadline.passed() => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(PoolError::Backend(text)) => return Err(text),
            Err(PoolError::Timeout(_)) => return Err("all connections to PostgreSQL are in use".to_owned()),
            Err(PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                return Err("there is no pool of connections".to_owned());
            }
        }
    }
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Result<T, String> {
    match limit {
        None => Ok(work.await),
        Some(limit) => {
            let late = |_| format!("no answer within {} ms", limit.as_millis());
            tokio::time::timeout(limit, work).await.map_err(late)
        }
    }
}

/// The same host at one of its addresses.
fn at_address(config: &Config, address: SocketAddr) -> Config {
    let mut config = config.clone();
    config.hostaddr(address.ip());
    config
}

/// Whether a server did not like TLS, or only connections without it (`hostnossl`). The driver keeps the kind of its
/// error to itself but for this text.
fn refuses_tls(error: &Error) -> bool {
    error.to_string() == "error performing TLS handshake" || error.code().is_some_and(|state| state.code() == "28000")
}

/// Which connections are tried in which order is no secret, so a machine without randomness does without.
fn random() -> u32 {
    getrandom::u32().unwrap_or_default()
}
