//! Groups of errors and the health of versions against a naive count of the same events, whatever the clocks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::recount::Noise;
use super::*;

on_both_backends! {
    groups_of_errors_equal_a_recount_whatever_the_clocks,
    a_group_is_told_with_its_newest_events,
    errors_of_one_environment_are_not_those_of_another,
    health_of_versions_equals_a_recount,
    who_came_back_is_counted_by_the_first_session_of_the_first_day,
}

/// An event of a test, and by how much its clock is off.
#[derive(Clone)]
struct Told {
    sent: Sent,
    /// What its properties say; none of an event that tells of no error.
    error: Option<(&'static str, bool)>,
    off: i64,
}

impl Told {
    fn new(sent: Sent) -> Self {
        Self { sent, error: None, off: 0 }
    }

    fn failed(self, group: &'static str) -> Self {
        Self { error: Some((group, false)), ..self }
    }

    fn props(&self) -> Option<Box<RawValue>> {
        let (group, fatal) = self.error?;
        let json = serde_json::json!({ "type": group, "fatal": fatal, "stack": format!("at {group}") });
        Some(RawValue::from_string(json.to_string()).unwrap())
    }
}

impl Bench {
    /// Sends events, each at its own clock's time.
    fn tell(&self, scope: &Scope, told: &[Told]) {
        for one in told {
            let props = one.props();
            let Claim::Event(claim) = one.sent.claim() else { panic!("not an event") };
            let name = if one.error.is_some() { "error".into() } else { claim.name.clone() };
            let claimed_at = Some(one.sent.at.plus(-one.off));
            let claim = RawEvent { name, claimed_at, props: props.map(Cow::Owned), ..claim };
            let request = Request {
                scope: scope.clone(),
                received_at: NOW,
                sent_at: Some(NOW.plus(-one.off)),
                nonce: None,
                claims: vec![Claim::Event(claim)],
                people: Vec::new(),
                sign_out: None,
            };
            self.accept(request).unwrap();
        }
    }

