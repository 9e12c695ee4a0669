//! Lengths of sessions by facts: what is told of settled days is what the sessions are, whatever comes later.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tallybox::rollup::{length_class, length_quantile};

use super::recount::Noise;
use super::*;

on_both_backends! {
    lengths_by_a_fact_equal_a_recount_whatever_comes,
    sessions_that_count_otherwise_are_listed_beside_their_days,
    a_day_beside_which_there_is_no_room_holds_no_longer,
    settled_days_are_told_without_their_sessions,
    counting_beside_commits_and_other_nodes_never_shows_a_wrong_length,
    whoever_dies_at_a_day_is_not_waited_for_and_a_commit_in_between_is_seen,
    what_is_wrong_of_sessions_is_found_and_made_anew,
    old_sessions_are_forgotten_in_settled_days_too,
}

const DAYS: i64 = 16;
const METRICS: [Metric; 4] =
    [Metric::SessionLength, Metric::Sessions, Metric::SessionLengthP95, Metric::CrashFreeSessions];

struct World {
    bench: Bench,
    zone: Arc<Zone>,
    scope: Scope,
    /// In the order in which they came.
    made: Vec<Made>,
    is_one_erased: bool,
}

#[derive(Clone)]
struct Made {
    sent: Sent,
    system: Option<&'static str>,
}

/// A session as the naive count has it.
struct Naive {
    from: Millis,
    to: Millis,
    crashed: bool,
    version: &'static str,
    system: Option<&'static str>,
}

impl Made {
    /// Of one of many sessions, which may run over midnight.
    fn random(noise: &mut Noise) -> Self {
        let number = noise.below(150) as i64;
        let start = NOW.plus(-(number % DAYS + 1) * Millis::DAY - number * 31 * Millis::MINUTE);
        let within = noise.below([1, 4_000, 700_000, 40_000_000, 90_000_000][number as usize % 5]) as i64;
        let name = if noise.below(60) == 0 { "crash" } else { "e1" };
        Self {
            sent: Sent {
                at: start.plus(within).min(NOW),
                user: (number > 2).then(|| format!("u{}", number % 9)),
                session: Some(format!("s{number}")),
                version: ["1.0", "1.1", "2.0"][noise.below(3) as usize],
                ..Sent::new(name)
            },
            system: [Some("linux"), Some("ios"), None][noise.below(3) as usize],
        }
    }

    fn of(session: &str, at: Millis) -> Self {
        Self { sent: Sent { at, session: Some(session.to_owned()), ..Sent::new("e1") }, system: None }
    }
}

impl Naive {
    fn value(&self, fact: Fact) -> Option<&'static str> {
        match fact {
            Fact::Version => Some(self.version),
            Fact::System => self.system,
            _ => None,
        }
    }

    /// Whether it passes conditions on facts.
    fn passes(&self, filters: &Filters) -> bool {
        filters.iter().all(|filter| {
            let Dimension::Fact(fact) = filter.dimension else { panic!("{filter:?}") };
            let value = self.value(fact);
            filter.values.iter().any(|own| own.as_deref() == value) == (filter.keep == Keep::Is)
        })
    }
}

/// What sessions come to.
fn counts<'s>(sessions: impl IntoIterator<Item = &'s Naive>) -> Vec<Option<i64>> {
    let (mut counts, mut classes) = (Counts::default(), BTreeMap::new());
    for session in sessions {
        counts.sessions += 1;
        counts.crashed_sessions += i64::from(session.crashed);
        *classes.entry(length_class(session.to.since(session.from))).or_insert(0) += 1;
    }
    let classes: Vec<_> = classes.into_iter().collect();
    counts.median_length = length_quantile(&classes, 50);
    counts.p95_length = length_quantile(&classes, 95);
    METRICS.iter().map(|metric| metric.value(&counts)).collect()
}

fn version(keep: Keep, value: &str) -> Filters {
    Filters::none().with(Dimension::Fact(Fact::Version), keep, Some(value.into()))
}

impl World {
    fn new(backend: Backend, zone: &str) -> Self {
        let bench = Bench::new(backend);
        let app = bench.app(zone);
        let scope = bench.scope(&app, 0);
        Self { bench, zone: app.zone, scope, made: Vec::new(), is_one_erased: false }
    }

