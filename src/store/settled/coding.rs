//! Events as bytes: some ten of them for each, with a sum over all.

use std::ops::ControlFlow;

use super::super::scan::Glance;
use crate::model::Millis;

/// Most events of a part: between two parts a report that takes too long can be stopped.
const MOST: u64 = 8_192;

/// Bytes of the sum at the beginning of a body.
pub(super) const SUM: usize = 8;

/// What all events of a part have in common, and what tells it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) day: i64,
    pub(super) name: i64,
    pub(super) first_at: i64,
    pub(super) last_at: i64,
    pub(super) events: i64,
}

/// A part in the making. Events come in the order of their times.
pub(super) struct Encoder {
    label: Label,
    session: i64,
    body: Vec<u8>,
}

/// The bytes are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

impl Encoder {
    /// A part without events.
    pub(super) fn new(day: i64, name: i64) -> Self {
        let start = day.saturating_mul(Millis::DAY);
        let label = Label { day, name, first_at: start, last_at: start, events: 0 };
        Self { label, session: 0, body: vec![0; SUM] }
    }

    /// Adds an event that did not occur before the one that was added last.
    pub(super) fn add(&mut self, event: &Glance) {
        let label = &mut self.label;
        if label.events == 0 {
            label.first_at = event.at.0;
            label.last_at = event.at.0;
        }
        let body = &mut self.body;
        put(body, event.at.0.wrapping_sub(label.last_at));
        put(body, event.user);
        put(body, zigzag(event.session.wrapping_sub(self.session)));
        // Facts are few. What few events have shares their byte.
        put(body, event.facts.wrapping_mul(2) | i64::from(event.error != 0 || event.fatal));
        if event.error != 0 || event.fatal {
            put(body, event.error.wrapping_mul(2) | i64::from(event.fatal));
        }
        label.last_at = event.at.0;
        label.events += 1;
        self.session = event.session;
    }

    pub(super) fn is_full(&self) -> bool {
        self.count() >= MOST
    }

    /// How many events there are.
    pub(super) fn count(&self) -> u64 {
        self.label.events.unsigned_abs()
    }

    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// The part as it is written.
    pub(super) fn finish(mut self) -> (Label, Vec<u8>) {
        let sum = sum(&self.label, &self.body[SUM..]);
        self.body[..SUM].copy_from_slice(&sum.to_le_bytes());
        (self.label, self.body)
    }
}

