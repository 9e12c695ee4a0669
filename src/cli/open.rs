//! Opens what verbs work with: the database and the master key.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use parking_lot::Mutex;

use super::datadir;
use crate::auth::seal::MasterKey;
use crate::auth::session_token::SessionTokens;
use crate::clock::Clock;
use crate::config::{Config, Database};
use crate::depot::Depot;
use crate::jobs::{Backups, Ground, LEASE, Progress};
use crate::model::{Keeps, MOST_DAYS, Node};
use crate::pruning::{Archive, Pruner};
use crate::store::look::Look;
use crate::store::postgres::{PostgresOptions, PostgresStore};
use crate::store::sqlite::backup::outdated;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Store, StoreError};

/// How long a verb waits for a PostgreSQL server to answer, and for its schema to be brought up to date.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a server looks for PostgreSQL before it listens all the same.
const GLANCE: Duration = Duration::from_secs(2);

/// The database, made where there is none. Works beside a running server: only `serve` takes the lock.
pub fn store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    for warning in datadir::prepare(config)? {
        eprintln!("warning: {warning}");
    }
    match postgres_options(config) {
        Some(options) => {
            let store = PostgresStore::open(&options)?;
            store.wait(PATIENCE).context("the PostgreSQL database cannot be used")?;
            Ok(Arc::new(store))
        }
        None => sqlite(config, Options { keeps: keeps(config), ..Options::default() }),
    }
}

/// The database for a server, in directories that are prepared already. A PostgreSQL server may be away for now.
pub fn store_to_serve(config: &Config, options: Options) -> anyhow::Result<Arc<dyn Store>> {
    let Some(postgres) = postgres_options(config) else {
        backup_before_migration(config)?;
        return sqlite(config, options);
    };
    let store = PostgresStore::open(&postgres)?;
    match store.wait(GLANCE) {
        Ok(()) => {}
        Err(error @ StoreError::Schema(_)) => return Err(error).context("the PostgreSQL database cannot be used"),
        Err(error) => tracing::warn!(%error, "starting without the database; nothing is taken until it is there"),
    }
    Ok(Arc::new(store))
}

/// The database to be looked at, of which nothing is changed; `None` where there is no file yet.
pub fn look(config: &Config) -> Result<Option<Look>, StoreError> {
    match (postgres_options(config), config.database_path()) {
        (Some(options), _) => Look::postgres(&options).map(Some),
        (None, Some(path)) if path.exists() => Look::sqlite(path).map(Some),
        (None, _) => Ok(None),
    }
}

/// Keeps the database as it is before this version changes its schema.
pub fn backup_before_migration(config: &Config) -> anyhow::Result<()> {
    let Some(path) = config.database_path().filter(|_| config.backup_before_migration) else { return Ok(()) };
    let outdated = outdated(path).map_err(|error| unusable(error, path))?;
    let Some(schema) = outdated else { return Ok(()) };
    let shelf = super::backup::shelf(config)?.under(&format!("before-schema-{}", schema + 1))?;
    let made = shelf.make(&super::backup::database(config), Clock::system().now()).context(
        "this version changes the schema of the database, and no backup could be made before it; make room, or set \
         backup_before_migration to false",
    )?;
    tracing::info!(place = made.place, "the database is kept as it was before its schema changes");
    Ok(())
}

fn sqlite(config: &Config, options: Options) -> anyhow::Result<Arc<dyn Store>> {
    let path = config.database_path().context("the database is no SQLite file")?;
    let store = SqliteStore::open(path, options);
    Ok(Arc::new(store.map_err(|error| unusable(error, path))?))
}

/// For how long things are kept where nothing else was chosen.
pub fn keeps(config: &Config) -> Keeps {
    let days = |days: usize| u32::try_from(days).unwrap_or(MOST_DAYS);
    Keeps {
        events: days(config.retention_days),
        sessions: days(config.retention_session_days),
        set_aside: days(config.retention_set_aside_days),
    }
}

/// Where what is too old is laid down before it is deleted, where there is such a place.
pub fn archive(config: &Config) -> anyhow::Result<Option<Archive>> {
    let open = |place| Depot::open(place, config.storage_access().as_ref());
    let depot = config.archive_dir.as_ref().map(open).transpose().context("archive_dir cannot be used")?;
    Ok(depot.map(|depot| Archive { depot, format: config.archive_format }))
}

