//! The beginning of an erasure: from here on, pages and SDKs find nobody any more, and who comes again is somebody new.

use uuid::Uuid;

use super::super::sql::{Cell, Row, Sql};
use super::super::{Result, StoreError, audit, directory, links};
use super::job::{Change, Phase, places};
use super::named;
use crate::model::{
    AppId, AskErasure, By, Concerning, EnvironmentId, ErasureKind, Millis, RowCounts, Subject, UserHash, Who,
};

/// Installations of a person whose ids are looked for in texts.
const INSTALLS: i64 = 100;

/// How long after its deletion an app is left alone, so that what was underway is written before.
const GRACE: i64 = 10 * Millis::SECOND;

/// Rows of whom an erasure is of.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    /// The pseudonym of a person, whatever name they were asked for by.
    pub(super) hash: Option<UserHash>,
    pub(super) user: Option<i64>,
    pub(super) profile: Option<i64>,
    pub(super) device: Option<i64>,
    /// What they are called, in all forms.
    pub(super) names: Vec<String>,
}

/// What an erasure begins with, worked out outside of its transaction: the sets that are looked through are small, and yet
/// commits should not wait for that.
pub(in crate::store) struct Beginning {
    roots: Roots,
    changes: Vec<Change>,
    set_aside: Vec<i64>,
}

/// Who is meant; `None` where there is nobody of that name.
pub(super) fn roots(db: &dyn Sql, subject: Subject) -> Result<Option<Roots>> {
    let environment = subject.environment.0;
    let profile = "SELECT id, uuid, identifier, email, name, hash FROM profiles ";
    let mut roots = Roots::default();
    let known = match subject.who {
        Who::User(hash) => {
            let hash = links::root(db, subject.environment, hash)?;
            roots.hash = Some(hash);
            let sql = "SELECT id FROM users WHERE env_id = $1 AND hash = $2";
            roots.user = db.row(sql, &[environment.into(), Cell::Uuid(hash.0)])?.map(|row| row.int(0));
            let sql = [profile, "WHERE env_id = $1 AND hash = $2 ORDER BY id DESC LIMIT 1"].concat();
            let known = db.row(&sql, &[environment.into(), (&hash.0).into()])?;
            roots.names.push(hash.to_string());
            if roots.user.is_none() && known.is_none() {
                return Ok(None);
            }
            known
        }
        Who::Device(id) => {
            let sql = "SELECT id, install_id, profile_id FROM devices WHERE env_id = $1 AND uuid = $2";
            let Some(row) = db.row(sql, &[environment.into(), id.as_bytes().into()])? else { return Ok(None) };
            (roots.device, roots.names) = (Some(row.int(0)), vec![row.text(1), id.to_string()]);
            nobody(db, &row)?
        }
    };
    if let Some(row) = &known {
        roots.profile = Some(row.int(0));
        roots.names.push(Uuid::from_bytes(row.array(1).unwrap_or_default()).to_string());
        roots.names.extend((2..5).filter_map(|column| row.some_text(column)));
        let hash = links::root(db, subject.environment, UserHash(row.array(5).unwrap_or_default()))?;
        roots.hash = Some(hash);
        let sql = "SELECT id FROM users WHERE env_id = $1 AND hash = $2";
        roots.user = roots.user.or(db.row(sql, &[environment.into(), Cell::Uuid(hash.0)])?.map(|row| row.int(0)));
        let sql = "SELECT install_id, uuid FROM devices WHERE profile_id = $1 ORDER BY id DESC LIMIT $2";
        for row in db.rows(sql, &[row.int(0).into(), INSTALLS.into()])? {
            roots.names.push(row.text(0));
            roots.names.push(Uuid::from_bytes(row.array(1).unwrap_or_default()).to_string());
        }
    }
    if let Some(hash) = roots.hash {
        let earlier = links::names(db, subject.environment, hash)?;
        roots.names.extend(earlier.into_iter().map(|(hash, _)| hash.to_string()));
    }
    Ok(Some(roots))
}

/// Whose a device is, where that is somebody whom nobody has named and who has no other: they go with it.
fn nobody(db: &dyn Sql, device: &Row) -> Result<Option<Row>> {
    let Some(profile) = device.some_int(2) else { return Ok(None) };
    db.row(
        "SELECT id, uuid, identifier, email, name, hash FROM profiles WHERE id = $1 AND identifier IS NULL \
         AND email IS NULL AND name IS NULL \
         AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.profile_id = $1 AND d.id <> $2)",
        &[profile.into(), device.int(0).into()],
    )
}

