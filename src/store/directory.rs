//! The directory, written once for every backend: organizations, apps, environments and ingest keys.

use std::sync::Arc;

use uuid::Uuid;

use super::audit::note;
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError};
use crate::model::{
    App, AppId, By, Concerning, Environment, EnvironmentId, IngestKey, IngestKeyId, KeyLookup, KeyRing, Millis, NewApp,
    NewIngestKey, Organization, OrganizationId, Salt, SealedKey, Slug, Zone,
};

/// The environments of every new app, the default one first.
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "development"];

const APP: &str = "SELECT a.id, a.uuid, a.slug, a.name, a.zone, a.strict, a.salt, a.created_at, a.first_event_at, \
                   a.archived_at, o.id, o.uuid, o.slug, o.name FROM apps a JOIN organizations o ON o.id = a.organization_id \
                   AND a.deleted_at IS NULL ";

const KEY: &str = "SELECT k.id, e.app_id, e.id, e.slug, k.name, k.hint, k.created_at, k.last_used_at, k.revoked_at \
                   FROM ingest_keys k JOIN environments e ON e.id = k.environment_id ";

/// Makes the box's organization where there is none.
pub(super) fn ensure_organization(db: &dyn Sql, now: Millis) -> Result<()> {
    if db.value("SELECT count(*) FROM organizations", &[])?.int() == 0 {
        let sql = "INSERT INTO organizations (uuid, slug, name, created_at) VALUES ($1, 'default', 'Default', $2)";
        db.run(sql, &[Uuid::new_v4().as_bytes().into(), now.0.into()])?;
    }
    Ok(())
}

/// Apps by name, without regard to case.
pub(super) fn apps(db: &dyn Sql) -> Result<Vec<App>> {
    let mut apps = db.rows(APP, &[])?.iter().map(read_app).collect::<Result<Vec<_>>>()?;
    apps.sort_by_cached_key(|app| (app.name.to_lowercase(), app.id));
    let environments = db.rows("SELECT app_id, id, slug FROM environments ORDER BY id", &[])?;
    for row in &environments {
        if let Some(app) = apps.iter_mut().find(|app| app.id.0 == row.int(0)) {
            app.environments.push(read_environment(row, 1)?);
        }
    }
    Ok(apps)
}

pub(super) fn find_app(db: &dyn Sql, name: &str) -> Result<Option<App>> {
    let (condition, value) = name_or_uuid("a.uuid = ", "lower(a.slug) = ", name);
    one_app(db, &[APP, "WHERE ", condition, "$1"].concat(), &[value])
}

pub(super) fn create_app(db: &dyn Sql, app: &NewApp, by: &By) -> Result<App> {
    changed(db)?;
    let organization = match app.organization {
        Some(organization) => organization.0.into(),
        None => db.value("SELECT min(id) FROM organizations", &[])?,
    };
    let slug = if app.slug_fixed { app.slug.clone() } else { free_slug(db, &app.slug)? };
    let made = db.value(
        "INSERT INTO apps (organization_id, uuid, slug, name, zone, strict, salt, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id",
        &[
            organization,
            app.uuid.as_bytes().into(),
            slug.as_str().into(),
            app.name.as_str().into(),
            app.zone.name().into(),
            app.strict.into(),
            (&app.salt.0).into(),
            by.at.0.into(),
        ],
    )?;
    let Some(id) = made.some_int() else { return Err(StoreError::Exists("an app of that short name or id")) };
    for environment in ENVIRONMENTS {
        let sql = "INSERT INTO environments (app_id, slug) VALUES ($1, $2)";
        db.run(sql, &[id.into(), environment.into()])?;
    }
    note(db, by, Concerning::App(AppId(id)), ("app.made", &app.name, slug.as_str()))?;
    find_app(db, slug.as_str())?.ok_or(StoreError::NotFound("app"))
}

pub(super) fn create_key(db: &dyn Sql, key: &NewIngestKey, now: Millis) -> Result<IngestKey> {
    changed(db)?;
    let made = db.value(
        "INSERT INTO ingest_keys (environment_id, name, hint, token_hash, sealed_secret, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id",
        &[
            key.environment.0.into(),
            key.name.as_str().into(),
            key.hint.as_str().into(),
            (&key.token_hash).into(),
            key.sealed_secret.as_slice().into(),
            now.0.into(),
        ],
    )?;
    let Some(id) = made.some_int() else { return Err(StoreError::Exists("a key with that token")) };
    let row = db.row(&[KEY, "WHERE k.id = $1"].concat(), &[id.into()])?;
    read_key(&row.ok_or(StoreError::NotFound("key"))?)
}

