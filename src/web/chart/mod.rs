//! Charts as plain figures for a template: positions, paths and labels, without any drawing library.
//!
//! Across, positions are percentages, so that a chart fills any width; up and down they are pixels. Text keeps its
//! size on every screen.

mod plot;
mod scale;

use crate::model::Metric;

use plot::Plot;
use scale::{Scale, nice_scale};

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

/// What stands beside a series of a metric.
#[derive(Default)]
pub struct Beside {
    /// The earlier stretch, at the same places as the points and what is ahead; empty where nothing is compared.
    pub earlier: Vec<Option<i64>>,
    /// Points without a value, such as a share of nothing.
    pub missing: Vec<usize>,
    /// Something to remember, oldest first.
    pub marks: Vec<(usize, String)>,
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
    /// Bars of the earlier stretch, behind the others.
    pub earlier_bars: Vec<Bar>,
    /// The curve of the earlier stretch as path data; empty where there is none.
    pub earlier_line: String,
    /// Marks with their labels.
    pub marks: Vec<Mark>,
}

/// A mark on a place.
pub struct Mark {
    /// Percent from the left.
    pub x: String,
    /// Baseline of the label, in pixels from the top.
    pub y: u32,
    /// Which end of the label is at the mark: `start`, `middle` or `end`.
    pub anchor: &'static str,
    /// What is remembered.
    pub label: String,
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
    drawn(series, &Beside::default(), &Scale::COUNTS)
}

/// Draws a series of shares, each in thousandths.
pub fn draw_shares(series: &Series) -> Chart {
    drawn(series, &Beside::default(), &Scale::THOUSANDTHS)
}

/// Draws a series of shares as a curve, however few they are.
pub fn draw_share_curve(series: &Series) -> Chart {
    let values: Vec<_> = series.points.iter().map(|point| Some(point.value)).collect();
    let slots = (series.points.len() + series.ahead.len()).max(1);
    let top = nice_scale(values.iter().copied().flatten().max().unwrap_or(0)).last().copied().unwrap_or(1);
    let plot = Plot { slots, floor: 0, ceiling: top.max(1) };
    Chart { bars: Vec::new(), curve: Some(plot.curve(&values, series.unfinished)), ..draw_shares(series) }
}

/// Draws a series of a metric, in its unit, with what stands beside it.
pub fn draw_metric(metric: Metric, series: &Series, beside: &Beside) -> Chart {
    let known = series.points.iter().enumerate().filter(|(at, _)| !beside.missing.contains(at));
    let lowest = known.map(|(_, point)| point.value).chain(beside.earlier.iter().copied().flatten()).min();
    drawn(series, beside, &Scale::of(metric, lowest))
}

