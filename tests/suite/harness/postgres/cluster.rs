//! A PostgreSQL server of a test's own, to be stopped, killed and frozen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::guard::Guard;
use super::{Database, client, folder, free_port, programs, server, succeeded, template};
use crate::harness::poll;

/// Longest wait for a server to accept connections.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a cluster is started with.
pub struct Make {
    parent: PathBuf,
    settings: Vec<String>,
}

/// A PostgreSQL server and its files. Dropping it ends the processes and deletes the files.
pub struct Cluster {
    guard: Guard,
    port: u16,
    settings: Vec<String>,
}

/// How a server is asked to end.
#[derive(Clone, Copy, Debug)]
pub enum Shutdown {
    /// Connections are ended, and everything is written back.
    Fast,
    /// Processes end where they stand; the next start recovers from the log.
    Immediate,
}

impl Make {
    /// A setting as in `postgresql.conf`. It holds until the cluster is dropped.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push(format!("{name}={}", value.to_string()));
        self
    }

    /// Syncs what it commits, for drills that take the disk away. Without it a commit still outlives the processes.
    #[must_use]
    pub fn durable(self) -> Self {
        self.setting("fsync", "on").setting("full_page_writes", "on")
    }

    /// Keeps all files in a folder under `parent`, into which the server's account must be able to look.
    #[must_use]
    pub fn inside(mut self, parent: &Path) -> Self {
        self.parent = parent.to_owned();
        self
    }

    /// A cluster that accepts connections.
    #[track_caller]
    pub fn start(self) -> Cluster {
        let guard = Guard::over(folder(&self.parent));
        template::copy_to(&guard.folder().join("data"));
        Cluster::first_start(guard, self.settings)
    }
}

impl Cluster {
    /// Settings to be made before the start.
    pub fn with() -> Make {
        let quick = ["fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_wal_size=256MB"];
        let plain = ["max_connections=60", "log_checkpoints=off", "log_line_prefix=%m [%p] %q%a@%d "];
        let settings = quick.iter().chain(&plain).map(|setting| (*setting).to_owned()).collect();
        Make { parent: std::env::temp_dir(), settings }
    }

    /// A cluster that accepts connections, and everything else as it comes.
    #[track_caller]
    pub fn start() -> Self {
        Self::with().start()
    }

    /// Starts what lies in the guarded folder, on a port of its own.
    #[track_caller]
    pub(super) fn first_start(guard: Guard, settings: Vec<String>) -> Self {
        let mut cluster = Self { guard, port: 0, settings };
        for _ in 0..5 {
            cluster.port = free_port();
            cluster.launch();
            if cluster.accepts_or_ends() {
                return cluster;
            }
            // Another test may have taken the port meanwhile.
            assert!(cluster.log().contains("Address already in use"), "{}", cluster.log());
        }
        panic!("no free port: {}", cluster.log());
    }

    /// The settings that it was made with.
    pub(super) fn settings(&self) -> &[String] {
        &self.settings
    }

    /// Starts the processes, on the same port as before.
    pub fn launch(&mut self) {
        let postgres = programs().join("postgres");
        let mut command = server(&postgres);
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-k"]).arg(self.guard.folder());
        command.args(self.settings.iter().flat_map(|setting| ["-c", setting]));
        self.guard.start(&mut command);
    }

    /// Starts it on the same port as before and waits until it accepts connections.
    #[track_caller]
    pub fn restart(&mut self) {
        self.launch();
        assert!(self.accepts_or_ends(), "PostgreSQL does not start: {}", self.log());
    }

    /// Waits until it accepts connections; `false` if it ends instead.
    #[track_caller]
    fn accepts_or_ends(&mut self) -> bool {
        poll::until(PATIENCE, "accepting PostgreSQL", || {
            if self.is_accepting() {
                return Some(true);
            }
            (!self.guard.is_running()).then_some(false)
        })
    }

    /// Waits until it accepts connections again; if it has given up, it is started anew.
    #[track_caller]
    pub fn recover(&mut self) {
        if !self.accepts_or_ends() {
            self.restart();
        }
    }

    /// Whether it accepts connections now.
    pub fn is_accepting(&self) -> bool {
        let port = self.port.to_string();
        succeeded(client("pg_isready").args(["-q", "-t", "1", "-h", "127.0.0.1", "-p", &port])).is_ok()
    }

    /// Asks it to end, and waits for it.
    #[track_caller]
    pub fn stop(&mut self, how: Shutdown) {
        let processes = self.guard.processes();
        self.guard.signal(match how {
            Shutdown::Fast => Signal::INT,
            Shutdown::Immediate => Signal::QUIT,
        });
        self.guard.ended(&processes);
    }

    /// Kills all its processes, as if the machine had lost its power but not its disk.
    #[track_caller]
    pub fn kill(&mut self) {
        self.guard.signal(Signal::STOP); // so that it starts no more processes
        let processes = self.guard.processes();
        self.guard.signal_all(Signal::KILL);
        self.guard.ended(&processes);
    }

    /// Stops all its processes where they stand: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.guard.signal(Signal::STOP);
        self.guard.signal_all(Signal::STOP);
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.guard.signal_all(Signal::CONT);
    }

    /// A new, empty database, which goes with the cluster.
    #[track_caller]
    pub fn database(&self) -> Database {
        Database::create(self.port)
    }

    /// As [`Cluster::database`], with its tables in a folder under `disk`.
    #[track_caller]
    pub fn database_in(&self, disk: &Path) -> Database {
        let place = format!("CREATE TABLESPACE apart LOCATION '{}'", folder(disk).display());
        self.psql(&place);
        Database::create_in(self.port, "apart")
    }

    /// What the plain `psql` program answers to the superuser: rows as lines, columns divided by `|`.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.try_psql(sql).unwrap_or_else(|said| panic!("{sql}: {said}\n{}", self.log()))
    }

    /// As [`Cluster::psql`]; what it complained of where it failed.
    pub fn try_psql(&self, sql: &str) -> Result<String, String> {
        Database::of_superuser(self.port).try_psql(sql)
    }

    /// Everything that the server has said so far, over all its starts.
    pub fn log(&self) -> String {
        self.guard.log()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of everything that it has written: data, write-ahead log, log.
    pub fn home(&self) -> &Path {
        self.guard.folder()
    }

    fn data(&self) -> PathBuf {
        self.guard.folder().join("data")
    }
}
