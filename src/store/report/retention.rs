//! Who comes back: cohorts from users and their days where those can tell, else from the raw events.

use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::scan::{Sieve, scan};
use super::super::sql::Sql;
use super::super::{Result, StoreError};
use super::room::Room;
use super::{named, number};
use crate::model::{Back, Born, Cohort, Dimension, EnvironmentId, Millis, Period, RetentionAsk, TimeRange};
use crate::rollup::Bucket;

/// Most users that are told apart: some 35 MB.
const MOST_USERS: usize = 900_000;

/// The cohorts, each with those who were there in its own period and the later ones.
pub(super) fn retention(db: &dyn Sql, environment: EnvironmentId, ask: &RetentionAsk) -> Result<Vec<Cohort>> {
    let (Some(first), Some(last)) = (ask.cohorts.first(), ask.cohorts.last()) else { return Ok(Vec::new()) };
    if ask.cohorts.len() > RetentionAsk::MOST {
        return Err(StoreError::Unexpected("more cohorts than there may be".to_owned()));
    }
    let range = TimeRange { from: first.range.from, to: last.range.to };
    let mut book = Book { cohorts: &ask.cohorts, users: HashMap::new(), room: Room::of(MOST_USERS) };
    match (&ask.born, &ask.back) {
        (Born::FirstSeen, Back::AnyActivity) if ask.filters.is_empty() => {
            book.first_seen(db, environment, range)?;
            book.days(db, environment, (first, last))?;
        }
        (Born::Event(name), Back::AnyActivity) if ask.filters.is_empty() => {
            book.events(db, environment, ask, (since(db, environment, name)?, range.to))?;
            book.days(db, environment, (first, last))?;
        }
        (Born::FirstSeen, _) => {
            book.first_seen(db, environment, range)?;
            book.events(db, environment, ask, (Some(range.from), range.to))?;
        }
        (Born::Event(name), _) => book.events(db, environment, ask, (since(db, environment, name)?, range.to))?,
    }
    let stays = !matches!(ask.born, Born::FirstSeen) || ask.filters.is_empty();
    Ok(book.close(if stays { Need::Birth } else { Need::KeptEvent }))
}

/// What a user must have to be in a cohort.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Birth,
    /// An event that the filters keep in the period of birth, too.
    KeptEvent,
}

/// What is known of the users asked for.
struct Book<'a> {
    cohorts: &'a [Period],
    users: HashMap<i64, Known>,
    room: Room,
}

/// What is known of a user.
#[derive(Clone, Copy)]
struct Known {
    born: Millis,
    /// A bit for each period in which an event was kept.
    kept: u64,
    /// A bit for each period in which they were there in the way that is asked for.
    back: u64,
}

impl Known {
    fn born(at: Millis) -> Self {
        Self { born: at, kept: 0, back: 0 }
    }
}

