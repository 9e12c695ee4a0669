//! What settled days come to by the values of a dimension: months and weeks are told from it, whatever comes later.

use std::collections::{BTreeMap, BTreeSet};

use super::columns::{Made, World};
use super::recount::Noise;
use super::*;

on_both_backends! {
    days_weeks_and_months_by_a_property_equal_a_recount_whatever_comes,
    a_stretch_by_a_property_reads_no_columns,
    users_of_a_dimension_are_told_without_their_events,
    what_is_in_no_column_is_told_of_and_what_no_event_has_needs_no_rows,
    what_a_day_comes_to_is_found_where_it_is_wrong_and_made_where_it_is_missing,
}

const DAYS: i64 = 42;
/// What stands in place of a part where days are summed up.
const TOTALS: &str = "part IN (-3, -4, -6)";

fn prop(name: &str) -> Dimension {
    Dimension::Prop(name.into())
}

impl World {
    fn stretches(&self) -> Vec<Period> {
        let zone = &self.zone;
        let of = |from: i32, to: i32| period(zone, zone.midnight(from), zone.midnight(to));
        let first = |year: i16, month: i8| days_since_1970(jiff::civil::date(year, month, 1));
        let (today, monday) = (zone.local(NOW).day, days_since_1970(jiff::civil::date(2026, 3, 23)));
        let odd = period(zone, NOW.plus(-37 * Millis::DAY - Millis::HOUR), NOW.plus(-11 * Millis::DAY));
        vec![
            of(today - DAYS as i32, today + 1),
            of(first(2026, 2), first(2026, 3)),
            of(first(2026, 3), first(2026, 4)),
            of(monday, monday + 7),
            odd,
        ]
    }

    /// Insists that all these stretches by a property, and one by one, are what the events come to.
    #[track_caller]
    fn check_stretches(&self) {
        let none = Filters::none();
        let pro = Filters::none().with(prop("plan"), Keep::Is, Some("pro".into()));
        let second =
            Filters::none().with(Dimension::Event, Keep::Is, Some("e1".into())).with(prop("plan"), Keep::IsNot, None);
        let is_pro = |made: &Made| made.value("plan") == Some("pro");
        let is_second = |made: &Made| made.sent.name == "e1" && made.value("plan").is_some();
        for stretch in self.stretches() {
            for name in ["plan", "size", "on"] {
                self.compare(&self.events, (name, stretch), (&none, &|_| true));
            }
            self.compare(&self.events, ("plan", stretch), (&pro, &is_pro));
            self.compare(&self.events, ("plan", stretch), (&second, &is_second));
        }
        for metrics in [vec![Metric::Events], vec![Metric::Events, Metric::Users]] {
            self.check_series(&metrics, (&pro, &is_pro));
            self.check_series(&metrics, (&second, &is_second));
        }
    }

    #[track_caller]
    fn check_series(&self, metrics: &[Metric], (filters, passes): (&Filters, &dyn Fn(&Made) -> bool)) {
        let stretches = self.stretches();
        let ask = Ask::Series(metrics.to_vec(), stretches.clone(), filters.clone());
        let found = self.bench.store.report(&Query { environment: self.scope.environment, ask }).unwrap().counts();
        for (place, stretch) in stretches.iter().enumerate() {
            let within = self.events.iter().filter(|made| stretch.range.contains(made.sent.at) && passes(made));
            let users: BTreeSet<_> = within.clone().filter_map(|made| made.sent.user.as_deref()).collect();
            let expected = [within.count() as i64, users.len() as i64];
            let told: Vec<_> = found.iter().map(|row| row[place]).collect();
            assert_eq!(told, expected[..metrics.len()], "{metrics:?} under {filters:?} in {stretch:?}");
        }
    }
}

fn days_weeks_and_months_by_a_property_equal_a_recount_whatever_comes(backend: Backend) {
    let mut world = World::over(backend, 31, (4_000, DAYS as u64));
    let rest = world.events.split_off(3_700);
    world.send(&world.events);
    world.check_stretches();
    world.bench.settle(0);
    let told = [-3, -4].map(|part| world.columns(&format!("prop = 'plan' AND part = {part}")));
    assert!(told.iter().all(|days| *days > DAYS / 2), "amounts and people: {told:?}");
    world.check_stretches();
    // Late and repeated ones, of all days.
    world.send(&rest);
    world.send(&rest[..100]);
    world.events.extend(rest);
    assert!(world.listed() >= 300);
    world.check_stretches();
    // Two turn out to be one.
    world.bench.link(&world.scope, "u4", "u7");
    while world.bench.store.unite(NOW.plus(Millis::MINUTE)).unwrap() != Uniting::Idle {}
    for made in world.events.iter_mut().filter(|made| made.sent.user.as_deref() == Some("u4")) {
        made.sent.user = Some("u7".to_owned());
    }
    world.check_stretches();
    world.bench.settle(2);
    assert_eq!(world.listed(), 0);
    world.check_stretches();
    let totals = world.columns(TOTALS);
    for subject in world.bench.subjects(&world.scope, "u3") {
        world.bench.erase(&world.scope, subject, &[]);
    }
    assert!(world.columns(TOTALS) < totals, "nothing was thrown away");
    world.is_one_erased = true;
    world.events.retain(|made| made.sent.user.as_deref() != Some("u3"));
    world.check_stretches();
    world.bench.settle(4);
    world.holds(DAYS);
    world.check_stretches();
}

