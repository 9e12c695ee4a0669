//! Connections against real servers: who is let in by which `sslmode`, and what the pool does with what comes.

pub(super) mod cluster;
mod survey;

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

use super::super::StoreError;
use super::failure::{is_retryable, is_stale_connection, store_error};
use super::options::PostgresOptions;
use super::pool::{Connection, Figures, Pool};
use crate::clock::Deadline;
use cluster::{Cluster, certify, certify_itself, until};

/// Tells which connections are encrypted.
const ENCRYPTED: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// What comes of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    Encrypted,
    Plain,
    Refused,
}
use Comes::{Encrypted, Plain, Refused};

impl Cluster {
    /// Serves TLS with the certificate of that name.
    fn restart_with(&mut self, certificate: &str, more: &[(&str, &str)]) {
        let path = |kind: &str| self.path(&format!("{certificate}.{kind}")).display().to_string();
        let (crt, key) = (path("crt"), path("key"));
        let mut settings = vec![("ssl", "on"), ("ssl_cert_file", crt.as_str()), ("ssl_key_file", key.as_str())];
        settings.extend(more);
        self.restart(&settings);
    }

    /// Each row: the host, the parameters with `@` before the name of a certificate of ours, and what must come of it.
    #[track_caller]
    fn expect(&self, rows: &[(&str, &str, Comes)]) {
        for (host, parameters, expected) in rows {
            let parameters = parameters.replace("=@", &format!("={}/", self.path("").display()));
            let url = self.url_as(&format!("postgres@{host}"), &parameters);
            assert_eq!(what_comes(url), *expected, "{host} {parameters}");
        }
    }
}

fn what_comes(url: SecretString) -> Comes {
    block_on(async {
        let options = patient(url);
        assert_eq!(options.problems(), Vec::<String>::new());
        match Pool::primary(&options).unwrap().get().await {
            Ok(connection) if one(&connection, ENCRYPTED).await == "t" => Encrypted,
            Ok(_) => Plain,
            Err(StoreError::Unavailable(_)) => Refused,
            Err(error) => panic!("{error:?}"),
        }
    })
}

/// For a machine that has much else to do.
fn patient(url: SecretString) -> PostgresOptions {
    PostgresOptions { acquire_timeout: Duration::from_secs(20), ..PostgresOptions::new(url) }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}

/// The one value that a statement answers.
async fn one(connection: &Connection, statement: &str) -> String {
    let messages = connection.simple_query(statement).await.unwrap();
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.expect("the statement answers a row").to_owned()
}

#[test]
fn each_sslmode_lets_in_whom_it_should() {
    let mut cluster = Cluster::start();
    let dir = cluster.path("");
    certify_itself(&dir, "right", None);
    certify_itself(&dir, "wrong", None);
    certify(&dir, "server", "right", Some("DNS:localhost"));
    cluster.restart_with("server", &[]);
    cluster.expect(&[
        ("localhost", "", Encrypted),
        ("localhost", "sslmode=disable", Plain),
        ("localhost", "sslmode=allow", Encrypted),
        ("localhost", "sslmode=prefer", Encrypted),
        ("localhost", "sslmode=require", Encrypted),
        ("localhost", "sslmode=require&sslrootcert=@right.crt", Encrypted),
        ("localhost", "sslmode=require&sslrootcert=@wrong.crt", Refused),
        ("localhost", "sslmode=verify-ca&sslrootcert=@right.crt", Encrypted),
        ("localhost", "sslmode=verify-ca&sslrootcert=@wrong.crt", Refused),
        ("localhost", "sslmode=verify-full&sslrootcert=@right.crt", Encrypted),
        ("localhost", "sslmode=verify-full&sslrootcert=@wrong.crt", Refused),
        ("localhost", "sslmode=verify-full&sslrootcert=system", Refused),
        ("localhost", "sslrootcert=system", Refused),
        // Another name than the certificate's.
        ("127.0.0.1", "sslmode=require", Encrypted),
        ("127.0.0.1", "sslmode=require&sslrootcert=@right.crt", Encrypted),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=@right.crt", Encrypted),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=@wrong.crt", Refused),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=@right.crt", Refused),
        // The name is what counts, not how the server is found.
        ("localhost", "sslmode=verify-full&sslrootcert=@right.crt&hostaddr=127.0.0.1", Encrypted),
    ]);
    // Only names without TLS are let in, which `prefer` may do and the others may not.
    cluster.admit("hostnossl all all 127.0.0.1/32 trust\n");
    cluster.restart_with("server", &[]);
    cluster.expect(&[
        ("localhost", "", Plain),
        ("localhost", "sslmode=require", Refused),
        ("localhost", "sslmode=verify-full&sslrootcert=@right.crt", Refused),
    ]);
    cluster.admit("hostssl all all 127.0.0.1/32 trust\n");
    cluster.restart_with("server", &[]);
    cluster.expect(&[("localhost", "", Encrypted), ("localhost", "sslmode=disable", Refused)]);
}

