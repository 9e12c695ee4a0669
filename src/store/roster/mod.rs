//! Who uses an app: lists of devices and users, one person, and what they did. Pseudonyms are of another type in
//! PostgreSQL's `users` and `sessions` than in the tables of devices, so rows of the two are put together here.

mod devices;
mod session;
mod session_list;
mod sessions;
mod timeline;
mod users;
mod walk;

pub(super) use devices::devices;
pub(super) use session::session;
pub(super) use session_list::{sessions, sessions_told};
pub(super) use timeline::timeline;
pub(super) use users::{person, users};

use super::sql::{Cell, Row};
use crate::model::{Cursor, CursorKey, Profile};
use uuid::Uuid;

/// Columns of a profile `p`, for [`profile`].
const PROFILE: &str = "p.uuid, p.identifier, p.email, p.name";

/// Longest search, in characters; what comes after is not looked at.
const SEARCH: usize = 200;

/// From the columns of [`PROFILE`], from that one on; `None` where there is no profile.
fn profile(row: &Row, at: usize) -> Option<Profile> {
    Some(Profile {
        id: Uuid::from_bytes(row.array(at)?),
        identifier: row.some_text(at + 1),
        email: row.some_text(at + 2),
        name: row.some_text(at + 3),
    })
}

/// A search as it is compared: without a NUL, which no text in a database has, and in lower case.
fn folded(search: &str) -> String {
    search.trim().chars().filter(|c| *c != '\0').take(SEARCH).map(|c| c.to_ascii_lowercase()).collect()
}

/// A pattern for `LIKE … ESCAPE '\'` that matches nothing but this text.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Parameters of a statement, in the order of their numbers.
#[derive(Default)]
struct Params(Vec<Cell>);

impl Params {
    /// Adds one; its number as it stands in the statement.
    fn add(&mut self, value: impl Into<Cell>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// Adds some; their numbers with commas between them.
    fn list(&mut self, values: impl IntoIterator<Item = Cell>) -> String {
        values.into_iter().map(|value| self.add(value)).collect::<Vec<_>>().join(", ")
    }
}

impl From<&CursorKey> for Cell {
    fn from(key: &CursorKey) -> Self {
        match key {
            CursorKey::Number(key) => Self::Int(*key),
            CursorKey::Text(key) => key.as_str().into(),
        }
    }
}

/// Cuts a list that was read one row further than was asked for; where it goes on, if it does.
fn cut<T>(rows: &mut Vec<T>, limit: u32, cursor: impl Fn(&T) -> Cursor) -> Option<Cursor> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    rows.last().filter(|_| more).map(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_match_what_they_say_and_nothing_else() {
        for (search, pattern) in [("  Ana's 100% ", "ana's 100\\%"), ("a_b\\c", "a\\_b\\\\c"), ("Ä\0B", "Äb"), ("", "")]
        {
            assert_eq!(literal(&folded(search)), pattern, "{search:?}");
        }
        assert_eq!(folded(&"x".repeat(1_000)).len(), SEARCH);
    }
}
