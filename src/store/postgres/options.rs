//! How PostgreSQL is reached: what the settings say.

use std::time::Duration;

use secrecy::SecretString;

use super::target::{Role, Target};
use crate::model::Keeps;
use crate::store::SLOW;

/// Where the database is and how its connections are kept.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// `postgres://USER@HOSTS/DATABASE?PARAMETERS`.
    pub url: SecretString,
    /// Goes before a password in [`Self::url`], and serves [`Self::replica_url`] where that has none.
    pub password: Option<SecretString>,
    /// A standby that reports may be read from.
    pub replica_url: Option<SecretString>,
    /// Most connections to each of the two.
    pub pool_max: usize,
    /// Idle connections that are kept however long they idle.
    pub pool_min: usize,
    /// Longest wait for a connection.
    pub acquire_timeout: Duration,
    /// How long a connection beyond [`Self::pool_min`] may idle.
    pub idle_timeout: Duration,
    /// How far behind the standby may be for reports to be read from it.
    pub replica_max_lag: Duration,
    /// Statements and commits that take this long are told in the log.
    pub slow: Duration,
    /// For how long things are kept where nothing else was chosen.
    pub keeps: Keeps,
}

impl PostgresOptions {
    /// The server under this URL, with everything else as the settings have it by default.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            password: None,
            replica_url: None,
            pool_max: 10,
            pool_min: 1,
            acquire_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(300),
            replica_max_lag: Duration::from_secs(5),
            slow: SLOW,
            keeps: Keeps::FOREVER,
        }
    }

    /// What is wrong with the URLs and with the certificates that they name, one sentence each, without any password.
    /// Nothing is connected to.
    pub fn problems(&self) -> Vec<String> {
        [self.primary().err(), self.replica().err()].into_iter().flatten().collect()
    }

    /// Where writes go.
    pub(super) fn primary(&self) -> Result<Target, String> {
        Target::parse(&self.url, self.password.as_ref(), Role::Primary)
            .map_err(|problem| format!("database_url {problem}"))
    }

    /// Where reports may be read from.
    pub(super) fn replica(&self) -> Result<Option<Target>, String> {
        let parse = |url| Target::parse(url, self.password.as_ref(), Role::Replica);
        let target = self.replica_url.as_ref().map(parse).transpose();
        target.map_err(|problem| format!("read_replica_url {problem}"))
    }
}
