//! The list that `tallybox routes --json` prints, against the server that runs.

use serde_json::Value;

use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, Server};

on_both_backends! {
    every_listed_route_answers,
    nobody_gets_in_without_signing_in,
    forms_from_elsewhere_are_refused,
    every_answer_carries_the_headers_of_the_house,
}

/// A route with a path that can be asked for.
pub struct Route {
    pub post: bool,
    pub path: String,
    pub access: String,
}

/// The list, each path filled in with what exists on the server.
pub fn routes(server: &Server, app: &Credentials) -> Vec<Route> {
    let asset = asset_of(&server.get("/login").text());
    server.accept(app, &[kit::event("seen")]);
    let user = server.sql(&format!("SELECT {} FROM users", server.database().hex("hash"))).trim().to_owned();
    let session = server.sql(&format!("SELECT {} FROM sessions", server.database().hex("hash"))).trim().to_owned();
    let list: Value = serde_json::from_str(&server.run(&["routes", "--json"])).unwrap();
    let text =
        |route: &Value, field: &str| route[field].as_str().unwrap_or_else(|| panic!("{field}: {route}")).to_owned();
    let routes: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|route| {
            let path = text(route, "path").replace("/assets/{name}", &asset);
            let path = path.replace("/v1/ingest/{organization}", &format!("/v1/ingest/{}", app.organization));
            let path = path.replace("{organization}", "default").replace("{first}", &app.organization);
            let path = path
                .replace("{app}", &app.slug)
                .replace("{second}", &app.app)
                .replace("{key}", "1")
                .replace("{user}", &user)
                .replace("{env}", "production")
                .replace("version-check", "version-check?version=1.0");
            let of_session = path.contains("/session") && !path.contains("/sessions");
            let path = if of_session { format!("{path}?id={session}") } else { path };
            assert!(!path.contains('{'), "the test does not know how to fill in {path}");
            Route { post: text(route, "method") == "POST", path, access: text(route, "access") }
        })
        .collect();
    assert!(routes.len() > 10, "only {} routes", routes.len());
    routes
}

/// Whether SDKs ask for it, who are no browsers with a login.
fn is_of_sdks(path: &str) -> bool {
    const THEIRS: [&str; 11] = [
        "/v1",
        "/array",
        "/decide",
        "/flags",
        "/s",
        "/api/early_access_features",
        "/api/feature_flag",
        "/api/product_tours",
        "/api/push_subscriptions",
        "/api/surveys",
        "/api/web_experiments",
    ];
    THEIRS.iter().any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Path of the first asset that a page links to.
fn asset_of(page: &str) -> String {
    let at = page.find("/assets/").expect("a page links to its style sheet");
    page[at..].split('"').next().unwrap().to_owned()
}

impl Route {
    /// Whether a browser with a login sends it.
    pub fn is_form(&self) -> bool {
        self.post && self.access != "ingest-key" && !is_of_sdks(&self.path)
    }

    pub fn request(&self) -> Request {
        match self.post {
            true => Request::form(&self.path, &[]),
            // Its body has no end.
            false if self.path.ends_with("/stream") => Request::head(&self.path),
            false => Request::get(&self.path),
        }
    }
}

fn every_listed_route_answers(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Routed");
    let cookie = server.sign_in();
    for route in routes(&server, &app) {
        let reply = server.send(&route.request().header("cookie", &cookie));
        assert!(!matches!(reply.status, 404 | 405 | 500..), "{}: {} {}", route.path, reply.status, reply.text());
    }
}

fn nobody_gets_in_without_signing_in(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Closed");
    for route in routes(&server, &app) {
        let reply = server.send(&route.request());
        let place = reply.header("location").unwrap_or_default();
        let refused = match route.access.as_str() {
            "api-token" => reply.status == 401 && reply.header("www-authenticate").is_some(),
            "member" | "admin" | "owner" | "box" => {
                matches!(reply.status, 401 | 403) || (reply.status == 303 && place.contains("/login"))
            }
            // One protocol misses its headers before it asks for the key, and in another the body holds it.
            "ingest-key" => {
                let misses = |what: &str| reply.status == 400 && reply.text().contains(what);
                reply.status == 401 || misses("MISSING_ORG_ID") || misses("no JSON of a form that holds events")
            }
            "setup-token" => reply.status != 200,
            // From this machine it is open; whoever comes through a proxy comes from elsewhere.
            "metrics" => server.send(&route.request().header("x-forwarded-for", "203.0.113.9")).status == 404,
            "public" => true,
            other => panic!("{}: unknown access {other}", route.path),
        };
        assert!(refused, "{} ({}): {} {place}", route.path, route.access, reply.status);
    }
}

fn forms_from_elsewhere_are_refused(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Forged");
    let cookie = server.sign_in();
    let forms = routes(&server, &app).into_iter().filter(Route::is_form);
    for route in forms {
        let sent = |headers: &[(&str, &str)]| {
            let bare = route.request().without("sec-fetch-site").header("cookie", &cookie);
            let request = headers.iter().fold(bare, |request, (name, value)| request.header(name, value));
            server.send(&request).status
        };
        for headers in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site"), ("origin", server.url().as_str())],
        ] {
            assert_eq!(sent(headers), 403, "{} with {headers:?}", route.path);
        }
    }
    assert_eq!(server.count("SELECT count(*) FROM apps"), 1);
}

fn every_answer_carries_the_headers_of_the_house(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Headers");
    let cookie = server.sign_in();
    // What programs ask is no page.
    let of_programs = |route: &Route| route.access == "ingest-key" || is_of_sdks(&route.path);
    let listed = routes(&server, &app).into_iter().map(|route| (of_programs(&route), route.request()));
    let further =
        [(false, Request::get("/no/such/page")), (true, Request { method: "PUT", ..Request::get(&app.path()) })];
    for (of_programs, request) in listed.chain(further) {
        let path = request.target.clone();
        let reply = server.send(&request.header("cookie", &cookie));
        let has = |name: &str, part: &str| {
            let value = reply.header(name).unwrap_or_default();
            assert!(value.contains(part), "{path}: {name} is {value:?}");
        };
        has("x-clacks-overhead", "GNU Terry Pratchett");
        has("x-content-type-options", "nosniff");
        assert!(reply.header("server").is_none());
        if !of_programs {
            has("content-security-policy", "default-src 'none'");
            has("content-security-policy", "frame-ancestors 'none'");
            assert!(!reply.header("content-security-policy").unwrap().contains("unsafe"));
            has("referrer-policy", "");
            let cache = match path.as_str() {
                path if path.starts_with("/assets/") => "immutable",
                path if path.starts_with("/api/") => "private, no-cache",
                _ => "no-store",
            };
            has("cache-control", cache);
        }
    }
}
