//! Salts of days, under which addresses become names of visitors: made by whichever node needs one first, and deleted.

use super::sql::Sql;
use super::{AppId, Millis, Result, StoreError};
use crate::model::Salt;

/// That of an app and a UTC day, where there is one.
pub(super) fn find(db: &dyn Sql, app: AppId, day: i64) -> Result<Option<Salt>> {
    let sql = "SELECT salt FROM visitor_salts WHERE app_id = $1 AND day = $2";
    let Some(row) = db.row(sql, &[app.0.into(), day.into()])? else { return Ok(None) };
    let salt = <[u8; 32]>::try_from(row.bytes(0));
    salt.map(|salt| Some(Salt(salt))).map_err(|_| StoreError::Corrupt("a day's salt has another length".to_owned()))
}

/// The same, which becomes `fresh` where nobody was faster.
pub(super) fn agree(db: &dyn Sql, app: AppId, day: i64, fresh: &Salt) -> Result<Salt> {
    let sql = "INSERT INTO visitor_salts (app_id, day, salt) VALUES ($1, $2, $3) ON CONFLICT (app_id, day) DO NOTHING";
    db.run(sql, &[app.0.into(), day.into(), (&fresh.0).into()])?;
    find(db, app, day)?.ok_or(StoreError::NotFound("salt of that day"))
}

/// Forgets those of days before yesterday.
pub(super) fn forget(db: &dyn Sql, now: Millis) -> Result<()> {
    let yesterday = now.0.div_euclid(Millis::DAY) - 1;
    db.run("DELETE FROM visitor_salts WHERE day < $1", &[yesterday.into()]).map(drop)
}
