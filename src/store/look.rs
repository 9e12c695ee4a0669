//! A database that is only looked at: nothing in it is changed, its schema least of all.

use std::path::Path;
use std::time::Duration;

use super::migrate::{self, Migration};
use super::postgres::{self, PostgresHouse, PostgresOptions};
use super::sql::{Row, Sql};
use super::sqlite::{self, Looker};
use super::{Result, jobs, keeping};
use crate::model::{EnvironmentId, JobRun, Kept, Millis};

/// How long reading a whole database for damage may take, unless it is asked for by name.
const GLANCE: Duration = Duration::from_secs(30);

/// The newest time that a table tells of, where it is there.
const WRITES: [(&str, &str); 3] = [
    ("jobs", "SELECT max(ended_at) FROM jobs"),
    ("audit", "SELECT max(at) FROM audit"),
    ("nodes", "SELECT max(seen_at) FROM nodes"),
];

/// What is counted of each app: what it is called, and the statement behind the app's number.
const COUNTED: [(&str, &str); 4] = [
    ("events", "SELECT count(*) FROM events WHERE env_id IN (SELECT id FROM environments WHERE app_id = $1)"),
    ("users", "SELECT count(*) FROM users WHERE env_id IN (SELECT id FROM environments WHERE app_id = $1)"),
    ("sessions", "SELECT count(*) FROM sessions WHERE env_id IN (SELECT id FROM environments WHERE app_id = $1)"),
    (
        "in summaries",
        "SELECT coalesce(sum(events), 0) FROM rollup_days WHERE dimension = 0 \
         AND env_id IN (SELECT id FROM environments WHERE app_id = $1)",
    ),
];

/// A database, open to be looked at.
pub struct Look {
    db: Box<dyn Sql>,
    known: Vec<Migration>,
    kind: Kind,
}

enum Kind {
    Sqlite,
    Postgres,
}

/// How far the schema of a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStanding {
    /// What has run: number, name, when.
    pub applied: Vec<(i64, String, String)>,
    /// Names of what this program would run.
    pub pending: Vec<String>,
    /// The newest that this program knows.
    pub known: i64,
    /// Why this program cannot work with it, where it cannot.
    pub refused: Option<String>,
}

/// How much of a database is read for damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Its structure, for half a minute at the most.
    Quick,
    /// All of it, with what belongs together, however long that takes.
    Whole,
}

