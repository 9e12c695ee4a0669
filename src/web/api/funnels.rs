//! `GET /api/v1/apps/{app}/funnels`: how many users take some steps in order, or which funnels are kept.

use axum::extract::State;
use serde::Serialize;
use uuid::Uuid;

use super::super::asking::Asking;
use super::super::error::PageError;
use super::super::state::WebState;
use super::{Answer, ApiError, AppReader, Params, Utc};
use crate::model::{EnvironmentId, Filters, Funnel, FunnelRow, SavedFunnel};
use crate::query::{FunnelShape, Range, filters};

#[derive(Serialize)]
struct Shown<'a> {
    app: &'a str,
    environment: &'a str,
    /// Those that are kept, where no steps and no id are given.
    saved: Option<Vec<Kept<'a>>>,
    funnel: Option<Counted<'a>>,
}

/// A funnel that is kept.
#[derive(Serialize)]
struct Kept<'a> {
    id: String,
    name: &'a str,
    /// What it asks, as a query string.
    query: &'a str,
    saved_at: Utc,
}

#[derive(Serialize)]
struct Counted<'a> {
    /// Of one that is kept.
    name: Option<&'a str>,
    range: &'static str,
    from: Utc,
    to: Utc,
    /// Milliseconds.
    window: i64,
    /// Whether those who began late may still go on.
    unfinished: bool,
    split: Option<String>,
    steps: Vec<Step<'a>>,
    values: Vec<Row<'a>>,
    others: Option<Others>,
}

#[derive(Serialize)]
struct Step<'a> {
    event: &'a str,
    users: i64,
    /// Of the users of the first step.
    of_first: Option<f64>,
    /// Of the users of the step before.
    of_previous: Option<f64>,
    /// Milliseconds from the step before, for half of the users at most.
    median: Option<i64>,
}

#[derive(Serialize)]
struct Row<'a> {
    value: Option<&'a str>,
    /// At each step.
    users: &'a [i64],
}

#[derive(Serialize)]
struct Others {
    values: u64,
    users: Vec<i64>,
}

/// Answers with the funnel of the address or of the one that it names, else with those that are kept.
pub async fn show(State(state): State<WebState>, on: AppReader, mut params: Params) -> Result<Answer, ApiError> {
    let environment = params.environment(&on.app)?;
    let (id, shape) = (params.one("id")?, params.funnel()?);
    let range = params.range(&state, (&on.app, environment.id)).await?;
    let mut kept = params.filters()?;
    params.end()?;
    let saved = match (&id, &shape) {
        (Some(_), Some(_)) => return Err(ApiError::parameter("id", "A funnel that is kept has steps of its own.")),
        (Some(id), None) => Some(find(&state, environment.id, id).await?),
        (None, _) => None,
    };
    let shape = match &saved {
        Some(saved) => {
            let pairs: Vec<_> = form_urlencoded::parse(saved.query.as_bytes()).into_owned().collect();
            let pairs = || pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            kept = both(kept, &filters::parse(pairs()));
            Some(FunnelShape::parse(pairs()).map_err(|problem| ApiError::parameter("id", problem.to_string()))?)
        }
        None => shape,
    };
    let (app, slug) = (on.app.slug.as_str(), environment.slug.as_str());
    let Some(shape) = shape else {
        let saved = state.ask(move |store| store.funnels(environment.id)).await?;
        let saved = Some(saved.iter().map(Kept::from).collect());
        return Ok(Answer::new(&Shown { app, environment: slug, saved, funnel: None }));
    };
    let ask = shape.ask(range.whole, kept).map_err(|problem| ApiError::parameter("step", problem.to_string()))?;
    let found = Asking::new(&state, environment.id, Filters::none()).funnel(ask).await?;
    let unfinished = range.whole.range.to.plus(shape.window) > state.clock.now();
    let name = saved.as_ref().map(|saved| saved.name.as_str());
    let funnel = Counted { name, unfinished, ..counted(&shape, &range, &found) };
    Ok(Answer::new(&Shown { app, environment: slug, saved: None, funnel: Some(funnel) }))
}

async fn find(state: &WebState, environment: EnvironmentId, id: &str) -> Result<SavedFunnel, ApiError> {
    let id = Uuid::try_parse(id).map_err(|_| ApiError::parameter("id", "It is the id of a funnel that is kept."))?;
    let saved = state.ask(move |store| store.funnels(environment)).await?;
    Ok(saved.into_iter().find(|saved| saved.id == id).ok_or(PageError::NotFound)?)
}

fn both(mut one: Filters, other: &Filters) -> Filters {
    for filter in other.iter() {
        for value in &filter.values {
            one = one.with(filter.dimension.clone(), filter.keep, value.clone());
        }
    }
    one
}

fn counted<'a>(shape: &'a FunnelShape, range: &Range, found: &'a Funnel) -> Counted<'a> {
    let share = |part: i64, whole: i64| (whole > 0).then(|| part as f64 / whole as f64);
    let first = found.steps.first().map_or(0, |first| first.users);
    let before = std::iter::once(None).chain(found.steps.iter().map(|step| Some(step.users)));
    let steps = shape.steps.iter().zip(&found.steps).zip(before).map(|((step, reached), before)| Step {
        event: &step.event,
        users: reached.users,
        of_first: share(reached.users, first),
        of_previous: before.and_then(|before| share(reached.users, before)),
        median: reached.median,
    });
    Counted {
        name: None,
        range: range.preset.name(),
        from: Utc(range.whole.range.from),
        to: Utc(range.whole.range.to),
        window: shape.window,
        unfinished: false,
        split: shape.by.as_ref().map(ToString::to_string),
        steps: steps.collect(),
        values: found.values.iter().map(Row::from).collect(),
        others: found.others.as_ref().map(|(values, users)| Others { values: *values, users: users.clone() }),
    }
}

impl<'a> From<&'a FunnelRow> for Row<'a> {
    fn from(row: &'a FunnelRow) -> Self {
        Self { value: row.value.as_deref(), users: &row.users }
    }
}

impl<'a> From<&'a SavedFunnel> for Kept<'a> {
    fn from(saved: &'a SavedFunnel) -> Self {
        Self { id: saved.id.to_string(), name: &saved.name, query: &saved.query, saved_at: Utc(saved.saved_at) }
    }
}
