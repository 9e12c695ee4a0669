//! Statements over columns of values, sent together so that a commit takes two round trips.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, ready};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

use super::session::Param;

/// One statement; each parameter is a column for `unnest`, or a single value.
pub(super) struct Columns {
    sql: &'static str,
    columns: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
    /// Whether a column has no values: then it is not sent.
    idle: bool,
}

impl Columns {
    pub(super) fn new(sql: &'static str) -> Self {
        Self { sql, columns: Vec::new(), idle: false }
    }

    /// A column of integers.
    pub(super) fn ints(self, values: impl IntoIterator<Item = i64>) -> Self {
        self.values(values.into_iter().collect(), Type::INT8_ARRAY)
    }

    /// A column of integers, some of them null.
    pub(super) fn some_ints(self, values: impl IntoIterator<Item = Option<i64>>) -> Self {
        self.values(values.into_iter().collect(), Type::INT8_ARRAY)
    }

    /// A column of sixteen bytes each.
    pub(super) fn uuids(self, values: impl IntoIterator<Item = [u8; 16]>) -> Self {
        self.values(values.into_iter().map(Uuid::from_bytes).collect(), Type::UUID_ARRAY)
    }

    /// The same, some of them null.
    pub(super) fn some_uuids(self, values: impl IntoIterator<Item = Option<[u8; 16]>>) -> Self {
        self.values(values.into_iter().map(|value| value.map(Uuid::from_bytes)).collect(), Type::UUID_ARRAY)
    }

    /// A column of texts, some of them null.
    pub(super) fn texts<T>(self, values: impl IntoIterator<Item = Option<T>>) -> Self
    where
        T: ToSql + Sync + Send + 'static,
    {
        self.values(values.into_iter().collect(), Type::TEXT_ARRAY)
    }

    /// Integers beside the columns, of which there may be none.
    pub(super) fn any_ints(self, values: impl IntoIterator<Item = i64>) -> Self {
        self.column(values.into_iter().collect::<Vec<_>>(), Type::INT8_ARRAY)
    }

    /// The same of sixteen bytes each.
    pub(super) fn any_uuids(self, values: impl IntoIterator<Item = [u8; 16]>) -> Self {
        self.column(values.into_iter().map(Uuid::from_bytes).collect::<Vec<_>>(), Type::UUID_ARRAY)
    }

    /// One integer.
    pub(super) fn int(self, value: i64) -> Self {
        self.column(value, Type::INT8)
    }

    fn values<T: ToSql + Sync + Send + 'static>(mut self, values: Vec<T>, kind: Type) -> Self {
        self.idle |= values.is_empty();
        self.column(values, kind)
    }

    fn column(mut self, column: impl ToSql + Sync + Send + 'static, kind: Type) -> Self {
        self.columns.push((Box::new(column), kind));
        self
    }

    fn params(&self) -> Vec<Param<'_>> {
        self.columns.iter().map(|(column, kind)| (&**column as &(dyn ToSql + Sync), kind.clone())).collect()
    }
}

/// Sends `before`, the statements and `after` at once and waits for all answers: the rows of each statement, or the first
/// error. `before` and `after` have no parameters and may be empty. Where one fails in a transaction, all after it do, and
/// a COMMIT rolls back.
pub(super) async fn ask(
    client: &Client,
    before: &str,
    statements: &[Columns],
    after: &str,
) -> Result<Vec<Vec<Row>>, Error> {
    let params: Vec<_> = statements.iter().map(Columns::params).collect();
    let mut answers = vec![batch(client, before)];
    for (statement, params) in statements.iter().zip(&params) {
        answers.push(match statement.idle {
            true => ready(Ok(Vec::new())).boxed(),
            false => client.query_typed(statement.sql, params).boxed(),
        });
    }
    answers.push(batch(client, after));
    let answers: Result<Vec<_>, _> = join_all(answers).await.into_iter().collect();
    let mut answers = answers?;
    answers.pop();
    answers.remove(0);
    Ok(answers)
}

fn batch<'a>(client: &'a Client, sql: &'a str) -> BoxFuture<'a, Result<Vec<Row>, Error>> {
    match sql {
        "" => ready(Ok(Vec::new())).boxed(),
        sql => client.batch_execute(sql).map(|done| done.map(|()| Vec::new())).boxed(),
    }
}
