//! Segment and RudderStack: the tracking API that their SDKs call, and what those ask for when they start.

mod agent;
mod decode;
mod key;
mod leaf;
mod message;
mod pixel;
mod props;
mod reply;
mod wire;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use bytes::Bytes;

use super::admission::{Seen, unreadable};
use super::public::{self, Admitted};
use super::{Adapter, Gate, Ground, open_to_browsers};
use crate::http::body::{self, BodyLimits};
use crate::http::{Access, Routes};
use crate::ingest;
use crate::model::{Origin, Refusal};

pub use decode::{Decoded, Form, Kind, Sender, claim, decode};

/// This adapter.
pub const ADAPTER: Adapter = Adapter {
    name: NAME,
    slug: "segment",
    prefix: "",
    routes,
    around,
    reader: Some(claim),
    words: reply::WORDS,
    guide: include_str!("../../../docs/segment.md"),
};

/// As in the documentation.
const NAME: &str = "Segment";

/// Largest body in bytes, where the box takes no less: RudderStack's own bound. Segment's SDKs stay below 500 KB.
const BODY: usize = 4_000 << 10;
/// Most messages of a batch, where the box takes no more: small ones that fit into what Segment's SDKs send at once.
const MESSAGES: usize = 5_000;
/// Largest body of figures that an SDK sends of itself, in bytes.
const FIGURES: usize = 64 << 10;

/// Paths of single messages, long and short.
const SINGLE: [(&str, &str, Kind); 6] = [
    ("/v1/track", "/v1/t", Kind::Track),
    ("/v1/page", "/v1/p", Kind::Page),
    ("/v1/screen", "/v1/s", Kind::Screen),
    ("/v1/identify", "/v1/i", Kind::Identify),
    ("/v1/group", "/v1/g", Kind::Group),
    ("/v1/alias", "/v1/a", Kind::Alias),
];

/// Paths of batches.
const BATCHES: [(&str, Form); 4] = [
    ("/v1/batch", Form::Batch),
    ("/v1/b", Form::Batch),
    ("/beacon/v1/batch", Form::Batch),
    ("/v1/import", Form::Import),
];

/// What stands behind the prefix in the paths of settings.
const SETTINGS: &str = "/v1/projects/{key}/settings";

const NO_KEY: &str =
    "there is no write key: not as the user name of Basic authentication, not as writeKey in the body or the query";

fn routes(ground: &Ground<'_>) -> Routes<Gate> {
    let limit = ground.limits.body_bytes.min(BODY);
    let singles =
        SINGLE.into_iter().flat_map(|(long, short, kind)| [(long, Form::One(kind)), (short, Form::One(kind))]);
    let routes = BATCHES.into_iter().chain(singles).fold(ground.routes(), |routes, (path, form)| {
        routes.post(path, Access::IngestKey, limit, move |gate, origin, request| take(form, gate, origin, request))
    });
    let pixels = [("track", Kind::Track), ("page", Kind::Page)];
    let routes = pixels.into_iter().fold(routes, |routes, (name, kind)| {
        let [rudderstacks, segments] = ["/pixel/v1/", "/v1/pixel/"].map(|path| [path, name].concat());
        let routes = routes.get(&rudderstacks, Access::IngestKey, move |gate, origin, request: Request| {
            let message = request.uri().query().map(pixel::from_query);
            see(kind, message, (gate, origin, request))
        });
        routes.get(&segments, Access::IngestKey, move |gate, origin, request: Request| {
            let message = request.uri().query().and_then(pixel::from_data);
            see(kind, message, (gate, origin, request))
        })
    });
    let routes = routes.post("/v1/m", Access::Public, FIGURES, figures).get(SETTINGS, Access::IngestKey, settings);
    ["/sourceConfig", "/sourceConfig/"]
        .into_iter()
        .fold(routes, |routes, path| routes.get(path, Access::IngestKey, source))
}

fn around(router: Router<Gate>, _: &Gate) -> Router<Gate> {
    open_to_browsers(router)
}

async fn take(form: Form, State(gate): State<Gate>, origin: Origin, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let call = Call { gate, origin, head };
    let mut seen = Seen::default();
    let refusal = call.take(form, body, &mut seen).await.err();
    call.note(refusal.as_ref());
    let mut response = refusal.as_ref().map_or_else(reply::taken, reply::refused);
    seen.dress(&mut response, refusal.as_ref());
    response
}

/// A pixel, whose message is in its address.
async fn see(
    kind: Kind,
    message: Option<Vec<u8>>,
    (State(gate), origin, request): (State<Gate>, Origin, Request),
) -> Response {
    let (head, _) = request.into_parts();
    let call = Call { gate, origin, head };
    if call.head.method == Method::HEAD {
        return reply::pixel(None); // nobody has seen it
    }
    let mut seen = Seen::default();
    let refusal = call.see(kind, message, &mut seen).await.err();
    call.note(refusal.as_ref());
    let mut response = reply::pixel(refusal.as_ref());
    seen.dress(&mut response, refusal.as_ref());
    response
}

/// What an SDK counts of its own work is not kept.
async fn figures(State(gate): State<Gate>, headers: HeaderMap, body: Body) -> Response {
    let limits = BodyLimits { wire: FIGURES, decoded: FIGURES, ..gate.body };
    match body::read(&headers, body, limits).await {
        Ok(_) => reply::taken(),
        Err(error) => reply::refused(&unreadable(error)),
    }
}

