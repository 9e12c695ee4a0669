//! Migrations: numbered files in the binary, each run once in a transaction of its own and remembered by its hash.

use sha2::{Digest, Sha256};

use super::{Result, StoreError};

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
}

/// A migration that a database remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub number: i64,
    /// Its hash.
    pub sha256: String,
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
            Migration { number, name: name.into_owned(), sql, sha256 }
        })
        .collect();
    all.sort_by_key(|migration| migration.number);
    all
}

/// The migrations that a database still needs. Refuses one that is newer than this binary, or whose past differs.
pub fn pending<'a>(known: &'a [Migration], applied: &[Applied]) -> Result<&'a [Migration]> {
    for (index, was) in applied.iter().enumerate() {
        let Some(is) = known.get(index).filter(|is| is.number == was.number) else {
            return Err(StoreError::Schema(format!(
                "the database has schema {}, this binary knows up to {}: start the newer binary",
                was.number,
                known.last().map_or(0, |m| m.number)
            )));
        };
        if is.sha256 != was.sha256 {
            return Err(StoreError::Schema(format!(
                "migration {} differs from the one that made this database",
                is.name
            )));
        }
    }
    Ok(&known[applied.len()..])
}

/// Refuses a database that misses a migration, or that [`pending`] refuses: for one that must not be changed.
pub fn check_complete(known: &[Migration], applied: &[Applied]) -> Result<()> {
    match pending(known, applied)? {
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
        Migration { number, name: format!("{number:04}-x.sql"), sql: String::new(), sha256: sha256.to_owned() }
    }

    fn applied(number: i64, sha256: &str) -> Applied {
        Applied { number, sha256: sha256.to_owned() }
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
