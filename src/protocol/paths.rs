//! One place for each path: which protocols are spoken, where each of them lies, and whose a request is where two of
//! them claim one path.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tower::ServiceExt;

use super::{ALL, Adapter, Gate, Ground, open_to_browsers};
use crate::http::body;
use crate::http::{self, Part, Route};
use crate::model::{Guide, Limits, Origin};

/// The one path that two protocols claim (`segment` and `teardown`, sections on paths).
const CONTESTED: &str = "/v1/identify";

/// How protocols are chosen: everything, everything but some, or some; each also under a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// One entry each, as in the setting: `all`, `NAME`, `NAME=/PREFIX` or `-NAME`. Without any, all are spoken.
    pub entries: Vec<String>,
}

/// A protocol that is spoken, and the prefix under which it lies besides; empty for none.
struct Spoken {
    adapter: Adapter,
    prefix: String,
}

impl Choice {
    /// The protocols that it means, in the order of [`ALL`].
    fn spoken(&self) -> Result<Vec<Spoken>, String> {
        let named = |entry: &str| entry.trim_start_matches('-').split('=').next().unwrap_or_default().to_owned();
        for entry in &self.entries {
            let slug = named(entry);
            if slug != "all" && ALL.iter().all(|adapter| adapter.slug != slug) {
                let known: Vec<&str> = ALL.iter().map(|adapter| adapter.slug).collect();
                return Err(format!("no protocol is called {slug}; there are {}", known.join(", ")));
            }
        }
        let says = |entry: &str| self.entries.iter().any(|said| said == entry);
        let only_less = self.entries.iter().all(|entry| entry.starts_with('-'));
        let spoken = ALL.into_iter().filter(|adapter| !says(&format!("-{}", adapter.slug))).filter_map(|adapter| {
            let own = self.entries.iter().find(|entry| !entry.starts_with('-') && named(entry) == adapter.slug);
            let prefix = own.and_then(|entry| entry.split_once('=')).map_or(adapter.prefix, |(_, prefix)| prefix);
            (own.is_some() || only_less || says("all")).then(|| Spoken { prefix: prefix.to_owned(), adapter })
        });
        Ok(spoken.collect())
    }

