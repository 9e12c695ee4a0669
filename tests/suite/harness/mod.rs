//! A real server in a process of its own, over a temporary data directory, and verbs to use it.

pub mod http;
pub mod kit;
pub mod poll;
pub mod random;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use http::{Connection, Reply, Request};
use kit::Credentials;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tallybox");
/// Sign-in of the member that [`Server::start`] makes.
pub const MEMBER: &str = "owner@example.org";
/// Their password.
pub const PASSWORD: &str = "a quiet harbour at noon";
/// How long a start may take before a test gives up on it.
const START: Duration = Duration::from_secs(20);

/// What a server is started with.
pub struct Launch {
    settings: Vec<(String, String)>,
    data: Option<PathBuf>,
}

/// A server and the files it works on. Dropping it kills the process and deletes the files.
pub struct Server {
    home: TempDir,
    data: PathBuf,
    settings: Vec<(String, String)>,
    address: Option<SocketAddr>,
    child: Option<Child>,
}

impl Launch {
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// Keeps the database in a directory that the caller owns.
    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data = Some(path.to_owned());
        self
    }

    /// Everything but the process.
    pub fn prepare(self) -> Server {
        let home = tempfile::tempdir().unwrap();
        let data = self.data.unwrap_or_else(|| home.path().join("data"));
        Server { home, data, settings: self.settings, address: None, child: None }
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
        Launch { settings: Vec::new(), data: None }
    }

    /// A server with its owner, and everything else as it comes.
    pub fn start() -> Self {
        Self::with().start()
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
        assert!(self.child.is_none(), "it runs already");
        let note = self.data.join("tallybox.addr");
        if self.address.is_none() {
            _ = fs::remove_file(&note);
        }
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let port = self.address.map_or(0, |address| address.port());
        let mut command = self.command(arguments);
        command.env("TALLYBOX_PORT", port.to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
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

    pub fn database(&self) -> PathBuf {
        self.data.join("tallybox.db")
    }

    /// Memory that the process holds now.
    pub fn resident_kib(&self) -> u64 {
        let pid = self.child.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Everything the process has said so far, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Sends on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Reply {
        self.try_send(request).unwrap_or_else(|e| panic!("{} {}: {e}\n{}", request.method, request.target, self.log()))
    }

    pub fn try_send(&self, request: &Request) -> std::io::Result<Reply> {
        Connection::open(self.address())?.send(request)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send(&Request::get(path))
    }

    /// Sends events as the published SDK does, and insists on their being taken.
    #[track_caller]
    pub fn accept(&self, credentials: &Credentials, events: &[Value]) {
        let reply = self.send(&credentials.sdk(&kit::batch(events))).expect(200).json();
        assert_eq!(reply["accepted"], events.len(), "{reply}");
    }

    /// Makes an app with a key, through the command line.
    pub fn app(&self, name: &str) -> Credentials {
        let created = self.run(&["app", "create", name, "--json"]);
        Credentials::parse(&serde_json::from_str(&created).unwrap_or_else(|e| panic!("{e}: {created}")))
    }

    /// Signs in as [`MEMBER`]; the value of the `Cookie` header.
    #[track_caller]
    pub fn sign_in(&self) -> String {
        let form = Request::form("/login", &[("name", MEMBER), ("password", PASSWORD)]);
        let reply = self.send(&form.header("origin", &self.url()));
        assert_eq!(reply.status, 303, "{}", reply.text());
        reply.cookie().expect("signing in sets a cookie")
    }

    /// A page as the signed-in [`MEMBER`] sees it.
    #[track_caller]
    pub fn page(&self, path: &str, cookie: &str) -> Reply {
        self.send(&Request::get(path).header("cookie", cookie))
    }

    /// What the plain `sqlite3` program reads in the database: rows as lines, columns divided by `|`.
    #[track_caller]
    pub fn sql(&self, query: &str) -> String {
        sql(&self.database(), query)
    }

    /// As [`Server::sql`], where the answer is one number.
    #[track_caller]
    pub fn count(&self, query: &str) -> i64 {
        let text = self.sql(query);
        text.trim().parse().unwrap_or_else(|_| panic!("{query} gave {text:?}"))
    }

    /// Runs a verb of the program; its standard output.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, "")
    }

    /// As [`Server::run`], with standard input.
    #[track_caller]
    pub fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let output = self.try_run(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}\n{said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a verb of the program, whatever comes of it.
    pub fn try_run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A verb that reads nothing may be gone by now.
        _ = child.stdin.take().expect("piped above").write_all(input.as_bytes());
        child.wait_with_output().unwrap()
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

/// What the plain `sqlite3` program reads in a database file.
#[track_caller]
pub fn sql(database: &Path, query: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-readonly", "-batch", "-noheader", "-cmd", ".timeout 5000"])
        .arg(database)
        .arg(query)
        .output()
        .expect("sqlite3 is installed by tests/run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{query}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Held by one test of the whole run at a time: drills measure times, and should not disturb each other.
pub fn alone() -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drill.lock");
    let lock = File::create(path).unwrap();
    lock.lock().unwrap();
    lock
}