#[test]
fn a_server_without_tls_is_used_only_where_that_is_allowed() {
    let cluster = Cluster::start();
    certify_itself(&cluster.path(""), "right", None);
    cluster.expect(&[
        ("localhost", "", Plain),
        ("localhost", "sslmode=disable", Plain),
        ("localhost", "sslmode=prefer", Plain),
        ("localhost", "sslmode=require", Refused),
        ("localhost", "sslmode=verify-ca&sslrootcert=@right.crt", Refused),
        ("localhost", "sslmode=verify-full&sslrootcert=@right.crt", Refused),
    ]);
    // A socket file has nothing to overhear, and no certificate.
    let dir = cluster.path("");
    let url = format!("postgres:///postgres?host={}&port={}&user=postgres", dir.display(), cluster.port);
    assert_eq!(what_comes(url.clone().into()), Plain);
    assert_eq!(what_comes(format!("{url}&sslmode=require").into()), Plain);
}

#[test]
fn certificates_that_postgres_users_make_are_taken() {
    let mut cluster = Cluster::start();
    let dir = cluster.path("");
    certify_itself(&dir, "itself", Some("DNS:localhost"));
    certify_itself(&dir, "other", None);
    cluster.restart_with("itself", &[]);
    cluster.expect(&[
        ("localhost", "sslmode=verify-full&sslrootcert=@itself.crt", Encrypted),
        ("localhost", "sslmode=verify-full&sslrootcert=@other.crt", Refused),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=@itself.crt", Refused),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=@itself.crt", Encrypted),
    ]);
    // Version 1: good for a secret talk, not for a proof.
    certify(&dir, "old", "other", None);
    cluster.restart_with("old", &[]);
    cluster.expect(&[
        ("localhost", "", Encrypted),
        ("localhost", "sslmode=require", Encrypted),
        ("localhost", "sslmode=verify-ca&sslrootcert=@other.crt", Refused),
        ("localhost", "sslmode=verify-full&sslrootcert=@other.crt", Refused),
    ]);
    // The handshake itself fails: `prefer` goes on without, as with libpq.
    cluster.restart_with("old", &[("ssl_max_protocol_version", "TLSv1.2")]);
    cluster.expect(&[("localhost", "", Plain), ("localhost", "sslmode=require", Refused)]);
    certify(&dir, "new", "other", Some("DNS:localhost"));
    cluster.restart_with("new", &[("ssl_max_protocol_version", "TLSv1.2")]);
    cluster.expect(&[("localhost", "sslmode=verify-full&sslrootcert=@other.crt", Encrypted)]);
}

#[test]
fn connections_are_lent_kept_and_closed() {
    let mut cluster = Cluster::start();
    // So that the server sees at once when nobody waits for a statement any more.
    cluster.restart(&[("client_connection_check_interval", "10")]);
    block_on(async {
        let mut options = PostgresOptions::new(cluster.url(""));
        options.pool_max = 3;
        options.acquire_timeout = Duration::from_secs(3);
        options.idle_timeout = Duration::ZERO;
        let pool = Pool::primary(&options).unwrap();
        let figures = |size, idle, waiting| Figures { max: 3, size, idle, waiting };
        assert_eq!(pool.figures(), figures(0, 0, 0));
        let lent = [pool.get().await.unwrap(), pool.get().await.unwrap(), pool.get().await.unwrap()];
        assert_eq!(pool.figures(), figures(3, 0, 0));
        let (late, ()) = tokio::join!(pool.get(), come_true(|| pool.figures() == figures(3, 0, 1)));
        assert_unavailable(late.map(drop), "");
        come_true(|| pool.figures() == figures(3, 0, 0)).await; // whoever gave up is not counted for long
        pool.trim();
        assert_eq!(pool.figures(), figures(3, 0, 0), "what is in use is nobody's to close");
        let [first, second, third] = lent;
        let served = one(&first, "SELECT pg_backend_pid()").await;
        tokio::time::timeout(Duration::from_millis(50), first.simple_query("SELECT pg_sleep(600)")).await.unwrap_err();
        first.discard();
        assert_eq!(pool.figures(), figures(2, 0, 0));
        until("end of the discarded one", || (!backends(&cluster).contains(&served)).then_some(()));
        let last = one(&third, "SELECT pg_backend_pid()").await;
        drop((second, third));
        assert_eq!(pool.figures(), figures(2, 2, 0));
        for _ in 0..3 {
            let again = one(&pool.get().await.unwrap(), "SELECT pg_backend_pid()").await;
            assert_eq!(again, last, "what was used last is used again, so that others may idle");
        }
        pool.trim();
        assert_eq!(pool.figures(), figures(1, 1, 0), "the smallest number stays");
        let (kept, idle) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        drop(idle);
        assert_eq!(pool.figures(), figures(2, 1, 0));
        pool.evict_all();
        assert_eq!(pool.figures(), figures(1, 0, 0));
        let old = one(&kept, "SELECT pg_backend_pid()").await;
        drop(kept);
        let fresh = one(&pool.get().await.unwrap(), "SELECT pg_backend_pid()").await;
        assert_ne!(old, fresh, "what was in use at an eviction is used once more");
        until("end of the evicted one", || (!backends(&cluster).contains(&old)).then_some(()));
        assert_eq!(pool.figures(), figures(1, 1, 0));
    });
}

