//! Retention and funnels against a naive recount of the same events, and the funnels that are kept.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tallybox::query::{Interval, cohorts};

use super::recount::Noise;
use super::*;

on_both_backends! {
    cohorts_equal_a_recount,
    funnels_equal_a_recount,
    users_are_told_apart_by_their_own_properties_and_the_rest_counts_together,
    what_nobody_did_is_no_error,
    funnels_are_kept_by_name,
}

const VERSION: Dimension = Dimension::Fact(Fact::Version);

/// Events of some users over some days up to [`NOW`], in the order of their arrival. No user does the same twice in a
/// minute, so that no choice is left between versions.
fn doings(noise: &mut Noise, count: usize, (users, minutes): (u64, u64)) -> Vec<Sent> {
    let mut different = BTreeSet::new();
    let mut events = Vec::new();
    while events.len() < count {
        let (user, name) = (noise.below(users), ["a", "b", "c", "d"][noise.below(4) as usize]);
        let minute = noise.below(minutes) as i64;
        if different.insert((user, name, minute)) {
            events.push(Sent {
                at: NOW.plus(-minute * Millis::MINUTE - 1),
                user: (user > 0).then(|| format!("u{user}")),
                session: None,
                version: ["1.0", "1.1", "2.0"][noise.below(3) as usize],
                ..Sent::new(name)
            });
        }
    }
    events
}

fn version(version: &str) -> Filters {
    Filters::none().with(VERSION, Keep::Is, Some(version.into()))
}

fn ask(bench: &Bench, scope: &Scope, ask: Ask) -> Report {
    bench.store.report(&Query { environment: scope.environment, ask }).unwrap()
}

fn cohorts_equal_a_recount(backend: Backend) {
    for (seed, zone, interval, count, days) in [
        (1, "Europe/Zurich", Interval::Week, 6, 60),
        (2, "Asia/Kolkata", Interval::Day, 14, 20),
        (3, "America/St_Johns", Interval::Month, 3, 100),
        (4, "UTC", Interval::Week, 12, 80),
    ] {
        let mut noise = Noise(seed);
        let bench = Bench::new(backend);
        let app = bench.app(zone);
        let scope = bench.scope(&app, 0);
        let events = doings(&mut noise, 900, (200, days * 24 * 60));
        for (number, batch) in events.chunks(100).enumerate() {
            bench.send(&scope, batch).unwrap();
            if number as u64 == seed {
                bench.settle(0);
            }
        }
        if seed == 2 || seed == 4 {
            bench.settle(100);
        }
        bench.send(&bench.scope(&app, 1), &events[..200]).unwrap();
        let periods = cohorts(interval, count, &app.zone, NOW);
        for born in [Born::FirstSeen, Born::Event("a".into())] {
            for back in [Back::AnyActivity, Back::Event("b".into()), Back::Event("a".into())] {
                for filters in [Filters::none(), version("1.1")] {
                    let (cohorts, born, back) = (periods.clone(), born.clone(), back.clone());
                    let question = RetentionAsk { cohorts, born, back, filters };
                    let expected = recounted(&question, &events);
                    assert!(expected.iter().any(|cohort| cohort.size > 0), "{zone} {question:?}");
                    let found = ask(&bench, &scope, Ask::Retention(question.clone()));
                    assert_eq!(found, Report::Cohorts(expected), "{zone} {question:?}");
                }
            }
        }
    }
}

