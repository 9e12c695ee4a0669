//! Aptabase: `POST /api/v0/event`, `POST /api/v0/events` and `POST /api/v0/error`, which its published SDKs call.

mod agent;
mod names;
mod reply;
mod report;
mod wire;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use bytes::Bytes;

use self::reply::Dialect;
use super::admission::{Seen, unreadable};
use super::public::{self, Admitted};
use super::{Adapter, Gate, Ground};
use crate::auth::token;
use crate::http::{Access, Routes, body};
use crate::ingest::{Claim, Request, Scope};
use crate::model::{Fact, Origin, RawEvent, Refusal, Words};

pub use agent::Agent;
pub use report::decode as decode_report;
pub use wire::{Form, Sender, Told, decode};

/// This adapter.
pub const ADAPTER: Adapter = Adapter {
    name: NAME,
    slug: "aptabase",
    prefix: "",
    routes,
    around,
    reader: Some(read_again),
    words: Words::NONE,
    guide: include_str!("../../../docs/aptabase.md"),
};

/// As in the documentation.
const NAME: &str = "Aptabase";

/// Most events in a request, where the box's own bound is lower: one SDK sends all that it has, however long it was away.
const MOST: usize = 10_000;

/// Where debug builds send, in apps that have it.
const DEVELOPMENT: &str = "development";

fn routes(ground: &Ground<'_>) -> Routes<Gate> {
    let most = ground.limits.body_bytes;
    let routes = ground.routes();
    let routes = routes.post("/api/v0/event", Access::IngestKey, most, single);
    let routes = routes.post("/api/v0/events", Access::IngestKey, most, batch);
    routes.post("/api/v0/error", Access::IngestKey, most, error)
}

fn around(router: Router<Gate>, _: &Gate) -> Router<Gate> {
    super::open_to_browsers(router)
}

/// An event or report that was set aside, once more.
fn read_again(text: &str) -> Claim<'_> {
    let told = if report::is_one(text) {
        report::one(text, None)
    } else {
        wire::one(text, &Sender { key: 0, form: Form::Batch, agent: Agent::default() }, None)
    };
    match told.claim {
        Claim::Event(raw) => Claim::Event(RawEvent { user: Some(wire::SOMEBODY.into()), ..raw }),
        other @ (Claim::Unusable { .. } | Claim::Banned) => other,
    }
}

async fn single(State(gate): State<Gate>, origin: Origin, headers: HeaderMap, body: Body) -> Response {
    Call { gate, origin, headers, what: What::Events(Form::Single) }.answer(body).await
}

async fn batch(State(gate): State<Gate>, origin: Origin, headers: HeaderMap, body: Body) -> Response {
    Call { gate, origin, headers, what: What::Events(Form::Batch) }.answer(body).await
}

async fn error(State(gate): State<Gate>, origin: Origin, headers: HeaderMap, body: Body) -> Response {
    Call { gate, origin, headers, what: What::Report }.answer(body).await
}

/// What a request brings.
#[derive(Clone, Copy)]
enum What {
    Events(Form),
    Report,
}

/// One request, its body not read yet.
struct Call {
    gate: Gate,
    origin: Origin,
    headers: HeaderMap,
    what: What,
}

impl Call {
    async fn answer(self, body: Body) -> Response {
        let dialect = match self.what {
            What::Events(_) => Dialect::Events,
            What::Report => Dialect::Report,
        };
        let mut seen = Seen::default();
        let refusal = self.take(body, &mut seen).await.err();
        let mut response = match &refusal {
            None => reply::taken(dialect),
            Some(refusal) => {
                tracing::debug!(request = %self.origin.request_id, ?refusal, "Aptabase request refused");
                self.gate.intake.note_refusal(NAME, refusal, self.origin.received_at);
                reply::refused(refusal, dialect)
            }
        };
        seen.dress(&mut response, refusal.as_ref());
        response
    }

