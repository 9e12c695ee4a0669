//! How many events of each name have each value of a property, as bytes with a sum over all.

use std::ops::ControlFlow;

use super::super::scan::Glance;
use super::coding::{Bytes, Damaged, Label, SUM, put};
use super::columns::sum_of;

/// Some events of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Amount {
    /// All of them.
    pub(in crate::store) events: i64,
    /// Those that tell of an error, crashes included.
    pub(in crate::store) errors: i64,
    /// Those that tell of a crash.
    pub(in crate::store) crashes: i64,
}

/// Amounts by the names of events, in the order of these.
pub(super) type ByName = Vec<(i64, Amount)>;

/// Which body it is, of those that stand beside the columns of a day.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) day: i64,
    /// The property; none for all events of the day.
    pub(super) prop: &'p str,
    /// What stands in place of a part.
    pub(super) part: i64,
}

impl Amount {
    /// Counts an event.
    pub(super) fn add(&mut self, event: &Glance) {
        self.events += 1;
        self.errors += i64::from(event.error != 0);
        self.crashes += i64::from(event.fatal);
    }

    /// Counts others as well.
    pub(in crate::store) fn join(&mut self, others: Self) {
        self.events = self.events.wrapping_add(others.events);
        self.errors = self.errors.wrapping_add(others.errors);
        self.crashes = self.crashes.wrapping_add(others.crashes);
    }

    /// Counts those no more.
    pub(super) fn leave(&mut self, others: Self) {
        self.events = self.events.wrapping_sub(others.events);
        self.errors = self.errors.wrapping_sub(others.errors);
        self.crashes = self.crashes.wrapping_sub(others.crashes);
    }

    /// Adds it to a body.
    pub(super) fn put(self, body: &mut Vec<u8>) {
        // What few have shares a bit of what all have.
        let has_failed = self.errors != 0 || self.crashes != 0;
        put(body, self.events.wrapping_mul(2) | i64::from(has_failed));
        if has_failed {
            put(body, self.errors);
            put(body, self.crashes);
        }
    }

    /// One that [`Amount::put`] has added to a body.
    pub(super) fn take(bytes: &mut Bytes<'_>) -> Result<Self, Damaged> {
        let events = bytes.take()?;
        let (errors, crashes) = if events & 1 == 1 { (bytes.take()?, bytes.take()?) } else { (0, 0) };
        Ok(Self { events: events >> 1, errors, crashes })
    }

    /// Whether there can be so many.
    pub(super) fn is_possible(self) -> bool {
        self.events >= 0 && self.errors >= 0 && self.crashes >= 0
    }
}

impl Place<'_> {
    /// A body in the making.
    pub(super) fn begin() -> Vec<u8> {
        vec![0; SUM]
    }

    /// A body as it is written.
    pub(super) fn seal(&self, mut body: Vec<u8>) -> Vec<u8> {
        let sum = self.sum(&body[SUM..]);
        body[..SUM].copy_from_slice(&sum.to_le_bytes());
        body
    }

    /// What stands in a body, once the sum over all of it was found right.
    pub(super) fn open<'b>(&self, body: &'b [u8]) -> Result<Bytes<'b>, Damaged> {
        let (stored, rest) = body.split_first_chunk::<SUM>().ok_or(Damaged)?;
        if u64::from_le_bytes(*stored) == self.sum(rest) { Ok(Bytes::of(rest)) } else { Err(Damaged) }
    }

    fn sum(&self, bytes: &[u8]) -> u64 {
        sum_of(&Label { day: self.day, name: self.part, first_at: 0, last_at: 0, events: 0 }, self.prop, bytes)
    }
}

/// The amounts of all values as they are written, each of one name at least.
pub(super) fn encode<'v>(place: &Place<'_>, values: impl Iterator<Item = (&'v str, &'v ByName)>) -> Vec<u8> {
    let mut body = Place::begin();
    for (text, names) in values {
        put(&mut body, text.len() as i64);
        body.extend(text.as_bytes());
        put(&mut body, names.len() as i64);
        let mut last = 0;
        for (name, amount) in names {
            put(&mut body, name.wrapping_sub(last));
            last = *name;
            amount.put(&mut body);
        }
    }
    place.seal(body)
}

/// Shows the amounts of a body: the number of each value from 0 on, its text, a name, and how many events of it there are.
pub(super) fn decode<'b>(
    place: &Place<'_>,
    body: &'b [u8],
    visit: &mut dyn FnMut(usize, &'b str, i64, Amount) -> Result<(), Damaged>,
) -> Result<(), Damaged> {
    let mut bytes = place.open(body)?;
    let mut number = 0;
    while !bytes.is_empty() {
        let (text, names) = head(&mut bytes)?;
        let text = std::str::from_utf8(text).map_err(|_| Damaged)?;
        let mut name = 0;
        for _ in 0..names {
            visit(number, text, name_of(&mut bytes, &mut name)?, Amount::take(&mut bytes)?)?;
        }
        number += 1;
    }
    Ok(())
}

