//! Different users and devices of periods that are over, counted once; of each day they are listed as well.

use std::collections::BTreeSet;

use roaring::RoaringTreemap;

use super::super::backend::Backend;
use super::super::report::{distinct, listed};
use super::super::sql::{Cell, Sql};
use super::{AGE, LOST, OPEN, PAUSE, Result, SETTLED, TOUCHED, sets, token};
use crate::model::{EnvironmentId, LocalTime, Millis, Period, TimeRange, Zone, date_of, days_since_1970};

/// Calendar months that are counted: a year, and the one that was compared with it.
const MONTHS: i32 = 24;
/// Weeks from Monday to Sunday that are counted.
const WEEKS: i32 = 57;
/// Days whose users and devices are listed: as far back as the months reach.
const DAYS: i32 = 31 * MONTHS;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Counted {
    /// Users.
    Users = 0,
    /// Users for whom something has crashed.
    CrashedUsers = 1,
    /// Devices.
    Devices = 2,
    /// Users of one day, who stand in [`sets`] besides.
    ListedUsers = 3,
    /// Devices of one day, likewise.
    ListedDevices = 4,
    /// Users of one day for whom something has crashed, likewise.
    ListedCrashedUsers = 5,
}

impl Counted {
    const ALL: [Self; 6] = [
        Self::Users,
        Self::CrashedUsers,
        Self::Devices,
        Self::ListedUsers,
        Self::ListedDevices,
        Self::ListedCrashedUsers,
    ];

    /// The table of its days.
    fn days(self) -> &'static str {
        match self {
            Self::Users | Self::CrashedUsers | Self::ListedUsers | Self::ListedCrashedUsers => "user_days",
            Self::Devices | Self::ListedDevices => "device_days",
        }
    }
}

/// A count that can be settled.
#[derive(Clone, Copy)]
pub(super) struct Due {
    environment: EnvironmentId,
    counted: Counted,
    first_day: i32,
    next_day: i32,
}

/// The count of a period of whole days, where it is settled.
pub(in crate::store) fn find(
    db: &dyn Sql,
    counted: Counted,
    environment: EnvironmentId,
    period: &Period,
) -> Result<Option<i64>> {
    if period.first.hour != 0 || period.next.hour != 0 {
        return Ok(None);
    }
    let sql = format!(
        "SELECT count FROM settled_counts \
         WHERE env_id = $1 AND next_day = $2 AND first_day = $3 AND kind = $4 AND state = {SETTLED}"
    );
    let key = [environment.0, period.next.day.into(), period.first.day.into(), counted as i64];
    Ok(db.value(&sql, &key.map(Cell::Int))?.some_int())
}

/// Notes that something has come to local days, both ends included.
pub(super) fn touch(db: &dyn Sql, environment: EnvironmentId, (first, last): (i64, i64)) -> Result<()> {
    let sql =
        "UPDATE settled_counts SET state = 0 WHERE env_id = $1 AND next_day > $2 AND first_day <= $3 AND state <> 0";
    db.run(sql, &[environment.0, first, last].map(Cell::Int))?;
    Ok(())
}

/// All counts that can be settled and are not, of the newest periods first.
pub(super) fn due(db: &dyn Sql, now: Millis) -> Result<Vec<Due>> {
    let mut due = Vec::new();
    let sql = "SELECT e.id, a.zone FROM environments e JOIN apps a ON a.id = e.app_id WHERE a.deleted_at IS NULL";
    for row in db.rows(sql, &[])? {
        let environment = EnvironmentId(row.int(0));
        let zone = Zone::find(&row.text(1)).unwrap_or_else(Zone::utc);
        let (periods, days) = (over(&zone, now), days_over(&zone, now));
        let resting = resting(db, environment, now)?;
        for counted in Counted::ALL {
            let sql = format!("SELECT min(day) FROM {} WHERE env_id = $1", counted.days());
            let Some(first) = db.value(&sql, &[environment.0.into()])?.some_int() else { continue };
            let periods = match counted {
                Counted::Users | Counted::CrashedUsers | Counted::Devices => &periods,
                Counted::ListedUsers | Counted::ListedDevices | Counted::ListedCrashedUsers => &days,
            };
            let seen = periods.iter().filter(|(_, next_day)| i64::from(*next_day) > first);
            let wanted =
                seen.filter(|(first, next)| !resting.contains(&(counted as i64, (*first).into(), (*next).into())));
            due.extend(wanted.map(|(first_day, next_day)| Due {
                environment,
                counted,
                first_day: *first_day,
                next_day: *next_day,
            }));
        }
    }
    due.sort_by_key(|due| (std::cmp::Reverse(due.next_day), due.counted));
    Ok(due)
}

/// The months and weeks that have been over for a while.
fn over(zone: &Zone, now: Millis) -> Vec<(i32, i32)> {
    let today = zone.local(now.plus(-AGE)).day;
    let month = |back: i32| {
        let first = date_of(today).first_of_month();
        days_since_1970(first.saturating_sub(jiff::Span::new().months(back)))
    };
    // 1970-01-01 was a Thursday.
    let monday = today - (today + 3).rem_euclid(7);
    let months = (0..MONTHS).map(|back| (month(back + 1), month(back)));
    let weeks = (0..WEEKS).map(|back| (monday - 7 * (back + 1), monday - 7 * back));
    months.chain(weeks).collect()
}

