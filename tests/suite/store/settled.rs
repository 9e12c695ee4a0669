//! Days and counts that are settled: what is told from them is what the events tell, whatever comes later.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::recount::Noise;
use super::*;

on_both_backends! {
    what_comes_late_is_listed_beside_its_day_and_unsettles_its_periods_and_nothing_else,
    what_came_late_is_settled_again_after_a_pause,
    days_are_settled_from_the_moment_they_begin_and_periods_when_they_are_over,
    months_weeks_and_other_stretches_are_counted_as_their_events_are,
    a_damaged_list_of_users_is_an_error_until_the_summaries_are_rebuilt,
    settling_beside_commits_and_other_nodes_never_shows_a_wrong_count,
    a_damaged_part_is_an_error_until_the_summaries_are_rebuilt,
    what_somebody_began_and_did_not_end_is_begun_anew,
    old_events_are_forgotten_in_settled_days_too,
    whoever_is_erased_is_in_no_settled_figure,
}

/// The same of events, by a look at each.
fn users(events: &[Sent], period: Period) -> [i64; 2] {
    let within = || events.iter().filter(|event| period.range.contains(event.at));
    let users: BTreeSet<_> = within().filter_map(|event| event.user.as_deref()).collect();
    let crashed: BTreeSet<_> =
        within().filter(|event| event.crashes).filter_map(|event| event.user.as_deref()).collect();
    let counts = Counts { users: users.len() as i64, crashed_users: crashed.len() as i64, ..Counts::default() };
    [Metric::Users, Metric::CrashFreeUsers].map(|metric| metric.value(&counts).unwrap_or_default())
}

/// Past what keeps events from being settled.
const LONG_AGO: i64 = 20;

pub struct World {
    pub bench: Bench,
    app: App,
    pub scope: Scope,
}

impl World {
    pub fn new(backend: Backend, zone: &str) -> Self {
        let bench = Bench::new(backend);
        let app = bench.app(zone);
        let scope = bench.scope(&app, 0);
        Self { bench, app, scope }
    }

    /// Events of some users on some days, three an hour.
    pub fn fill(&self, days: i64) -> Vec<Sent> {
        let mut noise = Noise(5);
        let event = |n: i64| {
            let user = noise.below(40);
            Sent {
                at: NOW.plus(-n * 20 * Millis::MINUTE - 1),
                name: format!("e{}", n % 4),
                user: Some(format!("u{user}")),
                session: Some(format!("s{user}")),
                version: ["1.0", "2.0"][(n % 2) as usize],
                crashes: n % 50 == 0,
                ..Sent::new("")
            }
        };
        let events: Vec<_> = (0..days * 72).map(event).collect();
        for batch in events.chunks(500) {
            self.bench.send(&self.scope, batch).unwrap();
        }
        events
    }

    /// Events of one version, and users with one, by a look at each event.
    pub fn looked(&self, period: Period) -> Result<(i64, i64), StoreError> {
        // Under conditions on two dimensions, which no other sum can tell.
        let filters = Filters::none().with(Dimension::Fact(Fact::Version), Keep::Is, Some("1.0".into()));
        let filters = filters.with(Dimension::Fact(Fact::System), Keep::Is, None);
        let metrics = vec![Metric::Events, Metric::Users];
        let ask = Ask::Series(metrics, vec![period], filters);
        let counts = self.bench.store.report(&Query { environment: self.scope.environment, ask })?.counts();
        Ok((counts[0][0], counts[1][0]))
    }

    pub fn days(&self, state: i64) -> i64 {
        self.bench.database.count(&format!("SELECT count(*) FROM settled_days WHERE state = {state}"))
    }

    /// Events that are listed beside days.
    pub fn listed(&self) -> i64 {
        self.bench.database.count(
            "SELECT count(*) FROM settled_late l JOIN settled_days d ON d.env_id = l.env_id AND d.day = l.day \
             WHERE d.state >= 3",
        )
    }

    /// Of months and weeks.
    fn counts(&self, state: i64) -> i64 {
        self.bench.database.count(&format!("SELECT count(*) FROM settled_counts WHERE state = {state} AND kind < 3"))
    }

