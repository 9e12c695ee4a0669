//! Whose some events of a day are: sets of users, as bytes.

use roaring::RoaringTreemap;

use super::super::scan::Glance;
use super::coding::{Bytes, Damaged, put};
use super::sets;

/// A set of fewer than these is written number by number, which takes less room than a bitmap and its heads.
const FEW: u64 = 64;

/// Users of events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::store) struct People {
    /// All of them.
    pub(in crate::store) users: Members,
    /// Those for whom something has crashed.
    pub(in crate::store) crashed: Members,
}

/// A set of users.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Members {
    /// Sorted, and fewer than [`FEW`].
    Few(Vec<u64>),
    /// As a bitmap.
    Many(RoaringTreemap),
}

impl People {
    /// Adds the user of an event; how many more there are then, those for whom it crashed counted twice.
    pub(super) fn add(&mut self, event: &Glance) -> usize {
        if event.user == 0 {
            return 0;
        }
        let user = event.user.cast_unsigned();
        usize::from(self.users.insert(user)) + usize::from(event.fatal && self.crashed.insert(user))
    }

    /// Adds others; how many more there are then.
    pub(super) fn join(&mut self, others: &Self) -> usize {
        let before = self.count();
        self.users.add(&others.users);
        self.crashed.add(&others.crashed);
        self.count() - before
    }

    /// How many there are, those for whom something crashed counted twice.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.users.count() + self.crashed.count()).unwrap_or(usize::MAX)
    }

    /// Adds them to a body.
    pub(super) fn put(&self, body: &mut Vec<u8>) {
        put_set(body, &self.users);
        put_set(body, &self.crashed);
    }

    /// Adds them to a body: of all users of the day those that they are not, where these are fewer.
    pub(super) fn put_of(&self, all: &Self, body: &mut Vec<u8>) {
        let are_others_fewer = all.users.count().saturating_sub(self.users.count()) < self.users.count();
        put(body, i64::from(are_others_fewer));
        match are_others_fewer {
            true => put_set(body, &all.users.without(&self.users)),
            false => put_set(body, &self.users),
        }
        put_set(body, &self.crashed);
    }

    /// Those that [`People::put`] has added to a body.
    pub(super) fn take(bytes: &mut Bytes<'_>) -> Result<Self, Damaged> {
        Ok(Self { users: take_set(bytes)?, crashed: take_set(bytes)? })
    }

    /// Those that [`People::put_of`] has added to a body.
    pub(super) fn take_of(all: &Self, bytes: &mut Bytes<'_>) -> Result<Self, Damaged> {
        let are_others = bytes.take()? != 0;
        let own = Self::take(bytes)?;
        Ok(if are_others { Self { users: all.users.without(&own.users), ..own } } else { own })
    }
}

/// Passes by those that [`People::put_of`] has added to a body.
pub(super) fn skip_of(bytes: &mut Bytes<'_>) -> Result<(), Damaged> {
    bytes.take()?;
    skip_set(bytes)?;
    skip_set(bytes)
}

impl Members {
    /// Adds them to a set.
    pub(in crate::store) fn join(&self, set: &mut RoaringTreemap) {
        match self {
            Self::Few(members) => members.iter().for_each(|member| _ = set.insert(*member)),
            Self::Many(members) => *set |= members,
        }
    }

    /// Adds one; whether it is new.
    fn insert(&mut self, member: u64) -> bool {
        match self {
            Self::Many(members) => members.insert(member),
            Self::Few(members) => {
                let Err(place) = members.binary_search(&member) else { return false };
                members.insert(place, member);
                if members.len() as u64 >= FEW {
                    *self = Self::Many(self.set());
                }
                true
            }
        }
    }

    fn add(&mut self, others: &Self) {
        match (&mut *self, others) {
            (_, Self::Few(members)) => members.iter().for_each(|member| _ = self.insert(*member)),
            (Self::Many(own), Self::Many(members)) => *own |= members,
            (Self::Few(_), Self::Many(members)) => {
                let mut set = members.clone();
                self.join(&mut set);
                *self = Self::Many(set);
            }
        }
    }

    fn without(&self, others: &Self) -> Self {
        (self.set() - others.set()).into()
    }

    fn count(&self) -> u64 {
        match self {
            Self::Few(members) => members.len() as u64,
            Self::Many(members) => members.len(),
        }
    }

