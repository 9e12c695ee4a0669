//! How many failed sign-ins are written down.

use crate::model::Millis;

/// Listed one by one within an hour.
const AN_HOUR: u32 = 200;

/// Those of the present hour.
#[derive(Debug, Default)]
pub(super) struct Failures {
    hour: i64,
    count: u32,
}

/// Whether a failure is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// It is.
    Yes,
    /// It is the last of its hour.
    Last,
    /// There were too many.
    No,
}

impl Failures {
    /// One more.
    pub(super) fn count(&mut self, now: Millis) -> Listed {
        let hour = now.0.div_euclid(Millis::HOUR);
        if hour != self.hour {
            *self = Self { hour, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        match self.count {
            ..AN_HOUR => Listed::Yes,
            AN_HOUR => Listed::Last,
            _ => Listed::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_two_hundred_lines() {
        let (mut failures, now) = (Failures::default(), Millis(1_800_000_000_000));
        let all: Vec<_> = (0..500).map(|_| failures.count(now)).collect();
        assert!(all[..199].iter().all(|listed| *listed == Listed::Yes));
        assert!(all[199] == Listed::Last && all[200..].iter().all(|listed| *listed == Listed::No));
        assert_eq!(failures.count(now.plus(Millis::HOUR)), Listed::Yes);
    }
}