    /// Days whose users are listed, and with them those for whom something has crashed.
    fn lists(&self, state: i64) -> i64 {
        let holds = "s.env_id = c.env_id AND s.kind = c.kind AND s.day = c.first_day AND s.token = c.token";
        let [users, crashed] = [3, 5].map(|kind| {
            self.bench.database.count(&format!(
                "SELECT count(*) FROM settled_counts c JOIN settled_sets s ON {holds} \
                 WHERE c.state = {state} AND c.kind = {kind}"
            ))
        });
        assert_eq!(users, crashed);
        users
    }

    /// Users of a period, and which of them are without a crash.
    fn users(&self, period: Period) -> Result<[i64; 2], StoreError> {
        let metrics = vec![Metric::Users, Metric::CrashFreeUsers];
        let ask = Ask::Series(metrics, vec![period], Filters::none());
        let report = self.bench.store.report(&Query { environment: self.scope.environment, ask })?;
        Ok([0, 1].map(|metric| report.counts()[metric][0]))
    }

    pub fn period(&self, from: i64, to: i64) -> Period {
        let day = |ago: i64| self.app.zone.midnight(self.app.zone.local(NOW).day - ago as i32);
        period(&self.app.zone, day(from), day(to))
    }
}

/// The same by hand.
pub fn counted(events: &[Sent], period: Period) -> (i64, i64) {
    let within = events.iter().filter(|event| period.range.contains(event.at) && event.version == "1.0");
    let users: BTreeSet<_> = within.clone().filter_map(|event| event.user.as_deref()).collect();
    (within.count() as i64, users.len() as i64)
}

fn what_comes_late_is_listed_beside_its_day_and_unsettles_its_periods_and_nothing_else(backend: Backend) {
    let world = World::new(backend, "Europe/Zurich");
    let mut events = world.fill(40);
    world.bench.settle(0);
    let (days, counts, lists) = (world.days(2), world.counts(2), world.lists(2));
    assert!(days > 35 && counts > 6 && world.days(0) + world.counts(0) == 0, "{days} {counts}");
    assert!((38..=39).contains(&lists) && world.lists(0) == 0, "{lists}");
    assert_eq!(world.listed(), 0);
    let inside = world.bench.database.count("SELECT sum(events) FROM settled_events");
    assert_eq!(inside, world.bench.database.count("SELECT sum(events) FROM settled_days"));
    // In time, repeated, and in another environment: nothing of it matters to what is over.
    let now = Sent { version: "1.0", ..Sent::new("e1") };
    let elsewhere = world.bench.scope(&world.app, 1);
    let late = Sent { at: NOW.plus(-LONG_AGO * Millis::DAY), user: Some("late".to_owned()), ..Sent::new("e1") };
    world.bench.send(&world.scope, &[now.clone(), events[2_000].clone()]).unwrap();
    world.bench.send(&elsewhere, &[Sent { id: EventId::random(), ..late.clone() }]).unwrap();
    assert_eq!((world.days(3), world.listed()), (1, 1), "today");
    assert_eq!((world.days(2), world.counts(2), world.lists(2)), (days - 1, counts, lists));
    world.bench.send(&world.scope, std::slice::from_ref(&late)).unwrap();
    assert_eq!((world.days(0), world.days(3), world.days(2)), (0, 2, days - 2));
    assert_eq!(world.listed(), 2);
    // Its week and its month, of users and of those for whom something crashed.
    assert_eq!((world.counts(0), world.counts(2)), (4, counts - 4));
    // Its day, and those beside, to which it would belong elsewhere.
    assert_eq!((world.lists(0), world.lists(2)), (3, lists - 3));
    events.extend([now, late]);
    for (from, to) in [(40, -1), (LONG_AGO, LONG_AGO - 1), (LONG_AGO + 1, LONG_AGO - 3), (LONG_AGO - 1, 4), (1, -1)] {
        let period = world.period(from, to);
        assert_eq!(world.looked(period).unwrap(), counted(&events, period), "{from} to {to}");
    }
}

