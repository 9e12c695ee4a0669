//! The properties of one event, from what settled days come to: the same as from the events, whatever comes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::recount::Noise;
use super::*;

on_both_backends! {
    properties_of_an_event_equal_a_recount_whatever_comes,
    days_that_are_told_of_are_not_read,
    a_property_without_a_name_is_told_of_like_any_other,
    days_of_which_not_all_is_told_are_read,
    too_many_texts_are_told_by_the_order_of_their_rows_and_too_many_numbers_by_what_they_come_to,
}

const DAYS: i64 = 20;

struct World {
    bench: Bench,
    scope: Scope,
    zone: Arc<Zone>,
    events: Vec<Made>,
}

/// Whether an event passes.
type Passes<'p> = &'p dyn Fn(&Made) -> bool;

struct Made {
    sent: Sent,
    /// Names, and what stands under them in JSON, in the order of the text.
    members: Vec<(&'static str, String)>,
}

impl Made {
    fn of(at: Millis, name: &str, members: Vec<(&'static str, String)>) -> Self {
        let json: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let props = RawValue::from_string(format!("{{{}}}", json.join(","))).unwrap();
        Self { sent: Sent { at, props: Some(props), ..Sent::new(name) }, members }
    }

    fn random(noise: &mut Noise, days: i64) -> Self {
        let mut members = Vec::new();
        let mut add = |name: &'static str, values: &[&str], chance: u64| {
            if noise.below(chance) == 0 {
                members.push((name, values[noise.below(values.len() as u64) as usize].to_owned()));
            }
        };
        add("plan", &[r#""pro""#, r#""free""#, r#""a\"b""#, r#""ü""#, r#""""#, "null"], 1);
        add("plan", &[r#""late""#], 3);
        add("size", &["1", "2", "2.0", "1e2", "-0.25", "1e999", r#""2""#], 2);
        add("on", &["true", "false", "null", r#""true""#], 3);
        add("of", &["{}", "[1]", r#""x""#], 4);
        add("", &["7", "7", r#""7""#, "null"], 5);
        members.push(("took", format!("{}.{}", noise.below(90), ["0", "25", "5"][noise.below(3) as usize])));
        let at = NOW.plus(-(noise.below(days.unsigned_abs() * 24 * 60) as i64) * Millis::MINUTE);
        let mut made = Self::of(at, &format!("e{}", noise.below(3)), members);
        let user = noise.below(30);
        made.sent.user = (user > 0).then(|| format!("u{user}"));
        made.sent.session = Some(format!("s{user}"));
        made
    }

    /// What counts of its members.
    fn has(&self, name: &str) -> Option<&str> {
        let first = self.members.iter().find(|(own, _)| *own == name);
        first.map(|(_, json)| json.as_str()).filter(|json| *json != "null")
    }
}

impl World {
    fn new(backend: Backend, zone: &str) -> Self {
        let bench = Bench::new(backend);
        let app = bench.app(zone);
        let scope = bench.scope(&app, 0);
        Self { bench, scope, zone: app.zone, events: Vec::new() }
    }

    fn add(&mut self, events: impl IntoIterator<Item = Made>) {
        let events: Vec<_> = events.into_iter().collect();
        self.send(&events);
        self.events.extend(events);
    }

    fn send(&self, events: &[Made]) {
        for batch in events.chunks(500) {
            let batch: Vec<_> = batch.iter().map(|made| made.sent.clone()).collect();
            self.bench.send(&self.scope, &batch).unwrap();
        }
    }

    fn period(&self, from: Millis, to: Millis) -> Period {
        period(&self.zone, from, to)
    }

    fn asked(&self, period: Period, filters: &Filters) -> Result<Vec<PropSummary>, StoreError> {
        let ask = PropsAsk { event: "e1".to_owned(), period, filters: filters.clone(), limit: 50 };
        match self.bench.store.report(&Query { environment: self.scope.environment, ask: Ask::Props(ask) })? {
            Report::Props(found) => Ok(found),
            other => panic!("{other:?}"),
        }
    }

    /// Insists that the properties are what the events have, in stretches of whole days and others.
    #[track_caller]
    fn check(&self) {
        let midnight = |days: i32| self.zone.midnight(self.zone.local(NOW).day + days);
        let whole = Millis(NOW.0.div_euclid(Millis::DAY) * Millis::DAY);
        let pro = Filters::none().with(Dimension::Prop("plan".into()), Keep::Is, Some("pro".into()));
        let others = Filters::none().with(Dimension::Event, Keep::IsNot, Some("e2".into()));
        let nothing = Filters::none().with(Dimension::Event, Keep::IsNot, Some("e1".into()));
        for (from, to) in [
            (midnight(1 - DAYS as i32), midnight(1)),
            (whole.plus(-9 * Millis::DAY), whole.plus(-2 * Millis::DAY)),
            (NOW.plus(-12 * Millis::DAY - 5 * Millis::HOUR), NOW.plus(-3 * Millis::DAY)),
            (whole.plus(-Millis::DAY + 7), whole.plus(-7)),
        ] {
            let period = self.period(from, to);
            let all: [(&Filters, Passes<'_>); 4] = [
                (&Filters::none(), &|_| true),
                (&others, &|_| true),
                (&nothing, &|_| false),
                (&pro, &|made| made.has("plan") == Some(r#""pro""#)),
            ];
            for (filters, passes) in all {
                let events = self.events.iter().filter(|made| made.sent.name == "e1" && passes(made));
                let within: Vec<_> = events.filter(|made| period.range.contains(made.sent.at)).collect();
                let found = self.asked(period, filters).unwrap();
                assert_eq!(found, recount(&within), "under {filters:?} in {period:?}");
            }
        }
    }

    fn columns(&self, condition: &str) -> i64 {
        self.bench.database.count(&format!("SELECT count(*) FROM settled_columns WHERE {condition}"))
    }

    fn is_right(&self, day: i64) -> bool {
        self.bench.store.settled_holds(self.scope.environment, day).unwrap()
    }

    #[track_caller]
    fn holds(&self) {
        let today = NOW.0.div_euclid(Millis::DAY);
        assert_eq!((today - DAYS..=today).find(|day| !self.is_right(*day)), None);
    }
}

/// What the properties of these events are, counted as plainly as can be.
fn recount(events: &[&Made]) -> Vec<PropSummary> {
    let names: BTreeSet<_> = events.iter().flat_map(|made| made.members.iter().map(|(name, _)| *name)).collect();
    let of_name = |name: &str| {
        let found: Vec<_> = events.iter().filter_map(|made| made.has(name)).collect();
        let (mut values, mut numbers, mut others) = (BTreeMap::<String, i64>::new(), Vec::new(), 0);
        for json in &found {
            let text = match json.as_bytes()[0] {
                b'{' | b'[' => continue,
                b'"' => serde_json::from_str(json).unwrap(),
                b't' | b'f' => (*json).to_owned(),
                _ => {
                    numbers.extend(json.parse::<f64>().ok().filter(|number| number.is_finite()));
                    (*json).to_owned()
                }
            };
            if text.len() > 500 {
                others += 1;
            } else {
                *values.entry(text).or_default() += 1;
            }
        }
        numbers.sort_unstable_by(f64::total_cmp);
        let quantile = |percent: usize| numbers[(numbers.len() * percent).div_ceil(100) - 1];
        let are_numbers = !numbers.is_empty() && numbers.len() * 10 >= found.len() * 9;
        let numbers = are_numbers.then(|| PropNumbers {
            min: numbers[0],
            median: quantile(50),
            p95: quantile(95),
            max: numbers[numbers.len() - 1],
            sum: numbers.iter().sum(),
        });
        let different = values.len() as u64;
        let mut values: Vec<_> = values.into_iter().map(|(value, events)| PropValue { value, events }).collect();
        values.sort_by_key(|value| (Reverse(value.events), value.value.clone()));
        values.truncate(10);
        PropSummary { name: name.to_owned(), events: found.len() as i64, values, different, others, numbers }
    };
    let mut props: Vec<_> = names.into_iter().map(of_name).filter(|prop| prop.events > 0).collect();
    props.sort_by_key(|prop| (Reverse(prop.events), prop.name.clone()));
    props
}

fn properties_of_an_event_equal_a_recount_whatever_comes(backend: Backend) {
    let (mut world, mut noise) = (World::new(backend, "Europe/Zurich"), Noise(41));
    world.add((0..2_000).map(|_| Made::random(&mut noise, DAYS)));
    world.check();
    world.bench.settle(0);
    assert!(world.columns("part = -5") >= DAYS);
    world.check();
    // Late and repeated ones, of all days.
    let late: Vec<_> = (0..300).map(|_| Made::random(&mut noise, DAYS)).collect();
    world.send(&world.events[..100]);
    world.add(late);
    assert!(world.bench.database.count("SELECT count(*) FROM settled_late") >= 200);
    world.check();
    world.holds();
    for subject in world.bench.subjects(&world.scope, "u3") {
        world.bench.erase(&world.scope, subject, &[]);
    }
    world.events.retain(|made| made.sent.user.as_deref() != Some("u3"));
    world.check();
    world.bench.settle(2);
    world.bench.settle(4);
    assert_eq!(world.bench.database.count("SELECT count(*) FROM settled_late"), 0);
    world.check();
    world.holds();
}

/// Lets rows and columns say something else.
fn spoil(world: &World) {
    world.bench.database.alter(r#"UPDATE events SET props = '{"never":1}'"#);
    let body = world.bench.database.bytes(&[0xff; 100]);
    world.bench.database.alter(&format!("UPDATE settled_columns SET body = {body} WHERE part >= 0 OR part = -4"));
}

fn days_that_are_told_of_are_not_read(backend: Backend) {
    let (mut world, mut noise) = (World::new(backend, "UTC"), Noise(42));
    world.add((0..600).map(|_| Made::random(&mut noise, 6)));
    world.bench.settle(0);
    let whole = |days: i64| Millis((NOW.0.div_euclid(Millis::DAY) + days) * Millis::DAY);
    // The day that goes on is told of as well, where nothing of it is out of the range.
    let stretches = [(whole(-4), whole(0)), (whole(-5), whole(1)), (whole(-5), NOW.plus(1))];
    let found = stretches.map(|(from, to)| world.asked(world.period(from, to), &Filters::none()).unwrap());
    world.check();
    spoil(&world);
    for ((from, to), found) in stretches.into_iter().zip(&found) {
        assert_eq!(world.asked(world.period(from, to), &Filters::none()).unwrap(), *found);
    }
    let others = Filters::none().with(Dimension::Event, Keep::IsNot, Some("e2".into()));
    assert_eq!(world.asked(world.period(whole(-4), whole(0)), &others).unwrap(), found[0]);
    // Of hours the rows are read, and so they are under any other condition.
    let has_never = |from: Millis, to: Millis, filters: &Filters| {
        world.asked(world.period(from, to), filters).unwrap().iter().any(|prop| prop.name == "never")
    };
    assert!(!has_never(whole(-4), whole(0), &Filters::none()));
    assert!(has_never(whole(-4), whole(0).plus(-12 * Millis::HOUR), &Filters::none()));
    let version = Filters::none().with(Dimension::Fact(Fact::Version), Keep::Is, Some("1.0".into()));
    assert!(has_never(whole(-4), whole(0), &version));
    // What is listed is read.
    let late = Made::of(whole(-3).plus(5), "e1", vec![("never", "2".to_owned())]);
    world.add([late]);
    let found = world.asked(world.period(whole(-4), whole(0)), &Filters::none()).unwrap();
    let never = found.iter().find(|prop| prop.name == "never").unwrap();
    assert_eq!((never.events, never.values[0].value.as_str()), (1, "2"));
    let body = world.bench.database.bytes(&[0xff; 100]);
    let day = NOW.0.div_euclid(Millis::DAY) - 3;
    world.bench.database.alter(&format!("UPDATE settled_columns SET body = {body} WHERE part = -3 AND day = {day}"));
    let asked = world.asked(world.period(whole(-4), whole(0)), &Filters::none());
    assert!(matches!(asked, Err(StoreError::Corrupt(_))), "{asked:?}");
}

fn a_property_without_a_name_is_told_of_like_any_other(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    let day = NOW.0.div_euclid(Millis::DAY) - 3;
    let at = |number: i64| Millis(day * Millis::DAY + number * Millis::MINUTE);
    let nameless = |number: i64, value: &str| Made::of(at(number), "e1", vec![("", value.to_owned())]);
    world.add([nameless(1, "5"), nameless(2, r#""5""#), nameless(3, "[]"), nameless(4, "null")]);
    world.add([Made::of(at(5), "e2", vec![("", "6".to_owned())])]);
    // On the day after none has it.
    world.add([Made::of(at(24 * 60), "e1", vec![("a", "1".to_owned())])]);
    world.bench.settle(0);
    let told = format!("prop = '' AND part = -5 AND length(body) > 0 AND day = {day}");
    assert_eq!((world.columns(&told), world.columns("part = -5")), (1, 2));
    world.check();
    world.holds();
    // One that comes late is listed, and nothing is wrong with the day.
    world.add([nameless(24 * 60 + 1, "8")]);
    world.check();
    world.holds();
    let place = format!("prop = '' AND part = -5 AND day = {day}");
    world.bench.database.alter(&format!("CREATE TABLE old AS SELECT * FROM settled_columns WHERE {place}"));
    for wrong in [
        "UPDATE settled_columns SET body = (SELECT body FROM old) WHERE prop = '' AND part = -5".to_owned(),
        format!("UPDATE settled_columns SET body = {} WHERE {place}", world.bench.database.bytes(&[])),
        format!("UPDATE settled_columns SET body = {} WHERE {place}", world.bench.database.bytes(&[0; 9])),
        format!(
            "UPDATE settled_columns SET body = (SELECT c.body FROM settled_columns c WHERE c.part = -3 AND c.prop = '' \
             AND c.day = {day}) WHERE {place}"
        ),
    ] {
        world.bench.database.alter(&wrong);
        assert!(!world.is_right(day) || !world.is_right(day + 1), "{wrong}");
        for day in [day, day + 1] {
            let mend = Recount { environment: world.scope.environment, zone: world.zone.clone(), day };
            assert_eq!(world.bench.store.mend(&mend).unwrap(), []);
        }
        world.bench.settle(2);
        world.holds();
        world.check();
    }
}

fn days_of_which_not_all_is_told_are_read(backend: Backend) {
    let (mut world, mut noise) = (World::new(backend, "UTC"), Noise(43));
    world.add((0..800).map(|_| Made::random(&mut noise, 8)));
    let long = format!("\"{}\"", "x".repeat(501));
    // One that is too long to be told of, on two days.
    for days in [2, 4] {
        let at = NOW.plus(-days * Millis::DAY);
        world.add([Made::of(at, "e1", vec![("text", long.clone()), ("took", "3".to_owned())])]);
    }
    world.bench.settle(0);
    let told = world.columns("part = -5");
    assert!((5..=7).contains(&told), "{told} days");
    world.check();
    // As an older version leaves it.
    world.bench.database.alter("DELETE FROM settled_columns WHERE part = -5 AND day % 2 = 0");
    assert!(world.columns("part = -5") < told);
    world.check();
    world.holds();
}

fn too_many_texts_are_told_by_the_order_of_their_rows_and_too_many_numbers_by_what_they_come_to(backend: Backend) {
    let mut world = World::new(backend, "UTC");
    // Two days, 10,050 values each: neither is beyond the bounds of a day, nor too dear for one.
    let event = |number: i64, name: &'static str| {
        let value = number / 13_000 * 11_000 + number % 10_050;
        let json = if name == "id" { format!("\"{value:x}\"") } else { value.to_string() };
        let at = NOW.plus(-(4 + number / 13_000) * Millis::DAY - number % 13_000 * 2_000);
        Made::of(at, "e1", vec![(name, json), ("few", (number % 7).to_string())])
    };
    world.add((0..26_000).map(|number| event(number, "n")));
    let stretch = world.period(NOW.plus(-7 * Millis::DAY), NOW);
    let rows = world.asked(stretch, &Filters::none()).unwrap();
    let all: Vec<_> = world.events.iter().collect();
    let exact = recount(&all).into_iter().find(|prop| prop.name == "n").unwrap();
    let numbers = rows.iter().find(|prop| prop.name == "n").unwrap();
    let (near, exact) = (numbers.numbers.unwrap(), exact.numbers.unwrap());
    assert_eq!((near.min, near.max, near.sum), (exact.min, exact.max, exact.sum));
    assert!((near.median / exact.median - 1.0).abs() < 0.032 && (near.p95 / exact.p95 - 1.0).abs() < 0.032);
    assert_eq!((numbers.values.len(), numbers.different, numbers.others), (0, 20_000, 26_000));
    world.bench.settle(0);
    assert_eq!(world.columns("prop = 'n' AND part = -3"), 2);
    spoil(&world);
    assert_eq!(world.asked(stretch, &Filters::none()).unwrap(), rows, "from what the days come to");

    let mut world = World::new(backend, "UTC");
    world.add((0..26_000).map(|number| event(number, "id")));
    let rows = world.asked(stretch, &Filters::none()).unwrap();
    let texts = rows.iter().find(|prop| prop.name == "id").unwrap();
    assert!(texts.different == 20_000 && texts.others >= 100, "{texts:?}");
    world.bench.settle(0);
    assert_eq!(world.columns("prop = 'id' AND part = -3"), 2);
    assert_eq!(world.asked(stretch, &Filters::none()).unwrap(), rows);
}
