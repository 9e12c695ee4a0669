//! The settings of one run, gathered from flags, environment, file and defaults, each with where it came from.

mod layers;
mod place;
mod postgres_url;
mod read;
mod remote;
mod settings;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use place::{Place, StorageAccess};
pub use postgres_url::PostgresUrl;
pub use read::{Database, ErrorShape, LogFormat, LogLevel, Synchronous, Tenant, database};
pub use remote::Remote;
pub use settings::{Config, Fallback, Kind, SETTINGS, Setting};

const DATABASE_FLAG: &str = "--database-url";

/// Where configuration may come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Values given on the command line, by one of [`Setting::flag_keys`].
    pub flags: Vec<(String, String)>,
    /// The file named by `--config`.
    pub file: Option<PathBuf>,
    /// Environment variables.
    pub variables: Vec<(OsString, OsString)>,
    /// The file that is read when none is named and the data directory holds none.
    pub system_file: PathBuf,
    /// Whether the process runs as root, which moves the usual data directory.
    pub root: bool,
}

impl Sources {
    /// The environment of this process with these flags and this `--config` file.
    pub fn of_process(flags: Vec<(String, String)>, file: Option<PathBuf>) -> Self {
        Self {
            flags,
            file,
            variables: std::env::vars_os().collect(),
            system_file: PathBuf::from("/etc/tallybox.toml"),
            root: rustix::process::geteuid().is_root(),
        }
    }
}

/// Where one value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag, with its dashes.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A configuration file.
    File {
        /// Which.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
    },
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "{name}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One setting as it may be shown to people: secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// File key of the setting.
    pub key: &'static str,
    /// Its value, `(not set)` or `(hidden)`.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// Everything that is wrong with a configuration, one sentence each. No secret appears in them.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// The sentences, each beginning with where its cause stands.
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {}", if self.problems.len() == 1 { "a problem" } else { "problems" })?;
        for problem in &self.problems {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads all sources (flag over environment over file over default) and checks every value. The error holds
    /// all problems, not the first one.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let values = layers::gather(sources, &mut problems);
        let config = Self::typed(&values, &mut problems);
        if let Some(config) = &config {
            config.check_together(&mut problems);
        }
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError { problems }),
        }
    }

    /// Every setting with its value and source, in the order of [`SETTINGS`]; secrets are masked.
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// What is allowed but deserves a second look, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.synchronous == Synchronous::Normal {
            warnings.push("synchronous is normal: a power cut can lose events that were acknowledged".to_owned());
        }
        if self.allow_network_fs {
            warnings.push("allow_network_fs is on: SQLite's locks are unsafe on many network file systems".to_owned());
        }
        if self.trusted_proxies.iter().any(|network| network.ends_with("/0")) {
            warnings.push("trusted_proxies trusts everybody: any client can claim any address".to_owned());
        }
        if !self.host.is_loopback() && self.public_url.as_deref().is_none_or(|url| url.starts_with("http:")) {
            warnings
                .push("the box listens beyond this machine without an https public_url: put TLS in front".to_owned());
        }
        if self.trusted_user_header.is_some() {
            warnings.push(
                "trusted_user_header is set: whoever speaks from an address of trusted_proxies can be any member"
                    .to_owned(),
            );
        }
        if self.teardown_tenant.is_some() {
            warnings.push("teardown_tenant is set: whoever reaches the box can send events of that app".to_owned());
        }
        if self.database_path().is_some() {
            for (key, given) in [
                ("database_password", self.database_password.is_some()),
                ("read_replica_url", self.read_replica_url.is_some()),
            ] {
                if given {
                    warnings.push(format!("{key} does nothing: database_url does not name a PostgreSQL server"));
                }
            }
        }
        warnings
    }

    /// The database file, where the events are kept in SQLite.
    pub fn database_path(&self) -> Option<&Path> {
        match &self.database_url {
            Database::Sqlite(path) => Some(path),
            Database::Postgres(_) => None,
        }
    }

    /// What no setting can judge alone.
    fn check_together(&self, problems: &mut Vec<String>) {
        if self.queue_bytes < self.max_body_bytes {
            problems.push(format!(
                "queue_bytes ({}) must be at least max_body_bytes ({}): a larger request could never be queued",
                self.queue_bytes, self.max_body_bytes
            ));
        }
        if self.max_event_bytes > self.max_body_bytes {
            problems.push(format!(
                "max_event_bytes ({}) must be at most max_body_bytes ({})",
                self.max_event_bytes, self.max_body_bytes
            ));
        }
        self.check_sign_in(problems);
        if self.database_pool_min > self.database_pool_max {
            problems.push(format!(
                "database_pool_min ({}) must be at most database_pool_max ({})",
                self.database_pool_min, self.database_pool_max
            ));
        }
        let by_flag = |shown: &Shown| shown.key == "database_url" && shown.source == Source::Flag(DATABASE_FLAG.into());
        if self.shown.iter().any(by_flag) && self.database_url.has_password() {
            problems.push(format!(
                "{DATABASE_FLAG}: database_url must not hold a password on the command line, where others on this \
                 machine can read it: give the password as database_password, or the whole URL as a variable or in a \
                 file that {DATABASE_FLAG}-file names"
            ));
        }
    }
}

impl Config {
    /// What other ways to sign in than by password need beside them.
    fn check_sign_in(&self, problems: &mut Vec<String>) {
        if self.trusted_user_header.is_some() && self.trusted_proxies.is_empty() {
            problems.push("trusted_user_header needs trusted_proxies: nobody else's word for a name counts".to_owned());
        }
        if self.oidc_issuer.is_none() {
            return;
        }
        for (key, given) in [
            ("oidc_client_id", self.oidc_client_id.is_some()),
            ("oidc_groups", !self.oidc_groups.is_empty()),
            ("public_url", self.public_url.is_some()),
        ] {
            if !given {
                problems.push(format!("oidc_issuer needs {key}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
