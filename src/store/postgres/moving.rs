//! A PostgreSQL database that is moved from, beside its servers, or moved to.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio::runtime::Runtime;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, RowStream};
use uuid::Uuid;

use super::link::LOCKS;
use super::options::PostgresOptions;
use super::partitions;
use super::pool::{Connection, Pool};
use super::schema;
use super::session::{Param, Session, row};
use crate::clock::{Clock, Deadline};
use crate::store::moving::{self, CHUNK, House, Kind, Purpose, Table};
use crate::store::sql::{Cell, Line, Row, Sql};
use crate::store::{Result, StoreError};

/// How long one statement, or one chunk of its answer, may take: a large unit is deleted in one.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Ends no statement and no transaction for its length; a transaction waits while the other side works.
pub(super) const UNLIMITED: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Rows are always wanted in the order of a key, and in a stream. Tables that were just filled have no statistics yet,
/// so that the planner might sort a month to find a day.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off";

/// Keeps other moves out for as long as its transaction goes on. A transaction, since a lock of the session would stay
/// behind with PgBouncer; on a connection of its own, since those of the move come to their end.
const ALONE: &str = "SELECT pg_try_advisory_xact_lock($1::int4, -1)";

pub(in crate::store) struct PostgresHouse {
    // Before the runtime, which they need to say goodbye.
    connection: Connection,
    /// In a transaction that holds the lock of [`ALONE`], where this is a destination.
    _alone: Option<Connection>,
    runtime: Runtime,
}

impl PostgresHouse {
    /// A database with an up-to-date schema, which is only read.
    pub(in crate::store) fn source(options: &PostgresOptions) -> Result<Self> {
        let (runtime, pool) = reach(options)?;
        let house = Self { connection: runtime.block_on(pool.get())?, _alone: None, runtime };
        schema::check(&house.session())?;
        Ok(house)
    }

    /// A database of whatever schema, which is only looked at.
    pub(in crate::store) fn any(options: &PostgresOptions) -> Result<Self> {
        let (runtime, pool) = reach(options)?;
        Ok(Self { connection: runtime.block_on(pool.get())?, _alone: None, runtime })
    }

    /// A database that is brought up to date. No other move can write to it until this is dropped.
    pub(in crate::store) fn destination(options: &PostgresOptions) -> Result<Self> {
        let (runtime, pool) = reach(options)?;
        let alone = Some(keep_others_out(&runtime, &pool)?);
        let house = Self { connection: runtime.block_on(pool.get())?, _alone: alone, runtime };
        schema::migrate(&house.session())?;
        _ = partitions::ensure(&house.session(), Clock::system().now())?;
        Ok(house)
    }

    fn session(&self) -> Session<'_> {
        Session::new(&self.connection, self.runtime.handle(), Deadline::after(PATIENCE))
    }

    fn wait<T>(&self, answer: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
        self.session().wait(answer)
    }
}

/// What connections are made with; nothing is connected to yet.
pub(super) fn reach(options: &PostgresOptions) -> Result<(Runtime, Pool)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok((runtime, Pool::primary(options).map_err(StoreError::Schema)?))
}

/// A connection in a transaction that holds the lock of [`ALONE`], unless another move does.
fn keep_others_out(runtime: &Runtime, pool: &Pool) -> Result<Connection> {
    let connection = runtime.block_on(pool.get())?;
    let session = Session::new(&connection, runtime.handle(), Deadline::after(PATIENCE));
    session.batch(&["BEGIN", UNLIMITED].join("; "))?;
    match session.value(ALONE, &[LOCKS.into()])?.int() {
        0 => Err(StoreError::Unavailable("another move writes to it: let that come to its end".to_owned())),
        _ => Ok(connection),
    }
}

impl Sql for PostgresHouse {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        self.session().rows(sql, params)
    }

    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
        self.session().stream(sql, params, visit)
    }

    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        self.session().run(sql, params)
    }
}

impl House for PostgresHouse {
    fn engine(&self) -> String {
        let told = "SELECT 'PostgreSQL ' || current_setting('server_version') || ', database ' || current_database()";
        match self.value(told, &[]) {
            Ok(Cell::Text(text)) => text,
            Ok(_) | Err(_) => "PostgreSQL".to_owned(),
        }
    }

    fn identity(&self) -> Result<String> {
        let told = "SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || oid::text \
                    FROM pg_database WHERE datname = current_database()";
        match self.value(told, &[])? {
            Cell::Text(text) => Ok(text),
            _ => Err(StoreError::Unavailable("no answer".to_owned())),
        }
    }

    fn begin(&self, purpose: Purpose) -> Result<()> {
        let begin = match purpose {
            Purpose::Read => "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
            // The last commit, in `settle`, is waited for, and all before it with it.
            Purpose::Write => "BEGIN; SET LOCAL synchronous_commit = off",
        };
        // The first statement that reads fixes what all of them see.
        let fixed = "SELECT number FROM migrations LIMIT 1";
        self.session().batch(&[begin, UNLIMITED, BY_INDEX, fixed].join("; "))
    }

    fn commit(&self) -> Result<()> {
        self.session().batch("COMMIT")
    }

    fn rollback(&self) {
        // Where the connection is gone, the server has done it.
        _ = self.session().batch("ROLLBACK");
    }

