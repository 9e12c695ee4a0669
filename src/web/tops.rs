//! The values of a dimension with the most events, each a link that filters by it.

use crate::model::{Breakdown, BreakdownRow, Dimension, Keep};

use super::format::{self, grouped};
use super::selection::Selection;

/// A short list, for `parts/top.html`.
pub struct Top {
    /// What is listed.
    pub title: String,
    /// What the values are of, for the page of all of them.
    pub dimension: Dimension,
    /// Most events first.
    pub rows: Vec<TopRow>,
    /// Events of the values that are not listed.
    pub rest: Option<(String, String)>,
    /// How many values there are.
    pub values: u64,
}

/// One value.
pub struct TopRow {
    /// The value.
    pub label: String,
    /// Whether events say it.
    pub known: bool,
    /// The page of these events alone.
    pub href: String,
    /// Its events.
    pub count: String,
    /// Of all events.
    pub share: String,
    /// Percent of the first row's.
    pub width: String,
}

/// The list of a breakdown by events, on a page at that path.
pub fn top(title: &str, dimension: &Dimension, list: &Breakdown, (selection, path): (&Selection, &str)) -> Top {
    let events = |metrics: &[Option<i64>]| metrics.first().copied().flatten().unwrap_or(0);
    let (total, most) = (events(&list.together), list.rows.iter().map(|row| events(&row.metrics)).max().unwrap_or(0));
    let row = |row: &BreakdownRow| TopRow {
        label: format::value(row.value.as_deref()),
        known: row.value.is_some(),
        href: format!("{path}{}", selection.with_filter(dimension, Keep::Is, row.value.as_deref())),
        count: grouped(events(&row.metrics)),
        share: format::share(events(&row.metrics), total),
        width: format!("{:.1}%", events(&row.metrics) as f64 / most.max(1) as f64 * 100.0),
    };
    let rest = total - list.rows.iter().map(|row| events(&row.metrics)).sum::<i64>();
    Top {
        title: title.to_owned(),
        dimension: dimension.clone(),
        rows: list.rows.iter().map(row).collect(),
        rest: (rest > 0).then(|| (grouped(rest), format::share(rest, total))),
        values: list.values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fact, Zone};
    use crate::query::Preset;
    use crate::web::selection::Ground;

    #[test]
    fn top_lists_account_for_every_event() {
        let rows = vec![
            BreakdownRow { value: Some("linux".to_owned()), metrics: vec![Some(60)] },
            BreakdownRow { value: None, metrics: vec![Some(30)] },
        ];
        let now = "2026-11-18T13:20:00Z".parse::<jiff::Timestamp>().unwrap().into();
        let ground =
            Ground { zone: std::sync::Arc::new(Zone::utc()), now, since: None, kept: None, fallback: Preset::Days7 };
        let selection = Selection::parse("", ground);
        let list = Breakdown { rows, together: vec![Some(100)], values: 3 };
        let top = top("Systems", &Dimension::Fact(Fact::System), &list, (&selection, "/apps/a"));
        let seen: Vec<_> = top.rows.iter().map(|r| (r.label.as_str(), r.share.as_str(), r.width.as_str())).collect();
        assert_eq!(seen, [("linux", "60%", "100.0%"), ("not reported", "30%", "50.0%")]);
        assert_eq!(top.rows[0].href, "/apps/a?range=7d&system=linux");
        assert_eq!(top.rest, Some(("10".to_owned(), "10%".to_owned())));
    }
}
