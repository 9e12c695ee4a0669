//! The examples for nginx and Caddy, served by the real programs in front of the real box.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::{read, root, said};
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};
use crate::harness::{MEMBER, PASSWORD, Server, poll};
use crate::limits;
use crate::pages::hidden;

/// The name in the examples.
const NAME: &str = "stats.example.org";
/// Two clients of the proxy.
const LISTED: &str = "127.0.0.7";
const OTHER: &str = "127.0.0.8";
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy in the making: its own files, and a certificate.
struct Plan {
    home: tempfile::TempDir,
    box_address: SocketAddr,
    port: u16,
}

/// A running proxy.
struct Proxy {
    plan: Plan,
    child: Child,
}

#[test]
fn nginx_serves_as_the_example_says() {
    serves(|plan| {
        let moved = [
            ("listen [::]:80;", String::new()),
            ("listen [::]:443 ssl;", String::new()),
            ("listen 80;", format!("listen 127.0.0.1:{};", free_port())),
            ("listen 443 ssl;", format!("listen 127.0.0.1:{} ssl;", plan.port)),
            ("127.0.0.1:3000", plan.box_address.to_string()),
            ("/etc/letsencrypt/live/stats.example.org/fullchain.pem", plan.file("cert.pem")),
            ("/etc/letsencrypt/live/stats.example.org/privkey.pem", plan.file("key.pem")),
        ];
        fs::write(plan.path("site.conf"), replaced(&read("packaging/nginx.conf"), &moved)).unwrap();
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let paths = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"];
        let paths: String = paths.map(|kind| format!("{kind}_temp_path {};\n", plan.file(kind))).concat();
        let pid = plan.file("pid");
        let main = format!(
            "{user} daemon off; worker_processes 1; pid {pid}; error_log stderr;\nevents {{}}\n\
             http {{ access_log off;\n{paths} include site.conf; }}\n"
        );
        fs::write(plan.path("main.conf"), main).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(plan.home.path()).arg("-c").arg(plan.path("main.conf"));
        command
    });
}

#[test]
fn caddy_serves_as_the_example_says() {
    serves(|plan| {
        // Nothing is asked of a certificate authority, and no other port is taken.
        let head = format!(
            "{{\n\tadmin off\n\tauto_https off\n}}\n\nhttps://{NAME}:{} {{\n\tbind 127.0.0.1\n\ttls {} {}\n",
            plan.port,
            plan.file("cert.pem"),
            plan.file("key.pem")
        );
        let moved = [("stats.example.org {\n", head), ("127.0.0.1:3000", plan.box_address.to_string())];
        fs::write(plan.path("Caddyfile"), replaced(&read("packaging/Caddyfile"), &moved)).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(plan.path("Caddyfile"));
        command
            .env("HOME", plan.home.path())
            .env("XDG_DATA_HOME", plan.home.path())
            .env("XDG_CONFIG_HOME", plan.home.path());
        command
    });
}

#[test]
fn caddy_finds_the_example_valid_as_it_stands() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("caddy");
    command.args(["adapt", "--validate", "--adapter", "caddyfile", "--config"]).arg(root().join("packaging/Caddyfile"));
    command.env("HOME", home.path()).env("XDG_DATA_HOME", home.path()).env("XDG_CONFIG_HOME", home.path());
    assert!(said(&mut command).contains("reverse_proxy"));
}

/// Pages, sign-in, signed events, addresses and the live stream, through that proxy.
fn serves(plan: impl FnOnce(&Plan) -> Command) {
    let launch = Server::with().setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1");
    let server = launch.setting("TALLYBOX_PUBLIC_URL", format!("https://{NAME}")).start();
    let app = server.app("Behind");
    let proxy = Proxy::start(server.address(), plan);
    let page = proxy.curl(LISTED, &Request::get("/login"), &[]);
    assert!(page.contains("name=\"password\""), "{page}");
    let cookie = proxy.sign_in();
    let page = proxy.curl(LISTED, &Request::get("/apps").header("cookie", &cookie), &[]);
    assert!(page.contains("Behind") && !hidden(&page, "csrf").is_empty(), "{page}");
    // More than what nginx takes where nobody says anything.
    let large: Vec<Value> = (0..40).map(|_| padded(40_000)).collect();
    assert_eq!(proxy.send(LISTED, &app, &large)["accepted"], 40);
    addresses_are_told(&server, &proxy, &app);
    stream_arrives(&proxy, &app, &cookie);
}

fn addresses_are_told(server: &Server, proxy: &Proxy, app: &Credentials) {
    limits::set(server, app, &[("act", "lists"), ("networks", LISTED), ("origins", "")]);
    let event = || [kit::event("from somewhere")];
    assert_eq!(proxy.send(LISTED, app, &event())["accepted"], 1);
    assert_eq!(proxy.send(OTHER, app, &event())["error"], "forbidden");
    // What a client says of its address does not count.
    for header in ["x-forwarded-for", "forwarded"] {
        let lie = if header == "forwarded" { format!("for={LISTED}") } else { LISTED.to_owned() };
        let request = app.sdk(&kit::batch(&event())).header(header, &lie);
        let answer: Value = serde_json::from_str(&proxy.curl(OTHER, &request, &[])).unwrap();
        assert_eq!(answer["error"], "forbidden", "{header}");
    }
}