/// Shows each value of a body that events of names that are kept have, and how many of these there are, until told to stop.
pub(super) fn totals<'b>(
    place: &Place<'_>,
    body: &'b [u8],
    keeps: impl Fn(i64) -> bool,
    mut visit: impl FnMut(&'b str, i64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Damaged> {
    let mut bytes = place.open(body)?;
    // Most values are of one name, and most of a property's of the same.
    let mut last = (0, keeps(0));
    while !bytes.is_empty() {
        let (text, names) = head(&mut bytes)?;
        let (mut name, mut events) = (0, 0_i64);
        for _ in 0..names {
            name_of(&mut bytes, &mut name)?;
            let own = Amount::take(&mut bytes)?.events;
            if last.0 != name {
                last = (name, keeps(name));
            }
            if last.1 {
                events = events.checked_add(own).ok_or(Damaged)?;
            }
        }
        if events > 0 && visit(std::str::from_utf8(text).map_err(|_| Damaged)?, events).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// A value's text, and of how many names there are amounts.
fn head<'b>(bytes: &mut Bytes<'b>) -> Result<(&'b [u8], i64), Damaged> {
    let length = usize::try_from(bytes.take()?).map_err(|_| Damaged)?;
    let (text, names) = (bytes.cut(length)?, bytes.take()?);
    if names < 1 { Err(Damaged) } else { Ok((text, names)) }
}

/// The next name behind one.
fn name_of(bytes: &mut Bytes<'_>, name: &mut i64) -> Result<i64, Damaged> {
    *name = name.wrapping_add(bytes.take()?);
    Ok(*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { day: 20_000, prop: "plan", part: -3 };

    fn amounts() -> Vec<(&'static str, ByName)> {
        let amount = |events, errors, crashes| Amount { events, errors, crashes };
        vec![
            ("tpro", ByName::from([(0, amount(1, 0, 0)), (7, amount(70_000, 5, 1)), (1 << 40, amount(3, 0, 0))])),
            ("n1.50", ByName::from([(7, amount(1, 1, 1))])),
            ("t", ByName::from([(9, amount(2, 0, 0))])),
        ]
    }

    fn read(place: &Place<'_>, body: &[u8]) -> Result<Vec<(usize, String, i64, Amount)>, Damaged> {
        let mut found = Vec::new();
        decode(place, body, &mut |number, text, name, amount| {
            found.push((number, text.to_owned(), name, amount));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn amounts_come_back_as_they_went() {
        let amounts = amounts();
        let body = encode(&PLACE, amounts.iter().map(|(text, names)| (*text, names)));
        let expected = amounts.iter().enumerate().flat_map(|(number, (text, names))| {
            names.iter().map(move |(name, amount)| (number, (*text).to_owned(), *name, *amount))
        });
        assert_eq!(read(&PLACE, &body), Ok(expected.collect()));
        assert_eq!(read(&PLACE, &encode(&PLACE, std::iter::empty())), Ok(Vec::new()));
    }

    #[test]
    fn totals_are_those_of_the_names_that_are_kept() {
        let amounts = amounts();
        let body = encode(&PLACE, amounts.iter().map(|(text, names)| (*text, names)));
        let read = |keeps: fn(i64) -> bool, most: usize| {
            let mut found = Vec::new();
            let shown = totals(&PLACE, &body, keeps, |text, events| {
                found.push((text, events));
                if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            (found, shown)
        };
        let (on, stopped) = (Ok(ControlFlow::Continue(())), Ok(ControlFlow::Break(())));
        assert_eq!(read(|_| true, 9), (vec![("tpro", 70_004), ("n1.50", 1), ("t", 2)], on));
        assert_eq!(read(|name| name == 7, 9), (vec![("tpro", 70_000), ("n1.50", 1)], on));
        assert_eq!(read(|name| name != 7, 9), (vec![("tpro", 4), ("t", 2)], on));
        assert_eq!(read(|name| name == 5, 9), (vec![], on));
        assert_eq!(read(|_| true, 1), (vec![("tpro", 70_004)], stopped));
    }

    #[test]
    fn whatever_bit_of_amounts_is_wrong_is_found() {
        let amounts = amounts();
        let body = encode(&PLACE, amounts.iter().map(|(text, names)| (*text, names)));
        for place in 0..body.len() {
            for bit in 0..8 {
                let mut damaged = body.clone();
                damaged[place] ^= 1 << bit;
                assert_eq!(read(&PLACE, &damaged), Err(Damaged), "byte {place}, bit {bit}");
            }
            assert_eq!(read(&PLACE, &body[..place]), Err(Damaged), "cut to {place}");
        }
        for other in [Place { day: 1, ..PLACE }, Place { prop: "", ..PLACE }, Place { part: -4, ..PLACE }] {
            assert_eq!(read(&other, &body), Err(Damaged));
        }
        // Behind a right sum, too.
        for bytes in [&[9, 1][..], &[0, 0x7f], &[0, 0], &[1, 0xff, 0], &[0x80; 20]] {
            let body = PLACE.seal([&Place::begin()[..], bytes].concat());
            assert_eq!(read(&PLACE, &body), Err(Damaged), "{bytes:?}");
            assert_eq!(totals(&PLACE, &body, |_| true, |_, _| ControlFlow::Continue(())), Err(Damaged), "{bytes:?}");
        }
    }
}
