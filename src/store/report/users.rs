//! Different users and devices of a period, exact for any range: each day of theirs knows its hours.

use super::super::Result;
use super::super::sql::{Cell, Sql};
use crate::model::{EnvironmentId, Period};

/// Different users of a period: exact, since each user-day knows its hours.
pub(super) fn users(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    let (first_day, last_day) = (period.first.day, period.last_day());
    let environment = Cell::Int(environment.0);
    let last_whole_day = if period.next.hour == 0 { last_day } else { last_day - 1 };
    if period.first.hour == 0 && latest_day(db, &environment)? <= i64::from(last_whole_day) {
        // Where nobody was seen after the period, whoever was last seen in it was in it, and nobody else. One walk over
        // the users is faster than one over their days; the sign keeps it off the index, which lacks the day.
        let sql = "SELECT count(*) FROM users WHERE last_day >= $1 AND +env_id = $2";
        return Ok(db.value(sql, &[Cell::Int(first_day.into()), environment])?.int());
    }
    distinct(db, DaysOf::Users, environment, period)
}

/// Different users of a period for whom something has crashed in it.
pub(super) fn crashed_users(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    distinct(db, DaysOf::CrashedUsers, Cell::Int(environment.0), period)
}

/// Different devices of a period.
pub(super) fn devices(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    distinct(db, DaysOf::Devices, Cell::Int(environment.0), period)
}

/// Whose days are counted.
#[derive(Clone, Copy)]
enum DaysOf {
    Users,
    CrashedUsers,
    Devices,
}

fn distinct(db: &dyn Sql, whose: DaysOf, environment: Cell, period: &Period) -> Result<i64> {
    let (first_day, last_day) = (period.first.day, period.last_day());
    let all = (1_i64 << 25) - 1;
    let mut from_first = all & !((1 << period.first.hour) - 1);
    let mut until_last = if period.next.hour == 0 { all } else { (1 << period.next.hour) - 1 };
    if first_day == last_day {
        from_first &= until_last;
        until_last = from_first;
    }
    let sql = match whose {
        DaysOf::Users => {
            "SELECT count(DISTINCT user_id) FROM user_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR hours & $4 <> 0) AND (day < $3 OR hours & $5 <> 0)"
        }
        DaysOf::CrashedUsers => {
            "SELECT count(DISTINCT user_id) FROM user_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR crashes & $4 <> 0) AND (day < $3 OR crashes & $5 <> 0) AND crashes <> 0"
        }
        DaysOf::Devices => {
            "SELECT count(DISTINCT device_id) FROM device_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
             AND (day > $2 OR hours & $4 <> 0) AND (day < $3 OR hours & $5 <> 0)"
        }
    };
    let params = [
        environment,
        Cell::Int(first_day.into()),
        Cell::Int(last_day.into()),
        Cell::Int(from_first),
        Cell::Int(until_last),
    ];
    Ok(db.value(sql, &params)?.int())
}

/// The last local day on which anybody was seen: one step into the table, however many users there are.
fn latest_day(db: &dyn Sql, environment: &Cell) -> Result<i64> {
    let sql = "SELECT max(day) FROM user_days WHERE env_id = $1";
    Ok(db.value(sql, std::slice::from_ref(environment))?.some_int().unwrap_or(i64::MIN))
}
