//! The app's people: when they come, how long they stay, how often and with what they use it.

use super::Plan;
use super::chance::Chance;
use super::releases::{HABITS, Habit};
use super::world::{Form, LOCALES, Locale, SYSTEMS, System};
use crate::model::{Millis, date_of};

/// When somebody uses the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// On weekdays, in the day.
    Work,
    /// In the evening and on weekends.
    Leisure,
}

/// What a person's clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    /// How far it is ahead, in milliseconds.
    pub(super) ahead: i64,
    /// Whether the program tells its time when it sends.
    pub(super) told: bool,
}

/// One person.
#[derive(Debug)]
pub(super) struct Person {
    /// Which one: all that is drawn for them follows from it.
    pub(super) number: u64,
    /// Day of the story on which they come.
    pub(super) arrival: u32,
    /// The last day on which they may use the app.
    pub(super) last: u32,
    /// Visits on a usual day.
    pub(super) rate: f64,
    pub(super) rhythm: Rhythm,
    pub(super) habit: Habit,
    pub(super) system: &'static System,
    pub(super) system_version: &'static str,
    pub(super) arch: Option<&'static str>,
    pub(super) device: &'static str,
    pub(super) locale: &'static Locale,
    pub(super) watch: Watch,
    /// Notes that they have.
    pub(super) notes: i64,
    /// Whether they pay.
    pub(super) pays: bool,
}

/// Share of the year's visits on days of the week, Monday first.
const WORK: [f64; 7] = [1.12, 1.16, 1.14, 1.1, 0.96, 0.38, 0.42];
const LEISURE: [f64; 7] = [0.86, 0.86, 0.88, 0.9, 0.98, 1.28, 1.34];

/// How likely a visit begins in an hour of the day.
const WORK_HOURS: [u32; 24] = [2, 1, 1, 1, 1, 2, 6, 18, 48, 82, 92, 84, 58, 66, 90, 86, 76, 58, 34, 24, 20, 16, 10, 5];
const LEISURE_HOURS: [u32; 24] =
    [14, 7, 4, 2, 2, 3, 8, 22, 30, 34, 36, 40, 46, 42, 38, 40, 46, 56, 70, 88, 98, 92, 66, 34];

/// How somebody stays: usual length in days beside the days that all of the kind stay, and usual visits a day.
const STAYS: [((i64, f64, f64), u32); 3] = [((0, 0.7, 1.3), 36), ((3, 20.0, 0.35), 28), ((25, 480.0, 0.5), 36)];

/// Makes everybody, in the order in which they come. Rates are such that the whole story has about as many visits as
/// `visits`, at least one of each person.
pub(super) fn everybody(plan: &Plan, visits: f64) -> Vec<Person> {
    let days = plan.days;
    let first = plan.first_day();
    let arrivals: Vec<(u32, f64)> = (0..=days).map(|day| (day, arriving(day, days, first))).collect();
    let mut total = 0.0;
    let sums: Vec<f64> = arrivals
        .iter()
        .map(|(_, weight)| {
            total += weight;
            total
        })
        .collect();
    let arrival = |at: f64| sums.partition_point(|sum| *sum < at * total).min(days as usize) as u32;
    let mut people: Vec<Person> = (0..u64::from(plan.users)).map(|number| person(plan, number, arrival)).collect();
    people.sort_by_key(|person| person.arrival);
    let usual = usual_visits(&people, days, first);
    let scale = (visits - people.len() as f64).max(0.0) / usual.max(f64::MIN_POSITIVE);
    people.iter_mut().for_each(|person| person.rate *= scale);
    people
}

/// How many visits people usually make on a day, against an average day.
pub(super) fn busy(rhythm: Rhythm, day: i32) -> f64 {
    let week = match rhythm {
        Rhythm::Work => WORK,
        Rhythm::Leisure => LEISURE,
    };
    let date = date_of(day);
    let holidays = (date.month() == 12 && date.day() >= 24) || (date.month() == 1 && date.day() == 1);
    week[(day + 3).rem_euclid(7) as usize] * if holidays && rhythm == Rhythm::Work { 0.45 } else { 1.0 }
}

/// When a visit begins, in milliseconds after midnight.
pub(super) fn hour(rhythm: Rhythm, chance: &mut Chance) -> i64 {
    let hours = match rhythm {
        Rhythm::Work => &WORK_HOURS,
        Rhythm::Leisure => &LEISURE_HOURS,
    };
    let hours: [(i64, u32); 24] = std::array::from_fn(|hour| (hour as i64, hours[hour]));
    chance.pick(&hours) * Millis::HOUR + chance.below(Millis::HOUR)
}

/// How many come on a day: more at the launch, more with time, and many when the app is written about.
fn arriving(day: u32, days: u32, first: i32) -> f64 {
    let (day, days) = (f64::from(day), f64::from(days.max(1)));
    let told = day - (days * 0.38).floor();
    let launch = 2.5 * (-day / 5.0).exp();
    let press = if told >= 0.0 { 3.0 * (-told / 4.0).exp() } else { 0.0 };
    (0.5 + launch + press + 1.1 * (day / days).powf(1.3)) * busy(Rhythm::Work, first + day as i32).sqrt()
}

