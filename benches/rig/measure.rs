//! One run: single events, batches against the database's own floor, the overview over what was sent.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::traffic::{Connection, Sender, batch, clients};
use super::{Backend, Rig, identify, process};

/// Events of a batch.
const BATCH: usize = 100;
/// Connections that send batches where there are few.
const FEW: usize = 8;
/// Connections that send one event a request.
const SINGLES: usize = 64;
/// Single-event requests in all, the same for each connection.
const SINGLE_REQUESTS: usize = 100_000 / SINGLES * SINGLES;

/// What was measured.
#[derive(Default)]
pub struct Figures(Vec<(String, f64)>);

impl Figures {
    /// Prints a figure and keeps it.
    pub fn add(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        println!("{name:<44} {value:>14.2}");
        self.0.push((name, value));
    }

    /// Writes all to a file in `target/bench` that is named after the bench.
    pub fn save(&self, bench: &str) {
        let fields: Vec<_> = self.0.iter().map(|(name, value)| format!("  \"{name}\": {value:.3}")).collect();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        std::fs::create_dir_all(&folder).expect("the folder is made");
        std::fs::write(folder.join(format!("{bench}.json")), format!("{{\n{}\n}}\n", fields.join(",\n")))
            .expect("the file is written");
    }
}

/// Measures the box over a database with so many millions of events as the first argument says, else two. Prints a
/// table and writes it to a file in `target/bench` that is named after the bench.
pub fn run(bench: &str, backend: &dyn Backend) {
    let millions = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).filter(|n| *n > 0).unwrap_or(2);
    let events = millions * 1_000_000 + SINGLE_REQUESTS;
    let mut figures = Figures::default();
    let mut rig = Rig::new(backend.environment(), |directory| backend.open(directory));
    rig.launch();
    let directory = rig.directory.path();
    let memory = || process::memory(rig.id());
    std::thread::sleep(Duration::from_secs(2));
    figures.add("idle_memory_mib", memory().0);

    singles(&rig, &mut figures);
    let total = millions * 1_000_000 / BATCH;
    let senders: Vec<_> = (0..1_000_000 / BATCH).map(|n| Sender::of_the_year(n, total, BATCH)).collect();
    let floor = backend.floor(directory, &senders);
    figures.add("floor_rows_per_s", floor.grouped);
    if let Some(bulk) = floor.bulk {
        figures.add("floor_one_commit_rows_per_s", bulk);
    }
    let Load { rates, used } = batches(&rig, backend, millions, backend.senders());
    let first = rates[0];
    let last = rates[rates.len() - 1];
    let middle = median(rates);
    figures.add("batches_connections", backend.senders() as f64);
    figures.add("batches_first_million_events_per_s", first);
    figures.add("batches_last_million_events_per_s", last);
    figures.add("batches_median_events_per_s", middle);
    figures.add("last_to_first_million", last / first);
    for (name, amount) in used {
        figures.add(format!("batches_{name}_per_event"), amount / (millions * 1_000_000) as f64);
    }
    figures.add("load_memory_peak_mib", memory().1);
    figures.add("bytes_per_event", backend.size(directory) / events as f64);
    let touches = pages(&rig, &mut figures);
    figures.add("memory_after_pages_mib", memory().0);
    identify::measure(&rig, &mut figures);
    for (name, value) in backend.account(events + touches) {
        figures.add(name, value);
    }
    // A disk that is not steady shows in how far the two are apart.
    let afterwards = backend.floor(directory, &senders).grouped;
    figures.add("floor_afterwards_rows_per_s", afterwards);
    figures.add("batches_median_ratio_to_floors", middle / f64::midpoint(floor.grouped, afterwards));
    if backend.senders() != FEW {
        let few = batches(&rig, backend, 1, FEW).rates[0];
        figures.add(format!("batches_{FEW}_connections_events_per_s"), few);
    }
    figures.save(bench);
}

/// Signed one-event requests on 64 connections.
fn singles(rig: &Rig, figures: &mut Figures) {
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
    figures.add("singles_requests_per_s", waits.len() as f64 / (ended - began).as_secs_f64());
    figures.add("singles_p50_ms", at(&waits, 0.5));
    figures.add("singles_p99_ms", at(&waits, 0.99));
}

