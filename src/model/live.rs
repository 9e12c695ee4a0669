//! What happens now: the last half hour by minute.

use super::{Dimension, Fact, Filters, Millis};

/// Minutes that are told, one by one.
pub const LIVE_MINUTES: usize = 30;

/// Minutes that are told together, the last of them.
pub const LIVE_RECENT: usize = 5;

/// The dimensions whose values with the most events are told.
pub const LIVE_TOPS: [Dimension; 3] = [Dimension::Event, Dimension::Fact(Fact::Version), Dimension::Fact(Fact::System)];

/// What happens now. Answered by [`Report::Live`](super::Report::Live).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LiveAsk {
    /// The end of the last minute.
    pub until: Millis,
    /// Of which events.
    pub filters: Filters,
    /// At most so many values of each dimension.
    pub limit: u32,
}

impl LiveAsk {
    /// The minutes up to the one that `now` lies in.
    pub fn at(now: Millis, filters: Filters, limit: u32) -> Self {
        let until = Millis(now.0.div_euclid(Millis::MINUTE) * Millis::MINUTE).plus(Millis::MINUTE);
        Self { until, filters, limit }
    }

    /// When the first minute begins.
    pub fn begin(&self) -> Millis {
        self.until.plus(-(LIVE_MINUTES as i64) * Millis::MINUTE)
    }
}

/// Answer to a [`LiveAsk`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Live {
    /// Whether so much happens that counting it was given up; then nothing else is told.
    pub cut: bool,
    /// Events of each minute, the first one first.
    pub minutes: [i64; LIVE_MINUTES],
    /// Of the last [`LIVE_RECENT`] minutes.
    pub recent: LiveCounts,
    /// Of all of them.
    pub whole: LiveCounts,
    /// The values of [`LIVE_TOPS`] with the most events.
    pub tops: [LiveTop; LIVE_TOPS.len()],
}

/// Counts of some minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LiveCounts {
    /// Events.
    pub events: i64,
    /// Different users.
    pub users: i64,
    /// Events that tell of an error, crashes included.
    pub errors: i64,
}

/// The values of a dimension with the most events, most first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LiveTop {
    /// Value and events; `None` is that of events that do not say.
    pub rows: Vec<(Option<String>, i64)>,
    /// How many values there are, those not listed included.
    pub values: u64,
}
