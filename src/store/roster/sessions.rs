//! Sessions of a timeline: looked up by their rows where events name them, by their pseudonyms where devices do.

use hashbrown::HashMap;

use super::Params;
use crate::model::{EnvironmentId, Millis, SessionHash, SessionName, SessionRow, UserHash};
use crate::store::Result;
use crate::store::sql::{Cell, Row, Sql};

/// Which session an item belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Of {
    /// By its row.
    Row(i64),
    /// By its pseudonym: its row need not be there.
    Hash([u8; 16]),
}

/// The sessions of those items, and where each of them is found.
pub(super) fn sessions(
    db: &dyn Sql,
    environment: EnvironmentId,
    wanted: &[Of],
    profile: Option<i64>,
) -> Result<(Vec<SessionRow>, HashMap<Of, usize>)> {
    let (mut sessions, mut places) = (Vec::new(), HashMap::new());
    let mut keep = |row: &Row| {
        let session = session(row);
        let hash = row.array(1).map(Of::Hash);
        let place = *places.entry(Of::Row(row.int(0))).or_insert(sessions.len());
        places.extend(hash.map(|hash| (hash, place)));
        if place == sessions.len() {
            sessions.push(session);
        }
    };
    let by = |of: fn(Of) -> Option<Cell>| wanted.iter().filter_map(|one| of(*one)).collect::<Vec<_>>();
    let rows = by(|of| if let Of::Row(row) = of { Some(Cell::Int(row)) } else { None });
    let hashes = by(|of| if let Of::Hash(hash) = of { Some(Cell::Uuid(hash)) } else { None });
    for (column, cells) in [("s.id", rows), ("s.hash", hashes)] {
        if !cells.is_empty() {
            let mut params = Params::default();
            let own = params.add(environment.0);
            let list = params.list(cells);
            let sql = format!("{SESSIONS} WHERE s.env_id = {own} AND {column} IN ({list})");
            db.rows(&sql, &params.0)?.iter().for_each(&mut keep);
        }
    }
    if let Some(profile) = profile {
        on_devices(db, profile, (&mut sessions, &mut places), wanted)?;
    }
    Ok((sessions, places))
}

/// Sessions with what [`session`] reads of them.
pub(super) const SESSIONS: &str = "SELECT s.id, s.hash, s.started_at, s.ended_at, s.events, v.text, b.text, y.text, w.text, \
     d.text, u.hash, s.crashed FROM sessions s JOIN facts f ON f.id = s.facts_id LEFT JOIN users u ON u.id = s.user_id \
     LEFT JOIN strings v ON v.id = f.version LEFT JOIN strings b ON b.id = f.build \
     LEFT JOIN strings y ON y.id = f.system LEFT JOIN strings w ON w.id = f.system_version \
     LEFT JOIN strings d ON d.id = f.device";

/// From a row of [`SESSIONS`].
pub(super) fn session(row: &Row) -> SessionRow {
    let (named, user) = (row.array(1).map(SessionHash), row.array(10).map(UserHash));
    let derived = user.map(|user| SessionName::Derived(user, Millis(row.int(2))));
    SessionRow {
        name: named.map(SessionName::Named).or(derived),
        user,
        crashed: row.int(11) != 0,
        started_at: Millis(row.int(2)),
        ended_at: Millis(row.int(3)),
        events: row.int(4),
        version: row.some_text(5),
        build: row.some_text(6),
        system: row.some_text(7),
        system_version: row.some_text(8),
        device: row.some_text(9),
    }
}
/// Adds what is known of sessions on devices: the device's name, and sessions that are known by nothing else.
fn on_devices(
    db: &dyn Sql,
    profile: i64,
    (sessions, places): (&mut Vec<SessionRow>, &mut HashMap<Of, usize>),
    wanted: &[Of],
) -> Result<()> {
    let mut hashes: Vec<[u8; 16]> = wanted
        .iter()
        .chain(places.keys())
        .filter_map(|of| if let Of::Hash(hash) = of { Some(*hash) } else { None })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.is_empty() {
        return Ok(());
    }
    let mut params = Params::default();
    let own = params.add(profile);
    let list = params.list(hashes.iter().map(Cell::from));
    let sql = format!(
        "SELECT s.hash, s.started_at, s.seen_at, d.name, v.name, b.number, d.platform, s.system_version \
         FROM device_sessions s LEFT JOIN devices d ON d.id = s.device_id LEFT JOIN versions v ON v.id = s.version_id \
         LEFT JOIN builds b ON b.id = s.build_id WHERE s.profile_id = {own} AND s.hash IN ({list})"
    );
    for row in db.rows(&sql, &params.0)? {
        let Some(hash) = row.array(0).map(Of::Hash) else { continue };
        let place = *places.entry(hash).or_insert(sessions.len());
        if place == sessions.len() {
            sessions.push(SessionRow {
                started_at: Millis(row.int(1)),
                ended_at: Millis(row.int(2)),
                system: row.some_text(6).map(|platform| platform.to_ascii_lowercase()),
                ..SessionRow::default()
            });
        }
        let session = &mut sessions[place];
        session.version = row.some_text(4).or(session.version.take());
        session.build = row.some_int(5).map(|build| build.to_string()).or(session.build.take());
        session.system_version = row.some_text(7).or(session.system_version.take());
        session.device = row.some_text(3).filter(|name| !name.is_empty()).or(session.device.take());
    }
    Ok(())
}
