//! Organizations, the ways into them, and changes of apps as wholes, written once for every backend.

use uuid::Uuid;

use super::audit::note;
use super::directory::{changed, damaged, read_organization};
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError, members};
use crate::model::{
    Accepting, AppChange, AppId, By, Concerning, Invitation, Member, Membership, Millis, NewInvitation, NewMember,
    NewOrganization, Organization, OrganizationId, OrganizationRow, Role,
};

const ORGANIZATION: &str = "SELECT o.id, o.uuid, o.slug, o.name FROM organizations o ";

const INVITATION: &str = "SELECT id, organization_id, role, note, invited_by, created_at, expires_at FROM invitations ";

/// All, by name without regard to case.
pub(super) fn all(db: &dyn Sql) -> Result<Vec<OrganizationRow>> {
    let rows = db.rows(
        "SELECT o.id, o.uuid, o.slug, o.name, o.created_at, \
         (SELECT count(*) FROM apps a WHERE a.organization_id = o.id AND a.deleted_at IS NULL), \
         (SELECT count(*) FROM memberships m WHERE m.organization_id = o.id) FROM organizations o",
        &[],
    )?;
    let read = |row: &Row| {
        Ok(OrganizationRow {
            organization: read_organization(row, 0)?,
            created_at: Millis(row.int(4)),
            apps: row.int(5),
            members: row.int(6),
        })
    };
    let mut all = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    all.sort_by_cached_key(|row| (row.organization.name.to_lowercase(), row.organization.id));
    Ok(all)
}

/// The one of that short name.
pub(super) fn find(db: &dyn Sql, slug: &str) -> Result<Option<Organization>> {
    let row = db.row(&[ORGANIZATION, "WHERE lower(o.slug) = $1"].concat(), &[Cell::Text(slug.to_ascii_lowercase())])?;
    row.map(|row| read_organization(&row, 0)).transpose()
}

pub(super) fn create(db: &dyn Sql, new: &NewOrganization, by: &By) -> Result<Organization> {
    changed(db)?;
    let made = db.value(
        "INSERT INTO organizations (uuid, slug, name, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING RETURNING id",
        &[Uuid::new_v4().as_bytes().into(), new.slug.as_str().into(), new.name.as_str().into(), by.at.0.into()],
    )?;
    let Some(id) = made.some_int() else { return Err(StoreError::Exists("an organization of that short name")) };
    note(db, by, Concerning::Organization(OrganizationId(id)), ("organization.made", &new.name, new.slug.as_str()))?;
    find(db, new.slug.as_str())?.ok_or(StoreError::NotFound("organization"))
}

pub(super) fn rename(db: &dyn Sql, id: OrganizationId, name: &str, by: &By) -> Result<()> {
    changed(db)?;
    let before = named(db, id)?;
    db.run("UPDATE organizations SET name = $1 WHERE id = $2", &[name.into(), id.0.into()])?;
    note(db, by, Concerning::Organization(id), ("organization.renamed", name, &format!("{before} → {name}")))
}

/// Deletes one that has no apps any more, those included whose rows are still going. The last one stays.
pub(super) fn delete(db: &dyn Sql, id: OrganizationId, by: &By) -> Result<()> {
    changed(db)?;
    let name = named(db, id)?;
    let apps = db.value("SELECT count(*) FROM apps WHERE organization_id = $1", &[id.0.into()])?.int();
    let all = db.value("SELECT count(*) FROM organizations", &[])?.int();
    if apps > 0 || all < 2 {
        return Err(StoreError::InUse("organization"));
    }
    for table in ["memberships", "invitations", "api_tokens"] {
        db.run(&format!("DELETE FROM {table} WHERE organization_id = $1"), &[id.0.into()])?;
    }
    db.run("DELETE FROM organizations WHERE id = $1", &[id.0.into()])?;
    note(db, by, Concerning::Box, ("organization.deleted", &name, ""))
}

pub(super) fn invite(db: &dyn Sql, new: &NewInvitation, by: &By) -> Result<()> {
    changed(db)?;
    let open = "SELECT count(*) FROM invitations WHERE organization_id = $1 AND expires_at > $2";
    if db.value(open, &[new.organization.0.into(), by.at.0.into()])?.int() >= Invitation::MOST {
        return Err(StoreError::NoRoom("invitation"));
    }
    db.run(
        "INSERT INTO invitations (token_hash, organization_id, role, note, invited_by, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            (&new.token_hash).into(),
            new.organization.0.into(),
            new.role.as_str().into(),
            new.note.as_str().into(),
            by.member.as_str().into(),
            by.at.0.into(),
            new.expires_at.0.into(),
        ],
    )?;
    note(db, by, Concerning::Organization(new.organization), ("invitation.made", &new.note, new.role.as_str()))
}

/// Those of an organization that still work, newest first.
pub(super) fn invitations(db: &dyn Sql, organization: OrganizationId, now: Millis) -> Result<Vec<Invitation>> {
    let sql = [INVITATION, "WHERE organization_id = $1 AND expires_at > $2 ORDER BY id DESC"].concat();
    Ok(db.rows(&sql, &[organization.0.into(), now.0.into()])?.iter().map(read_invitation).collect())
}

