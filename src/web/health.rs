//! Health for people, balancers and containers: alive, ready, healthy. No credentials, no secrets.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::model::Millis;
use crate::store::Store;

use super::state::WebState;

/// How long an answer of the store's probe is believed, in milliseconds.
const BELIEVED: i64 = 1_000;
/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The last answer of the store's probe. However many ask, one probe runs.
#[derive(Default)]
pub struct Probe(Mutex<Option<(Millis, Health)>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    Bad,
}

impl Probe {
    async fn ask(&self, store: std::sync::Arc<dyn Store>, clock: &Clock) -> Health {
        let mut last = self.0.lock().await;
        if let Some((at, health)) = *last
            && (0..BELIEVED).contains(&clock.now().since(at))
        {
            return health;
        }
        let probe = tokio::task::spawn_blocking(move || store.probe());
        let health = match tokio::time::timeout(PATIENCE, probe).await {
            Ok(Ok(Ok(()))) => Health::Good,
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "health probe failed");
                Health::Bad
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("health probe gave no answer");
                Health::Bad
            }
        };
        *last = Some((clock.now(), health));
        health
    }
}

/// `GET /health`: 200 while a write to the database would succeed, else 503. The telemetry-kit guide names the fields.
pub async fn health(State(state): State<WebState>) -> Response {
    let health = state.probe.ask(state.store.clone(), &state.clock).await;
    answer(health, "healthy", "unhealthy", state.clock.now())
}

/// `GET /health/live`: 200 while the process answers at all; storage is not asked.
pub async fn live(State(state): State<WebState>) -> Response {
    answer(Health::Good, "alive", "", state.clock.now())
}

/// `GET /health/ready`: 503 while shutting down or while the database takes no writes.
pub async fn ready(State(state): State<WebState>) -> Response {
    if (state.draining)() {
        return answer(Health::Bad, "", "draining", state.clock.now());
    }
    let health = state.probe.ask(state.store.clone(), &state.clock).await;
    answer(health, "ready", "unready", state.clock.now())
}

fn answer(health: Health, good: &str, bad: &str, now: Millis) -> Response {
    let (status, word) = match health {
        Health::Good => (StatusCode::OK, good),
        Health::Bad => (StatusCode::SERVICE_UNAVAILABLE, bad),
    };
    let body = serde_json::json!({
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "timestamp": now.timestamp().to_string(),
    });
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
