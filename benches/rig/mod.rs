//! A real server in a process of its own, and what a load needs: credentials, signed requests, a raw client, figures.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tallybox::auth::{ingest_key, seal::MasterKey, token};
use tallybox::model::{Millis, NewApp, NewMember, Role, Salt, Slug, Zone};
use tallybox::store::Store;
use tallybox::store::sqlite::{Options, SqliteStore};

/// 2026-01-01, in milliseconds.
pub const YEAR_START: i64 = 1_767_225_600_000;

/// A running server with one app.
pub struct Rig {
    pub address: SocketAddr,
    pub directory: tempfile::TempDir,
    pub path: String,
    /// The cookie of a signed-in owner.
    pub cookie: String,
    secret: String,
    process: Child,
}

impl Rig {
    /// Prepares a data directory with an app, a key and a login, and starts the release binary over it.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (secret, path, cookie) = prepare(directory.path());
        let mut rig = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            process: launch(directory.path()),
            directory,
            path,
            cookie,
            secret,
        };
        rig.address = rig.wait_for_address();
        rig
    }

    /// A request head and body as the telemetry-kit SDK sends them, signed now, in the nonce form.
    pub fn signed(&self, body: &str) -> Vec<u8> {
        let timestamp = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
        let nonce = uuid::Uuid::new_v4();
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any key fits");
        mac.update(format!("{timestamp}:{nonce}:{body}").as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nx-signature: {signature}\r\n\
             x-timestamp: {timestamp}\r\nx-nonce: {nonce}\r\nx-sdk-version: telemetry-kit-rust/0.3.0\r\n\
             x-schema-version: 1.0.0\r\naccept: */*\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            self.address,
            body.len()
        )
        .into_bytes()
    }

    /// Resident memory now and at its peak, in MiB.
    pub fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("the server runs");
        let kib = |name: &str| -> f64 {
            let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel tells");
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number")
        };
        (kib("VmRSS:") / 1024.0, kib("VmHWM:") / 1024.0)
    }

    /// Processor seconds used so far.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("the server runs");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("a name in brackets").split(' ').collect();
        let ticks = |i: usize| -> f64 { fields[i].parse().expect("a number") };
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Bytes written to the disk so far, the log and what is written back counted each.
    pub fn written(&self) -> f64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.process.id())).expect("the server runs");
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("the kernel tells");
        line.parse().expect("a number")
    }

    /// Bytes of the database, its log included.
    pub fn bytes(&self) -> u64 {
        let size = |name: &str| std::fs::metadata(self.directory.path().join(name)).map_or(0, |m| m.len());
        size("tallybox.db") + size("tallybox.db-wal")
    }

    fn wait_for_address(&self) -> SocketAddr {
        let file = self.directory.path().join("tallybox.addr");
        for _ in 0..600 {
            if let Some(address) = std::fs::read_to_string(&file).ok().and_then(|text| text.parse().ok())
                && TcpStream::connect(address).is_ok()
            {
                return address;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not start");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn prepare(directory: &Path) -> (String, String, String) {
    let store = SqliteStore::open(&directory.join("tallybox.db"), Options::default()).expect("the database opens");
    let app = NewApp {
        uuid: uuid::Uuid::new_v4(),
        slug: Slug::from_name("bench"),
        slug_fixed: true,
        name: "Bench".to_owned(),
        zone: Zone::find("Europe/Zurich").expect("the zone exists"),
        salt: Salt(token::random()),
        strict: false,
    };
    let app = store.create_app(&app, Millis(YEAR_START)).expect("the app is made");
    let master = MasterKey::load_or_create(&directory.join("master.key")).expect("the key is made");
    let issued = ingest_key::issue(&master, app.environments[0].id, "bench");
    store.create_key(&issued.new, Millis(YEAR_START)).expect("the key is kept");
    let member = NewMember { name: "owner".to_owned(), role: Role::Owner, password_hash: "-".to_owned() };
    let now = tallybox::clock::Clock::system().now();
    let member = store.create_member(&member, now).expect("the member is made");
    let login = token::issue("");
    store.create_login(&token::hash(&login), member.id, now).expect("the login is kept");
    let path = format!("/v1/ingest/{}/{}", app.organization.uuid, app.uuid);
    (issued.secret, path, format!("tallybox={login}"))
}

fn launch(directory: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tallybox"))
        .env_clear()
        .env("TALLYBOX_DATA_DIR", directory)
        .env("TALLYBOX_PORT", "0")
        .env("TALLYBOX_LOG_LEVEL", "warn")
        .env("TALLYBOX_DISK_BALLAST_BYTES", "0")
        .stdout(Stdio::null())
        .spawn()
        .expect("the server starts")
}

/// A keep-alive connection that sends whole requests and reads whole answers.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(rig: &Rig) -> Self {
        let stream = TcpStream::connect(rig.address).expect("the server listens");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: vec![0; 1 << 16] }
    }

    /// The status and the length of the body.
    pub fn exchange(&mut self, request: &[u8]) -> (u16, usize) {
        self.stream.write_all(request).expect("the request is taken");
        let mut filled = 0;
        loop {
            filled += match self.stream.read(&mut self.buffer[filled..]).expect("an answer") {
                0 => panic!("the server hung up: {}", String::from_utf8_lossy(&self.buffer[..filled])),
                read => read,
            };
            if let Some((status, body)) = whole(&self.buffer[..filled]) {
                return (status, body);
            }
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
        }
    }
}

fn whole(answer: &[u8]) -> Option<(u16, usize)> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    (answer.len() >= head + 4 + length).then_some((status, length))
}

/// What a client sends: who, when, in which version, and how many events.
pub struct Sender {
    pub user: usize,
    /// Sessions last for fifty events.
    pub session: usize,
    /// Of the first event, in milliseconds.
    pub at: i64,
    pub release: usize,
    pub events: usize,
}

impl Sender {
    /// The `request`th of `requests` that are spread over 300 days of the year: a batch of a believable client, with
    /// two sessions of a few minutes.
    pub fn of_the_year(request: usize, requests: usize, events: usize) -> Self {
        Self {
            user: (request * 7_919) % 20_000,
            session: request * 2,
            at: YEAR_START + request as i64 * (300 * Millis::DAY / requests.max(1) as i64),
            release: (request / 3 + request * 4 / requests.max(1)) % 4,
            events,
        }
    }
}

/// The body of a request.
pub fn batch(sender: &Sender) -> String {
    use std::fmt::Write as _;
    let Sender { user, session, at, release, events } = *sender;
    let mut body = String::with_capacity(events * 720 + 32);
    body.push_str("{\"events\":[");
    let system = ["linux", "macos", "windows"][user % 3];
    for i in 0..events {
        let millis = at + i as i64 * 997;
        let time = jiff::Timestamp::from_millisecond(millis).expect("in range");
        let id = uuid::Uuid::new_v4();
        let name = ["command_execution", "feature_used", "project_opened", "file_saved", "build_finished"][i % 5];
        _ = write!(
            body,
            "{}{{\"schema_version\":\"1.0.0\",\"event_id\":\"{id}\",\"timestamp\":\"{time}\",\"service\":{{\"name\":\"acme-cli\",\
             \"version\":\"2.{release}.0\",\"language\":\"rust\",\"language_version\":\"1.75.0\"}},\
             \"user_id\":\"client_{user:064x}\",\"session_id\":\"sess_{:032x}\",\
             \"environment\":{{\"os\":\"{system}\",\"arch\":\"x86_64\",\"ci\":false,\"shell\":\"zsh\"}},\
             \"event\":{{\"type\":\"{name}\",\"category\":\"usage\",\"data\":{{\"command\":\"build\",\"flags\":[\"--release\"],\
             \"success\":true,\"duration_ms\":{}}}}},\"metadata\":{{\"sdk_version\":\"telemetry-kit-rust/0.3.0\",\
             \"transmission_timestamp\":\"{time}\",\"batch_size\":1,\"retry_count\":0}}}}",
            if i == 0 { "" } else { "," },
            session + i / 50,
            i * 37 % 5_000,
        );
    }
    body.push_str("]}");
    body
}

/// Runs `work` for each of `count` clients on threads of their own.
pub fn clients<T: Send>(rig: &Arc<Rig>, count: usize, work: impl Fn(usize, Connection) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..count).map(|n| scope.spawn(move || work(n, Connection::open(rig)))).collect();
        handles.into_iter().map(|handle| handle.join().expect("a client never panics")).collect()
    })
}
