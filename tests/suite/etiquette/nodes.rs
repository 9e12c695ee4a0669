//! Two nodes over one database: what one orders, the other knows.

use std::time::Duration;

use super::{counted, lift_all, order};
use crate::harness::backend::on_postgres_alone;
use crate::harness::kit;
use crate::harness::{Backend, Database, Server, poll};

on_postgres_alone! { what_one_node_orders_holds_on_the_other }

const SOON: Duration = Duration::from_secs(20);

fn what_one_node_orders_holds_on_the_other() {
    let first = Server::over(Backend::Postgres);
    let Database::Postgres(database) = first.database() else { panic!("a file has one server") };
    let second = Server::with().database(database.at(database.port())).start_fresh();
    let app = first.app("Both");
    second.accept(&app, &[kit::event("a")]);
    order(&first, &app, &[("sending", "stop")]);
    poll::until(SOON, "the order on the other node", || {
        second.accept(&app, &[kit::event("a")]);
        (counted(&first, "stopped") > 0).then_some(())
    });
    lift_all(&first, &app);
    let stored = counted(&first, "stored");
    poll::until(SOON, "its end on the other node", || {
        second.accept(&app, &[kit::event("a")]);
        (counted(&first, "stored") > stored).then_some(())
    });
}
