//! A year of events, the same over both backends: every page of every app is the same to the byte.

use std::thread;

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use serde_json::{Value, json};
use tallybox::http::Access;
use tallybox::model::{App, Limits, Metric, Millis};
use tallybox::query::{Interval, Preset};
use uuid::Uuid;

use super::still::Still;
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};
use crate::harness::random::Random;
use crate::harness::{Backend, Database};

const SEED: u64 = 0x7a11_1365;
const REQUESTS: u64 = 520;
const MOST_EVENTS: u64 = 80;

/// Zones with whole, half and odd offsets; names that people and bytes sort differently. The last app is never sent
/// anything.
const APPS: [(&str, &str); 4] =
    [("zeta", "Europe/Zurich"), ("Beta", "Asia/Kolkata"), ("\u{c4}ther", "America/St_Johns"), ("_quiet", "UTC")];
const VERSIONS: [&str; 6] = ["0.9.0", "1.0.0", "1.1.0", "1.1.0-beta.2", "2.0.0", "10.0.0"];
const SYSTEMS: [&str; 5] = ["linux", "Linux", "macos", "windows", "free\u{df}bsd \u{1f600}"];

/// A request on its way to both boxes.
struct Arrival {
    at: Millis,
    /// Which app and environment it is for.
    key: usize,
    /// The client's own time, in seconds.
    sent_at: i64,
    nonce: String,
    body: Vec<u8>,
}

#[test]
fn a_year_looks_the_same_over_both_backends() {
    let end = Timestamp::now().round(TimestampRound::new().smallest(Unit::Hour).mode(RoundMode::Trunc)).unwrap();
    println!("seed {SEED}, a year up to {end}");
    let year = Year::up_to(end);
    let [(sqlite, one), (postgres, other)] = thread::scope(|scope| {
        let running = [Backend::Sqlite, Backend::Postgres].map(|backend| {
            let year = &year;
            scope.spawn(move || year.told_by(backend))
        });
        running.map(|thread| thread.join().unwrap())
    });
    assert_eq!(sqlite.len(), postgres.len());
    for ((place, mine), (other_place, theirs)) in sqlite.iter().zip(&postgres) {
        assert_eq!(place, other_place);
        let differing = mine.lines().zip(theirs.lines()).find(|(mine, theirs)| mine != theirs);
        assert!(mine == theirs, "{place}: {} bytes and {}: {differing:#?}", mine.len(), theirs.len());
    }
    println!("{} replies, {} bytes: {one}", sqlite.len(), sqlite.iter().map(|(_, text)| text.len()).sum::<usize>());
    assert_eq!(one, other);
}

/// Everything that is sent in a year, in the order of arrival.
struct Year {
    random: Random,
    begin: Millis,
    arrivals: Vec<Arrival>,
}

impl Year {
    fn up_to(end: Timestamp) -> Self {
        let begin = end - SignedDuration::from_hours(365 * 24);
        let step = 365 * Millis::DAY / i64::try_from(REQUESTS).unwrap();
        let mut year = Self { random: Random::seeded(SEED), begin: begin.into(), arrivals: Vec::new() };
        for number in 0..i64::try_from(REQUESTS).unwrap() {
            let at = year.begin.plus(number * step + year.below(step));
            let arrival = year.arrival(at);
            year.arrivals.push(arrival);
        }
        year
    }

    fn below(&mut self, limit: i64) -> i64 {
        i64::try_from(self.random.between(0, u64::try_from(limit - 1).unwrap())).unwrap()
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.random.between(1, count) == 1
    }

    fn arrival(&mut self, at: Millis) -> Arrival {
        let nonce = self.random.uuid().to_string();
        // A clock that is right, one that is some minutes off.
        let sent_at = at.seconds() + if self.one_in(5) { self.below(1_000) - 500 } else { self.below(3) - 1 };
        if self.one_in(12) && !self.arrivals.is_empty() {
            // A client that did not hear the answer: the same events again, much later perhaps.
            let again = self.below(i64::try_from(self.arrivals.len()).unwrap());
            let again = &self.arrivals[usize::try_from(again).unwrap()];
            return Arrival { at, sent_at, nonce, key: again.key, body: again.body.clone() };
        }
        let key = usize::try_from(self.random.between(0, 15)).unwrap();
        let key = [0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 3, 4, 4, 4, 5][key];
        let events: Vec<_> = (0..self.random.between(1, MOST_EVENTS)).map(|_| self.event(at, key)).collect();
        Arrival { at, key, sent_at, nonce, body: kit::batch(&events) }
    }

