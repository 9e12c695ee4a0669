//! Filters as they stand in an address: one parameter for each value, named by its dimension.

use crate::model::{Dimension, Filters, Keep};

/// Behind the name of a dimension whose value is not wanted.
const NOT: char = '!';
/// Behind a name that would be read wrongly without it: one that ends with this sign or [`NOT`].
const PLAIN: char = '=';

/// The conditions among the parameters of an address: `version=1.2.0` is that value, `version!=1.2.0` any other, several
/// of one name are alternatives, and an empty value is that of events that do not say. What names no dimension is no
/// condition; what goes beyond the bounds of [`Filters`] is left out.
pub fn parse<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Filters {
    pairs.fold(Filters::none(), |filters, (name, value)| match condition(name) {
        Some((dimension, keep)) => filters.with(dimension, keep, (!value.is_empty()).then(|| value.into())),
        None => filters,
    })
}

/// The parameters that lead to these conditions, decoded, in the order of the conditions.
pub fn pairs(filters: &Filters) -> Vec<(String, String)> {
    let of = |dimension: &Dimension, keep: Keep| match (keep, dimension.to_string()) {
        (Keep::IsNot, name) => format!("{name}{NOT}"),
        (Keep::Is, name) if name.ends_with([NOT, PLAIN]) => format!("{name}{PLAIN}"),
        (Keep::Is, name) => name,
    };
    let all = filters.iter().flat_map(|filter| filter.values.iter().map(move |value| (filter, value)));
    all.map(|(filter, value)| (of(&filter.dimension, filter.keep), value.as_deref().unwrap_or_default().to_owned()))
        .collect()
}

/// What the name of a parameter is a condition on, if it is one.
pub fn condition(name: &str) -> Option<(Dimension, Keep)> {
    let (name, keep) = match (name.strip_suffix(NOT), name.strip_suffix(PLAIN)) {
        (Some(name), _) => (name, Keep::IsNot),
        (None, Some(name)) => (name, Keep::Is),
        (None, None) => (name, Keep::Is),
    };
    Dimension::parse(name).filter(|dimension| *dimension != Dimension::Total).map(|dimension| (dimension, keep))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;

    fn read(text: &str) -> Filters {
        let pairs: Vec<_> = text.split('&').filter_map(|pair| pair.split_once(": ")).collect();
        parse(pairs.into_iter())
    }

    fn write(filters: &Filters) -> String {
        let pairs: Vec<_> = pairs(filters).iter().map(|(name, value)| format!("{name}: {value}")).collect();
        pairs.join("&")
    }

    #[test]
    fn addresses_and_conditions_lead_to_each_other() {
        for (text, canonical) in [
            ("version: 1.2.0", "version: 1.2.0"),
            ("system: macos&system: linux&system: macos", "system: linux&system: macos"),
            ("version!: 1.2.0&version: 1.2.0", "version: 1.2.0&version!: 1.2.0"),
            ("country: ", "country: "),
            ("event: saved&prop:plan: pro&prop:plan!: ", "event: saved&prop:plan: pro&prop:plan!: "),
            ("range: 7d&by: day&metric: users&total: 1&prop:: x&Version: 1", ""),
            ("prop:a!=: 1&prop:a!: 2", "prop:a!: 2&prop:a!=: 1"),
            ("prop:a==: 1&prop:a=!: 2&prop:a!!: 3", "prop:a!!: 3&prop:a==: 1&prop:a=!: 2"),
        ] {
            let filters = read(text);
            assert_eq!(write(&filters), canonical, "{text}");
            assert_eq!(read(canonical), filters, "{text}");
        }
    }

    #[test]
    fn signs_at_the_end_of_a_name_tell_its_side() {
        let version = Dimension::Fact(Fact::Version);
        for (name, found) in [
            ("version", Some((version.clone(), Keep::Is))),
            ("version!", Some((version.clone(), Keep::IsNot))),
            ("prop:a!=", Some((Dimension::Prop("a!".into()), Keep::Is))),
            ("prop:a!!", Some((Dimension::Prop("a!".into()), Keep::IsNot))),
            ("total", None),
            ("range", None),
            ("", None),
        ] {
            assert_eq!(condition(name), found, "{name}");
        }
    }

    #[test]
    fn too_much_is_left_out() {
        let many: Vec<_> = (0..100).map(|n| (format!("prop:{n}"), n.to_string())).collect();
        let filters = parse(many.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        assert_eq!(filters.iter().count(), Filters::MOST);
    }
}
