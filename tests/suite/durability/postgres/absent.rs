//! No order of starts is needed: a box that finds no database waits for it.

use super::assert_away;
use crate::harness::backend::on_postgres_alone;
use crate::harness::kit;
use crate::harness::postgres::{Cluster, Shutdown};
use crate::harness::{MEMBER, PASSWORD, Server};

on_postgres_alone! {
    a_box_starts_before_its_database_has_ever_been_there,
    a_box_that_is_restarted_without_its_database_takes_up_again,
}

fn a_box_starts_before_its_database_has_ever_been_there() {
    let mut cluster = Cluster::start();
    let mut server = Server::with().database(cluster.database()).prepare();
    cluster.stop(Shutdown::Fast);
    server.launch();
    server.get("/health/live").expect(200);
    server.get("/health/ready").expect(503);
    cluster.restart();
    server.await_status("/health/ready", 200);
    server.run_with(&["member", "create", MEMBER, "--role", "owner"], &format!("{PASSWORD}\n"));
    let credentials = server.app("Late");
    server.accept(&credentials, &[kit::event("a")]);
    server.page("/apps", &server.sign_in()).expect(200);
    assert_eq!(server.count("SELECT count(*) FROM events"), 1);
}

fn a_box_that_is_restarted_without_its_database_takes_up_again() {
    let mut cluster = Cluster::start();
    let mut server = Server::with().database(cluster.database()).start();
    let credentials = server.app("Patient");
    server.accept(&credentials, &[kit::event("a")]);
    assert!(server.stop().success());
    cluster.stop(Shutdown::Fast);
    server.launch();
    assert_away(&server, &credentials);
    // It can be stopped all the same.
    assert!(server.stop().success());
    server.launch();
    cluster.restart();
    server.await_status("/health/ready", 200);
    server.accept(&credentials, &[kit::event("b")]);
    assert_eq!(server.count("SELECT count(*) FROM events"), 2);
}
