//! What a user did, in time order: events, and the beginnings of sessions on devices.

use std::cmp::Reverse;

use super::cut;
use super::sessions::{Of, sessions};
use super::users::profile_row;
use super::walk::{Bound, Found, Walk};
use crate::model::{Cursor, CursorKey, Millis, Timeline, TimelineItem, TimelinePage};
use crate::store::Result;
use crate::store::sql::{Row, Sql};

/// A stretch of a user's items.
pub(in crate::store) fn timeline(db: &dyn Sql, page: &TimelinePage) -> Result<Timeline> {
    let profile = profile_row(db, page.environment, page.user)?;
    let mut walk = Walk::new(db, page);
    let stopped = walk.run()?;
    let mut found = walk.found;
    if let Some(profile) = profile {
        found.extend(beginnings(db, page, profile)?);
    }
    found.sort_unstable_by_key(|item| Reverse(item.place()));
    if let Some(stop) = stopped {
        found.retain(|item| item.item.at >= stop);
    }
    let place = |found: &Found| Cursor { key: CursorKey::Number(found.item.at.0), id: found.item.id };
    let next = cut(&mut found, page.limit, place).or(stopped.map(Cursor::before));
    let wanted: Vec<Of> = found.iter().filter_map(|found| found.session).collect();
    let (sessions, places) = sessions(db, page.environment, &wanted, profile)?;
    let placed =
        |found: Found| TimelineItem { session: found.session.and_then(|of| places.get(&of).copied()), ..found.item };
    Ok(Timeline { items: found.into_iter().map(placed).collect(), sessions, next })
}

/// The beginnings of sessions on devices, also of those without any event.
fn beginnings(db: &dyn Sql, page: &TimelinePage, profile: i64) -> Result<Vec<Found>> {
    let bound = Bound::of(page.before.as_ref());
    let sql = "SELECT started_at, uuid, hash FROM device_sessions WHERE profile_id = $1 AND (started_at, uuid) < ($2, $3) \
               ORDER BY started_at DESC, uuid DESC LIMIT $4";
    let params = [profile.into(), bound.at.into(), (&bound.id).into(), (i64::from(page.limit) + 1).into()];
    let begun = |row: &Row| Found {
        item: TimelineItem { at: Millis(row.int(0)), id: row.array(1).unwrap_or_default(), event: None, session: None },
        session: row.array(2).map(Of::Hash),
    };
    Ok(db.rows(sql, &params)?.iter().map(begun).collect())
}