/// What is kept of one app: its short name, and counts by what they count.
pub type Census = Vec<(String, Vec<(&'static str, i64)>)>;

impl Look {
    /// A SQLite file, which must be there. Where nobody has it open, nothing is made beside it.
    pub fn sqlite(path: &Path) -> Result<Self> {
        let db = Box::new(Looker::open(path)?);
        Ok(Self { db, known: sqlite::known_migrations(), kind: Kind::Sqlite })
    }

    /// A database on a server that answers now.
    pub fn postgres(options: &PostgresOptions) -> Result<Self> {
        let db = Box::new(PostgresHouse::any(options)?);
        Ok(Self { db, known: postgres::known_migrations(), kind: Kind::Postgres })
    }

    /// Whether there is such a table.
    fn has(&self, table: &str) -> Result<bool> {
        let sql = match self.kind {
            Kind::Sqlite => "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1",
            Kind::Postgres => "SELECT count(*) FROM pg_class WHERE oid = to_regclass($1)",
        };
        Ok(self.db.value(sql, &[table.into()])?.int() > 0)
    }

    /// How far its schema is; without any where the box has never seen it.
    pub fn schema(&self) -> Result<SchemaStanding> {
        let mut applied = Vec::new();
        let mut told = Vec::new();
        if self.has("migrations")? {
            applied = migrate::applied(&*self.db, &self.known)?;
            let sql = "SELECT number, name, applied_at FROM migrations ORDER BY number";
            let tell = |row: &Row| (row.int(0), row.text(1), row.text(2));
            told = self.db.rows(sql, &[])?.iter().map(tell).collect();
        }
        let (pending, refused) = match migrate::pending(&self.known, &applied) {
            Ok(pending) => (pending.iter().map(|one| one.name.clone()).collect(), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        Ok(SchemaStanding { applied: told, pending, known: migrate::newest(&self.known), refused })
    }

    /// What is kept of each app, in the order of their short names.
    pub fn census(&self) -> Result<Census> {
        if !self.has("apps")? {
            return Ok(Census::new());
        }
        let mut all = Census::new();
        for app in self.db.rows("SELECT id, slug FROM apps ORDER BY slug, id", &[])? {
            let count = |(what, sql)| Ok((what, self.db.value(sql, &[app.int(0).into()])?.int()));
            all.push((app.text(1), COUNTED.into_iter().map(count).collect::<Result<_>>()?));
        }
        Ok(all)
    }

    /// How jobs stand; none where the schema knows none yet.
    pub fn jobs(&self) -> Result<Vec<JobRun>> {
        if self.has("jobs")? { jobs::all(&*self.db) } else { Ok(Vec::new()) }
    }

    /// The newest time that a running box has written down.
    pub fn last_write(&self) -> Result<Option<Millis>> {
        let mut newest = None;
        for (table, sql) in WRITES {
            if self.has(table)? {
                newest = newest.max(self.db.value(sql, &[])?.some_int());
            }
        }
        Ok(newest.map(Millis))
    }

    /// Short names of apps with the names of their time zones.
    pub fn zones(&self) -> Result<Vec<(String, String)>> {
        if !self.has("apps")? {
            return Ok(Vec::new());
        }
        let rows = self.db.rows("SELECT slug, zone FROM apps ORDER BY slug", &[])?;
        Ok(rows.iter().map(|row| (row.text(0), row.text(1))).collect())
    }

    /// When the oldest event occurred of those that are kept, as the box counts it.
    pub fn oldest_event(&self) -> Result<Option<Millis>> {
        if !self.has("events")? {
            return Ok(None);
        }
        let mut oldest: Option<Millis> = None;
        for environment in self.db.rows("SELECT id FROM environments", &[])? {
            let of = (EnvironmentId(environment.int(0)), Kept::Events);
            let found = keeping::oldest(&*self.db, of, Millis(i64::MAX))?;
            oldest = [oldest, found].into_iter().flatten().min();
        }
        Ok(oldest)
    }

    /// What is damaged in a SQLite file; `None` where nothing is. [`StoreError::Interrupted`](super::StoreError::Interrupted)
    /// where a glance was not enough to read it.
    pub fn damage(&self, path: &Path, depth: Depth) -> Result<Option<String>> {
        let limit = match depth {
            Depth::Quick => Some(GLANCE),
            Depth::Whole => None,
        };
        Looker::open(path)?.damage(limit)
    }

    /// What a PostgreSQL server says of itself.
    pub fn server(&self) -> Result<ServerFacts> {
        let sql = "SELECT current_setting('server_version_num')::int8, current_setting('fsync'), \
                   current_setting('synchronous_commit'), current_setting('full_page_writes'), \
                   current_setting('max_connections')::int8, pg_is_in_recovery()::int, \
                   (extract(epoch FROM clock_timestamp()) * 1000)::int8, \
                   (SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'async'), \
                   (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')), \
                   (SELECT count(*) FROM nodes), current_setting('server_version')";
        let sql =
            if self.has("nodes")? { sql.to_owned() } else { sql.replace("(SELECT count(*) FROM nodes)", "0::int8") };
        let row = self.db.row(&sql, &[])?.unwrap_or(Row(Vec::new()));
        Ok(ServerFacts {
            number: row.int(0),
            fsync: row.text(1),
            synchronous_commit: row.text(2),
            full_page_writes: row.text(3),
            max_connections: row.int(4),
            is_standby: row.int(5) != 0,
            now: Millis(row.int(6)),
            standbys: (row.int(7), row.int(8)),
            nodes: row.int(9),
            version: row.text(10),
        })
    }
}

/// See [`Look::server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Its version as a number, such as 150004.
    pub number: i64,
    /// The same as people write it.
    pub version: String,
    /// Its setting of that name.
    pub fsync: String,
    /// Its setting of that name, for this database and user.
    pub synchronous_commit: String,
    /// Its setting of that name.
    pub full_page_writes: String,
    /// Its setting of that name.
    pub max_connections: i64,
    /// Whether it only follows another.
    pub is_standby: bool,
    /// What time it is there.
    pub now: Millis,
    /// How many follow it, some time later and at once.
    pub standbys: (i64, i64),
    /// How many nodes have spoken of late.
    pub nodes: i64,
}
