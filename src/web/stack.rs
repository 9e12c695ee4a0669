//! Parts of a whole over time as stacked areas, as plain figures for `parts/stack.html`. Coordinates are those of
//! [`chart`](super::chart).

use super::chart::{self, Chart, PLOT};

/// Most parts that have a colour of their own.
pub const COLOURS: usize = 5;

/// Width of the areas' own coordinates.
const ACROSS: f64 = 1_000.0;

/// Some parts of a whole, to be drawn.
pub struct Parts {
    /// The lowest first: name, page, and a count for each period.
    pub parts: Vec<(String, Option<String>, Vec<i64>)>,
    /// All counts together, for each period.
    pub whole: Vec<i64>,
    /// Names of the periods, short for the axis and in full.
    pub names: Vec<(String, String)>,
    /// Which period is not over yet.
    pub unfinished: Option<usize>,
}

/// The drawing.
pub struct Stack {
    /// Lines, labels and places.
    pub frame: Chart,
    /// The lowest first.
    pub layers: Vec<Layer>,
    /// Where the period that is not over begins, in percent from the left.
    pub open: Option<String>,
}

/// One part.
pub struct Layer {
    /// `part-1` to `part-5`, or `part-rest`.
    pub class: String,
    /// What it is.
    pub name: String,
    /// Its page.
    pub href: Option<String>,
    /// What lies under its upper edge, as path data in coordinates of 1000 by [`PLOT`].
    pub area: String,
    /// Its share of all periods together.
    pub share: String,
}

/// Draws the parts, and what is left of the whole as the uppermost.
pub fn draw(parts: &Parts) -> Stack {
    let periods = parts.whole.len();
    let listed = |at: usize| -> i64 { parts.parts.iter().map(|(_, _, counts)| counts[at]).sum() };
    let rest: Vec<i64> = (0..periods).map(|at| (parts.whole[at] - listed(at)).max(0)).collect();
    let mut all: Vec<(&str, Option<&String>, &[i64])> =
        parts.parts.iter().map(|(name, href, counts)| (name.as_str(), href.as_ref(), counts.as_slice())).collect();
    if rest.iter().any(|count| *count > 0) {
        all.push(("all others", None, &rest));
    }
    let total: i64 = parts.whole.iter().sum();
    let mut below = vec![0; periods];
    let layer = |(at, (name, href, counts)): (usize, &(&str, Option<&String>, &[i64]))| {
        let lower = below.clone();
        below.iter_mut().zip(*counts).for_each(|(sum, count)| *sum += count);
        Layer {
            class: if at < parts.parts.len().min(COLOURS) {
                format!("part-{}", at + 1)
            } else {
                "part-rest".to_owned()
            },
            name: (*name).to_owned(),
            href: href.cloned(),
            area: area(&lower, &below, &parts.whole),
            share: super::format::share(counts.iter().sum(), total),
        }
    };
    let layers: Vec<Layer> = all.iter().enumerate().map(layer).collect();
    let title = |at: usize, name: &str| {
        let share = |(part, _, counts): &(&str, Option<&String>, &[i64])| {
            (counts[at] > 0).then(|| format!("{part} {}", super::format::share(counts[at], parts.whole[at])))
        };
        let shares: Vec<String> = all.iter().filter_map(share).collect();
        if shares.is_empty() { format!("{name}: no sessions") } else { format!("{name}: {}", shares.join(", ")) }
    };
    let points = parts.names.iter().enumerate();
    // A chart whose highest value is all there is has an axis up to 100 %.
    let points =
        points.map(|(at, (tick, name))| chart::Point { value: 1_000, tick: tick.clone(), title: title(at, name) });
    let series = chart::Series { points: points.collect(), ahead: Vec::new(), unfinished: parts.unfinished };
    let open = parts.unfinished.filter(|_| periods > 1).map(|at| format!("{:.2}%", at as f64 * 100.0 / periods as f64));
    Stack { frame: chart::draw_shares(&series), layers, open }
}

/// The area between two rows of counts, as shares of a third; from the left edge to the right, straight between the
/// middles of the periods.
fn area(lower: &[i64], upper: &[i64], whole: &[i64]) -> String {
    let y = |count: i64, whole: i64| {
        let share = count.clamp(0, whole.max(0)) as f64 / whole.max(1) as f64;
        f64::from(PLOT) * (1.0 - share)
    };
    let x = |at: usize| (at as f64 + 0.5) * ACROSS / whole.len().max(1) as f64;
    let edge = |row: &[i64]| -> Vec<(f64, f64)> {
        let middles: Vec<_> =
            row.iter().zip(whole).enumerate().map(|(at, (count, all))| (x(at), y(*count, *all))).collect();
        let (first, last) = (middles.first().map(|(_, y)| (0.0, *y)), middles.last().map(|(_, y)| (ACROSS, *y)));
        first.into_iter().chain(middles).chain(last).collect()
    };
    let spots = edge(upper).into_iter().chain(edge(lower).into_iter().rev());
    let spots: Vec<String> = spots.map(|(x, y)| format!("{} {}", plain(x), plain(y))).collect();
    if spots.is_empty() { String::new() } else { format!("M{}Z", spots.join("L")) }
}

/// With one decimal, and without one that is zero.
fn plain(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(counts: &[&[i64]], whole: &[i64]) -> Parts {
        let names = (0..whole.len()).map(|at| (at.to_string(), format!("Day {at}")));
        Parts {
            parts: counts.iter().enumerate().map(|(at, row)| (format!("v{at}"), None, row.to_vec())).collect(),
            whole: whole.to_vec(),
            names: names.collect(),
            unfinished: Some(whole.len() - 1),
        }
    }

    #[test]
    fn areas_lie_on_each_other_up_to_the_whole() {
        let stack = draw(&parts(&[&[10, 5], &[0, 5]], &[10, 20]));
        let told: Vec<_> =
            stack.layers.iter().map(|one| (one.class.as_str(), one.name.as_str(), one.share.as_str())).collect();
        assert_eq!(told, [("part-1", "v0", "50%"), ("part-2", "v1", "17%"), ("part-rest", "all others", "33%")]);
        assert_eq!(stack.layers[0].area, "M0 0L250 0L750 165L1000 165L1000 220L750 220L250 220L0 220Z");
        assert_eq!(stack.layers[2].area, "M0 0L250 0L750 0L1000 0L1000 110L750 110L250 0L0 0Z");
        assert_eq!(stack.frame.places[1].title, "Day 1: v0 25%, v1 25%, all others 50%");
        assert_eq!(stack.open.as_deref(), Some("50.00%"));
        assert_eq!(stack.frame.lines.last().map(|line| line.label.as_str()), Some("100%"));
    }

    #[test]
    fn periods_without_anything_are_empty() {
        let stack = draw(&parts(&[&[0, 3]], &[0, 3]));
        assert_eq!(stack.layers.len(), 1);
        assert_eq!(stack.layers[0].area, "M0 220L250 220L750 0L1000 0L1000 220L750 220L250 220L0 220Z");
        assert_eq!(stack.frame.places[0].title, "Day 0: no sessions");
        assert_eq!(draw(&parts(&[], &[4])).layers.len(), 1);
        assert_eq!(draw(&parts(&[], &[4])).open, None);
    }
}
