//! What a test does with a server: send, look, ask the database, run the program's verbs.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::Value;
use tallybox::model::Slug;

use super::http::{Connection, Reply, Request};
use super::kit::{self, Credentials};
use super::{MEMBER, PASSWORD, Server};

impl Server {
    /// Everything the process has said so far, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Path of the set-up link that the server has printed.
    #[track_caller]
    pub fn setup_link(&self) -> String {
        let log = self.log();
        let at = log.find("/setup?token=").unwrap_or_else(|| panic!("no set-up link in {log}"));
        log[at..].split(|c: char| c.is_whitespace() || c == '"').next().unwrap_or_default().to_owned()
    }

    /// Sends on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Reply {
        self.try_send(request).unwrap_or_else(|e| panic!("{} {}: {e}\n{}", request.method, request.target, self.log()))
    }

    pub fn try_send(&self, request: &Request) -> std::io::Result<Reply> {
        Connection::open(self.address())?.send(request)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send(&Request::get(path))
    }

    /// Sends events as the published SDK does, and insists on their being taken.
    #[track_caller]
    pub fn accept(&self, credentials: &Credentials, events: &[Value]) {
        let reply = self.send(&credentials.sdk(&kit::batch(events))).expect(200).json();
        assert_eq!(reply["accepted"], events.len(), "{reply}");
    }

    /// Makes an app with a key, through the command line.
    pub fn app(&self, name: &str) -> Credentials {
        let slug = Slug::from_name(name);
        self.run(&["app", "create", name, "--slug", slug.as_str()]);
        Credentials::parse(&self.run(&["key", "create", slug.as_str()]))
    }

    /// An organization of its own with an app, and an owner, an admin and a viewer: `owner@NAME` and so on.
    pub fn second_organization(&self, name: &str) -> Credentials {
        let slug = Slug::from_name(name);
        self.run(&["org", "create", name, "--slug", slug.as_str()]);
        for role in ["owner", "admin", "viewer"] {
            self.member(&format!("{role}@{slug}"), role, slug.as_str());
        }
        let app = format!("{slug}-app");
        self.run(&["app", "create", &app, "--slug", &app, "--org", slug.as_str()]);
        Credentials::parse(&self.run(&["key", "create", &app]))
    }

    /// Makes a member with [`PASSWORD`].
    pub fn member(&self, name: &str, role: &str, organization: &str) {
        let verb = ["member", "create", name, "--role", role, "--org", organization];
        self.run_with(&verb, &format!("{PASSWORD}\n"));
    }

    /// Signs in as a member of the first organization with that role, who is made for it.
    #[track_caller]
    pub fn sign_in_as(&self, role: &str) -> String {
        let name = format!("{role}@default");
        self.member(&name, role, "default");
        self.sign_in_with(&name)
    }

    /// Signs in as [`MEMBER`], who owns the box; the value of the `Cookie` header.
    #[track_caller]
    pub fn sign_in(&self) -> String {
        self.sign_in_with(MEMBER)
    }

    /// Signs in with [`PASSWORD`].
    #[track_caller]
    pub fn sign_in_with(&self, name: &str) -> String {
        let form = Request::form("/login", &[("name", name), ("password", PASSWORD)]);
        let reply = self.send(&form.header("origin", &self.url()));
        assert_eq!(reply.status, 303, "{}", reply.text());
        reply.cookie().expect("signing in sets a cookie")
    }

    /// A page as the signed-in [`MEMBER`] sees it.
    #[track_caller]
    pub fn page(&self, path: &str, cookie: &str) -> Reply {
        self.send(&Request::get(path).header("cookie", cookie))
    }

    /// See [`Database::sql`](super::Database::sql).
    #[track_caller]
    pub fn sql(&self, query: &str) -> String {
        self.database().sql(query)
    }

    /// See [`Database::count`](super::Database::count).
    #[track_caller]
    pub fn count(&self, query: &str) -> i64 {
        self.database().count(query)
    }

    /// Runs a verb of the program; its standard output.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, "")
    }

    /// As [`Server::run`], with standard input.
    #[track_caller]
    pub fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let output = self.try_run(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}\n{said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a verb of the program, whatever comes of it.
    pub fn try_run(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A verb that reads nothing may be gone by now.
        _ = child.stdin.take().expect("piped above").write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}