/// The one of that token, where it still works, and into what it leads.
pub(super) fn invitation(
    db: &dyn Sql,
    token_hash: &[u8; 32],
    now: Millis,
) -> Result<Option<(Invitation, Organization)>> {
    let sql = [INVITATION, "WHERE token_hash = $1 AND expires_at > $2"].concat();
    let Some(row) = db.row(&sql, &[token_hash.into(), now.0.into()])? else { return Ok(None) };
    let invitation = read_invitation(&row);
    let row = db.row(&[ORGANIZATION, "WHERE o.id = $1"].concat(), &[invitation.organization.0.into()])?;
    let organization = read_organization(&row.ok_or_else(|| damaged("organization"))?, 0)?;
    Ok(Some((invitation, organization)))
}

/// Takes an open one back; one that is not there any more is no error.
pub(super) fn withdraw(db: &dyn Sql, organization: OrganizationId, id: i64, by: &By) -> Result<()> {
    changed(db)?;
    let sql = "SELECT note FROM invitations WHERE id = $1 AND organization_id = $2";
    let Some(row) = db.row(sql, &[id.into(), organization.0.into()])? else { return Ok(()) };
    db.run("DELETE FROM invitations WHERE id = $1", &[id.into()])?;
    note(db, by, Concerning::Organization(organization), ("invitation.withdrawn", &row.text(0), ""))
}

/// Spends an invitation. Whoever belongs to the organization already keeps the stronger role.
pub(super) fn accept(db: &dyn Sql, token_hash: &[u8; 32], who: &Accepting, by: &By) -> Result<Member> {
    changed(db)?; // so that one comes after the other
    let Some((found, organization)) = invitation(db, token_hash, by.at)? else {
        return Err(StoreError::TokenSpent);
    };
    db.run("DELETE FROM invitations WHERE id = $1", &[found.id.into()])?;
    let of = Concerning::Organization(organization.id);
    let member = match who {
        Accepting::New(name, password_hash) => {
            let (name, password_hash) = (name.clone(), password_hash.clone());
            let new = NewMember { name, password_hash, organization: Some(organization.id), role: found.role };
            members::create(db, &new, by)?
        }
        Accepting::Member(id) => {
            let member = members::get(db, *id)?;
            let place = Membership { organization: organization.id, role: found.role };
            match member.memberships.iter().find(|one| one.organization == organization.id) {
                None => members::join(db, *id, &place, by.at)?,
                Some(has) if strength(has.role) >= strength(place.role) => {}
                Some(_) => members::set_role(db, (*id, organization.id), Some(place.role), by)?,
            }
            members::get(db, *id)?
        }
    };
    let detail = format!("invited by {} as {}", found.invited_by, found.role.as_str());
    note(db, by, of, ("invitation.accepted", &member.name, &detail))?;
    Ok(member)
}

/// Changes an app's own row.
pub(super) fn change_app(db: &dyn Sql, app: AppId, change: &AppChange, by: &By) -> Result<()> {
    changed(db)?;
    let sql = "SELECT name, zone, strict, archived_at FROM apps WHERE id = $1 AND deleted_at IS NULL";
    let row = db.row(sql, &[app.0.into()])?.ok_or(StoreError::NotFound("app"))?;
    let (name, archived) = (row.text(0), row.some_int(3).is_some());
    let (column, value, action, detail) = match change {
        AppChange::Name(new) if *new != name => ("name", new.as_str().into(), "app.renamed", format!("{name} → {new}")),
        AppChange::Zone(new) if *new != row.text(1) => {
            ("zone", new.as_str().into(), "app.zone", format!("{} → {new}", row.text(1)))
        }
        AppChange::Strict(new) if *new != (row.int(2) != 0) => {
            let detail = if *new { "tells clients of unusable events" } else { "sets unusable events aside" };
            ("strict", (*new).into(), "app.strict", detail.to_owned())
        }
        AppChange::Archive if !archived => ("archived_at", by.at.0.into(), "app.archived", String::new()),
        AppChange::Restore if archived => ("archived_at", Cell::Null, "app.restored", String::new()),
        AppChange::Delete if archived => ("deleted_at", by.at.0.into(), "app.deleted", String::new()),
        AppChange::Delete => return Err(StoreError::InUse("app")),
        _ => return Ok(()), // it is so already
    };
    db.run(&format!("UPDATE apps SET {column} = $1 WHERE id = $2"), &[value, app.0.into()])?;
    note(db, by, Concerning::App(app), (action, &name, &detail))
}

fn named(db: &dyn Sql, id: OrganizationId) -> Result<String> {
    let row = db.row("SELECT name FROM organizations WHERE id = $1", &[id.0.into()])?;
    Ok(row.ok_or(StoreError::NotFound("organization"))?.text(0))
}

fn strength(role: Role) -> usize {
    Role::ALL.len() - Role::ALL.iter().position(|one| *one == role).unwrap_or(0)
}

fn read_invitation(row: &Row) -> Invitation {
    Invitation {
        id: row.int(0),
        organization: OrganizationId(row.int(1)),
        role: Role::parse(&row.text(2)).unwrap_or(Role::Viewer),
        note: row.text(3),
        invited_by: row.text(4),
        created_at: Millis(row.int(5)),
        expires_at: Millis(row.int(6)),
    }
}
