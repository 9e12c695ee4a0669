//! Migrations: numbered files in the binary, each run once in a transaction of its own and remembered by its hash.

use sha2::{Digest, Sha256};

use super::sql::Sql;
use super::{Result, StoreError};

/// Begins the first line of a migration that older programs can work with; behind it stands the number of the oldest
/// schema whose programs can.
const LOWEST: &str = "-- lowest: ";

/// One numbered step of the schema. Files are append-only: once released, none is ever edited.
#[derive(Clone, Debug)]
pub struct Migration {
    /// From its file name, counting from 1 without gaps.
    pub number: i64,
    /// File name.
    pub name: String,
    /// Statements.
    pub sql: String,
    /// SHA-256 of the statements, in hex.
    pub sha256: String,
    /// The oldest schema whose programs can work with what it leaves: its own number where none before it can.
    pub lowest: i64,
}

/// A migration that a database remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub number: i64,
    /// Its hash.
    pub sha256: String,
    /// As [`Migration::lowest`]; looked at only of those that this program does not know.
    pub lowest: i64,
}

/// All migrations embedded under `E`, in order.
///
/// # Panics
/// If a file's name or text is no migration's: every build has the same files, so the first test run finds it.
pub fn embedded<E: rust_embed::Embed>() -> Vec<Migration> {
    let mut all: Vec<_> = E::iter()
        .map(|name| {
            let number =
                name.split('-').next().and_then(|n| n.parse().ok()).expect("migrations are named NNNN-what.sql");
            let file = E::get(&name).expect("the embedded list names embedded files");
            let sql = String::from_utf8(file.data.into_owned()).expect("migrations are UTF-8");
            let sha256 = hex::encode(Sha256::digest(sql.as_bytes()));
            let lowest =
                lowest(&sql, number).expect("what a migration says of older programs is a number below its own");
            Migration { number, name: name.into_owned(), sql, sha256, lowest }
        })
        .collect();
    all.sort_by_key(|migration| migration.number);
    all
}

/// What a migration says of programs that do not know it; none where that makes no sense.
fn lowest(sql: &str, number: i64) -> Option<i64> {
    match sql.lines().next().and_then(|line| line.strip_prefix(LOWEST)) {
        None => Some(number),
        Some(text) => text.trim().parse().ok().filter(|lowest| (1..number).contains(lowest)),
    }
}

/// What a database remembers, in order.
pub(super) fn applied(db: &dyn Sql, known: &[Migration]) -> Result<Vec<Applied>> {
    let rows = db.rows("SELECT number, sha256 FROM migrations ORDER BY number", &[])?;
    let read = |row: &super::sql::Row| Applied { number: row.int(0), sha256: row.text(1), lowest: row.int(0) };
    let mut applied: Vec<_> = rows.iter().map(read).collect();
    let newest = newest(known);
    // A database that no newer program has seen need not have the column.
    if applied.last().is_some_and(|last| last.number > newest) {
        let sql = "SELECT number, coalesce(lowest, number) FROM migrations WHERE number > $1";
        for row in db.rows(sql, &[newest.into()])? {
            if let Some(one) = applied.iter_mut().find(|one| one.number == row.int(0)) {
                one.lowest = row.int(1);
            }
        }
    }
    Ok(applied)
}

/// Notes that a migration has run, in its transaction.
pub(super) fn remember(db: &dyn Sql, done: &Migration) -> Result<()> {
    let row = [done.number.into(), done.name.as_str().into(), done.sha256.as_str().into()];
    db.run("INSERT INTO migrations (number, name, sha256) VALUES ($1, $2, $3)", &row)?;
    // Those that say something of older programs are younger than the column.
    if done.lowest < done.number {
        let sql = "UPDATE migrations SET lowest = $1 WHERE number = $2";
        db.run(sql, &[done.lowest.into(), done.number.into()])?;
    }
    Ok(())
}

/// The migrations that a database still needs. Refuses one whose past differs, and one that is newer than this binary and
/// does not say that this one can work with it.
pub fn pending<'a>(known: &'a [Migration], applied: &[Applied]) -> Result<&'a [Migration]> {
    let (newest, lowest) = (newest(known), needed(known, applied));
    if lowest > newest {
        return Err(StoreError::Schema(format!(
            "the database has schema {}, which needs a program that knows schema {lowest}; this binary knows up to \
             {newest}: start the newer binary",
            applied.last().map_or(0, |last| last.number),
        )));
    }
    for (index, was) in applied.iter().enumerate().take(known.len()) {
        let is = &known[index];
        if is.number != was.number {
            return Err(StoreError::Schema(format!("the database lacks migration {}", is.name)));
        }
        if is.sha256 != was.sha256 {
            return Err(StoreError::Schema(format!(
                "migration {} differs from the one that made this database",
                is.name
            )));
        }
    }
    Ok(&known[applied.len().min(known.len())..])
}

