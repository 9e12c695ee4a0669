//! `GET /api/v1/apps/{app}/query`: metrics over time, or of each value of a dimension.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::super::state::WebState;
use super::{Answer, ApiError, AppReader, Params, Step, Units, Utc, Values};
use crate::model::{
    App, Ask, Breakdown, BreakdownAsk, Dimension, EnvironmentId, Filters, Metric, Millis, Period, Query, Report,
};
use crate::query::{Range, compared};

/// Values of a breakdown where the address does not say.
const USUAL: u32 = 50;
/// Most values of a breakdown.
const MOST: u32 = 1_000;

#[derive(Serialize)]
struct Shown<'a> {
    app: &'a str,
    environment: &'a str,
    zone: &'a str,
    range: &'static str,
    by: &'static str,
    from: Utc,
    to: Utc,
    /// Whether the last period is not over.
    unfinished: bool,
    units: Units<'a>,
    /// Of the whole range.
    total: Values<'a>,
    periods: Option<Vec<Step<'a>>>,
    breakdown: Option<Top<'a>>,
    compare: Option<Earlier<'a>>,
}

/// The values of a dimension.
#[derive(Serialize)]
struct Top<'a> {
    dimension: String,
    rows: Vec<TopRow<'a>>,
    /// How many values there are, those not listed included.
    in_all: u64,
}

#[derive(Serialize)]
struct TopRow<'a> {
    value: Option<&'a str>,
    values: Values<'a>,
}

/// What the range is compared with.
#[derive(Serialize)]
struct Earlier<'a> {
    with: &'static str,
    from: Utc,
    to: Utc,
    total: Values<'a>,
}

/// One question to the store, with all that its parts share.
struct Asked<'a> {
    state: &'a WebState,
    environment: EnvironmentId,
    metrics: &'a [Metric],
    filters: &'a Filters,
}

/// Answers with periods, or with a breakdown where a dimension is named; with the whole range in both cases.
pub async fn show(State(state): State<WebState>, on: AppReader, mut params: Params) -> Result<Answer, ApiError> {
    let (environment, metrics, now) = (params.environment(&on.app)?, params.metrics()?, state.clock.now());
    let (dimension, limit, how) = (params.dimension()?, params.limit(USUAL, MOST)?, params.compare()?);
    let since = if params.wants_all() { since(&state, environment.id).await? } else { None };
    let range = params.range(&on.app, since, now)?;
    let filters = params.filters()?;
    params.end()?;
    let asked = Asked { state: &state, environment: environment.id, metrics: &metrics, filters: &filters };
    let earlier = compared(&range, how, &on.app.zone, now).map(|compared| compared.whole);
    let wholes: Vec<Period> = std::iter::once(range.whole).chain(earlier).collect();
    let totals = asked.series(wholes).await?;
    let column = |place: usize| totals.iter().map(|row| row.get(place).copied().flatten()).collect();
    let (steps, top) = match &dimension {
        None => (Some(asked.series(range.periods.clone()).await?), None),
        Some(dimension) => (None, Some((dimension, asked.breakdown(dimension, &range, limit).await?))),
    };
    let compare = earlier.map(|earlier| Earlier {
        with: how.name(),
        from: Utc(earlier.range.from),
        to: Utc(earlier.range.to),
        total: Values(&metrics, column(1)),
    });
    Ok(Answer::new(&Shown {
        periods: steps.as_ref().map(|rows| Step::all(&on.app.zone, &range.periods, (&metrics, rows))),
        breakdown: top.as_ref().map(|(dimension, found)| shown(dimension, found, &metrics)),
        total: Values(&metrics, column(0)),
        compare,
        ..head(&on.app, environment.slug.as_str(), &range, &metrics)
    }))
}

fn head<'a>(app: &'a App, environment: &'a str, range: &Range, metrics: &'a [Metric]) -> Shown<'a> {
    Shown {
        app: app.slug.as_str(),
        environment,
        zone: app.zone.name(),
        range: range.preset.name(),
        by: range.interval.name(),
        from: Utc(range.whole.range.from),
        to: Utc(range.whole.range.to),
        unfinished: range.unfinished.is_some(),
        units: Units(metrics),
        total: Values(metrics, Vec::new()),
        periods: None,
        breakdown: None,
        compare: None,
    }
}

fn shown<'a>(dimension: &Dimension, found: &'a Breakdown, metrics: &'a [Metric]) -> Top<'a> {
    let rows = found.rows.iter();
    let rows = rows.map(|row| TopRow { value: row.value.as_deref(), values: Values(metrics, row.metrics.clone()) });
    Top { dimension: dimension.to_string(), rows: rows.collect(), in_all: found.values }
}

impl Asked<'_> {
    /// Each metric, once for each period.
    async fn series(&self, periods: Vec<Period>) -> Result<Vec<Vec<Option<i64>>>, ApiError> {
        match &*self.report(Ask::Series(self.metrics.to_vec(), periods, self.filters.clone())).await? {
            Report::Series(rows) => Ok(rows.clone()),
            _ => Ok(Vec::new()),
        }
    }

    async fn breakdown(&self, dimension: &Dimension, range: &Range, limit: u32) -> Result<Breakdown, ApiError> {
        let ask = BreakdownAsk {
            dimension: dimension.clone(),
            metrics: self.metrics.to_vec(),
            period: range.whole,
            filters: self.filters.clone(),
            limit,
        };
        match &*self.report(Ask::Breakdown(ask)).await? {
            Report::Breakdown(found) => Ok(found.clone()),
            _ => Ok(Breakdown::default()),
        }
    }

    async fn report(&self, ask: Ask) -> Result<Arc<Report>, ApiError> {
        Ok(self.state.reports.report(Query { environment: self.environment, ask }).await?)
    }
}

/// When the first event happened.
async fn since(state: &WebState, environment: EnvironmentId) -> Result<Option<Millis>, ApiError> {
    match &*state.reports.report(Query { environment, ask: Ask::Since }).await? {
        Report::Since(since) => Ok(*since),
        _ => Ok(None),
    }
}
