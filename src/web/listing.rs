//! Long lists: what is searched for, the order, and the way to the next page, as they stand in the address.

use super::form::Fields;
use super::frame::Tab;

/// Rows of a page.
pub const ROWS: u32 = 50;

/// What a reader has chosen of a list, for `parts/listing.html`.
pub struct Listing {
    /// What is looked for, empty for all.
    pub search: String,
    /// What can be looked for, in words.
    pub hint: &'static str,
    /// The order by its name in addresses.
    pub sort: &'static str,
    /// All orders.
    pub sorts: Vec<Tab>,
    /// The list without a search.
    pub all: String,
    path: String,
    cursor: String,
}

impl Listing {
    /// Reads a query string. `sorts` are the names and labels of all orders, the first for whoever names none.
    pub fn parse(query: &str, path: &str, hint: &'static str, sorts: &[(&'static str, &'static str)]) -> Self {
        let fields = Fields::parse(query.as_bytes());
        let search = fields.get("q").trim().to_owned();
        let wanted = sorts.iter().find(|(name, _)| *name == fields.get("sort"));
        let sort = wanted.or(sorts.first()).map_or("", |(name, _)| *name);
        let tab = |(name, label): &(&str, &str)| Tab {
            label: (*label).to_owned(),
            href: address(path, &[("q", &search), ("sort", name)]),
            current: *name == sort,
        };
        Self {
            sorts: sorts.iter().map(tab).collect(),
            all: address(path, &[("sort", sort)]),
            cursor: fields.get("after").to_owned(),
            path: path.to_owned(),
            search,
            hint,
            sort,
        }
    }

    /// The cursor, as it stands in the address.
    pub fn after(&self) -> &str {
        &self.cursor
    }

    /// Whether this is not the first page.
    pub fn goes_on(&self) -> bool {
        !self.cursor.is_empty()
    }

    /// The page behind a cursor, or the first one.
    pub fn page(&self, after: &str) -> String {
        address(&self.path, &[("q", &self.search), ("sort", self.sort), ("after", after)])
    }
}

/// A path with those of the values that are not empty.
pub fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back_to_what_they_show() {
        let sorts = [("seen", "Last seen"), ("name", "Name")];
        for (query, here, next) in [
            ("", "/d?sort=seen", "/d?sort=seen&after=c.1"),
            ("q=+Ana%26+&sort=name&after=x", "/d?q=Ana%26&sort=name", "/d?q=Ana%26&sort=name&after=c.1"),
            ("sort=%3Cscript%3E", "/d?sort=seen", "/d?sort=seen&after=c.1"),
        ] {
            let listing = Listing::parse(query, "/d", "", &sorts);
            let current: Vec<_> = listing.sorts.iter().filter(|tab| tab.current).map(|tab| tab.href.as_str()).collect();
            assert_eq!((current, listing.page("c.1").as_str()), (vec![here], next), "{query}");
            assert_eq!(listing.page(""), here, "{query}");
        }
        assert_eq!(address("/d", &[("q", "")]), "/d");
    }
}
