//! A second server that follows a first, and takes its place.

use super::guard::Guard;
use super::{Cluster, SUPERUSER, folder, programs, server};
use crate::harness::poll;

use std::time::Duration;

/// What a standby calls itself.
const NAME: &str = "standby";

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// Until the standby has it.
    Synchronous,
    /// For nobody.
    Asynchronous,
}

impl Cluster {
    /// A standby of this cluster, with the same settings, that has caught up.
    #[track_caller]
    pub fn standby(&self, replication: Replication) -> Self {
        let guard = Guard::over(folder(&std::env::temp_dir()));
        let source = format!("host=127.0.0.1 port={} user={SUPERUSER} application_name={NAME}", self.port());
        let backup = programs().join("pg_basebackup");
        let mut command = server(&backup);
        command.args(["-R", "-X", "stream", "-c", "fast", "--no-sync", "-d", &source]);
        super::stdout(command.arg("-D").arg(guard.folder().join("data")));
        let standby = Self::first_start(guard, self.settings().to_vec());
        // Only now, so that the standby does not want one of its own once it is the primary.
        if replication == Replication::Synchronous {
            self.psql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{NAME}'"));
            self.psql("SELECT pg_reload_conf()");
        }
        let wanted = if replication == Replication::Synchronous { "sync" } else { "async" };
        poll::until(Duration::from_secs(20), "standby that follows", || {
            let found = self.psql("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'");
            (found.trim() == wanted).then_some(())
        });
        standby
    }

    /// Makes a standby the primary; it takes writes when this returns.
    #[track_caller]
    pub fn promote(&self) {
        assert_eq!(self.psql("SELECT pg_promote()").trim(), "t", "{}", self.log());
    }

    /// Lets a standby hear nothing more from its primary, which does not notice anything but its absence.
    #[track_caller]
    pub fn cut_off(&self) {
        self.psql("ALTER SYSTEM SET primary_conninfo = ''");
        self.psql("SELECT pg_reload_conf()");
        poll::until(Duration::from_secs(20), "standby that is cut off", || {
            (self.psql("SELECT count(*) FROM pg_stat_wal_receiver").trim() == "0").then_some(())
        });
    }
}
