//! What proves that a member is one: logins, authenticator apps, recovery codes, providers. Written once for every
//! backend.

use super::audit::note;
use super::directory::changed;
use super::members;
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError};
use crate::model::{
    Admission, By, Concerning, Confirmed, Ending, Identity, Login, MemberId, Membership, Millis, NewLogin, NewMember,
    OrganizationId, OrganizationRole, Role, TwoFactor, Vouched, Way,
};

/// Browsers in which a member may be signed in at once; the one that was seen longest ago makes room.
const BROWSERS: i64 = 100;

/// Replaces a password; other browsers are signed out.
pub(super) fn set_password(
    db: &dyn Sql,
    (member, password_hash): (MemberId, &str),
    keep: Option<&[u8; 32]>,
    by: &By,
) -> Result<()> {
    let sql = "UPDATE members SET password_hash = $1 WHERE id = $2";
    if db.run(sql, &[password_hash.into(), member.0.into()])? == 0 {
        return Err(StoreError::NotFound("member"));
    }
    let keep = keep.map_or(&[][..], |hash| &hash[..]);
    db.run("DELETE FROM logins WHERE member_id = $1 AND token_hash <> $2", &[member.0.into(), keep.into()])?;
    note(db, by, Concerning::Box, ("login.password_changed", &members::get(db, member)?.name, ""))
}

/// Lets a login go on under another token's hash.
pub(super) fn renew_login(db: &dyn Sql, before: &[u8; 32], after: &[u8; 32]) -> Result<()> {
    let sql = "UPDATE logins SET token_hash = $1 WHERE token_hash = $2";
    if db.run(sql, &[after.into(), before.into()])? == 0 { Err(StoreError::NotFound("login")) } else { Ok(()) }
}

/// Signs a browser in.
pub(super) fn create_login(db: &dyn Sql, new: &NewLogin) -> Result<()> {
    let NewLogin { token_hash, member, way, proved_at, by } = new;
    db.run(
        "INSERT INTO logins (token_hash, member_id, created_at, seen_at, way, place, proved_at) \
         VALUES ($1, $2, $3, $3, $4, $5, $6)",
        &[
            token_hash.into(),
            member.0.into(),
            by.at.0.into(),
            way.as_str().into(),
            by.place.as_str().into(),
            proved_at.0.into(),
        ],
    )?;
    db.run(
        "DELETE FROM logins WHERE token_hash IN (SELECT token_hash FROM logins WHERE member_id = $1 \
         ORDER BY seen_at DESC, created_at DESC, token_hash LIMIT 1000 OFFSET $2)",
        &[member.0.into(), BROWSERS.into()],
    )?;
    note(db, by, Concerning::Box, ("login.signed_in", &by.member, way.as_str()))
}

