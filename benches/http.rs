//! The box as its users meet it: a real server process over SQLite under load, from the same machine.
//!
//! `cargo bench --bench http -- [millions]` prints a table and writes `target/bench/http.json`: events a second in
//! batches and their ratio to the floor of SQLite, single-event requests with their latencies, the rate of the last
//! million against the first, bytes an event, memory, and the overview page cold and warm over what was sent.

#[path = "floor/mod.rs"]
mod floor;
#[path = "rig/mod.rs"]
mod rig;

use std::path::Path;

use rig::traffic::Sender;
use rig::{Backend, Floor, measure};
use tallybox::store::Store;
use tallybox::store::sqlite::{Options, SqliteStore};

fn main() {
    measure::run("http", &Sqlite);
}

/// The file in the server's own directory.
struct Sqlite;

impl Backend for Sqlite {
    fn floor(&self, directory: &Path, _senders: &[Sender]) -> Floor {
        Floor { grouped: floor::measure(directory), bulk: None }
    }

    fn senders(&self) -> usize {
        8
    }

    fn open(&self, directory: &Path) -> Box<dyn Store> {
        Box::new(SqliteStore::open(&directory.join("tallybox.db"), Options::default()).expect("the database opens"))
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Bytes written to the disk, the log and what is written back counted each.
    fn used(&self, server: u32) -> Vec<(&'static str, f64)> {
        let io = std::fs::read_to_string(format!("/proc/{server}/io")).expect("the server runs");
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("the kernel tells");
        vec![("written_bytes", line.parse().expect("a number"))]
    }

    /// Its log included.
    fn size(&self, directory: &Path) -> f64 {
        let size = |name: &str| std::fs::metadata(directory.join(name)).map_or(0, |file| file.len());
        (size("tallybox.db") + size("tallybox.db-wal")) as f64
    }

    fn account(&self, _events: usize) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}
