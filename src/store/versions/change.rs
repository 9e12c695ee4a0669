//! Setting statuses and rules, each in one transaction with its line in the account of who changed what.

use uuid::Uuid;

use super::super::audit::note;
use super::super::directory::changed;
use super::super::sql::Sql;
use super::super::{Result, StoreError};
use super::{judged, rules};
use crate::model::{
    AppId, Concerning, Fact, Judged, OTHER, Platform, SetRule, SetStatus, VersionChange, VersionNumber, VersionRule,
    VersionStatus, ruled,
};

/// Sets the status of a version and all its builds, or of one build. What it changed in truth.
pub(in crate::store) fn set_status(db: &dyn Sql, set: &SetStatus) -> Result<Vec<VersionChange>> {
    set.check().map_err(|problem| StoreError::Unexpected(problem.to_string()))?;
    if set.version == OTHER {
        return Err(StoreError::NotFound("version")); // many, beyond the cap, of which nobody can say anything
    }
    changed(db)?; // so that one comes after the other, and version checks look anew
    let wanted = Judged { status: set.status, notes: set.notes.clone(), status_at: Some(set.by.at) };
    let of =
        |build| move |from| VersionChange { app: set.app, version: set.version.clone(), build, from, to: set.status };
    let (changes, action, subject, before) = match set.build {
        Some((number, platform)) => {
            let row = db.row(
                "SELECT b.id, b.status, b.notes, b.status_at FROM versions v JOIN builds b ON b.version_id = v.id \
                 WHERE v.app_id = $1 AND v.name = $2 AND b.number = $3 AND b.platform = $4",
                &[set.app.0.into(), set.version.as_str().into(), number.into(), platform.as_str().into()],
            )?;
            let row = row.ok_or(StoreError::NotFound("build"))?;
            let before = judged(&row, 1);
            put(db, Table::Builds, row.int(0), &before, &wanted)?;
            let change = (before.status != set.status).then(|| of(set.build)(before.status));
            let subject = format!("{}, build {number} on {}", set.version, platform.as_str());
            (change.into_iter().collect::<Vec<_>>(), "build.status", subject, before)
        }
        None => {
            let (id, before) = find_or_create(db, set)?;
            put(db, Table::Versions, id, &before, &wanted)?;
            let own = (before.status != set.status).then(|| of(None)(before.status));
            let builds = cascade(db, id, &wanted)?.into_iter().map(|(build, from)| of(Some(build))(from));
            (own.into_iter().chain(builds).collect(), "version.status", set.version.clone(), before)
        }
    };
    if !changes.is_empty() || !is_same(&before, &wanted) {
        let builds = changes.iter().filter(|change| change.build.is_some() && set.build.is_none()).count();
        let detail = told(&before, &wanted, builds);
        note(db, &set.by, Concerning::App(set.app), (action, &subject, &detail))?;
    }
    Ok(changes)
}

/// Puts a rule in the place of the one of its platform, and moves what is there: versions by the rule for all
/// platforms, builds by that of their own. What it changed in truth.
pub(in crate::store) fn set_rule(db: &dyn Sql, set: &SetRule) -> Result<Vec<VersionChange>> {
    set.check().map_err(|problem| StoreError::Unexpected(problem.to_string()))?;
    changed(db)?;
    let rule = &set.rule;
    let before = rules(db, set.app)?.into_iter().find(|old| old.platform == rule.platform);
    let asked =
        |rule: &VersionRule| [&rule.required, &rule.recommended, &rule.notes, &rule.store_url].map(Clone::clone);
    let (was, is) = (before.as_ref().map(asked).unwrap_or_default(), asked(rule));
    if was == is {
        return Ok(Vec::new());
    }
    let platform = rule.platform.map_or("", Platform::as_str);
    db.run("DELETE FROM version_rules WHERE app_id = $1 AND platform = $2", &[set.app.0.into(), platform.into()])?;
    if is.iter().any(Option::is_some) {
        let [required, recommended, notes, store_url] = is.each_ref().map(|text| text.as_deref().into());
        db.run(
            "INSERT INTO version_rules (app_id, platform, required, recommended, notes, store_url, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[set.app.0.into(), platform.into(), required, recommended, notes, store_url, rule.updated_at.0.into()],
        )?;
    }
    let changes = apply(db, set.app, before.as_ref(), rule)?;
    let subject = if platform.is_empty() { "all platforms" } else { platform };
    let detail = rule_told(&was, &is, changes.len());
    note(db, &set.by, Concerning::App(set.app), ("version.rule", subject, &detail))?;
    Ok(changes)
}

