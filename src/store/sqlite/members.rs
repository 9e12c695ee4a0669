//! Members, their logins, and the one-time token that makes the first of them.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::commit::is_taken;
use crate::model::{Login, Member, MemberId, Millis, NewMember, OrganizationId, Role};
use crate::store::{Result, StoreError};

/// A nonce can come back for as long as its request's time is accepted: ten minutes either way, and a minute of grace.
const NONCE_SECONDS: i64 = 1_260;

/// Logins are forgotten after this long, whatever the rules that judge them.
const LOGIN_MAX: i64 = 90 * Millis::DAY;

/// Forgets what has expired.
pub(super) fn purge(tx: &Transaction<'_>, now: Millis) -> Result<()> {
    tx.execute("DELETE FROM nonces WHERE at < ?1", [now.seconds() - NONCE_SECONDS])?;
    tx.execute("DELETE FROM logins WHERE created_at < ?1", [now.plus(-LOGIN_MAX).0])?;
    tx.execute("DELETE FROM setup_tokens WHERE expires_at < ?1", [now.0])?;
    Ok(())
}

pub(super) fn put_setup_token(tx: &Transaction<'_>, hash: &[u8; 32], expires: Millis) -> Result<()> {
    tx.execute("DELETE FROM setup_tokens", [])?;
    tx.execute(
        "INSERT INTO setup_tokens (hash, expires_at) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM members)",
        (hash, expires.0),
    )?;
    Ok(())
}

pub(super) fn setup_token_valid(conn: &Connection, hash: &[u8; 32], now: Millis) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM setup_tokens WHERE hash = ?1 AND expires_at > ?2)";
    Ok(conn.query_row(sql, (hash, now.0), |row| row.get(0))?)
}

pub(super) fn complete_setup(tx: &Transaction<'_>, hash: &[u8; 32], member: &NewMember, now: Millis) -> Result<Member> {
    let spent = tx.execute("DELETE FROM setup_tokens WHERE hash = ?1 AND expires_at > ?2", (hash, now.0))?;
    let others: bool = tx.query_row("SELECT EXISTS (SELECT 1 FROM members)", [], |row| row.get(0))?;
    if spent == 0 || others {
        return Err(StoreError::TokenSpent);
    }
    tx.execute("DELETE FROM setup_tokens", [])?;
    create(tx, member, now)
}

pub(super) fn create(tx: &Transaction<'_>, member: &NewMember, now: Millis) -> Result<Member> {
    let organization: i64 = tx.query_row("SELECT min(id) FROM organizations", [], |row| row.get(0))?;
    tx.execute("DELETE FROM setup_tokens", [])?;
    tx.execute(
        "INSERT INTO members (organization_id, name, role, password_hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (organization, &member.name, member.role.as_str(), &member.password_hash, now.0),
    )
    .map_err(|e| if is_taken(&e) { StoreError::Exists("a member of that name") } else { e.into() })?;
    Ok(Member {
        id: MemberId(tx.last_insert_rowid()),
        organization: OrganizationId(organization),
        name: member.name.clone(),
        role: member.role,
        password_hash: member.password_hash.clone(),
        created_at: now,
    })
}

pub(super) fn find(conn: &Connection, name: &str) -> Result<Option<Member>> {
    let sql = "SELECT id, organization_id, name, role, password_hash, created_at FROM members WHERE name = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([name], read_member).optional()?)
}

pub(super) fn all(conn: &Connection) -> Result<Vec<Member>> {
    let sql = "SELECT id, organization_id, name, role, password_hash, created_at FROM members ORDER BY name";
    Ok(conn.prepare_cached(sql)?.query_map([], read_member)?.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn set_password(
    tx: &Transaction<'_>,
    member: MemberId,
    password_hash: &str,
    keep: Option<&[u8; 32]>,
) -> Result<()> {
    let changed = tx.execute("UPDATE members SET password_hash = ?2 WHERE id = ?1", (member.0, password_hash))?;
    if changed == 0 {
        return Err(StoreError::NotFound("member"));
    }
    tx.execute("DELETE FROM logins WHERE member_id = ?1 AND token_hash IS NOT ?2", (member.0, keep))?;
    Ok(())
}

pub(super) fn create_login(tx: &Transaction<'_>, token_hash: &[u8; 32], member: MemberId, now: Millis) -> Result<()> {
    tx.execute(
        "INSERT INTO logins (token_hash, member_id, created_at, seen_at) VALUES (?1, ?2, ?3, ?3)",
        (token_hash, member.0, now.0),
    )?;
    Ok(())
}

pub(super) fn find_login(conn: &Connection, token_hash: &[u8; 32]) -> Result<Option<Login>> {
    let sql = "SELECT m.id, m.organization_id, m.name, m.role, m.password_hash, m.created_at, l.created_at, l.seen_at \
               FROM logins l JOIN members m ON m.id = l.member_id WHERE l.token_hash = ?1";
    let read = |row: &Row<'_>| {
        let member = read_member(row)?;
        Ok(Login { token_hash: *token_hash, member, created_at: Millis(row.get(6)?), seen_at: Millis(row.get(7)?) })
    };
    Ok(conn.prepare_cached(sql)?.query_row([token_hash], read).optional()?)
}

pub(super) fn see_login(tx: &Transaction<'_>, token_hash: &[u8; 32], now: Millis) -> Result<()> {
    tx.execute("UPDATE logins SET seen_at = ?2 WHERE token_hash = ?1", (token_hash, now.0))?;
    Ok(())
}

pub(super) fn delete_login(tx: &Transaction<'_>, token_hash: &[u8; 32]) -> Result<()> {
    tx.execute("DELETE FROM logins WHERE token_hash = ?1", [token_hash])?;
    Ok(())
}

fn read_member(row: &Row<'_>) -> rusqlite::Result<Member> {
    let role: String = row.get(3)?;
    Ok(Member {
        id: MemberId(row.get(0)?),
        organization: OrganizationId(row.get(1)?),
        name: row.get(2)?,
        // A role that this binary does not know may look and nothing else.
        role: Role::parse(&role).unwrap_or(Role::Viewer),
        password_hash: row.get(4)?,
        created_at: Millis(row.get(5)?),
    })
}
