//! What an app collects, as far as it is stored: names and kinds, never values.

use std::ops::ControlFlow;

use hashbrown::HashMap;

use super::super::scan::{Value, members};
use super::super::sql::{Cell, Sql};
use super::super::{Result, StoreError, audit, directory};
use crate::model::{
    AppId, Audience, By, Collected, CollectedEvent, Concerning, Dimension, EnvironmentId, Fact, Millis, PropKinds,
};

/// Days that are looked back on.
const DAYS: i64 = 30;
/// Names of events, and of properties of each, that are told of at the most.
const EVENTS: usize = 200;
const PROPS: usize = 100;
/// Newest events of each environment whose properties are looked at.
const LOOK: i64 = 20_000;
/// Longest name of a property that is told of, in bytes.
const LONGEST: usize = 200;

/// What the environments of an app have collected.
pub(in crate::store) fn collected(
    db: &dyn Sql,
    app: AppId,
    environments: &[EnvironmentId],
    now: Millis,
) -> Result<Collected> {
    let mut found = Collected { facts: facts(db, app)?, ..Collected::default() };
    let mut names: HashMap<i64, (String, u64)> = HashMap::new();
    let mut props: HashMap<i64, HashMap<String, PropKinds>> = HashMap::new();
    for environment in environments {
        for (name, text, events) in counts(db, *environment, now)? {
            names.entry(name).or_insert((text, 0)).1 += events;
        }
        kinds(db, *environment, now, &mut props)?;
        let any = |table: &str, more: &str| -> Result<bool> {
            let sql = format!("SELECT 1 FROM {table} WHERE env_id = $1 {more} LIMIT 1");
            Ok(db.row(&sql, &[environment.0.into()])?.is_some())
        };
        found.users |= any("users", "")?;
        found.devices |= any("devices", "")?;
        found.push_tokens |= any("push_tokens", "")?;
        found.errors |= any("error_groups", "")?;
        for (seen, column) in found.profiles.iter_mut().zip(["identifier", "email", "name"]) {
            *seen |= any("profiles", &format!("AND {column} IS NOT NULL"))?;
        }
    }
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_unstable_by(|(_, a), (_, b)| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    found.more_events = names.len().saturating_sub(EVENTS);
    names.truncate(EVENTS);
    found.events = names
        .into_iter()
        .map(|(row, (name, events))| {
            let mut props: Vec<_> = props.remove(&row).unwrap_or_default().into_iter().collect();
            props.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            let more_props = props.len().saturating_sub(PROPS);
            props.truncate(PROPS);
            CollectedEvent { name, events, props, more_props }
        })
        .collect();
    Ok(found)
}

/// Facts that any event or session of the app has told.
fn facts(db: &dyn Sql, app: AppId) -> Result<Vec<Fact>> {
    let columns = Fact::ALL.map(|fact| format!("count({})", fact.name())).join(", ");
    let row = db.row(&format!("SELECT {columns} FROM facts WHERE app_id = $1"), &[app.0.into()])?;
    let seen = |at: usize| row.as_ref().is_some_and(|row| row.int(at) > 0);
    Ok(Fact::ALL.into_iter().enumerate().filter(|(at, _)| seen(*at)).map(|(_, fact)| fact).collect())
}

/// Names of events with how many there were.
fn counts(db: &dyn Sql, environment: EnvironmentId, now: Millis) -> Result<Vec<(i64, String, u64)>> {
    let code = Dimension::Event.code().unwrap_or_default();
    let sql = "SELECT r.value, s.text, r.events FROM (SELECT value, CAST(sum(events) AS BIGINT) AS events FROM rollup_days \
               WHERE env_id = $1 AND dimension = $2 AND bucket >= $3 AND value > 0 GROUP BY value) r \
               JOIN strings s ON s.id = r.value WHERE r.events > 0";
    let from = (now.0.div_euclid(Millis::DAY) - DAYS) * (Millis::DAY / (15 * Millis::MINUTE));
    let rows = db.rows(sql, &[environment.0, code, from].map(Cell::Int))?;
    Ok(rows.iter().map(|row| (row.int(0), row.text(1), u64::try_from(row.int(2)).unwrap_or(0))).collect())
}

/// Kinds of properties, by the event's name and theirs.
fn kinds(
    db: &dyn Sql,
    environment: EnvironmentId,
    now: Millis,
    all: &mut HashMap<i64, HashMap<String, PropKinds>>,
) -> Result<()> {
    let sql = "SELECT name_id, props FROM events WHERE env_id = $1 AND claimed_at >= $2 \
               ORDER BY claimed_at DESC LIMIT $3";
    let params = [environment.0, now.plus(-DAYS * Millis::DAY).0, LOOK].map(Cell::Int);
    db.stream(sql, &params, &mut |line| {
        let of_event = all.entry(line.int(0)).or_default();
        members(line.text(1).unwrap_or_default(), |name, value| {
            let is_new = !of_event.contains_key(name);
            if name.len() <= LONGEST && !(is_new && of_event.len() >= 2 * PROPS) {
                note(of_event.entry(name.to_owned()).or_default(), value.as_ref());
            }
            ControlFlow::Continue(())
        });
        ControlFlow::Continue(())
    })
}

fn note(kinds: &mut PropKinds, value: Option<&Value<'_>>) {
    match value {
        Some(Value::Text(_)) => kinds.text = true,
        Some(Value::Number(_)) => kinds.number = true,
        Some(Value::Truth(_)) => kinds.truth = true,
        Some(Value::Nested) => kinds.nested = true,
        None => kinds.nothing = true,
    }
}

/// Whether everybody may read what the app collects.
pub(in crate::store) fn is_public(db: &dyn Sql, app: AppId) -> Result<bool> {
    let sql = "SELECT collects_public FROM apps WHERE id = $1 AND deleted_at IS NULL";
    Ok(db.value(sql, &[app.0.into()])?.int() != 0)
}

/// Lets everybody read what the app collects, or members alone.
pub(in crate::store) fn set_public(db: &dyn Sql, app: AppId, audience: Audience, by: &By) -> Result<()> {
    let public = audience == Audience::Everybody;
    directory::changed(db)?;
    let sql = "UPDATE apps SET collects_public = $1 WHERE id = $2 AND deleted_at IS NULL AND collects_public <> $1";
    if db.run(sql, &[public.into(), app.0.into()])? == 0 {
        return Ok(());
    }
    let row = db.row("SELECT name FROM apps WHERE id = $1", &[app.0.into()])?.ok_or(StoreError::NotFound("app"))?;
    let detail = if public { "can be read by everybody" } else { "can be read by members alone" };
    audit::note(db, by, Concerning::App(app), ("app.collects", &row.text(0), detail))
}