/// What an erasure begins with. [`StoreError::NotFound`] where there is nobody of that name.
pub(in crate::store) fn prepare(db: &dyn Sql, ask: &AskErasure) -> Result<Beginning> {
    let mut roots = roots(db, ask.subject)?.ok_or(StoreError::NotFound("person or device"))?;
    roots.names.extend(ask.names.iter().cloned());
    let place = (ask.app.0, ask.subject.environment.0);
    let changes = named::errors(db, place, &roots.names)?;
    let set_aside = named::set_aside(db, place, &roots.names)?;
    Ok(Beginning { roots, changes, set_aside })
}

/// Writes the erasure down, and takes the person or device out of their environment, where nothing finds them any more: the
/// number of the environment becomes negative, and everything that they are called by is replaced.
pub(in crate::store) fn begin(db: &dyn Sql, ask: &AskErasure, beginning: &Beginning) -> Result<Uuid> {
    let Beginning { roots, changes, set_aside } = beginning;
    let fresh = || *Uuid::new_v4().as_bytes();
    let name = fresh();
    leave_person(db, ask.subject.environment, (roots.user, roots.profile), name)?;
    let links = match roots.hash {
        Some(hash) => leave_names(db, ask.subject.environment, hash, name)?,
        None => 0,
    };
    if let Some(device) = roots.device {
        let sql = "UPDATE devices SET env_id = -env_id, install_id = $1, uuid = $2, name = '' \
                   WHERE id = $3 AND env_id = $4";
        let id = fresh();
        let install = format!("erased {}", Uuid::from_bytes(id));
        leave(db, sql, &[install.as_str().into(), (&id).into(), device.into(), ask.subject.environment.0.into()])?;
    }
    for change in changes {
        change.run(db)?;
    }
    let mut aside = 0;
    for rows in set_aside.chunks(100) {
        let sql = format!("DELETE FROM set_aside WHERE id IN ({})", places(1, rows.len()));
        aside += db.run(&sql, &rows.iter().copied().map(Cell::Int).collect::<Vec<_>>())?;
    }
    let id = Uuid::new_v4();
    let phase = if roots.device.is_some() { Phase::DeviceVisits } else { Phase::Events };
    let mut counts = RowCounts::default();
    counts.add("set_aside", aside);
    counts.add("links", links);
    let counts = counts.to_string();
    let new = New {
        id,
        app: ask.app,
        environment: Some(ask.subject.environment.0),
        kind: ask.subject.who.kind(),
        digest: ask.subject.who.digest(),
        roots: roots.clone(),
        phase,
        counts,
        by: &ask.by,
    };
    insert(db, &new)?;
    let action = format!("{}.erasing", new.kind.as_str());
    audit::note(db, &ask.by, Concerning::App(ask.app), (&action, &new.digest, "asked for"))?;
    Ok(id)
}

/// Takes the rows of somebody out of their environment, under a name that means nothing.
fn leave_person(
    db: &dyn Sql,
    environment: EnvironmentId,
    (user, profile): (Option<i64>, Option<i64>),
    name: [u8; 16],
) -> Result<()> {
    if let Some(user) = user {
        let sql = "UPDATE users SET env_id = -env_id, hash = $1 WHERE id = $2 AND env_id = $3";
        leave(db, sql, &[Cell::Uuid(name), user.into(), environment.0.into()])?;
    }
    if let Some(profile) = profile {
        let sql = "UPDATE profiles SET env_id = -env_id, hash = $1, uuid = $2, identifier = NULL, email = NULL, \
                   name = NULL WHERE id = $3 AND env_id = $4";
        let id = *Uuid::new_v4().as_bytes();
        leave(db, sql, &[(&name).into(), (&id).into(), profile.into(), environment.0.into()])?;
    }
    Ok(())
}