    fn send(&mut self, made: Vec<Made>) {
        for batch in made.chunks(50) {
            self.repeat(batch);
        }
        self.made.extend(made);
    }

    fn repeat(&self, made: &[Made]) {
        let claim = |made: &'_ Made| match made.sent.claim() {
            Claim::Event(mut event) => {
                event.facts.set(Fact::System, made.system);
                self.bench.request(&self.scope, vec![Claim::Event(event)], None).map(drop)
            }
            _ => panic!("an event is one"),
        };
        made.iter().try_for_each(claim).unwrap();
    }

    fn random(&mut self, noise: &mut Noise, count: usize) {
        let made = std::iter::repeat_with(|| Made::random(noise)).take(count).collect();
        self.send(made);
    }

    fn sessions(&self) -> Vec<Naive> {
        let mut sessions: BTreeMap<&str, Naive> = BTreeMap::new();
        for Made { sent, system } in &self.made {
            let (at, name) = (sent.at, sent.session.as_deref().unwrap());
            let begun = Naive { from: at, to: at, crashed: false, version: sent.version, system: *system };
            let own = sessions.entry(name).or_insert(begun);
            (own.from, own.to) = (own.from.min(at), own.to.max(at));
            own.crashed |= sent.name == "crash";
        }
        sessions.into_values().collect()
    }

    fn report(&self, ask: Ask) -> Result<Report, StoreError> {
        self.bench.store.report(&Query { environment: self.scope.environment, ask })
    }

    fn asked(&self, metrics: &[Metric], of: (Fact, Period), filters: &Filters) -> Result<Breakdown, StoreError> {
        let (dimension, metrics) = (Dimension::Fact(of.0), metrics.to_vec());
        let ask = BreakdownAsk { dimension, metrics, period: of.1, filters: filters.clone(), limit: 100 };
        match self.report(Ask::Breakdown(ask))? {
            Report::Breakdown(found) => Ok(found),
            other => panic!("{other:?}"),
        }
    }

    fn stretches(&self) -> Vec<Period> {
        let hours =
            |from: i64, to: i64| period(&self.zone, NOW.plus(-from * Millis::HOUR), NOW.plus(-to * Millis::HOUR));
        vec![hours((DAYS + 6) * 24, 0), hours(250, 60), hours(72, 71), hours(200, 188)]
    }

    fn local_days(&self) -> Vec<Period> {
        let today = self.zone.local(NOW).day;
        (0..DAYS as i32 + 5).map(|ago| day(&self.zone, today - ago)).collect()
    }

    /// Insists that all that is told of sessions is what they are.
    #[track_caller]
    fn check(&self) {
        let sessions = self.sessions();
        let none = Filters::none();
        let silent = none.clone().with(Dimension::Fact(Fact::System), Keep::Is, None);
        let two = version(Keep::IsNot, "1.0").with(Dimension::Fact(Fact::Version), Keep::IsNot, Some("never".into()));
        for filters in [&none, &version(Keep::Is, "1.0"), &two, &silent, &version(Keep::Is, "never")] {
            for stretch in self.stretches() {
                let within = |session: &&Naive| stretch.range.contains(session.from) && session.passes(filters);
                for fact in [Fact::Version, Fact::System, Fact::Shell] {
                    let mut values: BTreeMap<_, Vec<&Naive>> = BTreeMap::new();
                    sessions.iter().filter(within).for_each(|own| values.entry(own.value(fact)).or_default().push(own));
                    let expected: BTreeMap<_, _> =
                        values.into_iter().map(|(value, own)| (value, counts(own))).collect();
                    let found = self.asked(&METRICS, (fact, stretch), filters).unwrap();
                    let told: BTreeMap<_, _> =
                        found.rows.iter().map(|row| (row.value.as_deref(), row.metrics.clone())).collect();
                    assert_eq!(told, expected, "{fact:?} under {filters:?} in {stretch:?}");
                    if !(self.is_one_erased && filters.is_empty()) {
                        let together = counts(sessions.iter().filter(within));
                        assert_eq!(found.together, together, "{fact:?} under {filters:?} in {stretch:?}");
                    }
                }
            }
            if filters.is_empty() {
                continue; // told by the summaries
            }
            for periods in [self.stretches(), self.local_days()] {
                let ask = Ask::Series(METRICS.to_vec(), periods.clone(), filters.clone());
                let Report::Series(told) = self.report(ask).unwrap() else { panic!("it is a series") };
                for (place, period) in periods.iter().enumerate() {
                    let within = |own: &&Naive| period.range.contains(own.from) && own.passes(filters);
                    let own: Vec<_> = told.iter().map(|row| row[place]).collect();
                    assert_eq!(own, counts(sessions.iter().filter(within)), "under {filters:?} in {period:?}");
                }
            }
        }
        self.check_beside_events(&sessions);
    }

    /// The same where events are asked for as well.
    #[track_caller]
    fn check_beside_events(&self, sessions: &[Naive]) {
        let stretch = self.stretches()[0];
        let found = self.asked(&[Metric::Events, Metric::SessionLength], (Fact::Version, stretch), &Filters::none());
        for row in found.unwrap().rows {
            let value = row.value.as_deref();
            let within = self.made.iter().filter(|made| stretch.range.contains(made.sent.at));
            let events = within.filter(|made| Some(made.sent.version) == value).count() as i64;
            let begun = |own: &&Naive| stretch.range.contains(own.from) && Some(own.version) == value;
            assert_eq!(row.metrics, [Some(events), counts(sessions.iter().filter(begun))[0]], "{value:?}");
        }
    }

    fn days(&self, state: i64) -> i64 {
        self.bench.database.count(&format!("SELECT count(*) FROM settled_sessions WHERE state = {state}"))
    }

    /// The UTC days in a state, counted back from today: 0 where they hold no longer, 3 where changes are listed.
    fn in_state(&self, state: i64) -> Vec<i64> {
        let is_in_state = |ago: &i64| {
            let day = format!("day = {} AND state = {state}", today_utc() - ago);
            self.bench.database.count(&format!("SELECT count(*) FROM settled_sessions WHERE {day}")) == 1
        };
        (0..30).filter(is_in_state).collect()
    }

    fn is_right(&self, day: i64) -> bool {
        self.bench.store.settled_holds(self.scope.environment, day).unwrap()
    }

    #[track_caller]
    fn holds(&self) {
        assert_eq!((0..25).find(|ago| !self.is_right(today_utc() - ago)), None);
    }
}

