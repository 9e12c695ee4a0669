//! Periods that may overlap, laid out so that the ones an instant is in are found in a few steps.

use crate::model::{Millis, Period, TimeRange};

/// Periods by their place in a list.
pub(super) struct Spans {
    /// All ends of periods, sorted.
    edges: Vec<Millis>,
    /// Those that hold the stretch from an edge to the next one.
    within: Vec<Vec<u32>>,
}

impl Spans {
    pub(super) fn of(periods: &[Period]) -> Self {
        let mut edges: Vec<_> = periods.iter().flat_map(|period| [period.range.from, period.range.to]).collect();
        edges.sort_unstable();
        edges.dedup();
        let holding = |edge: &Millis| {
            let holds = periods.iter().zip(0..).filter(|(period, _)| period.range.contains(*edge));
            holds.map(|(_, place)| place).collect()
        };
        let within = edges.iter().map(holding).collect();
        Self { edges, within }
    }

    /// The places of the periods that an instant is in.
    pub(super) fn at(&self, at: Millis) -> &[u32] {
        let after = self.edges.partition_point(|edge| *edge <= at);
        after.checked_sub(1).and_then(|edge| self.within.get(edge)).map_or(&[], Vec::as_slice)
    }

    /// Whether all of a stretch is in the same periods, from its beginning to its end.
    pub(super) fn are_even(&self, stretch: TimeRange) -> bool {
        let after = |at: Millis| self.edges.partition_point(|edge| *edge <= at);
        after(stretch.from) == after(stretch.to.plus(-1))
    }

    /// Stretches that hold all periods and nothing else, none touching another.
    pub(super) fn ranges(&self) -> Vec<TimeRange> {
        let mut ranges: Vec<TimeRange> = Vec::new();
        for (edges, within) in self.edges.windows(2).zip(&self.within) {
            match ranges.last_mut() {
                _ if within.is_empty() => {}
                Some(last) if last.to == edges[0] => last.to = edges[1],
                _ => ranges.push(TimeRange { from: edges[0], to: edges[1] }),
            }
        }
        ranges
    }

    /// From the first period's beginning to the last one's end.
    pub(super) fn whole(&self) -> TimeRange {
        let (from, to) = (self.edges.first(), self.edges.last());
        TimeRange { from: from.copied().unwrap_or_default(), to: to.copied().unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Zone;

    #[test]
    fn an_instant_is_in_all_periods_that_hold_it() {
        let zone = Zone::utc();
        let period = |(from, to): (i64, i64)| Period {
            range: TimeRange { from: Millis(from), to: Millis(to) },
            first: zone.local(Millis(from)),
            next: zone.local(Millis(to)),
        };
        let spans = Spans::of(&[(10, 20), (20, 30), (15, 25), (40, 50)].map(period));
        for (at, places) in
            [(9, &[][..]), (10, &[0]), (19, &[0, 2]), (20, &[1, 2]), (29, &[1]), (30, &[]), (49, &[3]), (50, &[])]
        {
            assert_eq!(spans.at(Millis(at)), places, "at {at}");
        }
        let ranges: Vec<_> = spans.ranges().iter().map(|range| (range.from.0, range.to.0)).collect();
        assert_eq!(ranges, [(10, 30), (40, 50)]);
        for (from, to, even) in [(10, 15, true), (10, 16, false), (12, 13, true), (24, 26, false), (50, 90, true)] {
            assert_eq!(spans.are_even(TimeRange { from: Millis(from), to: Millis(to) }), even, "{from} to {to}");
        }
        assert!(Spans::of(&[]).ranges().is_empty());
    }
}