/// Which table a status stands in.
#[derive(Clone, Copy)]
enum Table {
    Versions,
    Builds,
}

/// Row of the version, with what it was judged by hand or rule. One that is known only from events and sessions gets
/// its row here.
fn find_or_create(db: &dyn Sql, set: &SetStatus) -> Result<(i64, Judged)> {
    let find = || -> Result<Option<(i64, Judged)>> {
        let row = db.row(
            "SELECT id, status, notes, status_at FROM versions WHERE app_id = $1 AND name = $2",
            &[set.app.0.into(), set.version.as_str().into()],
        )?;
        Ok(row.map(|row| (row.int(0), judged(&row, 1))))
    };
    if let Some(found) = find()? {
        return Ok(found);
    }
    let counted = db.row(
        "SELECT id FROM strings WHERE app_id = $1 AND kind = $2 AND text = $3",
        &[set.app.0.into(), Fact::Version.name().into(), set.version.as_str().into()],
    )?;
    if counted.is_none() {
        return Err(StoreError::NotFound("version"));
    }
    let number = VersionNumber::of(&set.version);
    let everywhere = rules(db, set.app)?.into_iter().find(|rule| rule.platform.is_none());
    let by_rule = everywhere.zip(VersionNumber::read(&set.version)).map(|(rule, number)| rule.judge(number));
    let born = by_rule.unwrap_or(Judged::SUPPORTED);
    // An installation may name it at this very moment.
    db.run(
        "INSERT INTO versions (app_id, uuid, name, major, minor, patch, status, notes, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        &[
            set.app.0.into(),
            Uuid::new_v4().as_bytes().into(),
            set.version.as_str().into(),
            number.major.into(),
            number.minor.into(),
            number.patch.into(),
            born.status.as_str().into(),
            born.notes.as_deref().into(),
            set.by.at.0.into(),
        ],
    )?;
    find()?.ok_or(StoreError::NotFound("version"))
}

/// Gives all builds of a version its status; those that have it already are not touched. The version's notes are to
/// speak, so those of the builds that it changes end.
fn cascade(db: &dyn Sql, version: i64, wanted: &Judged) -> Result<Vec<((i64, Platform), VersionStatus)>> {
    let rows = db.rows(
        "SELECT id, status, notes, status_at, number, platform FROM builds WHERE version_id = $1 AND status <> $2 \
         ORDER BY number DESC, platform",
        &[version.into(), wanted.status.as_str().into()],
    )?;
    let wanted = Judged { notes: None, ..wanted.clone() };
    let mut moved = Vec::new();
    for row in &rows {
        let before = judged(row, 1);
        put(db, Table::Builds, row.int(0), &before, &wanted)?;
        if let Some(platform) = Platform::parse(&row.text(5)) {
            moved.push(((row.int(4), platform), before.status));
        }
    }
    Ok(moved)
}