fn recounted(ask: &RetentionAsk, events: &[Sent]) -> Vec<Cohort> {
    let wanted = ask.filters.iter().next().and_then(|filter| filter.values[0].as_deref());
    let kept = |event: &&Sent| wanted.is_none_or(|version| event.version == version);
    let mut users: BTreeMap<&str, Vec<&Sent>> = BTreeMap::new();
    for event in events {
        if let Some(user) = &event.user {
            users.entry(user).or_default().push(event);
        }
    }
    let place = |at: Millis| ask.cohorts.iter().position(|cohort| cohort.range.contains(at));
    let all = ask.cohorts.len();
    let mut cohorts: Vec<_> = (0..all).map(|own| Cohort { size: 0, back: vec![0; all - own] }).collect();
    for own in users.values() {
        let born = match &ask.born {
            Born::FirstSeen => own.iter().map(|event| event.at).min(),
            Born::Event(name) => own.iter().copied().filter(kept).filter(|e| *e.name == **name).map(|e| e.at).min(),
        };
        let Some(first) = born.and_then(place) else { continue };
        let kept: Vec<_> = own.iter().copied().filter(kept).collect();
        let there = |at: usize| kept.iter().any(|event| place(event.at) == Some(at));
        if ask.born == Born::FirstSeen && !there(first) {
            continue;
        }
        cohorts[first].size += 1;
        for (later, back) in cohorts[first].back.iter_mut().enumerate() {
            let is_back = |event: &&&Sent| match &ask.back {
                Back::AnyActivity => true,
                Back::Event(name) => *event.name == **name,
            };
            *back += i64::from(kept.iter().filter(is_back).any(|event| place(event.at) == Some(first + later)));
        }
    }
    cohorts
}

fn funnels_equal_a_recount(backend: Backend) {
    let step = |event: &str, filters: Filters| FunnelStep { event: event.into(), filters };
    let plain = |names: &[&str]| names.iter().map(|name| step(name, Filters::none())).collect::<Vec<_>>();
    for (seed, users, minutes) in [(1, 30, 5 * 24 * 60), (2, 60, 200), (3, 200, 10 * 24 * 60)] {
        let mut noise = Noise(seed);
        let bench = Bench::new(backend);
        let app = bench.app("Europe/Zurich");
        let scope = bench.scope(&app, 0);
        let events = doings(&mut noise, 600, (users, minutes));
        for (number, batch) in events.chunks(70).enumerate() {
            bench.send(&scope, batch).unwrap();
            if number as u64 == 3 * seed {
                bench.settle(0);
            }
        }
        if seed > 1 {
            bench.settle(100);
        }
        let minutes = minutes as i64;
        let period = period(&app.zone, NOW.plus(-minutes * 45_000), NOW.plus(-minutes * 15_000));
        for steps in [
            plain(&["a", "b"]),
            plain(&["a", "b", "c"]),
            plain(&["a", "a"]),
            plain(&["a", "b", "a", "c"]),
            plain(&["d", "c", "b", "a", "d", "c", "b", "a"]),
            vec![step("a", Filters::none()), step("b", version("1.1"))],
            vec![step("a", version("1.0")), step("a", Filters::none()), step("c", version("2.0"))],
            plain(&["a", "never"]),
        ] {
            for window in [minutes * 1_000, minutes * 15_000, 40 * Millis::DAY] {
                for (filters, by) in [
                    (Filters::none(), None),
                    (Filters::none(), Some(VERSION)),
                    (version("1.0").with(VERSION, Keep::Is, Some("2.0".into())), Some(VERSION)),
                ] {
                    let window = window.max(FunnelAsk::SHORTEST);
                    let question = FunnelAsk { steps: steps.clone(), window, period, filters, by };
                    let expected = walked(&question, &events);
                    let found = ask(&bench, &scope, Ask::Funnel(question.clone()));
                    let Report::Funnel(mut found) = found else { panic!("{found:?}") };
                    found.values.sort_by(|a, b| a.value.cmp(&b.value)); // those of one size come in any order
                    assert_eq!(found, expected, "{question:?}");
                }
            }
        }
    }
}

