//! A PgBouncer in transaction mode.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::guard::Guard;
use super::{Cluster, ROLE, SUPERUSER, folder, free_port, server};
use crate::harness::poll;

/// A PgBouncer in front of a cluster. Dropping it ends it.
pub struct PgBouncer {
    guard: Guard,
    port: u16,
}

impl PgBouncer {
    /// In front of `cluster`, in transaction mode: so many connections to the server for each database, and any number
    /// of clients in front of them.
    #[track_caller]
    pub fn before(cluster: &Cluster, connections: u32) -> Self {
        let mut bouncer = Self { guard: Guard::over(folder(&std::env::temp_dir())), port: free_port() };
        let home = bouncer.guard.folder().to_owned();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\nadmin_users = {SUPERUSER}\npool_mode = transaction\n\
             default_pool_size = {connections}\nmax_client_conn = 500\n",
            cluster.port(),
            bouncer.port,
            home.join("users").display(),
        );
        write(&home.join("users"), &format!("\"{ROLE}\" \"\"\n\"{SUPERUSER}\" \"\"\n"));
        write(&home.join("settings"), &settings);
        bouncer.guard.start(server(&program()).arg(home.join("settings")));
        poll::until(Duration::from_secs(10), "open port of PgBouncer", || {
            assert!(bouncer.guard.is_running(), "{}", bouncer.log());
            TcpStream::connect(("127.0.0.1", bouncer.port)).ok()
        });
        bouncer
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything that it has said so far.
    pub fn log(&self) -> String {
        self.guard.log()
    }
}

fn program() -> PathBuf {
    let places = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].map(PathBuf::from);
    places
        .into_iter()
        .find(|path| path.exists())
        .expect("PgBouncer is installed by tests/run: apt-get install pgbouncer")
}

/// A file that the server's account can read.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
