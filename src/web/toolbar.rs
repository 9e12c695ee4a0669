//! The bar above every page about a range: range, steps, comparison, filters, and the way to the figures as a file.

use crate::model::{Dimension, Keep};
use crate::query::{Compare, Interval, Preset};

use super::format;
use super::frame::Tab;
use super::selection::Selection;

/// A selection as it is shown and changed, for `parts/toolbar.html`.
pub struct Toolbar {
    /// Ranges by name; empty on a page that is not about a range.
    pub presets: Vec<Tab>,
    /// The stretch before, where there is one.
    pub back: Option<String>,
    /// The stretch after, where it has begun.
    pub forward: Option<String>,
    /// The form of a custom range.
    pub custom: CustomRange,
    /// What the range may be compared with; empty on a page that compares nothing.
    pub compares: Vec<Tab>,
    /// The conditions, one value each.
    pub chips: Vec<Chip>,
    /// The same without any of them.
    pub cleared: String,
    /// What a filter may look at, by its name in addresses and on pages.
    pub dimensions: Vec<(String, String)>,
    /// Values that the page knows anyway, to choose from.
    pub suggestions: Vec<String>,
    /// Hidden fields of the form that adds a filter.
    pub kept: Vec<(String, String)>,
    /// What is wrong with the address.
    pub problem: Option<String>,
    /// Since when there are events, where the range begins before.
    pub kept_since: Option<String>,
    /// The days of the range.
    pub days: String,
    /// The app's time zone.
    pub zone: String,
    /// The figures as CSV.
    pub csv: String,
    /// The figures as JSON.
    pub json: String,
}

/// The form of a custom range.
pub struct CustomRange {
    /// Whether the range is one.
    pub current: bool,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// The last day that can be chosen.
    pub today: String,
    /// Intervals by name, and whether the range is cut by them.
    pub intervals: Vec<(&'static str, bool)>,
    /// Hidden fields.
    pub kept: Vec<(String, String)>,
}

/// One value of a condition.
pub struct Chip {
    /// What is looked at.
    pub dimension: String,
    /// `is`, `is not`, or `or` for a further value.
    pub relation: &'static str,
    /// The value, or that there is none.
    pub value: String,
    /// The page without it.
    pub without: String,
}

impl Toolbar {
    /// The bar of a page at that path, base path included.
    pub fn new(selection: &Selection, path: &str) -> Self {
        let to = |query: String| format!("{path}{query}");
        let everything = selection.range.preset == Preset::All;
        let preset = |preset: Preset| Tab {
            label: preset.label().to_owned(),
            href: to(selection.with_preset(preset)),
            current: preset == selection.range.preset,
        };
        let compare = |compare: Compare| Tab {
            label: compare.label().to_owned(),
            href: to(selection.with_compare(compare)),
            current: compare == selection.compare,
        };
        Self {
            presets: Preset::NAMED.into_iter().map(preset).collect(),
            back: selection.back().map(to),
            forward: selection.forward().map(to),
            custom: custom(selection),
            // There is nothing before everything.
            compares: Compare::ALL.into_iter().filter(|_| !everything).map(compare).collect(),
            chips: chips(selection, path),
            cleared: to(selection.without_filters()),
            dimensions: Dimension::OFFERED.iter().map(|one| (one.to_string(), one.label())).collect(),
            suggestions: Vec::new(),
            kept: selection.pairs(),
            problem: selection.problem.map(|problem| problem.to_string()),
            kept_since: kept_since(selection),
            days: format::days(&selection.range.whole),
            zone: selection.ground.zone.name().to_owned(),
            csv: format!("{path}.csv{}", selection.query()),
            json: format!("{path}.json{}", selection.query()),
        }
    }

    /// The same for a page whose figures are at another path.
    #[must_use]
    pub fn with_figures_at(mut self, selection: &Selection, path: &str) -> Self {
        (self.csv, self.json) =
            (format!("{path}.csv{}", selection.query()), format!("{path}.json{}", selection.query()));
        self
    }
}

/// The day from which on events are kept, where the range begins before it.
fn kept_since(selection: &Selection) -> Option<String> {
    let kept = selection.ground.kept.filter(|kept| selection.range.whole.range.from < *kept)?;
    Some(crate::model::date_of(selection.ground.zone.local(kept).day).to_string())
}

fn custom(selection: &Selection) -> CustomRange {
    let (from, to) = selection.days();
    CustomRange {
        current: selection.range.preset == Preset::Custom,
        from,
        to,
        today: crate::model::date_of(selection.today()).to_string(),
        intervals: Interval::ALL.iter().map(|i| (i.name(), *i == selection.range.interval)).collect(),
        kept: selection.pairs_without_range(),
    }
}

fn chips(selection: &Selection, path: &str) -> Vec<Chip> {
    let all = selection.filters.iter().flat_map(|filter| filter.values.iter().enumerate().map(move |v| (filter, v)));
    let chip = |(filter, (at, value)): (&crate::model::Filter, (usize, &Option<std::sync::Arc<str>>))| Chip {
        dimension: filter.dimension.label(),
        relation: match (filter.keep, at) {
            (Keep::Is, 0) => "is",
            (Keep::Is, _) => "or",
            (Keep::IsNot, _) => "is not",
        },
        value: format::value(value.as_deref()),
        without: format!("{path}{}", selection.without_filter(&filter.dimension, filter.keep, value.as_deref())),
    };
    all.map(chip).collect()
}
