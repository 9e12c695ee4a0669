//! Versions and builds of an app, their statuses and rules, written once for every backend.

mod adoption;
mod change;
mod list;

use std::collections::HashMap;

use uuid::Uuid;

use super::directory::find_app;
use super::sql::{Row, Sql};
use super::{Result, StoreError};
use crate::model::{
    AppId, Destination, Judged, Millis, OTHER, Platform, Update, VersionNumber, VersionPolicy, VersionRule,
    VersionStatus,
};

pub(super) use adoption::{sessions, users};
pub(super) use change::{set_rule, set_status};
pub(super) use list::{version, versions};

/// Most versions, and most builds, that are read of one app. Strangers name versions, and an app has not so many.
const MOST: i64 = 10_000;

/// The newest build of the highest supported version above `number` that has a supported build on that platform. Of
/// versions of one number the one with the shortest name comes first: a release before its candidates. Those beyond the cap, which stand under one name, are no
/// place to move to.
pub(super) fn target(db: &dyn Sql, app: AppId, platform: Platform, number: VersionNumber) -> Result<Option<Update>> {
    let row = db.row(
        "SELECT v.name, b.number, b.uuid, v.created_at FROM versions v JOIN builds b ON b.version_id = v.id \
         WHERE v.app_id = $1 AND v.status = $2 AND (v.major, v.minor, v.patch) > ($3, $4, $5) \
         AND b.platform = $6 AND b.status = $2 AND v.name <> $7 \
         ORDER BY v.major DESC, v.minor DESC, v.patch DESC, length(v.name), v.name, b.number DESC LIMIT 1",
        &[
            app.0.into(),
            VersionStatus::Supported.as_str().into(),
            number.major.into(),
            number.minor.into(),
            number.patch.into(),
            platform.as_str().into(),
            OTHER.into(),
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

/// All that it takes to answer version checks of the app of that short name or UUID.
pub(super) fn policy(db: &dyn Sql, app: &str) -> Result<Option<VersionPolicy>> {
    let Some(app) = find_app(db, app)?.map(|app| app.id) else { return Ok(None) };
    let versions = db.rows(
        "SELECT name, status, notes, status_at FROM versions WHERE app_id = $1 AND status_at IS NOT NULL LIMIT $2",
        &[app.0.into(), MOST.into()],
    )?;
    let rows = db.rows(
        "SELECT b.status, b.notes, b.status_at, b.number, b.platform, v.name FROM versions v \
         JOIN builds b ON b.version_id = v.id WHERE v.app_id = $1 AND b.status_at IS NOT NULL LIMIT $2",
        &[app.0.into(), MOST.into()],
    )?;
    let mut builds: HashMap<String, Vec<_>> = HashMap::new();
    for row in &rows {
        if let Some(platform) = Platform::parse(&row.text(4)) {
            builds.entry(row.text(5)).or_default().push((row.int(3), platform, judged(row, 0)));
        }
    }
    Ok(Some(VersionPolicy {
        rules: rules(db, app)?,
        versions: versions.iter().map(|row| (row.text(0), judged(row, 1))).collect(),
        builds,
        newest: newest(db, app)?,
        newest_anywhere: newest_anywhere(db, app)?,
    }))
}

/// The highest supported version with a supported build, for each platform that has builds.
fn newest(db: &dyn Sql, app: AppId) -> Result<Vec<(Platform, Destination)>> {
    const BELOW_ALL: VersionNumber = VersionNumber { major: -1, minor: 0, patch: 0 };
    let platforms = db.rows(
        "SELECT DISTINCT b.platform FROM versions v JOIN builds b ON b.version_id = v.id WHERE v.app_id = $1",
        &[app.0.into()],
    )?;
    let mut found = Vec::new();
    for platform in platforms.iter().filter_map(|row| Platform::parse(&row.text(0))) {
        if let Some(update) = target(db, app, platform, BELOW_ALL)? {
            found.push((platform, Destination { version: update.version, build: Some(update.build) }));
        }
    }
    Ok(found)
}

/// The highest version that somebody has set as supported and of which no builds are known: where apps do not tell
/// their builds, nothing else says that a version has come out.
fn newest_anywhere(db: &dyn Sql, app: AppId) -> Result<Option<Destination>> {
    let row = db.row(
        "SELECT v.name FROM versions v WHERE v.app_id = $1 AND v.status = $2 AND v.status_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM builds b WHERE b.version_id = v.id) \
         ORDER BY v.major DESC, v.minor DESC, v.patch DESC, length(v.name), v.name LIMIT 1",
        &[app.0.into(), VersionStatus::Supported.as_str().into()],
    )?;
    Ok(row.map(|row| Destination { version: row.text(0), build: None }))
}

/// Status, notes and the time of the status, from three columns on.
fn judged(row: &Row, column: usize) -> Judged {
    Judged {
        // A status that this binary does not know must not lock anybody out.
        status: VersionStatus::parse(&row.text(column)).unwrap_or(VersionStatus::Supported),
        notes: row.some_text(column + 1),
        status_at: row.some_int(column + 2).map(Millis),
    }
}

fn damaged(what: &str) -> StoreError {
    StoreError::Unexpected(format!("a version's row has no valid {what}"))
}
