//! Tokens of the read API, written once for every backend. They are looked up with every request that carries one, so
//! no process keeps a copy that a change would have to reach.

use super::audit::note;
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError};
use crate::model::{
    ApiToken, ApiTokenId, AppId, By, Concerning, Millis, NewApiToken, OrganizationId, Scopes, TokenReach,
};

const TOKEN: &str = "SELECT id, organization_id, app_id, name, hint, scopes, created_at, expires_at, last_used_at, \
                     revoked_at FROM api_tokens ";

pub(super) fn create(db: &dyn Sql, token: &NewApiToken, by: &By) -> Result<ApiToken> {
    let (organization, app) = match token.reach {
        TokenReach::App(app) => {
            (db.value("SELECT organization_id FROM apps WHERE id = $1", &[app.0.into()])?, Some(app))
        }
        TokenReach::Organization(organization) => {
            (db.value("SELECT id FROM organizations WHERE id = $1", &[organization.0.into()])?, None)
        }
    };
    if organization == Cell::Null {
        return Err(StoreError::NotFound("app or organization"));
    }
    let made = db.value(
        "INSERT INTO api_tokens (organization_id, app_id, name, hint, token_hash, scopes, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id",
        &[
            organization,
            app.map(|app| app.0).into(),
            token.name.as_str().into(),
            token.hint.as_str().into(),
            (&token.token_hash).into(),
            token.scopes.to_string().as_str().into(),
            by.at.0.into(),
            token.expires_at.map(|at| at.0).into(),
        ],
    )?;
    let Some(id) = made.some_int() else { return Err(StoreError::Exists("that token")) };
    let made = get(db, ApiTokenId(id))?;
    let detail = match made.app {
        Some(_) => format!("{}…, for one app", made.hint),
        None => format!("{}…, for all apps of the organization", made.hint),
    };
    note(db, by, concerning(&made), ("token.made", &made.name, &detail))?;
    Ok(made)
}

/// Newest first. Those of an app are its own and those for all apps of its organization.
pub(super) fn all(db: &dyn Sql, of: Concerning) -> Result<Vec<ApiToken>> {
    let (condition, value) = match of {
        Concerning::Box => return Ok(db.rows(&[TOKEN, "ORDER BY id DESC"].concat(), &[])?.iter().map(read).collect()),
        Concerning::Organization(organization) => ("WHERE organization_id = $1", organization.0),
        Concerning::App(app) => (
            "WHERE app_id = $1 OR (app_id IS NULL AND organization_id = (SELECT organization_id FROM apps WHERE id = $1))",
            app.0,
        ),
    };
    let rows = db.rows(&[TOKEN, condition, " ORDER BY id DESC"].concat(), &[value.into()])?;
    Ok(rows.iter().map(read).collect())
}

pub(super) fn revoke(db: &dyn Sql, token: ApiTokenId, by: &By) -> Result<()> {
    let found = get(db, token)?;
    // An end that is already set can come nearer, never later.
    db.run(
        "UPDATE api_tokens SET revoked_at = CASE WHEN revoked_at < $1 THEN revoked_at ELSE $1 END WHERE id = $2",
        &[by.at.0.into(), token.0.into()],
    )?;
    note(db, by, concerning(&found), ("token.revoked", &found.name, &format!("{}…", found.hint)))
}

fn get(db: &dyn Sql, token: ApiTokenId) -> Result<ApiToken> {
    let row = db.row(&[TOKEN, "WHERE id = $1"].concat(), &[token.0.into()])?;
    Ok(read(&row.ok_or(StoreError::NotFound("token"))?))
}

fn concerning(token: &ApiToken) -> Concerning {
    token.app.map_or(Concerning::Organization(token.organization), Concerning::App)
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
