//! The session of an identify: taken up again, or begun (`teardown`, section 7.2).

use uuid::Uuid;

use super::super::Result;
use super::super::sql::{Row, Sql};
use super::uuid;
use super::version::BuildIds;
use crate::model::{EnvironmentId, Identify, Millis, SessionHash};

/// Where a session takes place.
pub(super) struct Seat {
    pub(super) environment: EnvironmentId,
    pub(super) device: i64,
    pub(super) profile: i64,
    pub(super) build: BuildIds,
    pub(super) facts: i64,
}

/// A session that is there.
pub(super) struct Newest {
    row: i64,
    id: Uuid,
    hash: SessionHash,
    profile: i64,
    build: i64,
    issued_at: i64,
    token_expires_at: i64,
    expires_at: Millis,
}

/// The session that an installation is told.
pub(super) struct Settled {
    pub(super) id: Uuid,
    pub(super) hash: SessionHash,
    /// In seconds.
    pub(super) issued_at: i64,
    /// In seconds.
    pub(super) token_expires_at: i64,
    pub(super) is_new: bool,
}

impl Newest {
    /// The session in the columns from `first` on, if there is one.
    pub(super) fn read(row: &Row, first: usize) -> Option<Self> {
        Some(Self {
            row: row.some_int(first)?,
            id: uuid(row, first + 1),
            hash: SessionHash(row.array(first + 2)?),
            profile: row.int(first + 3),
            build: row.int(first + 4),
            issued_at: row.int(first + 5),
            token_expires_at: row.int(first + 6),
            expires_at: Millis(row.int(first + 7)),
        })
    }

    /// Whether the device is still in it.
    fn goes_on(&self, seat: &Seat, now: Millis) -> bool {
        self.expires_at > now && self.profile == seat.profile && self.build == seat.build.build
    }
}

/// Takes up the session that the client names, or else the device's newest one, where that goes on; begins one otherwise.
/// An older one that was left for another build or user is history even while it lives, and is taken up only by name:
/// a device is in one session (`teardown`, sections 7.2 and 12).
pub(super) fn settle(
    db: &dyn Sql,
    seat: &Seat,
    newest: Option<Newest>,
    identify: &Identify,
    now: Millis,
) -> Result<Settled> {
    let named = match identify.session {
        Some(id) if newest.as_ref().is_some_and(|newest| newest.id != id) => find(db, seat.device, id)?,
        _ => None,
    };
    let there = named.filter(|named| named.goes_on(seat, now)).or(newest);
    match there.filter(|there| there.goes_on(seat, now)) {
        Some(there) => take_up(db, &there, identify, now),
        None => begin(db, seat, identify, now),
    }
}

fn find(db: &dyn Sql, device: i64, id: Uuid) -> Result<Option<Newest>> {
    let sql = "SELECT id, uuid, hash, profile_id, build_id, issued_at, token_expires_at, expires_at \
               FROM device_sessions WHERE uuid = $1 AND device_id = $2";
    Ok(db.row(sql, &[id.as_bytes().into(), device.into()])?.and_then(|row| Newest::read(&row, 0)))
}

/// Moves the session's end, and issues a token anew where the old one would expire before.
fn take_up(db: &dyn Sql, there: &Newest, identify: &Identify, now: Millis) -> Result<Settled> {
    let expires_at = there.expires_at.max(now.plus(identify.times.extend));
    let (issued_at, token_expires_at) = if there.token_expires_at * Millis::SECOND < expires_at.0 {
        token(identify, now)
    } else {
        (there.issued_at, there.token_expires_at)
    };
    db.run(
        "UPDATE device_sessions SET expires_at = $1, issued_at = $2, token_expires_at = $3, seen_at = $4 WHERE id = $5",
        &[expires_at.0.into(), issued_at.into(), token_expires_at.into(), now.0.into(), there.row.into()],
    )?;
    Ok(Settled { id: there.id, hash: there.hash, issued_at, token_expires_at, is_new: false })
}

fn begin(db: &dyn Sql, seat: &Seat, identify: &Identify, now: Millis) -> Result<Settled> {
    let (id, hash) = identify.new_session;
    let (issued_at, token_expires_at) = token(identify, now);
    db.run(
        "INSERT INTO device_sessions (env_id, uuid, hash, device_id, profile_id, version_id, build_id, facts_id, \
         issued_at, token_expires_at, expires_at, started_at, seen_at, system_version, sdk_name, sdk_version, ota) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        &[
            seat.environment.0.into(),
            id.as_bytes().into(),
            (&hash.0).into(),
            seat.device.into(),
            seat.profile.into(),
            seat.build.version.into(),
            seat.build.build.into(),
            seat.facts.into(),
            issued_at.into(),
            token_expires_at.into(),
            now.plus(identify.times.session).0.into(),
            now.0.into(),
            now.0.into(),
            identify.system_version.as_str().into(),
            identify.sdk_name.as_deref().into(),
            identify.sdk_version.as_deref().into(),
            identify.ota.as_deref().into(),
        ],
    )?;
    Ok(Settled { id, hash, issued_at, token_expires_at, is_new: true })
}

/// When a token of now is issued and expires, in seconds.
fn token(identify: &Identify, now: Millis) -> (i64, i64) {
    let issued_at = now.seconds();
    (issued_at, issued_at + identify.times.token / Millis::SECOND)
}
