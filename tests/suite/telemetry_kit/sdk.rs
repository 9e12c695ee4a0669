//! The published SDK itself, unchanged, in a program of its own: point 1 of the list.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::{server_with_app, set_aside, stored};
use crate::etiquette::order;
use crate::harness::backend::on_both_backends;
use crate::harness::kit::Credentials;
use crate::harness::{Backend, Server, client_program};

on_both_backends! {
    the_published_sdk_delivers_everything_and_forgets_it,
    the_published_sdk_forgets_what_is_not_kept_by_order,
    a_lost_reply_makes_the_sdk_repeat_and_the_box_count_once,
    recorded_requests_of_the_sdk_are_taken_whole,
}

fn the_published_sdk_delivers_everything_and_forgets_it(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let told = client(&server, &app, &server.url(), &["send", "2500"]);
    assert_eq!((&told["tracked"], &told["synced"], &told["unsynced"]), (&json!(2_500), &json!(2_500), &json!(0)));
    assert_eq!((stored(&server), set_aside(&server)), (2_500, 0), "{told}");
    let kinds = server.sql("SELECT text, count(*) FROM events JOIN strings s ON s.id = name_id GROUP BY 1 ORDER BY 1");
    assert_eq!(kinds, "checked_out|833\ncommand_execution|834\nfeature_used|833\n");
}

fn the_published_sdk_forgets_what_is_not_kept_by_order(backend: Backend) {
    let (server, app) = server_with_app(backend);
    order(&server, &app, &[("sending", "pause")]);
    let told = client(&server, &app, &server.url(), &["send", "150"]);
    assert_eq!((&told["synced"], &told["unsynced"], stored(&server)), (&json!(150), &json!(0), 0), "{told}");
    assert_eq!(server.count("SELECT sum(events) FROM intake_days WHERE outcome = 'paused'"), 150);
}

fn a_lost_reply_makes_the_sdk_repeat_and_the_box_count_once(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let (proxy, lost) = forgetful(server.address(), 1);
    let first = client(&server, &app, &format!("http://{proxy}"), &["send", "250"]);
    assert_eq!((&first["unsynced"], lost.load(Ordering::Relaxed)), (&json!(250), 1), "{first}");
    assert_eq!(stored(&server), 100, "the batch whose reply was lost");
    let second = client(&server, &app, &format!("http://{proxy}"), &["send", "0"]);
    assert_eq!((&second["unsynced"], stored(&server)), (&json!(0), 250), "{second}");
}

fn recorded_requests_of_the_sdk_are_taken_whole(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/protocol/telemetry-kit");
    let mut recorded = 0;
    for entry in fs::read_dir(fixtures).unwrap() {
        let fixture: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let mut request = app.sdk(fixture["body"].as_str().unwrap().as_bytes());
        for name in ["x-batch-size", "x-clacks-overhead", "accept"] {
            request = request.header(name, fixture["headers"][name].as_str().unwrap());
        }
        assert_eq!(server.send(&request).expect(200).json()["accepted"], fixture["events"]);
        recorded += fixture["events"].as_i64().unwrap();
    }
    assert!(recorded > 20, "only {recorded} recorded events");
    assert_eq!((stored(&server), set_aside(&server)), (recorded, 0));
}

/// Runs the client program, built by `tests/run` from `tests/clients/telemetry-kit`; what it tells at the end. Its
/// buffer stays from one run to the next.
#[track_caller]
fn client(server: &Server, app: &Credentials, url: &str, arguments: &[&str]) -> Value {
    let output = Command::new(client_program("telemetry-kit-client"))
        .args(arguments)
        .env_clear()
        .env("HOME", server.home())
        .env("TK_BUFFER", server.home().join("buffer.db"))
        .env("TK_ENDPOINT", url)
        .env("TK_ORG", &app.organization)
        .env("TK_APP", &app.app)
        .env("TK_TOKEN", &app.token)
        .env("TK_SECRET", &app.secret)
        .current_dir(server.home())
        .output()
        .expect("the client runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{}: {said}{errors}", output.status))
}

/// A proxy that hands requests on, and loses the replies to the first few. How many it lost is counted.
fn forgetful(server: SocketAddr, lose: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let lost = Arc::new(AtomicUsize::new(0));
    let counter = lost.clone();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let counter = counter.clone();
            thread::spawn(move || relay(client, server, &counter, lose));
        }
    });
    (address, lost)
}

fn relay(mut client: TcpStream, server: SocketAddr, lost: &AtomicUsize, lose: usize) {
    let mut upstream = TcpStream::connect(server).unwrap();
    let (mut requests, mut to_server) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    thread::spawn(move || {
        _ = std::io::copy(&mut requests, &mut to_server);
        _ = to_server.shutdown(Shutdown::Write);
    });
    let mut bytes = [0; 16 << 10];
    while let Ok(read) = upstream.read(&mut bytes) {
        let forget =
            || lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < lose).then_some(n + 1)).is_ok();
        if read == 0 || forget() || client.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    _ = client.shutdown(Shutdown::Both);
    _ = upstream.shutdown(Shutdown::Both);
}
