//! Versions and builds by their natural keys, and what is asked of those who run them.

use hashbrown::HashSet;
use quick_cache::unsync::Cache;
use uuid::Uuid;

use super::super::sql::{Row, Sql};
use super::super::{Result, StoreError, directory, versions};
use super::uuid;
use crate::model::{
    AppId, Fact, Identify, Judged, Millis, OTHER, Platform, Update, VersionInfo, VersionNumber, VersionStatus, born,
    decide,
};

/// How many builds are remembered.
const REMEMBERED: usize = 10_000;
/// Most builds of a version, as whoever holds a key may name any; further ones count as number 0, and versions beyond
/// their own cap as [`OTHER`].
const BUILDS: i64 = 1_000;
/// For how long a build is remembered, in milliseconds (`teardown`, section 12).
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
    let maker = Maker { db, app, platform: identify.platform, number: VersionNumber::of(&identify.version), now };
    let version = match maker.version(&identify.version)? {
        Some(row) => row,
        None => maker.version(OTHER)?.ok_or_else(|| lost("version"))?,
    };
    let build = match maker.build(version, identify.build)? {
        Some(row) => row,
        None => maker.build(version, 0)?.ok_or_else(|| lost("build"))?,
    };
    Ok(BuildIds { version, build })
}

/// Finds or makes the rows of one installation's version and build. Nothing is made but with the directory's lock in
/// hand, which changes of rules take too: a row is born under the rules as they are, or is there when they change.
struct Maker<'a> {
    db: &'a dyn Sql,
    app: AppId,
    platform: Platform,
    number: VersionNumber,
    now: Millis,
}

impl Maker<'_> {
    /// The row of a version; `None` where it would be one too many. There is always room for [`OTHER`].
    fn version(&self, name: &str) -> Result<Option<i64>> {
        let find = || {
            let row = self
                .db
                .row("SELECT id FROM versions WHERE app_id = $1 AND name = $2", &[self.app.0.into(), name.into()])?;
            Ok::<_, StoreError>(row.map(|row| row.int(0)))
        };
        if let Some(row) = find()? {
            return Ok(Some(row));
        }
        let count = self.db.value("SELECT count(*) FROM versions WHERE app_id = $1", &[self.app.0.into()])?.int();
        if count >= Fact::Version.cardinality().into() && name != OTHER {
            return Ok(None);
        }
        directory::hold(self.db)?;
        // What stands for many has no number, and no rule judges it.
        let (number, judged) = match name {
            OTHER => (VersionNumber::default(), Judged::SUPPORTED),
            _ => (self.number, born(&versions::rules(self.db, self.app)?, self.number, self.platform).0),
        };
        self.db.run(
            "INSERT INTO versions (app_id, uuid, name, major, minor, patch, status, notes, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (app_id, name) DO NOTHING",
            &[
                self.app.0.into(),
                Uuid::new_v4().as_bytes().into(),
                name.into(),
                number.major.into(),
                number.minor.into(),
                number.patch.into(),
                judged.status.as_str().into(),
                judged.notes.as_deref().into(),
                self.now.0.into(),
            ],
        )?;
        find()
    }

    /// The row of a build; `None` where it would be one too many. There is always room for number 0.
    fn build(&self, version: i64, number: i64) -> Result<Option<i64>> {
        let find = || {
            let row = self.db.row(
                "SELECT id FROM builds WHERE version_id = $1 AND number = $2 AND platform = $3",
                &[version.into(), number.into(), self.platform.as_str().into()],
            )?;
            Ok::<_, StoreError>(row.map(|row| row.int(0)))
        };
        if let Some(row) = find()? {
            return Ok(Some(row));
        }
        let count = self.db.value("SELECT count(*) FROM builds WHERE version_id = $1", &[version.into()])?.int();
        if count >= BUILDS && number != 0 {
            return Ok(None);
        }
        directory::hold(self.db)?;
        let (_, judged) = born(&versions::rules(self.db, self.app)?, self.number, self.platform);
        self.db.run(
            "INSERT INTO builds (version_id, uuid, number, platform, status, notes, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (version_id, number, platform) DO NOTHING",
            &[
                version.into(),
                Uuid::new_v4().as_bytes().into(),
                number.into(),
                self.platform.as_str().into(),
                judged.status.as_str().into(),
                judged.notes.as_deref().into(),
                self.now.0.into(),
            ],
        )?;
        find()
    }
}

fn lost(what: &str) -> StoreError {
    StoreError::Unexpected(format!("a {what} is there and is not"))
}

/// What is asked of those who run a build: read anew in every commit, so that a change is seen by the next who asks.
pub(super) fn judge(db: &dyn Sql, app: AppId, ids: BuildIds, identify: &Identify) -> Result<VersionInfo> {
    let row = db.row(
        "SELECT v.status, v.notes, v.status_at, b.status, b.notes, b.status_at, b.uuid, v.created_at \
         FROM builds b JOIN versions v ON v.id = b.version_id WHERE b.id = $1",
        &[ids.build.into()],
    )?;
    let row = row.ok_or_else(|| lost("build"))?;
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
