//! One state of a whole database, held for as long as PostgreSQL's own program copies it, and what it holds.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::moving::{UNLIMITED, reach};
use super::options::PostgresOptions;
use super::pool::Connection;
use super::schema;
use super::session::Session;
use crate::clock::Deadline;
use crate::store::contents::Contents;
use crate::store::sql::{Cell, Sql};
use crate::store::{Result, StoreError};

/// How long one question may take: a large table is counted as a whole.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Relations that neither a server nor an extension brings along.
const ANY: &str = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' \
                   AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')";

/// Tables with rows of their own: a partition is one, what it is a part of is none.
const TABLES: &str = "SELECT c.relname::text FROM pg_class c \
                      WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' ORDER BY 1";

/// A database in one state, for as long as this lives.
pub struct Snapshot {
    // Before the runtime, which it needs to say goodbye.
    connection: Connection,
    runtime: Runtime,
    name: String,
}

impl Snapshot {
    /// Takes one of a database whose schema is up to date.
    pub fn take(options: &PostgresOptions) -> Result<Self> {
        let (runtime, pool) = reach(options)?;
        let mut taken = Self { connection: runtime.block_on(pool.get())?, runtime, name: String::new() };
        schema::check(&taken.session())?;
        let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
        taken.session().batch(&[begin, UNLIMITED].join("; "))?;
        let Cell::Text(name) = taken.session().value("SELECT pg_export_snapshot()::text", &[])? else {
            return Err(StoreError::Unexpected("no name of a snapshot".to_owned()));
        };
        taken.name = name;
        Ok(taken)
    }

    /// By which other sessions see the same state.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts what it holds.
    pub fn contents(&self) -> Result<Contents> {
        contents(&self.session())
    }

    fn session(&self) -> Session<'_> {
        Session::new(&self.connection, self.runtime.handle(), Deadline::after(PATIENCE))
    }
}

/// Counts what a database holds, table by table.
pub fn inspect(options: &PostgresOptions) -> Result<Contents> {
    let (runtime, pool) = reach(options)?;
    let connection = runtime.block_on(pool.get())?;
    let session = Session::new(&connection, runtime.handle(), Deadline::after(PATIENCE));
    session.batch(&["BEGIN TRANSACTION READ ONLY", UNLIMITED].join("; "))?;
    contents(&session)
}

/// Whether there is nothing in a database but what its server brings along.
pub fn is_empty(options: &PostgresOptions) -> Result<bool> {
    let (runtime, pool) = reach(options)?;
    let connection = runtime.block_on(pool.get())?;
    let session = Session::new(&connection, runtime.handle(), Deadline::after(PATIENCE));
    Ok(session.value(ANY, &[])?.int() == 0)
}

fn contents(session: &Session<'_>) -> Result<Contents> {
    let schema = session.value("SELECT max(number)::bigint FROM migrations", &[])?.int();
    let mut tables = BTreeMap::new();
    for name in session.rows(TABLES, &[])? {
        let name = name.text(0);
        let quoted = name.replace('"', "\"\"");
        let rows = session.value(&format!("SELECT count(*) FROM \"{quoted}\""), &[])?.int();
        tables.insert(name, rows);
    }
    Ok(Contents { schema, tables })
}