fn drawn(series: &Series, beside: &Beside, scale: &Scale) -> Chart {
    let slots = (series.points.len() + series.ahead.len()).max(1);
    let values: Vec<Option<i64>> =
        (0..series.points.len()).map(|at| (!beside.missing.contains(&at)).then(|| series.points[at].value)).collect();
    let top = values.iter().chain(&beside.earlier).copied().flatten().max().unwrap_or(0);
    let steps = scale.steps(top);
    let plot = Plot { slots, floor: scale.floor, ceiling: steps.last().copied().unwrap_or(1).max(scale.floor + 1) };
    let line = |value: &i64| Line { y: ROOM + plot.y(*value), label: (scale.label)(*value) };
    // Bars stand for their whole height, so they need a ground that is nothing.
    let as_bars = slots <= BARS && scale.floor == 0;
    let width = 100.0 / slots as f64;
    let place = |(at, point): (usize, &Point)| Place {
        x: percent(at as f64 * width),
        width: percent(width),
        title: point.title.clone(),
    };
    Chart {
        lines: steps.iter().map(line).collect(),
        ticks: ticks(series, slots),
        places: series.points.iter().enumerate().filter(|_| slots <= HOVERED).map(place).collect(),
        bars: if as_bars { plot.bars(&values, series.unfinished) } else { Vec::new() },
        curve: (!as_bars).then(|| plot.curve(&values, series.unfinished)),
        earlier_bars: if as_bars { plot.earlier_bars(&beside.earlier) } else { Vec::new() },
        earlier_line: if as_bars { String::new() } else { plot.path(&beside.earlier, 0) },
        marks: marks(&beside.marks, slots),
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

/// Marks of one place are told together; a label that would run into its neighbour stands a line lower.
fn marks(wanted: &[(usize, String)], slots: usize) -> Vec<Mark> {
    const LINES: u32 = 3;
    const APART: f64 = 17.0;
    let mut together: Vec<(usize, String)> = Vec::new();
    for (at, label) in wanted {
        match together.last_mut() {
            Some((there, labels)) if there == at => *labels = format!("{labels}, {label}"),
            _ => together.push((*at, label.clone())),
        }
    }
    let mut ends = [f64::MIN; LINES as usize];
    let mark = |(at, label): (usize, String)| {
        let x = (at as f64 + 0.5) * 100.0 / slots as f64;
        let line = ends.iter().position(|end| x - end >= APART).unwrap_or(0);
        ends[line] = x;
        let anchor = match x {
            x if x < 8.0 => "start",
            x if x > 92.0 => "end",
            _ => "middle",
        };
        Mark { x: percent(x), y: 10 + 14 * line as u32, anchor, label }
    };
    together.into_iter().map(mark).collect()
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
    fn shares_near_all_are_seen_from_near() {
        for (values, floor, bars) in [([9_950, 9_990], "99%", 0), ([9_100, 9_990], "90%", 0), ([5_000, 9_990], "0%", 2)]
        {
            let chart = draw_metric(Metric::CrashFreeSessions, &series(&values, 0, None), &Beside::default());
            assert_eq!((chart.lines[0].label.as_str(), chart.bars.len()), (floor, bars), "{values:?}");
            assert_eq!(chart.lines.last().map(|line| line.label.as_str()), Some("100%"), "{values:?}");
        }
    }

    #[test]
    fn what_was_before_stands_behind_and_what_is_missing_is_a_gap() {
        let beside =
            Beside { earlier: vec![Some(100), None, Some(0), Some(50)], missing: vec![1], ..Beside::default() };
        let chart = draw_metric(Metric::Events, &series(&[50, 99, 25], 1, None), &beside);
        assert_eq!(chart.bars.iter().map(|bar| 220 - bar.y).collect::<Vec<_>>(), [110, 0, 55]);
        assert_eq!(chart.earlier_bars.iter().map(|bar| 220 - bar.y).collect::<Vec<_>>(), [220, 110]);
        let values: Vec<i64> = vec![1; 50];
        let beside = Beside { earlier: vec![Some(1); 50], missing: vec![1, 3], ..Beside::default() };
        let chart = draw_metric(Metric::Events, &series(&values, 0, Some(49)), &beside);
        assert!(chart.curve.unwrap().line.starts_with("M10 0L10 0M50 0L50 0M90 0L110 0"));
        assert!(chart.earlier_line.starts_with("M10 0L30 0") && chart.earlier_bars.is_empty());
    }

    #[test]
    fn marks_keep_out_of_each_other_s_way() {
        let wanted = [(0, "1.0"), (0, "1.1"), (1, "1.2"), (9, "2.0")].map(|(at, label)| (at, label.to_owned()));
        let beside = Beside { marks: wanted.to_vec(), ..Beside::default() };
        let chart = draw_metric(Metric::Events, &series(&[1; 10], 0, None), &beside);
        let seen: Vec<_> = chart.marks.iter().map(|m| (m.x.as_str(), m.y, m.anchor, m.label.as_str())).collect();
        assert_eq!(seen, [("5%", 10, "start", "1.0, 1.1"), ("15%", 24, "middle", "1.2"), ("95%", 10, "end", "2.0")]);
    }

    #[test]
    fn nothing_to_draw_is_no_failure() {
        let chart = draw(&series(&[], 0, None));
        assert!(chart.bars.is_empty() && chart.ticks.is_empty());
        assert_eq!(sparkline(&[]).len(), 0);
        assert_eq!(sparkline(&[0, 5, 10]).iter().map(|b| b.height).collect::<Vec<_>>(), [1, 22, 44]);
    }
}