fn a_stretch_by_a_property_reads_no_columns(backend: Backend) {
    let mut world = World::over(backend, 32, (1_500, 14));
    world.send(&world.events);
    world.bench.settle(0);
    // Of the days at both ends the hours are looked at.
    let (day, body) = (NOW.0.div_euclid(Millis::DAY), world.bench.database.bytes(&[0xff; 100]));
    world.bench.database.alter(&format!(
        "UPDATE settled_columns SET body = {body} WHERE day BETWEEN {} AND {} AND part >= 0",
        day - 10,
        day - 4
    ));
    let mut late = Made::random(&mut Noise(33), 1_500, 14);
    late.sent.at = NOW.plus(-7 * Millis::DAY);
    world.send(std::slice::from_ref(&late));
    world.events.push(late);
    let stretch = period(&world.zone, NOW.plus(-12 * Millis::DAY), NOW);
    let none = Filters::none();
    let pro = Filters::none().with(prop("plan"), Keep::Is, Some("pro".into()));
    for name in ["plan", "size"] {
        world.compare(&world.events, (name, stretch), (&none, &|_| true));
    }
    world.compare(&world.events, ("plan", stretch), (&pro, &|made| made.value("plan") == Some("pro")));
    assert!(matches!(world.asked("size", stretch, &pro), Err(StoreError::Corrupt(_))), "by two properties together");
}

fn users_of_a_dimension_are_told_without_their_events(backend: Backend) {
    let mut world = World::over(backend, 38, (1_500, 14));
    for (number, made) in world.events.iter_mut().enumerate() {
        made.sent.version = ["1.0", "1.1", "2.0"][number % 7 % 3];
        made.sent.crashes = number % 9 == 0;
    }
    world.send(&world.events);
    world.bench.settle(0);
    assert!(world.columns("prop = 'version' AND part = -6") > 10);
    let (day, body) = (NOW.0.div_euclid(Millis::DAY), world.bench.database.bytes(&[0xff; 100]));
    world.bench.database.alter(&format!(
        "UPDATE settled_events SET body = {body} WHERE day BETWEEN {} AND {}",
        day - 10,
        day - 4
    ));
    let mut late = Made::random(&mut Noise(39), 1_500, 14);
    (late.sent.at, late.sent.version) = (NOW.plus(-7 * Millis::DAY), "3.0");
    world.send(std::slice::from_ref(&late));
    world.events.push(late);
    let stretch = period(&world.zone, NOW.plus(-12 * Millis::DAY), NOW);
    let ask = |dimension: &Dimension, metrics: &[Metric], filters: &Filters| {
        let (metrics, filters) = (metrics.to_vec(), filters.clone());
        let ask = BreakdownAsk { dimension: dimension.clone(), metrics, period: stretch, filters, limit: 100 };
        world.bench.store.report(&Query { environment: world.scope.environment, ask: Ask::Breakdown(ask) })
    };
    let version = Dimension::Fact(Fact::Version);
    let old = Filters::none().with(version.clone(), Keep::IsNot, Some("2.0".into()));
    let value = |dimension: &Dimension, made: &Made| match dimension {
        Dimension::Event => Some(made.sent.name.clone()),
        Dimension::Error => made.sent.crashes.then(|| "Torn".to_owned()),
        _ => Some(made.sent.version.to_owned()),
    };
    let both = [Metric::Events, Metric::Users];
    for dimension in [&version, &Dimension::Event, &Dimension::Error] {
        // Events alone come from elsewhere, where they are not filtered.
        for metrics in [&both[..], &both[..1]].into_iter().take(if *dimension == Dimension::Error { 1 } else { 2 }) {
            for filters in [&Filters::none(), &old].into_iter().take(if *dimension == version { 2 } else { 1 }) {
                let mut rows: BTreeMap<_, (i64, BTreeSet<_>)> = BTreeMap::new();
                let passes = |made: &&Made| filters.is_empty() || made.sent.version != "2.0";
                let within = world.events.iter().filter(|made| stretch.range.contains(made.sent.at)).filter(passes);
                for made in within {
                    let row = rows.entry(value(dimension, made)).or_default();
                    row.0 += 1;
                    row.1.extend(made.sent.user.as_deref());
                }
                if *dimension == Dimension::Error {
                    rows.remove(&None); // what tells of no error is no group of errors
                }
                let counts = |(events, users): (i64, BTreeSet<_>)| [Some(events), Some(users.len() as i64)];
                let expected = rows.into_iter().map(|(value, row)| (value, counts(row)[..metrics.len()].to_vec()));
                let Report::Breakdown(found) = ask(dimension, metrics, filters).unwrap() else { panic!("{dimension}") };
                let found = found.rows.into_iter().map(|row| (row.value, row.metrics));
                let (found, expected) = (found.collect::<BTreeMap<_, _>>(), expected.collect::<BTreeMap<_, _>>());
                assert_eq!(found, expected, "{metrics:?} by {dimension} under {filters:?}");
            }
        }
    }
    let by_event = Filters::none().with(Dimension::Event, Keep::Is, Some("e1".into()));
    assert!(matches!(ask(&version, &both, &by_event), Err(StoreError::Corrupt(_))), "by two dimensions together");
}