fn what_came_late_is_settled_again_after_a_pause(backend: Backend) {
    let world = World::new(backend, "UTC");
    world.fill(10);
    world.bench.settle(0);
    let days = world.days(2);
    world.bench.send(&world.scope, &[Sent { at: NOW.plus(-5 * Millis::DAY), ..Sent::new("e1") }]).unwrap();
    world.bench.settle(0);
    assert_eq!((world.days(3), world.days(2), world.listed()), (1, days - 1, 1), "not at once");
    world.bench.settle(2);
    assert_eq!((world.days(3), world.days(2), world.listed()), (0, days, 0));
    let parts = "SELECT count(*) FROM settled_events e WHERE NOT EXISTS \
                 (SELECT 1 FROM settled_days d WHERE d.env_id = e.env_id AND d.day = e.day AND d.token = e.token)";
    assert_eq!(world.bench.database.count(parts), 0, "what was settled before is gone");
    assert_eq!(world.bench.database.count("SELECT sum(events) FROM settled_events WHERE name_id > 0"), {
        world.bench.database.count("SELECT sum(events) FROM settled_days")
    });
}

fn days_are_settled_from_the_moment_they_begin_and_periods_when_they_are_over(backend: Backend) {
    let world = World::new(backend, "UTC");
    let events = world.fill(4);
    // It is noon: yesterday's last day and a half are too young for periods.
    world.bench.settle(0);
    let today = NOW.0.div_euclid(Millis::DAY);
    let newest = |world: &World| {
        ["SELECT max(day) FROM settled_days", "SELECT max(first_day) FROM settled_counts WHERE kind = 3"]
            .map(|sql| world.bench.database.count(sql))
    };
    assert_eq!(newest(&world), [today, today - 2]);
    world.bench.settle(-1);
    assert_eq!(newest(&world), [today, today - 2]);
    let period = world.period(1, -1);
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
    let other = World::new(backend, "UTC");
    other.fill(4);
    other.bench.settle(-1);
    assert_eq!(newest(&other), [today, today - 3]);
}

fn months_weeks_and_other_stretches_are_counted_as_their_events_are(backend: Backend) {
    for zone in ["Europe/Zurich", "America/St_Johns", "Asia/Kolkata"] {
        let world = World::new(backend, zone);
        let mut noise = Noise(11);
        let event = |_| {
            let user = noise.below(300);
            Sent {
                at: NOW.plus(-(noise.below(100 * 24 * 60) as i64) * Millis::MINUTE),
                user: (user > 0).then(|| format!("u{user}")),
                crashes: noise.below(9) == 0,
                ..Sent::new("e")
            }
        };
        let events: Vec<_> = (0..1_500).map(event).collect();
        let first = |year: i16, month: i8| days_since_1970(jiff::civil::date(year, month, 1));
        let months = [first(2026, 1), first(2026, 2), first(2026, 3), first(2026, 4), first(2026, 5)];
        let monday = days_since_1970(jiff::civil::date(2026, 2, 2));
        let weeks: Vec<_> = (0..9).map(|week| monday + week * 7).collect();
        // From and to any hour of it.
        let zone = world.app.zone.clone();
        let hour = |ago: u64| {
            let day = zone.local(NOW).day - (ago / 24) as i32;
            zone.midnight(day).plus(-((ago % 24) as i64) * Millis::HOUR)
        };
        let stretches: Vec<_> = (0..12)
            .map(|_| {
                let (long, until) = (1 + noise.below(60 * 24), noise.below(40 * 24));
                (hour(until + long), hour(until))
            })
            .collect();
        let zone = &world.app.zone;
        let periods = [&months[..], &weeks].into_iter().flat_map(|edges| edges.windows(2));
        let periods = periods.map(|pair| (zone.midnight(pair[0]), zone.midnight(pair[1]))).chain(stretches);
        let periods: Vec<_> = periods.map(|(from, to)| period(zone, from, to)).collect();
        let check = |sent: &[Sent]| {
            for period in &periods {
                assert_eq!(world.users(*period).unwrap(), users(sent, *period), "{period:?}");
            }
        };
        for (number, batch) in events.chunks(300).enumerate() {
            world.bench.send(&world.scope, batch).unwrap();
            check(&events[..(number + 1) * 300]);
            world.bench.settle(2 * number as i64);
            check(&events[..(number + 1) * 300]);
        }
        assert!(world.counts(2) > 20 && world.lists(2) > 90);
    }
}

