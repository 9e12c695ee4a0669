//! Questions over a made-up year of 100,000 people that is settled, and to whose last week events have come since, cold and
//! warm, the memory that the dearest of them take together, and what ingest and pages cost each other.
//!
//! `cargo bench --bench analytics -- [millions]` prints a table with bars and writes `target/bench/analytics.json`. The
//! year comes from the verb `demo`. An answer is cold where the server has never given it: each question is put to a
//! server that was started for it, and the server's own count of its reads says that nothing came from its cache, and
//! for warm ones that everything did. The operating system has the file in memory all the while.

#[path = "rig/mod.rs"]
#[expect(dead_code, reason = "the load of the other benches is not measured here")]
mod rig;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use jiff::civil::Date;
use rig::Rig;
use rig::measure::{Figures, at, median};
use rig::traffic::{Connection, Sender, batch, clients};
use tallybox::model::{Dimension, Millis};
use tallybox::store::sqlite::{Options, SqliteStore};

/// People of the year.
const PEOPLE: &str = "100000";
/// How often each question is put; the one in the middle counts.
const ROUNDS: usize = 5;
/// Most memory that the server may have at its peak, in MiB.
const MEMORY: f64 = 128.0;
/// Longest that an overview may take once it is in the cache, in milliseconds.
const WARM: f64 = 5.0;

/// Events of each hour of the last week that come late.
const LATE: usize = 10;

/// Connections that send batches, and events of a batch.
const SENDERS: usize = 8;
const BATCH: usize = 100;
/// Batches that are sent without pages, with them, and without them again.
const BATCHES: usize = 6_000;
/// Pages are asked for this often while batches are sent: four cold overviews a second.
const PACE: Duration = Duration::from_millis(250);
/// Most that pages may slow down, and the share of its rate that ingest must keep.
const PAGES_SLOWED: f64 = 2.0;
const INGEST_KEPT: f64 = 0.9;

/// What is asked.
struct Question {
    name: String,
    address: String,
    /// Longest that it may take cold, in milliseconds.
    bar: f64,
}

fn question(name: impl Into<String>, address: impl Into<String>, bar: f64) -> Question {
    Question { name: name.into(), address: address.into(), bar }
}

fn questions() -> Vec<Question> {
    let funnel = "/apps/bench/funnel?step=app_opened&step=note_created&step=note_shared&window=7d&range=90d";
    let week_ago = jiff::Timestamp::from_millisecond(now() - 7 * Millis::DAY).expect("in range");
    // Rare enough that the whole week is looked through.
    let events = format!("/api/v1/apps/bench/events?since={week_ago}&prop:format=html&limit=1000");
    let mut all = vec![
        question("overview_28d", "/apps/bench?range=28d", 50.0),
        question("overview_year", "/apps/bench?range=year", 50.0),
        question("monthly_users", "/api/v1/apps/bench/query?metric=users&range=year&by=month", 50.0),
        question("retention_12_weeks", "/apps/bench/retention?by=week", 300.0),
        question("funnel_90d", funnel, 1_000.0),
        question("property_7d", "/api/v1/apps/bench/query?range=7d&dimension=prop:network", 100.0),
        question("property_users_7d", "/api/v1/apps/bench/query?range=7d&dimension=prop:network&metric=users", 100.0),
        // Weeks that are over.
        question("property_settled_7d", past_week("/api/v1/apps/bench/query?dimension=prop:network"), 100.0),
        question("property_year", "/api/v1/apps/bench/query?range=year&dimension=prop:network", 100.0),
        question(
            "property_users_year",
            "/api/v1/apps/bench/query?range=year&dimension=prop:network&metric=users",
            100.0,
        ),
        // Of every visit, of several events, and of many values.
        question(
            "property_plan_users_year",
            "/api/v1/apps/bench/query?range=year&dimension=prop:plan&metric=users",
            100.0,
        ),
        question(
            "property_of_an_event_year",
            "/apps/bench/breakdown?range=year&dimension=prop:markdown&event=note_edited",
            100.0,
        ),
        question("property_many_values_year", "/apps/bench/breakdown?range=year&dimension=prop:notes", 100.0),
        question("property_of_numbers_year", "/apps/bench/breakdown?range=year&dimension=prop:duration_ms", 100.0),
        question("property_filtered_year", "/api/v1/apps/bench/query?range=year&by=month&prop:network=wifi", 100.0),
        question("events_by_property_7d", events, 500.0),
        question(
            "users_of_a_version_year",
            "/api/v1/apps/bench/query?metric=users&range=year&by=month&version=2.3.0",
            100.0,
        ),
    ];
    // Of each dimension on the page that menus lead to, and by users, who do not add up.
    all.extend(Dimension::OFFERED.iter().flat_map(|dimension| {
        let page = format!("/apps/bench/breakdown?range=year&dimension={dimension}");
        let users = format!("/api/v1/apps/bench/query?range=year&dimension={dimension}&metric=users");
        let name = |of: &str| format!("breakdown_{dimension}{of}_year");
        [question(name(""), page, 100.0), question(name("_users"), users, 100.0)]
    }));
    let by_version = |metric: &str| {
        let address = format!("/api/v1/apps/bench/query?range=year&dimension=version&metric={metric}");
        question(format!("breakdown_version_{metric}_year"), address, 100.0)
    };
    all.extend(["crash_free_users", "new_users", "session_length"].map(by_version));
    all
}

