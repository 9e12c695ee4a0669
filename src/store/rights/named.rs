//! Texts that name a person: where they stand in what is set aside and in samples of errors.

use super::super::Result;
use super::super::intern::ERROR;
use super::super::sql::Sql;
use super::errors::{forget_message, forget_name};
use super::job::Change;

/// From this length on a name is found wherever it stands by itself; shorter ones only as a whole JSON text.
const LONG: usize = 6;

/// Whether a text names somebody: a name of six characters or more that has no letter, digit, `_` or `-` beside it, or a
/// shorter one in quotes. The case of A to Z makes no difference.
pub(super) fn names_any(text: &str, names: &[String]) -> bool {
    let text = text.to_ascii_lowercase();
    names.iter().any(|name| {
        let quoted = serde_json::Value::from(name.to_ascii_lowercase().as_str()).to_string();
        let inner = &quoted[1..quoted.len() - 1];
        match name.chars().count() {
            0 => false,
            1..LONG => text.contains(&quoted),
            _ => stands(&text, inner),
        }
    })
}

fn stands(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Rows of what an environment has set aside that name somebody. There are few of them at any time.
pub(super) fn set_aside(db: &dyn Sql, (app, environment): (i64, i64), names: &[String]) -> Result<Vec<i64>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let hashes = hashes(names);
    let sql = "SELECT id, detail, body, again FROM set_aside WHERE app_id = $1 AND env_id = $2";
    let mut rows = Vec::new();
    db.stream(sql, &[app.into(), environment.into()], &mut |line| {
        let told = |column| line.text(column).is_some_and(|text| names_any(text, names));
        let is_theirs = || line.text(3).is_some_and(|again| hashes.iter().any(|hash| again.contains(hash)));
        if told(1) || told(2) || told(3) || is_theirs() {
            rows.push(line.int(0));
        }
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// Those of the names that are hashes of users, as they stand in what is kept to try an event again.
fn hashes(names: &[String]) -> Vec<String> {
    let bytes = names.iter().filter_map(|name| hex::decode(name).ok()).filter(|bytes| bytes.len() == 16);
    bytes.map(|bytes| serde_json::Value::from(bytes).to_string()).collect()
}

/// What takes names out of the samples and names of an environment's groups of errors.
pub(super) fn errors(db: &dyn Sql, (app, environment): (i64, i64), names: &[String]) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    if names.is_empty() {
        return Ok(changes);
    }
    let sql = "SELECT g.error_id, g.message, s.text FROM error_groups g JOIN strings s ON s.id = g.error_id \
               WHERE g.env_id = $1 AND s.kind = $2";
    for row in db.rows(sql, &[environment.into(), ERROR.into()])? {
        if names_any(&row.text(1), names) {
            changes.push(forget_message(environment, row.int(0)));
        }
        if names_any(&row.text(2), names) {
            changes.push(forget_name(app, row.int(0)));
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_where_it_stands_by_itself() {
        for (text, name, named) in [
            (r#"{"owner":"ana@example.com"}"#, "ana@example.com", true),
            (r#"{"text":"mail to Ana@Example.com."}"#, "ana@example.com", true),
            (r#"{"owner":"joana@example.com"}"#, "ana@example.com", false),
            (r#"{"owner":"user-12345"}"#, "user-1234", false),
            (r#"{"n":[user-1234]}"#, "user-1234", true),
            (r#"{"owner":"7"}"#, "7", true),
            (r#"{"owner":"17"}"#, "7", false),
            (r#"{"owner":7}"#, "7", false),
            (r#"{"owner":"Zoë \"Z\" Müller"}"#, "Zoë \"Z\" Müller", true),
            (r#"{"owner":""}"#, "", false),
        ] {
            assert_eq!(names_any(text, &[name.to_owned()]), named, "{name} in {text}");
        }
    }
}
