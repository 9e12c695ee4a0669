//! telemetry-kit: `POST /v1/ingest/{organization}/{app}`, which its published SDK 0.3.0 calls, and `POST /events/batch`
//! of its self-hosting guide.

mod proof;
mod reply;
mod wire;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use self::proof::{AppPath, Claims, Proven};
use self::reply::Shape;
use super::admission::{Caller, Seen, unreadable};
use super::{Adapter, Gate, Ground};
use crate::http::body;
use crate::http::limit::RetryAfterSeconds;
use crate::http::{Access, Routes};
use crate::ingest::{Credential, Request, Scope};
use crate::model::{Origin, Receipt, Refusal};

pub use self::wire::{Envelope, decode};

/// This adapter.
pub const ADAPTER: Adapter = Adapter {
    name: NAME,
    slug: "telemetry-kit",
    prefix: "",
    routes,
    around,
    reader: Some(wire::claim),
    words: reply::WORDS,
    guide: include_str!("../../../docs/telemetry-kit.md"),
};

/// As in the documentation.
const NAME: &str = "telemetry-kit";

/// How refusals are written: the published SDK and the project's main branch read different shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorShape {
    /// Nested where a path segment is no UUID, since only the main branch can send that; else flat.
    #[default]
    ByPath,
    /// `{"error":"code","message":"text"}` always.
    Flat,
    /// `{"error":{"code":"code","message":"text"}}` always.
    Nested,
}

impl ErrorShape {
    fn of(self, path: Option<&AppPath>) -> Shape {
        match self {
            Self::Flat => Shape::Flat,
            Self::Nested => Shape::Nested,
            Self::ByPath if path.is_none_or(AppPath::has_uuids) => Shape::Flat,
            Self::ByPath => Shape::Nested,
        }
    }
}

fn routes(ground: &Ground<'_>) -> Routes<Gate> {
    let limit = ground.limits.body_bytes;
    let routes = ground.routes().post("/v1/ingest/{organization}/{app}", Access::IngestKey, limit, by_path);
    routes.post("/events/batch", Access::IngestKey, limit, by_token)
}

fn around(router: Router<Gate>, gate: &Gate) -> Router<Gate> {
    gate.open_to_pages(router)
}

async fn by_path(
    State(gate): State<Gate>,
    origin: Origin,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // Segments that are not UTF-8 name nothing.
    let (first, second) = path.map(|Path(path)| path).unwrap_or_default();
    let path = Some(AppPath { first, second });
    Call { gate, origin, path, headers, envelope: Envelope::Object }.answer(body).await
}

async fn by_token(State(gate): State<Gate>, origin: Origin, headers: HeaderMap, body: Body) -> Response {
    Call { gate, origin, path: None, headers, envelope: Envelope::ObjectOrArray }.answer(body).await
}

/// One request, its body not read yet.
struct Call {
    gate: Gate,
    origin: Origin,
    path: Option<AppPath>,
    headers: HeaderMap,
    envelope: Envelope,
}

/// A request that was taken, and how its sender wants to hear it.
enum Taken {
    InCharge(Receipt),
    Judged(Receipt),
    Untracked(Receipt),
}

impl Call {
    async fn answer(self, body: Body) -> Response {
        let mut seen = Seen::default();
        let outcome = self.take(body, &mut seen).await;
        let refusal = outcome.as_ref().err().cloned();
        let mut response = self.tell(outcome);
        seen.dress(&mut response, refusal.as_ref());
        response
    }

    fn tell(&self, outcome: Result<Taken, Refusal>) -> Response {
        let shape = self.gate.telemetry_kit_errors.of(self.path.as_ref());
        match outcome {
            Ok(Taken::InCharge(receipt)) => reply::taken(&receipt),
            Ok(Taken::Judged(receipt)) => reply::judged(&receipt, shape),
            Ok(Taken::Untracked(receipt)) if self.is_from_sdk() => reply::untracked(&receipt),
            Ok(Taken::Untracked(_)) => StatusCode::NO_CONTENT.into_response(),
            Err(refusal) => {
                tracing::debug!(request = %self.origin.request_id, ?refusal, "telemetry-kit request refused");
                self.gate.intake.note_refusal(NAME, &refusal, self.origin.received_at);
                reply::refused(&refusal, shape)
            }
        }
    }

