//! What SDKs ask beside sending events: their settings, flags, surveys and the like. Each is answered so that it asks no
//! further and reports nothing as wrong: the box has no flags, and switches off what it does not keep.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use super::reply::{self, Dialect};
use crate::http::body::{self, BodyLimits};
use crate::http::{Access, Routes};
use crate::model::{Order, Origin};
use crate::protocol::Gate;
use crate::protocol::admission::unreadable;
use crate::protocol::public;

/// Largest question about flags, in bytes: some browsers send all that they know of a person with it.
const QUESTION: usize = 1 << 20;

/// Longest key that is named in a script, in bytes.
const LONGEST_KEY: usize = 64;

/// Adds the routes.
pub fn mount(routes: Routes<Gate>, recording: usize) -> Routes<Gate> {
    let routes = ["/s", "/s/"]
        .into_iter()
        .fold(routes, |routes, path| routes.post(path, Access::Public, recording, not_recorded));
    let routes = ["/api/push_subscriptions", "/api/push_subscriptions/"]
        .into_iter()
        .fold(routes, |routes, path| routes.post(path, Access::Public, QUESTION, not_subscribed));
    let routes = ["/flags", "/flags/", "/decide", "/decide/"]
        .into_iter()
        .fold(routes, |routes, path| routes.post(path, Access::Public, QUESTION, flags));
    let routes = routes.get("/array/{key}/config", Access::Public, config);
    let routes = routes.get("/array/{key}/config.js", Access::Public, script);
    let routes = [
        "/flags/definitions",
        "/flags/definitions/",
        "/api/feature_flag/local_evaluation",
        "/api/feature_flag/local_evaluation/",
    ]
    .into_iter()
    .fold(routes, |routes, path| routes.get(path, Access::Public, definitions));
    let routes = routes.get("/api/surveys", Access::Public, surveys);
    let routes = routes.get("/api/surveys/", Access::Public, surveys);
    let routes = routes.get("/api/web_experiments", Access::Public, experiments);
    let routes = routes.get("/api/web_experiments/", Access::Public, experiments);
    let routes = routes.get("/api/early_access_features", Access::Public, early_access);
    let routes = routes.get("/api/early_access_features/", Access::Public, early_access);
    let routes = routes.get("/api/product_tours", Access::Public, tours);
    routes.get("/api/product_tours/", Access::Public, tours)
}

/// What an SDK is to do by itself: report clicks and pages if its app wants that, and nothing that is not kept.
fn settings(order: &Order) -> Value {
    json!({
        // Without the second name browsers would send plain JSON, and ask before each request whether they may.
        "supportedCompression": ["gzip", "gzip-js"],
        "hasFeatureFlags": false,
        "sessionRecording": false,
        "surveys": false,
        "heatmaps": false,
        "capturePerformance": false,
        "autocaptureExceptions": false,
        "errorTracking": false,
        "logs": false,
        "captureDeadClicks": false,
        // Left out, it would keep clicks from being reported even where the app has switched them on.
        "autocapture_opt_out": order.quiet.is_some(),
        "elementsChainAsString": true,
        "productTours": false,
        "conversations": false,
        "siteApps": [],
        "toolbarParams": {},
        "isAuthenticated": false,
    })
}

async fn config(State(gate): State<Gate>, origin: Origin, Path(key): Path<String>) -> Response {
    reply::told(StatusCode::OK, &settings(&order(&gate, &origin, &key).await))
}

/// What clients with that key are ordered; none where it is not known, which they hear when they send.
async fn order(gate: &Gate, origin: &Origin, key: &str) -> Order {
    let found = public::find(gate, Ok(key), origin.address).await;
    found.map(|admitted| admitted.order(gate, None)).unwrap_or_default()
}

/// The settings as a script, which browsers ask for first. It names its key, so that one has to look like one.
async fn script(State(gate): State<Gate>, origin: Origin, Path(key): Path<String>) -> Response {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(plain) {
        return reply::missing();
    }
    // Told that there are none, browsers load the script that would show them; told nothing, they do not.
    let mut settings = settings(&order(&gate, &origin, &key).await);
    settings["surveys"] = Value::Null;
    let own = json!({ "config": settings, "siteApps": [] });
    let script = format!(
        "((window._POSTHOG_REMOTE_CONFIG ??= {{}})[\"{key}\"] = {own});
"
    );
    // Pages of any origin load it.
    let headers =
        [("content-type", "text/javascript; charset=utf-8"), ("cross-origin-resource-policy", "cross-origin")];
    (headers, script).into_response()
}

/// No flag, in the words of all versions of the question; those that ask for settings with it find them.
async fn flags(State(gate): State<Gate>, headers: HeaderMap, body: Body) -> Response {
    if let Err(refusal) = pass_over(&gate, &headers, body, QUESTION).await {
        return refusal;
    }
    let mut answer = settings(&Order::default());
    answer["flags"] = json!({});
    answer["featureFlags"] = json!({});
    answer["featureFlagPayloads"] = json!({});
    answer["errorsWhileComputingFlags"] = json!(false);
    answer["requestId"] = json!(Uuid::new_v4());
    reply::told(StatusCode::OK, &answer)
}

async fn definitions() -> Response {
    reply::told(StatusCode::OK, &json!({ "flags": [], "group_type_mapping": {}, "cohorts": {} }))
}

async fn surveys() -> Response {
    reply::told(StatusCode::OK, &json!({ "surveys": [] }))
}

async fn experiments() -> Response {
    reply::told(StatusCode::OK, &json!({ "experiments": [] }))
}

async fn early_access() -> Response {
    reply::told(StatusCode::OK, &json!({ "earlyAccessFeatures": [] }))
}

async fn tours() -> Response {
    reply::told(StatusCode::OK, &json!({ "product_tours": [] }))
}

/// Recordings of screens are taken from the client, which would send them again otherwise, and not kept.
async fn not_recorded(State(gate): State<Gate>, headers: HeaderMap, body: Body) -> Response {
    let limit = gate.body.wire.min(super::BODY);
    let passed = pass_over(&gate, &headers, body, limit).await;
    passed.map_or_else(|refusal| refusal, |()| reply::taken(Dialect::Older { beacon: false }))
}

/// Tokens for push messages, which telephones tell without being asked and would tell again at every start. The box sends
/// no messages, and keeps none.
async fn not_subscribed(State(gate): State<Gate>, headers: HeaderMap, body: Body) -> Response {
    let passed = pass_over(&gate, &headers, body, QUESTION).await;
    passed.map_or_else(|refusal| refusal, |()| reply::taken(Dialect::Older { beacon: false }))
}

/// Reads a body that nobody needs.
async fn pass_over(gate: &Gate, headers: &HeaderMap, body: Body, most: usize) -> Result<(), Response> {
    let limits = BodyLimits { wire: most, ..gate.body.clone() };
    let read = body::read_wire(headers, body, &limits).await;
    read.map(drop).map_err(|error| reply::refused(&unreadable(error), Dialect::Older { beacon: false }))
}
