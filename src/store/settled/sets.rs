//! Who was there on each day that is over, as sets: users or devices of many days are counted by joining them.

use std::ops::ControlFlow;

use roaring::RoaringTreemap;

use super::super::sql::{Cell, Sql};
use super::{Counted, Result, SETTLED, StoreError};
use crate::model::EnvironmentId;

/// Who was there on some days, and which days those are.
#[derive(Default)]
pub(in crate::store) struct Joined {
    /// The users or devices, by their numbers.
    pub(in crate::store) members: RoaringTreemap,
    /// The days, the first one first.
    pub(in crate::store) days: Vec<i32>,
}

/// A set as it is written: in the format of the Roaring bitmaps' specification.
pub(super) fn encode(set: &RoaringTreemap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(set.serialized_size());
    set.serialize_into(&mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// A set that was written with so many members; `None` where the bytes are not what was written.
pub(super) fn decode(mut bytes: &[u8], count: i64) -> Option<RoaringTreemap> {
    let set = RoaringTreemap::deserialize_from(&mut bytes).ok()?;
    (bytes.is_empty() && set.len() == count.unsigned_abs()).then_some(set)
}

/// Joins the sets of a kind of all local days from the first to the last that are settled.
pub(in crate::store) fn join(
    db: &dyn Sql,
    listed: Counted,
    environment: EnvironmentId,
    (first, last): (i32, i32),
) -> Result<Joined> {
    let mut joined = Joined::default();
    let mut damaged = None;
    let sql = format!(
        "SELECT c.first_day, c.count, s.members FROM settled_counts c \
         JOIN settled_sets s ON s.env_id = c.env_id AND s.kind = c.kind AND s.day = c.first_day AND s.token = c.token \
         WHERE c.env_id = $1 AND c.kind = $2 AND c.next_day > $3 AND c.next_day <= $4 AND c.state = {SETTLED} \
         ORDER BY c.next_day"
    );
    let params = [environment.0, listed as i64, first.into(), i64::from(last) + 1].map(Cell::Int);
    db.stream(&sql, &params, &mut |line| {
        let Some(members) = decode(line.bytes(2), line.int(1)) else {
            damaged = Some(line.int(0));
            return ControlFlow::Break(());
        };
        joined.members |= members;
        joined.days.extend(i32::try_from(line.int(0)));
        ControlFlow::Continue(())
    })?;
    match damaged {
        None => Ok(joined),
        Some(day) => {
            let told =
                format!("settled sets of day {day} in environment {}: `tallybox rebuild --write`", environment.0);
            Err(StoreError::Corrupt(told))
        }
    }
}

/// Writes a set in place of the one that was written before. The key is its environment, kind and local day.
pub(super) fn write(db: &dyn Sql, key: (EnvironmentId, Counted, i32), token: i64, set: &[u8]) -> Result<()> {
    let sql = "INSERT INTO settled_sets (env_id, kind, day, token, members) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (env_id, kind, day) DO UPDATE SET token = excluded.token, members = excluded.members";
    let (environment, listed, day) = key;
    let key = [environment.0, listed as i64, day.into(), token].map(Cell::Int);
    db.run(sql, &key.into_iter().chain([set.into()]).collect::<Vec<_>>())?;
    Ok(())
}

/// Throws away the sets of some local days, both ends included.
pub(super) fn discard(db: &dyn Sql, environment: EnvironmentId, (first, last): (i64, i64)) -> Result<()> {
    let sql = "DELETE FROM settled_sets WHERE env_id = $1 AND kind = $2 AND day >= $3 AND day <= $4";
    for kind in [Counted::ListedUsers, Counted::ListedDevices, Counted::ListedCrashedUsers] {
        db.run(sql, &[environment.0, kind as i64, first, last].map(Cell::Int))?;
    }
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
