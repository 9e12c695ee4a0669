//! The harness itself: what a drill does to PostgreSQL does happen. Judged by `psql`, without the box.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::crowd::connect;
use super::{Cluster, Crowd, Database, PgBouncer, ROLE, Replication, Shutdown};
use crate::harness::poll;

/// A table with one row, committed.
const ONE_ROW: &str = "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1); GRANT ALL ON kept TO PUBLIC";
const ONE_MORE: &str = "INSERT INTO kept VALUES (1)";
const ROWS: &str = "SELECT count(*) FROM kept";

#[test]
fn a_database_is_the_boxs_own_and_goes_with_its_test() {
    let (database, other) = (Database::shared(), Database::shared());
    assert!(database.url().starts_with(&format!("postgres://{ROLE}@127.0.0.1:")), "{}", database.url());
    database.try_psql(&format!("SET ROLE {ROLE}; {ONE_ROW}")).unwrap();
    assert_eq!(database.sql(ROWS), "1\n");
    assert!(other.try_psql(ROWS).unwrap_err().contains("does not exist"));
    let power = database
        .sql(&format!("SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = '{ROLE}'"));
    assert_eq!(power, "f\n");
    let kind =
        "SELECT pg_encoding_to_char(encoding), datlocprovider FROM pg_database WHERE datname = current_database()";
    assert_eq!(database.sql(kind), "UTF8|i\n");
    assert!(database.dump().contains("CREATE TABLE public.kept"), "{}", database.dump());
    let copy = database.copy();
    database.try_psql(ONE_MORE).unwrap();
    assert_eq!((copy.sql(ROWS), database.sql(ROWS)), ("1\n".to_owned(), "2\n".to_owned()));
    let names = format!("SELECT count(*) FROM pg_database WHERE datname IN ('{}', '{}')", database.name(), copy.name());
    drop((database, copy));
    assert_eq!(other.sql(&names), "0\n");
}

#[test]
#[should_panic(expected = "read-only transaction")]
fn the_oracle_cannot_write() {
    Database::shared().sql("CREATE TABLE written (n int)");
}

#[test]
fn a_cluster_comes_back_with_what_it_committed_however_it_ended() {
    let mut cluster = Cluster::with().durable().setting("max_connections", 17).start();
    let (database, port) = (cluster.database(), cluster.port());
    assert_eq!(cluster.psql("SHOW max_connections; SHOW fsync"), "17\non\n");
    database.try_psql(ONE_ROW).unwrap();
    for end in [Cluster::kill, |c: &mut Cluster| c.stop(Shutdown::Immediate), |c: &mut Cluster| c.stop(Shutdown::Fast)]
    {
        end(&mut cluster);
        assert!(!cluster.is_accepting() && TcpStream::connect(("127.0.0.1", port)).is_err());
        cluster.restart();
        assert_eq!((cluster.port(), database.sql(ROWS).as_str()), (port, "1\n"));
    }
    let recoveries = cluster.log().matches("not properly shut down").count();
    assert_eq!(recoveries, 2, "{}", cluster.log());
}

#[test]
fn damage_is_seen() {
    let mut cluster = Cluster::start();
    let database = cluster.database();
    database.try_psql(ONE_ROW).unwrap();
    for _ in 0..2 {
        assert_eq!(database.damage(), "");
    }
    let file = cluster.home().join("data").join(database.sql("SELECT pg_relation_filepath('kept')").trim());
    cluster.stop(Shutdown::Fast);
    OpenOptions::new().write(true).open(file).unwrap().write_all_at(&[0xff], 8_191).unwrap();
    cluster.restart();
    assert!(database.damage().contains("verification failed"), "{}", database.damage());
}

#[test]
fn a_frozen_cluster_keeps_its_connections_and_answers_nobody() {
    let cluster = Cluster::start();
    let database = cluster.database();
    database.try_psql(ONE_ROW).unwrap();
    let mut open = connect(&database, "open").unwrap();
    cluster.freeze();
    assert!(!cluster.is_accepting());
    assert!(connect(&database, "new").is_err(), "a frozen server answered");
    TcpStream::connect(("127.0.0.1", cluster.port())).expect("the kernel still takes connections");
    ask(&mut open, ROWS);
    assert!(!is_answered(&mut open, Duration::from_millis(300)), "a frozen process answered");
    cluster.thaw();
    assert!(is_answered(&mut open, Duration::from_secs(10)), "the connection did not outlive the frost");
    assert_eq!(database.sql(ROWS), "1\n");
}

