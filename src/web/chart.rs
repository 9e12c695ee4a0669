//! Charts as plain figures for a template: positions, paths and labels, without any drawing library.
//!
//! Across, positions are percentages, so that a chart fills any width; up and down they are pixels. Text keeps its
//! size on every screen.

use super::format::compact;

/// Height of the plot in pixels.
pub const PLOT: u32 = 220;
/// Room above the highest line, for its label.
pub const ROOM: u32 = 14;
/// Height of everything: room, plot and the labels beneath.
pub const HEIGHT: u32 = ROOM + PLOT + 28;

/// Height of a small chart in pixels.
pub const SPARK: u32 = 44;

/// Most slots that are drawn as bars; more become a curve.
const BARS: usize = 48;
/// Most slots that answer to the pointer one by one.
const HOVERED: usize = 120;
/// Most labels along the bottom.
const TICKS: usize = 12;
/// Most labels on a small screen; every second one is left out there where there are more.
const FEW_TICKS: usize = 6;
/// Width of a curve's own coordinates.
const ACROSS: f64 = 1_000.0;

/// One value with its names.
pub struct Point {
    /// What is counted.
    pub value: i64,
    /// Its place in time, short, for the axis.
    pub tick: String,
    /// Place and value in words.
    pub title: String,
}

/// A series to draw.
pub struct Series {
    /// Oldest first.
    pub points: Vec<Point>,
    /// Places after the last point that are still to come, by their names on the axis.
    pub ahead: Vec<String>,
    /// Which point is not complete yet.
    pub unfinished: Option<usize>,
}

/// A drawn chart.
pub struct Chart {
    /// Horizontal lines, lowest first.
    pub lines: Vec<Line>,
    /// Labels along the bottom.
    pub ticks: Vec<Tick>,
    /// Places that show their title under the pointer.
    pub places: Vec<Place>,
    /// Bars, where the chart is drawn as such.
    pub bars: Vec<Bar>,
    /// The curve, where it is drawn as such.
    pub curve: Option<Curve>,
}

/// A horizontal line with its value.
pub struct Line {
    /// Pixels from the top.
    pub y: u32,
    /// Its value.
    pub label: String,
}

/// A label along the bottom.
pub struct Tick {
    /// Percent from the left.
    pub x: String,
    /// Its text.
    pub label: String,
    /// `tick`, or `tick minor` for one that small screens leave out.
    pub class: &'static str,
}

/// A place that answers to the pointer, as high as the plot.
pub struct Place {
    /// Percent from the left.
    pub x: String,
    /// Percent.
    pub width: String,
    /// Place and value in words.
    pub title: String,
}

/// A bar.
pub struct Bar {
    /// Percent from the left.
    pub x: String,
    /// Percent.
    pub width: String,
    /// Pixels from the top of the plot.
    pub y: u32,
    /// Pixels, with some to spare that the plot's edge cuts off, so that only upper corners are round.
    pub height: u32,
    /// `bar` or `bar unfinished`.
    pub class: &'static str,
}

/// A curve in coordinates of 1000 by [`PLOT`].
pub struct Curve {
    /// What lies under it, as path data.
    pub area: String,
    /// The complete part, as path data.
    pub line: String,
    /// The step to the unfinished point, as path data; empty where there is none.
    pub tail: String,
}

/// Draws a series of counts.
pub fn draw(series: &Series) -> Chart {
    drawn(series, compact)
}

/// Draws a series of shares, each in thousandths.
pub fn draw_shares(series: &Series) -> Chart {
    drawn(series, percent_of)
}

/// Thousandths as percent: `4%`, `0.5%`.
fn percent_of(thousandths: i64) -> String {
    match thousandths % 10 {
        0 => format!("{}%", thousandths / 10),
        tenth => format!("{}.{tenth}%", thousandths / 10),
    }
}

fn drawn(series: &Series, label: fn(i64) -> String) -> Chart {
    let slots = (series.points.len() + series.ahead.len()).max(1);
    let top = series.points.iter().map(|point| point.value).max().unwrap_or(0);
    let scale = nice_scale(top);
    let ceiling = scale.last().copied().unwrap_or(1).max(1);
    let lines = scale.iter().map(|value| {
        let y = ROOM + PLOT - pixels(*value, ceiling, PLOT);
        Line { y, label: label(*value) }
    });
    let as_bars = slots <= BARS;
    let width = 100.0 / slots as f64;
    let place = |(at, point): (usize, &Point)| Place {
        x: percent(at as f64 * width),
        width: percent(width),
        title: point.title.clone(),
    };
    Chart {
        lines: lines.collect(),
        ticks: ticks(series, slots),
        places: series.points.iter().enumerate().filter(|_| slots <= HOVERED).map(place).collect(),
        bars: if as_bars { bars(series, slots, ceiling) } else { Vec::new() },
        curve: (!as_bars).then(|| curve(series, slots, ceiling)),
    }
}

