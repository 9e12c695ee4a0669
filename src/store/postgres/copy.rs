//! Events as they travel into their table: PostgreSQL's binary COPY, which is a third cheaper than rows of arrays.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error, Statement};

use super::session::Session;
use crate::store::commit::EventRecord;
use crate::store::{Result, StoreError};

/// Takes rows of [`Rows`].
const COPY: &str = "COPY events (env_id, claimed_at, event_id, skew, delay, name_id, facts_id, category_id, user_id, \
                    session_id, props, error_id, fatal) FROM STDIN (FORMAT binary)";
/// Columns of a row.
const COLUMNS: i16 = 13;
/// Before all rows: the signature, no flags, no extension (PostgreSQL 15, COPY, "File Formats").
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// After all rows.
const END: &[u8] = &[0xff, 0xff];

/// Environment, claimed time and id.
pub(super) type EventKey = (i64, i64, [u8; 16]);

/// Rows that are on their way.
#[derive(Default)]
pub(super) struct Rows {
    bytes: BytesMut,
    /// Each row's key, and where it stands.
    rows: Vec<(EventKey, std::ops::Range<usize>)>,
}

impl Rows {
    /// Adds an event. [`StoreError::Unexpected`] where a number is too large for its column.
    pub(super) fn push(&mut self, key: EventKey, event: &EventRecord<'_>) -> Result<()> {
        let began = self.bytes.len();
        let row = &mut self.bytes;
        row.put_i16(COLUMNS);
        put_small(row, Some(key.0))?;
        put_big(row, Some(key.1));
        put_bytes(row, &key.2)?;
        put_big(row, Some(event.skew));
        put_big(row, Some(event.delay));
        put_small(row, Some(event.name))?;
        put_small(row, Some(event.facts))?;
        put_small(row, event.category)?;
        put_big(row, event.user);
        put_big(row, event.session);
        match event.props {
            Some(props) => put_bytes(row, props.as_bytes())?,
            None => row.put_i32(-1),
        }
        put_small(row, event.error.map(|error| error.group))?;
        put_small(row, Some(event.error.is_some_and(|error| error.fatal).into()))?;
        self.rows.push((key, began..self.bytes.len()));
        Ok(())
    }

    /// The whole copy, in the order of the keys; `None` where there are no rows.
    pub(super) fn finish(mut self) -> Option<Bytes> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.sort_unstable_by_key(|(key, _)| *key);
        let mut copy = BytesMut::with_capacity(HEAD.len() + self.bytes.len() + END.len());
        copy.put_slice(HEAD);
        self.rows.iter().for_each(|(_, row)| copy.put_slice(&self.bytes[row.clone()]));
        copy.put_slice(END);
        Some(copy.freeze())
    }
}

/// Prepares the copy. The statement has a name, so it has to be dropped before the transaction ends: behind a pooler its
/// connection is another's then.
pub(super) async fn prepare(client: &Client) -> std::result::Result<Statement, Error> {
    client.prepare(COPY).await
}

/// Copies rows. What fails here fails the transaction.
pub(super) fn copy(session: &Session<'_>, statement: Statement, rows: Bytes) -> Result<()> {
    let started = session.wait(session.client().copy_in::<_, Bytes>(&statement));
    // The driver loses count of the answers where the copy does not even begin.
    let sink = started.inspect_err(|_| session.broken.set(true))?;
    drop(statement);
    session.wait(async {
        let mut sink = Box::pin(sink);
        sink.feed(rows).await?;
        sink.as_mut().finish().await
    })?;
    Ok(())
}

fn put_big(row: &mut BytesMut, value: Option<i64>) {
    match value {
        Some(value) => {
            row.put_i32(8);
            row.put_i64(value);
        }
        None => row.put_i32(-1),
    }
}

fn put_small(row: &mut BytesMut, value: Option<i64>) -> Result<()> {
    match value {
        Some(value) => {
            row.put_i32(4);
            row.put_i32(i32::try_from(value).map_err(|_| too_large())?);
        }
        None => row.put_i32(-1),
    }
    Ok(())
}

fn put_bytes(row: &mut BytesMut, bytes: &[u8]) -> Result<()> {
    row.put_i32(i32::try_from(bytes.len()).map_err(|_| too_large())?);
    row.put_slice(bytes);
    Ok(())
}

fn too_large() -> StoreError {
    StoreError::Unexpected("an event has a number or a text that is too large for its column".to_owned())
}
