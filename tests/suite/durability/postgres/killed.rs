//! Goal R18: PostgreSQL is killed, with all its processes, while eight clients send; and stopped in good order.

use std::time::{Duration, Instant};

use super::{SHAPE, assert_away, assert_polite};
use crate::durability::load::Load;
use crate::durability::oracle;
use crate::harness::backend::on_postgres_alone;
use crate::harness::postgres::{Cluster, Shutdown};
use crate::harness::random::Random;
use crate::harness::{Server, alone};

const SEED: u64 = 0x7a11_0018;

on_postgres_alone! { killing_postgresql_loses_nothing_acknowledged }

fn killing_postgresql_loses_nothing_acknowledged() {
    let _alone = alone();
    let mut cluster = Cluster::start();
    let mut server = Server::with().database(cluster.database()).start();
    let credentials = server.app("Drill");
    let mut load = Load::new(SEED, server.home(), &credentials, SHAPE);
    let mut random = Random::seeded(SEED);
    for end in [Cluster::kill, Cluster::kill, |cluster: &mut Cluster| cluster.stop(Shutdown::Fast)] {
        let moment = random.between(500, 3_000);
        let tally = load.insist(server.address(), |progress| {
            progress.await_acked(moment);
            end(&mut cluster);
            server.turns(503, Instant::now(), "the end of PostgreSQL");
            progress.await_refusal();
            assert_away(&server, &credentials);
            cluster.restart();
            let restarted = Instant::now();
            println!("success again after {:?}", progress.await_success(Duration::from_secs(3)));
            server.turns(200, restarted, "PostgreSQL's restart");
        });
        println!("{} acked, {} refused, slowest {:?}", tally.acked, tally.refusals.len(), tally.slowest);
        assert_polite(&tally);
        oracle::examine(server.database(), &load.ledger).assert_sound();
    }
    load.settle(server.address());
    assert!(server.stop().success());
    oracle::examine(server.database(), &load.ledger).assert_sound();
}