/// How long at most that share of the sorted waits took, in milliseconds.
pub fn at(waits: &[Duration], share: f64) -> f64 {
    waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

/// The `i`th event of client `n`, at this moment.
fn now_from(n: usize, i: usize) -> Sender {
    let at = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis()).expect("in range");
    let session = 1_000_000_000 + n * SINGLE_REQUESTS + i / 50;
    Sender { user: 20_000 + n * 100 + i / 500, session, at, release: 3, events: 1 }
}

/// What became of the batches.
struct Load {
    /// Events a second of each million.
    rates: Vec<f64>,
    /// What all took together: names and amounts.
    used: Vec<(&'static str, f64)>,
}

/// Batches on so many connections; the requests of each million are made before its time is taken.
fn batches(rig: &Rig, backend: &dyn Backend, millions: usize, senders: usize) -> Load {
    let per_million = 1_000_000 / BATCH;
    let used = || {
        let mut used = vec![("server_cpu_us", process::cpu(rig.id()) * 1e6)];
        used.extend(backend.used(rig.id()));
        used
    };
    let mut load = Load { rates: Vec::new(), used: Vec::new() };
    for million in 0..millions {
        let requests = requests(rig, million * per_million..(million + 1) * per_million, millions * per_million);
        let next = AtomicUsize::new(0);
        let before = used();
        let began = Instant::now();
        clients(rig, senders, |_, mut connection| {
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                assert_eq!(connection.exchange(request).0, 200);
            }
        });
        let rate = 1e6 / began.elapsed().as_secs_f64();
        let spent = used().into_iter().zip(before).map(|((name, now), (_, then))| (name, now - then));
        let spent: Vec<_> = spent.collect();
        let each: Vec<_> = spent.iter().map(|(name, amount)| format!("{name} {:.2}", amount / 1e6)).collect();
        let memory = process::memory(rig.id()).0;
        println!("million {:>3}: {rate:>9.0} events/s, {memory:.0} MiB; an event: {}", million + 1, each.join(", "));
        load.rates.push(rate);
        if load.used.is_empty() {
            load.used = spent;
        } else {
            load.used.iter_mut().zip(spent).for_each(|(sum, (_, amount))| sum.1 += amount);
        }
    }
    load
}

/// Those of the `total` batches of a year that are numbered so.
fn requests(rig: &Rig, numbers: Range<usize>, total: usize) -> Vec<Vec<u8>> {
    let middle = numbers.start.midpoint(numbers.end);
    let make = |numbers: Range<usize>| -> Vec<_> {
        numbers.map(|n| rig.signed(&batch(&Sender::of_the_year(n, total, BATCH)))).collect()
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| make(middle..numbers.end));
        let mut requests = make(numbers.start..middle);
        requests.extend(second.join().expect("requests are made"));
        requests
    })
}

/// The overview over the year that was sent, with the cache warm, and cold: an event has come since, half a second ago.
/// How many of those there were.
fn pages(rig: &Rig, figures: &mut Figures) -> usize {
    let mut touches = 0;
    let mut connection = Connection::open(rig);
    for (range, cold_name, warm_name) in [
        ("?range=28d", "overview_28d_cold_ms", "overview_28d_warm_ms"),
        ("?range=year", "overview_year_cold_ms", "overview_year_warm_ms"),
    ] {
        let request =
            format!("GET /apps/bench{range} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n\r\n", rig.address, rig.cookie);
        let mut fetch = |request: &[u8]| {
            let began = Instant::now();
            assert_eq!(connection.exchange(request).0, 200);
            began.elapsed().as_secs_f64() * 1e3
        };
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for round in 0..9 {
            fetch(&rig.signed(&batch(&Sender::of_the_year(round, 9, 1))));
            touches += 1;
            std::thread::sleep(Duration::from_millis(700));
            cold.push(fetch(request.as_bytes()));
            warm.push(fetch(request.as_bytes()));
        }
        figures.add(cold_name, median(cold));
        figures.add(warm_name, median(warm));
    }
    touches
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
