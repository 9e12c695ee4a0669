//! Secrets and names that pass through the box in every way there is: none may be found afterwards in what it keeps,
//! writes or shows.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::postgres::Cluster;
use crate::harness::{Backend, Database, MEMBER, PASSWORD, Server, kit};
use crate::pages::hidden;
use crate::teardown::client;

on_both_backends! {
    no_canary_is_found_anywhere,
    files_are_the_owners_alone_and_no_core_is_dumped,
}

const SETUP: &str = "canary-setup-8b1d0c7e5f2a4963d5";
const METRICS: &str = "canary-metrics-2f7a90c4e1b86d3355";
const MASTER: &str = "ca9a4e11ca9a4e22ca9a4e33ca9a4e44ca9a4e55ca9a4e66ca9a4e77ca9a4e88";
const SIGNING: &str = "canary-signing-6d0b5e19f4c27a8831";
/// Sent as password, credential, header, address and name of a person, and by none of them to be kept.
const SENT: [&str; 12] = [
    "canary-password-zq71",
    "canary-bearer-zq72",
    "canary-basic-zq73",
    "canary-cookie-zq74",
    "canary-query-zq75",
    "canary-csrf-zq76",
    "canary-userid-zq77",
    "canary-session-zq78",
    "canary-hidden-zq79",
    "canary-agent-zq80",
    "canary-referer-zq81",
    "canary-wrongkey-zq82",
];
const ADDRESS: &str = "203.0.113.201";
/// What has to be found, or the search finds nothing at all.
const KEPT: &str = "a property that is kept";

fn no_canary_is_found_anywhere(backend: Backend) {
    let cluster = (backend == Backend::Postgres).then(|| Cluster::with().setting("log_statement", "all").start());
    let launch = match &cluster {
        Some(cluster) => Server::with().database(cluster.database()),
        None => Server::with(),
    };
    let secrets = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = secrets.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let mut server = launch
        .setting("TALLYBOX_LOG_LEVEL", "trace")
        .setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1/32")
        .setting("TALLYBOX_METRICS_TOKEN_FILE", file("metrics", METRICS))
        .setting("TALLYBOX_SETUP_TOKEN_FILE", file("setup", SETUP))
        .prepare();
    // Over PostgreSQL the harness gives keys of its own, which all nodes share.
    server.set("TALLYBOX_MASTER_KEY", MASTER);
    server.set("TALLYBOX_SESSION_SECRETS", SIGNING);
    server.restart();
    let fields = [("token", SETUP), ("name", MEMBER), ("password", PASSWORD)];
    let cookie = server.send(&marked(Request::form("/setup", &fields))).expect(303).cookie().unwrap();

    let app = server.app("Discreet");
    let api = server.run(&["token", "create", &app.slug]);
    let api = api
        .split_whitespace()
        .find(|word| word.starts_with("tka_") && word.len() > 36)
        .expect("a token of the read API")
        .to_owned();
    send_all(&server, &app, &cookie);
    let mut installed = client::Client::new(&server, &app);
    let device = installed.log_in(&json!({ "user_id": "a user who may be known" }));
    server.send(&marked(Request::get("/api/v1/apps").header("authorization", &format!("Bearer {api}")))).expect(200);
    server.send(&marked(Request::get("/metrics").header("authorization", &format!("Bearer {METRICS}")))).expect(200);

    let mut pages = String::new();
    let home = format!("/apps/{}", app.slug);
    for path in ["", "/set-aside", "/keys", "/users", "/devices", "/changes", "/live", "/explorer"] {
        pages +=
            &server.send(&marked(Request::get(&format!("{home}{path}")).header("cookie", &cookie))).expect(200).text();
    }
    for path in ["/apps", "/box", "/box.json", "/box/settings", "/health", "/no/such/page"] {
        pages += &server.send(&marked(Request::get(path).header("cookie", &cookie))).text();
    }
    assert!(pages.contains("TALLYBOX_MASTER_KEY"), "the settings are not on their page");
    let login = cookie.split_once('=').unwrap().1.to_owned();
    let authenticator = begin_two_factor(&server, &cookie);
    if backend == Backend::Sqlite {
        server.run(&["backup"]); // into a folder of the data directory, which is searched
    }
    let held = [app.secret.clone(), app.token.clone(), api, login, device.token, authenticator];
    let given = [SETUP, METRICS, MASTER, SIGNING, PASSWORD, ADDRESS];
    let canaries: Vec<_> = SENT.iter().chain(&given).copied().chain(held.iter().map(String::as_str)).collect();
    let shown = tempfile::tempdir().unwrap();
    fs::write(shown.path().join("pages"), pages).unwrap();
    for _ in 0..2 {
        fs::write(shown.path().join("log"), server.log()).unwrap();
        let mut places = vec![shown.path(), server.data()];
        if let (Some(cluster), Database::Postgres(database)) = (&cluster, server.database()) {
            fs::write(shown.path().join("tables"), database.dump()).unwrap();
            places.push(cluster.home());
        }
        assert!(!search(&places, &[KEPT]).is_empty(), "nothing is found, so nothing is shown");
        assert_eq!(search(&places, &canaries), "");
        if server.is_running() {
            assert!(server.stop().success());
        }
    }
}

