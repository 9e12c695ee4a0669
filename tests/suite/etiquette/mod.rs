//! What clients are ordered to do: what is kept then, what they are told, and the page and the verbs for it.

mod doors;
mod nodes;
mod orders;
mod pages;

use crate::harness::Server;
use crate::harness::http::{Reply, Request};
use crate::harness::kit::Credentials;
use crate::pages::hidden;

/// A form that orders nothing.
const BLANK: [(&str, &str); 9] = [
    ("act", "give"),
    ("environment", ""),
    ("versions", "all"),
    ("version", ""),
    ("sending", "go"),
    ("until", ""),
    ("sample", ""),
    ("names", ""),
    ("flush", ""),
];

fn path(app: &Credentials) -> String {
    format!("/apps/{}/etiquette", app.slug)
}

/// Sends the form of the page with some of its fields filled in.
fn send(server: &Server, cookie: &str, path: &str, filled: &[(&str, &str)]) -> Reply {
    let csrf = hidden(&server.page("/apps", cookie).text(), "csrf");
    let value = |name, usual| filled.iter().find(|(own, _)| *own == name).map_or(usual, |(_, value)| *value);
    let fields: Vec<_> = BLANK.iter().map(|(name, usual)| (*name, value(*name, *usual))).collect();
    let others = filled.iter().filter(|(name, _)| BLANK.iter().all(|(own, _)| own != name)).copied();
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields).chain(others).collect();
    server.send(&Request::form(path, &fields).header("cookie", cookie))
}

/// Gives an order on the page.
#[track_caller]
pub fn order(server: &Server, app: &Credentials, filled: &[(&str, &str)]) {
    send(server, &server.sign_in(), &path(app), filled).expect(303);
}

/// Lifts all orders.
#[track_caller]
fn lift_all(server: &Server, app: &Credentials) {
    let cookie = server.sign_in();
    for id in server.sql("SELECT id FROM client_orders").split_whitespace() {
        send(server, &cookie, &path(app), &[("act", "lift"), ("id", id)]).expect(303);
    }
}

fn kept(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM events")
}

/// How many events came to that end, by the store's account.
fn counted(server: &Server, outcome: &str) -> i64 {
    server.count(&format!("SELECT coalesce(sum(events), 0) FROM intake_days WHERE outcome = '{outcome}'"))
}