    fn scan(&self, (sql, params): &(String, Vec<Cell>), take: &mut dyn FnMut(Vec<Row>) -> Result<()>) -> Result<()> {
        let params = params.iter().map(|cell| (cell, if *cell == Cell::Null { Type::UNKNOWN } else { Type::INT8 }));
        let stream: RowStream = self.wait(self.connection.query_typed_raw(sql, params.collect::<Vec<_>>()))?;
        let mut stream = pin!(stream);
        loop {
            let chunk = self.wait(async {
                let mut chunk = Vec::new();
                while chunk.len() < CHUNK {
                    match stream.try_next().await? {
                        Some(found) => chunk.push(found),
                        None => break,
                    }
                }
                Ok(chunk)
            })?;
            let last = chunk.len() < CHUNK;
            if !chunk.is_empty() {
                take(chunk.iter().map(row).collect::<Result<_>>()?)?;
            }
            // A stream that has ended must not be asked again.
            if last {
                return Ok(());
            }
        }
    }

    fn insert(&self, table: &Table, rows: Vec<Row>) -> Result<()> {
        let columns = columns(table, rows)?;
        let casts = columns.iter().zip(1..).map(|((_, kind), n)| format!("${n}::{}", cast(kind)));
        let casts = casts.collect::<Vec<_>>().join(", ");
        let sql = format!("INSERT INTO {} ({}) SELECT * FROM unnest({casts})", table.name, table.list());
        let params: Vec<Param<'_>> =
            columns.iter().map(|(values, kind)| (&**values as &(dyn ToSql + Sync), kind.clone())).collect();
        self.wait(self.connection.execute_typed(&sql, &params)).map(|_| ())
    }

    fn prepare_months(&self, months: &[i64]) -> Result<()> {
        partitions::ensure_months(&self.session(), months)
    }

    fn empty(&self) -> Result<()> {
        let names: Vec<_> = moving::all().map(|table| table.name).collect();
        self.session().batch(&format!("BEGIN; {UNLIMITED}; TRUNCATE {}; COMMIT", names.join(", ")))
    }

    fn settle(&self) -> Result<()> {
        let counted = [
            "organizations",
            "apps",
            "environments",
            "ingest_keys",
            "api_tokens",
            "tiers",
            "bans",
            "members",
            "strings",
            "facts",
            "set_aside",
            "versions",
            "builds",
            "profiles",
            "links",
            "devices",
            "device_sessions",
            "push_tokens",
            "funnels",
            "invitations",
            "audit",
        ];
        let mut steps = vec![format!("BEGIN; {UNLIMITED}; SET LOCAL synchronous_commit = on")];
        for table in counted {
            steps.push(format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false) FROM {table}"
            ));
        }
        for table in ["users", "sessions"] {
            steps.push(format!("SELECT setval('{table}_id', coalesce(max(id), 0) + 1, false) FROM {table}"));
        }
        for table in moving::all() {
            steps.push(format!("ANALYZE {}", table.name));
        }
        steps.push("COMMIT".to_owned());
        self.session().batch(&steps.join("; "))
    }
}

type Values = Box<dyn ToSql + Sync + Send>;

/// Each column of the rows as an array.
fn columns(table: &Table, mut rows: Vec<Row>) -> Result<Vec<(Values, Type)>> {
    let wrong = |name: &str| StoreError::Unexpected(format!("{}.{name} holds what it should not", table.name));
    let column = |(at, (name, kind)): (usize, &(&str, Kind))| {
        let cells = rows.iter_mut().map(|row| std::mem::replace(&mut row.0[at], Cell::Null));
        let values = match kind {
            Kind::Int => {
                (boxed(cells, |cell| if let Cell::Int(value) = cell { Some(value) } else { None }), Type::INT8_ARRAY)
            }
            Kind::Text => {
                (boxed(cells, |cell| if let Cell::Text(text) = cell { Some(text) } else { None }), Type::TEXT_ARRAY)
            }
            Kind::Bytes => {
                (boxed(cells, |cell| if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None }), Type::BYTEA_ARRAY)
            }
            Kind::Uuid => (boxed(cells, uuid), Type::UUID_ARRAY),
        };
        match values {
            (Some(values), kind) => Ok((values, kind)),
            (None, _) => Err(wrong(name)),
        }
    };
    table.columns.iter().enumerate().map(column).collect()
}

/// The cells as an array; none where one is neither null nor of the kind.
fn boxed<T>(cells: impl Iterator<Item = Cell>, of: impl Fn(Cell) -> Option<T>) -> Option<Values>
where
    Option<T>: ToSql + Sync + Send,
    T: 'static + ToSql + Sync + Send,
{
    let value = |cell| if cell == Cell::Null { Some(None) } else { of(cell).map(Some) };
    let values: Option<Vec<Option<T>>> = cells.map(value).collect();
    values.map(|values| Box::new(values) as Values)
}

fn uuid(cell: Cell) -> Option<Uuid> {
    match cell {
        Cell::Bytes(bytes) => Uuid::from_slice(&bytes).ok(),
        Cell::Uuid(bytes) => Some(Uuid::from_bytes(bytes)),
        Cell::Null | Cell::Int(_) | Cell::Text(_) => None,
    }
}

fn cast(kind: &Type) -> &'static str {
    match *kind {
        Type::INT8_ARRAY => "int8[]",
        Type::TEXT_ARRAY => "text[]",
        Type::BYTEA_ARRAY => "bytea[]",
        _ => "uuid[]",
    }
}