    fn event(&mut self, arrival: Millis, key: usize) -> Value {
        let ago = match self.random.between(0, 19) {
            0 => -self.below(100 * 365 * Millis::DAY), // a clock that is far ahead
            1 => self.below(60 * 365 * Millis::DAY),
            2..5 => self.below(40 * Millis::DAY),
            _ => self.below(20 * Millis::HOUR),
        };
        let at = Timestamp::from_millisecond(arrival.0 - ago).unwrap();
        // Few are frequent, and there are more than an app may have.
        let (one, two) = (self.random.between(0, 59), self.random.between(0, 59));
        let mut event = kit::event_of(self.random.uuid(), at, &format!("\u{e9}vent {}", one.min(two)));
        let user = self.random.between(0, 320);
        event["user_id"] = format!("client_{user:064x}").into();
        event["session_id"] = format!("sess_{:032x}", user * 1_000 + self.random.between(0, 40)).into();
        if self.one_in(3) {
            event.as_object_mut().unwrap().remove("session_id"); // then pauses tell
        }
        event["service"]["version"] = self.random.pick(&VERSIONS).into();
        event["environment"] = json!({
            "os": self.random.pick(&SYSTEMS),
            "os_version": format!("{}.{}", self.random.between(1, 14), self.random.between(0, 9)),
            "arch": self.random.pick(&["x86_64", "aarch64", "riscv64"]),
        });
        event["event"]["category"] = self.random.pick(&["usage", "", "error", "\u{f6}konomie"]).into();
        event["event"]["data"] = json!({ "n": self.random.next(), "key": key, "text": "<b>&amp; \"q\" \u{1f600}" });
        if self.one_in(60) {
            self.spoil(&mut event);
        }
        event
    }

    /// Makes an event unusable in one way or another.
    fn spoil(&mut self, event: &mut Value) {
        match self.random.between(0, 6) {
            0 => _ = event.as_object_mut().unwrap().remove("event_id"),
            1 => event["timestamp"] = json!("yesterday"),
            2 => event["user_id"] = json!(["a"]),
            3 => event["event"] = json!(null),
            4 => event["schema_version"] = json!("2.0.0"),
            5 => event["event"]["data"] = (0..40).fold(json!({ "deep": true }), |inner, _| json!([inner])),
            _ => *event = json!([1, 2]),
        }
    }

    /// What a box over that backend answers to all that is sent and looked at, and how much it has in the end.
    fn told_by(&self, backend: Backend) -> (Vec<(String, String)>, String) {
        let limits = Limits { names: 40, fact_sets: 600, set_aside_events: 150, ..Limits::default() };
        let still = Still::over(backend, limits, self.begin);
        let apps = APPS.map(|(name, zone)| still.app(name, zone));
        let keys: Vec<_> = apps.iter().flat_map(|app| [still.key(app, 0), still.key(app, 1)]).collect();
        let (mut told, mut random) = (Vec::new(), self.random.clone());
        let organization = still.organization();
        for (number, arrival) in self.arrivals.iter().enumerate() {
            still.set(arrival.at);
            told.push(send(&still, &keys[arrival.key], arrival));
            if number == self.arrivals.len() * 2 / 5 || number + 1 == self.arrivals.len() {
                let found = look(&still, &apps, arrival.at, &mut random);
                told.extend(found.into_iter().map(|(path, text)| (path, text.replace(&organization, "ORGANIZATION"))));
            }
        }
        (told, summary(still.database()))
    }
}

fn send(still: &Still, key: &Credentials, arrival: &Arrival) -> (String, String) {
    let request = key.nonce_form(&arrival.body, arrival.sent_at, &arrival.nonce);
    let reply = still.connect().send(&request).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    (format!("events at {}", arrival.at.timestamp()), reply.text())
}

/// All pages as they are now.
fn look(still: &Still, apps: &[App], now: Millis, random: &mut Random) -> Vec<(String, String)> {
    let cookie = still.sign_in(&Uuid::from_u128(u128::from(random.next())).to_string());
    let mut connection = still.connect();
    let mut read = |path: String| {
        let reply = connection.send(&Request::get(&path).header("cookie", &cookie)).unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let text = if path.contains("/set-aside") { without_rows(&reply.text()) } else { reply.text() };
        (path, text)
    };
    let mut pages: Vec<_> = addresses(apps, now, random).into_iter().map(&mut read).collect();
    let behind: Vec<_> = pages.iter().flat_map(|(path, text)| links(path, text)).collect();
    assert!(behind.len() > 20, "{behind:?}");
    pages.extend(behind.into_iter().map(read));
    pages
}

