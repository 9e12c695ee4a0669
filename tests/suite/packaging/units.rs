//! The units: goal S21, how exposed the service is, and whether its filter lets through what the server calls.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::process::{Pid, Signal, kill_process};

use super::{read, root, said};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::kit;
use crate::harness::{Backend, MEMBER, PASSWORD, PROGRAM, Server};

/// Tenths of the exposure that systemd may find.
const EXPOSURE: &str = "--threshold=15";

/// SQLite gives a file that it makes the owner of the database, and only where root runs it, as in these tests.
const OF_ROOT: &str = "fchown";

on_both_backends! { the_filter_lets_through_what_the_server_calls }

#[test]
fn the_service_is_hardly_exposed() {
    let unit = root().join("packaging/tallybox.service");
    let told = said(Command::new("systemd-analyze").args(["security", "--offline=true", EXPOSURE]).arg(unit));
    let verdict = told.lines().last().unwrap_or_default().to_owned();
    println!("{verdict}");
    assert!(verdict.contains("Overall exposure level"), "{told}");
}

fn the_filter_lets_through_what_the_server_calls(backend: Backend) {
    let mut server = Server::with().backend(backend).prepare();
    let backups = server.home().join("backups");
    if backend == Backend::Sqlite {
        server.set("TALLYBOX_BACKUP_DIR", backups.to_str().unwrap());
    }
    let calls = server.home().join("calls");
    let plain = server.command(&["serve"]);
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--summary-only", "--output"]).arg(&calls).arg(PROGRAM).args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(server.home());
    server.launch_as(command);
    server.await_status("/health/ready", 200);
    exercise(&server);
    // The tracer passes no signal on.
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.pid())).unwrap();
    let traced = children.split_whitespace().next().expect("what it traces").parse().unwrap();
    kill_process(Pid::from_raw(traced).unwrap(), Signal::TERM).unwrap();
    assert!(server.ended(Duration::from_secs(30)).success(), "{}", server.log());
    let table = fs::read_to_string(calls).unwrap();
    let called: BTreeSet<&str> =
        table.lines().filter_map(|line| line.split_whitespace().last()).filter(|name| is_name(name)).collect();
    assert!(called.len() > 30 && called.contains("accept4"), "{table}");
    let allowed = filter();
    let refused: Vec<_> = called.iter().filter(|name| **name != OF_ROOT && !allowed.contains(**name)).collect();
    println!("{} calls, all in a filter of {}", called.len(), allowed.len());
    assert!(refused.is_empty(), "the unit's filter refuses {refused:?}");
}

/// Something of everything: events, set aside and repeated, pages, figures, sign-in, a stream.
fn exercise(server: &Server) {
    server.run_with(&["member", "create", MEMBER, "--role", "owner"], &format!("{PASSWORD}\n"));
    let app = server.app("Traced");
    let events: Vec<_> = (0..50).map(|number| kit::event(&format!("kind {}", number % 5))).collect();
    for _ in 0..2 {
        server.accept(&app, &events);
    }
    server.send(&app.sdk(b"{\"events\":[{\"x\":1}]}"));
    let mut squeezed = GzEncoder::new(Vec::new(), Compression::fast());
    squeezed.write_all(&kit::batch(&events)).unwrap();
    server.send(&app.sdk(&squeezed.finish().unwrap()).header("content-encoding", "gzip"));
    let cookie = server.sign_in();
    for page in ["", "/events", "/users", "/sessions", "/errors", "/retention", "/live", "/funnels", "/collects"] {
        server.page(&format!("/apps/{}{page}", app.slug), &cookie);
    }
    for path in ["/", "/health", "/health/ready", "/metrics", "/box", "/account", "/nowhere"] {
        server.page(path, &cookie);
    }
    server.page(&format!("/apps/{}/events.csv", app.slug), &cookie);
    let form = Request::form("/login", &[("name", "nobody"), ("password", "not the right one")]);
    server.send(&form);
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase()) && !["syscall", "total"].contains(&word)
}

/// What the unit lets through, its lines taken one after the other as systemd does.
fn filter() -> BTreeSet<String> {
    let unit = read("packaging/tallybox.service");
    let mut allowed = BTreeSet::new();
    // What systemd lets through whatever is asked for, where a list says what is let through.
    expand("@default", &mut |name| _ = allowed.insert(name));
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (names, takes_away) = line.strip_prefix('~').map_or((line, false), |names| (names, true));
        for name in names.split_whitespace() {
            expand(name, &mut |name| if takes_away { _ = allowed.remove(&name) } else { _ = allowed.insert(name) });
        }
    }
    assert!(allowed.len() > 100, "{allowed:?}");
    allowed
}

/// The calls in a set, of which systemd knows the members.
fn expand(name: &str, each: &mut impl FnMut(String)) {
    if !name.starts_with('@') {
        return each(name.to_owned());
    }
    let listed = said(Command::new("systemd-analyze").args(["syscall-filter", name]).stdin(Stdio::null()));
    let members = listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for member in members {
        expand(member, each);
    }
}
