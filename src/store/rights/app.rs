//! The erasure of an app with everything in it, table by table, some rows at a time.

use super::super::Result;
use super::super::sql::{Cell, Sql};
use super::job::{Change, Job, Phase, Place, Step};

/// Rows that are removed together.
const ROWS: i64 = 1_000;

/// The app's environments.
const ENVIRONMENTS: &str = "env_id IN (SELECT id FROM environments WHERE app_id = $1)";
/// The same, of those who are being erased already.
const LEAVING: &str = "env_id IN (SELECT -id FROM environments WHERE app_id = $1)";
const APP: &str = "app_id = $1";

/// A table, the columns that name its rows, and which of them are the app's.
type Share = (&'static str, &'static str, &'static str);

/// What belongs to an app, in the order in which it goes: first what is most, last what the rest hangs on. What refers to
/// devices or versions stands before them.
pub(super) const SHARES: [Share; 34] = [
    ("events", "env_id, claimed_at, event_id", ENVIRONMENTS),
    ("sessions", "id", ENVIRONMENTS),
    ("user_days", "env_id, day, user_id", ENVIRONMENTS),
    ("device_days", "env_id, day, device_id", ENVIRONMENTS),
    ("push_tokens", "id", ENVIRONMENTS),
    (
        "device_sessions",
        "id",
        "device_id IN (SELECT id FROM devices WHERE env_id IN \
                               (SELECT id FROM environments WHERE app_id = $1))",
    ),
    ("device_sessions", "id", "version_id IN (SELECT id FROM versions WHERE app_id = $1)"),
    ("devices", "id", ENVIRONMENTS),
    ("devices", "id", LEAVING),
    ("profiles", "id", ENVIRONMENTS),
    ("profiles", "id", LEAVING),
    ("users", "id", ENVIRONMENTS),
    ("users", "id", LEAVING),
    ("set_aside", "id", APP),
    ("error_groups", "env_id, error_id", ENVIRONMENTS),
    ("rollup_hours", "env_id, dimension, bucket, value", ENVIRONMENTS),
    ("rollup_days", "env_id, dimension, bucket, value", ENVIRONMENTS),
    ("intake_days", "app_id, day, outcome", APP),
    ("erased_days", "env_id, day", ENVIRONMENTS),
    ("settled_days", "env_id, day", ENVIRONMENTS),
    ("settled_events", "env_id, day, name_id, failed, token, part", ENVIRONMENTS),
    ("settled_counts", "env_id, next_day, first_day, kind", ENVIRONMENTS),
    ("funnels", "id", ENVIRONMENTS),
    ("builds", "id", "version_id IN (SELECT id FROM versions WHERE app_id = $1)"),
    ("versions", "id", APP),
    ("version_rules", "app_id, platform", APP),
    ("facts", "id", APP),
    ("strings", "id", APP),
    ("nonces", "at, app_id, value", APP),
    ("api_tokens", "id", APP),
    ("app_limits", "app_id", APP),
    ("bans", "id", APP),
    ("ingest_keys", "id", "environment_id IN (SELECT id FROM environments WHERE app_id = $1)"),
    ("environments", "id", APP),
];

/// The next rows of the first table that has any, from where the erasure is. At the end it begins anew, in case that
/// something has come meanwhile; only when nothing is left anywhere, the app itself goes.
pub(super) fn everything(db: &dyn Sql, job: &Job) -> Result<Step> {
    let begin = usize::try_from(job.place.key).unwrap_or(0).min(SHARES.len());
    let app = [Cell::Int(job.app)];
    for (at, (table, key, own)) in SHARES.iter().enumerate().skip(begin) {
        if db.row(&format!("SELECT 1 FROM {table} WHERE {own} LIMIT 1"), &app)?.is_none() {
            continue;
        }
        // The order lets the database find the next rows by the key.
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {own} ORDER BY {key} LIMIT {ROWS})"
        );
        let key = i64::try_from(at).unwrap_or(0);
        let next = Place { phase: Phase::App, key };
        return Ok(Step { changes: vec![Change::removal(table, sql, app.to_vec())], next });
    }
    if begin > 0 {
        return Ok(Step::on(Place { phase: Phase::App, key: 0 }));
    }
    let changes = vec![
        Change::removal("apps", "DELETE FROM apps WHERE id = $1", app.to_vec()),
        Change::silent("UPDATE directory SET version = version + 1", Vec::new()),
    ];
    Ok(Step { changes, next: Place::begin(Phase::Log) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backend::Backend;
    use crate::store::sqlite::{Options, SqliteStore};

    /// What stays of an app that is gone: who did what, and how much was erased.
    const KEPT: [&str; 2] = ["audit", "erasures"];

    #[test]
    fn every_table_that_belongs_to_apps_is_thought_of() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("test.db"), Options::default()).unwrap();
        let sql = "SELECT DISTINCT t.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' \
                   AND c.name IN ('app_id', 'env_id', 'environment_id', 'version_id', 'device_id', 'profile_id')";
        let tables = store.read(|db| db.rows(sql, &[])).unwrap();
        assert!(tables.len() > 20);
        for table in tables.iter().map(|row| row.text(0)) {
            let known = SHARES.iter().any(|(name, ..)| *name == table) || KEPT.contains(&table.as_str());
            assert!(known, "{table} is neither erased with its app nor kept on purpose");
        }
    }
}
