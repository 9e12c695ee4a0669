//! For how long environments keep what, what of it is too old, and its end in small steps. Written once for every backend.

use super::audit::note;
use super::directory::changed;
use super::scan::CLOCKS;
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError, settled};
use crate::model::{
    AppId, By, Choice, Concerning, EnvironmentId, EventAge, Keeping, Keeps, Kept, Millis, Outdated, TimeRange, Trust,
};

/// Every environment of every app that is there, with each kind, in the order of apps.
pub(super) fn all(db: &dyn Sql, of_box: Keeps) -> Result<Vec<Keeping>> {
    read(db, of_box, "WHERE a.deleted_at IS NULL ", &[])
}

fn read(db: &dyn Sql, of_box: Keeps, condition: &str, params: &[Cell]) -> Result<Vec<Keeping>> {
    let sql = [
        "SELECT e.app_id, e.id, k.kind, k.days, k.changed_at, k.gone_before FROM environments e \
         JOIN apps a ON a.id = e.app_id LEFT JOIN keeping k ON k.env_id = e.id ",
        condition,
        "ORDER BY a.slug, e.id",
    ];
    let rows = db.rows(&sql.concat(), params)?;
    Ok(rows.chunk_by(|one, other| one.int(1) == other.int(1)).flat_map(|rows| of_environment(rows, of_box)).collect())
}

/// The rows of one environment, of which there may be none of its own.
fn of_environment(rows: &[Row], of_box: Keeps) -> [Keeping; 3] {
    let row = |kind: Kept| rows.iter().find(|row| row.text(2) == kind.as_str());
    let chosen = |kind: Kept| row(kind).and_then(|row| row.some_int(3)).and_then(|days| u32::try_from(days).ok());
    let wanted =
        Kept::ALL.into_iter().fold(of_box, |keeps, kind| keeps.with(kind, chosen(kind).unwrap_or(of_box.of(kind))));
    let in_force = wanted.in_force();
    Kept::ALL.map(|kind| Keeping {
        app: AppId(rows[0].int(0)),
        environment: EnvironmentId(rows[0].int(1)),
        kind,
        chosen: chosen(kind),
        days: in_force.of(kind),
        changed_at: Millis(row(kind).map_or(0, |row| row.int(4))),
        gone_before: row(kind).map_or(0, |row| row.int(5)),
    })
}

/// What ingest holds events of an app against.
pub(super) fn ages(db: &dyn Sql, app: AppId) -> Result<Vec<EventAge>> {
    let rows = db.rows(
        "SELECT k.env_id, k.days, k.gone_before FROM keeping k JOIN environments e ON e.id = k.env_id \
         WHERE e.app_id = $1 AND k.kind = $2",
        &[app.0.into(), Kept::Events.as_str().into()],
    )?;
    let read = |row: &Row| EventAge {
        environment: EnvironmentId(row.int(0)),
        chosen: row.some_int(1).and_then(|days| u32::try_from(days).ok()),
        gone: Millis(row.int(2) * Millis::DAY),
    };
    Ok(rows.iter().map(read).collect())
}

/// The UTC day before which an environment may have lost what is of a kind; 0 where nothing is lost.
pub(super) fn gone_before(db: &dyn Sql, environment: EnvironmentId, kind: Kept) -> Result<i64> {
    let sql = "SELECT gone_before FROM keeping WHERE env_id = $1 AND kind = $2";
    Ok(db.value(sql, &[environment.0.into(), kind.as_str().into()])?.int())
}

/// The UTC day before which all that live have lost their events: 0 where somebody has all.
pub(super) fn gone_everywhere(db: &dyn Sql) -> Result<i64> {
    let sql = "SELECT min(coalesce(k.gone_before, 0)) FROM environments e JOIN apps a ON a.id = e.app_id \
               LEFT JOIN keeping k ON k.env_id = e.id AND k.kind = $1 WHERE a.deleted_at IS NULL";
    Ok(db.value(sql, &[Kept::Events.as_str().into()])?.int())
}

