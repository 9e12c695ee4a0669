//! A made-up app that looks real: a year, or so, of a notes app's people, releases, errors and habits. Pure: a plan
//! gives the same requests whenever it is asked.

mod chance;
mod parcel;
mod people;
mod releases;
mod trouble;
mod visit;
mod world;

use std::collections::VecDeque;

use self::chance::Chance;
use self::parcel::Trip;
use self::people::Person;
use self::releases::Releases;
use crate::model::{Millis, TimeRange, Zone, days_since_1970};

pub use self::parcel::{Parcel, Phone, Said, Sender};

/// Most visits that somebody makes on a day.
const MOST_VISITS: u32 = 40;

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Nothing happens or arrives later.
    pub until: Millis,
    /// How long it lasts, at least one day.
    pub days: u32,
    /// How many people there are in all, at least one.
    pub users: u32,
    /// About how many events they send; everybody opens the app at least once.
    pub events: u64,
    /// Of the chance in it.
    pub seed: u64,
}

impl Plan {
    /// From its first instant to its end.
    pub fn range(&self) -> TimeRange {
        TimeRange { from: self.until.plus(-i64::from(self.days) * Millis::DAY), to: self.until }
    }

    /// Its first day on the calendar of universal time.
    fn first_day(&self) -> i32 {
        days_since_1970(self.range().from.timestamp().to_zoned(jiff::tz::TimeZone::UTC).date())
    }
}

/// All requests, day by day and on each day in the order of arrival. No more than a day of them is held at once, and
/// those that come late.
pub struct Story {
    plan: Plan,
    releases: Releases,
    people: Vec<Person>,
    /// How many of them have come.
    come: usize,
    /// Those of them who have not gone.
    present: Vec<usize>,
    zones: Vec<Zone>,
    day: u32,
    /// What is on its way.
    travelling: Vec<Parcel>,
    ready: VecDeque<Parcel>,
}

impl Story {
    /// The story of a plan, at its beginning.
    pub fn of(plan: Plan) -> Self {
        let TimeRange { from, to } = plan.range();
        let zone = |locale: &world::Locale| Zone::find(locale.zone).unwrap_or_else(Zone::utc);
        Self {
            plan,
            releases: Releases::between(from, to, plan.seed),
            people: people::everybody(&plan, plan.events as f64 / visit::USUAL),
            come: 0,
            present: Vec::new(),
            zones: world::LOCALES.iter().map(zone).collect(),
            day: 0,
            travelling: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// Its versions, oldest first, and whether each is the one that crashes.
    pub fn versions(&self) -> impl Iterator<Item = (&str, bool)> {
        self.releases.list().iter().map(|release| (release.version.as_str(), release.bad))
    }

    /// One more day: who is there visits, and what has arrived by its end is ready.
    fn live(&mut self) {
        let day = self.day;
        while self.people.get(self.come).is_some_and(|person| person.arrival == day) {
            self.present.push(self.come);
            self.come += 1;
        }
        self.present.retain(|index| self.people[*index].last >= day);
        let date = self.plan.first_day() + day as i32;
        let midnights: Vec<Millis> = self.zones.iter().map(|zone| zone.midnight(date)).collect();
        for index in self.present.clone() {
            self.spend(index, date, &midnights);
        }
        self.day += 1;
        let is_over = self.day > self.plan.days;
        let end = if is_over { Millis(i64::MAX) } else { Zone::utc().midnight(date + 1) };
        let (mut ready, travelling): (Vec<Parcel>, Vec<Parcel>) =
            std::mem::take(&mut self.travelling).into_iter().partition(|parcel| parcel.received_at < end);
        ready.sort_by_key(|parcel| parcel.received_at);
        self.travelling = travelling;
        self.ready = ready.into();
    }

    /// The visits that somebody makes on a day.
    fn spend(&mut self, index: usize, date: i32, midnights: &[Millis]) {
        let Self { plan, releases, people, travelling, .. } = self;
        let person = &mut people[index];
        let mut chance = Chance::of(&[plan.seed, 6, person.number, u64::from(self.day)]);
        let is_first = person.arrival == self.day;
        let usual = person.rate * people::busy(person.rhythm, date);
        let visits = (u32::from(is_first) + chance.times(usual)).min(MOST_VISITS);
        let mut hours: Vec<i64> = (0..visits).map(|_| people::hour(person.rhythm, &mut chance)).collect();
        hours.sort_unstable();
        let place = world::LOCALES.iter().position(|locale| std::ptr::eq(locale, person.locale));
        let midnight = midnights[place.unwrap_or_default()];
        let range = plan.range();
        for (number, hour) in hours.into_iter().enumerate() {
            let at = midnight.plus(hour);
            if !range.contains(at) {
                continue;
            }
            let since = range.from.plus(i64::from(person.arrival) * Millis::DAY);
            let release = releases.running(person.number, person.habit, (since, at));
            let mut told = visit::visit(person, release, at, is_first && number == 0, &mut chance);
            told.retain(|told| told.at < plan.until);
            let key = u64::from(self.day) << 8 | number as u64;
            let trip = Trip { person, release, seed: plan.seed, key, until: plan.until };
            travelling.extend(trip.parcels(told, &mut chance));
        }
    }
}

impl Iterator for Story {
    type Item = Parcel;

    fn next(&mut self) -> Option<Parcel> {
        while self.ready.is_empty() && self.day <= self.plan.days {
            self.live();
        }
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests;
