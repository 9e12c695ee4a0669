//! What counts are broken down by and filtered by: the dimensions, each declared once, and filters over them.

use std::fmt;
use std::sync::Arc;

use super::Fact;

/// What counts are broken down by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// Not broken down.
    Total,
    /// By event name.
    Event,
    /// By a fact of the program.
    Fact(Fact),
    /// By group of errors.
    Error,
    /// By a property of the app's own events: the name of a top-level member.
    Prop(Arc<str>),
}

/// Before the name of an app's own property, in URLs.
const PROP: &str = "prop:";

/// Longest name of a property that can be asked for, in bytes.
const PROP_MAX: usize = 200;

impl Dimension {
    /// Every dimension that has a summary, with its number in the stored summaries. Numbers are never reused; 9 is that
    /// of [`LENGTHS`].
    pub const SUMMARISED: [(Self, i64); 12] = [
        (Self::Total, 0),
        (Self::Event, 1),
        (Self::Fact(Fact::Version), 2),
        (Self::Fact(Fact::System), 3),
        (Self::Fact(Fact::SystemVersion), 4),
        (Self::Fact(Fact::Arch), 5),
        (Self::Fact(Fact::Sdk), 6),
        (Self::Fact(Fact::Locale), 7),
        (Self::Error, 8),
        (Self::Fact(Fact::Build), 10),
        (Self::Fact(Fact::Device), 11),
        (Self::Fact(Fact::Country), 12),
    ];

    /// Those that menus offer, in their order.
    pub const OFFERED: [Self; 11] = [
        Self::Event,
        Self::Fact(Fact::Version),
        Self::Fact(Fact::Build),
        Self::Fact(Fact::System),
        Self::Fact(Fact::SystemVersion),
        Self::Fact(Fact::Arch),
        Self::Fact(Fact::Device),
        Self::Fact(Fact::Locale),
        Self::Fact(Fact::Country),
        Self::Fact(Fact::Sdk),
        Self::Error,
    ];

    /// Its number in the stored summaries, if it has one.
    pub fn code(&self) -> Option<i64> {
        Self::SUMMARISED.iter().find(|(dimension, _)| dimension == self).map(|(_, code)| *code)
    }

    /// The dimension of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "total" => Some(Self::Total),
            "event" => Some(Self::Event),
            "error" => Some(Self::Error),
            name => match name.strip_prefix(PROP) {
                Some(prop) => (1..=PROP_MAX).contains(&prop.len()).then(|| Self::Prop(prop.into())),
                None => Fact::ALL.into_iter().find(|fact| fact.name() == name).map(Self::Fact),
            },
        }
    }

    /// As on pages.
    pub fn label(&self) -> String {
        match self {
            Self::Total => "All".to_owned(),
            Self::Event => "Event".to_owned(),
            Self::Fact(fact) => fact.label().to_owned(),
            Self::Error => "Error".to_owned(),
            Self::Prop(name) => name.to_string(),
        }
    }
}

/// As in URLs: what [`Dimension::parse`] reads.
impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total => f.write_str("total"),
            Self::Event => f.write_str("event"),
            Self::Fact(fact) => f.write_str(fact.name()),
            Self::Error => f.write_str("error"),
            Self::Prop(name) => write!(f, "{PROP}{name}"),
        }
    }
}

/// The number of the summary that counts sessions by their length; its values are those of
/// [`length_class`](crate::rollup::length_class), no texts.
pub const LENGTHS: i64 = 9;

/// Whether a filter wants its values or all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Keep {
    /// One of the values.
    Is,
    /// None of the values.
    IsNot,
}

/// A condition on events. Several conditions hold together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter {
    /// What is looked at; never [`Dimension::Total`].
    pub dimension: Dimension,
    /// Which side is kept.
    pub keep: Keep,
    /// The values, sorted and without repeats; `None` is that of events that do not say.
    pub values: Vec<Option<Arc<str>>>,
}

/// The conditions of a question, in a fixed order, so that equal questions are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters(Vec<Filter>);

impl Filters {
    /// Most conditions in one question.
    pub const MOST: usize = 8;
    /// Most values in one condition.
    pub const MOST_VALUES: usize = 50;

    /// No condition.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds a value to the condition of that dimension and side, or makes one. What goes beyond [`Filters::MOST`] or
    /// [`Filters::MOST_VALUES`] is left out, and so is a condition on [`Dimension::Total`].
    #[must_use]
    pub fn with(mut self, dimension: Dimension, keep: Keep, value: Option<Arc<str>>) -> Self {
        let there = self.0.iter().position(|filter| filter.dimension == dimension && filter.keep == keep);
        if let Some(there) = there {
            let values = &mut self.0[there].values;
            if let Err(place) = values.binary_search(&value)
                && values.len() < Self::MOST_VALUES
            {
                values.insert(place, value);
            }
        } else if self.0.len() < Self::MOST && dimension != Dimension::Total {
            self.0.push(Filter { dimension, keep, values: vec![value] });
            self.0.sort_unstable();
        }
        self
    }

    /// Without the condition of that dimension and side.
    #[must_use]
    pub fn without(mut self, dimension: &Dimension, keep: Keep) -> Self {
        self.0.retain(|filter| filter.dimension != *dimension || filter.keep != keep);
        self
    }

    /// The conditions.
    pub fn iter(&self) -> std::slice::Iter<'_, Filter> {
        self.0.iter()
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_dimensions() {
        for dimension in Dimension::OFFERED.into_iter().chain([Dimension::Total, Dimension::Prop("a b".into())]) {
            assert_eq!(Dimension::parse(&dimension.to_string()), Some(dimension));
        }
        for name in ["", "prop:", "Event", "nothing"] {
            assert_eq!(Dimension::parse(name), None, "{name}");
        }
        let mut codes: Vec<_> = Dimension::SUMMARISED.iter().map(|(_, code)| *code).chain([LENGTHS]).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Dimension::SUMMARISED.len() + 1);
    }

    #[test]
    fn equal_conditions_are_equal_whatever_their_order() {
        let event = |filters: Filters, name: &str| filters.with(Dimension::Event, Keep::Is, Some(name.into()));
        let one = event(event(Filters::none(), "b"), "a").with(Dimension::Error, Keep::IsNot, None);
        let other = event(event(Filters::none().with(Dimension::Error, Keep::IsNot, None), "a"), "b");
        assert_eq!(one, event(other, "a"));
        assert_eq!(one.without(&Dimension::Error, Keep::IsNot), event(event(Filters::none(), "a"), "b"));
    }

    #[test]
    fn conditions_are_bounded() {
        let mut filters = Filters::none().with(Dimension::Total, Keep::Is, None);
        assert!(filters.is_empty());
        for number in 0..100 {
            let name: Arc<str> = number.to_string().into();
            filters = filters.with(Dimension::Event, Keep::Is, Some(name.clone()));
            filters = filters.with(Dimension::Prop(name), Keep::Is, None);
        }
        assert_eq!(filters.iter().count(), Filters::MOST);
        assert_eq!(filters.iter().next().map(|filter| filter.values.len()), Some(Filters::MOST_VALUES));
    }
}
