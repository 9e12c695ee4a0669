//! `GET /api/v1/apps/{app}/query`: metrics over time, or of each value of a dimension.

use axum::extract::State;
use serde::Serialize;

use super::super::asking::Asking;
use super::super::state::WebState;
use super::{Answer, ApiError, AppReader, Params, Step, Units, Utc, Values};
use crate::model::{App, Breakdown, Dimension, Metric, Period};
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
    /// For each period of the range the one at the same place, where there is such a place; none beside a breakdown.
    periods: Option<Vec<Option<Step<'a>>>>,
}

/// Answers with periods, or with a breakdown where a dimension is named; with the whole range in both cases.
pub async fn show(State(state): State<WebState>, on: AppReader, mut params: Params) -> Result<Answer, ApiError> {
    let (environment, metrics) = (params.environment(&on.app)?, params.metrics()?);
    let (dimension, limit, how) = (params.dimension()?, params.limit(USUAL, MOST)?, params.compare()?);
    let range = params.range(&state, (&on.app, environment.id)).await?;
    let filters = params.filters()?;
    params.end()?;
    let asking = Asking::new(&state, environment.id, filters);
    let earlier = compared(&range, how, &on.app.zone, state.clock.now());
    let total = async |of: Period| -> Result<Vec<Option<i64>>, ApiError> {
        let rows = asking.series(&metrics, vec![of]).await?;
        Ok(rows.iter().map(|row| row.first().copied().flatten()).collect())
    };
    let earlier_total = match &earlier {
        Some(earlier) => total(earlier.whole).await?,
        None => Vec::new(),
    };
    // Periods of the range that are ahead have a place in the earlier stretch, and none in the answer.
    let places = earlier.iter().flat_map(|earlier| &earlier.periods).take(range.periods.len());
    let places: Vec<Option<Period>> = places.copied().collect();
    let known: Vec<Period> = places.iter().copied().flatten().collect();
    let (here, steps, before, top) = match &dimension {
        None => {
            let steps = asking.series(&metrics, range.periods.clone()).await?;
            let before = if known.is_empty() { Vec::new() } else { asking.series(&metrics, known.clone()).await? };
            (total(range.whole).await?, Some(steps), Some(before), None)
        }
        Some(dimension) => {
            let found = asking.breakdown(dimension.clone(), &metrics, range.whole, limit).await?;
            // What all values come to together is told with them.
            (found.together.clone(), None, None, Some((dimension, found)))
        }
    };
    let zone = &on.app.zone;
    let compare = earlier.map(|earlier| Earlier {
        with: how.name(),
        from: Utc(earlier.whole.range.from),
        to: Utc(earlier.whole.range.to),
        total: Values(&metrics, earlier_total),
        periods: before.as_ref().map(|rows| {
            let mut steps = Step::all(zone, &known, (&metrics, rows)).into_iter();
            places.iter().map(|place| place.and_then(|_| steps.next())).collect()
        }),
    });
    Ok(Answer::new(&Shown {
        periods: steps.as_ref().map(|rows| Step::all(zone, &range.periods, (&metrics, rows))),
        breakdown: top.as_ref().map(|(dimension, found)| shown(dimension, found, &metrics)),
        total: Values(&metrics, here),
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
