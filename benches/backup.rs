//! Backups beside commits: how fast one is made, how much it holds commits up, and how fast it is back.
//!
//! `cargo bench --bench backup -- [millions]`: prints the speed of a plain and of an encrypted backup in MiB/s, the 99th
//! percentile of the time of a commit while one is made as a ratio to that before, and seconds a GiB for restoring,
//! verification included. Commits come at 20 a second with 100 events each.

mod direct;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use direct::{BATCH, CLIENTS, START, props, scope};
use tallybox::backup::age::Key;
use tallybox::backup::{Database, Shelf};
use tallybox::clock::Clock;
use tallybox::depot::Depot;
use tallybox::ingest::{Claim, Intake, QueueSize, Request, Scope};
use tallybox::model::{EventId, Fact, Limits, Millis, RawEvent, RawFacts};
use tallybox::store::Store;
use tallybox::store::sqlite::{Options, SqliteStore};

/// Between two commits that are timed.
const PACE: Duration = Duration::from_millis(50);
/// How long commits are timed before a backup.
const BEFORE: Duration = Duration::from_secs(5);
/// Backups of each kind.
const ROUNDS: i64 = 3;

#[tokio::main]
async fn main() {
    let millions: f64 = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1.0);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("tallybox.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, Options::default()).expect("the database opens"));
    let scope = scope(&*store);
    let (intake, writer) =
        Intake::start(store.clone(), Arc::new(Limits::default()), Clock::system(), QueueSize::default())
            .expect("the writer starts");
    let requests = (millions * 1e6) as usize / BATCH;
    for round in 0..requests / CLIENTS {
        let clients = (0..CLIENTS).map(|client| {
            let (intake, scope) = (intake.clone(), scope.clone());
            tokio::spawn(async move { send(&intake, scope, round * CLIENTS + client).await })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.expect("a client never panics");
        }
    }
    let stop = AtomicBool::new(false);
    let calm = times(&intake, &scope, requests, || false, BEFORE).await;
    println!("{:<44} {:>10.2}", "commit_p99_before_ms", p99(&calm));
    for (kind, key) in [("plain", None), ("encrypted", Some(Key::generate()))] {
        measure(kind, key, (&intake, &scope, requests), (directory.path(), p99(&calm)), &stop).await;
    }
    drop(intake);
    writer.join();
}

async fn measure(
    kind: &str,
    key: Option<Key>,
    (intake, scope, from): (&Intake, &Scope, usize),
    (directory, calm): (&Path, f64),
    stop: &AtomicBool,
) {
    let shelf = Shelf::new(Depot::folder(&directory.join(kind)), directory, 1, key);
    let (mut made, mut busy, mut took) = (None, Vec::new(), Duration::ZERO);
    for round in 0..ROUNDS {
        stop.store(false, Ordering::Relaxed);
        let (ended, timed) = std::thread::scope(|threads| {
            let (shelf, database) = (&shelf, Database::Sqlite(directory.join("tallybox.db")));
            let backup = threads.spawn(move || {
                let begun = Instant::now();
                let made = shelf.make(&database, Millis(START + round)).expect("a backup is made");
                stop.store(true, Ordering::Relaxed);
                (made, begun.elapsed())
            });
            let runtime = tokio::runtime::Handle::current();
            let over = || stop.load(Ordering::Relaxed);
            let timed = tokio::task::block_in_place(|| {
                runtime.block_on(times(intake, scope, from + 10_000, over, Duration::from_secs(600)))
            });
            (backup.join().expect("it does not panic"), timed)
        });
        took += ended.1;
        made = Some(ended.0);
        busy.extend(timed);
    }
    let made = made.expect("there was a round");
    let bytes = made.manifest.bytes as f64;
    let mebibytes = bytes / f64::from(1 << 20);
    let laid = made.manifest.encrypted.as_ref().map_or(made.manifest.bytes, |sealed| sealed.bytes);
    let begun = Instant::now();
    shelf.restore(&made.name, &Database::Sqlite(directory.join(kind).join("restored.db"))).expect("it is restored");
    let restored = begun.elapsed().as_secs_f64();
    for (figure, value) in [
        ("backup_mib", laid as f64 / f64::from(1 << 20)),
        ("backup_mib_per_s", mebibytes * ROUNDS as f64 / took.as_secs_f64()),
        ("commit_p99_during_ms", p99(&busy)),
        ("commit_p99_ratio", p99(&busy) / calm),
        ("restore_s_per_gib", restored / (mebibytes / 1_024.0)),
    ] {
        println!("{:<44} {value:>10.2}", format!("{kind}_{figure}"));
    }
}

/// How long commits take, in milliseconds, until it is over.
async fn times(intake: &Intake, scope: &Scope, from: usize, over: impl Fn() -> bool, limit: Duration) -> Vec<f64> {
    let (mut times, begun) = (Vec::new(), Instant::now());
    while !over() && begun.elapsed() < limit {
        let started = Instant::now();
        send(intake, scope.clone(), from + times.len()).await;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PACE.saturating_sub(started.elapsed())).await;
    }
    times
}

fn p99(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

async fn send(intake: &Intake, scope: Scope, request: usize) {
    let props = props();
    let at = START + request as i64 * 60_000;
    let user = format!("client_{:064x}", (request * 7_919) % 20_000);
    let claims = (0..BATCH).map(|i| {
        let mut facts = RawFacts::default();
        facts.set(Fact::Version, Some(["1.0.0", "1.1.0", "1.2.0", "2.0.0"][request % 4]));
        facts.set(Fact::System, Some(["linux", "macos", "windows"][request % 3]));
        Claim::Event(RawEvent {
            id: Some(EventId::random()),
            claimed_at: Some(Millis(at + i as i64 * 97)),
            name: ["command_execution", "feature_used", "opened", "saved"][i % 4].into(),
            category: Some("usage".into()),
            user: Some(user.as_str().into()),
            session: Some(format!("sess_{request:030x}").into()),
            props: Some(Cow::Borrowed(&props[i])),
            facts,
            ..RawEvent::default()
        })
    });
    let received_at = Millis(at + 100_000);
    let request = Request {
        scope,
        received_at,
        sent_at: None,
        nonce: None,
        claims: claims.collect(),
        people: Vec::new(),
        sign_out: None,
    };
    let receipt = intake.accept(request).await.expect("nothing is refused");
    assert_eq!(receipt.stored(), BATCH);
}
