//! Goal R19: PostgreSQL freezes with its connections open, while eight clients send.

use std::time::{Duration, Instant};

use super::{SHAPE, assert_away, assert_polite};
use crate::durability::load::Load;
use crate::durability::oracle;
use crate::harness::backend::on_postgres_alone;
use crate::harness::postgres::Cluster;
use crate::harness::{Server, alone, poll};

const FROST: Duration = Duration::from_secs(30);

on_postgres_alone! { a_frozen_postgresql_hangs_nobody }

fn a_frozen_postgresql_hangs_nobody() {
    let _alone = alone();
    let cluster = Cluster::start();
    let mut server = Server::with().database(cluster.database()).start();
    let credentials = server.app("Drill");
    let mut load = Load::new(0x7a11_0019, server.home(), &credentials, SHAPE);
    let tally = load.insist(server.address(), |progress| {
        progress.await_acked(1_000);
        cluster.freeze();
        server.turns(503, Instant::now(), "PostgreSQL's freezing");
        progress.await_refusal();
        poll::throughout(FROST, || assert_away(&server, &credentials));
        cluster.thaw();
        let thawed = Instant::now();
        println!("success again after {:?}", progress.await_success(Duration::from_secs(2)));
        server.turns(200, thawed, "PostgreSQL's thawing");
    });
    println!("{} acked, {} refused, slowest {:?}", tally.acked, tally.refusals.len(), tally.slowest);
    assert_polite(&tally);
    load.settle(server.address());
    assert!(server.stop().success());
    oracle::examine(server.database(), &load.ledger).assert_sound();
}
