//! Throwaway PostgreSQL from Debian's programs: clusters, standbys, databases, a PgBouncer.
//!
//! The programs refuse to be run by root, so root runs them as `postgres`, and everybody else as themselves.

mod bouncer;
mod cluster;
mod crowd;
mod database;
pub(super) mod guard;
mod standby;
mod template;
mod tests;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::random::Random;

pub use bouncer::PgBouncer;
pub use cluster::{Cluster, Shutdown};
pub use crowd::Crowd;
pub use database::Database;
pub use standby::Replication;

/// The role under which the box works: one that may do nothing but what its own database needs.
pub const ROLE: &str = "tallybox";

/// The superuser of every cluster here: for the harness and the oracle, never for the box.
const SUPERUSER: &str = "postgres";

/// Where the server's programs are: those of the newest PostgreSQL that Debian has installed.
pub fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let major = |entry: &fs::DirEntry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
    let installed = versions.filter(|entry| entry.path().join("bin/initdb").exists());
    let newest = installed.max_by_key(major).expect("PostgreSQL is installed by tests/run: apt-get install postgresql");
    newest.path().join("bin")
}

/// One of the programs that any account may run, with nothing of the test's own environment.
fn client(name: &str) -> Command {
    quiet(Command::new(programs().join(name)))
}

/// One of the programs that refuse root, as [`client`].
fn server(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return quiet(Command::new(program));
    }
    // It becomes the program, so that the program's process is the child.
    let mut command = Command::new("setpriv");
    command.args(["--reuid", SUPERUSER, "--regid", SUPERUSER, "--init-groups"]).arg(program);
    quiet(command)
}

fn quiet(mut command: Command) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // The account's home may be closed to the server's account.
    command.env_clear().env("PATH", path).env("LC_ALL", "C.UTF-8").env("PGCONNECT_TIMEOUT", "5").current_dir("/");
    command.stdin(Stdio::null());
    command
}

/// A new folder under `parent` that belongs to the account of the programs, and is open to it alone.
fn folder(parent: &Path) -> PathBuf {
    let folder = tempfile::Builder::new().prefix("tallybox-").tempdir_in(parent).unwrap().keep();
    if rustix::process::geteuid().is_root() {
        let id = |which| stdout(Command::new("id").args([which, SUPERUSER])).trim().parse().unwrap();
        chown(&folder, Some(id("-u")), Some(id("-g"))).unwrap();
    }
    folder
}

/// A port that nobody listens on, below those that the kernel gives to connections.
pub(super) fn free_port() -> u16 {
    let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
    let mut random = Random::seeded(seed);
    let mut ports =
        std::iter::repeat_with(|| u16::try_from(random.between(20_000, 32_000)).expect("it is below 65536"));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("the search has no end")
}

/// Runs a program to its end, which must be a good one; what it said on standard output.
#[track_caller]
fn stdout(command: &mut Command) -> String {
    succeeded(command).unwrap_or_else(|said| panic!("{command:?}: {said}"))
}

/// As [`stdout`]; what it said on standard error where it failed, or said anything there.
fn succeeded(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    if status.success() && stderr.is_empty() {
        return Ok(String::from_utf8(stdout).unwrap());
    }
    Err(format!("{status}: {}", String::from_utf8_lossy(&stderr)))
}
