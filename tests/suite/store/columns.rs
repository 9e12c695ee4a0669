//! Properties in the columns of settled days: what is told from them is what the events tell, whatever comes later.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::recount::Noise;
use super::*;

on_both_backends! {
    breakdowns_and_filters_by_a_property_equal_a_recount_whatever_comes,
    a_damaged_column_is_an_error_until_its_day_is_made_anew,
    days_that_were_settled_without_columns_are_settled_again,
    of_more_values_than_are_told_apart_those_count_that_come_first,
}

/// Properties that are settled, that are left out, and that no event has.
const ASKED: [&str; 7] = ["plan", "size", "on", "number", "long", "never", ""];

pub struct World {
    pub bench: Bench,
    pub scope: Scope,
    pub zone: Arc<Zone>,
    pub events: Vec<Made>,
    /// Whether somebody was erased, whose counts stay in the summaries.
    pub is_one_erased: bool,
}

pub struct Made {
    pub sent: Sent,
    /// As texts.
    props: BTreeMap<&'static str, String>,
}

impl Made {
    /// One of the last days.
    pub fn random(noise: &mut Noise, number: u64, days: u64) -> Self {
        let plan = ["pro", "free", "a\"b", "ü", ""].get(noise.below(7) as usize);
        let size = (noise.below(3) > 0).then(|| noise.below(4));
        let on = (noise.below(2) == 0).then(|| noise.below(2) == 0);
        let long = "x".repeat(if number.is_multiple_of(10) { 501 } else { 3 });
        let mut json = vec![r#""of":{"plan":"pro"}"#.to_owned(), format!(r#""long":"{long}""#)];
        let mut props = BTreeMap::from([("number", number.to_string())]);
        props.insert("long", if long.len() > 500 { OTHER.to_owned() } else { long });
        match plan {
            Some(plan) => {
                json.push(format!(r#""pl\u0061n":{}"#, serde_json::to_string(plan).unwrap()));
                props.insert("plan", (*plan).to_owned());
            }
            // What comes behind a null does not count.
            None => json.push(r#""plan":null,"plan":"late""#.to_owned()),
        }
        if let Some(size) = size {
            // A number and a text that say the same are the same.
            json.push(if noise.below(2) == 0 { format!(r#""size":{size}"#) } else { format!(r#""size":"{size}""#) });
            props.insert("size", size.to_string());
        }
        if let Some(on) = on {
            json.push(format!(r#""on":{on}"#));
            props.insert("on", on.to_string());
        }
        json.push(format!(r#""number":{number}"#));
        if number.is_multiple_of(3) {
            json.push(r#""":7"#.to_owned());
            props.insert("", "7".to_owned());
        }
        let user = noise.below(30);
        let sent = Sent {
            at: NOW.plus(-(noise.below(days * 24 * 60) as i64) * Millis::MINUTE),
            name: format!("e{}", noise.below(3)),
            user: (user > 0).then(|| format!("u{user}")),
            session: Some(format!("s{user}")),
            props: Some(RawValue::from_string(format!("{{{}}}", json.join(","))).unwrap()),
            ..Sent::new("")
        };
        Self { sent, props }
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.props.get(name).map(String::as_str)
    }
}

impl World {
    fn new(backend: Backend, seed: u64) -> Self {
        Self::over(backend, seed, (1_500, 6))
    }

    /// So many events on so many days.
    pub fn over(backend: Backend, seed: u64, (events, days): (u64, u64)) -> Self {
        let mut noise = Noise(seed);
        let bench = Bench::new(backend);
        let app = bench.app("Europe/Zurich");
        let scope = bench.scope(&app, 0);
        let events = (0..events).map(|number| Made::random(&mut noise, number, days)).collect();
        Self { bench, scope, zone: app.zone, events, is_one_erased: false }
    }

    pub fn send(&self, events: &[Made]) {
        for batch in events.chunks(200) {
            let batch: Vec<_> = batch.iter().map(|made| made.sent.clone()).collect();
            self.bench.send(&self.scope, &batch).unwrap();
        }
    }

    fn periods(&self) -> [Period; 3] {
        let hours =
            |from: i64, to: i64| period(&self.zone, NOW.plus(-from * Millis::HOUR), NOW.plus(-to * Millis::HOUR));
        [hours(7 * 24, -1), hours(100, 90), hours(80, 20)]
    }

    pub fn asked(&self, name: &str, period: Period, filters: &Filters) -> Result<Breakdown, StoreError> {
        let metrics = vec![Metric::Events, Metric::Users];
        let dimension = Dimension::Prop(name.into());
        let ask = BreakdownAsk { dimension, metrics, period, filters: filters.clone(), limit: 5_000 };
        match self.bench.store.report(&Query { environment: self.scope.environment, ask: Ask::Breakdown(ask) })? {
            Report::Breakdown(found) => Ok(found),
            other => panic!("{other:?}"),
        }
    }

    /// Insists that everything told by properties is what these events come to.
    #[track_caller]
    fn check(&self, events: &[Made]) {
        let prop = |name: &str| Dimension::Prop(name.into());
        let pro = Filters::none().with(prop("plan"), Keep::Is, Some("pro".into()));
        let big = pro.with(prop("size"), Keep::IsNot, None).with(prop("size"), Keep::IsNot, Some("0".into()));
        let is_big =
            |made: &Made| made.value("plan") == Some("pro") && made.value("size").is_some_and(|size| size != "0");
        for period in self.periods() {
            for name in ASKED {
                self.compare(events, (name, period), (&Filters::none(), &|_| true));
                self.compare(events, (name, period), (&big, &is_big));
            }
        }
    }

    #[track_caller]
    pub fn compare(
        &self,
        events: &[Made],
        (name, period): (&str, Period),
        (filters, passes): (&Filters, &dyn Fn(&Made) -> bool),
    ) {
        let mut rows: BTreeMap<Option<&str>, (i64, BTreeSet<&str>)> = BTreeMap::new();
        let (mut count, mut users) = (0, BTreeSet::new());
        for made in events.iter().filter(|made| period.range.contains(made.sent.at) && passes(made)) {
            let row = rows.entry(made.value(name)).or_default();
            (count, row.0) = (count + 1, row.0 + 1);
            row.1.extend(made.sent.user.as_deref());
            users.extend(made.sent.user.as_deref());
        }
        let expected: BTreeMap<_, _> =
            rows.into_iter().map(|(value, (events, users))| (value, [events, users.len() as i64].map(Some))).collect();
        let found = self.asked(name, period, filters).unwrap();
        let told: BTreeMap<_, _> = found
            .rows
            .iter()
            .map(|row| (row.value.as_deref(), <[_; 2]>::try_from(row.metrics.clone()).unwrap()))
            .collect();
        assert_eq!(told, expected, "{name} under {filters:?} in {period:?}");
        if self.is_one_erased && filters.is_empty() {
            return;
        }
        assert_eq!(found.together, [count, users.len() as i64].map(Some), "{name} under {filters:?}, together");
    }

    /// Insists that every settled day is what its events are.
    #[track_caller]
    pub fn holds(&self, days: i64) {
        let today = NOW.0.div_euclid(Millis::DAY);
        assert_eq!((today - days..=today).find(|day| !self.is_right(*day)), None);
    }

    /// Whether a settled day is what its events are.
    pub fn is_right(&self, day: i64) -> bool {
        self.bench.store.settled_holds(self.scope.environment, day).unwrap()
    }

    /// Events that are listed beside settled days.
    pub fn listed(&self) -> i64 {
        self.bench.database.count("SELECT count(*) FROM settled_late")
    }

    pub fn columns(&self, condition: &str) -> i64 {
        self.bench.database.count(&format!("SELECT count(*) FROM settled_columns WHERE {condition}"))
    }
}

fn breakdowns_and_filters_by_a_property_equal_a_recount_whatever_comes(backend: Backend) {
    let mut world = World::new(backend, 21);
    world.send(&world.events[..1_200]);
    world.check(&world.events[..1_200]);
    world.bench.settle(0);
    assert!(world.columns("prop = 'plan'") > 8 && world.columns("prop = 'on'") > 8);
    assert_eq!(world.columns("prop IN ('number', 'long', 'never') AND part >= 0"), 0);
    let told = ["plan", "number", "long"].map(|name| world.columns(&format!("prop = '{name}' AND part = -3")));
    assert!(told[0] == told[1] && told[2] == 0, "a number of its own is told of without columns: {told:?}");
    let marks = ["part IN (-1, -2)", "part = -2 AND prop = ''"].map(|marks| world.columns(marks));
    assert_eq!(marks[0], marks[1], "some are left out on every day");
    world.check(&world.events[..1_200]);
    // Late and repeated ones, of all days.
    world.send(&world.events[1_000..]);
    assert!(world.listed() >= 300, "they are listed beside their days");
    world.check(&world.events);
    world.holds(7);
    world.bench.settle(2);
    assert_eq!(world.listed(), 0);
    world.holds(7);
    let columns = world.columns("prop = 'plan'");
    assert!(columns > 8);
    world.check(&world.events);
    for subject in world.bench.subjects(&world.scope, "u3") {
        world.bench.erase(&world.scope, subject, &[]);
    }
    assert!(world.columns("prop = 'plan'") < columns, "nothing was unsettled");
    world.is_one_erased = true;
    world.events.retain(|made| made.sent.user.as_deref() != Some("u3"));
    world.check(&world.events);
    world.bench.settle(4);
    world.holds(7);
    assert!(world.columns("prop = 'plan'") > 8);
    world.check(&world.events);
    // Also who is listed.
    let mut noise = Noise(25);
    let late: Vec<_> = (1_500..1_600).map(|number| Made::random(&mut noise, number, 6)).collect();
    world.send(&late);
    world.events.extend(late);
    world.check(&world.events);
    assert!(world.listed() >= 100);
    for subject in world.bench.subjects(&world.scope, "u5") {
        world.bench.erase(&world.scope, subject, &[]);
    }
    world.events.retain(|made| made.sent.user.as_deref() != Some("u5"));
    world.check(&world.events);
    world.bench.settle(6);
    world.holds(7);
    assert_eq!(world.listed(), 0);
    world.check(&world.events);
}

fn a_damaged_column_is_an_error_until_its_day_is_made_anew(backend: Backend) {
    let world = World::new(backend, 22);
    world.send(&world.events);
    world.bench.settle(0);
    let day = NOW.0.div_euclid(Millis::DAY) - 4;
    let body = world.bench.database.bytes(&[0xff; 100]);
    world
        .bench
        .database
        .alter(&format!("UPDATE settled_columns SET body = {body} WHERE day = {day} AND prop = 'plan'"));
    let holds = |day: i64| world.bench.store.settled_holds(world.scope.environment, day).unwrap();
    assert!(holds(day - 1) && !holds(day));
    let [whole, ..] = world.periods();
    let (all, pro) = (Filters::none(), |prop: &str| Filters::none().with(Dimension::Prop(prop.into()), Keep::Is, None));
    assert!(matches!(world.asked("plan", whole, &all), Err(StoreError::Corrupt(_))));
    assert!(matches!(world.asked("on", whole, &pro("plan")), Err(StoreError::Corrupt(_))));
    // What is told by another property is right, and so is what is read from the events.
    world.compare(&world.events, ("on", whole), (&all, &|_| true));
    world.compare(&world.events, ("number", whole), (&all, &|_| true));
    let asked = Recount { environment: world.scope.environment, zone: world.zone.clone(), day };
    assert_eq!(world.bench.store.mend(&asked).unwrap(), []);
    assert_eq!(world.columns(&format!("day = {day}")), 0);
    world.check(&world.events);
    world.bench.settle(0);
    assert!(world.columns(&format!("day = {day} AND prop = 'plan'")) > 0 && holds(day));
    world.check(&world.events);
    // One that is gone is found too: the rows say more.
    let gone = format!("DELETE FROM settled_columns WHERE day = {day} AND prop = 'plan' AND part = 0");
    world.bench.database.alter(&gone);
    assert!(!holds(day));
}

fn days_that_were_settled_without_columns_are_settled_again(backend: Backend) {
    let world = World::new(backend, 23);
    world.send(&world.events);
    world.bench.settle(0);
    let (all, days) = (world.columns("1 = 1"), world.columns("part < 0"));
    assert!(days > 3);
    // As an older version leaves them.
    world.bench.database.alter("DELETE FROM settled_columns");
    world.check(&world.events);
    world.bench.settle(0);
    assert_eq!((world.columns("1 = 1"), world.columns("part < 0")), (all, days));
    world.check(&world.events);
    // An older version settles a day anew, under a token of its own, and knows nothing of columns.
    let day = NOW.0.div_euclid(Millis::DAY) - 4;
    let tokens =
        ["settled_days", "settled_events"].map(|table| format!("UPDATE {table} SET token = 7 WHERE day = {day}"));
    world.bench.database.alter(&tokens.join(";"));
    world.check(&world.events);
    world.bench.settle(0);
    assert_eq!(world.columns("1 = 1"), all);
    world.check(&world.events);
}

fn of_more_values_than_are_told_apart_those_count_that_come_first(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let (scope, mut noise) = (bench.scope(&app, 0), Noise(24));
    // Two days, 10,050 values each: neither is beyond the bounds of a day.
    let event = |number: i64| Sent {
        at: NOW.plus(-(4 + number / 13_000) * Millis::DAY - number % 13_000 * 2_000),
        name: format!("e{}", noise.below(3)),
        props: Some(
            RawValue::from_string(format!(r#"{{"id":"{:x}"}}"#, number / 13_000 * 11_000 + number % 10_050)).unwrap(),
        ),
        ..Sent::new("")
    };
    let events: Vec<_> = (0..26_000).map(event).collect();
    for batch in events.chunks(1_000) {
        bench.send(&scope, batch).unwrap();
    }
    let world = World { bench, scope, zone: app.zone, events: Vec::new(), is_one_erased: false };
    let period = period(&world.zone, NOW.plus(-7 * Millis::DAY), NOW);
    let rows = world.asked("id", period, &Filters::none()).unwrap();
    let other = rows.rows.iter().find(|row| row.value.as_deref() == Some(OTHER));
    assert!(rows.values == 20_001 && other.is_some_and(|row| row.metrics[0] >= Some(100)), "{other:?}");
    world.bench.settle(0);
    assert_eq!(world.columns("prop = 'id' AND part = -3"), 2);
    assert_eq!(world.asked("id", period, &Filters::none()).unwrap(), rows);
}
