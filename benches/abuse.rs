//! What abuse costs those who behave, and whether time tells a secret.
//!
//! `cargo bench --bench abuse` prints a table with bars and writes `target/bench/abuse.json`: ingest with and without a
//! flood of sign-ins from many addresses (latency as a ratio within one run, memory as a difference), and Welch's t of the
//! times that a wrong password and an unknown name take, and of signatures that differ in their first or last byte.

#[path = "rig/mod.rs"]
#[expect(dead_code, reason = "the load of the other benches is not measured here")]
mod rig;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rig::Rig;
use rig::measure::{Figures, at};
use rig::process::memory;
use rig::traffic::{Connection, Sender, batch, clients};
use tallybox::auth::password::{self, Hasher, Verdict};
use tallybox::auth::signature::SignedText;
use tallybox::store::sqlite::{Options, SqliteStore};

/// Connections that send events, single events each, and how many in each part.
const SENDERS: usize = 8;
const EVENTS: usize = 24_000;
/// Connections that guess.
const GUESSERS: u32 = 64;
/// Sign-ins a second that are tried meanwhile.
const FLOOD: u32 = 1_000;
/// Longest that events may be slowed by it, and most memory that it may take in MiB.
const SLOWED: f64 = 1.5;
const GROWN: f64 = 64.0;
/// Samples of each kind, and the bar of Welch's t: beyond it two kinds can be told apart.
const HASHES: usize = 300;
const SIGNATURES: usize = 100_000;
const TOLD_APART: f64 = 4.5;

fn main() {
    let mut figures = Figures::default();
    flood(&mut figures);
    passwords(&mut figures);
    signatures(&mut figures);
    figures.save("abuse");
}

/// Events alone, beside the flood, and alone again.
fn flood(figures: &mut Figures) {
    let environment = vec![("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let mut rig = Rig::new(environment, |directory| {
        Box::new(SqliteStore::open(&directory.join("tallybox.db"), Options::default()).expect("the database opens"))
    });
    rig.launch();
    let before = send(&rig, 0);
    let (quiet, _) = memory(rig.id());
    let (over, tried) = (AtomicBool::new(false), AtomicUsize::new(0));
    let during = thread::scope(|scope| {
        for part in 0..GUESSERS {
            let (rig, over, tried) = (&rig, &over, &tried);
            scope.spawn(move || sign_in(rig, part, over, tried));
        }
        let began = Instant::now();
        let waits = send(&rig, 1);
        over.store(true, Ordering::Relaxed);
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        figures.add("flood_logins_per_s", tried.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64());
        waits
    });
    let (loaded, _) = memory(rig.id());
    let after = send(&rig, 2);
    let alone = f64::midpoint(before, after);
    println!("p99 of an event: alone {before:.1} and {after:.1} ms, beside the flood {during:.1} ms");
    bar(figures, "flood_slows_events", during / alone, SLOWED);
    bar(figures, "flood_takes_mib", (loaded - quiet).max(0.0), GROWN);
}

/// The time that 99 of 100 events stay below, in milliseconds.
fn send(rig: &Rig, round: usize) -> f64 {
    let waits = clients(rig, SENDERS, |client, mut connection| {
        (0..EVENTS / SENDERS)
            .map(|n| {
                let number = round * EVENTS + client * EVENTS / SENDERS + n;
                let body = batch(&Sender::of_the_year(number, 3 * EVENTS, 1));
                let request = rig.signed(&body);
                let began = Instant::now();
                let (status, _) = connection.exchange(&request);
                assert_eq!(status, 200, "an event is not taken");
                began.elapsed()
            })
            .collect::<Vec<_>>()
    });
    let mut waits: Vec<Duration> = waits.into_iter().flatten().collect();
    waits.sort_unstable();
    at(&waits, 0.99)
}

/// A part of the flood: made-up names from made-up addresses, at an even pace.
fn sign_in(rig: &Rig, part: u32, over: &AtomicBool, tried: &AtomicUsize) {
    let mut connection = Connection::open(rig);
    let (began, mut sent) = (Instant::now(), 0_u32);
    while !over.load(Ordering::Relaxed) {
        if f64::from(sent) > began.elapsed().as_secs_f64() * f64::from(FLOOD) / f64::from(GUESSERS) {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        sent += 1;
        let body = format!("name=nobody-{part}-{sent}&password=a-guess-of-some-length");
        let address = format!("198.{}.{}.{}", 18 + part % 2, sent / 250 % 250, sent % 250);
        let request = format!(
            "POST /login HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\nx-forwarded-for: {address}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
            host = rig.address
        );
        let (status, _) = connection.exchange(request.as_bytes());
        assert!(matches!(status, 401 | 429), "a guess is answered with {status}");
        tried.fetch_add(1, Ordering::Relaxed);
    }
}

/// A wrong password of a member, and one of somebody who is none.
fn passwords(figures: &mut Figures) {
    let known = password::hash("plover zinc fathom");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let hasher = Hasher::default();
    let time = |phc: Option<String>| {
        let began = Instant::now();
        let verdict = runtime.block_on(hasher.verify("a guess of some length", phc));
        assert!(matches!(verdict, Ok(Verdict::Wrong)), "a guess is right");
        began.elapsed().as_secs_f64()
    };
    let samples: Vec<_> = (0..HASHES).map(|_| (time(Some(known.clone())), time(None))).collect();
    let (wrong, unknown): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
    bar(figures, "unknown_name_t", welch(&cropped(wrong), &cropped(unknown)).abs(), TOLD_APART);
}

/// A signature that is wrong from its first byte on, and one that is wrong in its last.
fn signatures(figures: &mut Figures) {
    let signed = SignedText { timestamp: "1800000000", nonce: None, body: b"{\"events\":[]}" };
    let secret = b"a secret of enough characters";
    let right = signed.sign(secret);
    let (mut first, mut last) = (right, right);
    first[0] ^= 1;
    last[31] ^= 1;
    let time = |claimed: &[u8; 32]| {
        let began = Instant::now();
        assert!(!std::hint::black_box(signed.verify(secret, claimed)));
        began.elapsed().as_secs_f64()
    };
    // In turns, so that neither has the other's warm caches more often.
    let pair = |n: usize| match n % 2 {
        0 => (time(&first), time(&last)),
        _ => {
            let later = time(&last);
            (time(&first), later)
        }
    };
    let (first, last): (Vec<_>, Vec<_>) = (0..SIGNATURES).map(pair).unzip();
    bar(figures, "signature_byte_t", welch(&cropped(first), &cropped(last)).abs(), TOLD_APART);
}

/// Without the slowest twentieth, which is the machine's.
fn cropped(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len() * 19 / 20);
    times
}

/// Welch's t of two samples.
#[expect(clippy::cast_precision_loss, reason = "a hundred thousand at the most")]
fn welch(one: &[f64], other: &[f64]) -> f64 {
    let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
    let spread = |times: &[f64]| {
        let middle = mean(times);
        times.iter().map(|time| (time - middle).powi(2)).sum::<f64>() / (times.len() - 1) as f64 / times.len() as f64
    };
    (mean(one) - mean(other)) / (spread(one) + spread(other)).sqrt()
}

fn bar(figures: &mut Figures, name: &str, value: f64, most: f64) {
    println!("{name:24} {value:8.2}   bar {most}{}", if value > most { "   MISSED" } else { "" });
    figures.add(name, value);
}