fn today_utc() -> i64 {
    NOW.0.div_euclid(Millis::DAY)
}

fn lengths_by_a_fact_equal_a_recount_whatever_comes(backend: Backend) {
    for (seed, zone) in [(41, "UTC"), (42, "Asia/Kolkata")] {
        let mut world = World::new(backend, zone);
        let mut noise = Noise(seed);
        world.random(&mut noise, 250);
        world.check();
        world.bench.settle(0);
        assert!(world.days(2) >= DAYS && world.days(0) + world.days(1) == 0);
        world.check();
        // Late ones of all days, with repeats.
        world.random(&mut noise, 60);
        world.repeat(&world.made[..20]);
        let changed = world.days(3);
        assert!(changed > 3 && world.days(0) == 0, "{changed}");
        world.holds();
        world.check();
        world.bench.settle(0);
        assert_eq!(world.days(3), changed, "they rest");
        world.bench.settle(2);
        assert_eq!(world.days(0) + world.days(1) + world.days(3), 0);
        assert_eq!(world.bench.database.count("SELECT count(*) FROM settled_changes"), 0);
        world.holds();
        world.check();
        world.bench.link(&world.scope, "u4", "u7");
        while world.bench.store.unite(NOW.plus(Millis::MINUTE)).unwrap() != Uniting::Idle {}
        for made in world.made.iter_mut().filter(|made| made.sent.user.as_deref() == Some("u4")) {
            made.sent.user = Some("u7".to_owned());
        }
        world.check();
        world.bench.settle(4);
        let settled = world.days(2);
        for subject in world.bench.subjects(&world.scope, "u3") {
            world.bench.erase(&world.scope, subject, &[]);
        }
        assert!(world.days(2) < settled, "nothing was thrown away");
        world.is_one_erased = true;
        world.made.retain(|made| made.sent.user.as_deref() != Some("u3"));
        world.check();
        world.bench.settle(6);
        assert_eq!(world.days(2), settled);
        world.holds();
        world.check();
    }
}

