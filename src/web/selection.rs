//! What a reader has chosen on a page about a range, as it stands in the address.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{Ask, Dimension, Filters, Keep, Kept, Metric, Millis, Query, Report, Zone, date_of};
use crate::query::step::{self, Step};
use crate::query::{Compare, Compared, Interval, Preset, Range, RangeProblem, Wanted, compared, filters};

use super::error::PageError;
use super::extract::AppVisit;
use super::form::Fields;
use super::state::WebState;

/// What an address is read against.
#[derive(Clone)]
pub struct Ground {
    /// The app's time zone.
    pub zone: Arc<Zone>,
    /// Now.
    pub now: Millis,
    /// When the first event happened.
    pub since: Option<Millis>,
    /// Before when events are deleted by age, where some are.
    pub kept: Option<Millis>,
    /// The range of an address that names none.
    pub fallback: Preset,
}

/// Range, comparison, metric and filters, with what the page keeps besides.
pub struct Selection {
    /// The stretch of time, cut into periods.
    pub range: Range,
    /// The earlier stretch that it is compared with.
    pub compared: Option<Compared>,
    /// How that was chosen.
    pub compare: Compare,
    /// What the chart shows.
    pub metric: Metric,
    /// Of which events.
    pub filters: Filters,
    /// Why the address was not followed, where it was not.
    pub problem: Option<Problem>,
    /// What the address was read against.
    pub ground: Ground,
    /// The interval, where the address names one.
    interval: Option<Interval>,
    /// The page's own parameters.
    own: Vec<(String, String)>,
}

/// What is wrong with an address, in words for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No such range.
    #[error(transparent)]
    Range(#[from] RangeProblem),
    /// No such interval.
    #[error("There is no interval of that name: it is hour, day, week or month.")]
    Interval,
    /// Too many periods.
    #[error("The range is too long for that interval.")]
    TooFine,
    /// No such metric.
    #[error("There is no metric of that name.")]
    Metric,
    /// No such comparison.
    #[error("There is no comparison of that name: it is previous, year or none.")]
    Compare,
    /// Nothing to filter by.
    #[error("A filter needs something to look at; a property of your own is found by its name.")]
    Dimension,
    /// More conditions than there may be.
    #[error("That are too many filters at once; some are left out.")]
    Filters,
}

/// What leads to a selection.
#[derive(Clone)]
struct Address {
    days: Step,
    interval: Option<Interval>,
    compare: Compare,
    metric: Metric,
    filters: Filters,
    own: Vec<(String, String)>,
}

