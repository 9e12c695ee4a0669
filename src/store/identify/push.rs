//! Addresses for messages to a device (`teardown`, section 9). Nothing is sent.

use super::super::Result;
use super::super::sql::Sql;
use crate::model::{EnvironmentId, Millis, PushPlatform};

/// Notes what a device says: an address moves to it and is its only active one of that platform; without one, none is.
pub(super) fn note(
    db: &dyn Sql,
    (environment, device, profile): (EnvironmentId, i64, i64),
    (platform, token): (PushPlatform, Option<&str>),
    now: Millis,
) -> Result<()> {
    let platform = platform.as_str();
    if let Some(token) = token {
        db.run(
            "INSERT INTO push_tokens (env_id, platform, token, device_id, profile_id, active, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, 1, $6, $7) ON CONFLICT (env_id, platform, token) DO UPDATE SET \
             device_id = excluded.device_id, profile_id = excluded.profile_id, active = 1, \
             updated_at = excluded.updated_at WHERE push_tokens.device_id <> excluded.device_id \
             OR push_tokens.profile_id <> excluded.profile_id OR push_tokens.active = 0",
            &[
                environment.0.into(),
                platform.into(),
                token.into(),
                device.into(),
                profile.into(),
                now.0.into(),
                now.0.into(),
            ],
        )?;
    }
    db.run(
        "UPDATE push_tokens SET active = 0, updated_at = $1 \
         WHERE device_id = $2 AND platform = $3 AND token <> $4 AND active = 1",
        &[now.0.into(), device.into(), platform.into(), token.unwrap_or_default().into()],
    )?;
    Ok(())
}
