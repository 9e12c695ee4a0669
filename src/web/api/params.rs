//! The query string, read strictly: what is not known, given twice or without sense is an error that names it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::super::state::WebState;
use super::ApiError;
use crate::model::{
    App, Ask, Cursor, Dimension, Environment, EnvironmentId, Filters, Keep, Metric, Millis, Query, Report,
};
use crate::query::{
    COHORTS, Compare, FunnelProblem, FunnelShape, Interval, Preset, Range, RangeProblem, Wanted, filters,
};

/// Longest query string, in bytes.
const LONGEST: usize = 8_192;

/// Decoded pairs, of which each reader takes its own.
pub struct Params {
    all: Vec<(String, String)>,
    left: Vec<(String, String)>,
    path: String,
}

impl FromRequestParts<WebState> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > LONGEST {
            return Err(ApiError::QueryTooLong);
        }
        let all: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        if let Some((name, _)) = all.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
            return Err(ApiError::parameter(name, "It holds a NUL character."));
        }
        Ok(Self { left: all.clone(), all, path: state.site.link(parts.uri.path()) })
    }
}

impl Params {
    /// The value of a parameter that may be given once. Empty counts as absent.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut values = self.every(name);
        match values.len() {
            0 | 1 => Ok(values.pop().filter(|value| !value.is_empty())),
            _ => Err(ApiError::parameter(name, "It is given more than once.")),
        }
    }

    /// A number from 1 to `most`.
    pub fn limit(&mut self, default: u32, most: u32) -> Result<u32, ApiError> {
        let Some(text) = self.one("limit")? else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| ApiError::parameter("limit", format!("It is a number from 1 to {most}.")))
    }

    /// Where a list goes on.
    pub fn cursor(&mut self) -> Result<Option<Cursor>, ApiError> {
        let Some(text) = self.one("after")? else { return Ok(None) };
        let cursor = Cursor::number(&text);
        cursor.map(Some).ok_or_else(|| ApiError::parameter("after", "It is no cursor that an answer has given."))
    }

    /// An instant.
    pub fn instant(&mut self, name: &str) -> Result<Option<Millis>, ApiError> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let at = text.parse::<jiff::Timestamp>().map(Millis::from);
        at.map(Some).map_err(|_| ApiError::parameter(name, "A time is written like 2026-03-31T12:00:00Z."))
    }

    /// The environment, by default the app's first.
    pub fn environment(&mut self, app: &App) -> Result<Environment, ApiError> {
        let name = self.one("environment")?;
        let found = name.as_deref().map_or(app.environments.first(), |name| app.environment(name));
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = app.environments.iter().map(|known| known.slug.as_str()).collect();
            ApiError::parameter("environment", format!("The app has {}.", known.join(", ")))
        })
    }

    /// The metrics, each once, in the order of the address; events where none is named.
    pub fn metrics(&mut self) -> Result<Vec<Metric>, ApiError> {
        let mut metrics = Vec::new();
        for name in self.every("metric") {
            let metric = Metric::parse(&name).ok_or_else(|| {
                let known: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
                ApiError::parameter("metric", format!("A metric is one of {}.", known.join(", ")))
            })?;
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        Ok(if metrics.is_empty() { vec![Metric::Events] } else { metrics })
    }

    /// What to break down by.
    pub fn dimension(&mut self) -> Result<Option<Dimension>, ApiError> {
        let Some(name) = self.one("dimension")? else { return Ok(None) };
        let dimension = Dimension::parse(&name).filter(|dimension| *dimension != Dimension::Total);
        dimension.map(Some).ok_or_else(|| {
            let known: Vec<String> = Dimension::OFFERED.iter().map(ToString::to_string).collect();
            ApiError::parameter("dimension", format!("A dimension is one of {}, prop:NAME.", known.join(", ")))
        })
    }

    /// What to compare with; nothing where it is not said.
    pub fn compare(&mut self) -> Result<Compare, ApiError> {
        let Some(name) = self.one("compare")? else { return Ok(Compare::None) };
        Compare::parse(&name).ok_or_else(|| {
            let known: Vec<&str> = Compare::ALL.iter().map(|compare| compare.name()).collect();
            ApiError::parameter("compare", format!("It is one of {}.", known.join(", ")))
        })
    }

    /// The stretch of time, by default 28 days.
    pub async fn range(&mut self, state: &WebState, on: (&App, EnvironmentId)) -> Result<Range, ApiError> {
        let wants_all = self.left.iter().any(|(name, value)| name == "range" && value == Preset::All.name());
        let since = if wants_all { since(state, on.1).await? } else { None };
        self.range_since(on.0, since, state.clock.now())
    }

    fn range_since(&mut self, app: &App, since: Option<Millis>, now: Millis) -> Result<Range, ApiError> {
        let (preset, from, to) = (self.one("range")?, self.one("from")?, self.one("to")?);
        let by = self.one("by")?;
        if by.as_deref().is_some_and(|by| Interval::parse(by).is_none()) {
            let known: Vec<&str> = Interval::ALL.iter().map(|interval| interval.name()).collect();
            return Err(ApiError::parameter("by", format!("An interval is one of {}.", known.join(", "))));
        }
        let wanted = Wanted {
            preset: preset.as_deref(),
            from: from.as_deref(),
            to: to.as_deref(),
            interval: by.as_deref(),
            since,
        };
        let parse = |wanted| Range::parse(wanted, Preset::Days28, &app.zone, now);
        parse(wanted).map_err(|problem| match problem {
            RangeProblem::Unknown => {
                let known: Vec<&str> = Preset::NAMED.iter().map(|preset| preset.name()).collect();
                ApiError::parameter("range", format!("A range is one of {}.", known.join(", ")))
            }
            RangeProblem::NotADate if parse(Wanted { to: None, ..wanted }) != Err(problem) => {
                ApiError::parameter("to", problem.to_string())
            }
            problem => ApiError::parameter("from", problem.to_string()),
        })
    }

    /// The conditions: every parameter that is left and is named as a dimension, with `!` behind it for "not".
    pub fn filters(&mut self) -> Result<Filters, ApiError> {
        let mut all = Filters::none();
        for (name, value) in std::mem::take(&mut self.left) {
            let Some((dimension, keep)) = filters::condition(&name) else {
                self.left.push((name, value));
                continue;
            };
            let value: Option<Arc<str>> = (!value.is_empty()).then(|| value.into());
            all = all.with(dimension.clone(), keep, value.clone());
            kept(&all, (&name, &dimension, keep), value.as_deref().unwrap_or_default())?;
        }
        Ok(all)
    }

    /// The steps of a funnel, in the order of the address, with what belongs to them; nothing where none of it is there.
    pub fn funnel(&mut self) -> Result<Option<FunnelShape>, ApiError> {
        let own = |name: &str| matches!(name, "step" | "window" | "split") || condition_of_step(name).is_some();
        let (mine, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.left).into_iter().partition(|(name, _)| own(name));
        self.left = left;
        if mine.is_empty() {
            return Ok(None);
        }
        for name in ["window", "split"] {
            if mine.iter().filter(|(given, _)| given == name).count() > 1 {
                return Err(ApiError::parameter(name, "It is given more than once."));
            }
        }
        if mine.iter().any(|(name, value)| name == "step" && value.trim().is_empty()) {
            return Err(ApiError::parameter("step", "A step is named like its event."));
        }
        let pairs = mine.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let shape = FunnelShape::parse(pairs).map_err(|problem| {
            let name = match problem {
                FunnelProblem::Window => "window",
                FunnelProblem::Split => "split",
                _ => "step",
            };
            ApiError::parameter(name, problem.to_string())
        })?;
        for (name, value) in &mine {
            let Some((number, condition)) = condition_of_step(name) else { continue };
            let Some((dimension, keep)) = filters::condition(condition) else {
                return Err(ApiError::parameter(name, "There is no such dimension."));
            };
            let step = number.checked_sub(1).and_then(|place| shape.steps.get(place));
            let step = step.ok_or_else(|| ApiError::parameter(name, "There is no step of that number."))?;
            kept(&step.filters, (name, &dimension, keep), value)?;
        }
        Ok(Some(shape))
    }

    /// The length of cohorts, by default weeks, and how many there are.
    pub fn cohort(&mut self) -> Result<(Interval, u8), ApiError> {
        let name = self.one("cohort")?;
        let name = name.as_deref().unwrap_or(Interval::Week.name());
        COHORTS.into_iter().find(|(interval, _)| interval.name() == name).ok_or_else(|| {
            let known: Vec<&str> = COHORTS.iter().map(|(interval, _)| interval.name()).collect();
            ApiError::parameter("cohort", format!("A cohort is one of {}.", known.join(", ")))
        })
    }

    /// The name of an event.
    pub fn event(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.one(name)? {
            Some(event) if event.len() > 200 => {
                Err(ApiError::parameter(name, "The name of an event has at most 200 bytes."))
            }
            event => Ok(event),
        }
    }

    /// An error where something is left that nobody wanted.
    pub fn end(&self) -> Result<(), ApiError> {
        match self.left.first() {
            Some((name, _)) => Err(ApiError::parameter(name, "There is no such parameter.")),
            None => Ok(()),
        }
    }

    /// This address with another cursor.
    pub fn going_on(&self, cursor: &Cursor) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.all.iter().filter(|(name, _)| name != "after"));
        format!("{}?{}", self.path, query.append_pair("after", &cursor.to_string()).finish())
    }

    fn every(&mut self, name: &str) -> Vec<String> {
        let (mine, left) = std::mem::take(&mut self.left).into_iter().partition(|(given, _)| given == name);
        self.left = left;
        let mine: Vec<(String, String)> = mine;
        mine.into_iter().map(|(_, value)| value).collect()
    }
}

/// An error where a value did not fit into the conditions, which leave out what is too much.
fn kept(filters: &Filters, (name, dimension, keep): (&str, &Dimension, Keep), value: &str) -> Result<(), ApiError> {
    let value = Some(value).filter(|value| !value.is_empty());
    let mut own = filters.iter().filter(|filter| filter.dimension == *dimension && filter.keep == keep);
    if own.any(|filter| filter.values.iter().any(|there| there.as_deref() == value)) {
        return Ok(());
    }
    let (conditions, values) = (Filters::MOST, Filters::MOST_VALUES);
    Err(ApiError::parameter(name, format!("There are at most {conditions} filters, of {values} values each.")))
}

/// The number of a step and the name of a condition on it: `2.version`.
fn condition_of_step(name: &str) -> Option<(usize, &str)> {
    let (number, condition) = name.split_once('.')?;
    Some((number.parse().ok()?, condition))
}

/// When the first event happened.
async fn since(state: &WebState, environment: EnvironmentId) -> Result<Option<Millis>, ApiError> {
    match &*state.reports.report(Query { environment, ask: Ask::Since }).await? {
        Report::Since(since) => Ok(*since),
        _ => Ok(None),
    }
}
