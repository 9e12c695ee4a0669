//! `GET /api/v1/apps/{app}/retention`: of those who came in a day, week or month, how many came back.

use axum::extract::State;
use serde::Serialize;

use super::super::asking::Asking;
use super::super::state::WebState;
use super::{Answer, ApiError, AppReader, Local, Params, Utc};
use crate::model::{Back, Born, Cohort, Filters, Period, RetentionAsk, Zone};
use crate::query::cohorts;

#[derive(Serialize)]
struct Shown<'a> {
    app: &'a str,
    environment: &'a str,
    zone: &'a str,
    cohort: &'static str,
    born: Option<&'a str>,
    back: Option<&'a str>,
    cohorts: Vec<Row>,
}

/// Users who came in one period.
#[derive(Serialize)]
struct Row {
    from: Utc,
    to: Utc,
    local: Local,
    size: i64,
    /// In its own period, the next, and so on; the last of all is that which contains now.
    users: Vec<i64>,
    /// The same as parts of the size.
    shares: Vec<Option<f64>>,
}

/// Answers with all cohorts, oldest first.
pub async fn show(State(state): State<WebState>, on: AppReader, mut params: Params) -> Result<Answer, ApiError> {
    let environment = params.environment(&on.app)?;
    let (interval, count) = params.cohort()?;
    let (born, back) = (params.event("born")?, params.event("back")?);
    let filters = params.filters()?;
    params.end()?;
    let ask = RetentionAsk {
        cohorts: cohorts(interval, count, &on.app.zone, state.clock.now()),
        born: born.as_deref().map_or(Born::FirstSeen, |name| Born::Event(name.into())),
        back: back.as_deref().map_or(Back::AnyActivity, |name| Back::Event(name.into())),
        filters,
    };
    let periods = ask.cohorts.clone();
    let found = Asking::new(&state, environment.id, Filters::none()).retention(ask).await?;
    Ok(Answer::new(&Shown {
        app: on.app.slug.as_str(),
        environment: environment.slug.as_str(),
        zone: on.app.zone.name(),
        cohort: interval.name(),
        born: born.as_deref(),
        back: back.as_deref(),
        cohorts: periods.iter().zip(&found).map(|(period, cohort)| row(period, cohort, &on.app.zone)).collect(),
    }))
}

fn row(period: &Period, cohort: &Cohort, zone: &Zone) -> Row {
    let share = |users: &i64| (cohort.size > 0).then(|| *users as f64 / cohort.size as f64);
    Row {
        from: Utc(period.range.from),
        to: Utc(period.range.to),
        local: Local::new(zone, period.range.from),
        size: cohort.size,
        users: cohort.back.clone(),
        shares: cohort.back.iter().map(share).collect(),
    }
}
