//! Whose device it is: somebody the app has named, or nobody known yet (`teardown`, section 6, step 5).

use uuid::Uuid;

use super::super::sql::{Cell, Row, Sql};
use super::super::{Result, StoreError};
use super::uuid;
use crate::model::{EnvironmentId, Identify, Millis, UserHash};

/// A row of `profiles`.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) row: i64,
    pub(super) id: Uuid,
    pub(super) hash: UserHash,
    identifier: Option<String>,
    email: Option<String>,
    name: Option<String>,
}

const PROFILE: &str = "SELECT id, uuid, hash, identifier, email, name FROM profiles ";

/// The profile in the columns from `first` on, if there is one.
pub(super) fn read(row: &Row, first: usize) -> Option<Profile> {
    Some(Profile {
        row: row.some_int(first)?,
        id: uuid(row, first + 1),
        hash: UserHash(row.array(first + 2)?),
        identifier: row.some_text(first + 3),
        email: row.some_text(first + 4),
        name: row.some_text(first + 5),
    })
}

/// The user of a device that had `had`, and whether they are new. Who is not named stays who they were: at every start
/// clients identify without a name.
pub(super) fn settle(
    db: &dyn Sql,
    environment: EnvironmentId,
    identify: &Identify,
    had: Option<Profile>,
    now: Millis,
) -> Result<(Profile, bool)> {
    let Some(identifier) = &identify.identifier else {
        return match had {
            Some(profile) => Ok((tell(db, profile, identify, now)?, false)),
            None => make(db, environment, identify, now),
        };
    };
    if let Some(profile) = &had
        && profile.identifier.as_ref() == Some(identifier)
    {
        return Ok((tell(db, profile.clone(), identify, now)?, false));
    }
    if let Some(profile) = find(db, environment, identifier)? {
        return Ok((tell(db, profile, identify, now)?, false));
    }
    match had {
        // Where another node names somebody so at the same moment, the unique key lets one commit run again.
        Some(nobody) if nobody.identifier.is_none() => {
            let sql = "UPDATE profiles SET identifier = $1, updated_at = $2 WHERE id = $3";
            db.run(sql, &[identifier.as_str().into(), now.0.into(), nobody.row.into()])?;
            let named = Profile { identifier: Some(identifier.clone()), ..nobody };
            Ok((tell(db, named, identify, now)?, false))
        }
        _ => make(db, environment, identify, now),
    }
}

/// Deletes somebody whom nobody has named and who has no device any more.
pub(super) fn forget_nobody(db: &dyn Sql, profile: &Profile) -> Result<()> {
    if profile.identifier.is_none() {
        let sql = "DELETE FROM profiles WHERE id = $1 AND identifier IS NULL \
                   AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.profile_id = $1)";
        db.run(sql, &[profile.row.into()])?;
    }
    Ok(())
}

fn find(db: &dyn Sql, environment: EnvironmentId, identifier: &str) -> Result<Option<Profile>> {
    let sql = [PROFILE, "WHERE env_id = $1 AND identifier = $2"].concat();
    Ok(db.row(&sql, &[environment.0.into(), identifier.into()])?.and_then(|row| read(&row, 0)))
}

/// Writes down the address and the name that were told, where they are new.
fn tell(db: &dyn Sql, profile: Profile, identify: &Identify, now: Millis) -> Result<Profile> {
    let email = identify.email.clone().or_else(|| profile.email.clone());
    let name = identify.name.clone().or_else(|| profile.name.clone());
    if (&email, &name) == (&profile.email, &profile.name) {
        return Ok(profile);
    }
    let sql = "UPDATE profiles SET email = $1, name = $2, updated_at = $3 WHERE id = $4";
    let told = |text: &Option<String>| Cell::from(text.as_deref());
    db.run(sql, &[told(&email), told(&name), now.0.into(), profile.row.into()])?;
    Ok(Profile { email, name, ..profile })
}

/// A new user, or the one of that name who came first.
fn make(db: &dyn Sql, environment: EnvironmentId, identify: &Identify, now: Millis) -> Result<(Profile, bool)> {
    let (id, hash) = identify.new_user;
    let made = db.row(
        "INSERT INTO profiles (env_id, uuid, hash, identifier, email, name, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id",
        &[
            environment.0.into(),
            id.as_bytes().into(),
            (&hash.0).into(),
            identify.identifier.as_deref().into(),
            identify.email.as_deref().into(),
            identify.name.as_deref().into(),
            now.0.into(),
            now.0.into(),
        ],
    )?;
    if let Some(row) = made {
        let Identify { identifier, email, name, .. } = identify.clone();
        return Ok((Profile { row: row.int(0), id, hash, identifier, email, name }, true));
    }
    let first = match &identify.identifier {
        Some(identifier) => find(db, environment, identifier)?,
        None => None,
    };
    let first = first.ok_or_else(|| StoreError::Unexpected("a user is there and is not".to_owned()))?;
    Ok((tell(db, first, identify, now)?, false))
}