async fn settings(
    State(gate): State<Gate>,
    origin: Origin,
    matched: MatchedPath,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    let (head, _) = request.into_parts();
    let call = Call { gate, origin, head };
    match call.find(Some(&key)).await {
        Ok(admitted) => {
            let address = call.gate.outside.address(&call.origin, &call.head.headers).unwrap_or_default();
            let (scheme, host) = address.split_once("://").unwrap_or(("https", &address));
            let prefix = matched.as_str().strip_suffix(SETTINGS).unwrap_or_default();
            let order = admitted.order(&call.gate, None);
            reply::settings(&key, (scheme, &[host, prefix, "/v1"].concat()), &order)
        }
        Err(refusal) => call.refused(&refusal),
    }
}

async fn source(State(gate): State<Gate>, origin: Origin, request: Request) -> Response {
    let (head, _) = request.into_parts();
    let call = Call { gate, origin, head };
    let key = call.named();
    match call.find(key.as_deref()).await {
        Ok(admitted) => {
            let order = admitted.order(&call.gate, None);
            reply::source(key.as_deref().unwrap_or_default(), admitted.app.slug.as_str(), &order)
        }
        Err(refusal) => call.refused(&refusal),
    }
}

/// One request, its body not read yet.
struct Call {
    gate: Gate,
    origin: Origin,
    head: Parts,
}

impl Call {
    /// A key in the head is proved before the body is read. Segment's mobile SDKs name it in the body alone.
    async fn take(&self, form: Form, body: Body, seen: &mut Seen) -> Result<(), Refusal> {
        let (admitted, bytes) = match self.named() {
            Some(key) => (self.admit(Some(&key), seen).await?, self.body(body).await?),
            None => {
                let bytes = self.body(body).await?;
                (self.admit(wire::key(&bytes).as_deref(), seen).await?, bytes)
            }
        };
        let is_page = self.head.headers.contains_key(header::ORIGIN);
        self.keep(form, &admitted, &bytes, self.agent().filter(|_| is_page)).await
    }

    async fn see(&self, kind: Kind, message: Option<Vec<u8>>, seen: &mut Seen) -> Result<(), Refusal> {
        let key = self.named().or_else(|| wire::key(message.as_deref()?));
        let admitted = self.admit(key.as_deref(), seen).await?;
        let message = message.ok_or_else(|| Refusal::Malformed("the address has no message".to_owned()))?;
        self.keep(Form::One(kind), &admitted, &message, self.agent()).await
    }

    async fn keep(&self, form: Form, admitted: &Admitted, bytes: &[u8], browser: Option<&str>) -> Result<(), Refusal> {
        let intake = &self.gate.intake;
        let Decoded { claims, people, sent_at, from_user } = self.read(form, admitted, bytes, browser)?;
        if self.gate.respect_dnt && self.asks_not_to_be_tracked() {
            intake.drop_all(&admitted.app, claims.len());
            return Ok(());
        }
        if claims.is_empty() && people.is_empty() {
            return Ok(());
        }
        let mut scope = admitted.scope(&self.gate, &self.origin);
        if !from_user {
            scope.country = None;
        }
        let request =
            ingest::Request { sent_at, claims, people, ..ingest::Request::new(scope, self.origin.received_at) };
        let receipt = intake.accept(request).await.inspect_err(|refusal| {
            if *refusal == Refusal::Unauthorized {
                // The store knows of a revocation that we do not.
                self.gate.keys.forget();
            }
        });
        receipt.map(|_| ())
    }

    fn read<'a>(
        &self,
        form: Form,
        admitted: &Admitted,
        bytes: &'a [u8],
        browser: Option<&str>,
    ) -> Result<Decoded<'a>, Refusal> {
        let intake = &self.gate.intake;
        let sender = Sender { key: Some(admitted.key), browser, country: &|address| intake.country(address) };
        decode(bytes, form, &sender, intake.limits().batch_events.max(MESSAGES))
    }

    fn named(&self) -> Option<String> {
        key::of_head(&self.head.headers, self.head.uri.query())
    }

    async fn admit(&self, key: Option<&str>, seen: &mut Seen) -> Result<Admitted, Refusal> {
        public::admit(&self.gate, key.ok_or(NO_KEY), (&self.origin, &self.head.headers), seen).await
    }

    /// The app of a key, for answers that no allowance is needed for.
    async fn find(&self, key: Option<&str>) -> Result<Admitted, Refusal> {
        let found = public::find(&self.gate, key.ok_or(NO_KEY), self.origin.address).await?;
        found.app.check_open().map(|()| found)
    }

    async fn body(&self, body: Body) -> Result<Bytes, Refusal> {
        let all = &self.gate.body;
        let limits = BodyLimits { wire: all.wire.min(BODY), decoded: all.decoded.min(BODY), ..all.clone() };
        body::read(&self.head.headers, body, limits).await.map_err(unreadable)
    }

    fn agent(&self) -> Option<&str> {
        self.head.headers.get(header::USER_AGENT)?.to_str().ok()
    }

    fn asks_not_to_be_tracked(&self) -> bool {
        ["dnt", "sec-gpc"].iter().any(|name| self.head.headers.get(*name).is_some_and(|value| value == "1"))
    }

    fn refused(&self, refusal: &Refusal) -> Response {
        self.note(Some(refusal));
        reply::refused(refusal)
    }

    fn note(&self, refusal: Option<&Refusal>) {
        if let Some(refusal) = refusal {
            tracing::debug!(request = %self.origin.request_id, ?refusal, "segment request refused");
            self.gate.intake.note_refusal(NAME, refusal, self.origin.received_at);
        }
    }
}

#[cfg(test)]
mod tests;