    /// Every route of the protocols, as listed.
    ///
    /// # Errors
    /// In words, where a name is not known, or a prefix is taken by another route: of `others`, or of a protocol.
    pub fn list(&self, limits: &Limits, others: &[Route]) -> Result<Vec<Route>, String> {
        let spoken = self.spoken()?;
        let at = |under: &str, spoken: &Spoken| {
            let ground = Ground { limits, under, part: Part::Whole };
            (spoken.adapter.routes)(&ground).list().to_vec()
        };
        let roots: Vec<Route> = spoken.iter().flat_map(|spoken| at("", spoken)).collect();
        for Spoken { adapter, prefix } in spoken.iter().filter(|spoken| !spoken.prefix.is_empty()) {
            let inside = |route: &&Route| {
                route.path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if let Some(route) = roots.iter().chain(others).find(inside) {
                return Err(format!("the prefix {prefix} of {} is taken: {} lies there", adapter.slug, route.path));
            }
        }
        let mut all = roots;
        all.extend(spoken.iter().filter(|spoken| !spoken.prefix.is_empty()).flat_map(|one| at(&one.prefix, one)));
        let mut listed: Vec<Route> = Vec::with_capacity(all.len());
        for route in all {
            match listed.iter_mut().find(|known| (known.method, &known.path) == (route.method, &route.path)) {
                Some(known) => known.body_limit = known.body_limit.max(route.body_limit),
                None => listed.push(route),
            }
        }
        Ok(listed)
    }

    /// Answers where the protocols would lie that are not spoken, so that their clients are told why.
    ///
    /// # Errors
    /// In words, where a name is not known.
    pub(super) fn silent(&self, gate: &Gate) -> Result<Router<Gate>, String> {
        let limits = gate.intake.limits();
        let mut taken: Vec<String> = self.list(limits, &[])?.into_iter().map(|route| route.path).collect();
        let spoken = self.spoken()?;
        let prefixed = |path: &str| {
            spoken.iter().any(|one| !one.prefix.is_empty() && path.starts_with(&[one.prefix.as_str(), "/"].concat()))
        };
        let mut router = Router::new();
        for adapter in ALL.iter().filter(|adapter| spoken.iter().all(|one| one.adapter.slug != adapter.slug)) {
            for route in (adapter.routes)(&Ground { limits, under: "", part: Part::Whole }).list() {
                if !taken.contains(&route.path) && !prefixed(&route.path) {
                    taken.push(route.path.clone());
                    let name = adapter.name;
                    let told =
                        move |State(gate): State<Gate>, origin: Origin| async move { not_spoken(name, &gate, &origin) };
                    router = router.route(&route.path, any(told));
                }
            }
        }
        Ok(if router.has_routes() { open_to_browsers(router) } else { router })
    }

    /// Which lines to change for each SDK of the protocols.
    ///
    /// # Errors
    /// In words, where a name is not known, or a page of the documentation is no guide.
    pub fn guides(&self) -> Result<Vec<Guide>, String> {
        let read = |spoken: &Spoken| {
            let Adapter { name, guide, .. } = &spoken.adapter;
            Guide::parse(name, guide).map_err(|error| format!("the page about {name}: {error}"))
        };
        self.spoken()?.iter().map(read).collect()
    }

    /// The routes of the protocols, with what decides between two.
    ///
    /// # Errors
    /// In words, where a name is not known.
    pub(super) fn routes(&self, gate: &Gate) -> Result<Router<Gate>, String> {
        let spoken = self.spoken()?;
        let mut places: Vec<&str> = vec![""];
        for Spoken { prefix, .. } in &spoken {
            if !places.contains(&prefix.as_str()) {
                places.push(prefix);
            }
        }
        Ok(places.into_iter().fold(Router::new(), |router, under| {
            let here: Vec<&Adapter> = spoken
                .iter()
                .filter(|spoken| under.is_empty() || spoken.prefix == under)
                .map(|spoken| &spoken.adapter)
                .collect();
            router.merge(place(&here, under, gate))
        }))
    }
}

fn not_spoken(name: &'static str, gate: &Gate, origin: &Origin) -> Response {
    gate.intake.note_unspoken(name, origin.received_at);
    let told = format!("this box does not speak the protocol of {name}: its setting protocols leaves it out");
    http::refuse(StatusCode::NOT_FOUND, "protocol_off", &told)
}

/// The routes of some protocols under one prefix.
fn place(here: &[&Adapter], under: &str, gate: &Gate) -> Router<Gate> {
    let limits = gate.intake.limits();
    let contested = [under, CONTESTED].concat();
    let bare = |adapter: &Adapter, part: Part| (adapter.routes)(&Ground { limits, under, part });
    let build = |adapter: &Adapter, part: Part| bare(adapter, part).map(|router| (adapter.around)(router, gate));
    let claims = |adapter: &&&Adapter| !bare(adapter, Part::Only(contested.clone())).list().is_empty();
    let claimants: Vec<&&Adapter> = here.iter().filter(claims).collect();
    let part = if claimants.len() < 2 { Part::Whole } else { Part::Without(vec![contested.clone()]) };
    let router =
        here.iter().fold(Router::new(), |router, adapter| router.merge(build(adapter, part.clone()).into_router()));
    if part == Part::Whole {
        return router;
    }
    let of = |slug: &str| {
        let found = claimants.iter().find(|adapter| adapter.slug == slug);
        found.map_or_else(Router::new, |adapter| build(adapter, Part::Only(contested.clone())).into_router())
    };
    let (teardown, segment) = (of("teardown").with_state(gate.clone()), of("segment").with_state(gate.clone()));
    let claimants = Claimants { gate: gate.clone(), teardown, segment };
    router.merge(Router::new().route(&contested, any(identify)).with_state(claimants))
}

/// Both protocols that have an identify.
#[derive(Clone)]
struct Claimants {
    gate: Gate,
    teardown: Router,
    segment: Router,
}

/// A header of its own, or the lack of a write key, makes a request Teardown's; every other one is Segment's.
async fn identify(State(claimants): State<Claimants>, request: Request) -> Response {
    let Claimants { gate, teardown, segment } = claimants;
    let (parts, body) = request.into_parts();
    if let Some(teardowns) = by_head(&parts.method, &parts.uri, &parts.headers) {
        let request = Request::from_parts(parts, body);
        return hand(if teardowns { teardown } else { segment }, request).await;
    }
    let wire = match body::read_wire(&parts.headers, body, &gate.body).await {
        Ok(wire) => wire,
        Err(error) => return http::refuse(error.status(), "unreadable", &error.to_string()),
    };
    let body = body::decode(&parts.headers, wire.clone(), &gate.body).await;
    let claimant = if body.is_ok_and(|body| has_write_key(&body)) { segment } else { teardown };
    hand(claimant, Request::from_parts(parts, Body::from(wire))).await
}

async fn hand(claimant: Router, request: Request) -> Response {
    match claimant.oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    }
}