fn main() {
    let millions = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).filter(|n| *n > 0).unwrap_or(1_u32);
    let mut rig = Rig::new(Vec::new(), |directory| {
        let path = directory.join("tallybox.db");
        Box::new(SqliteStore::open(&path, Options::default()).expect("the database opens"))
    });
    let mut figures = Figures::default();
    let began = Instant::now();
    let events = (millions * 1_000_000).to_string();
    print!("{}", verb(&rig, &["demo", "--app", "bench", "--users", PEOPLE, "--events", &events]));
    figures.add("demo_s", began.elapsed().as_secs_f64());
    let token = verb(&rig, &["token", "create", "bench"]);
    let token = token.lines().find_map(|line| line.strip_prefix("token ")).expect("it is shown").trim().to_owned();
    let asker = Asker { token };
    settle(&mut rig, &mut figures);
    late(&rig);
    let mut bars = Vec::new();
    for question in questions() {
        bars.extend(asker.measure(&mut rig, &question, &mut figures));
    }
    bars.push(asker.heavy(&mut rig, &mut figures));
    rig.launch();
    rest(&rig);
    bars.extend(asker.together(&rig, &mut figures));
    tell(&bars);
    figures.save("analytics");
}

/// Waits until the server has settled the year, as one does that has been running for a while.
fn settle(rig: &mut Rig, figures: &mut Figures) {
    let bytes = |rig: &Rig| std::fs::metadata(rig.directory.path().join("tallybox.db")).map_or(0, |file| file.len());
    let before = bytes(rig);
    let began = Instant::now();
    rig.launch();
    rest(rig);
    figures.add("settling_s", began.elapsed().as_secs_f64());
    figures.add("settled_mb", (bytes(rig) - before) as f64 / 1e6);
}

/// Waits until the server has nothing to do of its own.
fn rest(rig: &Rig) {
    let mut connection = Connection::open(rig);
    let waits = |connection: &mut Connection| {
        let text = scrape(rig, connection);
        let figure = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let is_behind = ["tallybox_unsettled_days ", "tallybox_unsettled_counts "]
            .into_iter()
            .any(|name| figure(name) != Some("0"));
        // The daily look at every page begins with a start, and takes a processor.
        let is_checked = figure("tallybox_job_last_end_seconds{job=\"check\"} ").is_some_and(|at| at != "0");
        is_behind || !is_checked
    };
    while waits(&mut connection) {
        std::thread::sleep(PACE);
    }
}

/// Events of every hour of the last week come late, as they do on any day: no day of it is as it was settled.
fn late(rig: &Rig) {
    let mut connection = Connection::open(rig);
    for hour in 0..7 * 24 {
        let session = 3_000_000_000 + hour * 2;
        let at = now() - (hour as i64 + 1) * Millis::HOUR;
        let sender = Sender { user: hour * 7_919 % 20_000, session, at, release: 3, events: LATE };
        assert_eq!(connection.exchange(&rig.signed(&batch(&sender))).0, 200);
    }
}

