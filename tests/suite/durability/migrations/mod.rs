//! Goal R22, the part on migrations: a start that is killed while it migrates leaves the old schema or the new one, and
//! the next start goes on from there.

mod postgres;
mod sqlite;

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::harness::postgres::ROLE;
use crate::harness::random::Random;
use crate::harness::{Backend, Database, Server, kit};

/// What the migrations have made of a database, as its own program tells.
#[derive(Debug, PartialEq, Eq)]
struct Schema {
    /// Each migration that is remembered: number, name, hash.
    remembered: String,
    tables: String,
    /// How many rows each table has.
    rows: String,
}

/// What a database may be at any time: its schema before the first migration, after it, and so on. Made by the engine's
/// own program from the files in `migrations/`.
struct Steps(Vec<Schema>);

impl Schema {
    #[track_caller]
    fn of(database: &Database) -> Self {
        let names = match database {
            Database::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
            Database::Postgres(_) => {
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                                      AND relkind IN ('r', 'p') AND NOT relispartition"
            }
        };
        let names = database.sql(&format!("{names} ORDER BY 1"));
        // The others are filled by the program, in transactions of their own.
        let counted = names.lines().filter(|name| {
            !["migrations", "jobs", "nodes", "organizations", "setup_tokens", "trusted_clock"].contains(name)
        });
        let counts: Vec<_> = counted.map(|name| format!("SELECT '{name}', count(*) FROM {name}")).collect();
        let is_new = !names.lines().any(|name| name == "migrations");
        let remembered = "SELECT number, name, sha256 FROM migrations ORDER BY number";
        Self {
            remembered: if is_new { String::new() } else { database.sql(remembered) },
            tables: database.schema(),
            rows: if counts.is_empty() { String::new() } else { database.sql(&counts.join(" UNION ALL ")) },
        }
    }
}

impl Steps {
    /// Steps to the newest schema, worked out in `folder`.
    #[track_caller]
    fn to_newest(backend: Backend, folder: &Path) -> Self {
        let (kind, role) = match backend {
            Backend::Sqlite => ("sqlite", String::new()),
            Backend::Postgres => ("postgres", format!("SET ROLE {ROLE};")),
        };
        let database = Database::create(backend, folder);
        // The program makes it, and migrations may change it.
        let columns = "number BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL";
        database.alter(&format!("{role} CREATE TABLE migrations ({columns})"));
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
        let mut files: Vec<_> = fs::read_dir(files).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty());
        let (mut steps, mut remembered) = (vec![Schema::of(&database)], String::new());
        for (file, number) in files.iter().zip(1..) {
            let statements = fs::read_to_string(file).unwrap();
            database.alter(&format!("{role}\n{statements}"));
            let (name, hash) = (file.file_name().unwrap().display(), hex::encode(Sha256::digest(&statements)));
            remembered.push_str(&format!("{number}|{name}|{hash}\n"));
            steps.push(Schema { remembered: remembered.clone(), ..Schema::of(&database) });
        }
        Self(steps)
    }

    /// Panics where a database is between two steps; how many migrations it has.
    #[track_caller]
    fn assert_one_of_them(&self, database: &Database) -> usize {
        let found = Schema::of(database);
        let at = self.0.iter().position(|step| *step == found);
        at.unwrap_or_else(|| panic!("it is none of {} steps: {found:#?}", self.0.len()))
    }

    /// Panics unless a plain start brings the database to the last step, and the box then counts an event once.
    #[track_caller]
    fn assert_start_completes(&self, server: &mut Server) {
        server.restart();
        assert_eq!(self.assert_one_of_them(server.database()), self.0.len() - 1);
        let (credentials, event) = (server.app("Survivor"), kit::event("a"));
        for _ in 0..2 {
            server.accept(&credentials, std::slice::from_ref(&event));
        }
        assert_eq!(server.count("SELECT count(*) FROM events"), 1);
        assert_eq!(server.count("SELECT sum(events) FROM rollup_days WHERE dimension = 0"), 1);
        assert_eq!(server.count("SELECT count(*) FROM organizations"), 1);
        server.crash();
    }
}

/// So many numbers from 1 to `all`, spread over the whole of it, each at random in its part; the first and the last too.
fn spread(all: u64, count: u64, random: &mut Random) -> Vec<u64> {
    let parts = (0..count).map(|part| (part * all / count + 1, (part + 1) * all / count));
    let mut chosen = vec![1, all];
    chosen.extend(parts.filter(|(low, high)| low <= high).map(|(low, high)| random.between(low, high)));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}
