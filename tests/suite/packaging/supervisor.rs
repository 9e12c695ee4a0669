//! What a supervisor hears of the server and lends to it; the tests are the supervisor.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::http::{Connection, Request};
use crate::harness::kit;
use crate::harness::{PROGRAM, Server, poll};

/// After this long without a sign of life a supervisor would end the server.
const WATCHDOG: Duration = Duration::from_millis(900);
/// The calls with which SQLite makes a commit last.
const SYNCS: &str = "fsync,fdatasync";
const PATIENCE: Duration = Duration::from_secs(20);

/// A supervisor's ear, and the server that speaks to it.
struct Heard {
    server: Server,
    ear: UnixDatagram,
}

impl Heard {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap().keep();
        let path = home.join("notify");
        let ear = UnixDatagram::bind(&path).unwrap();
        ear.set_read_timeout(Some(PATIENCE)).unwrap();
        let launch = Server::with().setting("NOTIFY_SOCKET", path.display());
        let mut server = launch.setting("WATCHDOG_USEC", WATCHDOG.as_micros()).prepare();
        server.launch();
        Self { server, ear }
    }

    /// The next word.
    #[track_caller]
    fn next(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.ear.recv(&mut bytes).unwrap_or_else(|e| panic!("{e}\n{}", self.server.log()));
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Listens until that line comes.
    #[track_caller]
    fn until(&self, line: &str) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.next().lines().any(|heard| heard.starts_with(line)) {
                return;
            }
        }
        panic!("no {line}\n{}", self.server.log());
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        let path = self.ear.local_addr().ok().and_then(|address| address.as_pathname().map(ToOwned::to_owned));
        _ = path.and_then(|path| std::fs::remove_dir_all(path.parent()?).ok());
    }
}

#[test]
fn a_supervisor_hears_when_requests_are_answered_and_when_no_more() {
    let mut heard = Heard::start();
    let first = heard.next();
    assert!(first.starts_with("READY=1\nSTATUS=Serving at http://127.0.0.1:"), "{first}");
    heard.server.get("/health/live").expect(200);
    for _ in 0..3 {
        heard.until("WATCHDOG=1");
    }
    heard.server.terminate();
    heard.until("STOPPING=1");
    assert!(heard.server.ended(PATIENCE).success(), "{}", heard.server.log());
}

#[test]
fn a_server_that_does_not_come_up_is_never_called_ready() {
    let home = tempfile::tempdir().unwrap();
    let ear = UnixDatagram::bind(home.path().join("notify")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::with()
        .setting("NOTIFY_SOCKET", home.path().join("notify").display())
        .setting("TALLYBOX_PORT", taken.local_addr().unwrap().port())
        .prepare();
    assert!(!server.try_run(&["serve"], "").status.success());
    ear.set_nonblocking(true).unwrap();
    assert!(ear.recv(&mut [0; 64]).is_err(), "it said something");
}

#[test]
fn a_hung_writer_is_fed_no_more_though_pages_are_answered() {
    let heard = Heard::start();
    let app = heard.server.app("Hung");
    heard.until("READY=1");
    let slow = SlowDisk::attach(heard.server.pid());
    let mut hung = Connection::open(heard.server.address()).unwrap();
    let request = app.sdk(&kit::batch(&[kit::event("hung")]));
    hung.write(&request.bytes("127.0.0.1")).unwrap();
    heard.until("STATUS=A commit does not end");
    heard.server.get("/health/live").expect(200);
    heard.ear.set_read_timeout(Some(WATCHDOG)).unwrap();
    let said = heard.ear.recv(&mut [0; 64]);
    assert!(said.is_err(), "fed all the same");
    drop(slow);
    heard.ear.set_read_timeout(Some(PATIENCE)).unwrap();
    heard.until("WATCHDOG=1");
    assert_eq!(hung.read(false).unwrap().status, 200);
}

/// A disk whose syncs take a minute, for as long as this lives.
struct SlowDisk(Child);

impl SlowDisk {
    fn attach(pid: u32) -> Self {
        let mut command = Command::new("strace");
        command.args(["--follow-forks", "--trace", SYNCS, &format!("--inject={SYNCS}:delay_enter=60s")]);
        command.args(["--output", "/dev/null", "--attach", &pid.to_string()]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("tests/run installs strace");
        let slow = Self(child);
        poll::until(PATIENCE, "tracer of all threads", || {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
            let traced = |thread: std::fs::DirEntry| {
                let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
                !status.contains("TracerPid:\t0\n")
            };
            threads.flatten().all(traced).then_some(())
        });
        slow
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn systemd_itself_can_lend_the_socket() {
    let server = Server::with().prepare();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = server.command(&[]);
    let mut command = Command::new("systemd-socket-activate");
    command.arg(format!("--listen={free}"));
    for (name, value) in plain.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.arg(format!("--setenv={}={}", name.display(), value.display()));
    }
    // Other settings than the socket's are no reason to listen elsewhere.
    command.args([PROGRAM, "serve", "--port", "1"]).current_dir(server.home());
    let mut activator = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut connection = poll::until(PATIENCE, "socket", || Connection::open(free).ok());
    let reply = connection.send(&Request::get("/health/live"));
    _ = activator.kill();
    _ = activator.wait();
    assert_eq!(reply.unwrap().status, 200);
}

#[test]
fn what_cannot_be_served_is_told() {
    let server = Server::with().prepare();
    for (count, told) in [("1", "no TCP socket"), ("2", "2 sockets were handed over")] {
        let output = server.command(&["serve"]).env("LISTEN_FDS", count).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(told), "{count}: {said}");
    }
}
