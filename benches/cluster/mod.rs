//! A PostgreSQL server for one run: Debian's programs, a temporary folder, a free port, gone when it is dropped.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

/// The role under which the box works, which may do nothing but what its own database needs.
const ROLE: &str = "tallybox";
/// The account of the programs, which refuse root, and the superuser.
const SUPERUSER: &str = "postgres";
/// What is not as it comes.
const SETTINGS: [&str; 6] = [
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "synchronous_commit=on",
    "fsync=on",
    "autovacuum=on",
    "listen_addresses=127.0.0.1",
];
/// What is told of the server.
const TOLD: [&str; 8] = [
    "server_version",
    "shared_buffers",
    "max_wal_size",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "autovacuum",
    "checkpoint_timeout",
];

/// A running server.
pub struct Cluster {
    process: Child,
    port: u16,
    /// Removed after the process has ended.
    _home: tempfile::TempDir,
}

impl Cluster {
    /// A server that accepts connections. Its settings are printed.
    pub fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        if rustix::process::geteuid().is_root() {
            chown(home.path(), Some(number("-u")), Some(number("-g"))).expect("the folder is given away");
        }
        let (programs, data) = (programs(), home.path().join("data"));
        let mut initdb = server(&programs.join("initdb"));
        initdb.args(["--encoding=UTF8", "--locale=C.UTF-8", "--auth=trust", "--no-sync", "--no-instructions"]);
        initdb.args(["--username", SUPERUSER, "--pgdata"]).arg(&data).stdout(Stdio::null());
        assert!(initdb.status().expect("initdb runs").success(), "initdb failed");

        let port = free_port();
        let log = home.path().join("log");
        let file = File::create(&log).expect("the log is made");
        let mut postgres = server(&programs.join("postgres"));
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "unix_socket_directories="]);
        postgres.args(SETTINGS.iter().flat_map(|setting| ["-c", setting])).stderr(file);
        let process = postgres.spawn().expect("PostgreSQL starts");
        let mut cluster = Self { process, port, _home: home };
        let session = cluster.wait(&log);
        for setting in TOLD {
            println!("{setting:<44} {:>14}", session.text(&format!("SHOW {setting}")));
        }
        session.run(&format!("CREATE ROLE {ROLE} LOGIN"));
        cluster
    }

    /// Makes an empty database that belongs to the box's role; its URL.
    pub fn create(&self, database: &str) -> String {
        self.superuser("postgres").run(&format!("CREATE DATABASE {database} OWNER {ROLE}"));
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// A connection that may do anything.
    pub fn superuser(&self, database: &str) -> Session {
        self.connect(database).unwrap_or_else(|error| panic!("PostgreSQL does not answer: {error}"))
    }

    /// Processor seconds used so far by all its processes, those that have ended included.
    pub fn cpu(&self) -> f64 {
        let first = self.process.id();
        let all = fs::read_dir("/proc").expect("the kernel tells").flatten();
        let stats = all.filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            // One may end meanwhile.
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let fields: Vec<i64> = stat.rsplit_once(") ")?.1.split(' ').skip(1).map_while(|n| n.parse().ok()).collect();
            (id == first || fields[0] == i64::from(first)).then(|| fields[10..14].iter().sum::<i64>())
        });
        stats.sum::<i64>() as f64 / 100.0
    }

    fn connect(&self, database: &str) -> Result<Session, tokio_postgres::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let address = format!("host=127.0.0.1 port={} user={SUPERUSER} dbname={database}", self.port);
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&address, NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        })?;
        Ok(Session { runtime, client })
    }

    fn wait(&mut self, log: &Path) -> Session {
        for _ in 0..600 {
            if let Ok(session) = self.connect("postgres") {
                return session;
            }
            if self.process.try_wait().expect("it is our child").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("PostgreSQL does not start: {}", fs::read_to_string(log).unwrap_or_default());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its files go with it, so nothing need be written back.
        _ = kill_process(Pid::from_child(&self.process), Signal::QUIT);
        _ = self.process.wait();
    }
}

/// A connection whose calls wait.
pub struct Session {
    pub runtime: Runtime,
    pub client: Client,
}

impl Session {
    /// Runs statements that answer nothing.
    pub fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// The only value of a question, as a text.
    pub fn text(&self, sql: &str) -> String {
        let rows = self.runtime.block_on(self.client.simple_query(sql)).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let value = rows.iter().find_map(|row| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        value.unwrap_or_else(|| panic!("{sql}: no answer")).to_owned()
    }

    /// The only value of a question, as a number.
    pub fn number(&self, sql: &str) -> f64 {
        self.text(sql).parse().unwrap_or_else(|_| panic!("{sql}: no number"))
    }
}

/// The programs of the newest PostgreSQL that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = versions.filter(|entry| entry.path().join("bin/initdb").exists());
    let newest = installed.max_by_key(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    newest.expect("PostgreSQL is installed: apt-get install postgresql").path().join("bin")
}

/// A program that ends with this one, whatever becomes of it, and is run as an account that it does not refuse.
fn server(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", SUPERUSER, "--regid", SUPERUSER, "--init-groups"]);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The account's home may be closed to the server's account.
    command.arg(program).env_clear().env("PATH", path).env("LC_ALL", "C.UTF-8").current_dir("/");
    command.stdin(Stdio::null());
    command
}

/// The number of the programs' account, or with `-g` of its group.
fn number(which: &str) -> u32 {
    let said = Command::new("id").args([which, SUPERUSER]).output().expect("id runs").stdout;
    String::from_utf8_lossy(&said).trim().parse().expect("PostgreSQL's package has made its account")
}

/// A port that nobody listens on, below those that the kernel gives to connections.
fn free_port() -> u16 {
    let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
    let first = 20_000 + u16::try_from(random % 12_000).expect("it is small");
    let free = (first..32_768).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("there is a free port")
}