/// Every run of every user, one by one.
fn walked(ask: &FunnelAsk, events: &[Sent]) -> Funnel {
    let kept = |event: &Sent, filters: &Filters| {
        filters.iter().all(|filter| filter.values.iter().any(|value| value.as_deref() == Some(event.version)))
    };
    let mut users: BTreeMap<&str, Vec<(i64, u32, u32, &Sent)>> = BTreeMap::new();
    for event in events.iter().filter(|event| kept(event, &ask.filters)) {
        let is = |(_, step): &(usize, &FunnelStep)| *step.event == *event.name && kept(event, &step.filters);
        let bits = ask.steps.iter().enumerate().filter(is).fold(0_u32, |bits, (place, _)| bits | 1 << place);
        if let (Some(user), true) = (&event.user, bits > 0) {
            users.entry(user).or_default().push((event.at.0, bits.trailing_zeros(), bits, event));
        }
    }
    let count = ask.steps.len();
    let mut took = vec![Vec::new(); count];
    let mut values: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
    for own in users.values_mut() {
        own.sort_by_key(|(at, first, bits, _)| (*at, *first, *bits));
        // For each step, where it was reached first, by which run, and how long it took.
        let mut reached: Vec<Option<(usize, Reverse<usize>, i64)>> = vec![None; count];
        for (start, (began, _, bits, event)) in own.iter().enumerate() {
            if bits & 1 == 0 || !ask.period.range.contains(event.at) {
                continue;
            }
            let (mut here, mut step) = (start, 0);
            let mut arrive = |step: usize, here: usize, took: i64| {
                let arrival = (here, Reverse(start), took);
                reached[step] = Some(reached[step].map_or(arrival, |known| known.min(arrival)));
            };
            arrive(0, start, 0);
            while step + 1 < count {
                let within = |(at, _, bits, _): &&(i64, u32, u32, &Sent)| {
                    bits >> (step + 1) & 1 == 1 && at - began <= ask.window
                };
                let Some(next) = own[here + 1..].iter().position(|deed| within(&deed)) else { break };
                let next = here + 1 + next;
                step += 1;
                arrive(step, next, own[next].0 - own[here].0);
                here = next;
            }
        }
        let furthest = reached.iter().flatten().count();
        let Some((_, Reverse(start), _)) = furthest.checked_sub(1).and_then(|last| reached[last]) else { continue };
        let value = ask.by.as_ref().map(|_| own[start].3.version.to_owned());
        let users = values.entry(value).or_insert_with(|| vec![0; count]);
        for (step, (_, _, time)) in reached.iter().flatten().enumerate() {
            users[step] += 1;
            took[step].push(*time);
        }
    }
    let median = |step: usize| {
        let mut times = took[step].clone();
        times.sort_unstable();
        times.get(times.len().wrapping_sub(1) / 2).copied().filter(|_| step > 0)
    };
    let users = |step: usize| values.values().map(|users| users[step]).sum();
    let steps = (0..count).map(|step| Reached { users: users(step), median: median(step) }).collect();
    let rows = values.into_iter().map(|(value, users)| FunnelRow { value, users });
    Funnel { steps, values: rows.filter(|_| ask.by.is_some()).collect(), others: None }
}