pub(super) fn keys(db: &dyn Sql, app: Option<AppId>) -> Result<Vec<IngestKey>> {
    let rows = match app {
        Some(app) => db.rows(&[KEY, "WHERE e.app_id = $1 ORDER BY k.id DESC"].concat(), &[app.0.into()]),
        None => db.rows(&[KEY, "ORDER BY k.id DESC"].concat(), &[]),
    };
    rows?.iter().map(read_key).collect()
}

pub(super) fn revoke_key(db: &dyn Sql, key: IngestKeyId, at: Millis) -> Result<()> {
    changed(db)?;
    // An end that is already set can come nearer, never later.
    let found = db.run(
        "UPDATE ingest_keys SET revoked_at = CASE WHEN revoked_at < $1 THEN revoked_at ELSE $1 END WHERE id = $2",
        &[at.0.into(), key.0.into()],
    )?;
    if found == 0 { Err(StoreError::NotFound("key")) } else { Ok(()) }
}

pub(super) fn key_ring(db: &dyn Sql, lookup: &KeyLookup, now: Millis) -> Result<Option<KeyRing>> {
    let found = match lookup {
        KeyLookup::Token(hash) => {
            let keys = sealed_keys(db, "k.token_hash = $2", now, hash.as_slice().into())?;
            let Some((app, _)) = keys.first() else { return Ok(None) };
            one_app(db, &[APP, "WHERE a.id = $1"].concat(), &[(*app).into()])?.map(|app| (app, keys))
        }
        KeyLookup::Path(first, second) => match find_by_path(db, first, second)? {
            Some(app) => {
                let keys = sealed_keys(db, "e.app_id = $2", now, app.id.0.into())?;
                Some((app, keys))
            }
            None => None,
        },
        KeyLookup::App(organization, app) => {
            let found = find_by_name(db, organization.as_deref(), app)?;
            return Ok(found.map(|app| KeyRing { app, keys: Vec::new() }));
        }
    };
    Ok(found
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(app, keys)| KeyRing { app, keys: keys.into_iter().map(|(_, key)| key).collect() }))
}

pub(super) fn version(db: &dyn Sql) -> Result<i64> {
    Ok(db.value("SELECT version FROM directory", &[])?.int())
}

/// The app of an environment.
pub(super) fn app_of(db: &dyn Sql, environment: EnvironmentId) -> Result<AppId> {
    Ok(AppId(db.value("SELECT app_id FROM environments WHERE id = $1", &[environment.0.into()])?.int()))
}

/// Tells every process that holds a copy of the directory that it is out of date. Done first in a change, it also
/// makes changes wait for each other.
pub(super) fn changed(db: &dyn Sql) -> Result<()> {
    db.run("UPDATE directory SET version = version + 1", &[])?;
    Ok(())
}

/// Waits until nobody else's change goes on, and lets none begin before this transaction ends. What is read after it
/// (a new statement, in PostgreSQL) is what the last change left.
pub(super) fn hold(db: &dyn Sql) -> Result<()> {
    db.run("UPDATE directory SET version = version", &[])?;
    Ok(())
}

/// Both segments as organization and app; else the first alone as an app.
fn find_by_path(db: &dyn Sql, first: &str, second: &str) -> Result<Option<App>> {
    match find_by_name(db, Some(first), second)? {
        Some(app) => Ok(Some(app)),
        None => find_app(db, first),
    }
}

fn find_by_name(db: &dyn Sql, organization: Option<&str>, app: &str) -> Result<Option<App>> {
    let Some(organization) = organization else { return find_app(db, app) };
    let (org_condition, org) = name_or_uuid("o.uuid = ", "lower(o.slug) = ", organization);
    let (app_condition, app) = name_or_uuid("a.uuid = ", "lower(a.slug) = ", app);
    let sql = [APP, "WHERE ", org_condition, "$1 AND ", app_condition, "$2"].concat();
    one_app(db, &sql, &[org, app])
}

