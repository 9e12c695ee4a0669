//! Installations that say who they are: version, device, user and session of each, found or made (`teardown`, section
//! 6). It runs inside the commit, so what is answered is on the disk, and it is written once for every backend.

mod device;
mod known;
mod push;
mod session;
mod user;
mod version;

use std::sync::Arc;

use hashbrown::HashMap;

use self::device::Device;
use self::version::BuildIds;
use super::sql::Sql;
use super::{Draft, Result};
use crate::model::{Created, Identified, Identify, Millis, SessionHash, UserHash, VersionInfo};
use crate::rollup::InternedFacts;

pub(super) use known::{device, session};
pub(super) use version::VersionIds;

/// What became of one identify, and whom it lets the summaries see.
#[derive(Clone, Debug)]
pub(super) struct Greeted {
    pub(super) identified: Identified,
    pub(super) user: UserHash,
    pub(super) session: SessionHash,
    /// The device's row.
    pub(super) device: i64,
    pub(super) facts: Arc<InternedFacts>,
}

/// Does what the drafts ask of devices: one answer for each draft, none where it does not identify or its key does not
/// work any more. `facts` are those of each that identifies, in order. What `ids` learns here is true only if the
/// transaction is committed.
pub(super) fn greet(
    db: &dyn Sql,
    ids: &mut VersionIds,
    drafts: &[Draft],
    facts: &[Arc<InternedFacts>],
) -> Result<Vec<Option<Greeted>>> {
    let mut keys = HashMap::new();
    let mut asked = Vec::with_capacity(drafts.len());
    // All versions come before any device: whoever makes one waits for the directory's lock, which must not happen with
    // rows in hand that the lock's holder may want.
    for draft in drafts {
        let works = (draft.identify.is_some() || draft.sign_out.is_some()) && key_works(db, &mut keys, draft)?;
        asked.push(match &draft.identify {
            Some(identify) if works => (works, Some(ids.find(db, draft.app.id, identify, draft.received_at)?)),
            _ => (works, None),
        });
    }
    let mut facts = facts.iter();
    let mut judged = HashMap::new();
    let mut greeted = Vec::with_capacity(drafts.len());
    for (draft, (works, build)) in drafts.iter().zip(asked) {
        let facts = draft.identify.as_ref().and_then(|_| facts.next());
        if let Some(device) = draft.sign_out.filter(|_| works) {
            device::sign_out(db, device, draft.received_at)?;
        }
        greeted.push(match (&draft.identify, build, facts) {
            (Some(identify), Some(build), Some(facts)) => {
                // Whoever asks after a change was answered stands in a later commit than the ones here.
                let key = (draft.app.id, identify.version.as_str(), identify.build, identify.platform);
                let version = match judged.get(&key) {
                    Some(known) => VersionInfo::clone(known),
                    None => version::judge(db, draft.app.id, build, identify)?,
                };
                judged.insert(key, version.clone());
                Some(one(db, ids, draft, (identify, build, version), facts)?)
            }
            _ => None,
        });
    }
    Ok(greeted)
}

fn one(
    db: &dyn Sql,
    ids: &mut VersionIds,
    draft: &Draft,
    (identify, build, version): (&Identify, BuildIds, VersionInfo),
    facts: &Arc<InternedFacts>,
) -> Result<Greeted> {
    let (environment, now) = (draft.environment, draft.received_at);
    let Device { row, id, profile, newest, is_new, new_user } = device::settle(db, environment, identify, now)?;
    if let Some((platform, token)) = &identify.push {
        push::note(db, (environment, row, profile.row), (*platform, token.as_deref()), now)?;
    }
    let seat = session::Seat { environment, device: row, profile: profile.row, build, facts: facts.id };
    let session = session::settle(db, &seat, newest, identify, now)?;
    if session.is_new {
        ids.note_first_session(db, draft.app.id, now)?;
    }
    let identified = Identified {
        session: session.id,
        device: id,
        user: profile.id,
        issued_at: session.issued_at,
        token_expires_at: session.token_expires_at,
        version,
        created: Created { session: session.is_new, user: new_user, device: is_new },
    };
    Ok(Greeted { identified, user: profile.hash, session: session.hash, device: row, facts: facts.clone() })
}

/// Whether the draft's key still works, where it has one.
pub(super) fn key_works(db: &dyn Sql, known: &mut HashMap<i64, Option<Millis>>, draft: &Draft) -> Result<bool> {
    let Some(key) = draft.key else { return Ok(true) };
    let revoked_at = match known.get(&key.0) {
        Some(revoked_at) => *revoked_at,
        None => {
            let row = db.row("SELECT revoked_at FROM ingest_keys WHERE id = $1", &[key.0.into()])?;
            let revoked_at = row.map_or(Some(Millis(i64::MIN)), |row| row.some_int(0).map(Millis));
            known.insert(key.0, revoked_at);
            revoked_at
        }
    };
    Ok(revoked_at.is_none_or(|at| draft.received_at < at))
}

/// A public id as it is kept.
fn uuid(row: &super::sql::Row, column: usize) -> uuid::Uuid {
    uuid::Uuid::from_bytes(row.array(column).unwrap_or_default())
}
