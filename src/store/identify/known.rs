//! Devices and sessions as their events need them.

use super::super::Result;
use super::super::sql::{Row, Sql};
use super::uuid;
use crate::model::{About, EnvironmentId, KnownDevice, KnownSession, Platform};

/// The columns of [`about`], from a session `s` with its device `d`.
const ABOUT: &str = "d.platform, coalesce(s.system_version, d.system_version), d.kind, d.brand, v.name, b.number, \
                     s.sdk_name, s.sdk_version ";

/// The device that calls itself so, or has that public id.
pub(in crate::store) fn device(db: &dyn Sql, environment: EnvironmentId, named: &str) -> Result<Option<KnownDevice>> {
    let sql = |by: &str| {
        [
            "SELECT d.id, d.uuid, p.uuid, s.uuid, d.install_id, ",
            ABOUT,
            "FROM devices d LEFT JOIN profiles p ON p.id = d.profile_id AND p.env_id = d.env_id \
             LEFT JOIN device_sessions s ON s.id = (SELECT max(x.id) FROM device_sessions x WHERE x.device_id = d.id) \
             LEFT JOIN versions v ON v.id = s.version_id LEFT JOIN builds b ON b.id = s.build_id \
             WHERE d.env_id = $1 AND ",
            by,
        ]
        .concat()
    };
    let mut found = db.row(&sql("d.install_id = $2"), &[environment.0.into(), named.into()])?;
    if found.is_none()
        && let Ok(id) = uuid::Uuid::try_parse(named)
    {
        found = db.row(&sql("d.uuid = $2"), &[environment.0.into(), id.as_bytes().into()])?;
    }
    Ok(found.map(|row| KnownDevice {
        row: row.int(0),
        id: uuid(&row, 1),
        user: row.array(2).map(uuid::Uuid::from_bytes),
        session: row.array(3).map(uuid::Uuid::from_bytes),
        install_id: row.text(4),
        about: about(&row, 5),
    }))
}

/// The session of that public id, which may be over.
pub(in crate::store) fn session(
    db: &dyn Sql,
    environment: EnvironmentId,
    id: uuid::Uuid,
) -> Result<Option<KnownSession>> {
    let sql = [
        "SELECT s.uuid, p.uuid, s.device_id, d.install_id, ",
        ABOUT,
        "FROM device_sessions s JOIN devices d ON d.id = s.device_id LEFT JOIN profiles p ON p.id = s.profile_id \
         LEFT JOIN versions v ON v.id = s.version_id LEFT JOIN builds b ON b.id = s.build_id \
         WHERE s.env_id = $1 AND s.uuid = $2",
    ]
    .concat();
    let found = db.row(&sql, &[environment.0.into(), id.as_bytes().into()])?;
    Ok(found.map(|row| KnownSession {
        id: uuid(&row, 0),
        user: row.array(1).map(uuid::Uuid::from_bytes),
        device: row.int(2),
        install_id: row.text(3),
        about: about(&row, 4),
    }))
}

fn about(row: &Row, first: usize) -> About {
    let sdk = row.some_text(first + 6).map(|name| match row.some_text(first + 7) {
        Some(version) => [name, version].join("@"),
        None => name,
    });
    About {
        platform: Platform::parse(&row.text(first)).unwrap_or(Platform::Unknown),
        system_version: row.text(first + 1),
        kind: row.text(first + 2),
        brand: row.text(first + 3),
        version: row.text(first + 4),
        build: row.int(first + 5),
        sdk,
    }
}
