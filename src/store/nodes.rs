//! The processes that serve a database which several may serve.

use super::Result;
use super::sql::{Row, Sql};
use crate::model::{Millis, Node};

/// How long a node may say nothing before it drops out: several of its beats, in milliseconds.
const SILENCE: i64 = 2 * Millis::MINUTE;

/// Notes that a node is there, and forgets those that have long said nothing.
pub(super) fn beat(db: &dyn Sql, node: &Node) -> Result<()> {
    let sql = "INSERT INTO nodes (id, name, version, started_at, seen_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at";
    let row = [
        node.id.as_str().into(),
        node.name.as_str().into(),
        node.version.as_str().into(),
        node.started_at.0.into(),
        node.seen_at.0.into(),
    ];
    db.run(sql, &row)?;
    db.run("DELETE FROM nodes WHERE seen_at < $1", &[node.seen_at.plus(-SILENCE).0.into()])?;
    Ok(())
}

/// Forgets a node that stops.
pub(super) fn leave(db: &dyn Sql, id: &str) -> Result<()> {
    db.run("DELETE FROM nodes WHERE id = $1", &[id.into()])?;
    Ok(())
}

/// Those that have spoken of late, the oldest first.
pub(super) fn all(db: &dyn Sql) -> Result<Vec<Node>> {
    let read = |row: &Row| Node {
        id: row.text(0),
        name: row.text(1),
        version: row.text(2),
        started_at: Millis(row.int(3)),
        seen_at: Millis(row.int(4)),
    };
    let sql = "SELECT id, name, version, started_at, seen_at FROM nodes ORDER BY started_at, id LIMIT 100";
    Ok(db.rows(sql, &[])?.iter().map(read).collect())
}