fn what_is_in_no_column_is_told_of_and_what_no_event_has_needs_no_rows(backend: Backend) {
    let mut world = World::over(backend, 36, (0, 0));
    let mut noise = Noise(37);
    // Every tenth has a value that is too long to be told.
    world.events = (0..2_000).filter(|n| n % 10 > 0).map(|number| Made::random(&mut noise, number, 8)).collect();
    world.send(&world.events);
    world.bench.settle(0);
    let day = NOW.0.div_euclid(Millis::DAY);
    let whole = |day: i64| Millis(day * Millis::DAY);
    let stretch = period(&world.zone, whole(day - 7), whole(day));
    assert_eq!(world.columns("prop = 'number' AND part >= 0"), 0);
    assert!(world.columns("prop = 'number' AND part = -3") >= 7 && world.columns("prop = '' AND part = -5") >= 7);
    world.holds(8);
    let none = Filters::none();
    let check = |world: &World| {
        for name in ["plan", "number", "long", "never"] {
            world.compare(&world.events, (name, stretch), (&none, &|_| true));
        }
    };
    check(&world);
    let mut late = Made::random(&mut noise, 2_001, 8);
    late.sent.at = whole(day - 3).plus(5);
    world.send(std::slice::from_ref(&late));
    world.events.push(late);
    world.holds(8);
    check(&world);
    world.bench.settle(2);
    // Whatever the rows say is not asked for, and found by a look at them.
    world.bench.database.alter(r#"UPDATE events SET props = '{"never":1}'"#);
    check(&world);
    assert!(!world.is_right(day - 3));
}

fn what_a_day_comes_to_is_found_where_it_is_wrong_and_made_where_it_is_missing(backend: Backend) {
    let mut world = World::over(backend, 34, (900, 6));
    world.send(&world.events);
    world.bench.settle(0);
    let day = NOW.0.div_euclid(Millis::DAY) - 4;
    let all = world.columns(TOTALS);
    // As an older version leaves them.
    world.bench.database.alter(&format!("DELETE FROM settled_columns WHERE {TOTALS}"));
    world.check_stretches();
    world.holds(7);
    world.bench.settle(0);
    assert_eq!(world.columns(TOTALS), all);
    world.holds(7);
    world.check_stretches();
    // What was right once, before somebody new came.
    world.bench.database.alter(&format!("CREATE TABLE old AS SELECT * FROM settled_columns WHERE {TOTALS}"));
    let mut noise = Noise(35);
    let late = std::iter::repeat_with(|| Made::random(&mut noise, 901, 6)).find(|made| made.value("plan").is_some());
    let mut late = late.unwrap();
    (late.sent.at, late.sent.user) = (Millis(day * Millis::DAY + 7), Some("new".to_owned()));
    world.send(std::slice::from_ref(&late));
    world.events.push(late);
    world.bench.settle(2);
    world.holds(7);
    let mend = Recount { environment: world.scope.environment, zone: world.zone.clone(), day };
    for place in [
        "prop = '' AND part = -3",
        "prop = '' AND part = -4",
        "prop = 'plan' AND part = -3",
        "prop = 'plan' AND part = -4",
        "prop = 'event' AND part = -6",
        "prop = 'error' AND part = -6",
        "prop = 'version' AND part = -6",
    ] {
        world.bench.database.alter(&format!(
            "UPDATE settled_columns SET body = (SELECT o.body FROM old o WHERE o.day = settled_columns.day \
             AND o.prop = settled_columns.prop AND o.part = settled_columns.part) WHERE day = {day} AND {place}"
        ));
        assert!(world.is_right(day - 1) && !world.is_right(day), "{place}");
        assert_eq!(world.bench.store.mend(&mend).unwrap(), []);
        assert_eq!(world.columns(&format!("day = {day}")), 0);
        world.check_stretches();
        world.bench.settle(2);
        assert!(world.is_right(day), "{place}");
    }
    world.check_stretches();
    let body = world.bench.database.bytes(&[0xff; 100]);
    world.bench.database.alter(&format!("UPDATE settled_columns SET body = {body} WHERE day = {day} AND part = -3"));
    let whole = world.stretches()[0];
    assert!(matches!(world.asked("plan", whole, &Filters::none()), Err(StoreError::Corrupt(_))));
    assert!(!world.is_right(day));
    world.bench.store.mend(&mend).unwrap();
    world.bench.settle(2);
    world.check_stretches();
}
