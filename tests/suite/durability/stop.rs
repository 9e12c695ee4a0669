//! Goal R15: the server is asked to stop while eight clients send.

use std::time::{Duration, Instant};

use super::load::{Load, Shape};
use super::oracle;
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::random::Random;
use crate::harness::{Backend, Server, alone, poll};

const STOPS: usize = 5;
const SEED: u64 = 0x7a11_0015;

on_both_backends! { stopping_under_load_answers_every_accepted_request, an_idle_server_stops_at_once_and_with_success }

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

/// Readiness turns at once: from 100 ms after the signal on, nobody is told to send more.
fn assert_unready_soon(server: &Server) {
    let begun = Instant::now();
    poll::until(Duration::from_secs(5), "unreadiness", || {
        let reply = server.try_send(&Request::get("/health/ready"));
        reply.map_or(true, |reply| reply.status == 503).then_some(())
    });
    assert!(begun.elapsed() < Duration::from_millis(250), "unready only after {:?}", begun.elapsed());
}

fn an_idle_server_stops_at_once_and_with_success(backend: Backend) {
    let mut server = Server::over(backend);
    let begun = Instant::now();
    assert!(server.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
