//! How the box says no, and what it says to everyone: points 11, 14 and 15 of the list.

use super::{assert_readable_error, server_with_app, stored};
use crate::harness::backend::on_both_backends;
use crate::harness::http::{Connection, Reply, Request};
use crate::harness::{Backend, Server, kit};

on_both_backends! {
    every_refusal_on_the_ingest_path_is_readable,
    failed_proofs_are_limited_by_address_and_say_when_to_come_back,
    an_oversized_body_is_refused_while_it_is_read,
    the_clacks_header_is_on_every_answer,
    health_says_what_load_balancers_ask,
}

fn every_refusal_on_the_ingest_path_is_readable(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let good = kit::batch(&[kit::event("a")]);
    let many: Vec<_> = (0..1_001).map(|_| kit::event("a")).collect();
    let rows = [
        (Request::post(&app.path(), good.clone()), 401),
        (Request::get(&app.path()), 405),
        (app.sdk(b"{"), 400),
        (app.sdk(b"[]"), 400),
        (app.sdk(br#"{"events":{}}"#), 400),
        (app.sdk(b"\xff\xfe"), 400),
        (app.sdk(b""), 400),
        (app.sdk(&kit::batch(&many)), 413),
        (app.nonce_form(&good, kit::now(), "not-a-uuid"), 400),
        (app.nonce_form(&good, 1_700_000_000, &uuid::Uuid::new_v4().to_string()), 403),
        (app.sdk(&good).header("content-encoding", "sdch"), 400),
        (Request::post("/v1/ingest/one", good.clone()), 404),
        (Request::post("/v1/nothing", good), 404),
    ];
    for (request, status) in rows {
        let reply = server.send(&request);
        // What cannot be decoded may also be called by its own status.
        let fits = reply.status == status || (status == 400 && reply.status == 415);
        assert!(fits, "{} {}: {} {}", request.method, request.target, reply.status, reply.text());
        assert_readable_error(&reply.json());
        let kind = reply.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{}: {kind}", reply.status);
    }
    assert_eq!(stored(&server), 0);
}

/// Guessing is slowed down by address; whoever proves a key from the same address is served all the same.
fn failed_proofs_are_limited_by_address_and_say_when_to_come_back(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let body = kit::batch(&[kit::event("a")]);
    let wrong = kit::Credentials { secret: "wrong".to_owned(), ..app.clone() };
    let limited =
        (0..200).map(|_| server.send(&wrong.sdk(&body))).find(|reply| reply.status != 401).unwrap().expect(429);
    let json = limited.json();
    assert_readable_error(&json);
    let seconds = json["retry_after"].as_u64().unwrap();
    assert!((1..=60).contains(&seconds), "{json}");
    assert_eq!(limited.header("retry-after"), Some(seconds.to_string().as_str()));
    server.accept(&app, &[kit::event("b")]);
}

fn an_oversized_body_is_refused_while_it_is_read(backend: Backend) {
    let (server, app) = server_with_app(backend);
    server.accept(&app, &[kit::event("warm")]);
    let before = server.resident_kib();
    let announced = Request::post(&app.path(), b"{".to_vec()).header("content-length", "314572800");
    assert_readable_error(&server.send(&announced).expect(413).json());
    assert_readable_error(&endless(&server, &app.path()).expect(413).json());
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB more after two oversized bodies");
}

/// Streams a body without a stated length until the server has had enough.
fn endless(server: &Server, path: &str) -> Reply {
    let mut connection = Connection::open(server.address()).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: {}\r\ntransfer-encoding: chunked\r\n\r\n", server.address());
    connection.write(head.as_bytes()).unwrap();
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    for _ in 0..300 {
        if connection.write(chunk.as_bytes()).is_err() {
            break;
        }
    }
    connection.read(false).expect("the refusal arrives before the connection is gone")
}

fn the_clacks_header_is_on_every_answer(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let many: Vec<_> = (0..1_001).map(|_| kit::event("a")).collect();
    for (request, status) in [
        (app.sdk(&kit::batch(&[kit::event("a")])), 200),
        (Request::post(&app.path(), b"{}".to_vec()), 401),
        (Request::get("/nothing/here"), 404),
        (app.sdk(&kit::batch(&many)), 413),
        (Request::get("/health"), 200),
        (Request::head("/health"), 200),
        (Request::get("/login"), 200),
    ] {
        let reply = server.send(&request);
        assert_eq!(reply.status, status, "{} {}", request.method, request.target);
        assert_eq!(reply.header("x-clacks-overhead"), Some("GNU Terry Pratchett"), "{}", request.target);
    }
}

fn health_says_what_load_balancers_ask(backend: Backend) {
    let server = Server::over(backend);
    let health = server.get("/health").expect(200).json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
}
