//! Events that have come to a settled day since: listed beside it, until it is settled again.

use std::collections::BTreeMap;

use super::super::sql::{Cell, Sql};
use super::{LISTED, Result, SETTLED, counts, day, local_days, unsettle};
use crate::model::{EnvironmentId, EventId, Millis};

/// Most events of a day that a commit lists: where more come at once, the day is better settled anew.
pub(super) const AT_ONCE: usize = 1_000;
/// Most events that are listed beside a day: so many, and one for so many that are settled.
pub(in crate::store) const ROOM: (i64, i64) = (10_000, 16);
/// From so many on, and one for so many that are settled, the day is settled again at once. So a day is written once more
/// only behind as many bytes of new events as that takes.
const MANY: (i64, i64) = (1_000, 64);

/// Whether a day with so many events is settled again at once.
pub(super) fn are_many(late: i64, settled: i64) -> bool {
    late >= MANY.0 + settled / MANY.1
}

/// What a commit has inserted, by environment and UTC day.
#[derive(Default)]
pub(in crate::store) struct Arrivals {
    days: BTreeMap<(EnvironmentId, i64), Vec<(Millis, EventId)>>,
}

impl Arrivals {
    /// Adds an event that occurred at an instant.
    pub(in crate::store) fn add(&mut self, environment: EnvironmentId, at: Millis, key: (Millis, EventId)) {
        let keys = self.days.entry((environment, day(at))).or_default();
        // One beyond the bound says that there are more.
        if keys.len() <= AT_ONCE {
            keys.push(key);
        }
    }

    /// Those of days of which all may be listed.
    pub(in crate::store) fn few(&self) -> impl Iterator<Item = (EnvironmentId, i64, Millis, EventId)> {
        let few = self.days.iter().filter(|(_, keys)| keys.len() <= AT_ONCE);
        few.flat_map(|((environment, day), keys)| {
            keys.iter().map(|(claimed_at, id)| (*environment, *day, *claimed_at, *id))
        })
    }

    /// Those of one day, where they are so many.
    fn all(&self, place: (EnvironmentId, i64), events: i64) -> Option<&[(Millis, EventId)]> {
        let keys = self.days.get(&place)?;
        (keys.len() <= AT_ONCE && keys.len() as i64 == events).then_some(keys)
    }
}

/// Notes that events have come to a UTC day: in the transaction in which they come, for databases of one writer. They are
/// listed beside what is settled of it, or else it holds no longer.
pub(in crate::store) fn come(
    db: &dyn Sql,
    place: (EnvironmentId, i64),
    events: i64,
    arrivals: &Arrivals,
) -> Result<()> {
    let (environment, day) = place;
    counts::touch(db, environment, local_days(day))?;
    if events == 0 {
        return Ok(());
    }
    let sql = "SELECT state, late, events, work FROM settled_days WHERE env_id = $1 AND day = $2 AND state <> 0";
    let Some(row) = db.row(sql, &[environment.0, day].map(Cell::Int))? else { return Ok(()) };
    let (state, settled, work) = (row.int(0), row.int(2), row.int(3));
    let late = if state == SETTLED { 0 } else { row.int(1) };
    let has_room = state >= SETTLED && late + events <= ROOM.0 + settled / ROOM.1;
    let Some(keys) = arrivals.all(place, events).filter(|_| has_room) else {
        return unsettle(db, environment, day);
    };
    if state == SETTLED {
        clear(db, environment, day)?;
    }
    for (claimed_at, id) in keys {
        let sql = "INSERT INTO settled_late (env_id, day, claimed, event, during) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (env_id, day, claimed, event) DO UPDATE SET during = excluded.during";
        let key = [environment.0.into(), day.into(), claimed_at.0.into(), Cell::Uuid(id.0), work.into()];
        db.run(sql, &key)?;
    }
    let sql = "UPDATE settled_days SET late = $1, state = $2 WHERE env_id = $3 AND day = $4";
    db.run(sql, &[late + events, state.max(LISTED), environment.0, day].map(Cell::Int))?;
    Ok(())
}

/// Lists nothing beside a day any more.
pub(super) fn clear(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<()> {
    let sql = "DELETE FROM settled_late WHERE env_id = $1 AND day = $2";
    db.run(sql, &[environment.0, day].map(Cell::Int))?;
    Ok(())
}

/// Behind work at a day: what came before it is settled, and what came during it stays listed.
pub(super) fn narrow(db: &dyn Sql, environment: EnvironmentId, day: i64, token: i64) -> Result<()> {
    let key = [environment.0, day].map(Cell::Int);
    let sql = "DELETE FROM settled_late WHERE env_id = $1 AND day = $2 AND during <> $3";
    db.run(sql, &[environment.0, day, token].map(Cell::Int))?;
    let sql = "SELECT count(*) FROM settled_late WHERE env_id = $1 AND day = $2";
    let late = db.value(sql, &key)?.int();
    let state = if late == 0 { SETTLED } else { LISTED };
    let sql = "UPDATE settled_days SET late = $1, state = $2 WHERE env_id = $3 AND day = $4";
    db.run(sql, &[late, state, environment.0, day].map(Cell::Int))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_to_which_much_comes_at_once_are_not_named() {
        let mut arrivals = Arrivals::default();
        let place = |day: i64| (EnvironmentId(1), day);
        for (day, events) in [(5, AT_ONCE + 5), (6, AT_ONCE), (7, 1)] {
            for n in 0..events {
                let at = Millis(day * Millis::DAY + n as i64);
                arrivals.add(EnvironmentId(1), at, (at.plus(-Millis::DAY), EventId([0; 16])));
            }
        }
        assert_eq!(arrivals.few().count(), AT_ONCE + 1);
        assert_eq!(arrivals.all(place(5), (AT_ONCE + 5) as i64), None);
        assert_eq!(arrivals.all(place(6), AT_ONCE as i64).map(<[_]>::len), Some(AT_ONCE));
        assert_eq!(arrivals.all(place(7), 2), None, "one of them is not known");
        assert_eq!(arrivals.all(place(8), 0), None);
    }
}