    /// The order of checks is the protocol's: size while reading, headers, credentials, signature, time, the app's door
    /// and quota, envelope, batch size, Do Not Track, and at last the events with the nonce, in one transaction. Limits
    /// come behind the signature, since the path alone names the app: nobody can use up what is another's.
    async fn take(&self, body: Body, seen: &mut Seen) -> Result<Taken, Refusal> {
        let limits = &self.gate.body;
        let wire = body::read_wire(&self.headers, body, limits).await.map_err(unreadable)?;
        let Proven { scope, sent_at, nonce } = self.prove(&wire).await?;
        let (app, rules, key, credential) = (&scope.app, &scope.rules, scope.key, Credential::Secret);
        let caller = Caller { app, rules, key, credential };
        caller.enter(&self.gate, &self.origin, &self.headers, seen).await?;
        let body = body::decode(&self.headers, wire, limits).await.map_err(unreadable)?;
        let claims = decode(&body, self.envelope, self.gate.intake.limits().batch_events)?;
        self.check_batch_size(claims.len())?;
        if self.gate.respect_dnt && (self.header("dnt") == Some("1") || self.header("sec-gpc") == Some("1")) {
            return Ok(Taken::Untracked(self.gate.intake.drop_all(&scope.app, claims.len())));
        }
        let strict = scope.app.strict;
        let received_at = self.origin.received_at;
        let scope = Scope { country: self.gate.intake.country(self.origin.address), ..scope };
        let request = Request { sent_at: Some(sent_at), nonce, claims, ..Request::new(scope, received_at) };
        let receipt = self.gate.intake.accept(request).await.inspect_err(|refusal| {
            if *refusal == Refusal::Unauthorized {
                // The store knows of a revocation that we do not.
                self.gate.keys.forget();
            }
        })?;
        Ok(if strict { Taken::Judged(receipt) } else { Taken::InCharge(receipt) })
    }

    /// Failures alone count against an address, so that nobody can use up the allowance of those behind it.
    async fn prove(&self, body: &[u8]) -> Result<Proven, Refusal> {
        let proven = match Claims::read(&self.headers) {
            Ok(claims) => claims.prove(&self.gate.keys, self.path.as_ref(), body, self.gate.clock.now()).await,
            Err(refusal) => Err(refusal),
        };
        match proven {
            Err(wrong @ (Refusal::Unauthorized | Refusal::WrongCredential(_))) => {
                Err(match self.gate.failures.check(self.origin.address) {
                    Ok(()) => wrong,
                    Err(RetryAfterSeconds(seconds)) => Refusal::RateLimited(seconds),
                })
            }
            proven => proven,
        }
    }

    /// `X-Batch-Size` counts if it is a number.
    fn check_batch_size(&self, events: usize) -> Result<(), Refusal> {
        match self.header("x-batch-size").and_then(|text| text.parse::<u64>().ok()) {
            Some(said) if said != events as u64 => {
                Err(Refusal::Malformed(format!("X-Batch-Size is {said}, the batch has {events}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_from_sdk(&self) -> bool {
        self.header("x-sdk-version").is_some_and(|version| version.starts_with("telemetry-kit-rust/"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::auth::signature::{self, SignedText};
    use crate::ingest::Claim;
    use crate::model::Fact;

    const RECORDED: [&str; 4] = [
        include_str!("../../../tests/fixtures/protocol/telemetry-kit/command.json"),
        include_str!("../../../tests/fixtures/protocol/telemetry-kit/feature.json"),
        include_str!("../../../tests/fixtures/protocol/telemetry-kit/custom.json"),
        include_str!("../../../tests/fixtures/protocol/telemetry-kit/batch.json"),
    ];

    #[test]
    fn requests_of_the_published_sdk_verify_and_decode() {
        let mut names = Vec::new();
        for recorded in RECORDED {
            let request: Value = serde_json::from_str(recorded).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let (body, header) = (text(&request["body"]), |name: &str| text(&request["headers"][name]));
            let (timestamp, nonce) = (header("x-timestamp"), header("x-nonce"));
            let signed = SignedText { timestamp: &timestamp, nonce: Some(&nonce), body: body.as_bytes() };
            let secret = text(&request["credentials"]["secret"]);
            assert!(signed.verify(secret.as_bytes(), &signature::parse(&header("x-signature")).unwrap()));
            let claims = decode(body.as_bytes(), Envelope::Object, 1_000).unwrap();
            assert_eq!(claims.len() as u64, request["events"].as_u64().unwrap());
            for claim in &claims {
                let Claim::Event(event) = claim else { panic!("{claim:?}") };
                assert_eq!(event.facts.get(Fact::Sdk), Some("telemetry-kit-rust/0.3.0"));
                assert!(event.id.is_some() && event.user.is_some() && event.session.is_some());
                let apart = event.claimed_at.unwrap().seconds().abs_diff(timestamp.parse().unwrap());
                assert!(apart < 60, "tracked {apart} s from sending");
                names.push(event.name.to_string());
            }
        }
        assert_eq!(names[..4], ["command_execution", "feature_used", "checked_out", "command_execution"]);
        assert_eq!(names.len(), 24);
    }

    #[test]
    fn errors_are_nested_only_where_the_published_sdk_cannot_be_the_sender() {
        let uuid = "6f1c2d3e-0a4b-4c5d-8e6f-7a8b9c0d1e2f";
        let path = |first: &str, second: &str| AppPath { first: first.to_owned(), second: second.to_owned() };
        for (path, shape) in [
            (None, Shape::Flat),
            (Some(path(uuid, uuid)), Shape::Flat),
            (Some(path("app_e963188b", "my-app")), Shape::Nested),
            (Some(path(uuid, "my-app")), Shape::Nested),
        ] {
            assert_eq!(ErrorShape::ByPath.of(path.as_ref()), shape, "{path:?}");
            assert_eq!(ErrorShape::Flat.of(path.as_ref()), Shape::Flat);
            assert_eq!(ErrorShape::Nested.of(path.as_ref()), Shape::Nested);
        }
    }
}