#[test]
fn a_limit_of_the_server_is_waited_out() {
    let cluster = Cluster::start();
    cluster.psql("CREATE ROLE ada LOGIN CONNECTION LIMIT 1");
    block_on(async {
        let mut options = PostgresOptions::new(cluster.url_as("ada@127.0.0.1", ""));
        options.acquire_timeout = Duration::from_secs(3);
        let pool = Pool::primary(&options).unwrap();
        let held = pool.get().await.unwrap();
        assert_unavailable(pool.get().await.map(drop), "");
        let refusals = || fs::read_to_string(cluster.path("log")).unwrap().matches("too many connections").count();
        let before = refusals();
        assert!(before > 0);
        let (got, ()) = tokio::join!(pool.get(), async move {
            come_true(|| refusals() > before).await;
            drop(held);
        });
        got.expect("the one connection is given on");
    });
}

#[test]
fn a_server_that_goes_and_comes_back_is_noticed() {
    let mut cluster = Cluster::start();
    let pool = Pool::primary(&PostgresOptions::new(cluster.url(""))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let get = || runtime.block_on(pool.get());
    let in_use = runtime.block_on(in_the_end(&pool));
    let idle = runtime.block_on(in_the_end(&pool));
    drop(idle);
    cluster.stop();
    let error = runtime.block_on(in_use.simple_query("SELECT 1")).unwrap_err();
    assert!(is_stale_connection(&error) && matches!(store_error(&error), StoreError::Unavailable(_)), "{error:?}");
    drop(in_use);
    // That the idle one is gone as well is heard a moment later.
    let refused = until("refusal", || get().err());
    assert_unavailable(
        Err::<(), _>(refused),
        &format!("127.0.0.1:{}: error connecting to server: Connection ref", cluster.port),
    );
    cluster.restart(&[]);
    let back = until("connection", || get().ok());
    assert_eq!(runtime.block_on(one(&back, "SELECT 1")), "1");
    drop(back);
    // A server that says nothing at all, as if it were frozen.
    cluster.stop();
    let silent = TcpListener::bind(("127.0.0.1", cluster.port)).unwrap();
    let text = assert_unavailable(get().map(drop), "within 2000 ms");
    assert!(!text.contains("refused"), "{text}");
    drop(silent);
}

#[test]
fn a_server_that_refuses_is_not_met_by_all_at_once() {
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", refusing.local_addr().unwrap().port());
    let attempts = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&attempts);
    std::thread::spawn(move || refusing.incoming().for_each(|_| _ = counter.fetch_add(1, Ordering::SeqCst)));
    block_on(async {
        let pool = Pool::primary(&PostgresOptions::new(url.into())).unwrap();
        for _ in 0..1_000 {
            assert_unavailable(pool.get().await.map(drop), "");
        }
        let met = attempts.load(Ordering::SeqCst);
        assert!((1..300).contains(&met), "{met} attempts for a thousand requests");
        // It is tried again all the same.
        let deadline = Deadline::after(Duration::from_secs(30));
        while attempts.load(Ordering::SeqCst) == met {
            assert!(!deadline.passed(), "nobody tries again");
            assert_unavailable(pool.get().await.map(drop), "");
        }
    });
}