/// Chooses for how long environments keep a kind, and writes down who did.
pub(super) fn choose(db: &dyn Sql, choice: &Choice, by: &By) -> Result<()> {
    changed(db)?;
    for environment in &choice.environments {
        let sql = "SELECT slug FROM environments WHERE id = $1 AND app_id = $2";
        let slug =
            db.row(sql, &[environment.0.into(), choice.app.0.into()])?.ok_or(StoreError::NotFound("environment"))?;
        let mut told = Vec::new();
        for (kind, days) in &choice.kinds {
            let row = [environment.0.into(), kind.as_str().into(), days.map(i64::from).into(), by.at.0.into()];
            db.run(
                "INSERT INTO keeping (env_id, kind, days, changed_at) VALUES ($1, $2, $3, $4) ON CONFLICT (env_id, kind) \
                 DO UPDATE SET days = excluded.days, changed_at = excluded.changed_at",
                &row,
            )?;
            told.push(match days {
                None => format!("{} as the box is set", kind.as_str()),
                Some(0) => format!("{} for ever", kind.as_str()),
                Some(days) => format!("{} {days} days", kind.as_str()),
            });
        }
        note(db, by, Concerning::App(choice.app), ("keeping.set", &slug.text(0), &told.join("; ")))?;
    }
    Ok(())
}

/// Notes that all of before a UTC day may be gone from now on.
pub(super) fn let_go(db: &dyn Sql, (environment, kind): (EnvironmentId, Kept), before: i64) -> Result<()> {
    db.run(
        "INSERT INTO keeping (env_id, kind, gone_before) VALUES ($1, $2, $3) ON CONFLICT (env_id, kind) \
         DO UPDATE SET gone_before = excluded.gone_before WHERE keeping.gone_before < excluded.gone_before",
        &[environment.0.into(), kind.as_str().into(), before.into()],
    )?;
    Ok(())
}

