//! Opens what verbs work with: the database and the master key.

use anyhow::{Context, bail};

use super::datadir;
use crate::auth::seal::MasterKey;
use crate::config::{Config, Database};
use crate::store::postgres::PostgresOptions;
use crate::store::sqlite::{Options, SqliteStore};

/// The database, made where there is none. Works beside a running server: only `serve` takes the lock.
pub fn store(config: &Config) -> anyhow::Result<SqliteStore> {
    for warning in datadir::prepare(config)? {
        eprintln!("warning: {warning}");
    }
    store_with(config, Options::default())
}

/// The same with other options, in directories that are prepared already.
pub fn store_with(config: &Config, options: Options) -> anyhow::Result<SqliteStore> {
    let Some(path) = config.database_path() else {
        bail!("this build keeps its data in SQLite only: give database_url as sqlite:PATH, or leave it out");
    };
    SqliteStore::open(path, options).with_context(|| format!("the database {} cannot be opened", path.display()))
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
    })
}

/// The key under which secrets of ingest keys are sealed: as configured, else `master.key` in the data directory,
/// made where it is not there.
pub fn master_key(config: &Config) -> anyhow::Result<MasterKey> {
    use secrecy::ExposeSecret;
    if let Some(text) = &config.master_key {
        return MasterKey::from_text(text.expose_secret()).context("the master key is not valid");
    }
    let path = config.data_dir.join("master.key");
    MasterKey::load_or_create(&path).with_context(|| format!("the master key {} cannot be read", path.display()))
}