impl Book<'_> {
    /// The users whose first sight lies in a range.
    fn first_seen(&mut self, db: &dyn Sql, environment: EnvironmentId, range: TimeRange) -> Result<()> {
        // The sign keeps it off the index, which lacks the time.
        let sql = "SELECT id, first_at FROM users WHERE first_at >= $1 AND first_at < $2 AND +env_id = $3";
        let params = [range.from.0.into(), range.to.0.into(), environment.0.into()];
        db.stream(sql, &params, &mut |row| {
            self.users.insert(row.int(0), Known::born(Millis(row.int(1))));
            self.room.holds(self.users.len())
        })?;
        self.room.check()
    }

    /// Marks the periods in which known users were seen.
    fn days(&mut self, db: &dyn Sql, environment: EnvironmentId, (first, last): (&Period, &Period)) -> Result<()> {
        let first_day = first.first.day;
        let mut bits = Vec::new();
        for (place, cohort) in self.cohorts.iter().enumerate() {
            let days = usize::try_from(cohort.next.day - cohort.first.day).unwrap_or_default();
            bits.resize(bits.len() + days, 1_u64 << place);
        }
        let sql = "SELECT day, user_id FROM user_days WHERE env_id = $1 AND day >= $2 AND day <= $3";
        let params = [environment.0.into(), i64::from(first_day).into(), i64::from(last.last_day()).into()];
        db.stream(sql, &params, &mut |row| {
            if let Some(known) = self.users.get_mut(&row.int(1)) {
                let place = usize::try_from(row.int(0) - i64::from(first_day)).ok();
                known.back |= place.and_then(|place| bits.get(place)).copied().unwrap_or_default();
            }
            ControlFlow::Continue(())
        })
    }

    /// Looks at raw events for births, for those who come back, or for both, in one pass.
    fn events(
        &mut self,
        db: &dyn Sql,
        environment: EnvironmentId,
        ask: &RetentionAsk,
        (from, to): (Option<Millis>, Millis),
    ) -> Result<()> {
        let Some(from) = from else { return Ok(()) };
        let (births, back) = (Wanted::births(db, environment, ask)?, Wanted::back(db, environment, ask)?);
        let sieve = sieve(db, environment, ask)?;
        scan(db, environment, TimeRange { from, to }, &sieve, &mut |glance| {
            if glance.user == 0 {
                return ControlFlow::Continue(());
            }
            if births.matches(glance.name) {
                let known = self.users.entry(glance.user).or_insert(Known::born(glance.at));
                known.born = known.born.min(glance.at);
            }
            let bit = self.place(glance.at).map_or(0, |place| 1 << place);
            if back.matches(glance.name) && bit != 0 && ask.born != Born::FirstSeen {
                // Their birth may come later in this pass.
                let known = self.users.entry(glance.user).or_insert(Known::born(Millis(i64::MAX)));
                known.back |= bit;
            } else if let Some(known) = self.users.get_mut(&glance.user) {
                known.kept |= bit;
                known.back |= if back.matches(glance.name) { bit } else { 0 };
            }
            self.room.holds(self.users.len())
        })?;
        self.room.check()
    }

    /// The period that an instant lies in.
    fn place(&self, at: Millis) -> Option<usize> {
        let place = self.cohorts.partition_point(|cohort| cohort.range.to <= at);
        self.cohorts.get(place).filter(|cohort| cohort.range.contains(at)).map(|_| place)
    }

    fn close(self, need: Need) -> Vec<Cohort> {
        let periods = self.cohorts.len();
        let mut cohorts: Vec<_> =
            (0..periods).map(|place| Cohort { size: 0, back: vec![0; periods - place] }).collect();
        for known in self.users.values() {
            let Some(place) = self.place(known.born) else { continue };
            if need == Need::KeptEvent && known.kept >> place & 1 == 0 {
                continue;
            }
            let cohort = &mut cohorts[place];
            cohort.size += 1;
            for (later, back) in cohort.back.iter_mut().enumerate() {
                *back += i64::from(known.back >> (place + later) & 1 == 1);
            }
        }
        cohorts
    }
}

/// Which names of events are looked for.
enum Wanted {
    None,
    All,
    One(i64),
}

impl Wanted {
    fn births(db: &dyn Sql, environment: EnvironmentId, ask: &RetentionAsk) -> Result<Self> {
        match &ask.born {
            Born::FirstSeen => Ok(Self::None),
            Born::Event(name) => Self::one(db, environment, name),
        }
    }

    fn back(db: &dyn Sql, environment: EnvironmentId, ask: &RetentionAsk) -> Result<Self> {
        match &ask.back {
            Back::AnyActivity if ask.filters.is_empty() => Ok(Self::None), // days tell of it
            Back::AnyActivity => Ok(Self::All),
            Back::Event(name) => Self::one(db, environment, name),
        }
    }

    fn one(db: &dyn Sql, environment: EnvironmentId, name: &Arc<str>) -> Result<Self> {
        Ok(number(db, environment, name)?.map_or(Self::None, Self::One))
    }

    fn matches(&self, name: i64) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::One(wanted) => *wanted == name,
        }
    }
}

/// What passes the filters, and has one of the names that are looked for where not all are.
fn sieve(db: &dyn Sql, environment: EnvironmentId, ask: &RetentionAsk) -> Result<Sieve> {
    let kept = !ask.filters.is_empty();
    let mut names = Vec::new();
    match (&ask.born, &ask.back) {
        (Born::FirstSeen, _) | (_, Back::AnyActivity) if kept => return Sieve::of(db, environment, &ask.filters),
        (Born::FirstSeen, _) => {}
        (Born::Event(name), _) => names.push(name.clone()),
    }
    match &ask.back {
        Back::AnyActivity => {}
        Back::Event(name) => names.push(name.clone()),
    }
    named(db, environment, &ask.filters, &names)
}

/// When an event of that name was counted first, rounded down to a day.
fn since(db: &dyn Sql, environment: EnvironmentId, name: &Arc<str>) -> Result<Option<Millis>> {
    let Some(number) = number(db, environment, name)? else { return Ok(None) };
    let code = Dimension::Event.code().expect("events are summarised by name");
    let sql = "SELECT bucket FROM rollup_days WHERE env_id = $1 AND dimension = $2 AND value = $3 AND events > 0 \
               ORDER BY bucket LIMIT 1";
    let first = db.value(sql, &[environment.0.into(), code.into(), number.into()])?.some_int();
    Ok(first.map(|bucket| Bucket(bucket).start()))
}
