//! What came to one app today: events against its quota, and requests that were turned away.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::{Limit, Millis, OverLimit, Standing, TurnedAway};

/// Longest wait that is asked for, in seconds: clients are known to sleep whatever they are told.
pub(super) const LONGEST_WAIT: u64 = 60;

/// Counts of a UTC day. A lock guards them for a few additions; apps without a quota take it only to be refused.
#[derive(Debug, Default)]
pub(super) struct Today(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    day: i64,
    /// Whether the store was asked since the process began.
    known: bool,
    /// Events that this process has let in, those on their way included.
    taken: i64,
    /// Those of them that are known to be in the store.
    settled: i64,
    /// Events in the store besides: of other nodes, and of this one before it was started.
    others: i64,
    turned: [u64; TurnedAway::ALL.len()],
}

impl Counts {
    /// Begins anew where the day is over. A request that came before midnight and is answered after it counts for
    /// neither.
    fn of(&mut self, day: i64) -> &mut Self {
        if self.day < day {
            *self = Self { day, known: self.known, ..Self::default() };
        }
        self
    }

    fn used(&self) -> u64 {
        (self.others + self.taken).max(0).unsigned_abs()
    }

    fn standing(&self, quota: u64) -> Standing {
        let resets_at = (self.day + 1) * (Millis::DAY / Millis::SECOND);
        Standing { limit: quota, remaining: quota.saturating_sub(self.used()), resets_at }
    }
}

impl Today {
    pub(super) fn is_known(&self) -> bool {
        self.0.lock().known
    }

    /// Takes over what the store has counted for the day.
    pub(super) fn learn(&self, day: i64, stored: u64) {
        let mut counts = self.0.lock();
        let counts = counts.of(day);
        if counts.day == day {
            counts.others = i64::try_from(stored).unwrap_or(i64::MAX) - counts.settled;
            counts.known = true;
        }
    }

    /// How the quota stands, where there is something left of it.
    pub(super) fn look(&self, quota: u64, now: Millis) -> Result<Standing, OverLimit> {
        let mut counts = self.0.lock();
        judge(counts.of(day(now)), quota, now)
    }

    /// Takes a batch from what is left. One that finds anything left is taken whole: most SDKs cannot send a part of
    /// it, and would never get past it.
    pub(super) fn reserve(self: &Arc<Self>, quota: u64, events: usize, now: Millis) -> Result<Reservation, OverLimit> {
        let mut counts = self.0.lock();
        let counts = counts.of(day(now));
        judge(counts, quota, now)?;
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        counts.taken += events;
        Ok(Reservation { of: self.clone(), day: counts.day, events })
    }

    pub(super) fn turn_away(&self, why: TurnedAway, now: Millis) {
        let mut counts = self.0.lock();
        let turned = &mut counts.of(day(now)).turned;
        turned[why as usize] = turned[why as usize].saturating_add(1);
    }

    /// Requests turned away on the day of `now`, by reason.
    pub(super) fn turned(&self, now: Millis) -> Vec<(TurnedAway, u64)> {
        let mut counts = self.0.lock();
        let turned = counts.of(day(now)).turned;
        TurnedAway::ALL.into_iter().zip(turned).filter(|(_, many)| *many > 0).collect()
    }
}

fn judge(counts: &Counts, quota: u64, now: Millis) -> Result<Standing, OverLimit> {
    let standing = counts.standing(quota);
    if standing.remaining > 0 {
        return Ok(standing);
    }
    let left = (standing.resets_at - now.seconds()).max(1).unsigned_abs().min(LONGEST_WAIT);
    Err(OverLimit { limit: Limit::Day, standing, retry_after: u32::try_from(left).unwrap_or(1) })
}

/// The UTC day, counted as the store counts it.
pub(super) fn day(now: Millis) -> i64 {
    now.0.div_euclid(Millis::DAY)
}

/// Events that are on their way. Where it is dropped before anything is known of them, they count as kept until the
/// store is asked again.
#[derive(Debug)]
pub(in crate::ingest) struct Reservation {
    of: Arc<Today>,
    day: i64,
    events: i64,
}

impl Reservation {
    /// So many of them were kept; the others are given back.
    pub(in crate::ingest) fn settle(mut self, kept: usize) {
        self.end(i64::try_from(kept).unwrap_or(i64::MAX));
    }

    fn end(&mut self, kept: i64) {
        let mut counts = self.of.0.lock();
        if counts.day == self.day {
            counts.taken -= self.events - kept;
            counts.settled += kept;
        }
        (self.day, self.events) = (i64::MIN, 0);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(self.events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = Millis(20_000 * Millis::DAY + 12 * Millis::HOUR);

    fn left(today: &Arc<Today>, quota: u64) -> u64 {
        today.look(quota, NOON).map_or(0, |standing| standing.remaining)
    }

    #[test]
    fn a_batch_is_taken_whole_while_anything_is_left() {
        let today = Arc::new(Today::default());
        today.learn(20_000, 0);
        today.reserve(10, 9, NOON).unwrap().settle(9);
        let last = today.reserve(10, 100, NOON).unwrap();
        let over = today.reserve(10, 1, NOON).unwrap_err();
        assert_eq!((over.limit, over.retry_after, over.standing.remaining), (Limit::Day, 60, 0));
        assert_eq!(over.standing.resets_at, 20_001 * 86_400);
        last.settle(0);
        assert_eq!(left(&today, 10), 1, "what was not kept is given back");
        let late = Millis(20_001 * Millis::DAY - 1);
        today.reserve(1, 1, NOON).unwrap_err();
        assert_eq!(today.look(1, late).unwrap_err().retry_after, 1, "never longer than the day lasts");
    }

    #[test]
    fn what_other_nodes_have_stored_counts_once() {
        let today = Arc::new(Today::default());
        today.learn(20_000, 40);
        assert_eq!(left(&today, 100), 60);
        today.reserve(100, 10, NOON).unwrap().settle(8);
        assert_eq!(left(&today, 100), 52);
        let under_way = today.reserve(100, 5, NOON).unwrap();
        // 40 before, 8 of ours, 12 of another node.
        today.learn(20_000, 60);
        assert_eq!(left(&today, 100), 35);
        drop(under_way);
        assert_eq!(left(&today, 100), 35, "a caller that went away has had its events");
        // They were never stored.
        today.learn(20_000, 60);
        assert_eq!(left(&today, 100), 40);
    }

    #[test]
    fn a_new_day_begins_at_nothing() {
        let today = Arc::new(Today::default());
        today.learn(20_000, 100);
        today.turn_away(TurnedAway::Quota, NOON);
        let old = today.reserve(1_000, 7, NOON).unwrap();
        assert_eq!(today.turned(NOON), [(TurnedAway::Quota, 1)]);
        let tomorrow = NOON.plus(Millis::DAY);
        assert_eq!(today.look(100, tomorrow).unwrap().remaining, 100);
        assert!(today.turned(tomorrow).is_empty() && today.is_known());
        old.settle(7);
        today.learn(20_000, 100);
        assert_eq!(today.look(100, tomorrow).unwrap().remaining, 100, "yesterday's answers come too late");
    }
}
