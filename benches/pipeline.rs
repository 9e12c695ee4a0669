//! The pipeline without HTTP: normalization, queue and commits, against the floor that SQLite itself sets.
//!
//! `cargo bench --bench pipeline -- [millions]`: prints events a second for each million, bytes an event, and the ratio
//! to inserts of the same rows into a bare table.

mod direct;
mod floor;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use direct::{BATCH, CLIENTS, START, props, scope};
use tallybox::clock::Clock;
use tallybox::ingest::{Claim, Intake, QueueSize, Request, Scope};
use tallybox::model::{EventId, Fact, Limits, Millis, RawEvent, RawFacts};
use tallybox::store::Store;
use tallybox::store::sqlite::{Options, SqliteStore};

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
    let props = props();
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
            props: Some(Cow::Borrowed(&props[i])),
            facts,
            ..RawEvent::default()
        })
    });
    let request = Request {
        scope,
        received_at: Millis(at + 100_000),
        sent_at: None,
        nonce: None,
        claims: claims.collect(),
        people: Vec::new(),
        sign_out: None,
    };
    let receipt = intake.accept(request).await.expect("nothing is refused");
    assert_eq!(receipt.stored(), BATCH);
}
