//! A real server in a process of its own, over a temporary data directory, and verbs to use it.

pub mod backend;
pub mod browser;
pub mod collector;
pub mod http;
pub mod kit;
pub mod poll;
pub mod postgres;
pub mod prometheus;
pub mod provider;
pub mod random;
pub mod sdk;
pub mod storage;
pub mod terminal;
mod verbs;

use std::fs::{self, File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use backend::{Backend, Database};
use http::{Connection, Request};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tallybox");
/// Sign-in of the member that [`Server::start`] makes.
pub const MEMBER: &str = "owner@example.org";
/// Their password.
pub const PASSWORD: &str = "a quiet harbour at noon";
/// What every node of a PostgreSQL database is given.
const MASTER_KEY: &str = "5d41402abc4b2a76b9719d911017c592ae61d0a5c2b3f4e5d6c7b8a990817263";
const SESSION_SECRET: &str = "p3f1aWk7Zt0Xb9rLqN5yVg2sUdJmHc8eKoTiRx4QwBM=";
/// For how many days a server keeps events.
const KEPT: &str = "TALLYBOX_RETENTION_DAYS";
/// How long readiness may take to turn.
const TURN: Duration = Duration::from_secs(2);
/// How long a start may take before a test gives up on it.
const START: Duration = Duration::from_secs(20);
/// Starts a program with what is its standard input as the socket that a supervisor lends it, as systemd does it.
const LENDING: &str = r#"exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@""#;

/// A program of `tests/clients/`, by its name.
pub fn client_program(name: &str) -> PathBuf {
    let triple = Path::new(PROGRAM).ancestors().nth(2).and_then(Path::file_name).unwrap();
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients");
    let candidates = [clients.join(triple).join("release"), clients.join("release")];
    let program = candidates.iter().map(|folder| folder.join(name)).find(|path| path.exists());
    program.unwrap_or_else(|| panic!("no {name} under {}: tests/run builds it", clients.display()))
}

/// What a server is started with.
pub struct Launch {
    settings: Vec<(String, String)>,
    data: Option<PathBuf>,
    database: Option<postgres::Database>,
    socket: Option<TcpListener>,
}

/// A server and the files it works on. Dropping it kills the process and deletes the files.
pub struct Server {
    home: TempDir,
    data: PathBuf,
    database: Database,
    settings: Vec<(String, String)>,
    address: Option<SocketAddr>,
    /// Lent to every process.
    socket: Option<TcpListener>,
    child: Option<Child>,
}

impl Launch {
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Keeps the box's files in a directory that the caller owns.
    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data = Some(path.to_owned());
        self
    }

    /// Keeps the data in a new database of that kind.
    #[must_use]
    pub fn backend(self, backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => self,
            Backend::Postgres => self.database(postgres::Database::shared()),
        }
    }

    /// Keeps the data in that database.
    #[must_use]
    pub fn database(self, database: postgres::Database) -> Self {
        let told = self.setting("TALLYBOX_DATABASE_URL", database.url()).setting("TALLYBOX_MASTER_KEY", MASTER_KEY);
        let told = told.setting("TALLYBOX_SESSION_SECRETS", SESSION_SECRET);
        Self { database: Some(database), ..told }
    }

    /// Lends every process one socket, which stays open between them.
    #[must_use]
    pub fn lent_socket(self) -> Self {
        Self { socket: Some(TcpListener::bind("127.0.0.1:0").unwrap()), ..self }
    }

    /// Everything but the process.
    pub fn prepare(self) -> Server {
        let home = tempfile::tempdir().unwrap();
        let data = self.data.unwrap_or_else(|| home.path().join("data"));
        let file = || Database::Sqlite(data.join("tallybox.db"));
        let database = self.database.map_or_else(file, Database::Postgres);
        let (settings, socket) = (self.settings, self.socket);
        let address = socket.as_ref().map(|socket| socket.local_addr().unwrap());
        Server { home, data, database, settings, address, socket, child: None }
    }

    /// A server nobody has set up yet.
    pub fn start_fresh(self) -> Server {
        let mut server = self.prepare();
        server.restart();
        server
    }

    /// A server with its owner, [`MEMBER`].
    pub fn start(self) -> Server {
        let server = self.start_fresh();
        server.run_with(&["member", "create", MEMBER, "--role", "owner"], &format!("{PASSWORD}\n"));
        server
    }
}

impl Server {
    /// Settings to be made before the start.
    pub fn with() -> Launch {
        Launch { settings: Vec::new(), data: None, database: None, socket: None }
    }