/// Notes that the events of a UTC day are back, and of all days behind it.
pub(super) fn take_back(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<()> {
    settled::discard(db, environment, day)?;
    let sql = "UPDATE keeping SET gone_before = $1 WHERE env_id = $2 AND kind = $3 AND gone_before > $1";
    db.run(sql, &[day.into(), environment.0.into(), Kept::Events.as_str().into()])?;
    changed(db)
}

/// A condition on the rows of a kind from `$2` to before `$3`, those of an environment `$1`; events have two halves.
fn within(kind: Kept) -> Vec<String> {
    match kind {
        Kept::Events => CLOCKS
            .map(|(clock, at)| format!("FROM events WHERE env_id = $1 AND {at} >= $2 AND {at} < $3 AND {clock}"))
            .to_vec(),
        Kept::Sessions => {
            vec!["FROM sessions WHERE env_id = $1 AND ended_at >= $2 AND ended_at < $3 AND started_at < $3".to_owned()]
        }
        Kept::SetAside => vec![
            "FROM set_aside WHERE app_id = (SELECT app_id FROM environments WHERE id = $1) AND env_id = $1 \
             AND received_at >= $2 AND received_at < $3"
                .to_owned(),
        ],
    }
}

/// How many rows of a kind lie in a range.
pub(super) fn count(db: &dyn Sql, (environment, kind): (EnvironmentId, Kept), range: TimeRange) -> Result<u64> {
    let mut rows = 0;
    for part in within(kind) {
        let sql = ["SELECT count(*) ", &part].concat();
        rows += db.value(&sql, &[environment.0, range.from.0, range.to.0].map(Cell::Int))?.int();
    }
    Ok(rows.max(0).unsigned_abs())
}

/// The time of the oldest row of a kind of which all is over before an instant: of sessions, when the first of them began.
pub(super) fn oldest(
    db: &dyn Sql,
    (environment, kind): (EnvironmentId, Kept),
    before: Millis,
) -> Result<Option<Millis>> {
    let times: Vec<&str> = match kind {
        Kept::Events => CLOCKS.iter().map(|(_, at)| *at).collect(),
        Kept::Sessions => vec!["started_at"],
        Kept::SetAside => vec!["received_at"],
    };
    let mut found: Option<i64> = None;
    for (part, at) in within(kind).iter().zip(times) {
        let sql = format!("SELECT {at} {part} ORDER BY {at} LIMIT 1");
        let value = db.value(&sql, &[environment.0, i64::MIN / 2, before.0].map(Cell::Int))?.some_int();
        found = [found, value].into_iter().flatten().min();
    }
    Ok(found.map(Millis))
}

/// Removes some of what is older than an instant, at most about `limit` rows; how many.
pub(super) fn remove(
    db: &dyn Sql,
    (environment, kind): (EnvironmentId, Kept),
    before: Millis,
    limit: u32,
) -> Result<u64> {
    let (env, before_cell): (Cell, Cell) = (environment.0.into(), before.0.into());
    match kind {
        Kept::Events => {
            settled::forget(db, environment, before.plus(-1))?;
            let mut removed = 0;
            for half in CLOCKS {
                if removed < u64::from(limit) {
                    removed += remove_events(db, half, environment, before, limit)?;
                }
            }
            Ok(removed)
        }
        Kept::Sessions => {
            settled::forget_sessions(db, environment, before)?;
            db.run(
                "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE env_id = $1 AND started_at < $2 \
                 AND ended_at < $2 ORDER BY started_at LIMIT $3)",
                &[env, before_cell, i64::from(limit).into()],
            )
        }
        Kept::SetAside => db.run(
            "DELETE FROM set_aside WHERE id IN (SELECT id FROM set_aside WHERE app_id = \
             (SELECT app_id FROM environments WHERE id = $1) AND env_id = $1 AND received_at < $2 LIMIT $3)",
            &[env, before_cell, i64::from(limit).into()],
        ),
    }
}

/// The oldest events of one half, up to a place in the order of its index: a stretch, which both databases find without
/// looking at anything else.
fn remove_events(
    db: &dyn Sql,
    (clock, at): (&str, &str),
    environment: EnvironmentId,
    before: Millis,
    limit: u32,
) -> Result<u64> {
    let own = format!("env_id = $1 AND {at} < $2 AND {clock}");
    let last = format!("SELECT {at}, event_id FROM events WHERE {own} ORDER BY {at}, event_id LIMIT 1 OFFSET $3");
    let env = Cell::Int(environment.0);
    match db.row(&last, &[env.clone(), before.0.into(), i64::from(limit.saturating_sub(1)).into()])? {
        Some(row) => {
            let sql = format!(
                "DELETE FROM events WHERE env_id = $1 AND {at} <= $2 AND ({at}, event_id) <= ($2, $3) AND {clock}"
            );
            db.run(&sql, &[env, row.int(0).into(), Cell::Uuid(row.array(1).unwrap_or_default())])
        }
        None => db.run(&format!("DELETE FROM events WHERE {own}"), &[env, before.0.into()]),
    }
}

/// Everything of a list that is too old, to be counted by whoever wants to know.
pub(super) fn outdated(db: &dyn Sql, keeping: &Keeping, now: Millis) -> Result<Option<Outdated>> {
    let Some(before) = keeping.end(now) else { return Ok(None) };
    let oldest = oldest(db, (keeping.environment, keeping.kind), Millis(before * Millis::DAY))?;
    Ok(oldest.map(|_| Outdated { keeping: *keeping, before, rows: 0, oldest }))
}

/// How far the clock was believed; none where nothing was ever deleted by age.
pub(super) fn trust(db: &dyn Sql) -> Result<Option<Trust>> {
    let row = db.row("SELECT at, credit FROM trusted_clock", &[])?;
    Ok(row.map(|row| Trust { at: Millis(row.int(0)), credit: row.int(1) }))
}

/// Notes it; never less than what another node has noted.
pub(super) fn set_trust(db: &dyn Sql, trust: Trust) -> Result<()> {
    db.run(
        "INSERT INTO trusted_clock (id, at, credit) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET at = excluded.at, \
         credit = excluded.credit WHERE trusted_clock.at <= excluded.at",
        &[trust.at.0.into(), trust.credit.into()],
    )?;
    Ok(())
}

/// The same because somebody says so, also where the clock was believed too far.
pub(super) fn confirm(db: &dyn Sql, now: Millis, by: &By) -> Result<()> {
    let Trust { at, credit } = Trust::confirmed(now);
    db.run(
        "INSERT INTO trusted_clock (id, at, credit) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET at = excluded.at, credit = excluded.credit",
        &[at.0.into(), credit.into()],
    )?;
    note(db, by, Concerning::Box, ("clock.confirmed", "clock", &now.timestamp().to_string()))
}