    fn errors(&self, scope: &Scope, period: Period, search: &str) -> Vec<ErrorRow> {
        let ask = ErrorsAsk { period, filters: Filters::none(), search: search.to_owned(), limit: 100 };
        match self.store.report(&Query { environment: scope.environment, ask: Ask::Errors(ask) }).unwrap() {
            Report::Errors(rows) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn group(&self, scope: &Scope, period: Period, group: &str) -> Option<ErrorGroup> {
        let ask = ErrorGroupAsk { group: group.to_owned(), period, filters: Filters::none(), newest: 3 };
        match self.store.report(&Query { environment: scope.environment, ask: Ask::ErrorGroup(ask) }).unwrap() {
            Report::ErrorGroup(group) => group.map(|group| *group),
            other => panic!("{other:?}"),
        }
    }

    fn health(&self, scope: &Scope, period: Period, days: Vec<Period>) -> Health {
        let ask = HealthAsk { period, days };
        match self.store.report(&Query { environment: scope.environment, ask: Ask::Health(ask) }).unwrap() {
            Report::Health(health) => health,
            other => panic!("{other:?}"),
        }
    }
}

/// Six days of events of forty users, some of them errors and crashes, with clocks that are right, a little off, on
/// another zone's time, or were never set.
fn noise(seed: u64, start: Millis) -> Vec<Told> {
    let mut noise = Noise(seed);
    let mut some = || {
        let user = noise.below(40);
        let session = noise.below(5);
        let sent = Sent {
            at: start.plus(noise.below(6 * 24 * 3_600_000) as i64),
            name: "used".to_owned(),
            user: (user > 0).then(|| format!("u{user}")),
            session: Some(format!("s{user}-{session}")),
            version: ["1.0", "1.1", "2.0"][((user + session) % 3) as usize],
            ..Sent::new("")
        };
        let group = ["TypeError", "IoError", "Timeout", "Oops"][noise.below(4) as usize];
        let error = (noise.below(3) == 0).then(|| (group, noise.below(4) == 0));
        let off =
            [0, 0, 0, 4 * Millis::MINUTE, -3 * Millis::HOUR, 5 * Millis::HOUR, 400 * Millis::DAY, -40 * Millis::DAY]
                [noise.below(8) as usize];
        Told { sent, error, off }
    };
    (0..500).map(|_| some()).collect()
}

/// What a recount knows of a group.
type Plain<'a> = (String, (i64, i64, i64, i64), (Option<Millis>, Option<Millis>), bool, BTreeMap<&'a str, i64>);

fn plain(row: &ErrorRow) -> Plain<'_> {
    assert!(row.versions.is_sorted_by_key(|(_, events)| std::cmp::Reverse(*events)));
    let counts = (row.events, row.crashes, row.users, row.sessions);
    let versions = row.versions.iter().map(|(name, events)| (name.as_deref().unwrap(), *events)).collect();
    (row.group.clone(), counts, (Some(row.first_at), Some(row.last_at)), row.is_new, versions)
}

fn groups_of_errors_equal_a_recount_whatever_the_clocks(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("Europe/Zurich");
    let scope = bench.scope(&app, 0);
    let start = app.zone.midnight(app.zone.local(NOW).day - 8);
    let told = noise(7, start);
    bench.tell(&scope, &told);
    for (from, to) in [(0, 144), (0, 24), (30, 31), (40, 100), (200, 300)] {
        let period = period(&app.zone, start.plus(from * Millis::HOUR), start.plus(to * Millis::HOUR));
        let mut groups: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
        for one in &told {
            groups.entry(one.error.map_or("", |(group, _)| group)).or_default().push(one);
        }
        groups.remove("");
        let mut expected = Vec::new();
        for (group, all) in groups {
            let within: Vec<_> = all.iter().filter(|one| period.range.contains(one.sent.at)).collect();
            if within.is_empty() {
                continue;
            }
            let ends = (all.iter().map(|one| one.sent.at).min(), all.iter().map(|one| one.sent.at).max());
            let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
            within.iter().for_each(|one| *versions.entry(one.sent.version).or_default() += 1);
            let row = (
                within.len() as i64,
                within.iter().filter(|one| one.error.is_some_and(|(_, fatal)| fatal)).count() as i64,
                within.iter().filter_map(|one| one.sent.user.as_deref()).collect::<BTreeSet<_>>().len() as i64,
                within.iter().filter_map(|one| one.sent.session.as_deref()).collect::<BTreeSet<_>>().len() as i64,
            );
            expected.push((group.to_owned(), row, ends, period.range.contains(ends.0.unwrap()), versions));
        }
        let rows = bench.errors(&scope, period, "");
        assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(row.events)), "{rows:?}");
        let mut found: Vec<_> = rows.iter().map(plain).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, expected, "hours {from} to {to}");
        let all: i64 = rows.iter().map(|row| row.events).sum();
        assert_eq!(bench.series(&scope, Metric::Errors, &[period]), [all]);
    }
    let whole = period(&app.zone, start, NOW);
    let titles =
        |search: &str| bench.errors(&scope, whole, search).into_iter().map(|row| row.group).collect::<Vec<_>>();
    assert_eq!((titles(" timeOUT "), titles("nothing of that name")), (vec!["Timeout".to_owned()], vec![]));

    let filters = Filters::none().with(Dimension::Fact(Fact::Version), Keep::Is, Some("2.0".into()));
    let ask = ErrorsAsk { period: whole, filters, search: String::new(), limit: 2 };
    let rows = bench.store.report(&Query { environment: scope.environment, ask: Ask::Errors(ask) }).unwrap();
    let Report::Errors(rows) = rows else { panic!("{rows:?}") };
    let of = |row: &&ErrorRow| {
        let same = |one: &&Told| one.sent.version == "2.0" && one.error.is_some_and(|(group, _)| group == row.group);
        told.iter().filter(same).count() as i64 == row.events && row.versions.len() == 1
    };
    assert_eq!((rows.len(), rows.iter().filter(of).count()), (2, 2), "{rows:?}");
}

fn a_group_is_told_with_its_newest_events(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let at = |hours: i64, off: i64, version| {
        let sent = Sent { at: NOW.plus(-hours * Millis::HOUR), version, ..Sent::new("x") };
        Told { off, ..Told::new(sent).failed("Boom") }
    };
    let far = 30 * Millis::DAY;
    let told = [at(1, far, "2"), at(2, 0, "2"), at(3, -far, "1"), at(4, 0, "1"), at(30, 0, "1"), at(5, 0, "2")];
    bench.tell(&scope, &told);
    bench.tell(&scope, &[Told::new(Sent::new("x")).failed("Other")]);
    let day = period(&app.zone, NOW.plus(-24 * Millis::HOUR), NOW);
    let group = bench.group(&scope, day, "Boom").unwrap();
    let newest: Vec<_> = group.newest.iter().map(|event| event.occurred_at).collect();
    assert_eq!(newest, [1, 2, 3].map(|hours| NOW.plus(-hours * Millis::HOUR)));
    assert!(group.newest.iter().all(|event| event.props.as_deref().unwrap().contains("at Boom")));
    assert_eq!((group.row.events, group.row.users, group.row.is_new, group.versions), (5, 1, false, 2));
    assert_eq!(group.row.versions, [(Some("2".to_owned()), 3), (Some("1".to_owned()), 2)]);
    assert_eq!(group.systems, [(None, 5)]);
    let before = period(&app.zone, NOW.plus(-90 * Millis::HOUR), NOW.plus(-80 * Millis::HOUR));
    let group = bench.group(&scope, before, "Boom").unwrap();
    assert_eq!((group.row.events, group.row.last_at, group.newest.len()), (0, NOW.plus(-Millis::HOUR), 0));
    assert_eq!(bench.group(&scope, day, "Unheard of"), None);
}