#[test]
fn another_host_is_found_behind_one_that_says_nothing_or_only_reads() {
    let (mut standby, cluster) = (Cluster::start(), Cluster::start());
    standby.restart(&[("default_transaction_read_only", "on")]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let hosts = [silent.local_addr().unwrap().port(), standby.port, cluster.port];
    let hosts = hosts.map(|port| format!("127.0.0.1:{port}")).join(",");
    let url = |parameters: &str| format!("postgres://postgres@{hosts}/postgres?connect_timeout=1&{parameters}").into();
    let port = "SELECT current_setting('port')";
    block_on(async {
        let mut options = PostgresOptions::new(url(""));
        options.acquire_timeout = Duration::from_millis(200);
        let pool = Pool::primary(&options).unwrap();
        // Nobody waits as long as the silent host takes, yet the attempt goes on.
        assert_unavailable(pool.get().await.map(drop), "within 200 ms");
        let found = in_the_end(&pool).await;
        assert_eq!(one(&found, port).await, cluster.port.to_string());
        // The host that was found is tried first from now on.
        let asked = || std::iter::repeat_with(|| silent.accept()).take_while(Result::is_ok).count();
        assert!(asked() > 0);
        let mut lent = vec![found];
        while lent.len() < options.pool_max {
            lent.push(in_the_end(&pool).await);
        }
        assert_eq!(asked(), 0, "the silent host is asked again");
        options.replica_url = Some(url("target_session_attrs=read-only"));
        let replica = Pool::replica(&options).unwrap().expect("a replica is named");
        assert_eq!(one(&in_the_end(&replica).await, port).await, standby.port.to_string());
        let only = patient(standby.url(""));
        assert_unavailable(Pool::primary(&only).unwrap().get().await.map(drop), "does not allow writes");
    });
}

#[test]
fn passwords_open_and_are_never_told() {
    let mut cluster = Cluster::start();
    cluster.psql("CREATE ROLE ada LOGIN PASSWORD 'right canary'");
    cluster.admit("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
    cluster.restart(&[]);
    let rows: [(&str, Option<&str>, bool); 7] = [
        ("ada:right%20canary@127.0.0.1", None, true),
        ("ada:wrong%20canary@127.0.0.1", None, false),
        ("ada:wrong%20canary@127.0.0.1", Some("right canary"), true),
        ("ada:right%20canary@127.0.0.1", Some("wrong canary"), false),
        ("ada@127.0.0.1", Some("right canary"), true),
        ("ada@127.0.0.1", None, false),
        ("eve:canary@127.0.0.1", None, false),
    ];
    for (authority, password, opens) in rows {
        let mut options = patient(cluster.url_as(authority, ""));
        options.password = password.map(SecretString::from);
        assert!(!format!("{options:?}").contains("canary"));
        let got = block_on(async { Pool::primary(&options).unwrap().get().await.map(drop) });
        assert_eq!(got.is_ok(), opens, "{authority} {password:?} {got:?}");
        if !opens {
            assert!(!assert_unavailable(got, "").contains("canary"));
        }
        // A replica has a password of its own first.
        options.replica_url = Some(cluster.url_as("ada:right%20canary@127.0.0.1", ""));
        let replica = Pool::replica(&options).unwrap().unwrap();
        block_on(async { replica.get().await.map(drop) }).unwrap();
    }
}

#[test]
fn pgbouncer_may_stand_between() {
    let cluster = Cluster::start();
    let dir = cluster.path("");
    certify_itself(&dir, "right", None);
    certify(&dir, "server", "right", Some("DNS:localhost"));
    let bouncer = cluster.bouncer("server");
    let verified = format!("sslmode=verify-full&sslrootcert={}", cluster.path("right.crt").display());
    for parameters in ["", "sslmode=disable", "sslmode=require", &verified] {
        let url = format!("postgres://postgres@localhost:{}/postgres?{parameters}", bouncer.port);
        block_on(async {
            let pool = Pool::primary(&patient(url.into())).unwrap();
            let (mut first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
            let pid = "SELECT pg_backend_pid()";
            assert_eq!(one(&first, pid).await, one(&second, pid).await, "one connection behind serves both");
            let work = first.transaction().await.unwrap();
            let rows = work.query_typed("SELECT $1 + 1", &[(&41_i32, Type::INT4)]).await.unwrap();
            assert_eq!(rows[0].get::<_, i32>(0), 42);
            let waits = tokio::time::timeout(Duration::from_millis(50), second.simple_query(pid)).await;
            assert!(waits.is_err(), "two transactions at once on one connection");
            second.discard();
            work.commit().await.unwrap();
            drop(first);
            assert!(!one(&pool.get().await.unwrap(), pid).await.is_empty());
        });
    }
}

#[test]
fn each_sqlstate_means_what_it_should() {
    let cluster = Cluster::start();
    type Is = fn(&StoreError) -> bool;
    let unavailable: Is = |error| matches!(error, StoreError::Unavailable(_));
    let unexpected: Is = |error| matches!(error, StoreError::Unexpected(_));
    let io: Is = |error| matches!(error, StoreError::Io(_));
    let corrupt: Is = |error| matches!(error, StoreError::Corrupt(_));
    // State, meaning, whether to try again, whether the connection is not to be trusted.
    let rows: [(&str, Is, bool, bool); 24] = [
        ("53100", |error| matches!(error, StoreError::Full), false, false),
        ("53200", unavailable, false, false),
        ("53300", unavailable, false, false),
        ("57014", |error| matches!(error, StoreError::Interrupted), false, false),
        ("57P01", unavailable, false, true),
        ("57P02", unavailable, false, true),
        ("57P03", unavailable, false, true),
        ("25006", unavailable, false, true),
        ("25P03", unavailable, false, false),
        ("08006", unavailable, false, true),
        ("08P01", unavailable, false, true),
        ("28000", unavailable, false, false),
        ("28P01", unavailable, false, false),
        ("3D000", unavailable, false, false),
        ("55P03", unavailable, false, false),
        ("40001", unavailable, true, false),
        ("40P01", unavailable, true, false),
        ("58030", io, false, false),
        ("58P01", io, false, false),
        ("XX001", corrupt, false, false),
        ("XX002", corrupt, false, false),
        ("XX000", unexpected, false, false),
        ("23505", unexpected, true, false),
        ("42P01", unexpected, false, false),
    ];
    block_on(async {
        let pool = Pool::primary(&patient(cluster.url(""))).unwrap();
        let connection = pool.get().await.unwrap();
        for (state, means, again, stale) in rows {
            let raise = format!("DO $$ BEGIN RAISE 'canon' USING ERRCODE = '{state}', DETAIL = 'canary'; END $$");
            let error = connection.batch_execute(&raise).await.unwrap_err();
            let meant = store_error(&error);
            assert!(means(&meant), "{state}: {meant:?}");
            assert_eq!((is_retryable(&error), is_stale_connection(&error)), (again, stale), "{state}");
            let text = meant.to_string();
            assert!(!text.contains("canary"), "{text}");
            let told = text.contains("canon") && text.contains(&format!("SQLSTATE {state}"));
            assert!(told || matches!(meant, StoreError::Full | StoreError::Interrupted), "{text}");
        }
        let error = connection.batch_execute("SELECT 'canary'::int").await.unwrap_err();
        assert_eq!(store_error(&error).to_string(), "unexpected database error: a value was refused (SQLSTATE 22P02)");
        let error = connection.query_typed("SELECT 'canary'", &[]).await.unwrap()[0].try_get::<_, i64>(0).unwrap_err();
        assert!(matches!(store_error(&error), StoreError::Unexpected(text) if !text.contains("canary")));
        connection.batch_execute("SET statement_timeout = 1").await.unwrap();
        let error = connection.batch_execute("SELECT pg_sleep(60)").await.unwrap_err();
        assert!(matches!(store_error(&error), StoreError::Interrupted), "{error:?}");
    });
}

/// What the server knows of the connections of others.
fn backends(cluster: &Cluster) -> Vec<String> {
    let listed = cluster.psql("SELECT pid FROM pg_stat_activity WHERE application_name = 'tallybox'");
    listed.lines().map(str::to_owned).collect()
}

async fn come_true(is: impl Fn() -> bool) {
    let deadline = Deadline::after(Duration::from_secs(30));
    while !is() {
        assert!(!deadline.passed(), "it never comes true");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

async fn in_the_end(pool: &Pool) -> Connection {
    let deadline = Deadline::after(Duration::from_secs(30));
    while !deadline.passed() {
        if let Ok(connection) = pool.get().await {
            return connection;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    panic!("no connection within half a minute")
}

#[track_caller]
fn assert_unavailable(got: Result<(), StoreError>, part: &str) -> String {
    match got {
        Err(StoreError::Unavailable(text)) if text.contains(part) => text,
        other => panic!("{other:?} instead of an unavailable database: {part}"),
    }
}