    /// The key is shown, so the app's door comes before the body.
    async fn take(&self, body: Body, seen: &mut Seen) -> Result<(), Refusal> {
        let key = self.key();
        let key = key.as_deref().map_err(|missing| *missing);
        let admitted = public::admit(&self.gate, key, (&self.origin, &self.headers), seen).await?;
        let body = body::read(&self.headers, body, self.gate.body.clone()).await.map_err(unreadable)?;
        let told = self.decode(&body, &admitted)?;
        if self.gate.respect_dnt && ["dnt", "sec-gpc"].iter().any(|name| self.header(name) == Some("1")) {
            self.gate.intake.drop_all(&admitted.app, told.len());
            return Ok(());
        }
        let development = admitted.app.environment(DEVELOPMENT).map(|environment| environment.id);
        let (debug, release): (Vec<_>, Vec<_>) = told.into_iter().partition(|told| told.is_debug);
        let own = admitted.scope(&self.gate, &self.origin);
        let scopes = [own.clone(), Scope { environment: development.unwrap_or(own.environment), ..own }];
        for (scope, told) in scopes.into_iter().zip([release, debug]) {
            if !told.is_empty() {
                self.accept(scope, told).await?;
            }
        }
        Ok(())
    }

    /// The key, in the spelling of its SDKs or our own.
    fn key(&self) -> Result<String, &'static str> {
        let said = self.header("app-key").ok_or("the header App-Key is missing")?;
        match token::from_aptabase(said) {
            Some(key) => Ok(key),
            None if said.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("a-")) => Err(
                "this App-Key is of another server: keys of this one begin with A-SH- and are on the app's page Keys",
            ),
            None => Ok(said.to_owned()),
        }
    }

    fn decode<'a>(&'a self, body: &'a Bytes, admitted: &Admitted) -> Result<Vec<Told<'a>>, Refusal> {
        let key = admitted.key.0;
        match self.what {
            What::Report => report::decode(body, key).map(|told| vec![told]),
            What::Events(form) => {
                let agent = Agent::read(self.header(header::USER_AGENT.as_str()).unwrap_or_default());
                let most = self.gate.intake.limits().batch_events.max(MOST);
                decode(body, &Sender { key, form, agent }, most)
            }
        }
    }

    async fn accept(&self, scope: Scope, told: Vec<Told<'_>>) -> Result<(), Refusal> {
        let mut request = Request::new(scope, self.origin.received_at);
        let mut last: Option<(Option<String>, String)> = None;
        for Told { mut claim, names_system, .. } in told {
            let session = match &claim {
                Claim::Event(raw) => raw.session.as_deref(),
                Claim::Unusable { sent, .. } => sent.as_ref().and_then(|sent| sent.session.as_deref()),
                Claim::Banned => None,
            };
            let known = last.as_ref().filter(|(of, _)| session.is_some() && of.as_deref() == session);
            let visitor = match known {
                Some((_, visitor)) => visitor.clone(),
                None => {
                    let agent = match &claim {
                        Claim::Event(raw) if names_system => device(raw),
                        Claim::Event(_) | Claim::Unusable { .. } | Claim::Banned => self.agent(),
                    };
                    let visitor = self.gate.intake.visitor(request.scope.app.id, &self.origin, &agent, session).await?;
                    last = Some((session.map(str::to_owned), visitor.clone()));
                    visitor
                }
            };
            match &mut claim {
                Claim::Event(raw) => raw.user = Some(visitor.into()),
                Claim::Unusable { sent: Some(sent), .. } => sent.user = Some(visitor.into()),
                Claim::Unusable { sent: None, .. } | Claim::Banned => {}
            }
            request.claims.push(claim);
        }
        self.gate.intake.accept(request).await.map(drop).inspect_err(|refusal| {
            if *refusal == Refusal::Unauthorized {
                // The store knows of a revocation that we do not.
                self.gate.keys.forget();
            }
        })
    }

    fn agent(&self) -> String {
        self.header(header::USER_AGENT.as_str()).unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}

/// What tells one device of a household from another, where every program of an SDK has the same `User-Agent`.
fn device(raw: &RawEvent<'_>) -> String {
    let facts = [Fact::System, Fact::SystemVersion, Fact::Device, Fact::Locale];
    facts.map(|fact| raw.facts.get(fact).unwrap_or_default()).join("\n")
}