/// Runs a verb over the rig's data; what it says.
fn verb(rig: &Rig, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallybox"));
    command.env_clear().env("TALLYBOX_DATA_DIR", rig.directory.path()).env("TALLYBOX_RETENTION_DAYS", "0");
    command.args(arguments).stderr(Stdio::inherit());
    let output = command.output().expect("the verb starts");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What was measured against its bar.
struct Bar {
    name: String,
    value: f64,
    bar: f64,
    is_kept: bool,
}

impl Bar {
    fn most(name: String, value: f64, bar: f64) -> Self {
        Self { name, value, bar, is_kept: value <= bar }
    }
}

fn tell(bars: &[Bar]) {
    println!("\n{:<36} {:>10} {:>8}", "against its bar", "value", "bar");
    for Bar { name, value, bar, is_kept } in bars {
        println!("{name:<36} {value:>10.2} {bar:>8.2}  {}", if *is_kept { "kept" } else { "MISSED" });
    }
}

/// Who asks: with the owner's cookie for pages, and a token for the read API.
struct Asker {
    token: String,
}

impl Asker {
    fn request(&self, rig: &Rig, address: &str) -> Vec<u8> {
        let Rig { address: host, cookie, .. } = rig;
        let token = &self.token;
        format!("GET {address} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\nauthorization: Bearer {token}\r\n\r\n")
            .into_bytes()
    }

    /// How long the answer took, in milliseconds, and the reads from the cache and from the database that it made.
    fn ask(&self, rig: &Rig, connection: &mut Connection, address: &str) -> (f64, [i64; 2]) {
        let request = self.request(rig, address);
        let before = reads(rig, connection);
        let began = Instant::now();
        let (status, body) = connection.exchange(&request);
        let took = began.elapsed().as_secs_f64() * 1e3;
        // What the box has given up has taken as long as that.
        assert!(status == 200 || status == 503, "{address}: {status} {}", String::from_utf8_lossy(body));
        let after = reads(rig, connection);
        (took, [after[0] - before[0], after[1] - before[1]])
    }

    /// A question cold, by a server that was started for it, and warm.
    fn measure(&self, rig: &mut Rig, question: &Question, figures: &mut Figures) -> Vec<Bar> {
        let Question { name, address, bar } = question;
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            rig.launch();
            let mut connection = Connection::open(rig);
            // Whoever asks is known from here on.
            connection.exchange(&self.request(rig, "/apps"));
            connection.exchange(&self.request(rig, "/api/v1/apps"));
            let (took, [hits, misses]) = self.ask(rig, &mut connection, address);
            assert!(hits == 0 && misses > 0, "{name} is not cold: {hits} hits, {misses} misses");
            cold.push(took);
            let (took, [hits, misses]) = self.ask(rig, &mut connection, address);
            assert!(hits > 0 && misses == 0, "{name} is not warm: {hits} hits, {misses} misses");
            warm.push(took);
        }
        let (cold, warm) = (median(cold), median(warm));
        figures.add(format!("{name}_cold_ms"), cold);
        figures.add(format!("{name}_warm_ms"), warm);
        let mut bars = vec![Bar::most(format!("{name}_cold_ms"), cold, *bar)];
        if name.starts_with("overview") {
            bars.push(Bar::most(format!("{name}_warm_ms"), warm, WARM));
        }
        bars
    }

    /// As many reports as may be loaded at once, each of which tells the users of every day apart: the server's memory.
    fn heavy(&self, rig: &mut Rig, figures: &mut Figures) -> Bar {
        rig.launch();
        let rig = &*rig;
        std::thread::scope(|scope| {
            for event in ["app_opened", "note_created", "note_shared", "command_execution"] {
                scope.spawn(move || {
                    let address =
                        format!("/api/v1/apps/bench/query?metric=users&range=year&by=day&event={event}&event!=none");
                    let (status, _) = Connection::open(rig).exchange(&self.request(rig, &address));
                    println!("users by day of {event}: {status}");
                });
            }
        });
        let peak = rig::process::memory(rig.id()).1;
        figures.add("heavy_reports_memory_peak_mib", peak);
        Bar::most("heavy_reports_memory_peak_mib".to_owned(), peak, MEMORY)
    }

    /// Ingest as fast as it goes, and overviews that nobody has asked for before, alone and together.
    fn together(&self, rig: &Rig, figures: &mut Figures) -> Vec<Bar> {
        let idle = AtomicBool::new(false);
        let mut weeks = (0..).map(overview_of_the_past);
        let alone = self.pages(rig, &mut weeks, |asked| asked < 24);
        let before = ingest(rig, 0);
        let (during, together) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| self.pages(rig, &mut weeks, |_| !idle.load(Ordering::Relaxed)));
            let rate = ingest(rig, 1);
            idle.store(true, Ordering::Relaxed);
            (rate, reader.join().expect("pages are read"))
        });
        let after = ingest(rig, 2);
        let (alone, together) = (at(&alone, 0.5), at(&together, 0.5));
        let kept = during / f64::midpoint(before, after);
        figures.add("page_alone_ms", alone);
        figures.add("page_beside_ingest_ms", together);
        figures.add("ingest_alone_events_per_s", before);
        figures.add("ingest_beside_pages_events_per_s", during);
        figures.add("ingest_alone_again_events_per_s", after);
        vec![
            Bar::most("pages_slowed_by_ingest".to_owned(), together / alone, PAGES_SLOWED),
            Bar {
                name: "ingest_kept_beside_pages".to_owned(),
                value: kept,
                bar: INGEST_KEPT,
                is_kept: kept >= INGEST_KEPT,
            },
        ]
    }

    /// Pages at their pace as long as `goes_on` says of how many were asked for: how long they took, shortest first.
    fn pages(
        &self,
        rig: &Rig,
        addresses: &mut impl Iterator<Item = String>,
        goes_on: impl Fn(usize) -> bool,
    ) -> Vec<Duration> {
        let mut connection = Connection::open(rig);
        let mut waits = Vec::new();
        while waits.is_empty() || goes_on(waits.len()) {
            let request = self.request(rig, &addresses.next().expect("it has no end"));
            let began = Instant::now();
            assert_eq!(connection.exchange(&request).0, 200);
            waits.push(began.elapsed());
            std::thread::sleep(PACE.saturating_sub(began.elapsed()));
        }
        waits.sort_unstable();
        waits
    }
}

