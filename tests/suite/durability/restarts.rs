//! Goal R16: the server is restarted on a socket that is lent to it, under steady requests.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::harness::http::{Connection, Reply, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{Server, alone, poll};

const RESTARTS: usize = 5;
/// Each sends about fifty requests a second.
const CLIENTS: usize = 4;

/// Whether a client keeps its connection as long as it may.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Anew,
    Kept,
}

struct Tally {
    acked: AtomicU64,
    stop: AtomicBool,
}

#[test]
fn restarting_on_a_lent_socket_refuses_nobody() {
    let _alone = alone();
    let mut server = Server::with().lent_socket().start();
    let app = &server.app("Steady");
    let (address, tally) = (server.address(), &Tally { acked: AtomicU64::new(0), stop: AtomicBool::new(false) });
    let (mut slowest, mut longest) = (Duration::ZERO, Duration::ZERO);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| if client % 2 == 0 { Habit::Anew } else { Habit::Kept })
            .map(|habit| scope.spawn(move || steady(habit, address, app, tally)))
            .collect();
        let stopper = StopClients(tally);
        for _ in 0..RESTARTS {
            await_more(tally);
            let begun = Instant::now();
            assert!(server.stop().success(), "{}", server.log());
            server.restart();
            longest = longest.max(begun.elapsed());
        }
        await_more(tally);
        drop(stopper);
        slowest = clients.into_iter().map(|client| client.join().unwrap()).max().unwrap_or_default();
    });
    let acked = tally.acked.load(Ordering::Relaxed);
    println!("{RESTARTS} restarts, the longest {longest:?}; {acked} requests, 0 refused, the slowest {slowest:?}");
    assert_eq!(server.count("SELECT count(*) FROM events"), i64::try_from(acked).unwrap());
}

/// Ends the clients even when the test fails meanwhile.
struct StopClients<'a>(&'a Tally);

impl Drop for StopClients<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

#[track_caller]
fn await_more(tally: &Tally) {
    let wanted = tally.acked.load(Ordering::Relaxed) + 40;
    poll::until(Duration::from_secs(30), "requests between restarts", || {
        (tally.acked.load(Ordering::Relaxed) >= wanted).then_some(())
    });
}

/// Sends one event after the other, each of which must be taken; the longest wait for an answer.
fn steady(habit: Habit, address: SocketAddr, app: &Credentials, tally: &Tally) -> Duration {
    let mut kept: Option<Connection> = None;
    let mut slowest = Duration::ZERO;
    while !tally.stop.load(Ordering::Relaxed) {
        let body = kit::batch(&[kit::event_of(Uuid::new_v4(), jiff::Timestamp::now(), "steady")]);
        let (request, begun) = (app.sdk(&body), Instant::now());
        let reply = send(&mut kept, address, &request).unwrap_or_else(|e| panic!("after {:?}: {e}", begun.elapsed()));
        assert_eq!((reply.status, &reply.json()["accepted"]), (200, &1.into()), "{}", reply.text());
        slowest = slowest.max(begun.elapsed());
        tally.acked.fetch_add(1, Ordering::Relaxed);
        let closes = reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if habit == Habit::Anew || closes {
            kept = None;
        }
        poll::pause();
    }
    slowest
}

/// On the connection that is kept, if there is one. Where that has been closed meanwhile, it is sent once more on a
/// new one, as every client does it (RFC 9112, 9.3.1).
fn send(kept: &mut Option<Connection>, address: SocketAddr, request: &Request) -> io::Result<Reply> {
    if let Some(reply) = kept.as_mut().and_then(|connection| connection.send(request).ok()) {
        return Ok(reply);
    }
    let mut connection = Connection::open(address)?;
    let reply = connection.send(request)?;
    *kept = Some(connection);
    Ok(reply)
}
