//! Health for people, balancers and containers: alive, ready, healthy. No credentials, no secrets.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::model::Millis;
use crate::store::{Store, StoreError};

use super::state::WebState;

/// How long an answer of the store's probe is believed, in milliseconds.
const BELIEVED: i64 = 700;
/// How long the store may take to answer. With [`BELIEVED`] less than the two seconds within which readiness has to turn.
const PATIENCE: Duration = Duration::from_millis(1_000);

const _: () = assert!(BELIEVED as u128 + PATIENCE.as_millis() <= 1_800, "readiness turns within two seconds");

/// What the store's probe last said. However many ask, one probe runs.
#[derive(Default)]
pub struct Probe(Mutex<Probed>);

#[derive(Default)]
struct Probed {
    last: Option<(Millis, Option<Reason>)>,
    /// The probe that has not answered yet: no second one is sent behind it.
    underway: Option<JoinHandle<Result<(), StoreError>>>,
}

/// Why the box is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is being stopped.
    Draining,
    /// Less is free on the disk than its floor.
    DiskFull,
    /// The database cannot be reached.
    DatabaseUnavailable,
    /// It gave no answer in time.
    DatabaseSlow,
    /// It is damaged, or its disk is.
    DatabaseDamaged,
    /// It does not have the tables that this version needs.
    Schema,
    /// It refused to write for another reason.
    DatabaseFailed,
}

impl Reason {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::DiskFull => "disk_full",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::DatabaseSlow => "database_slow",
            Self::DatabaseDamaged => "database_damaged",
            Self::Schema => "schema",
            Self::DatabaseFailed => "database_failed",
        }
    }

    /// For people. Whoever asks may be anybody, so it says no more than that.
    fn sentence(self) -> &'static str {
        match self {
            Self::Draining => "The box is being stopped and takes no new events.",
            Self::DiskFull => "Free space on the disk is below its floor: no events are taken.",
            Self::DatabaseUnavailable => "The database cannot be reached.",
            Self::DatabaseSlow => "The database did not answer a trial write within a second.",
            Self::DatabaseDamaged => "The database is damaged, or its disk is.",
            Self::Schema => "The schema of the database is not the one that this version needs.",
            Self::DatabaseFailed => "The database refused a trial write.",
        }
    }

    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Full => Self::DiskFull,
            StoreError::Unavailable(_) => Self::DatabaseUnavailable,
            StoreError::Interrupted => Self::DatabaseSlow,
            StoreError::Io(_) | StoreError::Corrupt(_) => Self::DatabaseDamaged,
            StoreError::Schema(_) => Self::Schema,
            StoreError::Exists(_)
            | StoreError::InUse(_)
            | StoreError::LastOwner
            | StoreError::NotFound(_)
            | StoreError::NoRoom(_)
            | StoreError::TakenOver
            | StoreError::TokenSpent
            | StoreError::TooMuch
            | StoreError::Unexpected(_) => Self::DatabaseFailed,
        }
    }
}

impl Probe {
    /// Why the store would take no write now; nothing where it would.
    async fn ask(&self, store: Arc<dyn Store>, clock: &Clock) -> Option<Reason> {
        let mut probed = self.0.lock().await;
        if let Some((at, reason)) = probed.last
            && (0..BELIEVED).contains(&clock.now().since(at))
        {
            return reason;
        }
        let mut probe = probed.underway.take().unwrap_or_else(|| tokio::task::spawn_blocking(move || store.probe()));
        let (reason, why) = match tokio::time::timeout(PATIENCE, &mut probe).await {
            Ok(Ok(Ok(()))) => (None, String::new()),
            Ok(Ok(Err(error))) => (Some(Reason::of(&error)), error.to_string()),
            Ok(Err(stopped)) => (Some(Reason::DatabaseFailed), stopped.to_string()),
            Err(_) => {
                probed.underway = Some(probe);
                (Some(Reason::DatabaseSlow), "no answer in time".to_owned())
            }
        };
        let before = probed.last.and_then(|(_, reason)| reason);
        probed.last = Some((clock.now(), reason));
        match (before, reason) {
            (before, reason) if before == reason => {}
            (_, Some(reason)) => tracing::warn!(reason = reason.name(), why, "the box is not ready"),
            (_, None) => tracing::info!("the box is ready again"),
        }
        reason
    }
}

/// Why the box is not ready; nothing where it is.
pub async fn reason(state: &WebState) -> Option<Reason> {
    if (state.draining)() {
        return Some(Reason::Draining);
    }
    state.probe.ask(state.store.clone(), &state.clock).await
}

/// `GET /health`: 200 while the box is ready, else 503. It has the fields that users of either protocol look for: the
/// telemetry-kit guide's `status` with the word `healthy`, `version` and `timestamp`, and `build_id` and `service_id` of
/// Teardown, whose word `ok` stands as a field of its own, since `status` can hold one word only.
pub async fn health(State(state): State<WebState>) -> Response {
    let reason = reason(&state).await;
    let mut body = body(&state, ["healthy", "unhealthy"], reason);
    body["ok"] = json!(reason.is_none());
    for (name, value) in [("build_id", &state.about.build_id), ("service_id", &state.about.service_id)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    answer(reason, &body)
}

/// `GET /health/live`: 200 while the process answers at all; storage is not asked.
pub async fn live(State(state): State<WebState>) -> Response {
    answer(None, &body(&state, ["alive", ""], None))
}

/// `GET /health/ready`: 503 while shutting down or while the database takes no writes, with the reasons.
pub async fn ready(State(state): State<WebState>) -> Response {
    let reason = reason(&state).await;
    let bad = if reason == Some(Reason::Draining) { "draining" } else { "unready" };
    answer(reason, &body(&state, ["ready", bad], reason))
}

fn body(state: &WebState, [good, bad]: [&str; 2], reason: Option<Reason>) -> Value {
    let told = |reason: Reason| json!({ "name": reason.name(), "message": reason.sentence() });
    json!({
        "status": if reason.is_none() { good } else { bad },
        "version": env!("CARGO_PKG_VERSION"),
        "timestamp": state.clock.now().timestamp().to_string(),
        "reasons": reason.map(told).into_iter().collect::<Vec<_>>(),
    })
}

fn answer(reason: Option<Reason>, body: &Value) -> Response {
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_the_store_has_its_reason() {
        for (error, reason) in [
            (StoreError::Full, Reason::DiskFull),
            (StoreError::Unavailable("x".to_owned()), Reason::DatabaseUnavailable),
            (StoreError::Corrupt("x".to_owned()), Reason::DatabaseDamaged),
            (StoreError::Schema("x".to_owned()), Reason::Schema),
            (StoreError::Unexpected("x".to_owned()), Reason::DatabaseFailed),
        ] {
            assert_eq!(Reason::of(&error), reason);
            assert!(reason.sentence().ends_with('.') && !reason.name().contains(' '));
        }
    }
}