fn settling_beside_commits_and_other_nodes_never_shows_a_wrong_count(backend: Backend) {
    let world = World::new(backend, "UTC");
    let mut events = world.fill(12);
    let over = AtomicBool::new(false);
    let other = open(&world.bench.database).unwrap();
    std::thread::scope(|scope| {
        for store in [&world.bench.store, &other] {
            scope.spawn(|| {
                let mut hours = 0;
                while !over.load(Ordering::Relaxed) {
                    // The other one may hold the file for longer than this one waits.
                    _ = store.settle(NOW.plus(hours * Millis::HOUR));
                    hours += 2;
                }
            });
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut noise = Noise(3);
            for round in 0..40 {
                let late = Sent {
                    at: NOW.plus(-(noise.below(11 * 24 * 60) as i64) * Millis::MINUTE),
                    name: "e1".to_owned(),
                    user: Some(format!("late{round}")),
                    ..Sent::new("")
                };
                world.bench.send(&world.scope, std::slice::from_ref(&late)).unwrap();
                events.push(late);
                let (from, to) = (noise.below(12) as i64 + 1, noise.below(2) as i64 - 1);
                let period = world.period(from, to);
                assert_eq!(world.looked(period).unwrap(), counted(&events, period), "{round}: {from} to {to}");
                let users = world.bench.series(&world.scope, Metric::Users, &[world.period(12, 5)])[0];
                let within = |event: &&Sent| world.period(12, 5).range.contains(event.at);
                let expected: BTreeSet<_> = events.iter().filter(within).map(|event| &event.user).collect();
                assert_eq!(users, expected.len() as i64, "{round}");
            }
        }));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    world.bench.settle(10_000);
    assert_eq!((world.days(0), world.days(3), world.days(4), world.listed()), (0, 0, 0, 0));
    let today = NOW.0.div_euclid(Millis::DAY);
    assert!((0..13).all(|ago| world.bench.store.settled_holds(world.scope.environment, today - ago).unwrap()));
    let period = world.period(13, -1);
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
}

fn a_damaged_part_is_an_error_until_the_summaries_are_rebuilt(backend: Backend) {
    let world = World::new(backend, "UTC");
    let events = world.fill(6);
    world.bench.settle(0);
    let period = world.period(6, 0);
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
    let day = NOW.0.div_euclid(Millis::DAY) - 4;
    let (short, long) = (world.bench.database.bytes(&[1, 2, 3]), world.bench.database.bytes(&[0xff; 100]));
    for body in [short, long] {
        world.bench.database.alter(&format!("UPDATE settled_events SET body = {body} WHERE day = {day}"));
        assert!(matches!(world.looked(period), Err(StoreError::Corrupt(_))), "{body}");
    }
    // Elsewhere nothing is wrong, and what is counted by rows is right.
    let later = world.period(2, 0);
    assert_eq!(world.looked(later).unwrap(), counted(&events, later));
    let zone = world.app.zone.clone();
    let asked = Recount { environment: world.scope.environment, zone, day };
    assert_eq!(world.bench.store.recount(&asked).unwrap(), []);
    assert_eq!(world.bench.store.mend(&asked).unwrap(), []);
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
    world.bench.settle(0);
    assert_eq!((world.days(0), world.days(1)), (0, 0));
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
}

