//! What clients send, and the raw connections over which they do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;

use tallybox::model::Millis;

use super::Rig;

/// 2026-01-01, in milliseconds.
pub const YEAR_START: i64 = 1_767_225_600_000;

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

    /// The status and the body.
    pub fn exchange(&mut self, request: &[u8]) -> (u16, &[u8]) {
        self.stream.write_all(request).expect("the request is taken");
        let mut filled = 0;
        loop {
            filled += match self.stream.read(&mut self.buffer[filled..]).expect("an answer") {
                0 => panic!("the server hung up: {}", String::from_utf8_lossy(&self.buffer[..filled])),
                read => read,
            };
            if let Some((status, body)) = whole(&self.buffer[..filled]) {
                return (status, &self.buffer[body]);
            }
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
        }
    }
}

/// Status and place of the body, once all of it is there.
fn whole(answer: &[u8]) -> Option<(u16, Range<usize>)> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length: usize = text.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let body = head + 4..head + 4 + length;
    (answer.len() >= body.end).then_some((status, body))
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

    /// When its `i`th event was, in milliseconds.
    pub fn time(&self, i: usize) -> i64 {
        self.at + i as i64 * 997
    }

    /// The session of its `i`th event.
    pub fn session(&self, i: usize) -> usize {
        self.session + i / 50
    }

    /// What its `i`th event tells besides: a JSON object.
    pub fn data(i: usize) -> String {
        let took = i * 37 % 5_000;
        format!(r#"{{"command":"build","flags":["--release"],"success":true,"duration_ms":{took}}}"#)
    }
}

/// The body of a request.
pub fn batch(sender: &Sender) -> String {
    use std::fmt::Write as _;
    let Sender { user, release, events, .. } = *sender;
    let mut body = String::with_capacity(events * 720 + 32);
    body.push_str("{\"events\":[");
    let system = ["linux", "macos", "windows"][user % 3];
    for i in 0..events {
        let time = jiff::Timestamp::from_millisecond(sender.time(i)).expect("in range");
        let id = uuid::Uuid::new_v4();
        let name = ["command_execution", "feature_used", "project_opened", "file_saved", "build_finished"][i % 5];
        _ = write!(
            body,
            "{}{{\"schema_version\":\"1.0.0\",\"event_id\":\"{id}\",\"timestamp\":\"{time}\",\"service\":{{\"name\":\"acme-cli\",\
             \"version\":\"2.{release}.0\",\"language\":\"rust\",\"language_version\":\"1.75.0\"}},\
             \"user_id\":\"client_{user:064x}\",\"session_id\":\"sess_{:032x}\",\
             \"environment\":{{\"os\":\"{system}\",\"arch\":\"x86_64\",\"ci\":false,\"shell\":\"zsh\"}},\
             \"event\":{{\"type\":\"{name}\",\"category\":\"usage\",\"data\":{}}},\"metadata\":{{\"sdk_version\":\"telemetry-kit-rust/0.3.0\",\
             \"transmission_timestamp\":\"{time}\",\"batch_size\":1,\"retry_count\":0}}}}",
            if i == 0 { "" } else { "," },
            sender.session(i),
            Sender::data(i),
        );
    }
    body.push_str("]}");
    body
}

/// Runs `work` for each of `count` clients on threads of their own.
pub fn clients<T: Send>(rig: &Rig, count: usize, work: impl Fn(usize, Connection) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..count).map(|n| scope.spawn(move || work(n, Connection::open(rig)))).collect();
        handles.into_iter().map(|handle| handle.join().expect("a client never panics")).collect()
    })
}
