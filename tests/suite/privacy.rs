//! What never reaches a disk, a log or a page: addresses, raw identifiers, secrets.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::postgres::Cluster;
use crate::harness::{Backend, Database, MEMBER, PASSWORD, Server, kit};

on_both_backends! {
    no_address_identifier_or_secret_is_kept,
}

/// Addresses reserved for documentation: where they turn up, we wrote them down.
const ADDRESSES: [&str; 3] = ["203.0.113.77", "198.51.100.23", "2001:db8:cafe::7e57"];
const USER: &str = "client_canary0000000000000000000000000000000000000000000000000000user";
const SESSION: &str = "sess_canary00000000000000000000sess";
/// Documentation's own networks: 203.0.113.0/24 is in CH, 2001:db8::/32 in NZ.
const COUNTRIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/places/country.mmdb");
const PROPERTY: &str = "a property that must be found";

fn no_address_identifier_or_secret_is_kept(backend: Backend) {
    // A cluster of its own, whose every file can be searched, and whose log has every statement with what was in it.
    let cluster = (backend == Backend::Postgres).then(|| Cluster::with().setting("log_statement", "all").start());
    let launch = match &cluster {
        Some(cluster) => Server::with().database(cluster.database()),
        None => Server::with(),
    };
    let mut server = launch
        .setting("TALLYBOX_LOG_LEVEL", "trace")
        .setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1/32")
        .setting("TALLYBOX_COUNTRY_DATABASE", COUNTRIES)
        .start();
    let app = server.app("Discreet");
    let mut event = kit::event("canary");
    event["user_id"] = USER.into();
    event["session_id"] = SESSION.into();
    event["event"]["data"]["note"] = PROPERTY.into();
    let mut malformed = kit::event("canary");
    malformed["user_id"] = USER.into();
    malformed["session_id"] = SESSION.into();
    malformed["timestamp"] = "never".into();
    for body in [kit::batch(&[event]), kit::batch(&[malformed]), b"{".to_vec()] {
        server.send(&from_canaries(app.sdk(&body)));
        server.send(&from_canaries(app.guide_form(&body, kit::now())));
    }
    // Where a protocol names no user, they are counted by where they are.
    let key = tallybox::auth::token::as_aptabase(&server.public_key(&app.slug)).unwrap();
    let visit = format!(r#"{{"eventName":"canary","sessionId":"{SESSION}"}}"#);
    server.send(&from_canaries(Request::post("/api/v0/event", visit).header("app-key", &key))).expect(200);
    let mut stranger = app.clone();
    stranger.secret.push('x');
    server.send(&from_canaries(stranger.sdk(b"{}"))).expect(401);

    server.send(&from_canaries(Request::form("/login", &[("name", MEMBER), ("password", "wrong canary")])));
    let cookie = server.sign_in();
    let mut pages = String::new();
    for path in ["/apps", &format!("/apps/{}", app.slug), "/nothing"] {
        pages += &server.send(&from_canaries(Request::get(path).header("cookie", &cookie))).text();
    }
    pages += &server.get("/metrics").text();
    assert!(pages.contains("canary"), "the pages show no event, so they show nothing");

    let countries = server.database().sql("SELECT text FROM strings WHERE kind = 'country'");
    assert_eq!(countries.trim(), "NZ", "the country of the last address, and nothing else of it");

    let (token, login) = (app.token.as_str(), cookie.split_once('=').unwrap().1);
    let secrets = [app.secret.as_str(), token, login, PASSWORD, "wrong canary"];
    // Log and files are searched while it runs (write-ahead log and all) and once more after it has ended.
    for _ in 0..2 {
        let mut places =
            vec![("pages".to_owned(), pages.clone().into_bytes()), ("log".to_owned(), server.log().into())];
        places.extend(files(server.data()));
        if let (Some(cluster), Database::Postgres(database)) = (&cluster, server.database()) {
            let tables = database.dump();
            assert!(tables.contains(PROPERTY), "the event is in no table");
            places.push(("tables".to_owned(), tables.into()));
            places.extend(files(cluster.home()));
        }
        assert!(places.iter().any(|(_, bytes)| contains(bytes, PROPERTY)), "the event is nowhere, so nothing is shown");
        assert!(places.iter().any(|(_, bytes)| contains(bytes, "DEBUG")), "the log is not at its most talkative");
        for canary in ADDRESSES.iter().chain(&[USER, SESSION]).chain(&secrets) {
            for (place, bytes) in &places {
                assert!(!contains(bytes, canary), "{canary} is in {place}");
            }
        }
        if server.is_running() {
            assert!(server.stop().success());
        }
    }
}

/// The request as a proxy in front would hand it on.
fn from_canaries(request: Request) -> Request {
    let forwarded = format!("for={};by={}", ADDRESSES[1], ADDRESSES[0]);
    request
        .header("x-forwarded-for", &ADDRESSES.join(", "))
        .header("x-real-ip", ADDRESSES[1])
        .header("cf-connecting-ip", ADDRESSES[2])
        .header("forwarded", &forwarded)
}

/// Every file under a folder, as raw bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            match fs::read(&path) {
                Ok(bytes) => found.push((path.display().to_string(), bytes)),
                Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound, "{}", path.display()), // deleted meanwhile
            }
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
