//! The texts of errors that a person's events have left: samples of messages, and names of groups.

use super::super::Result;
use super::super::intern::ERROR;
use super::super::sql::Sql;
use super::job::Change;

/// How many of an environment's newest errors are looked through for others of a group.
const LOOK: i64 = 20_000;
/// How many of those are compared.
const COMPARED: i64 = 50;

/// What a group of errors forgets when events go that have these properties. Its sample goes where they have its text and
/// no other of its events does; its name where it has no others. `owner` is a column and a value that all events that go
/// have. The counts of the group stay.
pub(super) fn forget(
    db: &dyn Sql,
    (app, environment, group): (i64, i64, i64),
    props: &[&str],
    (column, value): (&str, i64),
) -> Result<Vec<Change>> {
    let sql = "SELECT message FROM error_groups WHERE env_id = $1 AND error_id = $2";
    let Some(row) = db.row(sql, &[environment.into(), group.into()])? else { return Ok(Vec::new()) };
    let others = db.rows(
        &format!(
            "SELECT props FROM (SELECT error_id, {column} AS owner, claimed_at, props FROM events \
             WHERE env_id = $1 AND error_id IS NOT NULL ORDER BY claimed_at DESC LIMIT {LOOK}) AS newest \
             WHERE error_id = $2 AND (owner IS NULL OR owner <> $3) LIMIT {COMPARED}"
        ),
        &[environment.into(), group.into(), value.into()],
    )?;
    let message = inside(&row.text(0));
    let told = |props: &str| !message.is_empty() && props.contains(&message);
    let others_tell = others.iter().any(|row| told(&row.text(0)));
    let mut changes = Vec::new();
    if others.is_empty() || (props.iter().any(|props| told(props)) && !others_tell) {
        changes.push(forget_message(environment, group));
    }
    if others.is_empty() {
        changes.push(forget_name(app, group));
    }
    Ok(changes)
}

/// Leaves a group without a sample.
pub(super) fn forget_message(environment: i64, group: i64) -> Change {
    let sql = "UPDATE error_groups SET message = '' WHERE env_id = $1 AND error_id = $2";
    Change::silent(sql, vec![environment.into(), group.into()])
}

/// Leaves a group without its name. One of another environment that has the same text loses it, too.
pub(super) fn forget_name(app: i64, group: i64) -> Change {
    let sql =
        format!("UPDATE strings SET text = '(erased ' || id || ')' WHERE app_id = $1 AND id = $2 AND kind = '{ERROR}'");
    Change::silent(sql, vec![app.into(), group.into()])
}

/// A message as it stands inside of JSON text, as far as it was not cut.
fn inside(message: &str) -> String {
    let plain = message.trim_end_matches('…').trim();
    let quoted = serde_json::Value::from(plain).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