/// Has a secret made for an authenticator app; the secret, without blanks.
fn begin_two_factor(server: &Server, cookie: &str) -> String {
    let csrf = hidden(&server.page("/account", cookie).expect(200).text(), "csrf");
    let form = Request::form("/account/two-factor/begin", &[("csrf", &csrf)]).header("cookie", cookie);
    server.send(&marked(form)).expect(303);
    let page = server.page("/account/two-factor", cookie).expect(200).text();
    let secret = page.split("<code data-copy>").nth(1).unwrap().split('<').next().unwrap();
    assert!(secret.len() > 30, "{secret}");
    secret.replace(' ', "")
}

/// Every file below these folders that holds one of the texts, each with what it holds, as `grep` tells.
fn search(places: &[&Path], texts: &[&str]) -> String {
    let mut grep = Command::new("grep");
    grep.env("LC_ALL", "C").args(["-r", "-a", "-o", "-F", "-s"]);
    texts.iter().for_each(|text| _ = grep.args(["-e", text]));
    let found = grep.args(places).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&found.stdout).into_owned()
}

/// The request with a canary in every header that clients and proxies add.
fn marked(request: Request) -> Request {
    request
        .header("x-forwarded-for", ADDRESS)
        .header("x-real-ip", ADDRESS)
        .header("forwarded", &format!("for={ADDRESS}"))
        .header("user-agent", SENT[9])
        .header("referer", &format!("https://example.org/?{}", SENT[10]))
}

/// Every canary by the way on which it could come.
fn send_all(server: &Server, app: &kit::Credentials, cookie: &str) {
    let send = |request: Request| server.send(&marked(request));
    send(Request::form("/login", &[("name", MEMBER), ("password", SENT[0])]));
    send(Request::form("/login", &[("name", "nobody@example.org"), ("password", SENT[0])]));
    send(Request::get("/apps").header("authorization", &format!("Bearer {}", SENT[1])));
    send(Request::get("/api/v1/apps").header("authorization", &format!("Bearer {}", SENT[1])));
    send(Request::get("/metrics").header("authorization", &format!("Basic {}", SENT[2])));
    send(Request::get("/apps").header("cookie", &format!("tallybox={}", SENT[3])));
    send(Request::get(&format!("/setup?token={}", SENT[4])));
    send(Request::get(&format!("/no/such?{}", SENT[4])).header("cookie", cookie));
    send(Request::form("/logout", &[("csrf", SENT[5])]).header("cookie", cookie));
    let mut good = kit::event("seen");
    good["user_id"] = json!(SENT[6]);
    good["session_id"] = json!(SENT[7]);
    good["event"]["data"] = json!({ "note": KEPT });
    let mut unreadable = good.clone();
    unreadable["timestamp"] = json!("never");
    unreadable["event"]["data"] = json!({ "email": SENT[8], "deviceId": [SENT[8]], "note": KEPT });
    let mut deep = good.clone();
    deep["event_id"] = json!(uuid::Uuid::new_v4().to_string());
    deep["event"]["data"] = json!({ "ip": SENT[8], "many": vec![json!({ "push_token": SENT[8] }); 300] });
    for event in [good, unreadable, deep] {
        send(app.sdk(&kit::batch(&[event]))).expect(200);
    }
    let mut stranger = app.clone();
    stranger.secret.push_str(SENT[11]);
    stranger.token.push_str(SENT[11]);
    send(stranger.guide_form(b"{}", kit::now())).expect(401);
    let mut teardown = client::Client::new(server, app);
    teardown.key = SENT[11].to_owned();
    send(teardown.request("/v1/identify", &teardown.identify_body(None)));
    // What was set aside is tried again, and stays.
    let path = format!("/apps/{}/set-aside", app.slug);
    let csrf = hidden(&server.page(&path, cookie).expect(200).text(), "csrf");
    let form = Request::form(&format!("{path}/retry"), &[("csrf", &csrf), ("until", "99")]);
    send(form.header("cookie", cookie)).expect(303);
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 2);
}

fn files_are_the_owners_alone_and_no_core_is_dumped(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Private");
    server.accept(&app, &[kit::event("seen")]);
    fn walk(path: &Path) {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| walk(&entry.unwrap().path()));
        }
    }
    walk(server.data());
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}
