//! A chart of bars with its words, for `parts/chart.html`.

use super::chart::{self, Chart, Point, Series};

/// What is drawn.
pub struct Bars {
    /// What is counted.
    pub label: &'static str,
    /// What one bar is for.
    pub interval: &'static str,
    /// The highest bar in words.
    pub spoken: String,
    /// The figures of the drawing.
    pub chart: Chart,
    /// Whether there is nothing to see.
    pub empty: bool,
}

impl Bars {
    /// Bars of those heights. `unfinished` is the one that still grows.
    pub fn new(label: &'static str, interval: &'static str, points: Vec<Point>, unfinished: Option<usize>) -> Self {
        let highest = points.iter().max_by_key(|point| point.value);
        Self {
            label,
            interval,
            spoken: highest.map_or_else(String::new, |point| format!("Highest: {}.", point.title)),
            empty: points.iter().all(|point| point.value == 0),
            chart: chart::draw(&Series { points, ahead: Vec::new(), unfinished }),
        }
    }
}