fn person(plan: &Plan, number: u64, arrival: impl Fn(f64) -> u32) -> Person {
    let mut chance = Chance::of(&[plan.seed, 3, number]);
    let arrival = arrival(chance.unit());
    let (least, usual, rate) = chance.pick(&STAYS);
    let stays = (least + chance.wait(usual) as i64).min(i64::from(plan.days)) as u32;
    let system = chance.weighed(&SYSTEMS, |system| f64::from(system.weight));
    let leisure = if system.form == Form::Phone { 0.7 } else { 0.25 };
    Person {
        number,
        arrival,
        last: arrival.saturating_add(stays),
        rate: chance.around(rate, 0.8),
        rhythm: if chance.happens(leisure) { Rhythm::Leisure } else { Rhythm::Work },
        habit: chance.pick(&HABITS),
        system,
        system_version: chance.pick(system.versions),
        arch: (!system.archs.is_empty()).then(|| chance.pick(system.archs)),
        device: chance.pick(system.devices),
        locale: chance.weighed(&LOCALES, |locale| f64::from(locale.weight)),
        watch: watch(&mut chance),
        notes: 0,
        pays: false,
    }
}

/// Most clocks are right. Some are minutes off, a few were never set, and a few are hours ahead in programs that do not
/// tell their own time.
fn watch(chance: &mut Chance) -> Watch {
    let drawn = chance.unit();
    let minutes = chance.between(4, 40) * Millis::MINUTE + chance.below(Millis::MINUTE);
    match drawn {
        ..0.008 => Watch { ahead: minutes, told: true },
        0.008..0.016 => Watch { ahead: -minutes, told: true },
        0.016..0.017 => Watch { ahead: -15 * 365 * Millis::DAY - minutes, told: true },
        0.017..0.019 => Watch { ahead: 5 * minutes, told: false },
        _ => Watch { ahead: 0, told: true },
    }
}

/// Visits that all rates together come to, beside everybody's first.
fn usual_visits(people: &[Person], days: u32, first: i32) -> f64 {
    let until = |rhythm: Rhythm| {
        let mut sum = 0.0;
        let mut sums = vec![0.0];
        sums.extend((0..=days as i32).map(|day| {
            sum += busy(rhythm, first + day);
            sum
        }));
        sums
    };
    let (work, leisure) = (until(Rhythm::Work), until(Rhythm::Leisure));
    let visits = |person: &Person| {
        let sums = if person.rhythm == Rhythm::Work { &work } else { &leisure };
        let end = person.last.min(days) as usize + 1;
        person.rate * (sums[end] - sums[person.arrival as usize])
    };
    people.iter().map(visits).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan { until: Millis(1_790_000_000_000), days: 365, users: 4_000, events: 0, seed: 9 }
    }

    #[test]
    fn people_come_more_and_more_and_some_stay() {
        let people = everybody(&plan(), 40_000.0);
        assert_eq!(people.len(), 4_000);
        assert!(people.is_sorted_by_key(|person| person.arrival));
        let came = |days: std::ops::Range<u32>| people.iter().filter(|person| days.contains(&person.arrival)).count();
        assert!(came(300..360) > came(60..120), "{} {}", came(300..360), came(60..120));
        let stayed = |days: u32| {
            let long = people.iter().filter(|person| person.last >= person.arrival + days).count();
            long as f64 / people.len() as f64
        };
        // The curve is steep at first and flat later: people lost a day.
        let lost = |from: u32, to: u32| (stayed(from) - stayed(to)) / f64::from(to - from);
        let (day, week, quarter) = (lost(0, 1), lost(1, 8), lost(30, 90));
        assert!(day > 5.0 * week && week > 5.0 * quarter, "{day} {week} {quarter}");
        assert!(stayed(90) > 0.2);
    }

    #[test]
    fn weeks_and_days_have_a_rhythm() {
        let monday = 20_440; // 2025-12-18 is a Thursday
        assert!(date_of(monday).weekday() == jiff::civil::Weekday::Thursday);
        let saturday = monday + 2;
        assert!(busy(Rhythm::Work, monday) > 2.0 * busy(Rhythm::Work, saturday));
        assert!(busy(Rhythm::Leisure, monday) < busy(Rhythm::Leisure, saturday));
        let mut chance = Chance::of(&[4]);
        let mut share = |rhythm, hours: std::ops::Range<i64>| {
            let inside = (0..4_000).filter(|_| hours.contains(&(hour(rhythm, &mut chance) / Millis::HOUR))).count();
            inside as f64 / 4_000.0
        };
        assert!(share(Rhythm::Work, 8..18) > 0.7);
        assert!(share(Rhythm::Leisure, 18..24) > 0.4);
    }
}
