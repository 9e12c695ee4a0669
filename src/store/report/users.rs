//! Different users and devices of a period, exact for any range: each day of theirs knows its hours.

use std::ops::ControlFlow;

use roaring::RoaringTreemap;

use super::super::Result;
use super::super::settled::{self, Counted, Joined};
use super::super::sql::{Cell, Sql};
use crate::model::{EnvironmentId, LocalTime, Period};

/// Fewer whole days than these are not worth a look at what is settled.
const FEW: i64 = 3;

/// Different users of a period: exact, since each user-day knows its hours.
pub(super) fn users(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    if let Some(known) = known(db, (Counted::ListedUsers, Counted::Users), environment, period)? {
        return Ok(known);
    }
    let (first_day, last_day) = (period.first.day, period.last_day());
    let last_whole_day = if period.next.hour == 0 { last_day } else { last_day - 1 };
    if period.first.hour == 0 && latest_day(db, environment)? <= i64::from(last_whole_day) {
        // Where nobody was seen after the period, whoever was last seen in it was in it, and nobody else. One walk over
        // the users is faster than one over their days; the sign keeps it off the index, which lacks the day.
        let sql = "SELECT count(*) FROM users WHERE last_day >= $1 AND +env_id = $2";
        return Ok(db.value(sql, &[i64::from(first_day).into(), environment.0.into()])?.int());
    }
    distinct(db, Counted::Users, environment, period)
}

/// Different users of a period for whom something has crashed in it.
pub(super) fn crashed_users(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    exact(db, (Counted::ListedCrashedUsers, Counted::CrashedUsers), environment, period)
}

/// Different devices of a period.
pub(super) fn devices(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    exact(db, (Counted::ListedDevices, Counted::Devices), environment, period)
}

/// What is known of the period, or a look at all its days.
fn exact(
    db: &dyn Sql,
    (listed_as, counted): (Counted, Counted),
    environment: EnvironmentId,
    period: &Period,
) -> Result<i64> {
    match known(db, (listed_as, counted), environment, period)? {
        Some(known) => Ok(known),
        None => distinct(db, counted, environment, period),
    }
}

/// What is settled of the period, or what the lists of its days that are settled come to, with a look at the others; none
/// where few are settled.
fn known(
    db: &dyn Sql,
    (listed_as, counted): (Counted, Counted),
    environment: EnvironmentId,
    period: &Period,
) -> Result<Option<i64>> {
    let settled = settled::find(db, counted, environment, period)?;
    let first_whole = if period.first.hour == 0 { period.first.day } else { period.first.day + 1 };
    let whole = i64::from(period.next.day) - i64::from(first_whole);
    if settled.is_some() || whole < FEW {
        return Ok(settled);
    }
    let Joined { mut members, days } = settled::join(db, listed_as, environment, (first_whole, period.next.day - 1))?;
    if (days.len() as i64) < whole / 2 {
        return Ok(None);
    }
    let mut from = period.first;
    for day in days {
        let (begin, end) = (LocalTime { day, hour: 0 }, LocalTime { day: day + 1, hour: 0 });
        if from < begin {
            listed(db, counted, environment, &Period { first: from, next: begin, ..*period }, &mut members)?;
        }
        from = end;
    }
    if from < period.next {
        listed(db, counted, environment, &Period { first: from, ..*period }, &mut members)?;
    }
    Ok(Some(members.len().cast_signed()))
}

/// Adds the users or devices of a period to a set, by a look at each of their days.
pub(in crate::store) fn listed(
    db: &dyn Sql,
    counted: Counted,
    environment: EnvironmentId,
    period: &Period,
    set: &mut RoaringTreemap,
) -> Result<()> {
    let sql = format!("SELECT {} FROM {}", id(counted), days(counted));
    db.stream(&sql, &hours(environment, period), &mut |line| {
        set.insert(line.int(0).cast_unsigned());
        ControlFlow::Continue(())
    })
}

/// Counts the days of a period.
pub(in crate::store) fn distinct(
    db: &dyn Sql,
    counted: Counted,
    environment: EnvironmentId,
    period: &Period,
) -> Result<i64> {
    let sql = format!("SELECT count(DISTINCT {}) FROM {}", id(counted), days(counted));
    Ok(db.value(&sql, &hours(environment, period))?.int())
}

/// The number by which whoever is counted is told apart.
fn id(counted: Counted) -> &'static str {
    match counted {
        Counted::Users | Counted::CrashedUsers | Counted::ListedUsers | Counted::ListedCrashedUsers => "user_id",
        Counted::Devices | Counted::ListedDevices => "device_id",
    }
}

/// The days of a period, with the conditions for which [`hours`] has the parameters.
fn days(counted: Counted) -> &'static str {
    match counted {
        Counted::Users | Counted::ListedUsers => {
            "user_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR hours & $4 <> 0) AND (day < $3 OR hours & $5 <> 0)"
        }
        Counted::CrashedUsers | Counted::ListedCrashedUsers => {
            "user_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR crashes & $4 <> 0) AND (day < $3 OR crashes & $5 <> 0) AND crashes <> 0"
        }
        Counted::Devices | Counted::ListedDevices => {
            "device_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR hours & $4 <> 0) AND (day < $3 OR hours & $5 <> 0)"
        }
    }
}

/// The environment, the first and the last day, and the hours that count of each.
fn hours(environment: EnvironmentId, period: &Period) -> [Cell; 5] {
    let (first_day, last_day) = (period.first.day, period.last_day());
    let all = (1_i64 << 25) - 1;
    let mut from_first = all & !((1 << period.first.hour) - 1);
    let mut until_last = if period.next.hour == 0 { all } else { (1 << period.next.hour) - 1 };
    if first_day == last_day {
        from_first &= until_last;
        until_last = from_first;
    }
    [environment.0, first_day.into(), last_day.into(), from_first, until_last].map(Cell::Int)
}

/// The last local day on which anybody was seen: one step into the table, however many users there are.
fn latest_day(db: &dyn Sql, environment: EnvironmentId) -> Result<i64> {
    let sql = "SELECT max(day) FROM user_days WHERE env_id = $1";
    Ok(db.value(sql, &[environment.0.into()])?.some_int().unwrap_or(i64::MIN))
}