/// The days that have been over for a while, each as a period.
fn days_over(zone: &Zone, now: Millis) -> Vec<(i32, i32)> {
    let today = zone.local(now.plus(-AGE)).day;
    (0..DAYS).map(|back| (today - 1 - back, today - back)).collect()
}

/// The counts of an environment that are left alone, by kind, first and next day.
fn resting(db: &dyn Sql, environment: EnvironmentId, now: Millis) -> Result<BTreeSet<(i64, i64, i64)>> {
    let sql = "SELECT kind, first_day, next_day, state, at FROM settled_counts WHERE env_id = $1";
    let rows = db.rows(sql, &[environment.0.into()])?;
    let rests = rows.iter().filter(|row| {
        let age = now.since(Millis(row.int(4)));
        match row.int(3) {
            SETTLED => true,
            OPEN => (0..LOST).contains(&age),
            _ => (0..PAUSE).contains(&age),
        }
    });
    Ok(rests.map(|row| (row.int(0), row.int(1), row.int(2))).collect())
}

/// Settles these counts; how many.
pub(super) fn settle<B: Backend>(store: &B, due: &[Due], now: Millis) -> Result<u64> {
    let token = token();
    let mut found = Vec::new();
    for due in store.change(|db| open::<B>(db, due, (token, now)))? {
        // Hours do not matter, and neither do instants, where days are whole.
        let at = |day: i32| LocalTime { day, hour: 0 };
        let range = TimeRange { from: Millis(0), to: Millis(0) };
        let period = Period { range, first: at(due.first_day), next: at(due.next_day) };
        let (count, set) = match due.counted {
            Counted::Users | Counted::CrashedUsers | Counted::Devices => {
                (store.look(|db| distinct(db, due.counted, due.environment, &period))?, None)
            }
            Counted::ListedUsers | Counted::ListedDevices | Counted::ListedCrashedUsers => {
                let mut set = RoaringTreemap::new();
                store.look(|db| listed(db, due.counted, due.environment, &period, &mut set))?;
                (set.len().cast_signed(), Some(sets::encode(&set)))
            }
        };
        found.push((due, count, set));
    }
    store.change(|db| {
        let sql = format!(
            "UPDATE settled_counts SET state = {SETTLED}, at = $1, count = $2 \
             WHERE env_id = $3 AND next_day = $4 AND first_day = $5 AND kind = $6 AND state = {OPEN} AND token = $7"
        );
        let mut settled = 0;
        for (due, count, set) in &found {
            let [environment, next, first, kind] = due.key();
            let stands = db.run(&sql, &[now.0, *count, environment, next, first, kind, token].map(Cell::Int))?;
            if let Some(set) = set.as_ref().filter(|_| stands > 0) {
                sets::write(db, (due.environment, due.counted, due.first_day), token, set)?;
            }
            settled += stands;
        }
        Ok(settled)
    })
}

/// Marks counts, while commits are held off: those that nobody else works at.
fn open<B: Backend>(db: &dyn Sql, due: &[Due], (token, now): (i64, Millis)) -> Result<Vec<Due>> {
    B::hold_commits(db)?;
    let sql = format!(
        "INSERT INTO settled_counts (env_id, next_day, first_day, kind, state, token, at, count) \
         VALUES ($1, $2, $3, $4, {OPEN}, $5, $6, 0) \
         ON CONFLICT (env_id, next_day, first_day, kind) \
         DO UPDATE SET state = {OPEN}, token = excluded.token, at = excluded.at \
         WHERE settled_counts.state = {TOUCHED} \
         OR (settled_counts.state = {OPEN} AND settled_counts.at NOT BETWEEN $7 AND $8)"
    );
    let mut mine = Vec::new();
    for due in due {
        let [environment, next, first, kind] = due.key();
        let params = [environment, next, first, kind, token, now.0, now.plus(1 - LOST).0, now.0];
        if db.run(&sql, &params.map(Cell::Int))? == 1 {
            mine.push(*due);
        }
    }
    Ok(mine)
}

impl Due {
    fn key(&self) -> [i64; 4] {
        [self.environment.0, self.next_day.into(), self.first_day.into(), self.counted as i64]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_weeks_are_counted_once_they_have_been_over_for_a_while() {
        let zone = Zone::find("Europe/Zurich").unwrap();
        let at = |text: &str| Millis::from(text.parse::<jiff::Timestamp>().unwrap());
        let day = |text: &str| days_since_1970(text.parse().unwrap());
        for (now, month, week) in [
            ("2026-06-01T12:00:00Z", ("2026-04-01", "2026-05-01"), ("2026-05-18", "2026-05-25")),
            ("2026-06-02T09:59:00Z", ("2026-04-01", "2026-05-01"), ("2026-05-18", "2026-05-25")),
            ("2026-06-02T10:00:00Z", ("2026-05-01", "2026-06-01"), ("2026-05-25", "2026-06-01")),
        ] {
            let periods = over(&zone, at(now));
            assert_eq!(periods.len(), (MONTHS + WEEKS) as usize);
            for (first, next) in [month, week] {
                let place = periods.iter().position(|period| *period == (day(first), day(next)));
                assert!(place == Some(0) || place == Some(MONTHS as usize), "{now}: {first} at {place:?}");
            }
        }
    }
}
