//! The questions that most pages ask, about what their filters keep.

use std::sync::Arc;

use crate::model::{
    Ask, Breakdown, BreakdownAsk, Cohort, Cursor, Dimension, EnvironmentId, EventList, EventsPage, Filters, Funnel,
    FunnelAsk, Metric, Millis, Period, PropSummary, PropsAsk, Query, Report, RetentionAsk, TrendsAsk,
};
use crate::store::StoreError;

use super::state::WebState;

/// Properties of an event that are told.
const PROPS: u32 = 20;

/// Whoever asks: which environment, of which events.
#[derive(Clone)]
pub struct Asking<'a> {
    state: &'a WebState,
    environment: EnvironmentId,
    filters: Filters,
}

impl<'a> Asking<'a> {
    /// Asks about an environment's events that the filters keep.
    pub fn new(state: &'a WebState, environment: EnvironmentId, filters: Filters) -> Self {
        Self { state, environment, filters }
    }

    /// Each metric, once for each period.
    pub async fn series(&self, metrics: &[Metric], periods: Vec<Period>) -> Result<Vec<Vec<Option<i64>>>, StoreError> {
        match &*self.ask(Ask::Series(metrics.to_vec(), periods, self.filters.clone())).await? {
            Report::Series(rows) => Ok(rows.clone()),
            _ => Err(mismatch()),
        }
    }

    /// The values of a dimension with the most of the first metric.
    pub async fn breakdown(
        &self,
        dimension: Dimension,
        metrics: &[Metric],
        period: Period,
        limit: u32,
    ) -> Result<Breakdown, StoreError> {
        let (metrics, filters) = (metrics.to_vec(), self.filters.clone());
        let ask = BreakdownAsk { dimension, metrics, period, filters, limit };
        match &*self.ask(Ask::Breakdown(ask)).await? {
            Report::Breakdown(list) => Ok(list.clone()),
            _ => Err(mismatch()),
        }
    }

    /// Events of single values in each period, whatever the filters.
    pub async fn trends(&self, ask: TrendsAsk) -> Result<Vec<Vec<i64>>, StoreError> {
        Ok(self.ask(Ask::Trends(ask)).await?.counts())
    }

    /// Versions first seen in a period, whatever the filters.
    pub async fn arrivals(&self, period: Period) -> Result<Vec<(String, Millis)>, StoreError> {
        match &*self.ask(Ask::Arrivals(period)).await? {
            Report::Arrivals(versions) => Ok(versions.clone()),
            _ => Err(mismatch()),
        }
    }

    /// What the properties of an event hold.
    pub async fn props(&self, event: &str, period: Period) -> Result<Vec<PropSummary>, StoreError> {
        let (event, filters) = (event.to_owned(), self.filters.clone());
        match &*self.ask(Ask::Props(PropsAsk { event, period, filters, limit: PROPS })).await? {
            Report::Props(props) => Ok(props.clone()),
            _ => Err(mismatch()),
        }
    }

    /// The newest events, or those behind a place in their list.
    pub async fn newest(
        &self,
        since: Option<Millis>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Arc<EventList>, StoreError> {
        let (environment, filters) = (self.environment, self.filters.clone());
        self.state.reports.events(EventsPage { environment, filters, since, after, limit }).await
    }

    /// Who comes back; the question has filters of its own.
    pub async fn retention(&self, ask: RetentionAsk) -> Result<Vec<Cohort>, StoreError> {
        match &*self.ask(Ask::Retention(ask)).await? {
            Report::Cohorts(cohorts) => Ok(cohorts.clone()),
            _ => Err(mismatch()),
        }
    }

    /// How many users take some steps; the question has filters of its own.
    pub async fn funnel(&self, ask: FunnelAsk) -> Result<Funnel, StoreError> {
        match &*self.ask(Ask::Funnel(ask)).await? {
            Report::Funnel(funnel) => Ok(funnel.clone()),
            _ => Err(mismatch()),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Arc<Report>, StoreError> {
        self.state.reports.report(Query { environment: self.environment, ask }).await
    }
}

/// What was too long to be counted is nothing rather than a failure: for figures that a page can do without.
pub fn optional<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(StoreError::Interrupted | StoreError::TooMuch) => Ok(None),
        Err(error) => Err(error),
    }
}

fn mismatch() -> StoreError {
    StoreError::Unexpected("a report of another shape than asked for".to_owned())
}
