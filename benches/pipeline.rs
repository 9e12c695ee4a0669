//! The pipeline without HTTP: normalization, queue and commits, against the floor that SQLite itself sets.
//!
//! `cargo bench --bench pipeline -- [millions]`: prints events a second for each million, bytes an event, and the ratio
//! to inserts of the same rows into a bare table.

mod floor;

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;
use tallybox::clock::Clock;
use tallybox::ingest::{Claim, Intake, QueueSize, Request, Scope};
use tallybox::model::{
    By, EventId, Fact, IngestKeyId, Limits, Millis, NewApp, NewIngestKey, RawEvent, RawFacts, Salt, Slug, Zone,
};
use tallybox::store::Store;
use tallybox::store::sqlite::{Options, SqliteStore};

/// Events of one request.
const BATCH: usize = 100;
/// Requests under way at once.
const CLIENTS: usize = 8;
/// 2026-01-01, in milliseconds.
const START: i64 = 1_767_225_600_000;

#[tokio::main]
async fn main() {
    let millions: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let floor = floor::measure(directory.path());
    println!("floor: bare table, 2,000 rows a commit       {floor:>9.0} rows/s");

    let path = directory.path().join("tallybox.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, Options::default()).expect("the database opens"));
    let scope = scope(&*store);
    let (intake, writer) =
        Intake::start(store.clone(), Arc::new(Limits::default()), Clock::system(), QueueSize::default())
            .expect("the writer starts");
    let rounds = millions * 1_000_000 / (BATCH * CLIENTS);
    let step = 1_000_000 / (BATCH * CLIENTS);
    let mut started = Instant::now();
    for round in 0..rounds {
        let clients = (0..CLIENTS).map(|client| {
            let (intake, scope) = (intake.clone(), scope.clone());
            tokio::spawn(async move { send(&intake, scope, round * CLIENTS + client, rounds * CLIENTS).await })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.expect("a client never panics");
        }
        if (round + 1) % step == 0 {
            let rate = 1e6 / started.elapsed().as_secs_f64();
            println!("million {:>3}: {rate:>9.0} events/s, ratio to floor {:.2}", (round + 1) / step, rate / floor);
            started = Instant::now();
        }
    }
    drop(intake);
    writer.join();
    let status = store.status().expect("a status");
    let events = (millions * 1_000_000) as f64;
    println!("bytes an event: {:.1} (log {} MiB)", status.bytes as f64 / events, status.wal_bytes >> 20);
}

async fn send(intake: &Intake, scope: Scope, request: usize, requests: usize) {
    let props: Vec<_> = (0..BATCH)
        .map(|i| {
            let text = format!(r#"{{"command":"build","flags":["--release"],"success":true,"duration_ms":{}}}"#, i * 7);
            RawValue::from_string(text).expect("it is JSON")
        })
        .collect();
    // A year passes in the run; one user a request, with two sessions.
    let at = START + (request as i64) * (365 * Millis::DAY / requests as i64);
    let user = format!("client_{:064x}", (request * 7_919) % 20_000);
    let claims = (0..BATCH).map(|i| {
        let mut facts = RawFacts::default();
        facts
            .set(Fact::Version, Some(["1.0.0", "1.1.0", "1.2.0", "2.0.0"][(request / 3 + request * 4 / requests) % 4]));
        facts.set(Fact::System, Some(["linux", "macos", "windows"][request % 3]));
        facts.set(Fact::Arch, Some("x86_64"));
        facts.set(Fact::Sdk, Some("telemetry-kit-rust/0.3.0"));
        facts.set(Fact::Language, Some("rust 1.75.0"));
        Claim::Event(RawEvent {
            id: Some(EventId::random()),
            claimed_at: Some(Millis(at + i as i64 * 997)),
            name: ["command_execution", "feature_used", "opened", "saved"][i % 4].into(),
            category: Some("usage".into()),
            user: Some(user.as_str().into()),
            session: Some(format!("sess_{request:030x}{:02x}", i / 50).into()),
            props: Some(&props[i]),
            error: None,
            facts,
        })
    });
    let request = Request {
        scope,
        received_at: Millis(at + 100_000),
        sent_at: None,
        nonce: None,
        claims: claims.collect(),
        sign_out: None,
    };
    let receipt = intake.accept(request).await.expect("nothing is refused");
    assert_eq!(receipt.stored(), BATCH);
}

fn scope(store: &dyn Store) -> Scope {
    let app = NewApp {
        organization: None,
        uuid: uuid::Uuid::new_v4(),
        slug: Slug::from_name("bench"),
        slug_fixed: true,
        name: "Bench".to_owned(),
        zone: Zone::find("Europe/Zurich").expect("the zone exists"),
        salt: Salt([7; 32]),
        strict: false,
    };
    let app = store.create_app(&app, &By::command_line(Millis(START))).expect("the app is made");
    let environment = app.environments[0].id;
    let key = NewIngestKey {
        environment,
        name: "bench".to_owned(),
        hint: "tk_bench".to_owned(),
        token_hash: [1; 32],
        sealed_secret: vec![0],
    };
    let key = store.create_key(&key, Millis(START)).expect("the key is made").id;
    assert_eq!(key, IngestKeyId(1));
    Scope { app: Arc::new(app), environment, key: Some(key), country: None }
}
