//! How many sessions of each value of a fact there are of each class of lengths, as bytes with a sum over all.

use std::collections::BTreeMap;

use super::amounts::Place;
use super::coding::{Damaged, put};
use crate::rollup::SessionCount;

/// Sessions of one value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Lengths {
    /// Those in which something has crashed.
    pub(in crate::store) crashed: i64,
    /// How many there are of each class, as [`length_class`](crate::rollup::length_class) numbers it, the shortest first.
    pub(in crate::store) classes: Vec<(i64, i64)>,
}

/// Sessions that are shown.
#[derive(Clone, Copy)]
pub(in crate::store) enum Sessions<'s> {
    /// Those with this row of `facts` and lengths of this class: so many, or so many fewer.
    Alike(i64, i64, SessionCount),
    /// All those of a day that have this value of a fact.
    Many(i64, &'s Lengths),
}

/// Lengths by the interned values of a fact, 0 for not reported.
pub(super) type ByValue = BTreeMap<i64, Lengths>;

impl Lengths {
    /// Adds sessions of a class, or takes them away.
    pub(super) fn add(&mut self, class: i64, count: SessionCount) {
        self.crashed += count.crashed;
        match self.classes.binary_search_by_key(&class, |(class, _)| *class) {
            Ok(place) if self.classes[place].1 + count.sessions == 0 => _ = self.classes.remove(place),
            Ok(place) => self.classes[place].1 += count.sessions,
            Err(_) if count.sessions == 0 => {}
            Err(place) => self.classes.insert(place, (class, count.sessions)),
        }
    }

    /// Adds others.
    pub(super) fn join(&mut self, others: &Self) {
        self.crashed += others.crashed;
        for (class, sessions) in &others.classes {
            self.add(*class, SessionCount { sessions: *sessions, crashed: 0 });
        }
    }
}

/// Lengths as they are written.
pub(super) fn encode(place: &Place<'_>, values: &ByValue) -> Vec<u8> {
    let mut body = Place::begin();
    let mut last = 0;
    for (value, lengths) in values {
        put(&mut body, value.wrapping_sub(last));
        last = *value;
        put(&mut body, lengths.crashed);
        put(&mut body, lengths.classes.len() as i64);
        let mut last = 0;
        for (class, sessions) in &lengths.classes {
            put(&mut body, class - last);
            put(&mut body, *sessions);
            last = *class;
        }
    }
    place.seal(body)
}

/// Shows the lengths of a body, each with its value.
pub(super) fn decode(place: &Place<'_>, body: &[u8], visit: &mut dyn FnMut(i64, &Lengths)) -> Result<(), Damaged> {
    let mut bytes = place.open(body)?;
    let mut lengths = Lengths::default();
    let mut value = 0_i64;
    while !bytes.is_empty() {
        value = value.wrapping_add(bytes.take()?);
        lengths.crashed = bytes.take()?;
        lengths.classes.clear();
        let (mut class, mut all) = (0_i64, 0_i64);
        for _ in 0..bytes.take()? {
            class = class.wrapping_add(bytes.take()?);
            let sessions = bytes.take()?;
            all = all.checked_add(sessions).filter(|_| class >= 0 && sessions > 0).ok_or(Damaged)?;
            lengths.classes.push((class, sessions));
        }
        if !(0..=all).contains(&lengths.crashed) || all == 0 {
            return Err(Damaged);
        }
        visit(value, &lengths);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { day: 20_000, prop: "version", part: -7 };

    fn values() -> ByValue {
        let mut values = ByValue::new();
        for (value, class, crashed) in
            [(0, 7, false), (0, 0, true), (0, 7, false), (5, 300, false), (1 << 40, 1, true), (5, 299, true)]
        {
            let count = SessionCount { sessions: 1, crashed: i64::from(crashed) };
            values.entry(value).or_default().add(class, count);
        }
        values
    }

    fn read(place: &Place<'_>, body: &[u8]) -> Result<ByValue, Damaged> {
        let mut found = ByValue::new();
        decode(place, body, &mut |value, lengths| _ = found.insert(value, lengths.clone()))?;
        Ok(found)
    }

    #[test]
    fn lengths_come_back_as_they_went() {
        let values = values();
        assert_eq!(values[&0], Lengths { crashed: 1, classes: vec![(0, 1), (7, 2)] });
        assert_eq!(read(&PLACE, &encode(&PLACE, &values)), Ok(values));
        assert_eq!(read(&PLACE, &encode(&PLACE, &ByValue::new())), Ok(ByValue::new()));
    }

    #[test]
    fn what_is_taken_away_leaves_nothing_behind() {
        let mut lengths = Lengths::default();
        let changes = [(7, 2, 1), (5, 1, 0), (7, -1, -1), (5, -1, 0), (5, 0, 0), (7, -1, 0)];
        for (class, sessions, crashed) in changes {
            lengths.add(class, SessionCount { sessions, crashed });
        }
        assert_eq!(lengths, Lengths::default());
        let mut joined = values().remove(&0).unwrap();
        joined.join(&Lengths { crashed: 2, classes: vec![(0, -1), (9, 3)] });
        assert_eq!(joined, Lengths { crashed: 3, classes: vec![(7, 2), (9, 3)] });
    }

    #[test]
    fn whatever_bit_of_lengths_is_wrong_is_found() {
        let body = encode(&PLACE, &values());
        for place in 0..body.len() {
            for bit in 0..8 {
                let mut damaged = body.clone();
                damaged[place] ^= 1 << bit;
                assert_eq!(read(&PLACE, &damaged), Err(Damaged), "byte {place}, bit {bit}");
            }
            assert_eq!(read(&PLACE, &body[..place]), Err(Damaged), "cut to {place}");
        }
        for other in [Place { day: 1, ..PLACE }, Place { prop: "build", ..PLACE }] {
            assert_eq!(read(&other, &body), Err(Damaged));
        }
        // Behind a right sum, too.
        for bytes in [&[0, 0, 0][..], &[0, 2, 1, 5, 1], &[0, 0, 1, 5, 0], &[0, 0, 2, 5, 1], &[0, 0], &[0x80; 20]] {
            let body = PLACE.seal([&Place::begin()[..], bytes].concat());
            assert_eq!(read(&PLACE, &body), Err(Damaged), "{bytes:?}");
        }
    }
}
