//! One database of a cluster: what the box is given, and how the oracle looks into it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use uuid::Uuid;

use super::{Cluster, ROLE, SUPERUSER, client, stdout, succeeded};

/// Where `tests/run` says which port its PostgreSQL listens on.
const SHARED: &str = "TEST_POSTGRES_PORT";

/// Two transactions, since a database cannot be made inside of one; whoever comes second finds the role there.
const MAKE_ROLE: &str = "DO $$ BEGIN CREATE ROLE tallybox LOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// A database; one on the shared server is dropped with it.
pub struct Database {
    port: u16,
    name: String,
    owned: bool,
}

impl Database {
    /// A new, empty database on the server that all tests share.
    #[track_caller]
    pub fn shared() -> Self {
        let mut database = Self::create(shared_port());
        database.owned = true;
        database
    }

    /// A new, empty database, which belongs to [`ROLE`].
    #[track_caller]
    pub(super) fn create(port: u16) -> Self {
        Self::create_in(port, "pg_default")
    }

    /// As [`Database::create`], with its files in that tablespace.
    #[track_caller]
    pub(super) fn create_in(port: u16, tablespace: &str) -> Self {
        let name = format!("t_{}", Uuid::new_v4().simple());
        let kind = format!("OWNER {ROLE} TEMPLATE template0 ENCODING 'UTF8' TABLESPACE {tablespace}");
        let make = format!("CREATE DATABASE {name} {kind}");
        stdout(Self::of_superuser(port).command("psql").args(["-q", "-c", MAKE_ROLE, "-c", &make]));
        Self { port, name, owned: false }
    }

    /// The one that every cluster has from the beginning.
    pub(super) fn of_superuser(port: u16) -> Self {
        Self { port, name: SUPERUSER.to_owned(), owned: false }
    }

    /// A copy of it as it is now; nobody may be connected to it.
    #[track_caller]
    pub fn copy(&self) -> Self {
        let name = format!("t_{}", Uuid::new_v4().simple());
        let make = format!("CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {}", self.name);
        stdout(Self::of_superuser(self.port).command("psql").args(["-q", "-c", &make]));
        Self { port: self.port, name, owned: true }
    }

    /// The database of the same name behind another port: on a standby, or through a bouncer.
    pub fn at(&self, port: u16) -> Self {
        Self { port, name: self.name.clone(), owned: false }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// As the box is told of it.
    pub fn url(&self) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{}", self.port, self.name)
    }

    /// The same database on two servers, of which the box is to take the one that can be written.
    pub fn url_with(&self, other: &Cluster) -> String {
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", self.port, other.port());
        format!("postgres://{ROLE}@{hosts}/{}?target_session_attrs=read-write", self.name)
    }

    /// What the plain `psql` program reads: rows as lines, columns divided by `|`. It cannot write.
    #[track_caller]
    pub fn sql(&self, query: &str) -> String {
        let read_only = "-c default_transaction_read_only=on -c statement_timeout=60s";
        let mut command = self.command("psql");
        command.args(["-At", "-v", "ON_ERROR_STOP=1", "-c", query]).env("PGOPTIONS", read_only);
        succeeded(&mut command).unwrap_or_else(|said| panic!("{query}: {said}"))
    }

    /// As [`Database::sql`], and it can write; what it complained of where it failed.
    pub fn try_psql(&self, statements: &str) -> Result<String, String> {
        let options = "-c client_min_messages=warning -c statement_timeout=60s";
        let mut command = self.command("psql");
        command.args(["-qAt", "-v", "ON_ERROR_STOP=1", "-c", statements]).env("PGOPTIONS", options);
        succeeded(&mut command)
    }

    /// Somebody else's transaction, in which the statements have run; it is rolled back when dropped.
    #[track_caller]
    pub fn hold(&self, statements: &str) -> Held {
        let mut command = self.command("psql");
        command.args(["-qAt", "-v", "ON_ERROR_STOP=1"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut held = Held(command.spawn().unwrap());
        let stdin = held.0.stdin.as_mut().expect("it is piped");
        stdin.write_all(format!("BEGIN; {statements}; SELECT 'held';\n").as_bytes()).unwrap();
        let mut said = String::new();
        BufReader::new(held.0.stdout.as_mut().expect("it is piped")).read_line(&mut said).unwrap();
        assert_eq!(said, "held\n", "{statements}");
        held
    }

    /// Everything in it, as text; binary columns in hexadecimal.
    #[track_caller]
    pub fn dump(&self) -> String {
        stdout(&mut self.command("pg_dump"))
    }

    /// What the box has made in it but the list of migrations and the months of events, as text.
    #[track_caller]
    pub fn schema(&self) -> String {
        let mut command = self.command("pg_dump");
        command.args(["--schema-only", "--schema=public", "--exclude-table=migrations", "--exclude-table=events_2*"]);
        // A line that begins so is for psql, and holds a random word.
        stdout(&mut command).lines().filter(|line| !line.starts_with('\\')).map(|line| format!("{line}\n")).collect()
    }

    /// Damage to its files, as PostgreSQL's own checker tells of it; empty where there is none.
    #[track_caller]
    pub fn damage(&self) -> String {
        let mut command = self.command("pg_amcheck");
        command.args(["--install-missing", "--heapallindexed"]).env("PGOPTIONS", "-c client_min_messages=warning");
        succeeded(&mut command).unwrap_or_else(|said| said)
    }

    /// A program that talks to this database as the superuser.
    fn command(&self, program: &str) -> std::process::Command {
        let mut command = client(program);
        if program == "psql" {
            command.arg("-X");
        }
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", SUPERUSER, "-d", &self.name]);
        command
    }
}

/// A transaction that goes on until this is dropped.
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        _ = self.0.wait();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.owned {
            _ = Self::of_superuser(self.port).try_psql(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// The server that `tests/run` holds for the whole run; by hand, one for this process.
fn shared_port() -> u16 {
    static OWN: OnceLock<Cluster> = OnceLock::new();
    match std::env::var(SHARED) {
        Ok(port) => port.parse().unwrap_or_else(|_| panic!("{SHARED} is no port: {port}")),
        Err(_) => OWN.get_or_init(|| Cluster::with().setting("max_connections", 200).start()).port(),
    }
}