impl Selection {
    /// Reads the query string of a request, seen from now; nothing where no event has happened yet.
    pub async fn read(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<Self>, PageError> {
        let since = Query { environment: on.environment.id, ask: Ask::Since };
        let Report::Since(since @ Some(first)) = *state.reports.report(since).await? else { return Ok(None) };
        let environment = on.environment.id;
        let kept = state.ask(move |store| store.gone((environment, Kept::Events))).await?;
        let now = state.clock.now();
        // Whoever has just begun sees hours rather than one lonely day.
        let fallback = if now.since(first) < Millis::DAY { Preset::Hours24 } else { Preset::Days7 };
        Ok(Some(Self::parse(query, Ground { zone: on.app.zone.clone(), now, since, kept, fallback })))
    }

    /// Reads a query string. What makes no sense is left out and said in `problem`.
    pub fn parse(query: &str, ground: Ground) -> Self {
        let fields = Fields::parse(query.as_bytes());
        let given = |name: &str| fields.find(name).map(str::trim).filter(|text| !text.is_empty());
        let mut problem = None;
        let mut wrong = |what: Problem| {
            problem.get_or_insert(what);
        };
        let wanted = Wanted {
            preset: given("range"),
            from: given("from"),
            to: given("to"),
            interval: given("by"),
            since: ground.since,
        };
        let range = Range::parse(wanted, ground.fallback, &ground.zone, ground.now).unwrap_or_else(|unclear| {
            wrong(unclear.into());
            Range::of(ground.fallback, &ground.zone, ground.now)
        });
        let interval = given("by").and_then(Interval::parse);
        match (given("by"), interval) {
            (Some(_), None) => wrong(Problem::Interval),
            (_, Some(interval)) if interval != range.interval && range.preset != Preset::Hours24 => {
                wrong(Problem::TooFine);
            }
            _ => {}
        }
        let compare = given("compare").map(Compare::parse);
        if compare == Some(None) {
            wrong(Problem::Compare);
        }
        let metric = given("metric").map(Metric::parse);
        if metric == Some(None) {
            wrong(Problem::Metric);
        }
        let filters = filters_of(&fields, &mut wrong);
        let compare = compare.flatten().unwrap_or_default();
        Self {
            compared: compared(&range, compare, &ground.zone, ground.now),
            compare,
            metric: metric.flatten().unwrap_or(Metric::Events),
            filters,
            problem,
            interval: interval.filter(|interval| *interval == range.interval),
            own: Vec::new(),
            range,
            ground,
        }
    }

    /// With a parameter of the page's own, which every link from here keeps; an empty one is left out.
    #[must_use]
    pub fn keeping(mut self, name: &'static str, value: &str) -> Self {
        self.own = with_own(self.own, name, value);
        self
    }

    /// With parameters of the page's own, some of which may be of one name.
    #[must_use]
    pub fn keeping_all(mut self, pairs: Vec<(String, String)>) -> Self {
        self.own.extend(pairs);
        self
    }

    /// The query string that leads here.
    pub fn query(&self) -> String {
        self.address().query()
    }

    /// The one that leads here with another value of a parameter of the page's own.
    pub fn with(&self, name: &'static str, value: &str) -> String {
        let here = self.address();
        Address { own: with_own(here.own.clone(), name, value), ..here }.query()
    }

    /// The one that leads here with other values of several of them.
    pub fn with_all(&self, own: &[(&'static str, &str)]) -> String {
        let here = self.address();
        let own = own.iter().fold(here.own.clone(), |all, (name, value)| with_own(all, name, value));
        Address { own, ..here }.query()
    }

    /// With another metric.
    pub fn with_metric(&self, metric: Metric) -> String {
        Address { metric, ..self.address() }.query()
    }

    /// With another range, by name, and the interval that suits it.
    pub fn with_preset(&self, preset: Preset) -> String {
        Address { days: Step::Named(preset), interval: None, ..self.address() }.query()
    }

    /// With another comparison.
    pub fn with_compare(&self, compare: Compare) -> String {
        Address { compare, ..self.address() }.query()
    }

    /// With one value of a dimension alone; or without one more of them.
    pub fn with_filter(&self, dimension: &Dimension, keep: Keep, value: Option<&str>) -> String {
        let here = self.address();
        let filters = match keep {
            Keep::Is => here.filters.clone().without(dimension, keep),
            Keep::IsNot => here.filters.clone(),
        };
        Address { filters: filters.with(dimension.clone(), keep, value.map(Arc::from)), ..here }.query()
    }

    /// Without one value of a condition.
    pub fn without_filter(&self, dimension: &Dimension, keep: Keep, value: Option<&str>) -> String {
        let all = self.filters.iter().flat_map(|filter| filter.values.iter().map(move |value| (filter, value)));
        let others =
            all.filter(|(filter, own)| (&filter.dimension, filter.keep, own.as_deref()) != (dimension, keep, value));
        let filters = others.fold(Filters::none(), |filters, (filter, value)| {
            filters.with(filter.dimension.clone(), filter.keep, value.clone())
        });
        Address { filters, ..self.address() }.query()
    }

    /// Without any condition.
    pub fn without_filters(&self) -> String {
        Address { filters: Filters::none(), ..self.address() }.query()
    }

    /// As long a stretch right before, where something can have happened.
    pub fn back(&self) -> Option<String> {
        let since = self.ground.since.map(|since| self.ground.zone.local(since).day);
        step::back(&self.range, since).map(|days| Address { days, ..self.address() }.query())
    }

    /// As long a stretch right after, where it has begun.
    pub fn forward(&self) -> Option<String> {
        step::forward(&self.range, self.today()).map(|days| Address { days, ..self.address() }.query())
    }

    /// The local day of now.
    pub fn today(&self) -> i32 {
        self.ground.zone.local(self.ground.now).day
    }

    /// First and last day, for the fields of a custom range.
    pub fn days(&self) -> (String, String) {
        let Range { whole, .. } = &self.range;
        (date_of(whole.first.day).to_string(), date_of(whole.last_day()).to_string())
    }

    /// What leads here, by name and value, for the hidden fields of a form that adds to it.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.address().pairs()
    }

    /// The same without the range, for a form that chooses another one.
    pub fn pairs_without_range(&self) -> Vec<(String, String)> {
        let mut pairs = self.pairs();
        pairs.retain(|(name, _)| !["range", "from", "to", "by"].contains(&name.as_str()));
        pairs
    }

    fn address(&self) -> Address {
        let days = match self.range.preset {
            Preset::Custom => Step::Days(self.range.whole.first.day, self.range.whole.last_day()),
            preset => Step::Named(preset),
        };
        Address {
            days,
            interval: self.interval,
            compare: self.compare,
            metric: self.metric,
            filters: self.filters.clone(),
            own: self.own.clone(),
        }
    }
}

impl Address {
    /// What is as it would be anyway is left out.
    fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(&str, String)> = match self.days {
            Step::Named(preset) => vec![("range", preset.name().to_owned())],
            Step::Days(first, last) => {
                vec![("from", date_of(first).to_string()), ("to", date_of(last).to_string())]
            }
        };
        pairs.extend(self.interval.map(|interval| ("by", interval.name().to_owned())));
        if self.compare != Compare::default() {
            pairs.push(("compare", self.compare.name().to_owned()));
        }
        if self.metric != Metric::Events {
            pairs.push(("metric", self.metric.name().to_owned()));
        }
        pairs.extend(self.own.iter().map(|(name, value)| (name.as_str(), value.clone())));
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(filters::pairs(&self.filters)).collect()
    }

    fn query(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(self.pairs()).finish();
        format!("?{query}")
    }
}

fn with_own(mut own: Vec<(String, String)>, name: &'static str, value: &str) -> Vec<(String, String)> {
    own.retain(|(there, _)| *there != name);
    own.extend((!value.is_empty()).then(|| (name.to_owned(), value.to_owned())));
    own
}

/// The conditions that an address names, and the one that the form of the toolbar adds: `add` names the dimension,
/// `prop` a property of the app's own, `keep` the side and `value` the value.
fn filters_of(fields: &Fields, wrong: &mut impl FnMut(Problem)) -> Filters {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in fields.iter() {
        if filters::condition(name).is_some() {
            pairs.push((name.to_owned(), value.to_owned()));
        } else if name.starts_with("prop:") {
            wrong(Problem::Dimension);
        }
    }
    let keep = if fields.get("keep") == "not" { Keep::IsNot } else { Keep::Is };
    let added = match fields.get("add") {
        "" => None,
        "prop" => Some(Dimension::parse(&format!("prop:{}", fields.get("prop").trim()))),
        name => Some(Dimension::parse(name)),
    };
    match added {
        None => {}
        Some(Some(dimension)) if dimension != Dimension::Total => {
            let value = fields.get("value").trim();
            let value = (!value.is_empty()).then(|| value.into());
            pairs.extend(filters::pairs(&Filters::none().with(dimension, keep, value)));
        }
        Some(_) => wrong(Problem::Dimension),
    }
    let found = filters::parse(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let different: HashSet<_> = pairs.iter().map(|(name, value)| (filters::condition(name), value)).collect();
    if filters::pairs(&found).len() < different.len() {
        wrong(Problem::Filters);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;

    const VERSION: Dimension = Dimension::Fact(Fact::Version);

    fn read(query: &str) -> Selection {
        let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().into();
        let (now, since) = (at("2026-11-18T13:20:00Z"), Some(at("2026-01-01T00:00:00Z")));
        Selection::parse(query, Ground { zone: Arc::new(Zone::utc()), now, since, kept: None, fallback: Preset::Days7 })
    }

    #[test]
    fn addresses_lead_back_to_what_they_show() {
        for (query, here, metric, preset) in [
            ("", "?range=7d", "?range=7d&metric=users", "?range=today"),
            (
                "range=90d&metric=sessions",
                "?range=90d&metric=sessions",
                "?range=90d&metric=users",
                "?range=today&metric=sessions",
            ),
            ("range=90d&by=week", "?range=90d&by=week", "?range=90d&by=week&metric=users", "?range=today"),
            (
                "from=2026-11-01&to=2026-11-03&compare=year",
                "?from=2026-11-01&to=2026-11-03&compare=year",
                "?from=2026-11-01&to=2026-11-03&compare=year&metric=users",
                "?range=today&compare=year",
            ),
            (
                "version!=1&system=linux&system=mac+os&prop%3Aplan=",
                "?range=7d&version%21=1&system=linux&system=mac+os&prop%3Aplan=",
                "?range=7d&metric=users&version%21=1&system=linux&system=mac+os&prop%3Aplan=",
                "?range=today&version%21=1&system=linux&system=mac+os&prop%3Aplan=",
            ),
            (
                "add=version&value=+1.2+&keep=not",
                "?range=7d&version%21=1.2",
                "?range=7d&metric=users&version%21=1.2",
                "?range=today&version%21=1.2",
            ),
            (
                "add=prop&prop=plan&value=pro",
                "?range=7d&prop%3Aplan=pro",
                "?range=7d&metric=users&prop%3Aplan=pro",
                "?range=today&prop%3Aplan=pro",
            ),
        ] {
            let selection = read(query);
            assert_eq!(selection.query(), here, "{query}");
            assert_eq!(selection.with_metric(Metric::Users), metric, "{query}");
            assert_eq!(selection.with_preset(Preset::Today), preset, "{query}");
            assert_eq!(selection.problem, None, "{query}");
            assert_eq!(read(&here[1..]).query(), here, "{query}");
        }
    }

    #[test]
    fn filters_are_added_and_removed_one_value_at_a_time() {
        let selection = read("version=1&version=2&system!=linux");
        for (link, query) in [
            (selection.with_filter(&VERSION, Keep::Is, Some("1")), "?range=7d&version=1&system%21=linux"),
            (selection.with_filter(&VERSION, Keep::Is, None), "?range=7d&version=&system%21=linux"),
            (
                selection.with_filter(&Dimension::Fact(Fact::System), Keep::IsNot, Some("windows")),
                "?range=7d&version=1&version=2&system%21=linux&system%21=windows",
            ),
            (selection.without_filter(&VERSION, Keep::Is, Some("1")), "?range=7d&version=2&system%21=linux"),
            (
                selection.without_filter(&VERSION, Keep::IsNot, Some("1")),
                "?range=7d&version=1&version=2&system%21=linux",
            ),
            (selection.without_filters(), "?range=7d"),
        ] {
            assert_eq!(link, query);
        }
    }

    #[test]
    fn pages_keep_what_is_their_own() {
        let selection = read("metric=users&country=CH").keeping("name", "a&b").keeping("break", "");
        assert_eq!(selection.query(), "?range=7d&metric=users&name=a%26b&country=CH");
        assert_eq!(selection.with("sort", "users"), "?range=7d&metric=users&name=a%26b&sort=users&country=CH");
        assert_eq!(selection.with_all(&[("name", ""), ("break", "x")]), "?range=7d&metric=users&break=x&country=CH");
        assert_eq!(selection.with("name", ""), "?range=7d&metric=users&country=CH");
        assert_eq!(selection.pairs_without_range().len(), 3);
    }

    #[test]
    fn steps_lead_to_the_stretches_around() {
        let selection = read("from=2026-11-05&to=2026-11-11&by=day&metric=users");
        assert_eq!(selection.back().as_deref(), Some("?from=2026-10-29&to=2026-11-04&by=day&metric=users"));
        assert_eq!(selection.forward().as_deref(), Some("?range=7d&by=day&metric=users"));
        assert_eq!(read("range=all").back(), None);
        assert_eq!(read("range=7d").forward(), None);
    }

    #[test]
    fn senseless_addresses_say_what_is_wrong() {
        let many: Vec<String> = (0..9).map(|n| format!("prop%3A{n}=")).collect();
        for (query, problem) in [
            ("from=soon&metric=users", Problem::Range(RangeProblem::NotADate)),
            ("range=fortnight", Problem::Range(RangeProblem::Unknown)),
            ("by=fortnight", Problem::Interval),
            ("range=90d&by=hour", Problem::TooFine),
            ("metric=%3Cscript%3E", Problem::Metric),
            ("compare=never", Problem::Compare),
            ("add=prop&value=1", Problem::Dimension),
            ("add=total", Problem::Dimension),
            ("prop%3A=1", Problem::Dimension),
            (many.join("&").as_str(), Problem::Filters),
        ] {
            let selection = read(query);
            assert_eq!(selection.problem, Some(problem), "{query}");
            assert!(selection.range.preset == Preset::Days7 || query == "range=90d&by=hour", "{query}");
        }
        assert_eq!(read("from=soon&metric=users").metric, Metric::Users);
        assert_eq!(read("version=1&version=1").problem, None);
    }
}
