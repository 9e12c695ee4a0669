//! A throwaway PostgreSQL server, PgBouncer before it, and certificates for both.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use secrecy::SecretString;
use tempfile::TempDir;

use crate::clock::Deadline;

/// A server of its own on a free port of 127.0.0.1, killed and deleted with this value. Its superuser is `postgres`.
pub(super) struct Cluster {
    pub(super) port: u16,
    dir: TempDir,
    server: Option<Child>,
}

impl Cluster {
    /// A new one in which everybody is believed, running.
    pub(super) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        give_away(dir.path());
        let mut cluster = Self { port: 0, dir, server: None };
        let data = cluster.path("data");
        run(as_postgres(&newest("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--pgdata"])
            .arg(data));
        cluster.restart(&[]);
        cluster
    }

    /// Stops it at once if it runs, and starts it with these settings.
    pub(super) fn restart(&mut self, settings: &[(&str, &str)]) {
        self.stop();
        for _ in 0..20 {
            if self.port == 0 {
                self.port = free_port();
            }
            if self.try_start(settings) {
                return;
            }
            // Somebody else took the port meanwhile.
            self.port = 0;
        }
        panic!("PostgreSQL does not start: {}", fs::read_to_string(self.path("log")).unwrap());
    }

    /// Kills it as a crash would.
    pub(super) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            kill_process(Pid::from_child(&server), Signal::QUIT).unwrap();
            server.wait().unwrap();
        }
    }

    /// Who may connect how: the lines of `pg_hba.conf`, valid from the next start on.
    pub(super) fn admit(&self, lines: &str) {
        fs::write(self.path("data/pg_hba.conf"), lines).unwrap();
    }

    /// Where files for this server may lie.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its URL with these parameters.
    pub(super) fn url(&self, parameters: &str) -> SecretString {
        self.url_as("postgres@127.0.0.1", parameters)
    }

    /// The same for another user and host.
    pub(super) fn url_as(&self, authority: &str, parameters: &str) -> SecretString {
        format!("postgres://{authority}:{}/postgres?{parameters}", self.port).into()
    }

    /// What a statement answers as a superuser through the socket file, where everybody is believed.
    pub(super) fn psql(&self, statement: &str) -> String {
        let mut command = as_postgres(&newest("psql"));
        command.args(["-XAtq", "-d", "postgres", "-c", statement, "-p", &self.port.to_string(), "-h"]);
        run(command.arg(self.dir.path()))
    }

    fn try_start(&mut self, settings: &[(&str, &str)]) -> bool {
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = as_postgres(&newest("postgres"));
        command.arg("-D").arg(self.path("data"));
        let (port, socket) = (self.port.to_string(), self.dir.path().display().to_string());
        let own = [
            ("listen_addresses", "127.0.0.1"),
            ("port", port.as_str()),
            ("unix_socket_directories", socket.as_str()),
            ("fsync", "off"),
        ];
        for (name, value) in own.iter().chain(settings) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = command.spawn().unwrap();
        let up = || fs::read_to_string(self.path("log")).unwrap().contains("ready to accept connections");
        let started = until("server", || if up() { Some(true) } else { server.try_wait().unwrap().map(|_| false) });
        self.server = started.then_some(server);
        started
    }
}

/// A PgBouncer in transaction mode with one connection to its server.
pub(super) struct Bouncer {
    pub(super) port: u16,
    process: Child,
}

impl Cluster {
    /// A PgBouncer before this server, with TLS for who asks for it, with the certificate of that name.
    pub(super) fn bouncer(&self, certificate: &str) -> Bouncer {
        let (dir, port) = (self.dir.path().display(), free_port());
        let settings = format!(
            "[databases]\n* = host={dir} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {dir}/users\npool_mode = transaction\n\
             default_pool_size = 1\nclient_tls_sslmode = allow\nclient_tls_cert_file = {dir}/{certificate}.crt\n\
             client_tls_key_file = {dir}/{certificate}.key\n",
            self.port
        );
        fs::write(self.path("users"), "\"postgres\" \"\"\n").unwrap();
        fs::write(self.path("bouncer.ini"), settings).unwrap();
        let mut command = as_postgres(Path::new("/usr/sbin/pgbouncer"));
        command.arg(self.path("bouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let bouncer =
            Bouncer { port, process: command.spawn().expect("PgBouncer is started by setpriv, which util-linux has") };
        until("PgBouncer", || TcpStream::connect(("127.0.0.1", port)).ok());
        bouncer
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes `NAME.crt` and `NAME.key` that sign themselves, for this `subjectAltName` or none, and may sign others.
pub(in crate::store::postgres) fn certify_itself(dir: &Path, name: &str, names: Option<&str>) {
    let mut command = openssl(dir, "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2");
    command.args(["-subj", &format!("/CN={name}"), "-out", &format!("{name}.crt"), "-keyout", &format!("{name}.key")]);
    if let Some(names) = names {
        command.args(["-addext", &format!("subjectAltName={names}")]);
    }
    run(&mut command);
    give_away(&dir.join(format!("{name}.key")));
}

/// Makes `NAME.crt` and `NAME.key`, signed by `authority`; without a `subjectAltName` of version 1, as by the recipe in
/// PostgreSQL's manual.
pub(in crate::store::postgres) fn certify(dir: &Path, name: &str, authority: &str, names: Option<&str>) {
    let mut command = openssl(dir, "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -out request");
    run(command.args(["-subj", &format!("/CN={name}"), "-keyout", &format!("{name}.key")]));
    let mut command = openssl(dir, "x509 -req -in request -days 2 -CAcreateserial");
    command.args(["-CA", &format!("{authority}.crt"), "-CAkey", &format!("{authority}.key")]);
    command.args(["-out", &format!("{name}.crt")]);
    if let Some(names) = names {
        fs::write(dir.join("extensions"), format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n")).unwrap();
        command.args(["-extfile", "extensions"]);
    }
    run(&mut command);
    give_away(&dir.join(format!("{name}.key")));
}

/// Asks until there is an answer, for at most half a minute.
#[track_caller]
pub(super) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::after(Duration::from_secs(30));
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(!deadline.passed(), "no {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn openssl(dir: &Path, arguments: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(dir);
    command
}

/// A program, run as somebody whom PostgreSQL accepts, and stopped if this thread dies.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if rustix::process::geteuid().is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]);
    }
    command.arg(program).current_dir("/");
    command
}

fn newest(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed by tests/run");
    versions.map(|entry| entry.unwrap().path()).max().expect("PostgreSQL has a version").join("bin").join(program)
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a path PostgreSQL's own.
fn give_away(path: &Path) {
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if rustix::process::geteuid().is_root() {
        let number = |flag| run(Command::new("id").args([flag, "postgres"])).parse().unwrap();
        chown(path, Some(number("-u")), Some(number("-g"))).unwrap();
    }
}

/// Below the range from which the system takes ports for clients.
fn free_port() -> u16 {
    loop {
        let port = 20_000 + (getrandom::u32().unwrap() % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
