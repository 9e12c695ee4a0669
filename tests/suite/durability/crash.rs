//! Goal R1: the process is killed at random moments while eight clients send.

use std::time::{Duration, Instant};

use super::load::{Load, Shape};
use super::oracle;
use crate::harness::backend::on_both_backends;
use crate::harness::random::Random;
use crate::harness::{Backend, Server, alone};

const KILLS: usize = 25;
const SEED: u64 = 0x7a11_0001;

on_both_backends! { killing_the_process_loses_nothing_acknowledged }

fn killing_the_process_loses_nothing_acknowledged(backend: Backend) {
    let _alone = alone();
    let mut server = Server::over(backend);
    let credentials = server.app("Drill");
    let mut load = Load::new(SEED, server.home(), &credentials, Shape { events: 20, padding: 20 });
    let mut random = Random::seeded(SEED);
    let (mut acked, mut elapsed, mut slowest) = (0, Duration::ZERO, Duration::ZERO);
    for kill in 1..=KILLS {
        let address = server.address();
        let moment = random.between(500, 4_000);
        let tally = load.run(address, |progress| {
            progress.await_acked(moment);
            server.crash();
        });
        assert!(tally.refusals.is_empty(), "kill {kill}: {:?}", tally.refusals);
        acked += tally.acked;
        elapsed += tally.elapsed;
        let begun = Instant::now();
        server.restart();
        slowest = slowest.max(begun.elapsed());
        oracle::examine(server.database(), &load.ledger).assert_sound();
    }
    load.settle(server.address());
    assert!(server.stop().success());
    let findings = oracle::examine(server.database(), &load.ledger);
    findings.assert_sound();
    let rate = acked as f64 / elapsed.as_secs_f64();
    println!("{KILLS} kills, {} events, {rate:.0} events/s, slowest start {slowest:?}", findings.stored);
    assert!(rate >= 2_000.0, "{rate} events/s is no load");
    assert!(slowest < Duration::from_secs(2), "a start took {slowest:?}");
}