fn errors_of_one_environment_are_not_those_of_another(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let (production, development) = (bench.scope(&app, 0), bench.scope(&app, 2));
    bench.tell(&production, &[Told::new(Sent::new("x")).failed("Boom")]);
    let today = today(&app.zone);
    assert_eq!((bench.errors(&production, today, "").len(), bench.errors(&development, today, "").len()), (1, 0));
    assert!(bench.group(&production, today, "Boom").is_some());
    assert_eq!(bench.group(&development, today, "Boom"), None);
}

fn health_of_versions_equals_a_recount(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("America/St_Johns");
    let scope = bench.scope(&app, 0);
    let first = app.zone.local(NOW).day - 8;
    let start = app.zone.midnight(first);
    let told = noise(11, start);
    bench.tell(&scope, &told);
    let mut sessions: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    let mut people: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for one in &told {
        sessions.entry(one.sent.session.as_deref().unwrap()).or_default().push(one);
        if let Some(user) = one.sent.user.as_deref() {
            people.entry(user).or_default().insert(app.zone.local(one.sent.at).day);
        }
    }
    let began = |events: &[&Told]| events.iter().map(|one| one.sent.at).min().unwrap();
    for (from, to) in [(0, 6), (1, 3), (20, 21)] {
        let days: Vec<_> = (first + from..first + to).map(|number| day(&app.zone, number)).collect();
        let whole = period(&app.zone, days[0].range.from, days[days.len() - 1].range.to);
        let health = bench.health(&scope, whole, days.clone());
        assert_eq!(health.days as usize, days.len());
        assert_eq!(health.sessions, bench.series(&scope, Metric::Sessions, &[whole])[0]);
        assert_eq!(health.versions.iter().map(|one| one.version.as_str()).collect::<Vec<_>>(), ["1.0", "1.1", "2.0"]);
        for found in &health.versions {
            let own = |one: &&Told| one.sent.version == found.version && whole.range.contains(one.sent.at);
            let begun: Vec<_> = sessions.values().filter(|all| all[0].sent.version == found.version).collect();
            let begun: Vec<_> = begun.into_iter().filter(|all| whole.range.contains(began(all))).collect();
            let crashed = begun.iter().filter(|all| all.iter().any(|one| one.error.is_some_and(|(_, fatal)| fatal)));
            let (mut newcomers, mut returned) = (0, 0);
            for (user, seen) in &people {
                let born = *seen.first().unwrap();
                let theirs = sessions.values().filter(|all| all[0].sent.user.as_deref() == Some(*user));
                let first = theirs.filter(|all| app.zone.local(began(all)).day == born).min_by_key(|all| began(all));
                let version = first.map(|all| all[0].sent.version);
                if days.iter().any(|day| day.first.day == born) && version == Some(&found.version) {
                    newcomers += 1;
                    returned += i64::from(seen.contains(&(born + 1)));
                }
            }
            let expected = VersionHealth {
                version: found.version.clone(),
                first_day: found.first_day,
                sessions: begun.len() as i64,
                crashed_sessions: crashed.count() as i64,
                events: told.iter().filter(own).count() as i64,
                errors: told.iter().filter(own).filter(|one| one.error.is_some()).count() as i64,
                newcomers,
                returned,
            };
            assert_eq!(*found, expected, "days {from} to {to}");
        }
    }
}

fn who_came_back_is_counted_by_the_first_session_of_the_first_day(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("Asia/Kolkata");
    let scope = bench.scope(&app, 0);
    let first = app.zone.local(NOW).day - 5;
    let seen = |user: &str, day: i32, hour: i64, version: &'static str| {
        let at = app.zone.midnight(first + day).plus(hour * Millis::HOUR);
        Told::new(Sent {
            at,
            user: Some(user.to_owned()),
            session: Some(format!("{user}{at:?}")),
            version,
            ..Sent::new("x")
        })
    };
    bench.tell(
        &scope,
        &[
            seen("ana", 0, 23, "1"), // back within the hour, which is the next day
            seen("ana", 1, 0, "2"),
            seen("ben", 0, 9, "2"), // a second version on the same day makes no second newcomer
            seen("ben", 0, 8, "1"),
            seen("ben", 2, 8, "1"),
            seen("cid", 1, 5, "2"),
            seen("cid", 2, 5, "2"),
            seen("dan", -1, 5, "2"), // new before the range
            seen("dan", 0, 5, "2"),
            seen("eve", 2, 5, "2"), // new after the last day that is looked at
        ],
    );
    let days: Vec<_> = (0..2).map(|number| day(&app.zone, first + number)).collect();
    let whole = period(&app.zone, app.zone.midnight(first), NOW);
    let health = bench.health(&scope, whole, days);
    let told: Vec<_> = health.versions.iter().map(|one| (one.version.as_str(), one.newcomers, one.returned)).collect();
    assert_eq!(told, [("2", 1, 1), ("1", 2, 1)], "in the order of first sight");
}
