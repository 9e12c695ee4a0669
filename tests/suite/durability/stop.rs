//! Goal R15: the server is asked to stop while eight clients send.

use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};

use super::load::{Load, Shape};
use super::oracle;
use crate::harness::backend::on_both_backends;
use crate::harness::http::{Connection, Request};
use crate::harness::kit;
use crate::harness::random::Random;
use crate::harness::{Backend, Server, alone, poll};

const STOPS: usize = 5;
const SEED: u64 = 0x7a11_0015;

on_both_backends! {
    stopping_under_load_answers_every_accepted_request,
    what_is_arriving_when_the_signal_comes_is_still_taken,
    an_idle_server_stops_at_once_and_with_success,
}

fn stopping_under_load_answers_every_accepted_request(backend: Backend) {
    let _alone = alone();
    let mut server = Server::over(backend);
    let credentials = server.app("Drill");
    let mut load = Load::new(SEED, server.home(), &credentials, Shape { events: 20, padding: 20 });
    let mut random = Random::seeded(SEED);
    for stop in 1..=STOPS {
        let moment = random.between(500, 3_000);
        let address = server.address();
        let mut stopping = None;
        let tally = load.run(address, |progress| {
            progress.await_acked(moment);
            server.terminate();
            stopping = Some(Instant::now());
            assert_unready_soon(&server);
            let status = server.ended(Duration::from_secs(30));
            assert!(status.success(), "stop {stop}: {status}\n{}", server.log());
        });
        println!("stop {stop}: {:?}, {} unanswered", stopping.map(|t| t.elapsed()), tally.unanswered);
        assert!(
            tally.refusals.iter().all(|r| r.status == 503 && r.header("retry-after").is_some()),
            "{:?}",
            tally.refusals
        );
        let findings = oracle::examine(server.database(), &load.ledger);
        findings.assert_sound();
        assert_eq!(findings.unknown, 0, "requests were stored whose clients got no answer");
        server.restart();
        load.settle(server.address());
    }
}

/// Readiness turns at once: from 100 ms after the signal on, nobody is told to send more. It is alive for as long as it
/// answers.
fn assert_unready_soon(server: &Server) {
    let begun = Instant::now();
    poll::until(Duration::from_secs(5), "unreadiness", || {
        let live = server.try_send(&Request::get("/health/live"));
        assert!(live.map_or(true, |live| live.status == 200), "not alive while it drains");
        let reply = server.try_send(&Request::get("/health/ready"));
        reply.map_or(true, |reply| reply.status == 503).then_some(())
    });
    let took = begun.elapsed();
    println!("draining: ready says 503 after {took:?}, alive all the while");
    assert!(took < Duration::from_millis(250), "unready only after {took:?}");
}

fn an_idle_server_stops_at_once_and_with_success(backend: Backend) {
    let mut server = Server::over(backend);
    let begun = Instant::now();
    assert!(server.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// A request of which half has come is accepted: it is read, committed and answered, not reset. On a socket of the
/// server's own it is told to come again, since by then nothing new is taken.
fn what_is_arriving_when_the_signal_comes_is_still_taken(backend: Backend) {
    for (lent, status) in [(false, 503), (true, 200)] {
        let launch = Server::with().backend(backend);
        let mut server = if lent { launch.lent_socket().start() } else { launch.start() };
        let app = server.app("Arriving");
        let bytes = app.sdk(&kit::batch(&[kit::event("half")])).bytes("127.0.0.1");
        let mut connections: Vec<_> = (0..5).map(|_| Connection::open(server.address()).unwrap()).collect();
        let (first, rest) = bytes.split_at(bytes.len() - 20);
        connections.iter_mut().for_each(|connection| connection.write(first).unwrap());
        // What was sent before this is answered has been read.
        server.get("/health/live").expect(200);
        server.terminate();
        poll::until(Duration::from_secs(5), "word of stopping", || server.log().contains("stopping").then_some(()));
        for connection in &mut connections {
            connection.write(rest).unwrap();
        }
        let replies: Vec<_> = connections.iter_mut().map(|connection| connection.read(false).unwrap()).collect();
        assert!(server.ended(Duration::from_secs(10)).success(), "{}", server.log());
        // All are one request, with one nonce: the first is stored, and the others are known to be repeats.
        let statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
        assert!(statuses.contains(&status) && statuses.iter().all(|told| [status, 409].contains(told)), "{statuses:?}");
        assert_eq!(server.count("SELECT count(*) FROM events"), i64::from(lent));
    }
}

#[test]
fn a_second_signal_ends_it_now() {
    let mut server = Server::start();
    let app = server.app("Endless");
    let mut endless = Connection::open(server.address()).unwrap();
    let request = app.sdk(b"").without("content-length").header("content-length", "1000");
    endless.write(&request.bytes("127.0.0.1")).unwrap();
    server.get("/health/live").expect(200);
    server.terminate();
    poll::until(Duration::from_secs(5), "word of stopping", || server.log().contains("stopping").then_some(()));
    // Its request may take ten seconds more to come.
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    assert!(test_kill_process(pid).is_ok());
    let begun = Instant::now();
    server.terminate();
    let status = server.ended(Duration::from_secs(8));
    assert_eq!(status.code(), Some(1), "{}", server.log());
    println!("ended {:?} after the second signal", begun.elapsed());
    assert!(server.log().contains("told to stop twice"));
}
