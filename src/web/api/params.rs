//! The query string, read strictly: what is not known, given twice or without sense is an error that names it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::super::state::WebState;
use super::ApiError;
use crate::model::{App, Cursor, Dimension, Environment, Filters, Metric, Millis};
use crate::query::{Compare, Interval, Preset, Range, RangeProblem, Wanted, filters};

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

    /// Whether the range is to begin with the first event.
    pub fn wants_all(&self) -> bool {
        self.left.iter().any(|(name, value)| name == "range" && value == Preset::All.name())
    }

    /// The stretch of time, by default 28 days; `since` is when the first event happened.
    pub fn range(&mut self, app: &App, since: Option<Millis>, now: Millis) -> Result<Range, ApiError> {
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
        Range::parse(wanted, Preset::Days28, &app.zone, now).map_err(|problem| match problem {
            RangeProblem::Unknown => {
                let known: Vec<&str> = Preset::NAMED.iter().map(|preset| preset.name()).collect();
                ApiError::parameter("range", format!("A range is one of {}.", known.join(", ")))
            }
            RangeProblem::NoStart => ApiError::parameter("from", problem.to_string()),
            problem if from.is_some() => ApiError::parameter("from", problem.to_string()),
            problem => ApiError::parameter("to", problem.to_string()),
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
            let mut kept = all.iter().filter(|filter| filter.dimension == dimension && filter.keep == keep);
            if !kept.any(|filter| filter.values.contains(&value)) {
                let (conditions, values) = (Filters::MOST, Filters::MOST_VALUES);
                let message = format!("There are at most {conditions} filters, of {values} values each.");
                return Err(ApiError::parameter(&name, message));
            }
        }
        Ok(all)
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