    fn set(&self) -> RoaringTreemap {
        let mut set = RoaringTreemap::new();
        self.join(&mut set);
        set
    }
}

impl Default for Members {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl From<RoaringTreemap> for Members {
    fn from(set: RoaringTreemap) -> Self {
        if set.len() < FEW { Self::Few(set.into_iter().collect()) } else { Self::Many(set) }
    }
}

fn put_set(body: &mut Vec<u8>, members: &Members) {
    match members {
        Members::Few(members) => {
            put(body, (members.len() as i64) << 1);
            let mut last = 0;
            for member in members {
                put(body, (member - last).cast_signed());
                last = *member;
            }
        }
        Members::Many(set) => {
            let bytes = sets::encode(set);
            put(body, (set.len() << 1 | 1).cast_signed());
            put(body, bytes.len() as i64);
            body.extend(bytes);
        }
    }
}

fn take_set(bytes: &mut Bytes<'_>) -> Result<Members, Damaged> {
    let head = bytes.take()?.cast_unsigned();
    let count = head >> 1;
    if head & 1 == 0 {
        let mut members = Vec::new();
        let mut last = 0_u64;
        for _ in 0..count {
            last = last.wrapping_add(bytes.take()?.cast_unsigned());
            members.push(last);
        }
        return Ok(Members::Few(members));
    }
    let length = usize::try_from(bytes.take()?).map_err(|_| Damaged)?;
    sets::decode(bytes.cut(length)?, count.cast_signed()).map(Members::Many).ok_or(Damaged)
}

fn skip_set(bytes: &mut Bytes<'_>) -> Result<(), Damaged> {
    let head = bytes.take()?.cast_unsigned();
    if head & 1 == 0 {
        return (0..head >> 1).try_for_each(|_| bytes.take().map(drop));
    }
    let length = usize::try_from(bytes.take()?).map_err(|_| Damaged)?;
    bytes.cut(length).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(users: impl IntoIterator<Item = u64>, crashed: impl IntoIterator<Item = u64>) -> People {
        let set = |members: &mut dyn Iterator<Item = u64>| members.collect::<RoaringTreemap>().into();
        People { users: set(&mut users.into_iter()), crashed: set(&mut crashed.into_iter()) }
    }

    #[test]
    fn people_come_back_as_they_went() {
        let all = people((0..5_000).chain([1 << 40, u64::MAX >> 1]), [7]);
        for own in [
            people([], []),
            people([3], []),
            people([0, 1, 1 << 40], [1]),
            people(0..FEW - 1, []),
            people(0..FEW, [5]),
            people(0..4_990, [1, 2]),
            all.clone(),
        ] {
            let mut body = Vec::new();
            own.put(&mut body);
            let direct = body.len();
            own.put_of(&all, &mut body);
            assert!(body.len() <= 2 * direct + 3, "{} and {direct}", body.len());
            let mut bytes = Bytes::of(&body);
            assert_eq!(People::take(&mut bytes).unwrap(), own);
            assert_eq!(People::take_of(&all, &mut bytes).unwrap(), own);
            assert!(bytes.is_empty());
            let mut bytes = Bytes::of(&body[direct..]);
            skip_of(&mut bytes).unwrap();
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn sets_grow_one_by_one_and_together() {
        let (few, many) = (people([9, 3], [3]), people(0..FEW + 9, [1]));
        for (own, others) in [(&few, &many), (&many, &few), (&few, &few), (&many, &many)] {
            let mut joined = own.clone();
            let more = joined.join(others);
            let set = |members: [&Members; 2]| Members::from(members[0].set() | members[1].set());
            let expected =
                People { users: set([&own.users, &others.users]), crashed: set([&own.crashed, &others.crashed]) };
            assert_eq!((joined.count() - own.count(), &joined), (more, &expected));
        }
        let mut one_by_one = Members::default();
        assert!((0..FEW + 9).rev().all(|member| one_by_one.insert(member)) && !one_by_one.insert(5));
        assert_eq!(one_by_one, many.users);
    }

    #[test]
    fn what_is_no_set_is_damaged() {
        for bytes in [&[][..], &[2], &[4, 1], &[1], &[129, 1, 3, 1, 2, 3], &[129, 1, 200]] {
            assert_eq!(take_set(&mut Bytes::of(bytes)), Err(Damaged), "{bytes:?}");
        }
    }
}
