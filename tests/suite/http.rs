//! The listener against odd, broken and hostile connections.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::http::{Connection, Reply, Request};
use crate::harness::{Server, kit};

#[test]
fn ambiguous_framing_is_refused() {
    let server = Server::start();
    for (what, head) in [
        (
            "length and chunks",
            "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunks and length",
            "POST /login HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        ),
        ("two lengths", "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
        ("a signed length", "POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\nhello"),
        ("no host", "GET /login HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET /login HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
        ("a folded header", "GET /login HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\n\r\n"),
        ("a space before the colon", "GET /login HTTP/1.1\r\nhost: a\r\nx : 1\r\n\r\n"),
        ("no version", "GET /login\r\n\r\n"),
    ] {
        let mut connection = Connection::open(server.address()).unwrap();
        connection.write(head.as_bytes()).unwrap();
        // The second answer of a split request would follow the first.
        let status = connection.read(false).map(|reply| reply.status);
        assert!(status.as_ref().map_or(true, |status| *status == 400), "{what}: {status:?}");
        assert!(connection.is_closed_within(Duration::from_secs(5)), "{what}: the connection stays open");
    }
    server.get("/login").expect(200);
}

#[test]
fn oversized_heads_are_refused() {
    let server = Server::start();
    let large = Request::get("/login").header("x-large", &"x".repeat(128 << 10));
    let many = (0..200).fold(Request::get("/login"), |request, i| request.header(&format!("x-{i}"), "1"));
    for request in [large, many] {
        let status = server.try_send(&request).map(|reply| reply.status);
        assert!(status.as_ref().map_or(true, |status| matches!(status, 400 | 431)), "{status:?}");
    }
    server.get("/login").expect(200);
}

#[test]
fn methods_that_nothing_uses_are_refused() {
    let server = Server::start();
    for method in ["TRACE", "CONNECT", "PUT", "PATCH", "DELETE", "BREW"] {
        let request = Request { method, ..Request::get("/login") };
        let reply = server.send(&request);
        assert!(matches!(reply.status, 400 | 404 | 405 | 501), "{method}: {}", reply.status);
        assert!(!reply.text().contains("host:"), "{method} echoes the request");
    }
}

#[test]
fn a_slow_header_is_not_waited_for() {
    let server = Server::start();
    let mut connection = Connection::open(server.address()).unwrap();
    connection.write(b"GET /login HTTP/1.1\r\nhost: a\r\nx-slow: ").unwrap();
    let begun = Instant::now();
    // A refusal may come first; in the end the connection is closed.
    _ = connection.read(false);
    assert!(connection.is_closed_within(Duration::from_secs(5)));
    assert!(begun.elapsed() < Duration::from_secs(13), "closed after {:?}", begun.elapsed());
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let server = Server::start();
    let app = server.app("Chatty");
    let mut connection = Connection::open(server.address()).unwrap();
    for _ in 0..3 {
        connection.send(&app.sdk(&kit::batch(&[kit::event("a")]))).unwrap().expect(200);
        connection.send(&Request::get("/health")).unwrap().expect(200);
    }
    let both = [Request::get("/health").bytes("a"), Request::get("/login").bytes("a")].concat();
    connection.write(&both).unwrap();
    assert_eq!([connection.read(false).unwrap().status, connection.read(false).unwrap().status], [200, 200]);
}

#[test]
fn gzip_is_found_by_its_first_bytes() {
    let server = Server::start();
    let app = server.app("Small");
    for declared in [true, false] {
        let packed = gzip(&kit::batch(&[kit::event("a")]));
        let request = app.sdk(&packed);
        let request = if declared { request.header("content-encoding", "gzip") } else { request };
        server.send(&request).expect(200);
    }
    assert_eq!(server.count("SELECT count(*) FROM events"), 2);
}

#[test]
fn a_compression_bomb_is_refused_in_little_memory() {
    let server = Server::start();
    let app = server.app("Bomb");
    let before = server.resident_kib();
    let bomb = gzip(&vec![b' '; 600 << 20]);
    let begun = Instant::now();
    let reply = server.send(&app.sdk(&bomb).header("content-encoding", "gzip"));
    assert_eq!(reply.status, 413, "{}", reply.text());
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn deeply_nested_json_is_survived() {
    let server = Server::start();
    let app = server.app("Deep");
    for depth in [33, 200, 100_000] {
        let mut event = kit::event("deep").to_string();
        let nest = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        event = event.replace(r#"{"command":"build","success":true}"#, &nest);
        assert!(event.contains(&nest), "the event's properties were not replaced");
        let reply = server.send(&app.sdk(format!(r#"{{"events":[{event}]}}"#).as_bytes()));
        assert!(matches!(reply.status, 200 | 400), "{depth}: {} {}", reply.status, reply.text());
    }
    assert_eq!(server.count("SELECT count(*) FROM events"), 0);
    server.accept(&app, &[kit::event("after")]);
}

#[test]
fn a_program_with_a_wrong_address_is_told_so_in_a_line() {
    let server = Server::with().setting("TALLYBOX_PROTOCOLS", "all,-posthog,-aptabase").start();
    let cookie = server.sign_in();
    let line = |path: &str| server.send(&Request::post(path, "{}")).expect(404).json()["message"].to_string();
    for (path, said) in [
        ("/batch/", "does not speak the protocol of PostHog: its setting protocols"),
        ("/api/v0/event", "does not speak the protocol of Aptabase"),
        ("/nothing/v1/batch", "nothing at this address; the page Connect an SDK"),
        ("/v1/nothing", "nothing at this address; the page Connect an SDK"),
        ("/%3Cb%3E/batch", "nothing at this address"),
    ] {
        let line = line(path);
        assert!(line.contains(said), "{path}: {line}");
    }
    // A page of another origin may read why.
    let page = Request::post("/batch/", "{}").header("origin", "https://app.example.com");
    assert_eq!(server.send(&page).header("access-control-allow-origin"), Some("https://app.example.com"));
    let asked = Request { method: "OPTIONS", ..Request::get("/wrong/batch") };
    server.send(&asked.header("access-control-request-method", "POST")).expect(404).json();
    // People get a page, and so does whoever only looks.
    for request in [Request::get("/batch/x"), Request::post("/nothing", "").header("accept", "text/html,*/*;q=0.8")] {
        assert!(server.send(&request).expect(404).text().contains("There is nothing here"));
    }
    let refused = server.page("/box.json", &cookie).expect(200).json()["refused"].clone();
    let told = refused.to_string();
    for said in [
        "\"Its protocol is switched off\"",
        "\"Nothing at that address\"",
        "nothing lies at /v1/nothing: look at",
        "Aptabase",
    ] {
        assert!(told.contains(said), "no {said} in {told}");
    }
    // Where somebody waits for the first event it stands, too.
    let app = server.app("Waiting");
    for path in [format!("/apps/{}", app.slug), format!("/apps/{}/connect", app.slug)] {
        let page = server.page(&path, &cookie).expect(200).text();
        assert!(page.contains("<strong>Turned away</strong>") && page.contains("href=\"/box#refused\""), "{page}");
        assert!(!page.contains("<b>/"), "{page}");
    }
}

#[test]
fn every_answer_names_its_request() {
    let server = Server::start();
    let id = |reply: Reply| reply.header("x-request-id").expect("a request id").to_owned();
    let ids = [id(server.get("/health")), id(server.get("/login")), id(server.get("/no/such/page"))];
    for id in &ids {
        assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id:?}");
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
}
