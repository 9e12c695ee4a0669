//! Reports and pages of events under filters, against a naive count of the same events.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;
use tallybox::rollup::{length_class, length_of};

use super::recount::Noise;
use super::*;

on_both_backends! {
    every_metric_under_every_filter_equals_a_recount,
    pages_of_events_are_exact_and_lead_to_each_other,
    what_is_rare_is_found_where_it_is_settled_and_where_it_is_not,
    of_many_sets_of_facts_every_value_is_told,
    properties_of_an_event_equal_a_recount,
}

/// One event as the test knows it.
#[derive(Clone, Debug)]
struct Made {
    id: EventId,
    at: Millis,
    /// How far the client's clock was ahead.
    ahead: i64,
    name: String,
    user: Option<String>,
    session: Option<String>,
    version: Option<&'static str>,
    system: Option<&'static str>,
    /// As text, whatever it is in JSON.
    plan: Option<&'static str>,
    size: Option<u64>,
    props: Option<Box<RawValue>>,
    /// Its group, and whether it is a crash.
    error: Option<(&'static str, bool)>,
}

impl Made {
    fn random(noise: &mut Noise, start: Millis) -> Self {
        let mut one = |of: &[Option<&'static str>]| of[noise.below(of.len() as u64) as usize];
        let version = one(&[Some("1.0"), Some("1.1"), None]);
        let system = one(&[Some("linux"), Some("macos"), None]);
        let plan = one(&[Some("pro"), Some("free"), Some("a\"b"), Some("ü"), Some(""), None, None]);
        let error = match noise.below(12) {
            0 => Some(("Late", false)),
            1 => Some(("Torn", false)),
            2 => Some(("Torn", true)),
            _ => None,
        };
        let ahead = match noise.below(12) {
            0 => 3 * Millis::HOUR,
            1 => -26 * Millis::HOUR,
            2 => 400 * Millis::DAY,
            3 => 10 * Millis::MINUTE,
            4 => -9 * Millis::MINUTE,
            5 => 10 * Millis::MINUTE + 1,
            6 => -10 * Millis::MINUTE - 1,
            7 => -10 * Millis::MINUTE,
            _ => 0,
        };
        let user = noise.below(25);
        let size = (noise.below(3) > 0).then(|| noise.below(4));
        Self {
            id: EventId::random(),
            at: start.plus(noise.below(6 * 24 * 12) as i64 * 5 * Millis::MINUTE),
            ahead,
            name: format!("e{}", noise.below(4)),
            user: (user > 0).then(|| format!("u{user}")),
            session: Some(format!("s{user}-{}", noise.below(5))).filter(|_| user > 0 || noise.below(2) > 0),
            version,
            system,
            plan,
            size,
            props: props(noise, plan, size),
            error,
        }
    }

    fn claim(&self) -> Claim<'_> {
        let mut facts = RawFacts::default();
        facts.set(Fact::Version, self.version);
        facts.set(Fact::System, self.system);
        let error =
            |(kind, fatal): (&'static str, bool)| RawError { kind: Some(kind.into()), fatal, ..Default::default() };
        Claim::Event(RawEvent {
            id: Some(self.id),
            claimed_at: Some(self.at.plus(self.ahead)),
            name: self.name.as_str().into(),
            user: self.user.as_deref().map(Into::into),
            session: self.session.as_deref().map(Into::into),
            props: self.props.as_deref().map(Cow::Borrowed),
            error: self.error.map(error),
            facts,
            ..RawEvent::default()
        })
    }

    fn value(&self, dimension: &Dimension) -> Option<String> {
        match dimension {
            Dimension::Event => Some(self.name.clone()),
            Dimension::Fact(Fact::Version) => self.version.map(str::to_owned),
            Dimension::Fact(Fact::System) => self.system.map(str::to_owned),
            Dimension::Error => self.error.map(|(group, _)| group.to_owned()),
            Dimension::Prop(name) if &**name == "plan" => self.plan.map(str::to_owned),
            Dimension::Prop(name) if &**name == "size" => self.size.map(|size| size.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn passes(&self, filters: &Filters) -> bool {
        filters.iter().all(|filter| {
            let value = self.value(&filter.dimension);
            filter.values.iter().any(|wanted| wanted.as_deref() == value.as_deref()) == (filter.keep == Keep::Is)
        })
    }
}

/// JSON in which what is looked for stands at the top, among what looks like it.
fn props(noise: &mut Noise, plan: Option<&str>, size: Option<u64>) -> Option<Box<RawValue>> {
    let mut members = vec![r#""of":{"plan":"pro","size":1}"#.to_owned()];
    match plan {
        Some(plan) => {
            let key = if noise.below(4) == 0 { r#""pl\u0061n""# } else { r#""plan""# };
            members.push(format!("{key}:{}", serde_json::to_string(plan).unwrap()));
        }
        None if noise.below(2) == 0 => members.push(r#""plan":null"#.to_owned()),
        None => {}
    }
    members.extend(size.map(|size| format!(r#""size": {size}"#)));
    if plan.is_none() && size.is_none() && noise.below(2) == 0 {
        return (noise.below(2) == 0).then(|| RawValue::from_string(r#"["plan","pro"]"#.to_owned()).unwrap());
    }
    Some(RawValue::from_string(format!("{{{}}}", members.join(","))).unwrap())
}

/// Everything that was sent, with what follows from its order of arrival.
struct World {
    bench: Bench,
    scope: Scope,
    zone: Arc<Zone>,
    start: Millis,
    events: Vec<Made>,
    sessions: BTreeMap<String, MadeSession>,
    /// The first event ever of each user.
    firsts: BTreeMap<String, Millis>,
}

struct MadeSession {
    from: Millis,
    to: Millis,
    crashed: bool,
    /// Its first event to arrive, whose facts are its own.
    first: Made,
}

impl World {
    fn new(backend: Backend, seed: u64, zone: &str, days_ago: i64) -> Self {
        let mut noise = Noise(seed);
        let mut bench = Bench::new(backend);
        let app = bench.app(zone);
        let scope = bench.scope(&app, 0);
        let start = NOW.plus(-days_ago * Millis::DAY);
        let events: Vec<_> = (0..700).map(|_| Made::random(&mut noise, start)).collect();
        let mut arrivals = events.clone();
        arrivals.extend((0..100).map(|_| events[noise.below(700) as usize].clone()));
        for i in (1..arrivals.len()).rev() {
            arrivals.swap(i, noise.below(i as u64 + 1) as usize);
        }
        let mut sessions = BTreeMap::new();
        let mut firsts = BTreeMap::new();
        for (number, batch) in arrivals.chunks_mut(120).enumerate() {
            batch.sort_by_key(|event| event.ahead);
            for clock in batch.chunk_by(|a, b| a.ahead == b.ahead) {
                let request = Request {
                    scope: scope.clone(),
                    received_at: NOW,
                    sent_at: Some(NOW.plus(clock[0].ahead)),
                    nonce: None,
                    claims: clock.iter().map(Made::claim).collect(),
                    people: Vec::new(),
                    sign_out: None,
                };
                bench.accept(request).unwrap();
            }
            for event in batch.iter() {
                note(event, &mut sessions, &mut firsts);
            }
            if number == 3 {
                bench.reopen();
            }
            if number == 2 || number == 4 {
                bench.settle(number as i64);
            }
        }
        // Some days are settled, some are not any more, and of another seed all are.
        if seed.is_multiple_of(2) {
            bench.settle(100);
        }
        Self { bench, scope, zone: app.zone, start, events, sessions, firsts }
    }

    fn ask(&self, ask: Ask) -> Report {
        self.bench.store.report(&Query { environment: self.scope.environment, ask }).unwrap()
    }

    /// Whole days, hours, and stretches that overlap them and each other.
    fn periods(&self) -> Vec<Period> {
        let first = self.zone.local(self.start).day;
        let midnight = self.zone.midnight(first);
        let hour = |from: i64, to: i64| {
            period(&self.zone, midnight.plus(from * Millis::HOUR), midnight.plus(to * Millis::HOUR))
        };
        let days = (first..first + 7).map(|number| day(&self.zone, number));
        let hours = (20..34).map(|from| hour(from, from + 1));
        days.chain(hours).chain([(5, 30), (0, 60), (30, 100), (90, 90)].map(|(from, to)| hour(from, to))).collect()
    }

    /// What the events of a period that pass come to.
    fn count(&self, period: &Period, filters: &Filters, by: Option<(&Dimension, Option<&str>)>) -> Counts {
        let passes = |event: &Made| {
            event.passes(filters) && by.is_none_or(|(dimension, value)| event.value(dimension).as_deref() == value)
        };
        let events: Vec<_> =
            self.events.iter().filter(|event| period.range.contains(event.at) && passes(event)).collect();
        let users: BTreeSet<_> = events.iter().filter_map(|event| event.user.as_deref()).collect();
        let crashes: Vec<_> = events.iter().filter(|event| event.error.is_some_and(|(_, fatal)| fatal)).collect();
        let crashed: BTreeSet<_> = crashes.iter().filter_map(|event| event.user.as_deref()).collect();
        let mut dimensions = filters.iter().map(|filter| &filter.dimension).chain(by.map(|(dimension, _)| dimension));
        let sessions: Vec<_> = if dimensions.all(|dimension| matches!(dimension, Dimension::Fact(_))) {
            let begun = self.sessions.values().filter(|session| period.range.contains(session.from));
            begun.filter(|session| passes(&session.first)).collect()
        } else {
            let named: BTreeSet<_> = events.iter().filter_map(|event| event.session.as_deref()).collect();
            named.iter().map(|name| &self.sessions[*name]).collect()
        };
        let mut lengths: Vec<_> = sessions.iter().map(|session| session.to.since(session.from)).collect();
        lengths.sort_unstable();
        let quantile = |percent: usize| {
            let rank = (lengths.len() * percent).div_ceil(100);
            rank.checked_sub(1).map(|place| length_of(length_class(lengths[place])))
        };
        Counts {
            events: events.len() as i64,
            sessions: sessions.len() as i64,
            new_users: users.iter().filter(|user| period.range.contains(self.firsts[**user])).count() as i64,
            users: users.len() as i64,
            crashed_users: crashed.len() as i64,
            devices: (filters.is_empty() && by.is_none()).then_some(0),
            errors: events.iter().filter(|event| event.error.is_some()).count() as i64,
            crashes: crashes.len() as i64,
            crashed_sessions: sessions.iter().filter(|session| session.crashed).count() as i64,
            median_length: quantile(50),
            p95_length: quantile(95),
        }
    }
}

fn note(event: &Made, sessions: &mut BTreeMap<String, MadeSession>, firsts: &mut BTreeMap<String, Millis>) {
    let crashed = event.error.is_some_and(|(_, fatal)| fatal);
    if let Some(name) = &event.session {
        let new = || MadeSession { from: event.at, to: event.at, crashed, first: event.clone() };
        let session = sessions.entry(name.clone()).or_insert_with(new);
        session.from = session.from.min(event.at);
        session.to = session.to.max(event.at);
        session.crashed |= crashed;
    }
    if let Some(user) = &event.user {
        let first = firsts.entry(user.clone()).or_insert(event.at);
        *first = (*first).min(event.at);
    }
}

fn filters(of: &[(Dimension, Keep, Option<&str>)]) -> Filters {
    let with = |all: Filters, (dimension, keep, value): &(Dimension, Keep, Option<&str>)| {
        all.with(dimension.clone(), *keep, value.map(Into::into))
    };
    of.iter().fold(Filters::none(), with)
}

fn all_filters() -> Vec<Filters> {
    let (version, system) = (Dimension::Fact(Fact::Version), Dimension::Fact(Fact::System));
    let (plan, size) = (Dimension::Prop("plan".into()), Dimension::Prop("size".into()));
    vec![
        Filters::none(),
        filters(&[(version.clone(), Keep::Is, Some("1.0"))]),
        filters(&[
            (version.clone(), Keep::Is, Some("1.0")),
            (version.clone(), Keep::Is, None),
            (system.clone(), Keep::IsNot, Some("linux")),
        ]),
        filters(&[(version.clone(), Keep::IsNot, Some("1.0"))]),
        filters(&[(Dimension::Event, Keep::Is, Some("e1")), (Dimension::Event, Keep::Is, Some("e2"))]),
        filters(&[(Dimension::Event, Keep::IsNot, Some("e1")), (system, Keep::Is, None)]),
        filters(&[(plan.clone(), Keep::Is, Some("pro")), (plan.clone(), Keep::Is, Some("a\"b"))]),
        filters(&[(plan.clone(), Keep::IsNot, None), (Dimension::Event, Keep::IsNot, Some("e1"))]),
        filters(&[(plan.clone(), Keep::IsNot, Some("ü")), (size.clone(), Keep::Is, Some("3"))]),
        filters(&[(plan, Keep::Is, None), (size, Keep::IsNot, None)]),
        filters(&[(Dimension::Error, Keep::IsNot, None)]),
        filters(&[(Dimension::Error, Keep::Is, Some("Torn")), (version, Keep::Is, Some("1.1"))]),
        filters(&[(Dimension::Event, Keep::Is, Some("never sent"))]),
    ]
}

fn every_metric_under_every_filter_equals_a_recount(backend: Backend) {
    // As in the recount without filters: weeks around a change of the clocks, and a zone of half hours.
    for (seed, zone, days_ago) in [(5, "Europe/Zurich", 14), (6, "America/St_Johns", 35)] {
        let world = World::new(backend, seed, zone, days_ago);
        let periods = world.periods();
        for filters in all_filters() {
            let counts: Vec<_> = periods.iter().map(|period| world.count(period, &filters, None)).collect();
            let values = |metric: &Metric| counts.iter().map(|counts| metric.value(counts)).collect::<Vec<_>>();
            let found = world.ask(Ask::Series(Metric::ALL.to_vec(), periods.clone(), filters.clone()));
            let expected: Vec<_> = Metric::ALL.iter().map(values).collect();
            let Report::Series(found) = found else { panic!("{found:?}") };
            for ((metric, found), expected) in Metric::ALL.iter().zip(&found).zip(&expected) {
                assert_eq!(found, expected, "{metric:?} under {filters:?} in {zone}");
            }
            // Of each metric alone, the answer may come from elsewhere.
            for (metric, expected) in Metric::ALL.iter().zip(&expected).filter(|_| !filters.is_empty()) {
                let alone = world.ask(Ask::Series(vec![*metric], periods[..3].to_vec(), filters.clone()));
                assert_eq!(alone, Report::Series(vec![expected[..3].to_vec()]), "{metric:?} alone under {filters:?}");
            }
            breakdowns(&world, &periods[1], &filters);
            // Whole days of UTC are in it.
            breakdowns(&world, &periods[23], &filters);
        }
    }
}

fn breakdowns(world: &World, period: &Period, filters: &Filters) {
    for dimension in [
        Dimension::Fact(Fact::Version),
        Dimension::Event,
        Dimension::Error,
        Dimension::Prop("plan".into()),
        Dimension::Prop("size".into()),
    ] {
        let of_users = &[Metric::Users, Metric::Errors, Metric::NewUsers, Metric::CrashFreeUsers];
        // What needs no more of a value than how many events have it may come from elsewhere.
        let of_events = &[Metric::Events, Metric::Crashes];
        let of_sessions: &[Metric] = match dimension {
            Dimension::Prop(_) => &[Metric::Sessions],
            _ => &[Metric::EventsPerSession],
        };
        for metrics in [&Metric::ALL[..], of_sessions, of_users, of_events] {
            let ask = BreakdownAsk {
                dimension: dimension.clone(),
                metrics: metrics.to_vec(),
                period: *period,
                filters: filters.clone(),
                limit: 100,
            };
            let Report::Breakdown(found) = world.ask(Ask::Breakdown(ask)) else { panic!("{dimension:?}") };
            let told = |counts: &Counts| metrics.iter().map(|metric| metric.value(counts)).collect::<Vec<_>>();
            let mut values: BTreeSet<_> = world.events.iter().map(|event| event.value(&dimension)).collect();
            if dimension == Dimension::Error {
                values.remove(&None); // what tells of no error is no group of errors
            }
            let expected: BTreeMap<_, _> = values
                .into_iter()
                .map(|value| (value.clone(), world.count(period, filters, Some((&dimension, value.as_deref())))))
                .filter(|(_, counts)| told(counts).iter().any(|value| value.is_some_and(|value| value > 0)))
                .map(|(value, counts)| (value, told(&counts)))
                .collect();
            let found_rows: BTreeMap<_, _> =
                found.rows.iter().map(|row| (row.value.clone(), row.metrics.clone())).collect();
            assert_eq!(found_rows, expected, "{metrics:?} by {dimension} under {filters:?}");
            assert_eq!((found.rows.len(), found.values), (expected.len(), expected.len() as u64), "by {dimension}");
            assert!(found.rows.is_sorted_by_key(|row| std::cmp::Reverse(row.metrics[0])), "by {dimension}");
            let together = told(&world.count(period, filters, None));
            assert_eq!(found.together, together, "{metrics:?} by {dimension} under {filters:?}, together");
        }
    }
}

fn pages_of_events_are_exact_and_lead_to_each_other(backend: Backend) {
    let world = World::new(backend, 7, "Europe/Zurich", 14);
    let middle = world.start.plus(3 * Millis::DAY);
    for (filters, since) in
        all_filters().into_iter().flat_map(|filters| [(filters.clone(), None), (filters, Some(middle))])
    {
        let mut expected: Vec<_> = world
            .events
            .iter()
            .filter(|event| event.passes(&filters) && since.is_none_or(|since| event.at >= since))
            .map(|event| (event.at, event.id))
            .collect();
        expected.sort_unstable_by_key(|place| std::cmp::Reverse(*place));
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let environment = world.scope.environment;
            let page = EventsPage { environment, filters: filters.clone(), since, after, limit: 90 };
            let list = world.bench.store.events(&page).unwrap();
            found.extend(list.rows.iter().map(|row| (row.occurred_at, row.id)));
            after = list.next;
            if after.is_none() {
                break;
            }
            assert_eq!(list.rows.len(), 90, "{filters:?}");
        }
        assert_eq!(found, expected, "{filters:?} since {since:?}");
    }
}

fn by_clock(sent: &Sent, ahead: i64) -> Claim<'_> {
    match sent.claim() {
        Claim::Event(claim) => Claim::Event(RawEvent { claimed_at: Some(sent.at.plus(ahead)), ..claim }),
        other => other,
    }
}

/// Three in a hundred have it, so that a page has to look far.
fn what_is_rare_is_found_where_it_is_settled_and_where_it_is_not(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let (scope, mut noise) = (bench.scope(&app, 0), Noise(77));
    let event = |number: i64, noise: &mut Noise| {
        let rare = noise.below(100) < 3;
        let ahead = if noise.below(10) == 0 { 3 * Millis::HOUR } else { 0 };
        // Some at the same time.
        let at = NOW.plus(-(number / 4) * 4 * Millis::MINUTE);
        let props = if rare { r#"{"format":"html"}"# } else { r#"{"format":"pdf"}"# };
        let props = Some(RawValue::from_string(props.to_owned()).unwrap());
        (Sent { at, props, ..Sent::new(if number % 3 == 0 { "a" } else { "b" }) }, ahead, rare)
    };
    let send = |events: &[(Sent, i64, bool)]| {
        for ahead in [0, 3 * Millis::HOUR] {
            let of_clock: Vec<_> = events.iter().filter(|event| event.1 == ahead).collect();
            for some in of_clock.chunks(500) {
                let request = Request {
                    scope: scope.clone(),
                    received_at: NOW,
                    sent_at: Some(NOW.plus(ahead)),
                    nonce: None,
                    claims: some.iter().map(|(sent, ahead, _)| by_clock(sent, *ahead)).collect(),
                    people: Vec::new(),
                    sign_out: None,
                };
                bench.accept(request).unwrap();
            }
        }
    };
    let format = Dimension::Prop("format".into());
    let rare = Filters::none().with(format.clone(), Keep::Is, Some("html".into()));
    let check = |events: &[(Sent, i64, bool)]| {
        for since in [None, Some(NOW.plus(-5 * Millis::DAY - 7))] {
            let passes = |(sent, _, rare): &&(Sent, i64, bool)| *rare && since.is_none_or(|since| sent.at >= since);
            let mut expected: Vec<_> = events.iter().filter(passes).map(|(sent, ..)| (sent.at, sent.id)).collect();
            expected.sort_unstable_by_key(|place| std::cmp::Reverse(*place));
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let (environment, filters) = (scope.environment, rare.clone());
                let list = bench.store.events(&EventsPage { environment, filters, since, after, limit: 110 }).unwrap();
                found.extend(list.rows.iter().map(|row| (row.occurred_at, row.id)));
                after = list.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "since {since:?}");
        }
    };
    let mut events: Vec<_> = (0..9_000).map(|number| event(number, &mut noise)).collect();
    send(&events);
    check(&events);
    bench.settle(0);
    check(&events);
    // Beside days, and on days that hold no longer.
    let late: Vec<_> = (0..9_000).step_by(40).map(|number| event(number, &mut noise)).collect();
    send(&late);
    events.extend(late);
    let day = NOW.0.div_euclid(Millis::DAY) - 3;
    check(&events);
    bench.database.alter(&format!("UPDATE settled_days SET state = 0 WHERE day = {day}"));
    check(&events);
}

fn of_many_sets_of_facts_every_value_is_told(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let builds: Vec<_> = (0..2_300).map(|number| format!("{number}")).collect();
    let (sent, mut noise) = (Sent::new("opened"), Noise(78));
    let made: Vec<_> = builds.iter().map(|build| (build, noise.below(5))).collect();
    for some in made.chunks(500) {
        let mut claims = Vec::new();
        for (build, user) in some {
            let mut facts = RawFacts::default();
            facts.set(Fact::Version, Some(["1.0", "1.1"][(*user % 2) as usize]));
            facts.set(Fact::Build, Some(build.as_str()));
            let Claim::Event(claim) = sent.claim() else { panic!("not an event") };
            let user = Some(format!("u{user}").into());
            claims.push(Claim::Event(RawEvent { id: Some(EventId::random()), user, facts, ..claim }));
        }
        bench.request(&scope, claims, None).unwrap();
    }
    let zone = &app.zone;
    let check = || {
        let ask = |dimension: Fact| {
            let ask = BreakdownAsk {
                dimension: Dimension::Fact(dimension),
                metrics: vec![Metric::Events, Metric::Users],
                period: today(zone),
                filters: Filters::none(),
                limit: 5_000,
            };
            match bench.store.report(&Query { environment: scope.environment, ask: Ask::Breakdown(ask) }).unwrap() {
                Report::Breakdown(found) => found,
                other => panic!("{other:?}"),
            }
        };
        let builds = ask(Fact::Build);
        assert_eq!(builds.rows.len(), 2_300);
        assert!(builds.rows.iter().all(|row| row.metrics == [Some(1), Some(1)]));
        let odd = made.iter().filter(|(_, user)| user % 2 == 1).count() as i64;
        let versions = ask(Fact::Version).rows.into_iter().map(|row| (row.value.unwrap(), row.metrics));
        let expected = [("1.0", 2_300 - odd, 3), ("1.1", odd, 2)];
        let expected = expected.map(|(version, events, users)| (version.to_owned(), vec![Some(events), Some(users)]));
        assert_eq!(versions.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
    };
    check();
    bench.settle(0);
    check();
}

fn properties_of_an_event_equal_a_recount(backend: Backend) {
    let world = World::new(backend, 8, "Asia/Kolkata", 9);
    let period = world.periods()[1];
    for filters in all_filters() {
        let event = "e1".to_owned();
        let ask = PropsAsk { event, period, filters: filters.clone(), limit: 10 };
        let Report::Props(found) = world.ask(Ask::Props(ask)) else { panic!("{filters:?}") };
        let passes = |made: &&Made| made.name == "e1" && period.range.contains(made.at) && made.passes(&filters);
        let events: Vec<_> = world.events.iter().filter(passes).collect();
        let objects =
            events.iter().filter(|made| made.props.as_ref().is_some_and(|props| props.get().starts_with('{')));
        let sizes: Vec<_> = events.iter().filter_map(|made| made.size).collect();
        for (name, count, numbers) in [
            ("of", objects.count(), None),
            ("plan", events.iter().filter(|made| made.plan.is_some()).count(), None),
            ("size", sizes.len(), Some(sizes.iter().sum::<u64>() as f64)),
        ] {
            let prop = found.iter().find(|prop| prop.name == name);
            assert_eq!(prop.map_or(0, |prop| prop.events), count as i64, "{name} under {filters:?}");
            let Some(prop) = prop else { continue };
            assert_eq!(prop.numbers.map(|numbers| numbers.sum), numbers, "{name} under {filters:?}");
            let mut values: BTreeMap<_, i64> = BTreeMap::new();
            for value in events.iter().filter_map(|made| match name {
                "of" => None,
                name => made.value(&Dimension::Prop(name.into())),
            }) {
                *values.entry(value).or_default() += 1;
            }
            let told: BTreeMap<_, _> = prop.values.iter().map(|one| (one.value.clone(), one.events)).collect();
            assert_eq!((told, prop.others), (values, 0), "{name} under {filters:?}");
        }
        assert!(found.is_sorted_by_key(|prop| std::cmp::Reverse(prop.events)));
    }
}