/// Shows the events of a part in their order until told to stop, once the sum over all of it was found right.
pub(super) fn decode(
    label: &Label,
    body: &[u8],
    visit: &mut dyn FnMut(&Glance) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Damaged> {
    let (stored, events) = body.split_first_chunk::<SUM>().ok_or(Damaged)?;
    if u64::from_le_bytes(*stored) != sum(label, events) {
        return Err(Damaged);
    }
    let mut bytes = Bytes::of(events);
    let mut event =
        Glance { at: Millis(label.first_at), name: label.name, facts: 0, user: 0, session: 0, error: 0, fatal: false };
    for _ in 0..label.events {
        event.at.0 = event.at.0.wrapping_add(bytes.take()?);
        event.user = bytes.take()?;
        event.session = event.session.wrapping_add(unzigzag(bytes.take()?));
        let facts = bytes.take()?;
        event.facts = halved(facts);
        let failed = if facts & 1 == 1 { bytes.take()? } else { 0 };
        event.error = halved(failed);
        event.fatal = failed & 1 == 1;
        if visit(&event).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if bytes.is_empty() { Ok(ControlFlow::Continue(())) } else { Err(Damaged) }
}

/// What is left to read.
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn of(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next bytes, so many.
    pub(super) fn cut(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (cut, rest) = self.rest.split_at_checked(length).ok_or(Damaged)?;
        self.rest = rest;
        Ok(cut)
    }

    /// The next number: seven bits a byte, the low ones first.
    #[inline]
    pub(super) fn take(&mut self) -> Result<i64, Damaged> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let (byte, rest) = self.rest.split_first().ok_or(Damaged)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value.cast_signed());
            }
            shift += 7;
            if shift > 63 {
                return Err(Damaged);
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
pub(super) fn put(body: &mut Vec<u8>, value: i64) {
    let mut value = value.cast_unsigned();
    while value >= 0x80 {
        body.push(value as u8 | 0x80);
        value >>= 7;
    }
    body.push(value as u8);
}

/// Small numbers of either sign as small numbers.
fn zigzag(value: i64) -> i64 {
    (value << 1) ^ (value >> 63)
}

fn unzigzag(value: i64) -> i64 {
    halved(value) ^ -(value & 1)
}

fn halved(value: i64) -> i64 {
    (value.cast_unsigned() >> 1).cast_signed()
}

/// A sum in which every bit of what it is over has a part, eight bytes at a time.
pub(super) fn sum(label: &Label, events: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |sum: u64, word: u64| (sum ^ word).wrapping_mul(FACTOR).rotate_left(29);
    let Label { day, name, first_at, last_at, events: count } = *label;
    let labels = [day, name, first_at, last_at, count, events.len() as i64];
    let seed = labels.iter().fold(FACTOR, |sum, word| fold(sum, word.cast_unsigned()));
    let (words, rest) = events.as_chunks::<8>();
    let sum = words.iter().fold(seed, |sum, word| fold(sum, u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| fold(sum, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(events: &[Glance]) -> (Label, Vec<u8>) {
        let mut encoder = Encoder::new(20_000, 7);
        events.iter().for_each(|event| encoder.add(event));
        encoder.finish()
    }

    fn read(label: &Label, body: &[u8]) -> Result<Vec<Glance>, Damaged> {
        let mut events = Vec::new();
        let shown = decode(label, body, &mut |event| {
            events.push(*event);
            ControlFlow::Continue(())
        })?;
        assert!(shown.is_continue());
        Ok(events)
    }

    fn events() -> Vec<Glance> {
        let start = 20_000 * Millis::DAY;
        let plain = Glance { at: Millis(start), name: 7, facts: 1, user: 0, session: 0, error: 0, fatal: false };
        vec![
            plain,
            Glance { user: 5, session: 900_000, ..plain },
            Glance { at: Millis(start + 1), user: i64::from(u32::MAX) + 1, session: 3, facts: 70_000, ..plain },
            Glance { at: Millis(start + 1), error: 12, ..plain },
            Glance { at: Millis(start + 500), error: i64::MAX / 2, fatal: true, session: i64::MAX, ..plain },
            Glance { at: Millis(start + Millis::DAY - 1), fatal: true, session: 1, ..plain },
        ]
    }

    #[test]
    fn events_come_back_as_they_went() {
        for events in [events(), Vec::new(), events().split_off(4)] {
            let (label, body) = part(&events);
            assert_eq!(read(&label, &body).unwrap(), events);
        }
    }

    #[test]
    fn an_event_of_a_busy_day_takes_some_ten_bytes() {
        let event = |n: i64| Glance {
            at: Millis(20_000 * Millis::DAY + n * 3_000),
            name: 7,
            facts: n % 500,
            user: n * 7_919 % 100_000,
            session: 4_000_000 + n * 6_007 % 9_000,
            error: 0,
            fatal: false,
        };
        let events: Vec<_> = (0..5_000).map(event).collect();
        let (label, body) = part(&events);
        assert_eq!(read(&label, &body).unwrap(), events);
        assert!(body.len() < 11 * events.len(), "{} bytes", body.len());
    }

    #[test]
    fn whatever_bit_is_wrong_is_found() {
        let (label, body) = part(&events());
        for place in 0..body.len() {
            for bit in 0..8 {
                let mut damaged = body.clone();
                damaged[place] ^= 1 << bit;
                assert_eq!(read(&label, &damaged), Err(Damaged), "byte {place}, bit {bit}");
            }
            assert_eq!(read(&label, &body[..place]), Err(Damaged), "cut to {place}");
        }
        for other in [
            Label { day: 20_001, ..label },
            Label { name: 8, ..label },
            Label { events: 5, ..label },
            Label { events: -1, ..label },
            Label { first_at: label.first_at + 1, ..label },
        ] {
            assert_eq!(read(&other, &body), Err(Damaged), "{other:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_events_are_found_behind_a_right_sum_too() {
        for events in [&[0x80; 30][..], &[0xff; 64], &[1, 2, 3], &[0; 9]] {
            let label = Label { day: 1, name: 1, first_at: 0, last_at: 0, events: 2 };
            let mut body = sum(&label, events).to_le_bytes().to_vec();
            body.extend(events);
            assert_eq!(read(&label, &body), Err(Damaged), "{events:?}");
        }
    }
}
