//! The box as its users meet it: a real server process under load, from the same machine.
//!
//! `cargo bench --bench http -- [millions]` prints a table and writes `target/bench/http.json`: events a second in
//! batches and their ratio to the floor of SQLite, single-event requests with their latencies, the rate of the last
//! million against the first, bytes an event, memory, and the overview page cold and warm over what was sent.

#[path = "floor/mod.rs"]
mod floor;
#[path = "rig/mod.rs"]
mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rig::{Connection, Rig, Sender, batch, clients};

/// Events of a batch.
const BATCH: usize = 100;
/// Connections that send batches.
const SENDERS: usize = 8;
/// Connections that send one event a request.
const SINGLES: usize = 64;
/// Single-event requests in all.
const SINGLE_REQUESTS: usize = 100_000;

struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    fn add(&mut self, name: &'static str, value: f64) {
        println!("{name:<44} {value:>14.2}");
        self.0.push((name, value));
    }

    fn save(&self) {
        let fields: Vec<_> = self.0.iter().map(|(name, value)| format!("  \"{name}\": {value:.3}")).collect();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&folder).expect("the folder is made");
        std::fs::write(folder.join("http.json"), format!("{{\n{}\n}}\n", fields.join(",\n")))
            .expect("the file is written");
    }
}

fn main() {
    let millions: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(2);
    let mut figures = Figures(Vec::new());
    let rig = Arc::new(Rig::start());
    std::thread::sleep(Duration::from_secs(2));
    figures.add("idle_memory_mib", rig.memory().0);

    singles(&rig, &mut figures);
    let floor = floor::measure(rig.directory.path());
    figures.add("floor_rows_per_s", floor);
    let rates = batches(&rig, millions);
    let first = rates[0];
    let last = rates[rates.len() - 1];
    figures.add("batches_first_million_events_per_s", first);
    figures.add("batches_last_million_events_per_s", last);
    figures.add("batches_median_events_per_s", median(rates.clone()));
    figures.add("batches_median_ratio_to_floor", median(rates) / floor);
    figures.add("last_to_first_million", last / first);
    figures.add("load_memory_peak_mib", rig.memory().1);
    let events = millions * 1_000_000 + SINGLE_REQUESTS;
    figures.add("bytes_per_event", rig.bytes() as f64 / events as f64);
    pages(&rig, &mut figures);
    figures.add("memory_after_pages_mib", rig.memory().0);
    figures.save();
}

/// Signed one-event requests on 64 connections.
fn singles(rig: &Arc<Rig>, figures: &mut Figures) {
    let each = SINGLE_REQUESTS / SINGLES;
    let start = std::sync::Barrier::new(SINGLES);
    let results = clients(rig, SINGLES, |n, mut connection| {
        let requests: Vec<_> = (0..each).map(|i| rig.signed(&batch(&now_from(n, i)))).collect();
        start.wait();
        let began = Instant::now();
        let mut waits = Vec::with_capacity(each);
        for request in &requests {
            let sent = Instant::now();
            assert_eq!(connection.exchange(request).0, 200);
            waits.push(sent.elapsed());
        }
        (began, Instant::now(), waits)
    });
    let began = results.iter().map(|r| r.0).min().expect("there are clients");
    let ended = results.iter().map(|r| r.1).max().expect("there are clients");
    let mut waits: Vec<_> = results.into_iter().flat_map(|r| r.2).collect();
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    figures.add("singles_requests_per_s", waits.len() as f64 / (ended - began).as_secs_f64());
    figures.add("singles_p50_ms", at(0.5));
    figures.add("singles_p99_ms", at(0.99));
}

/// The `i`th event of client `n`, at this moment.
fn now_from(n: usize, i: usize) -> Sender {
    let at = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis()).expect("in range");
    let session = 1_000_000_000 + n * SINGLE_REQUESTS + i / 50;
    Sender { user: 20_000 + n * 100 + i / 500, session, at, release: 3, events: 1 }
}

/// Batches on 8 connections; the requests of each million are made before its time is taken. Events a second of each.
fn batches(rig: &Arc<Rig>, millions: usize) -> Vec<f64> {
    let per_million = 1_000_000 / BATCH;
    let total = millions * per_million;
    (0..millions)
        .map(|million| {
            let requests: Vec<Vec<u8>> = std::thread::scope(|scope| {
                let halves: Vec<_> = (0..2)
                    .map(|half| {
                        scope.spawn(move || {
                            let share = per_million / 2;
                            let first = million * per_million + half * share;
                            (first..first + share)
                                .map(|r| rig.signed(&batch(&Sender::of_the_year(r, total, BATCH))))
                                .collect::<Vec<_>>()
                        })
                    })
                    .collect();
                halves.into_iter().flat_map(|half| half.join().expect("requests are made")).collect()
            });
            let next = AtomicUsize::new(0);
            let (cpu, written) = (rig.cpu(), rig.written());
            let began = Instant::now();
            clients(rig, SENDERS, |_, mut connection| {
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    assert_eq!(connection.exchange(request).0, 200);
                }
            });
            let took = began.elapsed().as_secs_f64();
            println!(
                "million {:>3}: {:>9.0} events/s, {:.2} processors in the server, {:.0} bytes written an event, {:.0} MiB",
                million + 1,
                1e6 / took,
                (rig.cpu() - cpu) / took,
                (rig.written() - written) / 1e6,
                rig.memory().0
            );
            1e6 / took
        })
        .collect()
}

/// The overview over the year that was sent, with the cache cold (answers are live for half a second) and warm.
fn pages(rig: &Arc<Rig>, figures: &mut Figures) {
    let mut connection = Connection::open(rig);
    for (range, cold_name, warm_name) in [
        ("?range=28d", "overview_28d_cold_ms", "overview_28d_warm_ms"),
        ("?range=year", "overview_year_cold_ms", "overview_year_warm_ms"),
    ] {
        let request =
            format!("GET /apps/bench{range} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n\r\n", rig.address, rig.cookie);
        let mut fetch = || {
            let began = Instant::now();
            let (status, _) = connection.exchange(request.as_bytes());
            assert_eq!(status, 200, "{request}");
            began.elapsed().as_secs_f64() * 1e3
        };
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for _ in 0..9 {
            std::thread::sleep(Duration::from_millis(700));
            cold.push(fetch());
            warm.push(fetch());
        }
        figures.add(cold_name, median(cold));
        figures.add(warm_name, median(warm));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
