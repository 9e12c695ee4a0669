//! Versions and builds by their natural keys, and what is asked of those who run them.

use hashbrown::HashSet;
use quick_cache::unsync::Cache;
use uuid::Uuid;

use super::super::sql::{Row, Sql};
use super::super::{Result, StoreError, versions};
use super::uuid;
use crate::model::{
    AppId, Identify, Judged, Millis, Platform, Update, VersionInfo, VersionNumber, VersionStatus, born, decide,
};

/// How many builds are remembered.
const REMEMBERED: usize = 10_000;
/// For how long, in milliseconds (`teardown`, section 12).
const LIFE: i64 = 15 * Millis::MINUTE;

/// Rows of a version and of its build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BuildIds {
    pub(super) version: i64,
    pub(super) build: i64,
}

/// Remembers rows of versions and builds, never what is asked of them.
pub(in crate::store) struct VersionIds {
    builds: Cache<(AppId, String, i64, Platform), (BuildIds, Millis)>,
    started: HashSet<AppId>,
}

impl Default for VersionIds {
    fn default() -> Self {
        Self { builds: Cache::new(REMEMBERED), started: HashSet::new() }
    }
}

impl VersionIds {
    /// The rows of the version and build that an installation runs, made where they are not there.
    pub(super) fn find(&mut self, db: &dyn Sql, app: AppId, identify: &Identify, now: Millis) -> Result<BuildIds> {
        let key = (app, identify.version.clone(), identify.build, identify.platform);
        if let Some((ids, since)) = self.builds.get(&key)
            && (0..LIFE).contains(&now.since(*since))
        {
            return Ok(*ids);
        }
        let ids = find_or_make(db, app, identify, now)?;
        self.builds.insert(key, (ids, now));
        Ok(ids)
    }

    /// Notes the app's first session, where none is noted.
    pub(super) fn note_first_session(&mut self, db: &dyn Sql, app: AppId, now: Millis) -> Result<()> {
        if self.started.insert(app) {
            let sql = "UPDATE apps SET first_session_at = $1 WHERE id = $2 AND first_session_at IS NULL";
            db.run(sql, &[now.0.into(), app.0.into()])?;
        }
        Ok(())
    }
}

/// However many do so at once, on however many nodes, there is one row of each.
fn find_or_make(db: &dyn Sql, app: AppId, identify: &Identify, now: Millis) -> Result<BuildIds> {
    let number = VersionNumber::of(&identify.version);
    let find_version = "SELECT id FROM versions WHERE app_id = $1 AND name = $2";
    let find_build = "SELECT id FROM builds WHERE version_id = $1 AND number = $2 AND platform = $3";
    let version_key = [app.0.into(), identify.version.as_str().into()];
    let platform = identify.platform.as_str();
    let mut known_rules = None;
    let version = match db.row(find_version, &version_key)? {
        Some(row) => row.int(0),
        None => {
            let rules = known_rules.insert(versions::rules(db, app)?);
            let (judged, _) = born(rules, number, identify.platform);
            db.run(
                "INSERT INTO versions (app_id, uuid, name, major, minor, patch, status, notes, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (app_id, name) DO NOTHING",
                &[
                    app.0.into(),
                    Uuid::new_v4().as_bytes().into(),
                    identify.version.as_str().into(),
                    number.major.into(),
                    number.minor.into(),
                    number.patch.into(),
                    judged.status.as_str().into(),
                    judged.notes.as_deref().into(),
                    now.0.into(),
                ],
            )?;
            db.value(find_version, &version_key)?.int()
        }
    };
    let build_key = [version.into(), identify.build.into(), platform.into()];
    let build = match db.row(find_build, &build_key)? {
        Some(row) => row.int(0),
        None => {
            let rules = match known_rules {
                Some(rules) => rules,
                None => versions::rules(db, app)?,
            };
            let (_, judged) = born(&rules, number, identify.platform);
            db.run(
                "INSERT INTO builds (version_id, uuid, number, platform, status, notes, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (version_id, number, platform) DO NOTHING",
                &[
                    version.into(),
                    Uuid::new_v4().as_bytes().into(),
                    identify.build.into(),
                    platform.into(),
                    judged.status.as_str().into(),
                    judged.notes.as_deref().into(),
                    now.0.into(),
                ],
            )?;
            db.value(find_build, &build_key)?.int()
        }
    };
    Ok(BuildIds { version, build })
}

/// What is asked of those who run a build: read anew every time, so that a change is seen by the next who asks.
pub(super) fn judge(db: &dyn Sql, app: AppId, ids: BuildIds, identify: &Identify) -> Result<VersionInfo> {
    let row = db.row(
        "SELECT v.status, v.notes, v.status_at, b.status, b.notes, b.status_at, b.uuid, v.created_at \
         FROM builds b JOIN versions v ON v.id = b.version_id WHERE b.id = $1",
        &[ids.build.into()],
    )?;
    let row = row.ok_or_else(|| StoreError::Unexpected("a build is there and is not".to_owned()))?;
    let (version, build) = (judged(&row, 0), judged(&row, 3));
    let number = VersionNumber::of(&identify.version);
    let target = if Judged::of(&version, Some(&build)).status.offers_update() {
        versions::target(db, app, identify.platform, number)?
    } else {
        None
    };
    let own = Update {
        version: identify.version.clone(),
        build: identify.build,
        id: uuid(&row, 6),
        effective_at: Millis(row.int(7)),
        notes: None,
    };
    Ok(decide(&version, Some(&build), own, target))
}

fn judged(row: &Row, first: usize) -> Judged {
    Judged {
        status: VersionStatus::parse(&row.text(first)).unwrap_or(VersionStatus::Supported),
        notes: row.some_text(first + 1),
        status_at: row.some_int(first + 2).map(Millis),
    }
}
