//! The directory: organizations, apps, environments and ingest keys.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use uuid::Uuid;

use super::commit::is_taken;
use crate::model::{
    App, AppId, Environment, EnvironmentId, IngestKey, IngestKeyId, KeyLookup, KeyRing, Millis, NewApp, NewIngestKey,
    Organization, OrganizationId, Salt, SealedKey, Slug, Zone,
};
use crate::store::{Result, StoreError};

/// The environments of every new app, the default one first.
const ENVIRONMENTS: [&str; 2] = ["production", "development"];

const APP: &str = "SELECT a.id, a.uuid, a.slug, a.name, a.zone, a.strict, a.salt, a.created_at, a.first_event_at, \
                   o.id, o.uuid, o.slug, o.name FROM apps a JOIN organizations o ON o.id = a.organization_id ";

const KEY: &str = "SELECT k.id, e.app_id, e.id, e.slug, k.name, k.hint, k.created_at, k.last_used_at, k.revoked_at \
                   FROM ingest_keys k JOIN environments e ON e.id = k.environment_id ";

/// Makes the box's organization where there is none.
pub(super) fn ensure_organization(tx: &Transaction<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO organizations (uuid, slug, name, created_at) \
         SELECT ?1, 'default', 'Default', unixepoch() * 1000 WHERE NOT EXISTS (SELECT 1 FROM organizations)",
        [Uuid::new_v4().as_bytes()],
    )?;
    Ok(())
}

pub(super) fn apps(conn: &Connection) -> Result<Vec<App>> {
    let sql = [APP, "ORDER BY a.name COLLATE NOCASE, a.id"].concat();
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([], read_app)?.collect::<rusqlite::Result<Vec<_>>>()?;
    rows.into_iter().map(|app| with_environments(conn, app)).collect()
}

pub(super) fn find_app(conn: &Connection, name: &str) -> Result<Option<App>> {
    let (column, value) = name_or_uuid(name);
    let sql = [APP, "WHERE a.", column, " = ?1"].concat();
    one_app(conn, &sql, &[&*value])
}

pub(super) fn create_app(tx: &Transaction<'_>, app: &NewApp, now: Millis) -> Result<App> {
    let organization: i64 = tx.query_row("SELECT min(id) FROM organizations", [], |row| row.get(0))?;
    let slug = if app.slug_fixed { app.slug.clone() } else { free_slug(tx, &app.slug)? };
    tx.execute(
        "INSERT INTO apps (organization_id, uuid, slug, name, zone, strict, salt, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (organization, app.uuid.as_bytes(), slug.as_str(), &app.name, app.zone.name(), app.strict, app.salt.0, now.0),
    )
    .map_err(|e| if is_taken(&e) { StoreError::Exists("an app of that short name or id") } else { e.into() })?;
    let id = tx.last_insert_rowid();
    for environment in ENVIRONMENTS {
        tx.execute("INSERT INTO environments (app_id, slug) VALUES (?1, ?2)", (id, environment))?;
    }
    changed(tx)?;
    find_app(tx, slug.as_str())?.ok_or(StoreError::NotFound("app"))
}

pub(super) fn create_key(tx: &Transaction<'_>, key: &NewIngestKey, now: Millis) -> Result<IngestKey> {
    tx.execute(
        "INSERT INTO ingest_keys (environment_id, name, hint, token_hash, sealed_secret, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (key.environment.0, &key.name, &key.hint, key.token_hash, &key.sealed_secret, now.0),
    )
    .map_err(|e| if is_taken(&e) { StoreError::Exists("a key with that token") } else { e.into() })?;
    let id = tx.last_insert_rowid();
    changed(tx)?;
    let sql = [KEY, "WHERE k.id = ?1"].concat();
    Ok(tx.query_row(&sql, [id], read_key)?)
}