/// Whether a request is Teardown's, where its head tells.
fn by_head(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<bool> {
    if *method == Method::OPTIONS {
        let asked =
            headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|asked| asked.to_str().ok());
        return Some(asked.flat_map(|asked| asked.split(',')).any(|name| is_teardowns(name.trim())));
    }
    if headers.keys().any(|name| is_teardowns(name.as_str())) {
        return Some(true);
    }
    let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = basic.is_some_and(|value| value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic ")));
    let query = uri.query().unwrap_or_default();
    let keyed = form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "writeKey" && !value.is_empty());
    (basic || keyed).then_some(false)
}

fn is_teardowns(header: &str) -> bool {
    header.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("td-"))
}

fn has_write_key(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Keyed {
        #[serde(rename = "writeKey")]
        write_key: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Keyed>(body).is_ok_and(|keyed| keyed.write_key.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(text: &str) -> Choice {
        Choice { entries: text.split_whitespace().map(str::to_owned).collect() }
    }

    #[test]
    fn protocols_are_chosen_by_name() {
        let spoken = |text: &str| {
            let spoken = choice(text).spoken()?;
            Ok(spoken.iter().map(|one| (one.adapter.slug, one.prefix.clone())).collect::<Vec<_>>())
        };
        let everything = spoken("all").unwrap();
        assert_eq!(everything.len(), ALL.len());
        assert_eq!(spoken(""), Ok::<_, String>(everything.clone()));
        assert!(everything.contains(&("teardown", "/td".to_owned())));
        assert_eq!(spoken("telemetry-kit"), Ok(vec![("telemetry-kit", String::new())]));
        assert_eq!(spoken("teardown=/sdk telemetry-kit").unwrap()[1], ("teardown", "/sdk".to_owned()));
        assert!(spoken("all teardown=").unwrap().contains(&("teardown", String::new())));
        let less: Vec<_> = everything.iter().filter(|(slug, _)| *slug != "teardown").cloned().collect();
        assert_eq!((spoken("-teardown"), spoken("all -teardown")), (Ok(less.clone()), Ok(less)));
        assert!(spoken("telemetrykit").unwrap_err().contains("there are telemetry-kit, teardown"));
    }

    #[test]
    fn a_prefix_lies_beside_everything_else() {
        let limits = Limits::default();
        let page = Route { method: "GET", path: "/apps/{app}".to_owned(), access: http::Access::Member, body_limit: 0 };
        let list = |text: &str| choice(text).list(&limits, std::slice::from_ref(&page));
        let paths = list("all teardown=/sdk/td").unwrap();
        assert!(paths.iter().any(|route| route.path == "/sdk/td/v1/identify"));
        assert!(paths.iter().filter(|route| route.path == "/v1/identify").count() == 1);
        for taken in ["/apps", "/v1", "/v1/events", "/events"] {
            let said = list(&format!("all teardown={taken}")).unwrap_err();
            assert!(said.contains(&format!("the prefix {taken} of teardown is taken")), "{said}");
        }
    }

    #[test]
    fn an_identify_is_told_apart_by_its_head_where_that_says_it() {
        for (method, path, name, value, teardowns) in [
            ("POST", "/v1/identify", "td-org-id", "x", Some(true)),
            ("POST", "/v1/identify?writeKey=k", "TD-api-key", "x", Some(true)),
            ("POST", "/v1/identify", "authorization", "Basic a2V5Og==", Some(false)),
            ("POST", "/v1/identify?writeKey=k", "accept", "*/*", Some(false)),
            ("POST", "/v1/identify?writeKey=", "authorization", "Bearer x", None),
            ("OPTIONS", "/v1/identify", "access-control-request-headers", "content-type, td-api-key", Some(true)),
            ("OPTIONS", "/v1/identify", "access-control-request-headers", "authorization,content-type", Some(false)),
        ] {
            let request = Request::builder().method(method).uri(path).header(name, value).body(()).unwrap();
            let found = by_head(request.method(), request.uri(), request.headers());
            assert_eq!(found, teardowns, "{method} {path} {name}: {value}");
        }
        assert!(has_write_key(br#"{"userId":"a","writeKey":"k"}"#));
        assert!(!has_write_key(br#"{"writeKey":null}"#) && !has_write_key(b"[]") && !has_write_key(b"\x1f\x8b"));
    }
}
