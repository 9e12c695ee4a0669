//! Who may call what: every route of the list, asked for by everybody there is.

use std::collections::BTreeMap;

use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, Server};
use crate::pages::hidden;
use crate::routes::{Route, routes};

on_both_backends! { every_route_lets_in_whom_it_should_and_nobody_else }

/// Who asks, in the order of what they may do.
const ROLES: [&str; 4] = ["viewer", "admin", "owner", "box"];

/// Signing out would end the login that the rest is asked with.
const LAST: &str = "/logout";

struct Asking {
    cookie: String,
    csrf: String,
}

fn asking(server: &Server, cookie: String) -> Asking {
    let csrf = hidden(&server.page("/apps", &cookie).expect(200).text(), "csrf");
    Asking { cookie, csrf }
}

impl Asking {
    fn send(&self, server: &Server, route: &Route) -> Reply {
        let request = match route.post {
            true => Request::form(&route.path, &[("csrf", &self.csrf)]),
            false => route.request(),
        };
        server.send(&request.header("cookie", &self.cookie))
    }
}

/// The place in [`ROLES`] of the weakest that a route lets in; `None` for routes that members are nothing special for.
fn least(access: &str) -> Option<usize> {
    match access {
        "member" | "api-token" => Some(0),
        "admin" => Some(1),
        "owner" => Some(2),
        "box" => Some(3),
        "public" | "ingest-key" | "setup-token" | "metrics" => None,
        other => panic!("who may call a route of access {other}?"),
    }
}

fn is_role_refused(reply: &Reply) -> bool {
    reply.status == 403 && reply.text().contains("Your role does not allow this")
}

fn every_route_lets_in_whom_it_should_and_nobody_else(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ours");
    let list = routes(&server, &app);
    server.second_organization("Theirs");
    let members: Vec<Asking> = ROLES
        .iter()
        .map(|role| match *role {
            "box" => asking(&server, server.sign_in()),
            role => asking(&server, server.sign_in_as(role)),
        })
        .collect();
    let stranger = asking(&server, server.sign_in_with("owner@theirs"));
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    for route in list.iter().filter(|route| route.path != LAST) {
        let Some(least) = least(&route.access) else { continue };
        *asked.entry(route.access.as_str()).or_default() += 1;
        for (place, member) in members.iter().enumerate() {
            let reply = member.send(&server, route);
            let (role, status) = (ROLES[place], reply.status);
            assert!(status < 500, "{} as {role}: {status} {}", route.path, reply.text());
            assert_eq!(is_role_refused(&reply), place < least, "{} as {role}: {status} {}", route.path, reply.text());
            if place >= least && !route.post {
                // A page that misses its question says so with 400.
                assert!(matches!(status, 200 | 303 | 400), "{} as {role}: {status}", route.path);
            }
        }
        let reply = stranger.send(&server, route);
        let is_ours = route.path.contains("/apps/ours") || route.path.starts_with("/organizations/default");
        match (is_ours, route.access.as_str()) {
            (true, _) => assert_eq!(reply.status, 404, "{} as a stranger", route.path),
            (false, "box") => assert!(is_role_refused(&reply), "{} as a stranger: {}", route.path, reply.status),
            (false, _) => {
                let page = reply.text();
                assert!(!page.contains("Ours"), "{} tells a stranger of our app", route.path);
            }
        }
    }
    for access in ["member", "api-token", "admin", "owner", "box"] {
        assert!(asked.get(access).copied().unwrap_or_default() > 0, "no route of access {access}");
    }
}