/// Moves what is there from one rule to the next.
fn apply(db: &dyn Sql, app: AppId, before: Option<&VersionRule>, rule: &VersionRule) -> Result<Vec<VersionChange>> {
    let (table, rows) = match rule.platform {
        None => {
            let sql = "SELECT id, status, notes, status_at, name, major, minor, patch FROM versions WHERE app_id = $1 \
                       ORDER BY id";
            (Table::Versions, db.rows(sql, &[app.0.into()])?)
        }
        Some(platform) => {
            let sql = "SELECT b.id, b.status, b.notes, b.status_at, v.name, v.major, v.minor, v.patch, b.number \
                       FROM versions v JOIN builds b ON b.version_id = v.id WHERE v.app_id = $1 AND b.platform = $2 \
                       ORDER BY b.id";
            (Table::Builds, db.rows(sql, &[app.0.into(), platform.as_str().into()])?)
        }
    };
    let mut changes = Vec::new();
    for row in rows.iter().filter(|row| row.text(4) != OTHER) {
        let number = VersionNumber { major: row.int(5), minor: row.int(6), patch: row.int(7) };
        let current = judged(row, 1);
        let was = before.map_or(VersionStatus::Supported, |before| before.status(number));
        let Some(wanted) = ruled(&current, was, &rule.judge(number)) else { continue };
        put(db, table, row.int(0), &current, &wanted)?;
        if current.status != wanted.status {
            let build = rule.platform.map(|platform| (row.int(8), platform));
            let version = row.text(4);
            changes.push(VersionChange { app, version, build, from: current.status, to: wanted.status });
        }
    }
    Ok(changes)
}

/// Whether setting the one over the other would be seen nowhere: the time is of interest only where the status changes,
/// or passes from a rule into somebody's hands.
fn is_same(before: &Judged, wanted: &Judged) -> bool {
    (before.status, &before.notes, before.is_by_hand()) == (wanted.status, &wanted.notes, wanted.is_by_hand())
}

fn put(db: &dyn Sql, table: Table, id: i64, before: &Judged, wanted: &Judged) -> Result<()> {
    if is_same(before, wanted) {
        return Ok(());
    }
    // New notes alone do not make the status younger.
    let kept = before.status_at.filter(|_| before.status == wanted.status && wanted.is_by_hand());
    let at = kept.or(wanted.status_at).map(|at| at.0);
    let sql = match table {
        Table::Versions => "UPDATE versions SET status = $1, notes = $2, status_at = $3 WHERE id = $4",
        Table::Builds => "UPDATE builds SET status = $1, notes = $2, status_at = $3 WHERE id = $4",
    };
    db.run(sql, &[wanted.status.as_str().into(), wanted.notes.as_deref().into(), at.into(), id.into()])?;
    Ok(())
}

/// What became of a status, in words.
fn told(before: &Judged, wanted: &Judged, builds: usize) -> String {
    let mut parts = Vec::new();
    if before.status != wanted.status {
        parts.push(format!("{} → {}", before.status.label(), wanted.status.label()));
    } else if !before.is_by_hand() {
        parts.push(format!("{}, whatever the rules", wanted.status.label()));
    }
    if before.notes != wanted.notes {
        parts.push(wanted.notes.as_ref().map_or("notes removed".to_owned(), |notes| format!("notes “{notes}”")));
    }
    if parts.is_empty() {
        parts.push(format!("still {}", wanted.status.label()));
    }
    match builds {
        0 => {}
        1 => parts.push("1 build with it".to_owned()),
        builds => parts.push(format!("{builds} builds with it")),
    }
    parts.join("; ")
}

/// What became of a rule, in words.
fn rule_told(was: &[Option<String>; 4], is: &[Option<String>; 4], changed: usize) -> String {
    let names = ["required", "recommended", "notes", "store"];
    let parts = names.iter().zip(was.iter().zip(is)).filter(|(_, (was, is))| was != is);
    let value = |text: &Option<String>| text.as_ref().map_or("nothing".to_owned(), |text| format!("“{text}”"));
    let mut parts: Vec<_> = parts.map(|(name, (was, is))| format!("{name}: {} → {}", value(was), value(is))).collect();
    match changed {
        0 => {}
        1 => parts.push("1 status changed".to_owned()),
        changed => parts.push(format!("{changed} statuses changed")),
    }
    parts.join("; ")
}
