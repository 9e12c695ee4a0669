//! Every protocol beside telemetry-kit's: how fast its bodies are read, and its events acknowledged.
//!
//! `cargo bench --bench doors -- [thousands]` sends so many thousand events in each protocol to a server of its own (200 if
//! nothing is said), prints a table and writes `target/bench/doors.json`. Every protocol tells the same of each event, in
//! requests as large as its SDK's. The bar: nothing under half of telemetry-kit's in the same run.

#[path = "doors/mod.rs"]
mod doors;
#[path = "rig/mod.rs"]
#[expect(dead_code, reason = "what a load over any database needs is measured elsewhere")]
mod rig;

use std::time::{Duration, Instant};

use rig::Rig;
use rig::traffic::{self, Sender};
use tallybox::model::Limits;
use tallybox::protocol;
use tallybox::store::sqlite::{Options, SqliteStore};
use tallybox::store::{Keepers, Store};

/// Events that are under way at once: each SDK has as many connections as its requests need for that.
const UNDER_WAY: usize = 800;
/// Events of one client that follow each other: the same in every protocol, in one request or in several at once.
const OF_A_CLIENT: usize = 100;
/// For how long bodies are read.
const READING: Duration = Duration::from_secs(2);

/// A protocol: one row.
struct Door {
    name: &'static str,
    /// Events of a request.
    events: usize,
    /// What its SDK sends.
    body: fn(&Rig, &Sender) -> Vec<u8>,
    /// The request that holds it.
    request: fn(&Rig, &[u8]) -> Vec<u8>,
    /// How many events are read from a body.
    read: fn(&[u8]) -> usize,
}

const JSON: (&str, &str) = ("content-type", "application/json");

const DOORS: [Door; 6] = [
    Door {
        name: "telemetry-kit",
        events: 100,
        body: |_, sender| traffic::batch(sender).into_bytes(),
        request: |rig, body| rig.signed(std::str::from_utf8(body).expect("it is text")),
        read: |body| {
            let envelope = protocol::telemetry_kit::Envelope::Object;
            protocol::telemetry_kit::decode(body, envelope, 1_000).expect("it is good").len()
        },
    },
    Door {
        name: "aptabase",
        events: 25,
        body: doors::aptabase,
        request: |rig, body| doors::post(rig, "/api/v0/events", &[JSON, ("app-key", &doors::aptabase_key(rig))], body),
        read: |body| {
            let agent = protocol::aptabase::Agent::default();
            let sender = protocol::aptabase::Sender { key: 1, form: protocol::aptabase::Form::Batch, agent };
            protocol::aptabase::decode(body, &sender, 1_000).expect("it is good").len()
        },
    },
    Door {
        name: "posthog",
        events: 100,
        body: doors::posthog,
        request: |rig, body| doors::post(rig, "/batch/", &[JSON], body),
        read: |body| {
            let form = protocol::posthog::Form::Older { sent_at: None };
            protocol::posthog::decode(body, form, 1_000).expect("it is good").items.len()
        },
    },
    Door {
        name: "segment",
        events: 100,
        body: doors::segment,
        request: |rig, body| doors::post(rig, "/v1/batch", &[JSON], body),
        read: |body| {
            let sender = protocol::segment::Sender { key: None, browser: None, country: &|_| None };
            let form = protocol::segment::Form::Batch;
            protocol::segment::decode(body, form, &sender, 1_000).expect("it is good").claims.len()
        },
    },
    Door {
        name: "otlp",
        events: 100,
        body: doors::otlp,
        request: |rig, body| {
            let headers = [("content-type", "application/x-protobuf"), ("authorization", &*bearer(rig))];
            doors::post(rig, "/v1/logs", &headers, body)
        },
        read: |body| otlp(body, protocol::otlp::Form::Protobuf),
    },
    Door {
        name: "otlp (JSON)",
        events: 100,
        body: doors::otlp_json,
        request: |rig, body| doors::post(rig, "/v1/logs", &[JSON, ("authorization", &bearer(rig))], body),
        read: |body| otlp(body, protocol::otlp::Form::Json),
    },
];

fn bearer(rig: &Rig) -> String {
    format!("Bearer {}", rig.token)
}

fn otlp(body: &[u8], form: protocol::otlp::Form) -> usize {
    let message = protocol::otlp::Message { body, form, signal: protocol::otlp::Signal::Logs, key: 1, agent: None };
    protocol::otlp::decode(message, &Limits::default()).expect("it is good").claims.len()
}

/// What was measured of a door.
struct Figures {
    name: &'static str,
    /// Events read a second, on one core.
    read: f64,
    /// Events acknowledged a second.
    acknowledged: f64,
}