fn sessions_that_count_otherwise_are_listed_beside_their_days(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    let at = |ago: i64| Millis((today_utc() - ago) * Millis::DAY + 8 * Millis::HOUR);
    for ago in [3, 6, 9, 15] {
        let name = format!("s{ago}");
        world.send(vec![Made::of(&name, at(ago)), Made::of(&name, at(ago).plus(100_000))]);
    }
    world.send(vec![Made::of("now", NOW)]);
    world.bench.settle(0);
    assert_eq!(world.days(2), 15, "all but today");
    assert!(world.bench.store.settle(NOW.plus(Millis::HOUR)).unwrap().is_empty(), "and none again");
    let mut hours = 2;
    let mut step = |made: Made, changed: &[i64]| {
        world.send(vec![made]);
        assert_eq!(world.in_state(3), changed);
        world.check();
        world.holds();
        world.bench.settle(hours);
        hours += 1;
        assert!(world.in_state(3).is_empty() && world.in_state(0).is_empty());
        world.check();
    };
    let crash = |name: &str, at: Millis| {
        let mut made = Made::of(name, at);
        made.sent.name = "crash".to_owned();
        made
    };
    step(Made::of("s3", at(3).plus(100_001)), &[]);
    step(Made::of("s3", at(3).plus(50_000)), &[]);
    step(Made::of("s3", at(3).plus(120_000)), &[3]);
    step(Made::of("s9", at(6)), &[9]);
    step(crash("s6", at(6).plus(70_000)), &[6]);
    step(crash("s6", at(6).plus(80_000)), &[]);
    step(Made::of("s6", at(7)), &[6, 7]);
    step(Made::of("new", at(10)), &[10]);
    step(Made::of("newest", NOW.plus(-1)), &[]);
    if backend == Backend::Postgres {
        // A node of an older version says what has become of the summaries alone.
        let row = |sessions: i64, dimension: i64| {
            let numbers = [dimension, (today_utc() - 5) * 96, 0, 0, sessions, 0, 0, 0, 0, 0, 0];
            let arrays: Vec<_> = numbers.iter().map(|number| format!("ARRAY[{number}::bigint]")).collect();
            format!(
                "SELECT commit_add_days(ARRAY[env_id], {}) FROM settled_sessions WHERE day = {}",
                arrays.join(", "),
                { today_utc() - 5 }
            )
        };
        for state in [2, 3] {
            for (sessions, dimension, changed) in [(0, 2, &[][..]), (1, 2, &[5]), (0, 9, &[5])] {
                world.bench.database.alter(&format!("UPDATE settled_sessions SET state = {state}"));
                world.bench.database.alter(&row(sessions, dimension));
                assert_eq!(world.in_state(0), changed, "{sessions} of {dimension}");
            }
        }
    }
}

fn a_day_beside_which_there_is_no_room_holds_no_longer(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    let at = |n: i64| Millis((today_utc() - 4) * Millis::DAY + n * Millis::MINUTE);
    world.send((0..40).map(|n| Made::of(&format!("s{n}"), at(n))).collect());
    world.bench.settle(0);
    world.send(vec![Made::of("new", at(50))]);
    assert_eq!(world.in_state(3), [4]);
    world.bench.database.alter("UPDATE settled_sessions SET changes = 20000 WHERE state = 3");
    world.send(vec![Made::of("newer", at(60))]);
    assert_eq!((world.in_state(3), world.in_state(0)), (vec![], vec![4]));
    world.check();
    // Many are counted again before they have rested for an hour.
    world.bench.settle(1);
    world.send(vec![Made::of("newest", at(70))]);
    world.bench.database.alter("UPDATE settled_sessions SET changes = 1001 WHERE state = 3");
    world.bench.settle(1);
    assert_eq!(world.in_state(3), [0_i64; 0]);
    // What an older version has settled since the list was made goes without it.
    world.send(vec![Made::of("last", at(80))]);
    world.bench.settle(3);
    world.bench.database.alter(&format!(
        "INSERT INTO settled_changes (env_id, day, facts_id, class, sessions, crashed) \
         SELECT env_id, day, 1, 5, 7, 7 FROM settled_sessions WHERE day = {}",
        today_utc() - 4
    ));
    world.check();
    world.holds();
    world.send(vec![Made::of("very last", at(90))]);
    assert_eq!(world.in_state(3), [4]);
    world.check();
    world.holds();
}