/// The newest schema that a program has to know for what is there that this one does not know; zero for nothing.
fn needed(known: &[Migration], applied: &[Applied]) -> i64 {
    applied.iter().skip(known.len()).map(|one| one.lowest).max().unwrap_or(0)
}

/// Refuses a database that has not exactly these migrations: for one that must not be changed, and is read as a whole.
pub fn check_complete(known: &[Migration], applied: &[Applied]) -> Result<()> {
    match pending(known, applied)? {
        [] if applied.len() > known.len() => Err(StoreError::Schema(format!(
            "the database has schema {}, of which this binary knows only {}: use the newer binary",
            applied.last().map_or(0, |last| last.number),
            newest(known)
        ))),
        [] => Ok(()),
        [next, ..] => Err(StoreError::Schema(format!(
            "the database lacks migration {}: start this version's server on it first, or any verb that reads it",
            next.name
        ))),
    }
}

/// The number of the last one.
pub fn newest(known: &[Migration]) -> i64 {
    known.last().map_or(0, |migration| migration.number)
}

/// Refuses a database whose last migration is older than that one. A newer one is none of a running server's business.
pub fn check_not_behind(newest: i64, there: Option<i64>) -> Result<()> {
    match there {
        Some(there) if there >= newest => Ok(()),
        there => {
            let there = there.unwrap_or(0);
            Err(StoreError::Schema(format!("the database has schema {there}, and this server needs {newest}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(number: i64, sha256: &str) -> Migration {
        let name = format!("{number:04}-x.sql");
        Migration { number, name, sql: String::new(), sha256: sha256.to_owned(), lowest: number }
    }

    fn applied(number: i64, sha256: &str) -> Applied {
        Applied { number, sha256: sha256.to_owned(), lowest: number }
    }

    #[test]
    fn a_newer_schema_is_taken_where_all_of_it_says_so() {
        let known = [migration(1, "a"), migration(2, "b")];
        let newer = |lowest: &[i64]| {
            let mut all = vec![applied(1, "a"), applied(2, "b")];
            all.extend(
                lowest.iter().zip(3..).map(|(lowest, number)| Applied { lowest: *lowest, ..applied(number, "x") }),
            );
            all
        };
        for (lowest, taken) in [
            (&[2][..], true),
            (&[1], true),
            (&[3], false),
            (&[2, 2], true),
            (&[2, 3], false),
            (&[3, 1], false),
            (&[4, 2], false),
        ] {
            assert_eq!(pending(&known, &newer(lowest)).is_ok_and(<[_]>::is_empty), taken, "{lowest:?}");
            assert!(check_complete(&known, &newer(lowest)).is_err(), "{lowest:?}");
        }
        let odd = [applied(1, "other"), applied(2, "b"), Applied { lowest: 1, ..applied(3, "x") }];
        assert!(pending(&known, &odd).is_err(), "its past differs");
    }

    #[test]
    fn a_migration_says_of_older_programs_in_its_first_line() {
        for (sql, expected) in [
            ("CREATE TABLE a (b INTEGER)", Some(7)),
            ("-- What it does.\n-- lowest: 3", Some(7)),
            ("-- lowest: 6\nCREATE", Some(6)),
            ("-- lowest: 1", Some(1)),
            ("-- lowest: 7", None),
            ("-- lowest: 0", None),
            ("-- lowest: six", None),
        ] {
            assert_eq!(lowest(sql, 7), expected, "{sql}");
        }
    }

    #[test]
    fn pending_is_what_follows_the_same_past() {
        let known = [migration(1, "a"), migration(2, "b")];
        assert_eq!(pending(&known, &[]).unwrap().len(), 2);
        assert_eq!(pending(&known, &[applied(1, "a")]).unwrap().len(), 1);
        assert_eq!(pending(&known, &[applied(1, "a"), applied(2, "b")]).unwrap().len(), 0);
    }

    #[test]
    fn a_server_works_with_its_own_schema_and_with_newer_ones() {
        for (there, fine) in [(None, false), (Some(2), false), (Some(3), true), (Some(4), true)] {
            assert_eq!(check_not_behind(3, there).is_ok(), fine, "{there:?}");
        }
        assert_eq!((newest(&[]), newest(&[migration(1, "a"), migration(2, "b")])), (0, 2));
    }

    #[test]
    fn newer_or_different_past_is_refused() {
        let known = [migration(1, "a")];
        assert!(pending(&known, &[applied(1, "x")]).is_err());
        assert!(pending(&known, &[applied(1, "a"), applied(2, "b")]).is_err());
    }
}
