//! The disk of PostgreSQL fills up and gets room again, while eight clients send.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::{ANSWER, assert_polite};
use crate::durability::disk::{Disk, can_mount, fill};
use crate::durability::load::{Load, Progress, Shape};
use crate::durability::oracle;
use crate::harness::backend::on_postgres_alone;
use crate::harness::http::Request;
use crate::harness::postgres::Cluster;
use crate::harness::{Server, alone, poll};

const CYCLES: usize = 2;
const SHAPE: Shape = Shape { events: 10, padding: 2_000 };

on_postgres_alone! {
    a_full_tablespace_refuses_and_loses_nothing,
    a_full_disk_under_the_whole_of_postgresql_loses_nothing,
}

/// A disk in memory that the server's account may enter.
fn disk(mebibytes: u64) -> Disk {
    let disk = Disk::memory(mebibytes);
    let above = disk.path().parent().expect("it is mounted in a folder").to_owned();
    fs::set_permissions(above, Permissions::from_mode(0o755)).unwrap();
    disk
}

/// Only the tables are on the small disk: PostgreSQL goes on, and each write fails.
fn a_full_tablespace_refuses_and_loses_nothing() {
    if !can_mount("full tablespace") {
        return;
    }
    let _alone = alone();
    let (cluster, disk) = (Cluster::start(), disk(64));
    let mut server = Server::with().database(cluster.database_in(&disk.path())).start();
    let credentials = server.app("Drill");
    let cookie = server.sign_in();
    let mut load = Load::new(0x7a11_0104, server.home(), &credentials, SHAPE);
    let junk = disk.path().join("junk");
    for cycle in 1..=CYCLES {
        fill(&junk, 7 << 20);
        let tally = load.insist(server.address(), |progress| {
            progress.await_acked(20);
            progress.await_refusal();
            fill(&junk, 0);
            let page = || server.page(&format!("/apps/{}", credentials.slug), &cookie);
            // One may want a connection while those that write hold them all.
            poll::until(ANSWER, "page over a full disk", || (page().status == 200).then_some(()));
            server.send(&Request::get("/health/live")).expect(200);
            give_room(&junk, progress);
        });
        println!("cycle {cycle}: {} acked, {} refused", tally.acked, tally.refusals.len());
        assert_polite(&tally);
        let full = tally.refusals.iter().filter(|reply| reply.json()["error"] == "storage_full").count();
        assert!(full > 0, "{:?}", tally.refusals.first());
    }
    load.settle(server.address());
    assert!(server.stop().success());
    oracle::examine(server.database(), &load.ledger).assert_sound();
}

/// The write-ahead log is there too: PostgreSQL itself goes down, and somebody has to start it again.
fn a_full_disk_under_the_whole_of_postgresql_loses_nothing() {
    if !can_mount("full disk of PostgreSQL") {
        return;
    }
    let _alone = alone();
    let disk = disk(256);
    let mut cluster = Cluster::with().inside(&disk.path()).setting("max_wal_size", "64MB").start();
    let mut server = Server::with().database(cluster.database()).start();
    let credentials = server.app("Drill");
    let mut load = Load::new(0x7a11_0204, server.home(), &credentials, SHAPE);
    let junk = disk.path().join("junk");
    for cycle in 1..=CYCLES {
        fill(&junk, 4 << 20);
        let tally = load.insist(server.address(), |progress| {
            progress.await_refusal();
            server.send(&Request::get("/health/live")).expect(200);
            fs::remove_file(&junk).unwrap();
            cluster.recover();
            println!("success again after {:?}", progress.await_success(Duration::from_secs(3)));
        });
        println!("cycle {cycle}: {} acked, {} refused", tally.acked, tally.refusals.len());
        assert_polite(&tally);
    }
    load.settle(server.address());
    assert!(server.stop().success());
    oracle::examine(server.database(), &load.ledger).assert_sound();
}

fn give_room(junk: &std::path::Path, progress: &Progress<'_>) {
    fs::remove_file(junk).unwrap();
    println!("success again after {:?}", progress.await_success(Duration::from_secs(5)));
}

/// What the drills rest on, without the box.
#[test]
fn postgresql_on_a_full_disk_fails_as_the_drills_expect() {
    if !can_mount("full disk under psql") {
        return;
    }
    let (tables, whole) = (disk(64), disk(256));
    let cluster = Cluster::start();
    let database = cluster.database_in(&tables.path());
    database.try_psql("CREATE TABLE heap (x text)").unwrap();
    let write = "INSERT INTO heap SELECT repeat('x', 2000) FROM generate_series(1, 500)";
    let junk = tables.path().join("junk");
    fill(&junk, 0);
    assert!(database.try_psql(write).unwrap_err().contains("No space left on device"));
    assert_eq!(database.sql("SELECT count(*) FROM heap"), "0\n");
    fs::remove_file(&junk).unwrap();
    database.try_psql(write).unwrap();

    let mut cluster = Cluster::with().inside(&whole.path()).setting("max_wal_size", "64MB").start();
    let database = cluster.database();
    database.try_psql("CREATE TABLE heap (x text)").unwrap();
    let junk = whole.path().join("junk");
    fill(&junk, 4 << 20);
    let mut rows = 0;
    while database.try_psql(write).is_ok() {
        rows += 500;
    }
    assert!(cluster.log().contains("No space left on device"), "{}", cluster.log());
    fs::remove_file(&junk).unwrap();
    cluster.recover();
    assert_eq!(database.sql("SELECT count(*) FROM heap").trim(), rows.to_string());
    database.try_psql(write).unwrap();
}