/// Sends statements as one query message.
fn ask(connection: &mut TcpStream, statements: &str) {
    let length = u32::try_from(statements.len() + 5).unwrap().to_be_bytes();
    connection.write_all(&[b"Q", &length[..], statements.as_bytes(), b"\0"].concat()).unwrap();
}

/// Whether anything but a complaint comes back in time.
fn is_answered(connection: &mut TcpStream, limit: Duration) -> bool {
    let mut kind = [0];
    connection.set_read_timeout(Some(limit)).unwrap();
    let answered = connection.read(&mut kind).is_ok();
    assert_ne!(kind, *b"E", "PostgreSQL refuses");
    answered
}

#[test]
fn a_synchronous_standby_has_every_commit_when_it_takes_over() {
    let mut primary = Cluster::start();
    let database = primary.database();
    database.try_psql(ONE_ROW).unwrap();
    let standby = primary.standby(Replication::Synchronous);
    let follower = database.at(standby.port());
    assert!(follower.try_psql(ONE_MORE).unwrap_err().contains("read-only"));
    assert!(database.url_with(&standby).ends_with(&format!(
        "@127.0.0.1:{},127.0.0.1:{}/{}?target_session_attrs=read-write",
        primary.port(),
        standby.port(),
        database.name()
    )));
    // No statement timeout ends this wait: PostgreSQL has put its own away by then.
    let mut waiting = connect(&database, "waiting").unwrap();
    standby.freeze();
    ask(&mut waiting, ONE_MORE);
    assert!(!is_answered(&mut waiting, Duration::from_millis(300)), "a commit did not wait");
    standby.thaw();
    assert!(is_answered(&mut waiting, Duration::from_secs(10)));
    for _ in 0..20 {
        database.try_psql(ONE_MORE).unwrap();
    }
    primary.kill();
    standby.promote();
    assert_eq!(follower.sql(ROWS), "22\n");
    follower.try_psql(ONE_MORE).unwrap();
}

#[test]
fn an_asynchronous_standby_that_hears_nothing_misses_commits() {
    let mut primary = Cluster::start();
    let database = primary.database();
    database.try_psql(ONE_ROW).unwrap();
    let standby = primary.standby(Replication::Asynchronous);
    standby.cut_off();
    database.try_psql(ONE_MORE).unwrap();
    primary.kill();
    standby.promote();
    assert_eq!(database.at(standby.port()).sql(ROWS), "1\n");
}

#[test]
fn a_bouncer_lends_one_connection_to_many_clients_by_the_transaction() {
    let cluster = Cluster::start();
    let bouncer = PgBouncer::before(&cluster, 1);
    let database = cluster.database();
    let through = database.at(bouncer.port());
    // The first client stays connected while the second asks: by the session, the second would wait for ever.
    let mut clients = ["first", "second"].map(|name| connect(&through, name).unwrap());
    for client in &mut clients {
        ask(client, "SELECT 1");
        assert!(is_answered(client, Duration::from_secs(10)), "{}", bouncer.log());
    }
    let known = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{ROLE}'");
    assert_eq!(cluster.psql(&known), "1\n");
}

#[test]
fn a_crowd_takes_every_place_and_gives_it_back() {
    let cluster = Cluster::with().setting("max_connections", 12).start();
    let database = cluster.database();
    let mut evicted = connect(&database, "evicted").unwrap();
    let crowd = Crowd::fill(&cluster, &database);
    assert_eq!(crowd.size(), 9, "all but the three that are kept for superusers");
    let mut farewell = Vec::new();
    evicted.read_to_end(&mut farewell).unwrap();
    assert!(String::from_utf8_lossy(&farewell).contains("terminating connection"));
    assert!(connect(&database, "new").is_err());
    drop(crowd);
    poll::until(Duration::from_secs(5), "free place", || connect(&database, "new").ok());
}
