//! Different users and devices of a period, exact for any range: each day of theirs knows its hours.

use super::super::Result;
use super::super::settled::{self, Counted};
use super::super::sql::{Cell, Sql};
use crate::model::{EnvironmentId, Period};

/// Different users of a period: exact, since each user-day knows its hours.
pub(super) fn users(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    if let Some(settled) = settled::find(db, Counted::Users, environment, period)? {
        return Ok(settled);
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
    known_or_counted(db, Counted::CrashedUsers, environment, period)
}

/// Different devices of a period.
pub(super) fn devices(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    known_or_counted(db, Counted::Devices, environment, period)
}

fn known_or_counted(db: &dyn Sql, counted: Counted, environment: EnvironmentId, period: &Period) -> Result<i64> {
    match settled::find(db, counted, environment, period)? {
        Some(settled) => Ok(settled),
        None => distinct(db, counted, environment, period),
    }
}

/// Counts the days of a period.
pub(in crate::store) fn distinct(
    db: &dyn Sql,
    counted: Counted,
    environment: EnvironmentId,
    period: &Period,
) -> Result<i64> {
    let (first_day, last_day) = (period.first.day, period.last_day());
    let all = (1_i64 << 25) - 1;
    let mut from_first = all & !((1 << period.first.hour) - 1);
    let mut until_last = if period.next.hour == 0 { all } else { (1 << period.next.hour) - 1 };
    if first_day == last_day {
        from_first &= until_last;
        until_last = from_first;
    }
    let sql = match counted {
        Counted::Users => {
            "SELECT count(DISTINCT user_id) FROM user_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR hours & $4 <> 0) AND (day < $3 OR hours & $5 <> 0)"
        }
        Counted::CrashedUsers => {
            "SELECT count(DISTINCT user_id) FROM user_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR crashes & $4 <> 0) AND (day < $3 OR crashes & $5 <> 0) AND crashes <> 0"
        }
        Counted::Devices => {
            "SELECT count(DISTINCT device_id) FROM device_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR hours & $4 <> 0) AND (day < $3 OR hours & $5 <> 0)"
        }
    };
    let params = [
        environment.0.into(),
        Cell::Int(first_day.into()),
        Cell::Int(last_day.into()),
        Cell::Int(from_first),
        Cell::Int(until_last),
    ];
    Ok(db.value(sql, &params)?.int())
}

/// The last local day on which anybody was seen: one step into the table, however many users there are.
fn latest_day(db: &dyn Sql, environment: EnvironmentId) -> Result<i64> {
    let sql = "SELECT max(day) FROM user_days WHERE env_id = $1";
    Ok(db.value(sql, &[environment.0.into()])?.some_int().unwrap_or(i64::MIN))
}