/// Forgets the earlier names of somebody; how many. Where rows of one are still there they leave, too, and stand in a row
/// of links behind the name: they are erased one after the other.
fn leave_names(db: &dyn Sql, environment: EnvironmentId, hash: UserHash, name: [u8; 16]) -> Result<u64> {
    let earlier = links::names(db, environment, hash)?;
    let sql = "DELETE FROM links WHERE env_id = $1 AND into_hash = $2";
    let count = db.run(sql, &[environment.0.into(), Cell::Uuid(hash.0)])?;
    let mut behind = name;
    for (hash, _) in earlier {
        let user = "SELECT id FROM users WHERE env_id = $1 AND hash = $2";
        let user = db.row(user, &[environment.0.into(), Cell::Uuid(hash.0)])?.map(|row| row.int(0));
        let profile = "SELECT id FROM profiles WHERE env_id = $1 AND hash = $2 ORDER BY id DESC LIMIT 1";
        let profile = db.row(profile, &[environment.0.into(), (&hash.0).into()])?.map(|row| row.int(0));
        if user.is_none() && profile.is_none() {
            continue;
        }
        let name = *Uuid::new_v4().as_bytes();
        leave_person(db, environment, (user, profile), name)?;
        let sql =
            "INSERT INTO links (env_id, hash, into_hash, linked_at, stage, position) VALUES ($1, $2, $3, 0, 0, 0)";
        db.run(sql, &[(-environment.0).into(), Cell::Uuid(behind), Cell::Uuid(name)])?;
        behind = name;
    }
    Ok(count)
}

/// Apps that are to be deleted and whose erasure has not begun.
const APPS: &str = "SELECT a.id, a.uuid FROM apps a WHERE a.deleted_at <= $1 \
                    AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.app_id = a.id AND e.kind = 'app')";

/// Whether there are apps that are to be deleted and whose erasure has not begun.
pub(in crate::store) fn has_apps(db: &dyn Sql, now: Millis) -> Result<bool> {
    Ok(db.row(APPS, &[now.plus(-GRACE).0.into()])?.is_some())
}

/// Writes down the erasures of apps that are to be deleted, where that has not been done. Nodes that do so at once wait for
/// each other, at the directory's row.
pub(in crate::store) fn begin_apps(db: &dyn Sql, now: Millis) -> Result<()> {
    directory::hold(db)?;
    for row in &db.rows(APPS, &[now.plus(-GRACE).0.into()])? {
        let uuid = Uuid::from_bytes(row.array(1).unwrap_or_default());
        let asked =
            "SELECT member, place FROM audit WHERE app_id = $1 AND action = 'app.deleted' ORDER BY id DESC LIMIT 1";
        let asked = db.row(asked, &[row.int(0).into()])?;
        let asked =
            asked.map_or_else(|| By::command_line(now), |row| By { at: now, member: row.text(0), place: row.text(1) });
        let new = New {
            id: Uuid::new_v4(),
            app: AppId(row.int(0)),
            environment: None,
            kind: ErasureKind::App,
            digest: Who::Device(uuid).digest(),
            roots: Roots::default(),
            phase: Phase::App,
            counts: String::new(),
            by: &asked,
        };
        insert(db, &new)?;
    }
    Ok(())
}

/// Somebody who asked at the same moment has been faster: it is done already.
fn leave(db: &dyn Sql, sql: &str, params: &[Cell]) -> Result<()> {
    if db.run(sql, params)? == 0 { Err(StoreError::NotFound("person or device")) } else { Ok(()) }
}

struct New<'a> {
    id: Uuid,
    app: AppId,
    environment: Option<i64>,
    kind: ErasureKind,
    digest: String,
    roots: Roots,
    phase: Phase,
    counts: String,
    by: &'a By,
}

fn insert(db: &dyn Sql, new: &New<'_>) -> Result<()> {
    db.run(
        "INSERT INTO erasures (uuid, app_id, env_id, kind, digest, user_id, profile_id, device_id, phase, position, counts, \
         member, place, asked_at, changed_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)",
        &[
            new.id.as_bytes().into(),
            new.app.0.into(),
            new.environment.map_or(Cell::Null, Cell::Int),
            new.kind.as_str().into(),
            new.digest.as_str().into(),
            new.roots.user.map_or(Cell::Null, Cell::Int),
            new.roots.profile.map_or(Cell::Null, Cell::Int),
            new.roots.device.map_or(Cell::Null, Cell::Int),
            new.phase.as_str().into(),
            i64::MIN.into(),
            new.counts.as_str().into(),
            new.by.member.as_str().into(),
            new.by.place.as_str().into(),
            new.by.at.0.into(),
        ],
    )?;
    Ok(())
}
