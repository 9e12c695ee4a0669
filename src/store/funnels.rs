//! Funnels that are kept by name, written once for every backend.

use uuid::Uuid;

use super::audit::note;
use super::directory::app_of;
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError};
use crate::model::{By, Concerning, EnvironmentId, Millis, SaveFunnel, SavedFunnel};

/// Those of an environment, by name without regard to case.
pub(super) fn all(db: &dyn Sql, environment: EnvironmentId) -> Result<Vec<SavedFunnel>> {
    let sql = "SELECT uuid, name, query, saved_at FROM funnels WHERE env_id = $1 ORDER BY lower(name), name";
    Ok(db.rows(sql, &[environment.0.into()])?.iter().filter_map(read).collect())
}

/// Makes one, replaces the one of the same name, or changes the one that is meant.
pub(super) fn save(db: &dyn Sql, save: &SaveFunnel) -> Result<SavedFunnel> {
    let name = save.name.trim();
    let fits = (1..=SaveFunnel::NAME).contains(&name.chars().count()) && save.query.len() <= SaveFunnel::QUERY;
    if !fits || name.contains('\0') || save.query.contains('\0') {
        return Err(StoreError::Unexpected("a funnel's name or query has no fitting length".to_owned()));
    }
    let environment = Cell::Int(save.environment.0);
    let same_name = "SELECT uuid, name, query, saved_at FROM funnels WHERE env_id = $1 AND name = $2";
    let namesake = db.row(same_name, &[environment.clone(), name.into()])?.as_ref().and_then(read);
    let id = match (save.id, namesake) {
        (Some(id), Some(other)) if other.id != id => return Err(StoreError::Exists("a funnel of that name")),
        (Some(id), _) => id,
        (None, Some(same)) => same.id,
        (None, None) => return make(db, save, name),
    };
    let sql = "UPDATE funnels SET name = $1, query = $2, saved_at = $3 WHERE env_id = $4 AND uuid = $5";
    let params = [name.into(), save.query.as_str().into(), save.by.at.0.into(), environment, id.as_bytes().into()];
    match db.run(sql, &params)? {
        0 => Err(StoreError::NotFound("funnel")),
        _ => told(db, save, name).map(|()| saved(id, name, save)),
    }
}

/// Forgets one; one that is not there is no error.
pub(super) fn delete(db: &dyn Sql, environment: EnvironmentId, id: Uuid, by: &By) -> Result<()> {
    let sql = "DELETE FROM funnels WHERE env_id = $1 AND uuid = $2 RETURNING name";
    let Some(row) = db.row(sql, &[environment.0.into(), id.as_bytes().into()])? else { return Ok(()) };
    note(db, by, Concerning::App(app_of(db, environment)?), ("funnel.deleted", &row.text(0), ""))
}

fn told(db: &dyn Sql, save: &SaveFunnel, name: &str) -> Result<()> {
    note(db, &save.by, Concerning::App(app_of(db, save.environment)?), ("funnel.saved", name, ""))
}

fn make(db: &dyn Sql, save: &SaveFunnel, name: &str) -> Result<SavedFunnel> {
    let environment = Cell::Int(save.environment.0);
    let there = db.value("SELECT count(*) FROM funnels WHERE env_id = $1", std::slice::from_ref(&environment))?.int();
    if there >= SaveFunnel::MOST {
        return Err(StoreError::NoRoom("funnel"));
    }
    let id = Uuid::new_v4();
    let sql = "INSERT INTO funnels (env_id, uuid, name, query, saved_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT DO NOTHING";
    let params = [environment, id.as_bytes().into(), name.into(), save.query.as_str().into(), save.by.at.0.into()];
    match db.run(sql, &params)? {
        0 => Err(StoreError::Exists("a funnel of that name")), // another was faster
        _ => told(db, save, name).map(|()| saved(id, name, save)),
    }
}

fn saved(id: Uuid, name: &str, save: &SaveFunnel) -> SavedFunnel {
    SavedFunnel { id, name: name.to_owned(), query: save.query.clone(), saved_at: save.by.at }
}

fn read(row: &Row) -> Option<SavedFunnel> {
    let id = Uuid::from_bytes(row.array(0)?);
    Some(SavedFunnel { id, name: row.text(1), query: row.text(2), saved_at: Millis(row.int(3)) })
}
