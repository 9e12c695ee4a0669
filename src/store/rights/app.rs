//! The erasure of an app with everything in it, table by table, some rows at a time.

use super::super::Result;
use super::super::sql::{Cell, Row, Sql};
use super::job::{Change, Job, Phase, Place, ROWS, Step, places};

/// The app's environments.
const ENVIRONMENTS: &str = "env_id IN (SELECT id FROM environments WHERE app_id = $1)";
/// The same, of those who are being erased already.
const LEAVING: &str = "env_id IN (SELECT -id FROM environments WHERE app_id = $1)";
const APP: &str = "app_id = $1";
const OF_DEVICES: &str = "device_id IN (SELECT id FROM devices WHERE env_id IN \
                          (SELECT id FROM environments WHERE app_id = $1))";
const OF_VERSIONS: &str = "version_id IN (SELECT id FROM versions WHERE app_id = $1)";
const OF_ENVIRONMENTS: &str = "environment_id IN (SELECT id FROM environments WHERE app_id = $1)";

/// A table: the columns that name its rows, an order in which an index has those that are the app's, and which they are.
type Share = (&'static str, &'static str, &'static str, &'static str);

/// What belongs to an app, in the order in which it goes: first what is most, last what the rest hangs on. What refers to
/// devices or versions stands before them.
const SHARES: [Share; 45] = [
    ("events", "env_id, claimed_at, event_id", "env_id, claimed_at, event_id", ENVIRONMENTS),
    ("sessions", "id", "env_id, started_at", ENVIRONMENTS),
    ("user_days", "env_id, day, user_id", "env_id, day, user_id", ENVIRONMENTS),
    ("device_days", "env_id, day, device_id", "env_id, day, device_id", ENVIRONMENTS),
    ("push_tokens", "id", "env_id, platform, token", ENVIRONMENTS),
    ("device_sessions", "id", "device_id, id", OF_DEVICES),
    ("device_sessions", "id", "id", OF_VERSIONS),
    ("devices", "id", "env_id, install_id", ENVIRONMENTS),
    ("devices", "id", "env_id, install_id", LEAVING),
    ("profiles", "id", "env_id, hash", ENVIRONMENTS),
    ("profiles", "id", "env_id, hash", LEAVING),
    ("links", "id", "env_id, hash", ENVIRONMENTS),
    ("links", "id", "env_id, hash", LEAVING),
    ("users", "id", "env_id, hash", ENVIRONMENTS),
    ("users", "id", "env_id, hash", LEAVING),
    ("set_aside", "id", "app_id, id", APP),
    ("error_groups", "env_id, error_id", "env_id, error_id", ENVIRONMENTS),
    ("rollup_hours", "env_id, dimension, bucket, value", "env_id, dimension, bucket, value", ENVIRONMENTS),
    ("rollup_days", "env_id, dimension, bucket, value", "env_id, dimension, bucket, value", ENVIRONMENTS),
    ("intake_days", "app_id, day, outcome", "app_id, day, outcome", APP),
    ("erased_days", "env_id, day", "env_id, day", ENVIRONMENTS),
    ("settled_days", "env_id, day", "env_id, day", ENVIRONMENTS),
    (
        "settled_events",
        "env_id, day, name_id, failed, token, part",
        "env_id, day, name_id, failed, token, part",
        ENVIRONMENTS,
    ),
    ("settled_late", "env_id, day, claimed, event", "env_id, day, claimed, event", ENVIRONMENTS),
    ("settled_columns", "env_id, day, token, prop, part", "env_id, day, token, prop, part", ENVIRONMENTS),
    ("settled_counts", "env_id, next_day, first_day, kind", "env_id, next_day, first_day, kind", ENVIRONMENTS),
    ("settled_sets", "env_id, kind, day", "env_id, kind, day", ENVIRONMENTS),
    ("settled_sessions", "env_id, day", "env_id, day", ENVIRONMENTS),
    ("settled_lengths", "env_id, day, fact", "env_id, day, fact", ENVIRONMENTS),
    ("settled_changes", "env_id, day, facts_id, class", "env_id, day, facts_id, class", ENVIRONMENTS),
    ("funnels", "id", "env_id, name", ENVIRONMENTS),
    ("builds", "id", "version_id, number", OF_VERSIONS),
    ("versions", "id", "app_id, name", APP),
    ("version_rules", "app_id, platform", "app_id, platform", APP),
    ("facts", "id", "app_id, digest", APP),
    ("strings", "id", "app_id, kind, text", APP),
    ("nonces", "at, app_id, value", "at, app_id, value", APP),
    ("api_tokens", "id", "id", APP),
    ("app_limits", "app_id", "app_id", APP),
    ("bans", "id", "app_id, kind, hash", APP),
    ("client_orders", "id", "app_id, id", APP),
    ("keeping", "env_id, kind", "env_id, kind", ENVIRONMENTS),
    ("visitor_salts", "app_id, day", "app_id, day", APP),
    ("ingest_keys", "id", "id", OF_ENVIRONMENTS),
    ("environments", "id", "id", APP),
];

/// The next rows of the first table that has any, from where the erasure is. At the end it begins anew, in case that
/// something has come meanwhile; only when nothing is left anywhere, the app itself goes.
pub(super) fn everything(db: &dyn Sql, job: &Job) -> Result<Step> {
    let begin = usize::try_from(job.place.key).unwrap_or(0).min(SHARES.len());
    let app = [Cell::Int(job.app)];
    for (at, (table, key, order, own)) in SHARES.iter().enumerate().skip(begin) {
        let sql = format!("SELECT {key} FROM {table} WHERE {own} ORDER BY {order} LIMIT {ROWS}");
        let rows = db.rows(&sql, &app)?;
        if !rows.is_empty() {
            let next = Place { phase: Phase::App, key: i64::try_from(at).unwrap_or(0) };
            return Ok(Step { changes: removal(table, key, rows), next });
        }
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

/// What removes rows that are named by these columns.
fn removal(table: &'static str, key: &str, rows: Vec<Row>) -> Vec<Change> {
    let columns: Vec<&str> = key.split(", ").collect();
    if columns == ["id"] {
        let sql = format!("DELETE FROM {table} WHERE id IN ({})", places(1, rows.len()));
        return vec![Change::removal(table, sql, rows.iter().map(|row| Cell::Int(row.int(0))).collect())];
    }
    let conditions = columns.iter().zip(1..).map(|(column, place)| format!("{column} = ${place}"));
    let sql = format!("DELETE FROM {table} WHERE {}", conditions.collect::<Vec<_>>().join(" AND "));
    rows.into_iter().map(|row| Change::removal(table, sql.clone(), row.0.into_iter().map(param).collect())).collect()
}

/// A value as it is asked for: sixteen bytes in a key are a UUID in PostgreSQL.
fn param(cell: Cell) -> Cell {
    match cell {
        Cell::Bytes(bytes) => <[u8; 16]>::try_from(bytes.as_slice()).map_or(Cell::Bytes(bytes), Cell::Uuid),
        cell => cell,
    }
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