fn main() {
    let thousands = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(200);
    let figures: Vec<_> = DOORS.iter().map(|door| measure(door, thousands * 1_000)).collect();
    let kit = &figures[0];
    let mut rows = Vec::new();
    println!("{:<14} {:>12} {:>6} {:>14} {:>6}", "protocol", "read/s core", "ratio", "acknowledged/s", "ratio");
    for one in &figures {
        let (read, acknowledged) = (one.read / kit.read, one.acknowledged / kit.acknowledged);
        println!("{:<14} {:>12.0} {read:>6.2} {:>14.0} {acknowledged:>6.2}", one.name, one.read, one.acknowledged);
        rows.push(format!(
            "\"{}\": {{\"read_per_s\": {:.0}, \"acknowledged_per_s\": {:.0}, \"read_ratio\": {read:.3}, \
             \"acknowledged_ratio\": {acknowledged:.3}}}",
            one.name, one.read, one.acknowledged
        ));
        if read.min(acknowledged) < 0.5 {
            println!("{:<14} is under half of telemetry-kit's", one.name);
        }
    }
    let folder = std::path::Path::new("target/bench");
    std::fs::create_dir_all(folder).expect("a folder for figures");
    std::fs::write(folder.join("doors.json"), format!("{{\n{}\n}}\n", rows.join(",\n"))).expect("figures are kept");
}

fn measure(door: &Door, events: usize) -> Figures {
    let mut rig = Rig::new(Vec::new(), |directory| {
        Box::new(SqliteStore::open(&directory.join("tallybox.db"), Options::default()).expect("the database opens"))
    });
    rig.launch();
    let requests = (events / door.events).next_multiple_of(clients(door));
    let parts = OF_A_CLIENT / door.events;
    let body = |number: usize| {
        let whole = Sender::of_the_year(number / parts, requests / parts, OF_A_CLIENT);
        (door.body)(&rig, &doors::part(&whole, number % parts, door.events))
    };
    let acknowledged = send(door, &rig, requests, &body);
    let stored = stored(&rig);
    assert_eq!(stored, requests * door.events, "{}: what was acknowledged is in the store, once", door.name);
    Figures { name: door.name, read: read(door, &body), acknowledged }
}

/// Connections over which its events are sent.
fn clients(door: &Door) -> usize {
    UNDER_WAY / door.events
}

/// Events read a second from bodies that differ.
fn read(door: &Door, body: &dyn Fn(usize) -> Vec<u8>) -> f64 {
    let bodies: Vec<_> = (0..64).map(body).collect();
    let (began, mut events) = (Instant::now(), 0);
    while began.elapsed() < READING {
        for body in &bodies {
            events += (door.read)(body);
        }
    }
    let rate = events as f64 / began.elapsed().as_secs_f64();
    assert_eq!(events % (bodies.len() * door.events), 0, "{}: every event is read", door.name);
    rate
}

/// Events acknowledged a second, while every connection waits for each answer.
fn send(door: &Door, rig: &Rig, requests: usize, body: &(dyn Fn(usize) -> Vec<u8> + Sync)) -> f64 {
    let (clients, each) = (clients(door), requests / clients(door));
    let parts = OF_A_CLIENT / door.events;
    // Connections side by side send the parts of one client.
    let number = |client: usize, nth: usize| (client / parts * each + nth) * parts + client % parts;
    // Made before, so that making them is not measured. A signed request is good for some minutes.
    let made: Vec<Vec<Vec<u8>>> = (0..clients)
        .map(|client| (0..each).map(|nth| (door.request)(rig, &body(number(client, nth)))).collect())
        .collect();
    let began = Instant::now();
    traffic::clients(rig, clients, |client, mut connection| {
        for request in &made[client] {
            let (status, answer) = connection.exchange(request);
            let said = String::from_utf8_lossy(answer);
            assert!((200..300).contains(&status), "{}: {status} {said}", door.name);
        }
    });
    (requests * door.events) as f64 / began.elapsed().as_secs_f64()
}

/// Events in the store.
fn stored(rig: &Rig) -> usize {
    let path = rig.directory.path().join("tallybox.db");
    let store = SqliteStore::open(&path, Options::default()).expect("the database opens");
    let app = store.find_app("bench").expect("the store answers").expect("the app is there");
    let (first, last) = store.summary_days(app.environments[0].id).expect("it answers").expect("there are days");
    let days = store.event_days(app.environments[0].id, (first, last)).expect("it answers");
    days.iter().map(|(_, events)| usize::try_from(*events).expect("a count")).sum()
}
