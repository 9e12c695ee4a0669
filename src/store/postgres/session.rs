//! Statements of the parts that are written once, run on a connection.

use std::cell::Cell as Flag;
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::TryStreamExt;
use tokio::runtime::Handle;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::failure::{is_retryable, is_stale_connection, store_error};
use crate::clock::Deadline;
use crate::store::sql::{Cell, Line, Row, Sql};
use crate::store::{Result, StoreError};

/// A parameter with its type, as unnamed statements want it.
pub(super) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// A connection in one caller's hands, for a limited time.
pub(super) struct Session<'c> {
    client: &'c Client,
    runtime: &'c Handle,
    deadline: Deadline,
    /// Set when the connection cannot be used any more.
    pub(super) broken: Flag<bool>,
    /// Set when others cannot be trusted either.
    pub(super) stale: Flag<bool>,
    /// Set when the transaction lost against another one and may succeed when it is run again.
    pub(super) lost: Flag<bool>,
    /// What a statement may take, as the server was last told, while a report is read.
    told: Flag<Option<Duration>>,
}

impl<'c> Session<'c> {
    pub(super) fn new(client: &'c Client, runtime: &'c Handle, deadline: Deadline) -> Self {
        let [broken, stale, lost] = [(); 3].map(|()| Flag::new(false));
        Self { client, runtime, deadline, broken, stale, lost, told: Flag::new(None) }
    }

    /// Reads for a report, in a transaction that sees one state. What takes too long is interrupted by the server
    /// while there is still time to hear of it: a slow report is no silent server.
    pub(super) fn survey<T>(&self, read: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let limit = self.deadline.left().saturating_sub(MARGIN);
        self.batch(&format!(
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}; \
             SET LOCAL jit = off",
            limit.as_millis().max(1)
        ))?;
        self.told.set(Some(limit));
        let found = read(self);
        self.told.set(None);
        let found = found?;
        self.batch("COMMIT")?;
        Ok(found)
    }

    /// Tells the server what is left for a report's next statement, where that has become much less.
    fn tighten(&self) -> Result<()> {
        let Some(told) = self.told.get() else { return Ok(()) };
        let left = self.deadline.left().saturating_sub(MARGIN);
        if left.is_zero() {
            return Err(StoreError::Interrupted);
        }
        if told.saturating_sub(left) < MARGIN / 2 {
            return Ok(());
        }
        self.told.set(None);
        self.batch(&format!("SET LOCAL statement_timeout = {}", left.as_millis().max(1)))?;
        self.told.set(Some(left));
        Ok(())
    }

    /// The connection, to send several statements at once through [`Session::wait`].
    pub(super) fn client(&self) -> &'c Client {
        self.client
    }

    /// Runs statements without parameters, several with semicolons between them.
    pub(super) fn batch(&self, sql: &str) -> Result<()> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Waits for an answer, up to the deadline.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = std::result::Result<T, Error>>) -> Result<T> {
        self.tighten()?;
        let left = self.deadline.left();
        // The runtime's timer has to be at hand where the limit is made.
        match self.runtime.block_on(async { tokio::time::timeout(left, answer).await }) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                self.stale.set(self.stale.get() || is_stale_connection(&error));
                self.broken.set(self.broken.get() || self.stale.get() || self.client.is_closed());
                self.lost.set(is_retryable(&error));
                Err(store_error(&error))
            }
            Err(_) => {
                self.broken.set(true);
                self.stale.set(true);
                Err(StoreError::Unavailable("PostgreSQL did not answer in time".to_owned()))
            }
        }
    }
}

impl Sql for Session<'_> {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        let params: Vec<Param<'_>> = params.iter().map(param).collect();
        let rows = self.wait(self.client.query_typed(sql, &params))?;
        rows.iter().map(row).collect()
    }

    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
        let params: Vec<_> = params.iter().map(|cell| (cell, kind(cell))).collect();
        self.wait(async {
            let mut rows = std::pin::pin!(self.client.query_typed_raw(sql, params).await?);
            while let Some(row) = rows.try_next().await? {
                if visit(&row).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        let params: Vec<Param<'_>> = params.iter().map(param).collect();
        self.wait(self.client.execute_typed(sql, &params))
    }
}

/// A row in the form of the parts that are written once.
pub(super) fn row(row: &tokio_postgres::Row) -> Result<Row> {
    let cells = (0..row.len()).map(|column| row.try_get(column)).collect::<std::result::Result<_, _>>();
    cells.map(Row).map_err(|error| store_error(&error))
}

/// How long a call may take: what a client that waits for its answer can be asked for, at the most.
pub(super) const CALL: Duration = Duration::from_millis(4_000);
/// What is kept of it for the server's word that a report was interrupted.
const MARGIN: Duration = Duration::from_millis(500);

fn param(cell: &Cell) -> Param<'_> {
    (cell, kind(cell))
}

fn kind(cell: &Cell) -> Type {
    match cell {
        Cell::Null => Type::UNKNOWN,
        Cell::Int(_) => Type::INT8,
        Cell::Text(_) => Type::TEXT,
        Cell::Bytes(_) => Type::BYTEA,
        Cell::Uuid(_) => Type::UUID,
    }
}

impl Line for tokio_postgres::Row {
    fn int(&self, column: usize) -> i64 {
        self.try_get(column).map_or(0, |cell: Cell| cell.int())
    }

    fn text(&self, column: usize) -> Option<&str> {
        self.try_get(column).ok().flatten()
    }

    fn bytes(&self, column: usize) -> &[u8] {
        self.try_get(column).ok().flatten().map_or(&[], |Raw(bytes)| bytes)
    }
}

/// The bytes of a column as they travel.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::BYTEA | Type::UUID)
    }
}

impl ToSql for Cell {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
            Self::Uuid(bytes) => Uuid::from_bytes(*bytes).to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::UNKNOWN | Type::INT8 | Type::TEXT | Type::BYTEA | Type::UUID)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *kind {
            Type::BOOL => Self::Int(bool::from_sql(kind, raw)?.into()),
            Type::INT2 => Self::Int(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Self::Int(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Self::Int(i64::from_sql(kind, raw)?),
            Type::BYTEA | Type::UUID => Self::Bytes(raw.to_vec()),
            _ => Self::Text(String::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::BYTEA | Type::UUID)
            || <String as FromSql<'_>>::accepts(kind)
    }
}
