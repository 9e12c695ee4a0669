//! Versions and builds of an app, their statuses and rules, written once for every backend.

use uuid::Uuid;

use super::sql::Sql;
use super::{Result, StoreError};
use crate::model::{AppId, Millis, Platform, Update, VersionNumber, VersionRule, VersionStatus};

/// The newest build of the highest supported version above `number` that has a supported build on that platform. Of
/// versions of one number the one with the shortest name comes first: a release before its candidates.
pub(super) fn target(db: &dyn Sql, app: AppId, platform: Platform, number: VersionNumber) -> Result<Option<Update>> {
    let row = db.row(
        "SELECT v.name, b.number, b.uuid, v.created_at FROM versions v JOIN builds b ON b.version_id = v.id \
         WHERE v.app_id = $1 AND v.status = $2 AND (v.major, v.minor, v.patch) > ($3, $4, $5) \
         AND b.platform = $6 AND b.status = $2 \
         ORDER BY v.major DESC, v.minor DESC, v.patch DESC, length(v.name), v.name, b.number DESC LIMIT 1",
        &[
            app.0.into(),
            VersionStatus::Supported.as_str().into(),
            number.major.into(),
            number.minor.into(),
            number.patch.into(),
            platform.as_str().into(),
        ],
    )?;
    row.map(|row| {
        Ok(Update {
            version: row.text(0),
            build: row.int(1),
            id: row.array(2).map(Uuid::from_bytes).ok_or_else(|| damaged("id"))?,
            effective_at: Millis(row.int(3)),
            notes: None,
        })
    })
    .transpose()
}

/// The rules of an app, that of all platforms first.
pub(super) fn rules(db: &dyn Sql, app: AppId) -> Result<Vec<VersionRule>> {
    let rows = db.rows(
        "SELECT platform, required, recommended, notes, store_url, updated_at FROM version_rules WHERE app_id = $1 \
         ORDER BY platform",
        &[app.0.into()],
    )?;
    // A platform that this binary does not know has no builds here either.
    let known = rows.iter().filter_map(|row| {
        let platform = match row.text(0) {
            name if name.is_empty() => None,
            name => Some(Platform::parse(&name)?),
        };
        Some(VersionRule {
            platform,
            required: row.some_text(1),
            recommended: row.some_text(2),
            notes: row.some_text(3),
            store_url: row.some_text(4),
            updated_at: Millis(row.int(5)),
        })
    });
    Ok(known.collect())
}

fn damaged(what: &str) -> StoreError {
    StoreError::Unexpected(format!("a version's row has no valid {what}"))
}
