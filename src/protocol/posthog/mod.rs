//! PostHog: the paths to which its published SDKs send events, and those that they ask beside.

mod beside;
mod lz;
mod payload;
mod reply;
mod wire;

use std::borrow::Cow;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;

use self::reply::Dialect;
use super::admission::{Seen, unreadable};
use super::public::{self, Admitted};
use super::{Adapter, Gate, Ground};
use crate::http::body::{self, BodyLimits};
use crate::http::{Access, Routes};
use crate::ingest::{Claim, Request, Scope};
use crate::model::{Fact, Millis, Origin, Outcome, Refusal};

pub use payload::{Hints, unwrap};
pub use wire::{Batch, Form, Item, Place, decode};

/// This adapter.
pub const ADAPTER: Adapter = Adapter {
    name: NAME,
    slug: "posthog",
    prefix: "",
    routes,
    around,
    reader: Some(wire::claim),
    words: reply::WORDS,
    guide: include_str!("../../../docs/posthog.md"),
};

/// As in the documentation.
const NAME: &str = "PostHog";

/// Largest body in bytes, where the box takes no less.
const BODY: usize = 20 << 20;

/// Most events in a request, where the box's own bound is lower: a browser sends all that it has at once.
const MOST: usize = 5_000;

/// The last year whose times a query tells by mistake, as its clients' own server has it: the end of 2020.
const STALE: i64 = 1_609_459_200_000;

fn routes(ground: &Ground<'_>) -> Routes<Gate> {
    let limit = ground.limits.body_bytes.min(BODY);
    let mut routes = ground.routes();
    for path in ["/batch", "/e", "/i/v0/e", "/i/v0/ai/batch", "/capture", "/track", "/engage"] {
        for path in [path.to_owned(), format!("{path}/")] {
            routes = routes.post(&path, Access::IngestKey, limit, older);
            if !path.contains("batch") {
                routes = routes.get(&path, Access::IngestKey, by_address);
            }
        }
    }
    for path in ["/i/v1/analytics/events", "/i/v1/ai/events"] {
        for path in [path.to_owned(), format!("{path}/")] {
            routes = routes.post(&path, Access::IngestKey, limit, newer);
        }
    }
    beside::mount(routes, limit)
}

fn around(router: Router<Gate>, _: &Gate) -> Router<Gate> {
    super::open_to_browsers(router)
}

async fn older(
    State(gate): State<Gate>,
    origin: Origin,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let hints = Hints::read(query.as_deref().unwrap_or_default(), &headers);
    let call = Call { gate, origin, headers };
    let mut seen = Seen::default();
    let outcome = call.take(&hints, body, &mut seen).await;
    let dialect = Dialect::Older { beacon: hints.beacon };
    let told = |quiet| if quiet { reply::hushed(dialect) } else { reply::taken(dialect) };
    call.answer(outcome.map(told), dialect, seen)
}

/// A payload in the address, as images and old browsers send it.
async fn by_address(
    State(gate): State<Gate>,
    origin: Origin,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    older(State(gate), origin, RawQuery(query), headers, Body::empty()).await
}

async fn newer(State(gate): State<Gate>, origin: Origin, headers: HeaderMap, body: Body) -> Response {
    let call = Call { gate, origin, headers };
    let mut seen = Seen::default();
    let outcome = call.take_newer(body, &mut seen).await;
    call.answer(outcome, Dialect::Newer, seen)
}

/// One request, its body not read yet.
struct Call {
    gate: Gate,
    origin: Origin,
    headers: HeaderMap,
}

/// What became of a request.
struct Accepted<'a> {
    /// The id of each event that has one, and what became of it; nothing where it told of a person alone.
    outcomes: Vec<(Cow<'a, str>, Option<Outcome>)>,
    /// Whether nothing of it is kept since its client is to be quiet.
    quiet: bool,
}

impl Call {
    fn answer(&self, outcome: Result<Response, Refusal>, dialect: Dialect, seen: Seen) -> Response {
        let refusal = outcome.as_ref().err().cloned();
        let mut response = outcome.unwrap_or_else(|refusal| {
            tracing::debug!(request = %self.origin.request_id, ?refusal, "PostHog request refused");
            self.gate.intake.note_refusal(NAME, &refusal, self.origin.received_at);
            reply::refused(&refusal, dialect)
        });
        seen.dress(&mut response, refusal.as_ref());
        response
    }

    /// The key stands within the body, so that comes first. The answer is whether its client is to be quiet.
    async fn take(&self, hints: &Hints, body: Body, seen: &mut Seen) -> Result<bool, Refusal> {
        let limits = self.limits();
        let wire = body::read_wire(&self.headers, body, &limits).await.map_err(unreadable)?;
        let body = unwrap(wire, hints, &self.headers, &limits).await.map_err(unreadable)?;
        let sent_at = hints.sent_at.filter(|at| *at >= STALE).map(Millis);
        let batch = decode(&body, Form::Older { sent_at }, self.most())?;
        let key = batch.key.as_deref().or(hints.token.as_deref()).ok_or("the project API key is missing");
        let admitted = self.admit(key.map(str::trim), seen).await?;
        Ok(self.accept(&admitted, batch).await?.quiet)
    }

