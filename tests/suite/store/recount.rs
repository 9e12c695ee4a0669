//! Reports against a naive count of the same events.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

on_both_backends! { reports_equal_a_recount_whatever_the_order_of_arrival }

/// A small generator of repeatable noise.
pub struct Noise(pub u64);

impl Noise {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Late, duplicate and reordered events, over daylight saving and in odd zones: every report equals a naive count.
fn reports_equal_a_recount_whatever_the_order_of_arrival(backend: Backend) {
    // Six days each: Zurich's hold 2026-03-29 and Newfoundland's 2026-03-08, which have 23 hours.
    for (seed, zone, days_ago) in
        [(1, "Europe/Zurich", 14), (2, "Asia/Kolkata", 9), (3, "America/St_Johns", 35), (4, "UTC", 14)]
    {
        let mut noise = Noise(seed);
        let mut bench = Bench::new(backend);
        let app = bench.app(zone);
        let scope = bench.scope(&app, 0);
        let start = NOW.plus(-days_ago * Millis::DAY);
        let mut events = Vec::new();
        for _ in 0..1_500 {
            let user = noise.below(40);
            events.push(Sent {
                at: start.plus(noise.below(6 * 24 * 60) as i64 * Millis::MINUTE),
                name: format!("e{}", noise.below(5)),
                user: (user > 0).then(|| format!("u{user}")),
                session: Some(format!("s{user}-{}", noise.below(6))),
                version: ["1.0", "1.1", "2.0"][noise.below(3) as usize],
                ..Sent::new("")
            });
        }
        let mut arrivals = events.clone();
        for _ in 0..300 {
            arrivals.push(events[noise.below(1_500) as usize].clone());
        }
        for i in (1..arrivals.len()).rev() {
            arrivals.swap(i, noise.below(i as u64 + 1) as usize);
        }
        for (number, batch) in arrivals.chunks(37).enumerate() {
            bench.send(&scope, batch).unwrap();
            if number == 20 {
                bench.reopen();
            }
            // What comes behind unsettles some of it.
            if number % 15 == 9 {
                bench.settle(number as i64);
            }
        }
        compare(&bench, &scope, &app.zone, &events, start);
        bench.settle(100);
        compare(&bench, &scope, &app.zone, &events, start);
    }
}

pub fn compare(bench: &Bench, scope: &Scope, zone: &Zone, events: &[Sent], start: Millis) {
    let first_day = zone.local(start).day;
    let days: Vec<_> = (first_day..first_day + 7).map(|d| day(zone, d)).collect();
    let grain_start = Millis(zone.midnight(first_day).0);
    let hours: Vec<_> = (0..7 * 24)
        .map(|h| period(zone, grain_start.plus(h * Millis::HOUR), grain_start.plus((h + 1) * Millis::HOUR)))
        .collect();
    let odd: Vec<_> = [(5, 30), (0, 60), (30, 100), (7, 9)]
        .map(|(a, b)| period(zone, grain_start.plus(a * Millis::HOUR), grain_start.plus(b * Millis::HOUR)))
        .to_vec();

    let mut sessions: BTreeMap<&str, Millis> = BTreeMap::new();
    let mut firsts: BTreeMap<&str, Millis> = BTreeMap::new();
    for event in events {
        let started = sessions.entry(event.session.as_deref().unwrap()).or_insert(event.at);
        *started = (*started).min(event.at);
        if let Some(user) = &event.user {
            let first = firsts.entry(user).or_insert(event.at);
            *first = (*first).min(event.at);
        }
    }
    for periods in [&days, &hours, &odd] {
        for (index, period) in periods.iter().enumerate() {
            let inside = |at: &&Millis| period.range.contains(**at);
            let within: Vec<_> = events.iter().filter(|e| period.range.contains(e.at)).collect();
            let users: BTreeSet<_> = within.iter().filter_map(|e| e.user.as_deref()).collect();
            let expected = [
                (Metric::Events, within.len()),
                (Metric::Users, users.len()),
                (Metric::Sessions, sessions.values().filter(inside).count()),
                (Metric::NewUsers, firsts.values().filter(inside).count()),
            ];
            for (metric, count) in expected {
                let found = bench.series(scope, metric, std::slice::from_ref(period));
                assert_eq!(found, [count as i64], "{metric:?} of {index} in {} ({period:?})", zone.name());
            }
            let mut names: BTreeMap<&str, i64> = BTreeMap::new();
            for event in &within {
                *names.entry(&event.name).or_default() += 1;
            }
            let found = bench.breakdown(scope, Dimension::Event, *period);
            let found: BTreeMap<_, _> =
                found.rows.iter().map(|row| (row.value.as_deref().unwrap(), row.metrics[0].unwrap())).collect();
            assert_eq!(found, names, "names of {index} in {}", zone.name());
        }
        let all = bench.series(scope, Metric::Events, periods);
        let one_by_one: Vec<_> =
            periods.iter().map(|p| bench.series(scope, Metric::Events, std::slice::from_ref(p))[0]).collect();
        assert_eq!(all, one_by_one);
    }
}