fn settled_days_are_told_without_their_sessions(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    let mut noise = Noise(44);
    world.random(&mut noise, 250);
    world.bench.settle(0);
    world.random(&mut noise, 30);
    assert!(world.days(3) > 3);
    world.check();
    let midnight = |ago: i64| Millis((today_utc() - ago) * Millis::DAY);
    world.bench.database.alter(&format!(
        "UPDATE sessions SET ended_at = ended_at + 7200000, crashed = 1 WHERE started_at >= {} AND started_at < {}",
        midnight(12).0,
        midnight(4).0
    ));
    assert!((5..=12).all(|ago| !world.is_right(today_utc() - ago)) && world.is_right(today_utc() - 4));
    let mut sessions = world.sessions();
    let stretch = period(&world.zone, midnight(12), midnight(4));
    sessions.retain(|session| stretch.range.contains(session.from));
    for fact in [Fact::Version, Fact::System, Fact::Shell] {
        for row in world.asked(&METRICS, (fact, stretch), &Filters::none()).unwrap().rows {
            let own = sessions.iter().filter(|session| session.value(fact) == row.value.as_deref());
            assert_eq!(row.metrics, counts(own), "{fact:?}");
        }
    }
    let ask = |period| Ask::Series(METRICS.to_vec(), vec![period], version(Keep::Is, "1.0"));
    let own = || sessions.iter().filter(|session| session.version == "1.0");
    let Report::Series(told) = world.report(ask(stretch)).unwrap() else { panic!("it is a series") };
    assert_eq!(told.concat(), counts(own()));
    // Of a part of a day the sessions are read.
    let part = period(&world.zone, midnight(12), midnight(4).plus(-1));
    let Report::Series(told) = world.report(ask(part)).unwrap() else { panic!("it is a series") };
    assert_ne!(told.concat(), counts(own()));
}

fn counting_beside_commits_and_other_nodes_never_shows_a_wrong_length(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    let mut noise = Noise(45);
    world.random(&mut noise, 200);
    let over = AtomicBool::new(false);
    let other = open(&world.bench.database).unwrap();
    std::thread::scope(|scope| {
        for store in [world.bench.store.clone(), other] {
            let over = &over;
            scope.spawn(move || {
                let mut hours = 0;
                while !over.load(Ordering::Relaxed) {
                    // The other one may hold the file for longer than this one waits.
                    _ = store.settle(NOW.plus(hours * Millis::HOUR));
                    hours = (hours + 2) % 300;
                }
            });
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..12 {
                world.random(&mut noise, 3);
                world.check();
            }
        }));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    world.bench.settle(400);
    assert_eq!(world.days(0) + world.days(1), 0);
    world.holds();
    world.check();
}

fn whoever_dies_at_a_day_is_not_waited_for_and_a_commit_in_between_is_seen(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    world.random(&mut Noise(48), 200);
    world.bench.settle(0);
    let settled = world.days(2);
    world.bench.database.alter(&format!("UPDATE settled_sessions SET state = 1, token = 7, at = {}", NOW.0));
    world.check();
    world.send(vec![Made::of("in between", NOW.plus(-5 * Millis::DAY))]);
    assert_eq!(world.days(0), 1);
    world.bench.settle(0);
    assert_eq!((world.days(0), world.days(1)), (1, settled - 1), "whoever it is may still be at it");
    world.bench.settle(1);
    assert_eq!(world.days(2), settled);
    world.holds();
    world.check();
    // The same of a day that holds all the while.
    world.send(vec![Made::of("later", NOW.plus(-5 * Millis::DAY))]);
    let since = NOW.plus(30 * Millis::HOUR).0;
    world.bench.database.alter(&format!("UPDATE settled_sessions SET work = 7, at = {since} WHERE state = 3"));
    world.send(vec![Made::of("latest", NOW.plus(-5 * Millis::DAY))]);
    world.bench.settle(30);
    assert_eq!(world.days(3), 1, "whoever it is may still be at it");
    world.check();
    world.bench.settle(31);
    assert_eq!(world.days(2), settled + 1, "and one more is over");
    world.holds();
    world.check();
}