fn users_are_told_apart_by_their_own_properties_and_the_rest_counts_together(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    // Of each plan as many users as its number, of whom one goes on; and three who have none.
    for plan in 0..=10 {
        for user in 0..plan.max(3 * i32::from(plan == 0)) {
            let props = if plan == 0 { "{}".to_owned() } else { format!(r#"{{"plan":"p{plan}"}}"#) };
            let user = format!("u{plan}-{user}");
            for (name, minutes) in [("a", 3), ("b", 2)] {
                if name == "a" || user.ends_with("-0") {
                    let mut sent = Sent { at: NOW.plus(-minutes * Millis::MINUTE), ..Sent::new(name) };
                    sent.user = Some(user.clone());
                    let Claim::Event(event) = sent.claim() else { unreachable!() };
                    let claim = Claim::Event(RawEvent {
                        props: serde_json::value::RawValue::from_string(props.clone()).ok().map(Cow::Owned),
                        ..event
                    });
                    bench.request(&scope, vec![claim], None).unwrap();
                }
            }
        }
    }
    let step = |event: &str| FunnelStep { event: event.into(), filters: Filters::none() };
    let question = FunnelAsk {
        steps: vec![step("a"), step("b")],
        window: Millis::HOUR,
        period: today(&app.zone),
        filters: Filters::none(),
        by: Some(Dimension::Prop("plan".into())),
    };
    let Report::Funnel(found) = ask(&bench, &scope, Ask::Funnel(question)) else { panic!("another report") };
    let rows: Vec<_> = found.values.iter().map(|row| (row.value.as_deref(), row.users.as_slice())).collect();
    let most = [
        (Some("p10"), &[10, 1][..]),
        (Some("p9"), &[9, 1]),
        (Some("p8"), &[8, 1]),
        (Some("p7"), &[7, 1]),
        (Some("p6"), &[6, 1]),
        (Some("p5"), &[5, 1]),
        (Some("p4"), &[4, 1]),
    ];
    assert_eq!(rows[..7], most);
    assert!([(None, &[3, 1][..]), (Some("p3"), &[3, 1])].contains(&rows[7]), "{rows:?}");
    assert_eq!(found.others, Some((3, vec![6, 3])));
    let steps = [Reached { users: 58, median: None }, Reached { users: 11, median: Some(Millis::MINUTE) }];
    assert_eq!(found.steps, steps);
}

fn what_nobody_did_is_no_error(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let step = |event: &str| FunnelStep { event: event.into(), filters: Filters::none() };
    let steps = vec![step("a"), step("b")];
    let (filters, period) = (Filters::none(), today(&app.zone));
    let question = FunnelAsk { steps, window: Millis::HOUR, period, filters, by: Some(VERSION) };
    let nobody = Funnel { steps: vec![Reached::default(); 2], ..Funnel::default() };
    assert_eq!(ask(&bench, &scope, Ask::Funnel(question)), Report::Funnel(nobody));
    for born in [Born::FirstSeen, Born::Event("a".into())] {
        let cohorts = cohorts(Interval::Week, 2, &app.zone, NOW);
        let question = RetentionAsk { cohorts, born, back: Back::Event("b".into()), filters: Filters::none() };
        let nobody = [vec![0, 0], vec![0]].map(|back| Cohort { size: 0, back });
        assert_eq!(ask(&bench, &scope, Ask::Retention(question)), Report::Cohorts(nobody.to_vec()));
    }
}

fn funnels_are_kept_by_name(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let [own, other] = [0, 1].map(|at| app.environments[at].id);
    let save = |environment, id, name: &str, query: &str| {
        let (name, query) = (name.to_owned(), query.to_owned());
        bench.store.save_funnel(&SaveFunnel { environment, id, name, query, by: By::command_line(NOW) })
    };
    let names = |environment| {
        let all = bench.store.funnels(environment).unwrap();
        all.into_iter().map(|funnel| (funnel.name, funnel.query)).collect::<Vec<_>>()
    };
    let pair = |name: &str, query: &str| (name.to_owned(), query.to_owned());
    let sign_up = save(own, None, " Sign up ", "step=a&step=b").unwrap();
    assert_eq!((sign_up.name.as_str(), sign_up.saved_at), ("Sign up", NOW));
    save(own, None, "buy 'it'", "step=c&step=d").unwrap();
    save(other, None, "Sign up", "step=x&step=y").unwrap();
    assert_eq!(names(own), [pair("buy 'it'", "step=c&step=d"), pair("Sign up", "step=a&step=b")]);

    let again = save(own, None, "Sign up", "step=a&step=c").unwrap();
    assert_eq!(again.id, sign_up.id);
    let renamed = save(own, Some(sign_up.id), "Register", "step=a&step=d").unwrap();
    assert_eq!(renamed.id, sign_up.id);
    assert_eq!(names(own), [pair("buy 'it'", "step=c&step=d"), pair("Register", "step=a&step=d")]);
    assert_eq!(names(other), [pair("Sign up", "step=x&step=y")]);

    assert!(matches!(save(own, Some(sign_up.id), "buy 'it'", "step=a"), Err(StoreError::Exists(_))));
    assert!(matches!(save(other, Some(sign_up.id), "Mine", "step=a"), Err(StoreError::NotFound(_))));
    for (name, query) in [("", "q".to_owned()), (&"n".repeat(81), "q".to_owned()), ("n", "q".repeat(4_001))] {
        assert!(save(own, None, name, &query).is_err(), "{name}");
    }
    bench.store.delete_funnel(other, sign_up.id, &By::command_line(NOW)).unwrap();
    assert_eq!(names(own).len(), 2);
    bench.store.delete_funnel(own, sign_up.id, &By::command_line(NOW)).unwrap();
    bench.store.delete_funnel(own, sign_up.id, &By::command_line(NOW)).unwrap();
    assert_eq!(names(own), [pair("buy 'it'", "step=c&step=d")]);

    for number in 1..SaveFunnel::MOST {
        save(own, None, &number.to_string(), "q").unwrap();
    }
    assert!(matches!(save(own, None, "one more", "q"), Err(StoreError::NoRoom(_))));
    save(own, None, "1", "another").unwrap();
}