fn a_damaged_list_of_users_is_an_error_until_the_summaries_are_rebuilt(backend: Backend) {
    let world = World::new(backend, "UTC");
    let events = world.fill(8);
    world.bench.settle(0);
    let told = |from: i64, to: i64| world.users(world.period(from, to));
    let expected = |from: i64, to: i64| users(&events, world.period(from, to));
    let day = NOW.0.div_euclid(Millis::DAY) - 6;
    for kind in [3, 5] {
        assert_eq!(told(8, 1).unwrap(), expected(8, 1));
        let damage = world.bench.database.bytes(&[1, 2, 3]);
        world
            .bench
            .database
            .alter(&format!("UPDATE settled_sets SET members = {damage} WHERE day = {day} AND kind = {kind}"));
        assert!(matches!(told(8, 1), Err(StoreError::Corrupt(_))), "{kind}");
        assert_eq!(told(5, 1).unwrap(), expected(5, 1), "elsewhere nothing is wrong");
        let zone = world.app.zone.clone();
        let asked = Recount { environment: world.scope.environment, zone, day };
        assert_eq!(world.bench.store.mend(&asked).unwrap(), []);
        assert_eq!(told(8, 1).unwrap(), expected(8, 1));
        world.bench.settle(LONG_AGO);
    }
    assert_eq!(told(8, 1).unwrap(), expected(8, 1));
}

fn what_somebody_began_and_did_not_end_is_begun_anew(backend: Backend) {
    let world = World::new(backend, "UTC");
    let events = world.fill(6);
    world.bench.settle(0);
    let (days, counts) = (world.days(2), world.counts(2));
    let dead = format!("SET state = 1, token = 7, at = {}", NOW.0);
    world.bench.database.alter(&format!("UPDATE settled_days {dead}; UPDATE settled_counts {dead}"));
    let period = world.period(6, 0);
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
    // Whoever it is may still be at it.
    world.bench.settle(0);
    assert_eq!((world.days(1), world.counts(1)), (days, counts));
    world.bench.settle(1);
    assert_eq!((world.days(2), world.counts(2)), (days, counts));
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
}

fn old_events_are_forgotten_in_settled_days_too(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    let events = world.fill(6);
    world.bench.settle(0);
    assert_eq!(world.days(2), 7);
    world.bench.reopen_keeping(3);
    // Some are forgotten at a time: with the first of them no day that they lie in is settled any more.
    let today = NOW.0.div_euclid(Millis::DAY);
    let environment = world.scope.environment;
    world.bench.store.let_go((environment, Kept::Events), today - 2).unwrap();
    let removed = world.bench.store.remove((environment, Kept::Events), Millis((today - 2) * Millis::DAY), 3).unwrap();
    assert!(removed >= 3);
    assert_eq!(world.bench.database.count("SELECT min(day) FROM settled_days"), today - 2);
    let end = Millis((today - 2) * Millis::DAY);
    while world.bench.store.remove((environment, Kept::Events), end, 1_000).unwrap() > 0 {}
    assert_eq!(
        world.bench.database.count(&format!("SELECT count(*) FROM settled_columns WHERE day < {}", today - 2)),
        0
    );
    let period = world.period(6, 0);
    let left: Vec<_> = events.into_iter().filter(|event| event.at >= end).collect();
    assert_eq!(world.looked(period).unwrap(), counted(&left, period));
    world.bench.settle(5);
    assert_eq!(world.bench.database.count("SELECT min(day) FROM settled_days"), today - 2);
    assert_eq!(world.looked(period).unwrap(), counted(&left, period));
}

fn whoever_is_erased_is_in_no_settled_figure(backend: Backend) {
    let world = World::new(backend, "Europe/Zurich");
    let mut events = world.fill(40);
    world.bench.settle(0);
    let (days, periods) = (world.days(2), [(40, -1), (30, 10), (LONG_AGO, LONG_AGO - 1), (35, 28)]);
    for subject in world.bench.subjects(&world.scope, "u3") {
        world.bench.erase(&world.scope, subject, &[]);
    }
    assert!(world.days(2) < days, "nothing was unsettled");
    assert_eq!(world.bench.database.count("SELECT count(*) FROM settled_sets"), 0, "each day may have had them");
    let all = events.len();
    events.retain(|event| event.user.as_deref() != Some("u3"));
    assert!(events.len() < all);
    for again in [false, true] {
        for (from, to) in periods {
            let period = world.period(from, to);
            assert_eq!(world.looked(period).unwrap(), counted(&events, period), "{from} to {to}, {again}");
        }
        world.bench.settle(2);
    }
    assert_eq!(world.days(2), days);
}
