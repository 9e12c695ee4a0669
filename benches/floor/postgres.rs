//! What PostgreSQL itself can do here: binary COPY of the load's own event rows, over one connection, into the same table.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Statement;

use crate::cluster::{Cluster, Session};
use crate::rig::traffic::Sender;

/// Rows of one commit.
const GROUP: usize = 2_000;
/// Rows of the one big commit.
const BULK: usize = 500_000;
/// What a row of the table holds, in this order.
const COPY: &str = "COPY events (claimed_at, skew, delay, user_id, session_id, event_id, env_id, name_id, facts_id, \
                    category_id, props) FROM STDIN (FORMAT binary)";
/// Columns of a row.
const COLUMNS: i16 = 11;

/// Rows a second with 2,000 rows a commit, and with 500,000. All rows are made before, and `database` is left with the
/// rows of `senders`.
pub fn measure(cluster: &Cluster, database: &str, senders: &[Sender]) -> (f64, f64) {
    let groups = groups(senders);
    let session = cluster.superuser(database);
    let statement = session.runtime.block_on(session.client.prepare(COPY)).expect("there is such a table");
    let bulk = timed(&session, || copy(&session, &statement, &groups[..BULK / GROUP]));
    let grouped = timed(&session, || groups.chunks(1).map(|group| copy(&session, &statement, group)).sum());
    assert_eq!(
        session.number("SELECT count(*) FROM events_default"),
        0.0,
        "the load's year has no partitions any more"
    );
    (grouped, bulk)
}

/// Rows a second of `work`, which says how many it copied into the empty table.
fn timed(session: &Session, work: impl FnOnce() -> u64) -> f64 {
    session.run("TRUNCATE events");
    // What others have left to be written back is not to be paid for here.
    session.run("CHECKPOINT");
    let began = Instant::now();
    let rows = work();
    rows as f64 / began.elapsed().as_secs_f64()
}

/// One commit; how many rows it had.
fn copy(session: &Session, statement: &Statement, groups: &[Bytes]) -> u64 {
    session.runtime.block_on(async {
        let mut sink = Box::pin(session.client.copy_in(statement).await.expect("the copy begins"));
        sink.feed(Bytes::from_static(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0")).await.expect("the head is taken");
        for group in groups {
            sink.feed(group.clone()).await.expect("rows are taken");
        }
        sink.feed(Bytes::from_static(&[0xff, 0xff])).await.expect("the end is taken");
        sink.as_mut().finish().await.expect("the commit")
    })
}

/// The rows of the senders' events as they travel, without head and end.
fn groups(senders: &[Sender]) -> Vec<Bytes> {
    let arrival =
        i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_millis()).expect("in range");
    let events: Vec<_> = senders.iter().flat_map(|sender| (0..sender.events).map(move |i| (sender, i))).collect();
    let encode = |events: &[(&Sender, usize)]| {
        let mut rows = BytesMut::with_capacity(events.len() * 256);
        events.iter().for_each(|(sender, i)| put(&mut rows, sender, *i, arrival));
        rows.freeze()
    };
    events.chunks(GROUP).map(encode).collect()
}

/// Each value behind its length, as in PostgreSQL's documentation of COPY.
fn put(row: &mut BytesMut, sender: &Sender, i: usize, arrival: i64) {
    let time = sender.time(i);
    let wide = |number: usize| i64::try_from(number).expect("it is small") + 1;
    row.put_i16(COLUMNS);
    for number in [time, 0, arrival - time, wide(sender.user), wide(sender.session(i))] {
        row.put_i32(8);
        row.put_i64(number);
    }
    row.put_i32(16);
    row.put_slice(uuid::Uuid::new_v4().as_bytes());
    let name = i32::try_from(i % 5).expect("it is small") + 1;
    let facts = i32::try_from(sender.user % 3 * 4 + sender.release).expect("it is small") + 1;
    for number in [1, name, facts, 6] {
        row.put_i32(4);
        row.put_i32(number);
    }
    let data = Sender::data(i);
    row.put_i32(i32::try_from(data.len()).expect("it is small"));
    row.put_slice(data.as_bytes());
}
