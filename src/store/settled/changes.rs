//! Sessions of settled days that count otherwise since: listed beside their day, as how many more or fewer there are of each
//! kind, until it is counted again.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::super::scan::one_of;
use super::super::sql::{Cell, Line, Sql};
use super::classes::Sessions;
use super::late::{AT_ONCE, ROOM};
use super::{LISTED, Result, SETTLED};
use crate::model::{EnvironmentId, Millis};
use crate::rollup::{Deltas, SessionCount, SessionKey};

/// What is listed: of each set of facts and class of lengths how many.
pub(super) type Changes = Vec<(i64, i64, SessionCount)>;

/// The UTC days of an environment of which a commit has changed sessions.
pub(in crate::store) fn changed(deltas: &Deltas) -> BTreeSet<(EnvironmentId, i64)> {
    deltas.sessions.keys().map(|key| (key.environment, key.day)).collect()
}

/// What a commit has changed of a day, as far as it may be listed: nothing where that is too much at once.
pub(in crate::store) fn of_day(
    deltas: &Deltas,
    (environment, day): (EnvironmentId, i64),
) -> Vec<(SessionKey, SessionCount)> {
    let key = |facts: i64, class: i64| SessionKey { environment, day, facts, class };
    let all = deltas.sessions.range(key(i64::MIN, i64::MIN)..=key(i64::MAX, i64::MAX));
    let some: Vec<_> = all.take(AT_ONCE + 1).map(|(key, count)| (*key, *count)).collect();
    if some.len() <= AT_ONCE { some } else { Vec::new() }
}

/// Notes that sessions of a UTC day have changed: in the transaction that changes them, for databases of one writer. They
/// are listed beside what is settled of it, or else it holds no longer.
pub(in crate::store) fn change(db: &dyn Sql, place: (EnvironmentId, i64), deltas: &Deltas) -> Result<()> {
    let key = [place.0.0, place.1].map(Cell::Int);
    let sql = "SELECT state, changes, sessions FROM settled_sessions WHERE env_id = $1 AND day = $2 AND state <> 0";
    let Some(row) = db.row(sql, &key)? else { return Ok(()) };
    let (state, settled) = (row.int(0), row.int(2));
    let own = of_day(deltas, place);
    let changes = own.len() as i64 + if state == LISTED { row.int(1) } else { 0 };
    if state < SETTLED || own.is_empty() || changes > ROOM.0 + settled / ROOM.1 {
        db.run("UPDATE settled_sessions SET state = 0 WHERE env_id = $1 AND day = $2", &key)?;
        return Ok(());
    }
    if state == SETTLED {
        clear(db, place)?;
    }
    let sql = "INSERT INTO settled_changes (env_id, day, facts_id, class, sessions, crashed) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (env_id, day, facts_id, class) DO UPDATE \
               SET sessions = settled_changes.sessions + excluded.sessions, \
               crashed = settled_changes.crashed + excluded.crashed";
    for (key, count) in own {
        let row = [place.0.0, place.1, key.facts, key.class, count.sessions, count.crashed];
        db.run(sql, &row.map(Cell::Int))?;
    }
    let sql = format!("UPDATE settled_sessions SET state = {LISTED}, changes = $1 WHERE env_id = $2 AND day = $3");
    db.run(&sql, &[changes, place.0.0, place.1].map(Cell::Int))?;
    Ok(())
}

/// Lists nothing beside a day any more.
pub(super) fn clear(db: &dyn Sql, (environment, day): (EnvironmentId, i64)) -> Result<()> {
    db.run("DELETE FROM settled_changes WHERE env_id = $1 AND day = $2", &[environment.0, day].map(Cell::Int))?;
    Ok(())
}

/// Behind work at a day: what that has seen of the list is settled, and what came since stays on it.
pub(super) fn narrow(db: &dyn Sql, (environment, day): (EnvironmentId, i64), seen: &Changes) -> Result<()> {
    let sql = "UPDATE settled_changes SET sessions = sessions - $1, crashed = crashed - $2 \
               WHERE env_id = $3 AND day = $4 AND facts_id = $5 AND class = $6";
    for (facts, class, count) in seen {
        db.run(sql, &[count.sessions, count.crashed, environment.0, day, *facts, *class].map(Cell::Int))?;
    }
    let key = [environment.0, day].map(Cell::Int);
    let sql = "DELETE FROM settled_changes WHERE env_id = $1 AND day = $2 AND sessions = 0 AND crashed = 0";
    db.run(sql, &key)?;
    let left = db.value("SELECT count(*) FROM settled_changes WHERE env_id = $1 AND day = $2", &key)?.int();
    let sql = "UPDATE settled_sessions SET changes = $1, state = $2 WHERE env_id = $3 AND day = $4";
    let state = if left == 0 { SETTLED } else { LISTED };
    db.run(sql, &[left, state, environment.0, day].map(Cell::Int))?;
    Ok(())
}

/// Shows what is listed beside these days, each with the beginning of its day.
pub(super) fn show(
    db: &dyn Sql,
    environment: EnvironmentId,
    days: &[i64],
    visit: &mut dyn FnMut(Millis, Sessions<'_>),
) -> Result<()> {
    if days.is_empty() {
        return Ok(());
    }
    let mut params = vec![Cell::Int(environment.0)];
    let mut sql = "SELECT facts_id, class, sessions, crashed, day FROM settled_changes WHERE env_id = $1".to_owned();
    one_of(&mut sql, "day", days.iter(), &mut params);
    db.stream(&sql, &params, &mut |line| {
        let (facts, class, count) = of_line(line);
        visit(super::of_day(line.int(4)).from, Sessions::Alike(facts, class, count));
        ControlFlow::Continue(())
    })
}

/// What is listed, from a line that begins with set of facts, class, sessions and crashed.
pub(super) fn of_line(line: &dyn Line) -> (i64, i64, SessionCount) {
    (line.int(0), line.int(1), SessionCount { sessions: line.int(2), crashed: line.int(3) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::Fold;

    #[test]
    fn days_of_which_much_changes_at_once_are_not_listed() {
        let mut fold = Fold::default();
        let environment = EnvironmentId(1);
        for (day, changes) in [(5, AT_ONCE as i64 + 1), (6, AT_ONCE as i64), (7, 1)] {
            for n in 0..changes {
                let key = SessionKey { environment, day, facts: n % 7 - 3, class: n };
                fold.sessions(key, SessionCount { sessions: 1, crashed: n % 2 });
            }
        }
        let deltas = fold.into_deltas();
        let listed = |day: i64| of_day(&deltas, (environment, day)).len();
        assert_eq!([5, 6, 7, 8].map(listed), [0, AT_ONCE, 1, 0]);
        assert!(of_day(&deltas, (EnvironmentId(2), 6)).is_empty());
    }
}
