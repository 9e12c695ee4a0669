//! Who was there on each day that is over, as a set: users of many days together are counted by joining them.

use std::ops::ControlFlow;

use roaring::RoaringTreemap;

use super::super::sql::{Cell, Sql};
use super::{Counted, Result, SETTLED, StoreError};
use crate::model::EnvironmentId;

/// Users of some days, and which days those are.
#[derive(Default)]
pub(in crate::store) struct Joined {
    /// The users, by their numbers.
    pub(in crate::store) users: RoaringTreemap,
    /// The days, the first one first.
    pub(in crate::store) days: Vec<i32>,
}

/// A set as it is written: in the format of the Roaring bitmaps' specification.
pub(super) fn encode(users: &RoaringTreemap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(users.serialized_size());
    users.serialize_into(&mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// A set that was written with so many members; `None` where the bytes are not what was written.
fn decode(mut bytes: &[u8], count: i64) -> Option<RoaringTreemap> {
    let set = RoaringTreemap::deserialize_from(&mut bytes).ok()?;
    (bytes.is_empty() && set.len() == count.unsigned_abs()).then_some(set)
}

/// Joins the users of all local days from the first to the last that are settled.
pub(in crate::store) fn join(db: &dyn Sql, environment: EnvironmentId, (first, last): (i32, i32)) -> Result<Joined> {
    let mut joined = Joined::default();
    let mut damaged = None;
    let sql = format!(
        "SELECT c.first_day, c.count, u.users FROM settled_counts c \
         JOIN settled_users u ON u.env_id = c.env_id AND u.day = c.first_day AND u.token = c.token \
         WHERE c.env_id = $1 AND c.next_day > $2 AND c.next_day <= $3 + 1 AND c.kind = {} AND c.state = {SETTLED} \
         ORDER BY c.next_day",
        Counted::Listed as i64
    );
    let params = [environment.0, first.into(), last.into()].map(Cell::Int);
    db.stream(&sql, &params, &mut |line| {
        let Some(users) = decode(line.bytes(2), line.int(1)) else {
            damaged = Some(line.int(0));
            return ControlFlow::Break(());
        };
        joined.users |= users;
        joined.days.extend(i32::try_from(line.int(0)));
        ControlFlow::Continue(())
    })?;
    match damaged {
        None => Ok(joined),
        Some(day) => Err(StoreError::Corrupt(format!(
            "settled users of day {day} in environment {}: `tallybox rebuild --write`",
            environment.0
        ))),
    }
}

/// Writes the users of a day in place of those that were written before.
pub(super) fn write(db: &dyn Sql, (environment, day, token): (EnvironmentId, i32, i64), users: Vec<u8>) -> Result<()> {
    let sql = "INSERT INTO settled_users (env_id, day, token, users) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (env_id, day) DO UPDATE SET token = excluded.token, users = excluded.users";
    db.run(sql, &[environment.0.into(), i64::from(day).into(), token.into(), Cell::Bytes(users)])?;
    Ok(())
}

/// Throws away the users of some local days, both ends included.
pub(super) fn discard(db: &dyn Sql, environment: EnvironmentId, (first, last): (i64, i64)) -> Result<()> {
    let sql = "DELETE FROM settled_users WHERE env_id = $1 AND day >= $2 AND day <= $3";
    db.run(sql, &[environment.0, first, last].map(Cell::Int))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_as_it_was_written_or_not_at_all() {
        for users in [vec![], vec![1], vec![0, 7, 65_535, 65_536, u64::from(u32::MAX) + 9, 1 << 40]] {
            let set: RoaringTreemap = users.iter().copied().collect();
            let bytes = encode(&set);
            let count = users.len() as i64;
            assert_eq!(decode(&bytes, count), Some(set));
            assert_eq!(decode(&bytes, count + 1), None, "another number of members");
            assert_eq!(decode(&bytes[..bytes.len() - 1], count), None, "cut short");
            assert_eq!(decode(&[&bytes[..], &[0]].concat(), count), None, "something behind it");
        }
        assert_eq!(decode(b"something else", 0), None);
    }
}