    async fn take_newer(&self, body: Body, seen: &mut Seen) -> Result<Response, Refusal> {
        let bearer = self.header(header::AUTHORIZATION.as_str()).and_then(|value| value.split_once(' '));
        let key = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key.trim());
        let admitted = self.admit(key.ok_or("the header Authorization has no bearer token"), seen).await?;
        let body = body::read(&self.headers, body, self.limits()).await.map_err(unreadable)?;
        let form = Form::Newer {
            sent_at: self.header("posthog-request-timestamp").and_then(wire::time),
            sdk: self.header("posthog-sdk-info"),
        };
        let batch = decode(&body, form, self.most())?;
        let accepted = self.accept(&admitted, batch).await?;
        Ok(reply::judged(&accepted.outcomes, admitted.app.strict))
    }

    async fn admit(&self, key: Result<&str, &'static str>, seen: &mut Seen) -> Result<Admitted, Refusal> {
        // Personal keys of the protocol's own server are as secret as ours.
        let key = match key {
            Ok(key) if key.starts_with("phx_") => Err("this is a personal API key; use the public key of an app"),
            Ok("") => Err("the project API key is empty"),
            key => key,
        };
        public::admit(&self.gate, key, (&self.origin, &self.headers), seen).await
    }

    async fn accept<'a>(&self, admitted: &Admitted, batch: Batch<'a>) -> Result<Accepted<'a>, Refusal> {
        let Batch { sent_at, mut items, .. } = batch;
        let listed: Vec<_> = items.iter_mut().map(|item| (item.uuid.take(), item.claim.is_some())).collect();
        let claims = listed.iter().filter(|(_, claimed)| *claimed).count();
        let outcomes = if self.gate.respect_dnt && self.asks_not_to_be_tracked() {
            self.gate.intake.drop_all(&admitted.app, claims).outcomes
        } else {
            self.store(admitted, sent_at, items).await?
        };
        let quiet = Outcome::are_of_the_quiet(&outcomes);
        let mut outcomes = outcomes.into_iter();
        let outcome = |(uuid, claimed): (Option<_>, bool)| {
            let outcome = if claimed { outcomes.next() } else { None };
            Some((uuid?, outcome))
        };
        Ok(Accepted { outcomes: listed.into_iter().filter_map(outcome).collect(), quiet })
    }

    async fn store(
        &self,
        admitted: &Admitted,
        sent_at: Option<Millis>,
        items: Vec<Item<'_>>,
    ) -> Result<Vec<Outcome>, Refusal> {
        let here = self.gate.intake.country(self.origin.address);
        // As a rule all events are of somebody who is where the request comes from.
        let all_here = items.iter().all(|item| item.place == Place::Sender);
        let scope = Scope { country: here.filter(|_| all_here), ..admitted.scope(&self.gate, &self.origin) };
        let mut request = Request { sent_at, ..Request::new(scope, self.origin.received_at) };
        for item in items {
            let Item { mut claim, person, place, cookieless, .. } = item;
            if let Some(Claim::Event(raw)) = &mut claim {
                if !all_here {
                    let country = match place {
                        Place::Sender => here,
                        Place::At(address) => self.gate.intake.country(address),
                        Place::Unknown => None,
                    };
                    raw.facts.set(Fact::Country, country.map(|country| country.code().to_owned()));
                }
                if let Some(agent) = cookieless {
                    let session = raw.session.as_deref();
                    raw.user = Some(self.visitor(admitted, place, agent.as_deref(), session).await?.into());
                }
            }
            request.claims.extend(claim);
            request.people.extend(person.map(|person| *person));
        }
        if request.claims.is_empty() && request.people.is_empty() {
            return Ok(Vec::new());
        }
        let receipt = self.gate.intake.accept(request).await.inspect_err(|refusal| {
            if *refusal == Refusal::Unauthorized {
                // The store knows of a revocation that we do not.
                self.gate.keys.forget();
            }
        })?;
        Ok(receipt.outcomes)
    }

    /// A name for a day of somebody whom their app does not name.
    async fn visitor(
        &self,
        admitted: &Admitted,
        place: Place,
        agent: Option<&str>,
        session: Option<&str>,
    ) -> Result<String, Refusal> {
        let agent = agent.or_else(|| self.header(header::USER_AGENT.as_str())).unwrap_or_default();
        let mut origin = self.origin.clone();
        if let Place::At(address) = place {
            origin.address = address;
        }
        self.gate.intake.visitor(admitted.app.id, &origin, agent, session).await
    }

    fn asks_not_to_be_tracked(&self) -> bool {
        ["dnt", "sec-gpc"].iter().any(|name| self.header(name) == Some("1"))
    }

    fn limits(&self) -> BodyLimits {
        let all = &self.gate.body;
        BodyLimits { wire: all.wire.min(BODY), decoded: all.decoded.min(BODY), ..all.clone() }
    }

    fn most(&self) -> usize {
        self.gate.intake.limits().batch_events.max(MOST)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }
}
