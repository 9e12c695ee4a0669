//! From values to bars and curves in the measures of a plot.

use super::{ACROSS, Bar, Curve, PLOT, percent, pixels, plain};

/// The plot's own measures.
pub(super) struct Plot {
    pub(super) slots: usize,
    pub(super) floor: i64,
    pub(super) ceiling: i64,
}

impl Plot {
    fn height(&self, value: i64) -> u32 {
        pixels(value.saturating_sub(self.floor), self.ceiling - self.floor, PLOT)
    }

    /// Pixels from the top.
    pub(super) fn y(&self, value: i64) -> u32 {
        PLOT - self.height(value)
    }

    fn bar(&self, (at, value): (usize, Option<i64>), filled: f64, class: &'static str) -> Bar {
        let slot = 100.0 / self.slots as f64;
        let height = match value {
            Some(value) if value > 0 => self.height(value).max(2),
            _ => 0,
        };
        Bar {
            x: percent((at as f64 + (1.0 - filled) / 2.0) * slot),
            width: percent(slot * filled),
            y: PLOT - height,
            height: if height > 0 { height + 8 } else { 0 },
            class,
        }
    }

    pub(super) fn bars(&self, values: &[Option<i64>], unfinished: Option<usize>) -> Vec<Bar> {
        let filled = if self.slots <= 8 { 0.52 } else { 0.72 };
        let class = |at| if unfinished == Some(at) { "bar unfinished" } else { "bar" };
        values.iter().enumerate().map(|(at, value)| self.bar((at, *value), filled, class(at))).collect()
    }

    /// Wider than the others, so that they are seen behind them.
    pub(super) fn earlier_bars(&self, values: &[Option<i64>]) -> Vec<Bar> {
        let filled = if self.slots <= 8 { 0.72 } else { 0.96 };
        let all = values.iter().enumerate().map(|(at, value)| self.bar((at, *value), filled, "bar earlier"));
        all.filter(|bar| bar.height > 0).collect()
    }

    pub(super) fn curve(&self, values: &[Option<i64>], unfinished: Option<usize>) -> Curve {
        let complete = match unfinished {
            Some(open) if open > 0 => open.min(values.len()),
            _ => values.len(),
        };
        Curve {
            area: self.runs(values, 0).iter().map(|run| self.area(run)).collect(),
            line: self.path(&values[..complete], 0),
            tail: if complete < values.len() && values[complete].is_some() {
                self.path(&values[complete - 1..], complete - 1)
            } else {
                String::new()
            },
        }
    }

    /// A path through the values from a place on, broken where there is none; one that stands alone is a dot.
    pub(super) fn path(&self, values: &[Option<i64>], from: usize) -> String {
        let line = |run: &Vec<(String, u32)>| {
            let spots: Vec<_> = run.iter().map(|(x, y)| format!("{x} {y}")).collect();
            let dot = if spots.len() == 1 { format!("L{}", spots[0]) } else { String::new() };
            format!("M{}{dot}", spots.join("L"))
        };
        self.runs(values, from).iter().map(line).collect()
    }

    fn area(&self, run: &[(String, u32)]) -> String {
        let (Some((left, _)), Some((right, _))) = (run.first(), run.last()) else { return String::new() };
        let spots: Vec<_> = run.iter().map(|(x, y)| format!("{x} {y}")).collect();
        format!("M{}L{right} {PLOT}L{left} {PLOT}Z", spots.join("L"))
    }

    /// The values that follow each other without a gap, as spots.
    fn runs(&self, values: &[Option<i64>], from: usize) -> Vec<Vec<(String, u32)>> {
        let mut runs: Vec<Vec<_>> = vec![Vec::new()];
        for (at, value) in values.iter().enumerate() {
            match (value, runs.last_mut()) {
                (Some(value), Some(run)) => {
                    let x = ((from + at) as f64 + 0.5) * ACROSS / self.slots as f64;
                    run.push((plain(x), self.y(*value)));
                }
                _ => runs.push(Vec::new()),
            }
        }
        runs.retain(|run| !run.is_empty());
        runs
    }
}