/// News come while the stream is open, and are not held back until it ends.
fn stream_arrives(proxy: &Proxy, app: &Credentials, cookie: &str) {
    let path = format!("/apps/{}/live/stream", app.slug);
    let mut command = proxy.command(LISTED, &Request::get(&path).header("cookie", cookie), &["--no-buffer"]);
    let mut reader = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(reader.stdout.take().expect("piped above")).lines();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        lines.map_while(Result::ok).filter(|line| line.starts_with("data:")).try_for_each(|line| tell.send(line))
    });
    let first = told.recv_timeout(PATIENCE).expect("how it is now");
    assert_eq!(proxy.send(LISTED, app, &[kit::event("news")])["accepted"], 1);
    let next = told.recv_timeout(PATIENCE).expect("news, while the stream is open");
    assert_ne!(first, next);
    assert!(reader.try_wait().unwrap().is_none(), "the stream has ended");
    _ = reader.kill();
    _ = reader.wait();
}

fn padded(bytes: usize) -> Value {
    let mut event = kit::event("large");
    event["event"]["data"]["padding"] = "x".repeat(bytes).into();
    event
}

#[track_caller]
fn replaced(text: &str, pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "the example has no {old}");
        text.replace(old, new)
    })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Plan {
    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn make_certificate(&self) {
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        command.args(["-subj", &format!("/CN={NAME}"), "-addext", &format!("subjectAltName=DNS:{NAME}")]);
        said(command.arg("-out").arg(self.path("cert.pem")).arg("-keyout").arg(self.path("key.pem")));
    }
}

impl Proxy {
    fn start(box_address: SocketAddr, configure: impl FnOnce(&Plan) -> Command) -> Self {
        let plan = Plan { home: tempfile::tempdir().unwrap(), box_address, port: free_port() };
        plan.make_certificate();
        let mut command = configure(&plan);
        let log = fs::File::create(plan.path("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}; tests/run installs it"));
        let mut proxy = Self { plan, child };
        poll::until(PATIENCE, "proxy", || {
            let ended = proxy.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", proxy.log());
            TcpStream::connect(("127.0.0.1", proxy.plan.port)).ok()
        });
        proxy
    }

    fn log(&self) -> String {
        fs::read_to_string(self.plan.path("log")).unwrap_or_default()
    }

    /// curl, which will send that request from that address.
    fn command(&self, from: &str, request: &Request, more: &[&str]) -> Command {
        let mut command = Command::new("curl");
        let port = self.plan.port;
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--interface",
            from,
            "--request",
            request.method,
        ]);
        command.args(["--resolve", &format!("{NAME}:{port}:127.0.0.1"), "--cacert", &self.plan.file("cert.pem")]);
        for (name, value) in &request.headers {
            command.args(["--header", &format!("{name}: {value}")]);
        }
        if !request.body.is_empty() {
            fs::write(self.plan.path("body"), &request.body).unwrap();
            command.args(["--header", "expect:", "--data-binary", &format!("@{}", self.plan.file("body"))]);
        }
        command.args(more).arg(format!("https://{NAME}:{port}{}", request.target)).stdin(Stdio::null());
        command
    }

    #[track_caller]
    fn curl(&self, from: &str, request: &Request, more: &[&str]) -> String {
        let output = self.command(from, request, more).output().expect("tests/run installs curl");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn send(&self, from: &str, app: &Credentials, events: &[Value]) -> Value {
        let answer = self.curl(from, &app.sdk(&kit::batch(events)), &[]);
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}\n{}", self.log()))
    }

    /// The cookie of a login, which a browser would send over TLS alone.
    #[track_caller]
    fn sign_in(&self) -> String {
        let form = Request::form("/login", &[("name", MEMBER), ("password", PASSWORD)]);
        let answer = self.curl(LISTED, &form, &["--include"]).to_lowercase();
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        assert!(cookie.is_some_and(|cookie| cookie.starts_with("__host-") && cookie.contains("; secure")), "{answer}");
        // Names and tokens keep their letters.
        let answer = self.curl(LISTED, &form, &["--include"]);
        let line = answer.lines().find(|line| line.to_lowercase().starts_with("set-cookie: ")).unwrap_or_default();
        line.split_once(": ").map_or("", |(_, cookie)| cookie.split(';').next().unwrap_or_default()).to_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx ends its workers only where it is asked to end.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let pid = rustix::process::Pid::from_raw(pid);
            _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        }
        _ = self.child.wait();
    }
}