/// A small chart without any text, [`SPARK`] pixels high: one bar for each value, the last one being unfinished.
pub fn sparkline(values: &[i64]) -> Vec<Bar> {
    let ceiling = values.iter().copied().max().unwrap_or(0).max(1);
    let slot = 100.0 / values.len().max(1) as f64;
    let bar = |(at, value): (usize, &i64)| {
        let height = if *value > 0 { pixels(*value, ceiling, SPARK).max(3) } else { 1 };
        Bar {
            x: percent((at as f64 + 0.2) * slot),
            width: percent(slot * 0.6),
            y: SPARK - height,
            height,
            class: if at + 1 == values.len() { "bar now" } else { "bar" },
        }
    };
    values.iter().enumerate().map(bar).collect()
}

/// Values for horizontal lines: 0 and up to five steps of 1, 2 or 5 times a power of ten, whole numbers only, the last
/// not below `top`.
fn nice_scale(top: i64) -> Vec<i64> {
    let top = top.max(1);
    let mut power = 1_i64;
    loop {
        for factor in [1, 2, 5] {
            let step = power.saturating_mul(factor);
            let steps = top / step + i64::from(top % step != 0);
            if steps <= 5 {
                return (0..=steps).map(|at| step.saturating_mul(at)).collect();
            }
        }
        power = power.saturating_mul(10);
    }
}

fn bars(series: &Series, slots: usize, ceiling: i64) -> Vec<Bar> {
    let slot = 100.0 / slots as f64;
    let filled = if slots <= 8 { 0.52 } else { 0.72 };
    let bar = |(at, point): (usize, &Point)| {
        let height = pixels(point.value, ceiling, PLOT);
        let height = if point.value > 0 { height.max(2) } else { 0 };
        Bar {
            x: percent((at as f64 + (1.0 - filled) / 2.0) * slot),
            width: percent(slot * filled),
            y: PLOT - height,
            height: if height > 0 { height + 8 } else { 0 },
            class: if series.unfinished == Some(at) { "bar unfinished" } else { "bar" },
        }
    };
    series.points.iter().enumerate().map(bar).collect()
}

fn curve(series: &Series, slots: usize, ceiling: i64) -> Curve {
    let at = |index: usize| (index as f64 + 0.5) * ACROSS / slots as f64;
    let spots: Vec<String> = series
        .points
        .iter()
        .enumerate()
        .map(|(index, point)| format!("{} {}", plain(at(index)), PLOT - pixels(point.value, ceiling, PLOT)))
        .collect();
    let complete = match series.unfinished {
        Some(open) if open > 0 => open.min(spots.len()),
        _ => spots.len(),
    };
    let path = |spots: &[String]| if spots.is_empty() { String::new() } else { format!("M{}", spots.join("L")) };
    let right = plain(at(spots.len().saturating_sub(1)));
    Curve {
        area: match path(&spots) {
            line if line.is_empty() => line,
            line => format!("{line}L{right} {PLOT}L{} {PLOT}Z", plain(at(0))),
        },
        line: path(&spots[..complete]),
        tail: if complete < spots.len() { path(&spots[complete - 1..]) } else { String::new() },
    }
}

fn ticks(series: &Series, slots: usize) -> Vec<Tick> {
    let labels: Vec<&String> = series.points.iter().map(|point| &point.tick).chain(&series.ahead).collect();
    let stride = slots.div_ceil(TICKS).max(1);
    // Counted from now, unless the axis goes on beyond it: then from where it begins.
    let anchor = if series.ahead.is_empty() { labels.len().saturating_sub(1) } else { 0 };
    let many = labels.len().div_ceil(stride) > FEW_TICKS;
    let tick = |(at, label): (usize, &&String)| Tick {
        x: percent((at as f64 + 0.5) * 100.0 / slots as f64),
        label: (*label).clone(),
        class: if many && (anchor.abs_diff(at) / stride) % 2 == 1 { "tick minor" } else { "tick" },
    };
    labels.iter().enumerate().filter(|(at, _)| anchor.abs_diff(*at).is_multiple_of(stride)).map(tick).collect()
}

