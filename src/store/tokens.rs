//! Tokens of the read API, written once for every backend. They are looked up with every request that carries one, so
//! no process keeps a copy that a change would have to reach.

use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError};
use crate::model::{ApiToken, ApiTokenId, AppId, Millis, NewApiToken, OrganizationId, Scopes};

const TOKEN: &str = "SELECT id, organization_id, app_id, name, hint, scopes, created_at, expires_at, last_used_at, \
                     revoked_at FROM api_tokens ";

pub(super) fn create(db: &dyn Sql, token: &NewApiToken, now: Millis) -> Result<ApiToken> {
    let organization = match token.app {
        Some(app) => db.value("SELECT organization_id FROM apps WHERE id = $1", &[app.0.into()])?,
        None => db.value("SELECT min(id) FROM organizations", &[])?,
    };
    if organization == Cell::Null {
        return Err(StoreError::NotFound("app"));
    }
    let made = db.value(
        "INSERT INTO api_tokens (organization_id, app_id, name, hint, token_hash, scopes, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id",
        &[
            organization,
            token.app.map(|app| app.0).into(),
            token.name.as_str().into(),
            token.hint.as_str().into(),
            (&token.token_hash).into(),
            token.scopes.to_string().as_str().into(),
            now.0.into(),
            token.expires_at.map(|at| at.0).into(),
        ],
    )?;
    let Some(id) = made.some_int() else { return Err(StoreError::Exists("that token")) };
    let row = db.row(&[TOKEN, "WHERE id = $1"].concat(), &[id.into()])?;
    Ok(read(&row.ok_or(StoreError::NotFound("token"))?))
}

pub(super) fn all(db: &dyn Sql, app: Option<AppId>) -> Result<Vec<ApiToken>> {
    let rows = match app {
        Some(app) => {
            let sql = [TOKEN, "WHERE app_id = $1 OR app_id IS NULL ORDER BY id DESC"].concat();
            db.rows(&sql, &[app.0.into()])
        }
        None => db.rows(&[TOKEN, "ORDER BY id DESC"].concat(), &[]),
    };
    Ok(rows?.iter().map(read).collect())
}

pub(super) fn revoke(db: &dyn Sql, token: ApiTokenId, at: Millis) -> Result<()> {
    // An end that is already set can come nearer, never later.
    let found = db.run(
        "UPDATE api_tokens SET revoked_at = CASE WHEN revoked_at < $1 THEN revoked_at ELSE $1 END WHERE id = $2",
        &[at.0.into(), token.0.into()],
    )?;
    if found == 0 { Err(StoreError::NotFound("token")) } else { Ok(()) }
}

/// The token of that hash, where it works.
pub(super) fn find(db: &dyn Sql, token_hash: &[u8; 32], now: Millis) -> Result<Option<ApiToken>> {
    let row = db.row(&[TOKEN, "WHERE token_hash = $1"].concat(), &[token_hash.into()])?;
    Ok(row.as_ref().map(read).filter(|token| token.works(now)))
}

/// Notes a use. Of those who come at once, one writes.
pub(super) fn note_use(db: &dyn Sql, token: ApiTokenId, now: Millis) -> Result<()> {
    let sql = "UPDATE api_tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at <= $3)";
    db.run(sql, &[now.0.into(), token.0.into(), now.plus(-Millis::HOUR).0.into()])?;
    Ok(())
}

fn read(row: &Row) -> ApiToken {
    ApiToken {
        id: ApiTokenId(row.int(0)),
        organization: OrganizationId(row.int(1)),
        app: row.some_int(2).map(AppId),
        name: row.text(3),
        hint: row.text(4),
        scopes: Scopes::parse(&row.text(5)),
        created_at: Millis(row.int(6)),
        expires_at: row.some_int(7).map(Millis),
        last_used_at: row.some_int(8).map(Millis),
        revoked_at: row.some_int(9).map(Millis),
    }
}
