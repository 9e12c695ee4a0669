//! What `serve` does so that others can watch it: writes down how requests were answered, says when a budget runs low,
//! and sends its figures to a collector.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;

use crate::calls::{self, Call};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::metrics::{Answering, Kept, Source};
use crate::http::{Access, Route};
use crate::model::{Aim, Alarm, Answers, BUDGET_HOURS, Budget, Lookups, Objectives, Traffic};
use crate::store::{Result as Stored, Store};
use crate::web::{self, WebState};

/// How often counts are written down.
const PERIOD: Duration = Duration::from_secs(10);

/// What the box is held to, as the settings have it.
pub(super) fn objectives(config: &Config) -> Objectives {
    Objectives {
        availability: config.objective_availability,
        latency: config.objective_latency,
        ingest: config.objective_ingest_ms,
        pages: config.objective_pages_ms,
    }
}

/// Which routes are held to objectives: not those that watch the box, nor files.
pub(super) fn traffic(routes: &[Route]) -> Vec<(String, Traffic)> {
    let of = |route: &Route| match route.access {
        Access::IngestKey => Some(Traffic::Ingest),
        Access::ApiToken | Access::Member | Access::Admin | Access::Owner | Access::Box | Access::SetupToken => {
            Some(Traffic::Pages)
        }
        Access::Metrics => None,
        Access::Public if WATCHING.iter().any(|path| route.path.ends_with(path)) => None,
        Access::Public if route.path.starts_with("/assets/") => None,
        // Asked by apps at every start, and by nobody else.
        Access::Public if route.path.ends_with("/version-check") => Some(Traffic::Ingest),
        Access::Public => Some(Traffic::Pages),
    };
    routes.iter().filter_map(|route| Some((route.path.clone(), of(route)?))).collect()
}

/// Ends of paths that are there to be watched.
const WATCHING: [&str; 3] = ["/health", "/health/live", "/health/ready"];

/// The counts of answers, kept in the store from time to time.
pub(super) struct Counting {
    answering: Answering,
    store: Arc<dyn Store>,
    clock: Clock,
}

impl Counting {
    pub(super) fn new(answering: Answering, store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { answering, store, clock }
    }

    /// Writes down what was counted, and learns what all nodes have. It blocks. What cannot be written down is kept for
    /// the next time.
    pub(super) fn keep(&self) -> Stored<()> {
        let now = self.clock.now();
        let taken = self.answering.take(now);
        if !taken.is_empty()
            && let Err(error) = self.store.count_answers(&taken)
        {
            self.answering.give_back(&taken);
            return Err(error);
        }
        self.answering.learn(Kept(self.store.answers(Answers::hour_of(now) - BUDGET_HOURS)?));
        Ok(())
    }

    /// Does so until it is aborted, and tells of budgets that run low.
    pub(super) fn start(self: Arc<Self>) -> JoinHandle<()> {
        tokio::spawn(async move {
            let mut told = Told::default();
            loop {
                let counting = self.clone();
                if let Ok(Err(error)) = tokio::task::spawn_blocking(move || counting.keep()).await {
                    tracing::debug!(%error, "how requests were answered is written down later");
                }
                for budget in told.news(&self.answering.budgets(self.clock.now())) {
                    tell(&budget);
                }
                tokio::time::sleep(PERIOD).await;
            }
        })
    }
}

fn tell(budget: &Budget) {
    let (traffic, objective) = (budget.traffic.as_str(), budget.aim.as_str());
    let left_percent = (budget.left * 100.0).round();
    let (requests, misses) = (budget.requests, budget.bad);
    match budget.alarm() {
        Alarm::None => {}
        Alarm::Low => {
            tracing::warn!(traffic, objective, left_percent, requests, misses, "the error budget of 30 days runs low");
        }
        Alarm::Spent => {
            tracing::error!(traffic, objective, left_percent, requests, misses, "the error budget of 30 days is spent");
        }
    }
}