pub(super) fn keys(conn: &Connection, app: Option<AppId>) -> Result<Vec<IngestKey>> {
    let sql = [KEY, "WHERE ?1 IS NULL OR e.app_id = ?1 ORDER BY k.id DESC"].concat();
    let mut statement = conn.prepare_cached(&sql)?;
    Ok(statement.query_map([app.map(|app| app.0)], read_key)?.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn revoke_key(tx: &Transaction<'_>, key: IngestKeyId, at: Millis) -> Result<()> {
    // An end that is already set can come nearer, never later.
    let found = tx.execute(
        "UPDATE ingest_keys SET revoked_at = min(coalesce(revoked_at, ?2), ?2) WHERE id = ?1",
        (key.0, at.0),
    )?;
    if found == 0 {
        return Err(StoreError::NotFound("key"));
    }
    changed(tx)
}

pub(super) fn key_ring(conn: &Connection, lookup: &KeyLookup, now: Millis) -> Result<Option<KeyRing>> {
    let found = match lookup {
        KeyLookup::Token(hash) => {
            let keys = sealed_keys(conn, "k.token_hash = ?2", now, &hash.as_slice())?;
            let Some((app, _)) = keys.first() else { return Ok(None) };
            let sql = [APP, "WHERE a.id = ?1"].concat();
            one_app(conn, &sql, &[app])?.map(|app| (app, keys))
        }
        KeyLookup::Path(first, second) => match find_by_path(conn, first, second)? {
            Some(app) => {
                let keys = sealed_keys(conn, "e.app_id = ?2", now, &app.id.0)?;
                Some((app, keys))
            }
            None => None,
        },
    };
    Ok(found
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(app, keys)| KeyRing { app, keys: keys.into_iter().map(|(_, key)| key).collect() }))
}

/// Both segments as organization and app; else the first alone as an app.
fn find_by_path(conn: &Connection, first: &str, second: &str) -> Result<Option<App>> {
    let (org_column, org) = name_or_uuid(first);
    let (app_column, app) = name_or_uuid(second);
    let sql = [APP, "WHERE o.", org_column, " = ?1 AND a.", app_column, " = ?2"].concat();
    match one_app(conn, &sql, &[&*org, &*app])? {
        Some(app) => Ok(Some(app)),
        None => find_app(conn, first),
    }
}

fn sealed_keys(
    conn: &Connection,
    condition: &'static str,
    now: Millis,
    value: &dyn rusqlite::ToSql,
) -> Result<Vec<(i64, SealedKey)>> {
    let sql = [
        "SELECT e.app_id, k.id, e.id, k.token_hash, k.sealed_secret, k.revoked_at FROM ingest_keys k \
         JOIN environments e ON e.id = k.environment_id WHERE (k.revoked_at IS NULL OR k.revoked_at > ?1) AND ",
        condition,
        " ORDER BY k.id DESC",
    ]
    .concat();
    let read = |row: &Row<'_>| {
        let key = SealedKey {
            id: IngestKeyId(row.get(1)?),
            environment: EnvironmentId(row.get(2)?),
            token_hash: row.get(3)?,
            sealed_secret: row.get(4)?,
            revoked_at: row.get::<_, Option<i64>>(5)?.map(Millis),
        };
        Ok((row.get(0)?, key))
    };
    let params: [&dyn rusqlite::ToSql; 2] = [&now.0, value];
    Ok(conn.prepare_cached(&sql)?.query_map(params, read)?.collect::<rusqlite::Result<_>>()?)
}

fn one_app(conn: &Connection, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Option<App>> {
    match conn.prepare_cached(sql)?.query_row(params, read_app).optional()? {
        Some(app) => with_environments(conn, app).map(Some),
        None => Ok(None),
    }
}

fn with_environments(conn: &Connection, mut app: App) -> Result<App> {
    app.environments = conn
        .prepare_cached("SELECT id, slug FROM environments WHERE app_id = ?1 ORDER BY id")?
        .query_map([app.id.0], |row| Ok(Environment { id: EnvironmentId(row.get(0)?), slug: slug(row, 1)? }))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(app)
}

/// The first of `slug`, `slug-2`, `slug-3`, … that no app has.
fn free_slug(tx: &Transaction<'_>, wanted: &Slug) -> Result<Slug> {
    let mut taken = tx.prepare("SELECT EXISTS (SELECT 1 FROM apps WHERE slug = ?1)")?;
    for number in 1_u32.. {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let candidate = Slug::parse(&[wanted.as_str(), &suffix].concat());
        let Some(candidate) = candidate else { break };
        if !taken.query_row([candidate.as_str()], |row| row.get::<_, bool>(0))? {
            return Ok(candidate);
        }
    }
    Err(StoreError::Exists("an app of that short name"))
}

/// The column that a name in a path or on the command line is looked up in, and the value to compare.
fn name_or_uuid(name: &str) -> (&'static str, Box<dyn rusqlite::ToSql>) {
    match Uuid::parse_str(name) {
        Ok(uuid) => ("uuid", Box::new(uuid.as_bytes().to_vec())),
        Err(_) => ("slug", Box::new(name.to_owned())),
    }
}

/// Tells every process that holds a copy of the directory that it is out of date.
fn changed(tx: &Transaction<'_>) -> Result<()> {
    tx.execute("UPDATE directory SET version = version + 1", [])?;
    Ok(())
}

fn read_app(row: &Row<'_>) -> rusqlite::Result<App> {
    let zone: String = row.get(4)?;
    Ok(App {
        id: AppId(row.get(0)?),
        uuid: uuid(row, 1)?,
        slug: slug(row, 2)?,
        name: row.get(3)?,
        zone: Arc::new(Zone::find(&zone).unwrap_or_else(Zone::utc)),
        strict: row.get(5)?,
        salt: Salt(row.get(6)?),
        created_at: Millis(row.get(7)?),
        first_event_at: row.get::<_, Option<i64>>(8)?.map(Millis),
        organization: Organization {
            id: OrganizationId(row.get(9)?),
            uuid: uuid(row, 10)?,
            slug: slug(row, 11)?,
            name: row.get(12)?,
        },
        environments: Vec::new(),
    })
}

fn read_key(row: &Row<'_>) -> rusqlite::Result<IngestKey> {
    Ok(IngestKey {
        id: IngestKeyId(row.get(0)?),
        app: AppId(row.get(1)?),
        environment: Environment { id: EnvironmentId(row.get(2)?), slug: slug(row, 3)? },
        name: row.get(4)?,
        hint: row.get(5)?,
        created_at: Millis(row.get(6)?),
        last_used_at: row.get::<_, Option<i64>>(7)?.map(Millis),
        revoked_at: row.get::<_, Option<i64>>(8)?.map(Millis),
    })
}

fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    Ok(Uuid::from_bytes(row.get(column)?))
}

fn slug(row: &Row<'_>, column: usize) -> rusqlite::Result<Slug> {
    let text: String = row.get(column)?;
    Slug::parse(&text).ok_or_else(|| {
        let problem = format!("{text:?} is no short name");
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, problem.into())
    })
}