/// The overview of 28 days that ended some days ago: each is another one.
fn overview_of_the_past(back: i64) -> String {
    format!("/apps/bench?from={}&to={}", day(back + 30), day(back + 3))
}

/// A question about the seven days that ended three days ago.
fn past_week(question: &str) -> String {
    format!("{question}&from={}&to={}", day(9), day(3))
}

/// The day so many days ago.
fn day(ago: i64) -> Date {
    let at = jiff::Timestamp::from_millisecond(now() - ago * Millis::DAY).expect("in range");
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Batches that end at this moment on all connections: events a second. The requests are made before the time is taken.
fn ingest(rig: &Rig, phase: usize) -> f64 {
    let request = |n: usize| {
        let number = phase * BATCHES + n;
        let session = 2_000_000_000 + number * 2;
        let mut sender = Sender { user: number % 20_000, session, at: now(), release: 3, events: BATCH };
        // Nothing of it lies ahead: that would be a client whose clock is wrong.
        sender.at = 2 * sender.at - sender.time(BATCH);
        rig.signed(&batch(&sender))
    };
    let requests: Vec<_> = (0..BATCHES).map(request).collect();
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    clients(rig, SENDERS, |_, mut connection| {
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            assert_eq!(connection.exchange(request).0, 200);
        }
    });
    (BATCHES * BATCH) as f64 / began.elapsed().as_secs_f64()
}

/// How often the server has read from its cache and from its database so far, by its own count.
fn reads(rig: &Rig, connection: &mut Connection) -> [i64; 2] {
    let text = scrape(rig, connection);
    ["hit", "miss"].map(|result| {
        let name = format!("tallybox_cache_lookups_total{{cache=\"reports\",result=\"{result}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name)).expect("it is counted");
        line.parse().expect("a number")
    })
}

/// The server's figures.
fn scrape(rig: &Rig, connection: &mut Connection) -> String {
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", rig.address);
    let (status, body) = connection.exchange(request.as_bytes());
    let text = String::from_utf8(body.to_vec()).expect("text");
    assert_eq!(status, 200, "{text}");
    text
}

/// Milliseconds since 1970.
fn now() -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis()).expect("in range")
}
