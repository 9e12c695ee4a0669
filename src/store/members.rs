//! Members, their logins and the one-time token that makes the first of them, written once for every backend.

use std::collections::HashMap;

use super::audit::note;
use super::directory::changed;
use super::sql::{Row, Sql};
use super::{Result, StoreError, visitors};
use crate::model::{By, Concerning, Login, Member, MemberId, Membership, Millis, NewMember, OrganizationId, Role, Way};

/// A nonce can come back for as long as its request's time is accepted: ten minutes either way, and a minute of grace.
const NONCE_SECONDS: i64 = 1_260;

/// Logins are forgotten after this long, whatever the rules that judge them.
const LOGIN_MAX: i64 = 90 * Millis::DAY;

const MEMBER: &str = "SELECT id, name, password_hash, owner, created_at, disabled_at FROM members ";

/// Forgets what has expired.
pub(super) fn purge(db: &dyn Sql, now: Millis) -> Result<()> {
    db.run("DELETE FROM nonces WHERE at < $1", &[(now.seconds() - NONCE_SECONDS).into()])?;
    db.run("DELETE FROM logins WHERE created_at < $1", &[now.plus(-LOGIN_MAX).0.into()])?;
    db.run("DELETE FROM setup_tokens WHERE expires_at < $1", &[now.0.into()])?;
    db.run("DELETE FROM invitations WHERE expires_at < $1", &[now.0.into()])?;
    visitors::forget(db, now)
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

pub(super) fn complete_setup(db: &dyn Sql, hash: &[u8; 32], member: &NewMember, by: &By) -> Result<Member> {
    changed(db)?; // so that one comes after the other
    let sql = "DELETE FROM setup_tokens WHERE hash = $1 AND expires_at > $2";
    let spent = db.run(sql, &[hash.into(), by.at.0.into()])?;
    if spent == 0 || any(db)? {
        return Err(StoreError::TokenSpent);
    }
    create(db, member, by)
}

/// Makes a member. The first of all owns the box.
pub(super) fn create(db: &dyn Sql, member: &NewMember, by: &By) -> Result<Member> {
    changed(db)?;
    let first = !any(db)?;
    db.run("DELETE FROM setup_tokens", &[])?;
    let made = db.value(
        "INSERT INTO members (name, password_hash, owner, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING RETURNING id",
        &[member.name.as_str().into(), member.password_hash.as_str().into(), first.into(), by.at.0.into()],
    )?;
    let id = MemberId(made.some_int().ok_or(StoreError::Exists("a member of that name"))?);
    let organization = match member.organization {
        Some(organization) => organization,
        None => OrganizationId(db.value("SELECT min(id) FROM organizations", &[])?.int()),
    };
    join(db, id, &Membership { organization, role: member.role }, by.at)?;
    let detail = if first { "owns the box" } else { member.role.as_str() };
    note(db, by, Concerning::Organization(organization), ("member.made", &member.name, detail))?;
    get(db, id)
}

/// The member of that row.
pub(super) fn get(db: &dyn Sql, id: MemberId) -> Result<Member> {
    let row = db.row(&[MEMBER, "WHERE id = $1"].concat(), &[id.0.into()])?.ok_or(StoreError::NotFound("member"))?;
    with_memberships(db, &row)
}

pub(super) fn find(db: &dyn Sql, name: &str) -> Result<Option<Member>> {
    let row = db.row(&[MEMBER, "WHERE lower(name) = $1"].concat(), &[name.to_ascii_lowercase().as_str().into()])?;
    row.as_ref().map(|row| with_memberships(db, row)).transpose()
}

/// Members by name: all, or those of an organization.
pub(super) fn all(db: &dyn Sql, organization: Option<OrganizationId>) -> Result<Vec<Member>> {
    let rows = match organization {
        None => db.rows(MEMBER, &[]),
        Some(organization) => {
            let sql = [MEMBER, "WHERE id IN (SELECT member_id FROM memberships WHERE organization_id = $1)"].concat();
            db.rows(&sql, &[organization.0.into()])
        }
    };
    let mut members: Vec<_> = rows?.iter().map(read_member).collect();
    let mut places: HashMap<MemberId, Vec<Membership>> = HashMap::new();
    for row in db.rows("SELECT member_id, organization_id, role FROM memberships ORDER BY 1, 2", &[])? {
        places.entry(MemberId(row.int(0))).or_default().push(membership(&row, 1));
    }
    for member in &mut members {
        member.memberships = places.remove(&member.id).unwrap_or_default();
    }
    members.sort_by_cached_key(|member| (member.name.to_lowercase(), member.id));
    Ok(members)
}

/// Gives a member a role in an organization, or takes them out of it.
pub(super) fn set_role(
    db: &dyn Sql,
    (member, organization): (MemberId, OrganizationId),
    role: Option<Role>,
    by: &By,
) -> Result<()> {
    changed(db)?;
    let who = get(db, member)?;
    let before = who.memberships.iter().find(|one| one.organization == organization).map(|one| one.role);
    if before == role {
        return Ok(());
    }
    db.run(
        "DELETE FROM memberships WHERE member_id = $1 AND organization_id = $2",
        &[member.0.into(), organization.0.into()],
    )?;
    if let Some(role) = role {
        join(db, member, &Membership { organization, role }, by.at)?;
    }
    let owners = "SELECT count(*) FROM memberships WHERE organization_id = $1 AND role = 'owner'";
    if before == Some(Role::Owner) && db.value(owners, &[organization.0.into()])?.int() == 0 {
        return Err(StoreError::LastOwner);
    }
    let word = |role: Option<Role>| role.map_or("no member", Role::as_str);
    let detail = format!("{} → {}", word(before), word(role));
    note(db, by, Concerning::Organization(organization), ("member.role", &who.name, &detail))
}

/// Shuts a member out, who is signed out everywhere.
pub(super) fn disable(db: &dyn Sql, member: MemberId, by: &By) -> Result<()> {
    changed(db)?;
    let who = get(db, member)?;
    if who.owns_box {
        return Err(StoreError::LastOwner);
    }
    db.run("UPDATE members SET disabled_at = $1 WHERE id = $2", &[by.at.0.into(), member.0.into()])?;
    db.run("DELETE FROM logins WHERE member_id = $1", &[member.0.into()])?;
    note(db, by, Concerning::Box, ("member.disabled", &who.name, ""))
}

/// Lets a member in again.
pub(super) fn enable(db: &dyn Sql, member: MemberId, by: &By) -> Result<()> {
    changed(db)?;
    let who = get(db, member)?;
    db.run("UPDATE members SET disabled_at = NULL WHERE id = $1", &[member.0.into()])?;
    note(db, by, Concerning::Box, ("member.enabled", &who.name, ""))
}

/// Forgets a member for good; what they have done stays in the account under their name.
pub(super) fn delete(db: &dyn Sql, member: MemberId, by: &By) -> Result<()> {
    changed(db)?;
    let who = get(db, member)?;
    if who.owns_box {
        return Err(StoreError::LastOwner);
    }
    db.run("DELETE FROM members WHERE id = $1", &[member.0.into()])?;
    note(db, by, Concerning::Box, ("member.deleted", &who.name, ""))
}

/// Gives the box to a member who can sign in.
pub(super) fn hand_over(db: &dyn Sql, member: MemberId, by: &By) -> Result<()> {
    changed(db)?;
    let who = get(db, member)?;
    if who.disabled_at.is_some() {
        return Err(StoreError::NotFound("member who can sign in"));
    }
    db.run("UPDATE members SET owner = CASE WHEN id = $1 THEN 1 ELSE 0 END", &[member.0.into()])?;
    note(db, by, Concerning::Box, ("box.handed_over", &who.name, ""))
}

/// The login of that hash, unless its member is shut out.
pub(super) fn find_login(db: &dyn Sql, token_hash: &[u8; 32]) -> Result<Option<Login>> {
    let row = db.row(
        "SELECT m.id, m.name, m.password_hash, m.owner, m.created_at, m.disabled_at, \
         l.created_at, l.seen_at, l.way, l.place, l.proved_at FROM logins l JOIN members m ON m.id = l.member_id WHERE l.token_hash = $1 AND m.disabled_at IS NULL",
        &[token_hash.into()],
    )?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Login {
        token_hash: *token_hash,
        member: with_memberships(db, &row)?,
        created_at: Millis(row.int(6)),
        seen_at: Millis(row.int(7)),
        way: Way::parse(&row.text(8)),
        place: row.text(9),
        proved_at: Millis(row.int(10)),
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

/// Notes that a member belongs to an organization.
pub(super) fn join(db: &dyn Sql, member: MemberId, place: &Membership, at: Millis) -> Result<()> {
    db.run(
        "INSERT INTO memberships (member_id, organization_id, role, created_at) VALUES ($1, $2, $3, $4)",
        &[member.0.into(), place.organization.0.into(), place.role.as_str().into(), at.0.into()],
    )?;
    Ok(())
}

fn with_memberships(db: &dyn Sql, row: &Row) -> Result<Member> {
    let member = read_member(row);
    let sql = "SELECT organization_id, role FROM memberships WHERE member_id = $1 ORDER BY organization_id";
    let memberships = db.rows(sql, &[member.id.0.into()])?.iter().map(|row| membership(row, 0)).collect();
    Ok(Member { memberships, ..member })
}

fn membership(row: &Row, column: usize) -> Membership {
    Membership {
        organization: OrganizationId(row.int(column)),
        // A role that this binary does not know may look and nothing else.
        role: Role::parse(&row.text(column + 1)).unwrap_or(Role::Viewer),
    }
}

fn read_member(row: &Row) -> Member {
    Member {
        id: MemberId(row.int(0)),
        name: row.text(1),
        password_hash: row.text(2),
        owns_box: row.int(3) != 0,
        memberships: Vec::new(),
        created_at: Millis(row.int(4)),
        disabled_at: row.some_int(5).map(Millis),
    }
}
