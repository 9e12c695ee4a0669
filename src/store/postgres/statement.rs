//! Statements over columns of values, sent together so that a commit takes two round trips.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, ready};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::session::{Param, Session};
use crate::store::Result;

/// One statement; each parameter is a column for `unnest`, or a single value.
pub(super) struct Statement {
    sql: &'static str,
    columns: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
    /// Whether a column has no values: then it is not sent.
    idle: bool,
    /// How many rows it must change, where that is known.
    rows: Option<i64>,
}

impl Statement {
    pub(super) fn new(sql: &'static str) -> Self {
        Self { sql, columns: Vec::new(), idle: false, rows: None }
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

    /// Says that it must change so many rows; fewer mean that another node was first.
    pub(super) fn rows(self, rows: usize) -> Self {
        Self { rows: i64::try_from(rows).ok(), ..self }
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

/// Sends `before`, which has no parameters and may be empty, and the statements at once, and waits for all answers: the rows of each
/// statement, or the first error. Where one fails in a transaction, all after it do.
pub(super) fn fetch(session: &Session<'_>, before: &str, statements: &[Statement]) -> Result<Vec<Vec<Row>>> {
    let client = session.client();
    let params: Vec<_> = statements.iter().map(Statement::params).collect();
    session.wait(async {
        let mut answers: Vec<BoxFuture<'_, std::result::Result<Vec<Row>, Error>>> = Vec::new();
        answers.push(match before {
            "" => ready(Ok(Vec::new())).boxed(),
            before => client.batch_execute(before).map(|done| done.map(|()| Vec::new())).boxed(),
        });
        for (statement, params) in statements.iter().zip(&params) {
            answers.push(match statement.idle {
                true => ready(Ok(Vec::new())).boxed(),
                false => client.query_typed(statement.sql, params).boxed(),
            });
        }
        let answers: std::result::Result<Vec<_>, _> = join_all(answers).await.into_iter().collect();
        Ok(answers?.into_iter().skip(1).collect())
    })
}

/// Sends statements that change rows at once. `false` where one that says how many it changed had fewer than it must.
pub(super) fn store(session: &Session<'_>, statements: &[Statement]) -> Result<bool> {
    let answers = fetch(session, "", statements)?;
    let as_told = |(statement, rows): (&Statement, &Vec<Row>)| match (statement.rows, rows.first()) {
        (Some(wanted), Some(row)) => row.try_get::<_, i64>(0).is_ok_and(|changed| changed == wanted),
        _ => true,
    };
    Ok(statements.iter().zip(&answers).all(as_told))
}
