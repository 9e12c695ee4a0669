//! How much apps may send, and who may not: rates, quotas, networks, origins, bans; and the pages on which it is set.

mod bans;
mod credentials;
mod lists;
mod nodes;
mod pages;
mod rates;

use std::time::Duration;

use jiff::Timestamp;

use crate::harness::http::{Reply, Request};
use crate::harness::kit::Credentials;
use crate::harness::{Server, poll};
use crate::pages::hidden;

/// Sends a form.
fn post(server: &Server, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let csrf = hidden(&server.page("/apps", cookie).text(), "csrf");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    server.send(&Request::form(path, &fields).header("cookie", cookie))
}

/// Makes a tier of those figures, in the order of its form, and puts the app into it.
#[track_caller]
fn limit(server: &Server, app: &Credentials, [key, whole, network, day]: [&str; 4]) {
    let cookie = server.sign_in();
    let name = format!("Tier {}", server.count("SELECT count(*) FROM tiers"));
    let fields = [("act", "save"), ("name", &*name), ("key", key), ("app", whole), ("network", network), ("day", day)];
    post(server, &cookie, "/box/tiers", &fields).expect(303);
    let id = server.sql(&format!("SELECT id FROM tiers WHERE name = '{name}'")).trim().to_owned();
    post(server, &cookie, &format!("/apps/{}/limits", app.slug), &[("act", "tier"), ("tier", &id)]).expect(303);
}

/// Bans or lifts through the page.
#[track_caller]
pub fn set(server: &Server, app: &Credentials, fields: &[(&str, &str)]) {
    post(server, &server.sign_in(), &format!("/apps/{}/limits", app.slug), fields).expect(303);
}

/// A number of an answer's header.
#[track_caller]
fn number(reply: &Reply, header: &str) -> i64 {
    let value = reply.header(header).unwrap_or_else(|| panic!("no {header} in {:?}", reply.headers));
    value.parse().unwrap_or_else(|_| panic!("{header}: {value}"))
}

/// Quotas begin anew at midnight: a test of them must not go over it.
fn stay_within_a_day() {
    poll::until(Duration::from_secs(200), "the new day", || {
        let left = 86_400 - Timestamp::now().as_second().rem_euclid(86_400);
        (left > 120).then_some(())
    });
}
