//! Goal R20: a standby takes over while eight clients send, with a control that shows that the drill can see a loss.

use std::time::Duration;

use super::{SHAPE, assert_polite};
use crate::durability::load::Load;
use crate::durability::oracle::{self, Findings};
use crate::harness::backend::on_postgres_alone;
use crate::harness::postgres::{Cluster, Replication};
use crate::harness::{Database, Server, alone};

/// Longest time from a promotion to the next success.
const FOLLOW: Duration = Duration::from_secs(10);

on_postgres_alone! {
    a_failover_to_a_synchronous_standby_loses_nothing_acknowledged,
    a_demoted_primary_is_left_for_its_successor,
    a_failover_to_a_standby_that_lags_does_lose_acknowledged_events,
}

fn a_failover_to_a_synchronous_standby_loses_nothing_acknowledged() {
    fail_over(Replication::Synchronous, |_, _| {}, Cluster::kill).assert_sound();
}

/// The old primary stays up and answers, but takes no writes any more: `SELECT 1` is no proof of health.
fn a_demoted_primary_is_left_for_its_successor() {
    let demote = |primary: &mut Cluster| {
        primary.psql("ALTER SYSTEM SET default_transaction_read_only = on");
        primary.psql("SELECT pg_reload_conf()");
    };
    fail_over(Replication::Synchronous, |_, _| {}, demote).assert_sound();
}

fn a_failover_to_a_standby_that_lags_does_lose_acknowledged_events() {
    let lag = |standby: &Cluster, acknowledge: &dyn Fn()| {
        standby.cut_off();
        acknowledge();
    };
    let findings = fail_over(Replication::Asynchronous, lag, Cluster::kill);
    println!("the control lost {} acknowledged events", findings.lost.len());
    assert!(!findings.lost.is_empty(), "the control lost nothing, so the drill shows nothing");
    assert_eq!((findings.repeated.len(), findings.contradictions), (0, Vec::new()));
}

/// Runs the load over a change of primary. `before` may do something to the standby, and let more events be
/// acknowledged then; `end` takes the primary out of service.
fn fail_over(
    replication: Replication,
    before: impl FnOnce(&Cluster, &dyn Fn()),
    end: impl FnOnce(&mut Cluster),
) -> Findings {
    let _alone = alone();
    let mut primary = Cluster::start();
    let database = primary.database();
    let standby = primary.standby(replication);
    let (url, successor) = (database.url_with(&standby), Database::Postgres(database.at(standby.port())));
    let mut server = Server::with().database(database).setting("TALLYBOX_DATABASE_URL", url).start();
    let credentials = server.app("Drill");
    let mut load = Load::new(0x7a11_0020, server.home(), &credentials, SHAPE);
    let tally = load.insist(server.address(), |progress| {
        progress.await_acked(1_000);
        before(&standby, &|| (0..20).for_each(|_| _ = progress.await_success(Duration::from_secs(5))));
        end(&mut primary);
        standby.promote();
        println!("success again after {:?}", progress.await_success(FOLLOW));
    });
    println!("{} acked, {} refused, slowest {:?}", tally.acked, tally.refusals.len(), tally.slowest);
    assert_polite(&tally);
    load.settle(server.address());
    assert!(server.stop().success());
    oracle::examine(&successor, &load.ledger)
}
