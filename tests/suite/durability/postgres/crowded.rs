//! Others take every connection that PostgreSQL grants, while eight clients send.

use std::time::{Duration, Instant};

use super::{SHAPE, assert_away, assert_polite};
use crate::durability::load::Load;
use crate::durability::oracle;
use crate::harness::backend::on_postgres_alone;
use crate::harness::postgres::{Cluster, Crowd};
use crate::harness::{Database, Server, alone, poll};

on_postgres_alone! { a_box_without_a_connection_waits_for_one }

fn a_box_without_a_connection_waits_for_one() {
    let _alone = alone();
    let cluster = Cluster::with().setting("max_connections", 40).start();
    let mut server = Server::with().database(cluster.database()).start();
    let Database::Postgres(database) = server.database() else { panic!("it was given one") };
    let database = database.at(cluster.port());
    let credentials = server.app("Drill");
    let mut load = Load::new(0x7a11_0118, server.home(), &credentials, SHAPE);
    let tally = load.insist(server.address(), |progress| {
        progress.await_acked(1_000);
        let crowd = Crowd::fill(&cluster, &database);
        progress.await_refusal();
        server.turns(503, Instant::now(), "the first refusal of a crowded PostgreSQL");
        poll::throughout(Duration::from_secs(5), || assert_away(&server, &credentials));
        drop(crowd);
        let left = Instant::now();
        println!("success again after {:?}", progress.await_success(Duration::from_secs(3)));
        server.turns(200, left, "the crowd's leaving");
    });
    println!("{} acked, {} refused, slowest {:?}", tally.acked, tally.refusals.len(), tally.slowest);
    assert_polite(&tally);
    load.settle(server.address());
    assert!(server.stop().success());
    oracle::examine(server.database(), &load.ledger).assert_sound();
}