fn what_is_wrong_of_sessions_is_found_and_made_anew(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    world.random(&mut Noise(46), 250);
    world.bench.settle(0);
    let day = today_utc() - 5;
    let mend = Recount { environment: world.scope.environment, zone: world.zone.clone(), day };
    let fact = |fact: &str| format!("day = {day} AND fact = '{fact}'");
    let short = world.bench.database.bytes(&[1, 2, 3]);
    let whole = world.stretches()[0];
    for (wrong, is_error) in [
        (format!("UPDATE settled_lengths SET body = {short} WHERE {}", fact("version")), true),
        (
            format!(
                "UPDATE settled_lengths SET body = (SELECT o.body FROM settled_lengths o \
                 WHERE o.env_id = settled_lengths.env_id AND o.day = {day} AND o.fact = 'system') WHERE {}",
                fact("version")
            ),
            true,
        ),
        (format!("DELETE FROM settled_lengths WHERE {}", fact("version")), false),
        (format!("UPDATE settled_sessions SET sessions = sessions + 1 WHERE day = {day}"), false),
        (format!("UPDATE settled_changes SET crashed = crashed + 1 WHERE day = {day}"), false),
        (format!("UPDATE settled_changes SET class = class + 1 WHERE day = {day}"), false),
        (format!("DELETE FROM settled_changes WHERE day = {day}"), false),
    ] {
        let late = Millis(day * Millis::DAY + Millis::MINUTE);
        world.send(vec![Made::of(&format!("late {wrong}"), late)]);
        assert!(world.is_right(day) && world.in_state(3) == [5]);
        world.bench.database.alter(&wrong);
        assert!(!world.is_right(day) && world.is_right(day - 1), "{wrong}");
        let found = world.asked(&METRICS, (Fact::Version, whole), &Filters::none());
        assert_eq!(matches!(found, Err(StoreError::Corrupt(_))), is_error, "{wrong}");
        assert!(world.asked(&METRICS, (Fact::Version, world.stretches()[2]), &Filters::none()).is_ok());
        // What is wrong in bytes is not shown, and what is missing is read.
        if wrong.starts_with("DELETE FROM settled_lengths") {
            world.check();
        }
        assert_eq!(world.bench.store.mend(&mend).unwrap(), []);
        for table in ["settled_lengths", "settled_changes"] {
            assert_eq!(world.bench.database.count(&format!("SELECT count(*) FROM {table} WHERE day = {day}")), 0);
        }
        world.check();
        world.bench.settle(0);
        world.holds();
    }
    world.check();
}

fn old_sessions_are_forgotten_in_settled_days_too(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    world.random(&mut Noise(47), 250);
    world.bench.settle(0);
    world.random(&mut Noise(49), 50);
    assert!(world.days(3) > 3);
    world.bench.reopen_keeping(5);
    let environment = world.scope.environment;
    let (first, end) = (today_utc() - 5, Millis((today_utc() - 5) * Millis::DAY));
    world.bench.store.let_go((environment, Kept::Sessions), first).unwrap();
    let oldest = |world: &World| {
        ["settled_sessions", "settled_lengths"]
            .map(|table| world.bench.database.count(&format!("SELECT min(day) FROM {table}")))
    };
    assert!(world.bench.store.remove((environment, Kept::Sessions), end, 3).unwrap() > 0);
    assert_eq!(oldest(&world), [first; 2], "with the first of them all days behind");
    while world.bench.store.remove((environment, Kept::Sessions), end, 1_000).unwrap() > 0 {}
    let mut ends: BTreeMap<Option<String>, Millis> = BTreeMap::new();
    for made in &world.made {
        let end = ends.entry(made.sent.session.clone()).or_insert(made.sent.at);
        *end = (*end).max(made.sent.at);
    }
    world.made.retain(|made| ends[&made.sent.session] >= end);
    world.bench.settle(5);
    assert_eq!(oldest(&world), [first; 2]);
    for (fact, stretch) in [(Fact::Version, world.stretches()[0]), (Fact::System, world.stretches()[1])] {
        let sessions = world.sessions();
        for row in world.asked(&METRICS, (fact, stretch), &Filters::none()).unwrap().rows {
            let own = sessions.iter().filter(|own| stretch.range.contains(own.from));
            assert_eq!(row.metrics, counts(own.filter(|own| own.value(fact) == row.value.as_deref())), "{fact:?}");
        }
    }
}
