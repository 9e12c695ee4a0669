//! The box over PostgreSQL: a real server process and a throwaway cluster under load, from the same machine.
//!
//! `cargo bench --bench postgres -- [millions]` prints a table and writes `target/bench/postgres.json`: what `http` has
//! of SQLite, and as the floor a plain binary COPY of the first million's event rows into the same table, with the same
//! partitions, of another database of the same cluster.

#[path = "cluster/mod.rs"]
mod cluster;
#[path = "floor/postgres.rs"]
mod floor;
#[path = "rig/mod.rs"]
mod rig;

use std::path::Path;
use std::time::Duration;

use cluster::{Cluster, Session};
use rig::traffic::Sender;
use rig::{Backend, Floor, measure};
use tallybox::store::Store;
use tallybox::store::postgres::{PostgresOptions, PostgresStore};

/// The box's database.
const BOX: &str = "tallybox";
/// The one for the floor.
const BARE: &str = "bare";

fn main() {
    measure::run("postgres", &Postgres::start());
}

struct Postgres {
    cluster: Cluster,
    /// The box's database.
    url: String,
    /// In the box's database.
    superuser: Session,
}

impl Postgres {
    fn start() -> Self {
        let cluster = Cluster::start();
        let url = cluster.create(BOX);
        // The schema and its partitions are what the box makes of an empty database.
        drop(store(cluster.create(BARE)));
        let superuser = cluster.superuser(BOX);
        Self { cluster, url, superuser }
    }
}

impl Backend for Postgres {
    fn floor(&self, _directory: &Path, senders: &[Sender]) -> Floor {
        let (grouped, bulk) = floor::measure(&self.cluster, BARE, senders);
        self.superuser.run("CHECKPOINT");
        Floor { grouped, bulk: Some(bulk) }
    }

    /// As many as fill a commit of 2,000 events, which is what the floor's commits have, and one more.
    fn senders(&self) -> usize {
        32
    }

    fn open(&self, _directory: &Path) -> Box<dyn Store> {
        Box::new(store(self.url.clone()))
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        // Over PostgreSQL the box makes none by itself.
        vec![
            ("TALLYBOX_DATABASE_URL", self.url.clone()),
            ("TALLYBOX_SESSION_SECRETS", "a-secret-that-only-the-bench-has".to_owned()),
        ]
    }

    /// All that PostgreSQL does counts, also vacuuming and writing back.
    fn used(&self, _server: u32) -> Vec<(&'static str, f64)> {
        let log = self.superuser.number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')");
        vec![("postgres_cpu_us", self.cluster.cpu() * 1e6), ("postgres_log_bytes", log)]
    }

    fn size(&self, _directory: &Path) -> f64 {
        self.superuser.number("SELECT pg_database_size(current_database())")
    }

    fn account(&self, events: usize) -> Vec<(&'static str, f64)> {
        let stored = self.superuser.number("SELECT count(*) FROM events");
        assert_eq!(stored, events as f64, "what was acknowledged is there, once");
        let bare = self.cluster.superuser(BARE);
        let row = |session: &Session| {
            let sizes = "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits \
                         WHERE inhparent = 'events'::regclass";
            session.number(sizes) / session.number("SELECT count(*) FROM events")
        };
        let data = |session: &Session| session.number("SELECT avg(pg_column_size(e)) FROM events e");
        // The floor is of the same rows: these say so.
        vec![
            ("events_row_bytes", data(&self.superuser)),
            ("floor_row_bytes", data(&bare)),
            ("events_bytes_per_row_and_index", row(&self.superuser)),
            ("floor_bytes_per_row_and_index", row(&bare)),
        ]
    }
}

/// A store over a database, whose schema is up to date.
fn store(url: String) -> PostgresStore {
    let store = PostgresStore::open(&PostgresOptions::new(url.into())).expect("the URL is in order");
    store.wait(Duration::from_secs(30)).expect("the schema is made");
    store
}