fn pixels(value: i64, ceiling: i64, height: u32) -> u32 {
    let part = value.clamp(0, ceiling) as f64 / ceiling as f64;
    (part * f64::from(height)).round() as u32
}

fn percent(value: f64) -> String {
    format!("{}%", plain(value))
}

/// Two decimals at the most, without trailing zeros.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[i64], ahead: usize, unfinished: Option<usize>) -> Series {
        let point = |(at, value): (usize, &i64)| Point { value: *value, tick: format!("t{at}"), title: String::new() };
        let ahead = (values.len()..values.len() + ahead).map(|at| format!("t{at}")).collect();
        Series { points: values.iter().enumerate().map(point).collect(), ahead, unfinished }
    }

    #[test]
    fn scales_have_few_round_steps_and_hold_the_top() {
        for (top, scale) in [
            (0, vec![0, 1]),
            (1, vec![0, 1]),
            (3, vec![0, 1, 2, 3]),
            (6, vec![0, 2, 4, 6]),
            (7, vec![0, 2, 4, 6, 8]),
            (11, vec![0, 5, 10, 15]),
            (99, vec![0, 20, 40, 60, 80, 100]),
            (1_234, vec![0, 500, 1_000, 1_500]),
            (-5, vec![0, 1]),
        ] {
            assert_eq!(nice_scale(top), scale, "{top}");
        }
        assert!(nice_scale(i64::MAX).len() <= 6);
    }

    #[test]
    fn bars_stand_on_the_ground_and_the_unfinished_one_is_marked() {
        let chart = draw(&series(&[0, 50, 100], 1, Some(2)));
        let seen: Vec<_> = chart.bars.iter().map(|b| (b.x.as_str(), b.y, b.height, b.class)).collect();
        assert_eq!(seen, [("6%", 220, 0, "bar"), ("31%", 110, 118, "bar"), ("56%", 0, 228, "bar unfinished")]);
        assert_eq!(chart.places.len(), 3, "the place to come has no title");
        assert!(chart.curve.is_none());
    }

    #[test]
    fn a_tiny_value_is_still_seen_and_nothing_is_not() {
        let chart = draw(&series(&[1, 0, 100_000], 0, None));
        assert_eq!(chart.bars.iter().map(|b| 220 - b.y).collect::<Vec<_>>(), [2, 0, 220]);
    }

    #[test]
    fn many_values_become_a_curve_with_a_dashed_end() {
        let values: Vec<i64> = (0..50).map(|n| n * 2).collect();
        let curve = draw(&series(&values, 0, Some(49))).curve.unwrap();
        assert!(curve.line.starts_with("M10 220L30 ") && curve.line.ends_with("L970 9"), "{}", curve.line);
        assert_eq!(curve.tail, "M970 9L990 4");
        assert!(curve.area.ends_with("L990 4L990 220L10 220Z"), "{}", curve.area);
        let whole = draw(&series(&values, 0, None)).curve.unwrap();
        assert_eq!(whole.tail, "");
        assert!(whole.line.ends_with("L990 4"));
    }

    #[test]
    fn labels_are_few_and_begin_or_end_where_the_axis_does() {
        for (count, ahead, labelled) in [(1, 23, "t0"), (7, 0, "t6"), (24, 0, "t23"), (90, 0, "t89"), (400, 0, "t399")]
        {
            let ticks = draw(&series(&vec![1; count], ahead, None)).ticks;
            assert!((1..=TICKS).contains(&ticks.len()), "{count}: {}", ticks.len());
            assert!(ticks.iter().filter(|tick| tick.class == "tick").count() <= FEW_TICKS, "{count}");
            assert!(ticks.iter().any(|tick| tick.label == labelled && tick.class == "tick"), "{count}");
        }
    }

    #[test]
    fn shares_are_told_in_percent() {
        let labels = |values: &[i64]| {
            let chart = draw_shares(&series(values, 0, None));
            chart.lines.into_iter().map(|line| line.label).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[1_000, 370]), ["0%", "20%", "40%", "60%", "80%", "100%"]);
        assert_eq!(labels(&[12, 3]), ["0%", "0.5%", "1%", "1.5%"]);
    }

    #[test]
    fn nothing_to_draw_is_no_failure() {
        let chart = draw(&series(&[], 0, None));
        assert!(chart.bars.is_empty() && chart.ticks.is_empty());
        assert_eq!(sparkline(&[]).len(), 0);
        assert_eq!(sparkline(&[0, 5, 10]).iter().map(|b| b.height).collect::<Vec<_>>(), [1, 22, 44]);
    }
}
