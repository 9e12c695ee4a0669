//! A PgBouncer in transaction mode stands between: no two transactions need be on the same connection.

use super::{SHAPE, assert_polite};
use crate::durability::load::Load;
use crate::durability::oracle;
use crate::harness::backend::on_postgres_alone;
use crate::harness::postgres::{Cluster, PgBouncer};
use crate::harness::{Server, alone};

on_postgres_alone! { a_bouncer_between_changes_nothing }

fn a_bouncer_between_changes_nothing() {
    let _alone = alone();
    let cluster = Cluster::start();
    let bouncer = PgBouncer::before(&cluster, 3);
    let database = cluster.database();
    let url = database.at(bouncer.port()).url();
    let mut server = Server::with().database(database).setting("TALLYBOX_DATABASE_URL", url).start();
    let credentials = server.app("Bounced");
    let mut load = Load::new(0x7a11_0218, server.home(), &credentials, SHAPE);
    let cookie = server.sign_in();
    let tally = load.insist(server.address(), |progress| {
        for events in [1_000, 2_000, 3_000] {
            progress.await_acked(events);
            server.page(&format!("/apps/{}", credentials.slug), &cookie).expect(200);
        }
    });
    assert_polite(&tally);
    assert!(tally.refusals.is_empty(), "{:?}\n{}", tally.refusals, bouncer.log());
    load.settle(server.address());
    assert!(server.stop().success());
    oracle::examine(server.database(), &load.ledger).assert_sound();
}