/// This process, as it is called in the database.
pub fn node(clock: &Clock) -> Node {
    let now = clock.now();
    // A machine without a name is called by its process. Files that tell the name may be hidden from a service.
    let name = rustix::system::uname().nodename().to_string_lossy().trim().to_owned();
    let name = Some(name).filter(|name| !name.is_empty()).unwrap_or_else(|| format!("process {}", std::process::id()));
    Node {
        id: uuid::Uuid::new_v4().to_string(),
        name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: now,
        seen_at: now,
    }
}

/// What jobs have in hand.
///
/// # Errors
/// Where backups or archives are to be made in a place that the settings do not suffice for.
pub fn ground_of_jobs(
    config: &Config,
    store: Arc<dyn Store>,
    node: &Node,
    progress: Progress,
) -> anyhow::Result<Ground> {
    let backups = config.backup_dir.as_ref().map(|_| {
        let shelf = super::backup::shelf(config).context("backups cannot be made as backup_dir wants them")?;
        anyhow::Ok(Backups { database: super::backup::database(config), shelf })
    });
    let pruner = Pruner::new(store.clone()).with_archive(archive(config)?);
    Ok(Ground {
        store,
        clock: Clock::system(),
        worker: Ground::worker(node),
        lease: LEASE,
        backups: backups.transpose()?,
        progress,
        erasure: Mutex::default(),
        guard: Mutex::default(),
        pruner: Mutex::new(pruner),
        ended: Arc::default(),
    })
}

/// Why a database cannot be opened, and what to do.
fn unusable(error: StoreError, path: &Path) -> anyhow::Error {
    let place = path.display();
    let what = match error {
        StoreError::Corrupt(_) => format!(
            "the database {place} cannot be used, and was left as it is; move it and what lies beside it away, and put \
             the newest backup in its place with `tallybox restore`"
        ),
        _ => format!("the database {place} cannot be opened"),
    };
    anyhow::Error::new(error).context(what)
}

/// How PostgreSQL is reached, where the events are kept there.
pub fn postgres_options(config: &Config) -> Option<PostgresOptions> {
    let Database::Postgres(url) = &config.database_url else { return None };
    Some(PostgresOptions {
        url: url.clone(),
        password: config.database_password.clone(),
        replica_url: config.read_replica_url.clone(),
        pool_max: config.database_pool_max,
        pool_min: config.database_pool_min,
        acquire_timeout: config.database_acquire_timeout_ms,
        idle_timeout: config.database_idle_timeout_ms,
        replica_max_lag: config.read_replica_max_lag_ms,
        slow: config.slow_query_ms,
        keeps: keeps(config),
    })
}

/// The secrets of session tokens: as configured, else `session.secret` in the data directory, made where it is not
/// there. Beside PostgreSQL it is never made: another node would sign with another.
pub fn session_tokens(config: &Config) -> anyhow::Result<SessionTokens> {
    use secrecy::ExposeSecret;
    let given = config.session_secrets.iter().map(ExposeSecret::expose_secret);
    if let Some(tokens) = SessionTokens::new(given) {
        return Ok(tokens);
    }
    let path = config.data_dir.join("session.secret");
    if postgres_options(config).is_some() && !path.exists() {
        bail!(
            "there is no session secret: all nodes of one PostgreSQL database need the same one. Make it once with \
             'openssl rand -base64 32', and give it to each as session_secrets, session_secrets_file or {}",
            path.display()
        );
    }
    SessionTokens::load_or_create(&path)
        .with_context(|| format!("the session secret {} cannot be read", path.display()))
}

/// The key under which secrets of ingest keys are sealed: as configured, else `master.key` in the data directory,
/// made where it is not there. Beside PostgreSQL it is never made: another node could not read what it seals.
pub fn master_key(config: &Config) -> anyhow::Result<MasterKey> {
    use secrecy::ExposeSecret;
    if let Some(text) = &config.master_key {
        return MasterKey::from_text(text.expose_secret()).context("the master key is not valid");
    }
    let path = config.data_dir.join("master.key");
    if postgres_options(config).is_some() && !path.exists() {
        bail!(
            "there is no master key: all nodes of one PostgreSQL database need the same one. Make it once with \
             'openssl rand -hex 32', and give it to each as master_key, master_key_file or {}",
            path.display()
        );
    }
    MasterKey::load_or_create(&path).with_context(|| format!("the master key {} cannot be read", path.display()))
}