/// Without the numbers of rows, of which a database leaves some out.
fn without_rows(text: &str) -> String {
    let mut parts = text.split("name=\"id\" value=\"").flat_map(|part| part.split("name=\"until\" value=\""));
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
    let text = rest.fold(first, |text, part| text + "ROW" + part);
    let mut parts = text.split("before=");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "before=ROW" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Where lists lead: some of each.
pub fn links(path: &str, text: &str) -> Vec<String> {
    let part = match path.rsplit('/').next() {
        Some("users") => "/users/",
        Some("versions") => "/version?name=",
        Some("events") => "/event?",
        Some("errors") => "/error?",
        Some("sessions") => "/session?",
        _ => return Vec::new(),
    };
    let targets = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut found: Vec<_> =
        targets.filter(|to| to.contains(part)).map(|to| to.replace("&amp;", "&").replace("&#38;", "&")).collect();
    found.dedup();
    found.truncate(8);
    found
}

/// The addresses of all pages that a member may see, with all that can be asked of them.
fn addresses(apps: &[App], now: Millis, random: &mut Random) -> Vec<String> {
    let routes = tallybox::web::routes();
    let pages = routes.list().iter().filter(|route| route.method == "GET");
    let pages =
        pages.filter(|route| matches!(route.access, Access::Member | Access::Admin | Access::Owner | Access::Box));
    // These tell of the machine, and which database it has.
    let pages = pages.filter(|route| !["/box", "/box.json", "/box/settings"].contains(&route.path.as_str()));
    // What is one of many is found behind the links to it, and a stream has no end.
    let one = ["version", "event", "error", "session", "stream", "one", "erasure"];
    // Whoever has just signed in is led on from there.
    let pages = pages.filter(|route| !route.path.starts_with("/confirm"));
    let page = |path: &str| path.rsplit('/').next().and_then(|last| last.split('.').next().map(str::to_owned));
    let pages = pages.filter(|route| {
        !route.path.contains("{user}") && !page(&route.path).is_some_and(|page| one.contains(&page.as_str()))
    });
    let mut addresses = Vec::new();
    for page in pages {
        if !page.path.contains("{app}") {
            addresses.push(page.path.replace("{organization}", "default"));
            continue;
        }
        for app in apps {
            let path = page.path.replace("{app}", app.slug.as_str()).replace("{env}", "development");
            assert!(!path.contains('{'), "nobody knows what stands for the part of {path}");
            let steps = "?step=%C3%A9vent+0&step=%C3%A9vent+1&window=30d&range=90d";
            let asked = if path.contains("/funnel.") || path.ends_with("/funnel") { steps } else { "" };
            addresses.push(format!("{path}{asked}"));
            if page.path.ends_with("{app}") || page.path.ends_with("{env}") {
                addresses.extend(queries(now, random).iter().map(|query| format!("{path}?{query}")));
            }
        }
    }
    addresses
}

/// What an overview can be asked for: each range by each interval, days by choice, and nonsense.
fn queries(now: Millis, random: &mut Random) -> Vec<String> {
    let intervals = || Interval::ALL.iter().map(|interval| format!("&by={}", interval.name())).chain([String::new()]);
    let mut metrics = Metric::ALL.iter().cycle().map(|metric| format!("&metric={}", metric.name()));
    let mut queries = vec!["range=always".to_owned(), "from=soon".to_owned()];
    for preset in Preset::NAMED {
        queries.extend(intervals().map(|by| format!("range={}{by}", preset.name())));
    }
    let day = |ago: u64| {
        let day = now.plus(-Millis::DAY * i64::try_from(ago).unwrap());
        day.timestamp().strftime("%Y-%m-%d").to_string()
    };
    for by in intervals() {
        let to = random.between(0, 200);
        queries.push(format!("from={}&to={}{by}", day(to + random.between(0, 90)), day(to)));
    }
    queries.iter().map(|query| format!("{query}{}", metrics.next().expect("it has no end"))).collect()
}

/// How much there is, and that it is worth a look.
fn summary(database: &Database) -> String {
    let count = |sql: &str| database.count(sql);
    let events = count("SELECT count(*) FROM events");
    let users = count("SELECT count(*) FROM users");
    let names = count("SELECT count(*) FROM strings WHERE kind = 'event'");
    let aside = count("SELECT count(*) FROM set_aside");
    let repeated = count("SELECT sum(events) FROM intake_days WHERE outcome = 'duplicate'");
    let days = count("SELECT count(DISTINCT day) FROM intake_days");
    assert!(events > 15_000 && users > 900 && names > 100 && aside > 200 && repeated > 1_000 && days > 250);
    format!("{events} events, {users} users, {names} names, {aside} set aside, {repeated} repeated, {days} days")
}
