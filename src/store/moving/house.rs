//! What a database lends to a move: one connection of its own, transactions, rows in a stream, rows written in bulk.

use super::tables::Table;
use crate::store::Result;
use crate::store::sql::{Cell, Row, Sql};

/// Rows that are in memory at once.
pub(in crate::store) const CHUNK: usize = 5_000;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Purpose {
    /// All its statements see one state, however long it takes; nothing is written.
    Read,
    /// It writes, and may be lost in a crash of the machine until [`House::settle`] has returned.
    Write,
}

/// A database that is moved from or to.
pub(in crate::store) trait House: Sql + Send {
    /// For people: what it is, without credentials.
    fn engine(&self) -> String;

    /// The same for two ways to the same database.
    fn identity(&self) -> Result<String>;

    /// Begins a transaction; one that reads sees the state of now.
    fn begin(&self, purpose: Purpose) -> Result<()>;

    /// Ends it: what was written is kept.
    fn commit(&self) -> Result<()>;

    /// Ends it: what was written is not kept. For the way out of an error, so it has none of its own.
    fn rollback(&self);

    /// Hands on the rows of a statement in chunks of [`CHUNK`], never more in memory.
    fn scan(&self, statement: &(String, Vec<Cell>), take: &mut dyn FnMut(Vec<Row>) -> Result<()>) -> Result<()>;

    /// Adds rows with all columns of [`Table::columns`].
    fn insert(&self, table: &Table, rows: Vec<Row>) -> Result<()>;

    /// Makes place for events of the months that begin at these milliseconds.
    fn prepare_months(&self, months: &[i64]) -> Result<()>;

    /// Takes all rows out of all tables, in a transaction of its own.
    fn empty(&self) -> Result<()>;

    /// Lets new rows have numbers behind those that were copied, and what was written be safe on the disk.
    fn settle(&self) -> Result<()>;
}