/// What was told of each budget, so that nothing is told twice.
#[derive(Default)]
struct Told(Vec<((Traffic, Aim), Alarm)>);

impl Told {
    /// Those that are worse than when they were last told of. One that has recovered may be told of anew.
    fn news(&mut self, budgets: &[Budget]) -> Vec<Budget> {
        let mut news = Vec::new();
        for budget in budgets {
            let of = (budget.traffic, budget.aim);
            let at = self.0.iter().position(|(known, _)| *known == of).unwrap_or_else(|| {
                self.0.push((of, Alarm::None));
                self.0.len() - 1
            });
            let told = &mut self.0[at].1;
            if budget.alarm() > *told {
                news.push(*budget);
                *told = budget.alarm();
            } else if budget.alarm() == Alarm::None && budget.left > RECOVERED {
                *told = Alarm::None;
            }
        }
        news
    }
}

/// A budget of which more is left has recovered: less would let it be told of at every turn.
const RECOVERED: f64 = 0.5;

/// Where figures are sent.
struct Collector {
    url: String,
    headers: Vec<(String, SecretString)>,
    period: Duration,
    pushes: Arc<Lookups>,
}

/// Sends all figures to the collector of the settings, where there is one, until it is aborted. Whatever becomes of it, the
/// box goes on: one request at a time, and nothing is kept for later.
pub(super) fn push(config: &Config, state: WebState, pushes: Arc<Lookups>) -> Option<JoinHandle<()>> {
    let url = config.otlp_metrics_url.clone()?;
    let headers = config.otlp_headers.clone();
    let collector = Collector { url, headers, period: config.otlp_metrics_period_ms, pushes };
    Some(tokio::spawn(async move {
        let mut failing = false;
        loop {
            tokio::time::sleep(collector.period).await;
            let sent = collector.send(&state).await;
            collector.pushes.note(sent.is_ok());
            let failed = sent.is_err();
            match (sent, failing) {
                (Err(error), false) => tracing::warn!(error, "the collector of metrics does not take them"),
                (Err(error), true) => tracing::debug!(error, "the collector of metrics still does not take them"),
                (Ok(()), true) => tracing::info!("the collector of metrics takes them again"),
                (Ok(()), false) => {}
            }
            failing = failed;
        }
    }))
}

impl Collector {
    async fn send(&self, state: &WebState) -> Result<(), String> {
        let node = &state.about.node;
        let source = Source { instance: &node.id, started_at: node.started_at, now: state.clock.now() };
        let body = web::gather(state).await.into_otlp(source);
        let mut call = Call::post(&self.url, "application/json", body);
        // Figures are no secret; credentials are.
        if self.headers.is_empty() {
            call = call.in_the_open();
        }
        for (name, value) in &self.headers {
            let with = call.with_secret(name, value.expose_secret());
            call = with.ok_or_else(|| format!("the header {name} cannot be sent"))?;
        }
        match calls::send(&call).await? {
            (200..=299, _) => Ok(()),
            (status, _) => Err(format!("it answered with status {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(left: f64) -> Budget {
        let (traffic, aim) = (Traffic::Ingest, Aim::Availability);
        let bad = if left < 1.0 { 500 } else { 0 };
        Budget { traffic, aim, target: 0.999, requests: 1_000_000, bad, left, pace: 0.0 }
    }

    #[test]
    fn a_budget_is_told_of_once_until_it_has_recovered() {
        let mut told = Told::default();
        let steps = [
            (1.0, 0),
            (0.2, 1),
            (0.1, 0),
            (0.3, 0),
            (0.2, 0),
            (0.0, 1),
            (-1.0, 0),
            (0.2, 0),
            (0.6, 0),
            (0.2, 1),
            (-0.5, 1),
        ];
        for (step, (left, lines)) in steps.into_iter().enumerate() {
            assert_eq!(told.news(&[budget(left)]).len(), lines, "step {step}");
        }
    }
}
