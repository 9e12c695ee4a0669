//! Members, their logins and the one-time token that makes the first of them, written once for every backend.

use super::directory::changed;
use super::sql::{Row, Sql};
use super::{Result, StoreError};
use crate::model::{Login, Member, MemberId, Millis, NewMember, OrganizationId, Role};

/// A nonce can come back for as long as its request's time is accepted: ten minutes either way, and a minute of grace.
const NONCE_SECONDS: i64 = 1_260;

/// Logins are forgotten after this long, whatever the rules that judge them.
const LOGIN_MAX: i64 = 90 * Millis::DAY;

const MEMBER: &str = "SELECT id, organization_id, name, role, password_hash, created_at FROM members ";

/// Forgets what has expired.
pub(super) fn purge(db: &dyn Sql, now: Millis) -> Result<()> {
    db.run("DELETE FROM nonces WHERE at < $1", &[(now.seconds() - NONCE_SECONDS).into()])?;
    db.run("DELETE FROM logins WHERE created_at < $1", &[now.plus(-LOGIN_MAX).0.into()])?;
    db.run("DELETE FROM setup_tokens WHERE expires_at < $1", &[now.0.into()])?;
    Ok(())
}

pub(super) fn any(db: &dyn Sql) -> Result<bool> {
    Ok(db.row("SELECT id FROM members LIMIT 1", &[])?.is_some())
}

pub(super) fn put_setup_token(db: &dyn Sql, hash: &[u8; 32], expires: Millis) -> Result<()> {
    changed(db)?;
    db.run("DELETE FROM setup_tokens", &[])?;
    if !any(db)? {
        let sql = "INSERT INTO setup_tokens (hash, expires_at) VALUES ($1, $2)";
        db.run(sql, &[hash.into(), expires.0.into()])?;
    }
    Ok(())
}

pub(super) fn setup_token_valid(db: &dyn Sql, hash: &[u8; 32], now: Millis) -> Result<bool> {
    let sql = "SELECT expires_at FROM setup_tokens WHERE hash = $1 AND expires_at > $2";
    Ok(db.row(sql, &[hash.into(), now.0.into()])?.is_some())
}

pub(super) fn complete_setup(db: &dyn Sql, hash: &[u8; 32], member: &NewMember, now: Millis) -> Result<Member> {
    changed(db)?; // so that one comes after the other
    let sql = "DELETE FROM setup_tokens WHERE hash = $1 AND expires_at > $2";
    let spent = db.run(sql, &[hash.into(), now.0.into()])?;
    if spent == 0 || any(db)? {
        return Err(StoreError::TokenSpent);
    }
    create(db, member, now)
}

pub(super) fn create(db: &dyn Sql, member: &NewMember, now: Millis) -> Result<Member> {
    changed(db)?;
    let organization = db.value("SELECT min(id) FROM organizations", &[])?;
    db.run("DELETE FROM setup_tokens", &[])?;
    let made = db.value(
        "INSERT INTO members (organization_id, name, role, password_hash, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING RETURNING id",
        &[
            organization.clone(),
            member.name.as_str().into(),
            member.role.as_str().into(),
            member.password_hash.as_str().into(),
            now.0.into(),
        ],
    )?;
    Ok(Member {
        id: MemberId(made.some_int().ok_or(StoreError::Exists("a member of that name"))?),
        organization: OrganizationId(organization.int()),
        name: member.name.clone(),
        role: member.role,
        password_hash: member.password_hash.clone(),
        created_at: now,
    })
}

pub(super) fn find(db: &dyn Sql, name: &str) -> Result<Option<Member>> {
    let row = db.row(&[MEMBER, "WHERE lower(name) = $1"].concat(), &[name.to_ascii_lowercase().as_str().into()])?;
    Ok(row.as_ref().map(read_member))
}

pub(super) fn all(db: &dyn Sql) -> Result<Vec<Member>> {
    let mut members: Vec<_> = db.rows(MEMBER, &[])?.iter().map(read_member).collect();
    members.sort_by_cached_key(|member| (member.name.to_lowercase(), member.id));
    Ok(members)
}

pub(super) fn set_password(db: &dyn Sql, member: MemberId, password_hash: &str, keep: Option<&[u8; 32]>) -> Result<()> {
    let sql = "UPDATE members SET password_hash = $1 WHERE id = $2";
    if db.run(sql, &[password_hash.into(), member.0.into()])? == 0 {
        return Err(StoreError::NotFound("member"));
    }
    let keep = keep.map_or(&[][..], |hash| &hash[..]);
    db.run("DELETE FROM logins WHERE member_id = $1 AND token_hash <> $2", &[member.0.into(), keep.into()])?;
    Ok(())
}

pub(super) fn create_login(db: &dyn Sql, token_hash: &[u8; 32], member: MemberId, now: Millis) -> Result<()> {
    let sql = "INSERT INTO logins (token_hash, member_id, created_at, seen_at) VALUES ($1, $2, $3, $3)";
    db.run(sql, &[token_hash.into(), member.0.into(), now.0.into()])?;
    Ok(())
}

pub(super) fn find_login(db: &dyn Sql, token_hash: &[u8; 32]) -> Result<Option<Login>> {
    let row = db.row(
        "SELECT m.id, m.organization_id, m.name, m.role, m.password_hash, m.created_at, l.created_at, l.seen_at \
         FROM logins l JOIN members m ON m.id = l.member_id WHERE l.token_hash = $1",
        &[token_hash.into()],
    )?;
    Ok(row.map(|row| Login {
        token_hash: *token_hash,
        member: read_member(&row),
        created_at: Millis(row.int(6)),
        seen_at: Millis(row.int(7)),
    }))
}

pub(super) fn see_login(db: &dyn Sql, token_hash: &[u8; 32], now: Millis) -> Result<()> {
    db.run("UPDATE logins SET seen_at = $1 WHERE token_hash = $2", &[now.0.into(), token_hash.into()])?;
    Ok(())
}

pub(super) fn delete_login(db: &dyn Sql, token_hash: &[u8; 32]) -> Result<()> {
    db.run("DELETE FROM logins WHERE token_hash = $1", &[token_hash.into()])?;
    Ok(())
}

fn read_member(row: &Row) -> Member {
    Member {
        id: MemberId(row.int(0)),
        organization: OrganizationId(row.int(1)),
        name: row.text(2),
        // A role that this binary does not know may look and nothing else.
        role: Role::parse(&row.text(3)).unwrap_or(Role::Viewer),
        password_hash: row.text(4),
        created_at: Millis(row.int(5)),
    }
}
