//! The databases that the box can keep its data in, how a test is run over each of them, and the oracle's look into
//! them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::postgres;

/// Makes two tests of each function that takes a [`Backend`]: `sqlite::name` and `postgres::name`.
macro_rules! on_both_backends {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name($crate::harness::Backend::Sqlite) } )+
        }
        mod postgres {
            $(#[test] fn $name() { super::$name($crate::harness::Backend::Postgres) } )+
        }
    };
}

/// Makes a test of each function, for what only PostgreSQL can suffer: `postgres::name`.
macro_rules! on_postgres_alone {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[test] fn $name() { super::$name() } )+
        }
    };
}

pub(crate) use {on_both_backends, on_postgres_alone};

/// What keeps the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// One database, as plain programs see it and never our own code.
pub enum Database {
    /// A file, which need not be there yet.
    Sqlite(PathBuf),
    /// A database on a server.
    Postgres(postgres::Database),
}

impl Database {
    /// A new, empty one; one in a file is kept in `folder`.
    #[track_caller]
    pub fn create(backend: Backend, folder: &Path) -> Self {
        match backend {
            Backend::Sqlite => Self::Sqlite(folder.join("tallybox.db")),
            Backend::Postgres => Self::Postgres(postgres::Database::shared()),
        }
    }

    /// What `sqlite3` or `psql` reads: rows as lines, columns divided by `|`. It cannot write.
    #[track_caller]
    pub fn sql(&self, query: &str) -> String {
        match self {
            Self::Sqlite(path) => sqlite(path, &["-readonly"], query),
            Self::Postgres(database) => database.sql(query),
        }
    }

    /// As [`Database::sql`], where the answer is one number.
    #[track_caller]
    pub fn count(&self, query: &str) -> i64 {
        let text = self.sql(query);
        text.trim().parse().unwrap_or_else(|_| panic!("{query} gave {text:?}"))
    }

    /// Changes it behind the box's back.
    #[track_caller]
    pub fn alter(&self, statements: &str) {
        match self {
            Self::Sqlite(path) => _ = sqlite(path, &[], statements),
            Self::Postgres(database) => {
                database.try_psql(statements).unwrap_or_else(|said| panic!("{statements}: {said}"));
            }
        }
    }

    /// All that migrations have made in it, as the engine tells: not the list of migrations, nor the months of events.
    #[track_caller]
    pub fn schema(&self) -> String {
        match self {
            Self::Sqlite(_) => self.sql(
                "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name <> 'migrations' AND name NOT LIKE 'sqlite_%' \
                 ORDER BY 1, 2",
            ),
            Self::Postgres(database) => database.schema(),
        }
    }

    /// SQL for a column of bytes, written as upper-case hexadecimal digits.
    pub fn hex(&self, column: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("hex({column})"),
            // Bytes are told as `\x` and digits, a UUID with dashes.
            Self::Postgres(_) => format!(r"upper(translate({column}::text, '\x-', ''))"),
        }
    }

    /// Bytes as they stand in a statement.
    pub fn bytes(&self, bytes: &[u8]) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", hex::encode(bytes)),
            Self::Postgres(_) => format!(r"'\x{}'::bytea", hex::encode(bytes)),
        }
    }

    /// A copy of it as it is now; nobody may have it open. One in a file is kept in `folder`.
    #[track_caller]
    pub fn copy(&self, folder: &Path) -> Self {
        match self {
            Self::Sqlite(path) => {
                let copy = folder.join("copy.db");
                std::fs::copy(path, &copy).unwrap();
                Self::Sqlite(copy)
            }
            Self::Postgres(database) => Self::Postgres(database.copy()),
        }
    }

    /// Damage that the engine's own checker finds; empty where there is none.
    #[track_caller]
    pub fn damage(&self) -> String {
        match self {
            Self::Sqlite(path) => {
                let said = sqlite(path, &["-readonly"], "PRAGMA integrity_check; PRAGMA foreign_key_check;");
                if said.trim() == "ok" { String::new() } else { said }
            }
            Self::Postgres(database) => database.damage(),
        }
    }
}

/// Runs the plain `sqlite3` program, which must have nothing to complain of.
#[track_caller]
fn sqlite(path: &Path, options: &[&str], statements: &str) -> String {
    let output = Command::new("sqlite3")
        .args(options)
        .args(["-batch", "-bail", "-noheader", "-cmd", ".timeout 5000"])
        .arg(path)
        .arg(statements)
        .stdin(Stdio::null())
        .output()
        .expect("sqlite3 is installed by tests/run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{statements}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
