//! Statements over columns of values, sent together so that a commit takes two round trips.

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
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
}

impl Statement {
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

/// Sends `before`, the statements and `after` at once, and waits for all answers: the rows of each statement, or the
/// first error. Where one fails in a transaction, all after it do.
pub(super) fn send(
    session: &Session<'_>,
    before: &str,
    statements: &[Statement],
    after: &str,
) -> Result<Vec<Vec<Row>>> {
    let client = session.client();
    let params: Vec<_> = statements.iter().map(Statement::params).collect();
    let plain = |sql| async move {
        match sql {
            "" => Ok(Vec::new()),
            sql => client.batch_execute(sql).await.map(|()| Vec::new()),
        }
    };
    session.wait(async {
        let mut answers: Vec<BoxFuture<'_, std::result::Result<Vec<Row>, Error>>> = vec![plain(before).boxed()];
        for (statement, params) in statements.iter().zip(&params) {
            let idle = statement.idle;
            answers.push(
                async move { if idle { Ok(Vec::new()) } else { client.query_typed(statement.sql, params).await } }
                    .boxed(),
            );
        }
        answers.push(plain(after).boxed());
        let answers = join_all(answers).await.into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
        let rows = answers.into_iter().skip(1).take(statements.len());
        Ok(rows.collect())
    })
}
