//! Signing in, as browsers do it: one step and two, own sessions, proofs, providers and proxies.

mod account;
mod app;
mod provider;
mod proxy;
mod rekey;
mod steps;

use crate::harness::http::{Reply, Request};
use crate::harness::{MEMBER, PASSWORD, Server};
use crate::pages::hidden;

/// A browser: its cookies, and what forms need.
pub struct Browser<'a> {
    server: &'a Server,
    agent: &'static str,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    pub fn new(server: &'a Server, agent: &'static str) -> Self {
        Self { server, agent, cookies: Vec::new() }
    }

    /// One in which a member is signed in.
    #[track_caller]
    pub fn signed_in(server: &'a Server, agent: &'static str, name: &str) -> Self {
        let mut browser = Self::new(server, agent);
        browser.give_password(name, PASSWORD).expect(303);
        browser
    }

    /// Sends a request with the cookies that it has, and keeps those that it gets.
    #[track_caller]
    pub fn send(&mut self, request: Request) -> Reply {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("user-agent", self.agent);
        let request = if cookies.is_empty() { request } else { request.header("cookie", &cookies.join("; ")) };
        let reply = self.server.send(&request);
        for (_, set) in reply.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        reply
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Reply {
        self.send(Request::get(path))
    }

    /// Fills in the form of a page that is open in it.
    #[track_caller]
    pub fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = hidden(&self.get(page).expect(200).text(), "csrf");
        let fields = [fields, &[("csrf", &csrf)]].concat();
        let from = format!("{}{page}", self.server.url());
        self.send(Request::form(action, &fields).header("referer", &from))
    }

    #[track_caller]
    pub fn give_password(&mut self, name: &str, password: &str) -> Reply {
        self.send(Request::form("/login", &[("name", name), ("password", password), ("next", "/account")]))
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn keep(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(known, _)| known != name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    /// Whether somebody is signed in.
    #[track_caller]
    pub fn is_in(&mut self) -> bool {
        match self.get("/account").status {
            200 => true,
            303 => false,
            status => panic!("{status}"),
        }
    }
}

/// Lets all proofs of a server be too old to count, as ten minutes do.
pub fn age_proofs(server: &Server) {
    server.database().alter("UPDATE logins SET proved_at = proved_at - 600000");
}

/// Lines of the account of an action, newest last: who, from where, to what, in detail.
pub fn audited(server: &Server, action: &str) -> Vec<String> {
    let sql = format!("SELECT member, place, subject, detail FROM audit WHERE action = '{action}' ORDER BY id");
    server.sql(&sql).lines().map(str::to_owned).collect()
}

/// Where a reply leads.
#[track_caller]
pub fn location(reply: &Reply) -> &str {
    assert_eq!(reply.status, 303, "{}", reply.text());
    reply.header("location").unwrap()
}

/// Turns two-factor sign-in on for [`MEMBER`]: the app that shows codes, and the recovery codes.
#[track_caller]
pub fn turn_on(browser: &mut Browser<'_>) -> (app::App, Vec<String>) {
    assert_eq!(
        location(&browser.submit("/account/two-factor", "/account/two-factor/begin", &[])),
        "/account/two-factor"
    );
    let page = browser.get("/account/two-factor").expect(200).text();
    let app = app::App::enrol(&page, MEMBER);
    let code = app.code(-1);
    let shown =
        browser.submit("/account/two-factor", "/account/two-factor/confirm", &[("code", &code)]).expect(200).text();
    let codes: Vec<_> =
        shown.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 10, "{shown}");
    (app, codes)
}