fn sealed_keys(db: &dyn Sql, condition: &'static str, now: Millis, value: Cell) -> Result<Vec<(i64, SealedKey)>> {
    let sql = [
        "SELECT e.app_id, k.id, e.id, k.token_hash, k.sealed_secret, k.revoked_at FROM ingest_keys k \
         JOIN environments e ON e.id = k.environment_id WHERE (k.revoked_at IS NULL OR k.revoked_at > $1) AND ",
        condition,
        " ORDER BY k.id DESC",
    ]
    .concat();
    let read = |row: &Row| {
        let key = SealedKey {
            id: IngestKeyId(row.int(1)),
            environment: EnvironmentId(row.int(2)),
            token_hash: row.array(3).ok_or_else(|| damaged("token hash"))?,
            sealed_secret: row.bytes(4).to_vec(),
            revoked_at: row.some_int(5).map(Millis),
        };
        Ok((row.int(0), key))
    };
    db.rows(&sql, &[now.0.into(), value])?.iter().map(read).collect()
}

fn one_app(db: &dyn Sql, sql: &str, params: &[Cell]) -> Result<Option<App>> {
    let Some(row) = db.row(sql, params)? else { return Ok(None) };
    let mut app = read_app(&row)?;
    let rows = db.rows("SELECT id, slug FROM environments WHERE app_id = $1 ORDER BY id", &[app.id.0.into()])?;
    app.environments = rows.iter().map(|row| read_environment(row, 0)).collect::<Result<_>>()?;
    Ok(Some(app))
}

/// The first of `slug`, `slug-2`, `slug-3`, … that no app has.
fn free_slug(db: &dyn Sql, wanted: &Slug) -> Result<Slug> {
    for number in 1_u32.. {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let Some(candidate) = Slug::parse(&[wanted.as_str(), &suffix].concat()) else { break };
        let taken = db.row(
            "SELECT id FROM apps WHERE lower(slug) = $1",
            &[candidate.as_str().to_ascii_lowercase().as_str().into()],
        )?;
        if taken.is_none() {
            return Ok(candidate);
        }
    }
    Err(StoreError::Exists("an app of that short name"))
}

/// Which of two conditions a name in a path or on the command line is looked up by, and the value to compare.
fn name_or_uuid(by_uuid: &'static str, by_slug: &'static str, name: &str) -> (&'static str, Cell) {
    match Uuid::parse_str(name) {
        Ok(uuid) => (by_uuid, uuid.as_bytes().into()),
        Err(_) => (by_slug, Cell::Text(name.to_ascii_lowercase())),
    }
}

fn read_app(row: &Row) -> Result<App> {
    Ok(App {
        id: AppId(row.int(0)),
        uuid: uuid(row, 1)?,
        slug: slug(row, 2)?,
        name: row.text(3),
        zone: Arc::new(Zone::find(&row.text(4)).unwrap_or_else(Zone::utc)),
        strict: row.int(5) != 0,
        salt: Salt(row.array(6).ok_or_else(|| damaged("salt"))?),
        created_at: Millis(row.int(7)),
        first_event_at: row.some_int(8).map(Millis),
        archived_at: row.some_int(9).map(Millis),
        organization: read_organization(row, 10)?,
        environments: Vec::new(),
    })
}

pub(super) fn read_organization(row: &Row, column: usize) -> Result<Organization> {
    Ok(Organization {
        id: OrganizationId(row.int(column)),
        uuid: uuid(row, column + 1)?,
        slug: slug(row, column + 2)?,
        name: row.text(column + 3),
    })
}

fn read_environment(row: &Row, column: usize) -> Result<Environment> {
    Ok(Environment { id: EnvironmentId(row.int(column)), slug: slug(row, column + 1)? })
}

fn read_key(row: &Row) -> Result<IngestKey> {
    Ok(IngestKey {
        id: IngestKeyId(row.int(0)),
        app: AppId(row.int(1)),
        environment: read_environment(row, 2)?,
        name: row.text(4),
        hint: row.text(5),
        created_at: Millis(row.int(6)),
        last_used_at: row.some_int(7).map(Millis),
        revoked_at: row.some_int(8).map(Millis),
    })
}

fn uuid(row: &Row, column: usize) -> Result<Uuid> {
    row.array(column).map(Uuid::from_bytes).ok_or_else(|| damaged("id"))
}

fn slug(row: &Row, column: usize) -> Result<Slug> {
    Slug::parse(&row.text(column)).ok_or_else(|| damaged("short name"))
}

pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Unexpected(format!("a row of the directory has no valid {what}"))
}
