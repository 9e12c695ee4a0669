//! The device of an identify: found by what it calls itself, or made, with its user.

use uuid::Uuid;

use super::super::Result;
use super::super::sql::{Row, Sql};
use super::session::Newest;
use super::user::{self, Profile};
use super::uuid;
use crate::model::{EnvironmentId, Identify, Millis};

/// A device that has identified itself.
pub(super) struct Device {
    pub(super) row: i64,
    pub(super) id: Uuid,
    pub(super) profile: Profile,
    pub(super) newest: Option<Newest>,
    pub(super) is_new: bool,
    pub(super) new_user: bool,
}

/// Finds the device and notes what it tells of itself, or makes it. The row of a known one is locked by that.
pub(super) fn settle(db: &dyn Sql, environment: EnvironmentId, identify: &Identify, now: Millis) -> Result<Device> {
    if let Some((row, id)) = touch(db, environment, identify, now)? {
        return known(db, environment, identify, (row, id), now);
    }
    let (profile, new_user) = user::settle(db, environment, identify, None, now)?;
    let made = insert(db, environment, identify, profile.row, now)?;
    let Some(row) = made else {
        // Another node was first: its user counts, and one that was made here for nobody goes.
        user::forget_nobody(db, &profile)?;
        let found = touch(db, environment, identify, now)?;
        return match found {
            Some(found) => known(db, environment, identify, found, now),
            None => Err(super::super::StoreError::Unexpected("a device is there and is not".to_owned())),
        };
    };
    Ok(Device { row, id: identify.new_device, profile, newest: None, is_new: true, new_user })
}

fn known(
    db: &dyn Sql,
    environment: EnvironmentId,
    identify: &Identify,
    (row, id): (i64, Uuid),
    now: Millis,
) -> Result<Device> {
    let state = db.row(
        "SELECT p.id, p.uuid, p.hash, p.identifier, p.email, p.name, \
         s.id, s.uuid, s.hash, s.profile_id, s.build_id, s.issued_at, s.token_expires_at, s.expires_at \
         FROM devices d LEFT JOIN profiles p ON p.id = d.profile_id AND p.env_id = d.env_id \
         LEFT JOIN device_sessions s ON s.id = (SELECT max(x.id) FROM device_sessions x WHERE x.device_id = d.id) \
         WHERE d.id = $1",
        &[row.into()],
    )?;
    let had = state.as_ref().and_then(|state| user::read(state, 0));
    let newest = state.as_ref().and_then(|state| Newest::read(state, 6));
    let was = had.clone();
    let (profile, new_user) = user::settle(db, environment, identify, had, now)?;
    if was.as_ref().is_none_or(|was| was.row != profile.row) {
        db.run("UPDATE devices SET profile_id = $1 WHERE id = $2", &[profile.row.into(), row.into()])?;
        if let Some(was) = was {
            user::forget_nobody(db, &was)?;
        }
    }
    Ok(Device { row, id, profile, newest, is_new: false, new_user })
}

/// Notes what a device tells of itself; its row and public id, if it is there.
fn touch(db: &dyn Sql, environment: EnvironmentId, identify: &Identify, now: Millis) -> Result<Option<(i64, Uuid)>> {
    let found = db.row(
        "UPDATE devices SET platform = $1, system_name = $2, system_version = $3, name = $4, kind = $5, brand = $6, \
         seen_at = $7 WHERE env_id = $8 AND install_id = $9 RETURNING id, uuid",
        &[
            identify.platform.as_str().into(),
            identify.system_name.as_str().into(),
            identify.system_version.as_str().into(),
            identify.device_name.as_str().into(),
            identify.device_kind.as_str().into(),
            identify.device_brand.as_str().into(),
            now.0.into(),
            environment.0.into(),
            identify.install_id.as_str().into(),
        ],
    )?;
    Ok(found.map(|row: Row| (row.int(0), uuid(&row, 1))))
}

/// Its row; `None` where another one of that name came first.
fn insert(
    db: &dyn Sql,
    environment: EnvironmentId,
    identify: &Identify,
    profile: i64,
    now: Millis,
) -> Result<Option<i64>> {
    let made = db.row(
        "INSERT INTO devices (env_id, install_id, uuid, profile_id, platform, system_name, system_version, name, kind, \
         brand, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (env_id, install_id) DO NOTHING RETURNING id",
        &[
            environment.0.into(),
            identify.install_id.as_str().into(),
            identify.new_device.as_bytes().into(),
            profile.into(),
            identify.platform.as_str().into(),
            identify.system_name.as_str().into(),
            identify.system_version.as_str().into(),
            identify.device_name.as_str().into(),
            identify.device_kind.as_str().into(),
            identify.device_brand.as_str().into(),
            now.0.into(),
            now.0.into(),
        ],
    )?;
    Ok(made.map(|row| row.int(0)))
}

/// Ends the device's session and takes it from its user, if that is somebody known: the next identify that names nobody
/// must not bring them back (`teardown`, section 10.4).
pub(super) fn sign_out(db: &dyn Sql, device: i64, now: Millis) -> Result<()> {
    let ended = "UPDATE device_sessions SET expires_at = $1 WHERE device_id = $2 AND expires_at > $1";
    db.run(ended, &[now.0.into(), device.into()])?;
    let detached = "UPDATE devices SET profile_id = NULL WHERE id = $1 \
                    AND profile_id IN (SELECT p.id FROM profiles p WHERE p.id = profile_id AND p.identifier IS NOT NULL)";
    db.run(detached, &[device.into()])?;
    Ok(())
}