    /// A server with its owner, and everything else as it comes.
    pub fn start() -> Self {
        Self::with().start()
    }

    /// As [`Server::start`], over a new database of that kind.
    pub fn over(backend: Backend) -> Self {
        Self::with().backend(backend).start()
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the process and waits until it is ready. The port stays the same from the first start on.
    pub fn restart(&mut self) {
        self.launch();
        self.await_status("/health/ready", 200);
    }

    /// Starts the process and waits until it listens, ready or not.
    pub fn launch(&mut self) {
        self.launch_with(&["serve"]);
    }

    /// As [`Server::launch`], with other arguments.
    pub fn launch_with(&mut self, arguments: &[&str]) {
        self.launch_as(self.command(arguments));
    }

    /// As [`Server::launch`], by another program that starts it.
    pub fn launch_as(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "it runs already");
        let note = self.data.join("tallybox.addr");
        if self.address.is_none() {
            _ = fs::remove_file(&note);
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let port = self.address.map_or(0, |address| address.port());
        command.env("TALLYBOX_PORT", port.to_string());
        // Recorded requests are as old as they are, whenever the tests are run.
        if !self.settings.iter().any(|(name, _)| name == KEPT) && !self.data.join("tallybox.toml").exists() {
            command.env(KEPT, "0");
        }
        command.stdin(Stdio::null());
        if let Some(socket) = &self.socket {
            command = lending(&command, socket.try_clone().unwrap());
        }
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let address = poll::until(START, "address", || {
            self.assert_running();
            self.address.or_else(|| fs::read_to_string(&note).ok()?.trim().parse().ok())
        });
        self.address = Some(address);
        poll::until(START, "open port", || {
            self.assert_running();
            Connection::open(address).ok()
        });
    }

    /// Waits until a path answers with that status.
    #[track_caller]
    pub fn await_status(&self, path: &str, status: u16) {
        poll::until(START, &format!("{status} from {path}\n{}", self.log()), || {
            let reply = Connection::open(self.address()).ok()?.send(&Request::get(path)).ok()?;
            (reply.status == status).then_some(())
        });
    }

    /// Waits until readiness says this of what has happened, for two seconds at the most, and says how long that took. All
    /// the while the box has to be alive.
    #[track_caller]
    pub fn turns(&self, status: u16, happened: Instant, what: &str) {
        let told = |path: &str| self.try_send(&Request::get(path)).map_or(0, |reply| reply.status);
        poll::until(5 * TURN, &format!("{status} after {what}\n{}", self.log()), || {
            assert_eq!(told("/health/live"), 200, "{what}: not alive");
            (told("/health/ready") == status).then_some(())
        });
        let took = happened.elapsed();
        println!("{what}: ready says {status} after {took:?}, alive all the while");
        assert!(took <= TURN, "{what}: ready says {status} only after {took:?}");
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Ends the process as a crash would: nothing of it runs any more.
    pub fn crash(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks the process to end.
    pub fn terminate(&self) {
        let child = self.child.as_ref().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn ended(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        poll::until(limit, "end of the server", || child.try_wait().unwrap())
    }

    /// Ends the process in good order.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.ended(Duration::from_secs(30))
    }

    pub fn address(&self) -> SocketAddr {
        self.address.expect("it was started")
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A directory for a test's own files, deleted with the server.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Number of the process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Memory that the process holds now.
    pub fn resident_kib(&self) -> u64 {
        let pid = self.child.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The program with this server's settings and nothing of the test's own environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().current_dir(self.home.path()).args(arguments);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TALLYBOX_DATA_DIR", &self.data);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    #[track_caller]
    fn assert_running(&mut self) {
        if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
            self.child = None;
            panic!("the server ended: {status}\n{}", self.log());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// A figure of a drill: the first as tests run it, the second where `DRILLS=full` asks for the whole of it.
pub fn size<T>(quick: T, full: T) -> T {
    if std::env::var_os("DRILLS").is_some_and(|size| size == "full") { full } else { quick }
}

/// The same command, with a socket lent to it.
fn lending(command: &Command, socket: TcpListener) -> Command {
    let mut lending = Command::new("/bin/sh");
    lending.args(["-c", LENDING]).arg(command.get_program()).args(command.get_args());
    lending.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    lending.current_dir(command.get_current_dir().expect("it was given one")).stdin(OwnedFd::from(socket));
    lending
}

/// Held by one test of the whole run at a time: drills measure times, and should not disturb each other.
pub fn alone() -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drill.lock");
    let lock = File::create(path).unwrap();
    lock.lock().unwrap();
    lock
}