/// The logins of a member, the newest first.
pub(super) fn logins(db: &dyn Sql, member: MemberId) -> Result<Vec<Login>> {
    let member = members::get(db, member)?;
    let rows = db.rows(
        "SELECT token_hash, created_at, seen_at, way, place, proved_at FROM logins WHERE member_id = $1 \
         ORDER BY created_at DESC, token_hash",
        &[member.id.0.into()],
    )?;
    let read = |row: &Row| {
        Some(Login {
            token_hash: row.array(0)?,
            member: member.clone(),
            created_at: Millis(row.int(1)),
            seen_at: Millis(row.int(2)),
            way: Way::parse(&row.text(3)),
            place: row.text(4),
            proved_at: Millis(row.int(5)),
        })
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// Ends logins of a member; how many.
pub(super) fn end_logins(db: &dyn Sql, member: MemberId, which: &Ending, by: &By) -> Result<u64> {
    let (condition, hash, detail) = match which {
        Ending::One(hash) => (" AND token_hash = $2", Some(hash), "one browser"),
        Ending::Others(hash) => (" AND token_hash <> $2", Some(hash), "all other browsers"),
        Ending::All => ("", None, "everywhere"),
    };
    let params: Vec<Cell> = [Cell::from(member.0)].into_iter().chain(hash.map(Cell::from)).collect();
    let ended = db.run(&["DELETE FROM logins WHERE member_id = $1", condition].concat(), &params)?;
    if ended > 0 {
        let name = members::get(db, member)?.name;
        note(db, by, Concerning::Box, ("login.signed_out", &name, detail))?;
    }
    Ok(ended)
}

/// Notes that the member of a login has proved who they are.
pub(super) fn prove(db: &dyn Sql, token_hash: &[u8; 32], by: &By) -> Result<()> {
    let sql = "UPDATE logins SET proved_at = $1 WHERE token_hash = $2";
    if db.run(sql, &[by.at.0.into(), token_hash.into()])? == 0 {
        return Err(StoreError::NotFound("login"));
    }
    note(db, by, Concerning::Box, ("login.confirmed", &by.member, ""))
}

/// Puts a stronger hash of the same password in the place of one, unless the password was changed meanwhile.
pub(super) fn rehash(db: &dyn Sql, member: MemberId, before: &str, after: &str) -> Result<()> {
    let sql = "UPDATE members SET password_hash = $1 WHERE id = $2 AND password_hash = $3";
    db.run(sql, &[after.into(), member.0.into(), before.into()])?;
    Ok(())
}

/// A member's authenticator app, confirmed or being set up.
pub(super) fn two_factor(db: &dyn Sql, member: MemberId) -> Result<Option<TwoFactor>> {
    let row = db.row(
        "SELECT sealed_secret, last_step, confirmed_at, \
         (SELECT count(*) FROM recovery_codes r WHERE r.member_id = t.member_id) FROM two_factor t WHERE member_id = $1",
        &[member.0.into()],
    )?;
    Ok(row.map(|row| TwoFactor {
        sealed_secret: row.bytes(0).to_vec(),
        last_step: row.int(1),
        confirmed_at: row.some_int(2).map(Millis),
        recovery_codes: row.int(3),
    }))
}

/// Keeps a secret that is not asked for yet, in place of an earlier one that was not confirmed either.
pub(super) fn begin_two_factor(db: &dyn Sql, member: MemberId, sealed: &[u8]) -> Result<()> {
    let begun = db.run(
        "INSERT INTO two_factor (member_id, sealed_secret) VALUES ($1, $2) \
         ON CONFLICT (member_id) DO UPDATE SET sealed_secret = excluded.sealed_secret, last_step = 0 \
         WHERE two_factor.confirmed_at IS NULL",
        &[member.0.into(), sealed.into()],
    )?;
    if begun == 0 { Err(StoreError::Exists("two-factor sign-in")) } else { Ok(()) }
}

/// From now on codes are asked for; other browsers are signed out.
pub(super) fn confirm_two_factor(db: &dyn Sql, confirmed: &Confirmed, by: &By) -> Result<()> {
    let Confirmed { member, step, recovery_codes, keep } = confirmed;
    let sql = "UPDATE two_factor SET confirmed_at = $1, last_step = $2 WHERE member_id = $3 AND confirmed_at IS NULL";
    if db.run(sql, &[by.at.0.into(), (*step).into(), member.0.into()])? == 0 {
        return Err(StoreError::NotFound("two-factor sign-in to confirm"));
    }
    put_codes(db, *member, recovery_codes)?;
    db.run("DELETE FROM logins WHERE member_id = $1 AND token_hash <> $2", &[member.0.into(), keep.into()])?;
    note(db, by, Concerning::Box, ("login.two_factor_on", &members::get(db, *member)?.name, ""))
}

/// Uses up the codes of a step and before: whether that one was still to be had.
pub(super) fn spend_step(db: &dyn Sql, member: MemberId, step: i64) -> Result<bool> {
    let sql =
        "UPDATE two_factor SET last_step = $1 WHERE member_id = $2 AND last_step < $1 AND confirmed_at IS NOT NULL";
    Ok(db.run(sql, &[step.into(), member.0.into()])? > 0)
}

/// Uses up a recovery code: whether it was still to be had.
pub(super) fn spend_recovery_code(db: &dyn Sql, member: MemberId, hash: &[u8; 32], by: &By) -> Result<bool> {
    let sql = "DELETE FROM recovery_codes WHERE hash = $1 AND member_id = $2";
    if db.run(sql, &[hash.into(), member.0.into()])? == 0 {
        return Ok(false);
    }
    let left = db.value("SELECT count(*) FROM recovery_codes WHERE member_id = $1", &[member.0.into()])?.int();
    let name = members::get(db, member)?.name;
    note(db, by, Concerning::Box, ("login.recovery_code_used", &name, &format!("{left} left")))?;
    Ok(true)
}

/// Puts fresh recovery codes in place of all earlier ones.
pub(super) fn renew_recovery_codes(db: &dyn Sql, member: MemberId, hashes: &[[u8; 32]], by: &By) -> Result<()> {
    let sql = "SELECT member_id FROM two_factor WHERE member_id = $1 AND confirmed_at IS NOT NULL";
    if db.row(sql, &[member.0.into()])?.is_none() {
        return Err(StoreError::NotFound("two-factor sign-in"));
    }
    put_codes(db, member, hashes)?;
    note(db, by, Concerning::Box, ("login.recovery_codes_renewed", &members::get(db, member)?.name, ""))
}

/// Forgets a member's authenticator app and recovery codes: whether codes were asked for.
pub(super) fn drop_two_factor(db: &dyn Sql, member: MemberId, by: &By) -> Result<bool> {
    let was = db.row(
        "SELECT member_id FROM two_factor WHERE member_id = $1 AND confirmed_at IS NOT NULL",
        &[member.0.into()],
    )?;
    db.run("DELETE FROM recovery_codes WHERE member_id = $1", &[member.0.into()])?;
    db.run("DELETE FROM two_factor WHERE member_id = $1", &[member.0.into()])?;
    if was.is_some() {
        note(db, by, Concerning::Box, ("login.two_factor_off", &members::get(db, member)?.name, ""))?;
    }
    Ok(was.is_some())
}

/// Who a member is at a provider.
pub(super) fn identity(db: &dyn Sql, member: MemberId) -> Result<Option<Identity>> {
    let sql = "SELECT issuer, subject FROM identities WHERE member_id = $1 ORDER BY created_at LIMIT 1";
    let row = db.row(sql, &[member.0.into()])?;
    Ok(row.map(|row| Identity { issuer: row.text(0), subject: row.text(1) }))
}

/// Lets somebody in for whom a provider vouches: makes the member at the first sign-in, and lets roles follow groups at
/// each.
pub(super) fn admit(db: &dyn Sql, vouched: &Vouched, by: &By) -> Result<Admission> {
    changed(db)?; // so that one comes after the other
    let Identity { issuer, subject } = &vouched.identity;
    let sql = "SELECT member_id FROM identities WHERE issuer = $1 AND subject = $2";
    let known = db.value(sql, &[issuer.as_str().into(), subject.as_str().into()])?.some_int().map(MemberId);
    let mut roles = Vec::new();
    for OrganizationRole { organization, role } in &vouched.roles {
        roles.extend(
            find_organization(db, organization.as_deref())?.map(|id| Membership { organization: id, role: *role }),
        );
    }
    let member = match (known, roles.first()) {
        (Some(member), _) => member,
        (None, None) => return Ok(Admission::NoRole),
        (None, Some(first)) => make(db, vouched, first, by)?,
    };
    for slug in &vouched.ruled {
        if let Some(organization) = find_organization(db, slug.as_deref())? {
            let role = roles.iter().find(|one| one.organization == organization).map(|one| one.role);
            follow(db, (member, organization), role, by)?;
        }
    }
    let member = members::get(db, member)?;
    if member.disabled_at.is_some() {
        return Ok(Admission::Disabled);
    }
    if roles.is_empty() {
        end_logins(db, member.id, &Ending::All, by)?;
        return Ok(Admission::NoRole);
    }
    Ok(Admission::In(member))
}

fn make(db: &dyn Sql, vouched: &Vouched, first: &Membership, by: &By) -> Result<MemberId> {
    if !members::any(db)? {
        return Err(StoreError::NotFound("owner of the box"));
    }
    let new = NewMember {
        name: vouched.name.clone(),
        // That of no password.
        password_hash: String::new(),
        organization: Some(first.organization),
        role: first.role,
    };
    let member = members::create(db, &new, by)?.id;
    db.run(
        "INSERT INTO identities (issuer, subject, member_id, created_at) VALUES ($1, $2, $3, $4)",
        &[
            vouched.identity.issuer.as_str().into(),
            vouched.identity.subject.as_str().into(),
            member.0.into(),
            by.at.0.into(),
        ],
    )?;
    Ok(member)
}

/// As [`members::set_role`], but an organization's last owner stays one.
fn follow(db: &dyn Sql, place: (MemberId, OrganizationId), role: Option<Role>, by: &By) -> Result<()> {
    let others = "SELECT count(*) FROM memberships WHERE organization_id = $1 AND role = 'owner' AND member_id <> $2";
    let is_owner = "SELECT count(*) FROM memberships WHERE organization_id = $1 AND role = 'owner' AND member_id = $2";
    let (member, organization) = place;
    let count = |sql| Ok::<_, StoreError>(db.value(sql, &[organization.0.into(), member.0.into()])?.int());
    if role != Some(Role::Owner) && count(is_owner)? > 0 && count(others)? == 0 {
        return Ok(());
    }
    members::set_role(db, place, role, by)
}

fn find_organization(db: &dyn Sql, slug: Option<&str>) -> Result<Option<OrganizationId>> {
    let found = match slug {
        Some(slug) => db.value("SELECT id FROM organizations WHERE slug = $1", &[slug.into()])?,
        None => db.value("SELECT min(id) FROM organizations", &[])?,
    };
    Ok(found.some_int().map(OrganizationId))
}

fn put_codes(db: &dyn Sql, member: MemberId, hashes: &[[u8; 32]]) -> Result<()> {
    db.run("DELETE FROM recovery_codes WHERE member_id = $1", &[member.0.into()])?;
    for hash in hashes {
        db.run("INSERT INTO recovery_codes (hash, member_id) VALUES ($1, $2)", &[hash.into(), member.0.into()])?;
    }
    Ok(())
}
