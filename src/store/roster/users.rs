//! Users: lists of them, and one whole.

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::{PROFILE, Params, cut, devices, folded, literal, profile};
use crate::model::{
    Cursor, CursorKey, EnvironmentId, Millis, Person, Profile, Seen, UserHash, UserList, UserRow, UserSort, UsersPage,
};
use crate::store::sql::{Cell, Row, Sql};
use crate::store::{Result, links};

/// How many profiles, and how many pseudonyms, a search looks at.
const MATCHES: usize = 1_000;

/// From how many hexadecimal digits on a search may mean an id: fewer of them are in too many ids.
const DIGITS: usize = 4;

/// Columns of a user, for [`user`].
const USER: &str = "SELECT hash, first_at, last_day, id FROM users ";

/// A page of users. There is no index by the last day: it would be written with nearly every first event of a day. A
/// walk over 200,000 users takes some hundredths of a second.
pub(in crate::store) fn users(db: &dyn Sql, page: &UsersPage) -> Result<UserList> {
    let search = folded(&page.search);
    let (mut rows, cut_short) = match search.is_empty() {
        true => (all(db, page)?, false),
        false => matching(db, page, &search)?,
    };
    let next =
        cut(&mut rows, page.limit, |row| Cursor { key: CursorKey::Number(sorted(row, page.sort)), id: row.hash.0 });
    let mut profiles = profiles(db, page.environment, rows.iter().map(|row| row.hash))?;
    for row in &mut rows {
        row.profile = profiles.remove(&row.hash.0).map(|(_, profile)| profile);
    }
    Ok(UserList { rows, next, cut: cut_short })
}

/// One user: what is known of them, and what they have.
pub(in crate::store) fn person(db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<Option<Person>> {
    let hash = links::root(db, environment, hash)?;
    let seen = seen(db, environment, hash)?;
    let profile = profiles(db, environment, [hash])?.remove(&hash.0);
    if seen.is_none() && profile.is_none() {
        return Ok(None);
    }
    let (mut had, mut push, mut sessions) = (Vec::new(), Vec::new(), 0);
    if let Some((row, _)) = &profile {
        (had, push) = devices::of_profile(db, environment, *row)?;
        let sql = "SELECT count(*) FROM device_sessions WHERE profile_id = $1";
        sessions = u64::try_from(db.value(sql, &[(*row).into()])?.int()).unwrap_or(0);
    }
    let earlier = links::names(db, environment, hash)?;
    Ok(Some(Person { hash, earlier, seen, profile: profile.map(|(_, profile)| profile), devices: had, push, sessions }))
}

/// A user's row and when they were seen; the last day is theirs, and so is the day of the first event, in any zone, or
/// the one after.
pub(super) struct Sighted {
    pub(super) row: i64,
    pub(super) first_day: i64,
    pub(super) last_day: i64,
    first_at: Millis,
}

/// The user of that pseudonym, if there was an event of theirs.
pub(super) fn sighted(db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<Option<Sighted>> {
    let hash = links::root(db, environment, hash)?;
    let found =
        db.row(&[USER, "WHERE env_id = $1 AND hash = $2"].concat(), &[environment.0.into(), Cell::Uuid(hash.0)])?;
    Ok(found.map(|row| Sighted {
        row: row.int(3),
        first_day: row.int(1).div_euclid(Millis::DAY) - 1,
        last_day: row.int(2),
        first_at: Millis(row.int(1)),
    }))
}

/// Their profile's row, if an app tells of them.
pub(super) fn profile_row(db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<Option<i64>> {
    let hash = links::root(db, environment, hash)?;
    Ok(profiles(db, environment, [hash])?.remove(&hash.0).map(|(row, _)| row))
}

/// Days between two, newest first, on which a user was seen, with the hours as bits. Each is one step into the table;
/// a condition on the user alone would read everybody's days.
pub(super) fn days(
    db: &dyn Sql,
    environment: EnvironmentId,
    user: i64,
    (first, last): (i64, i64),
) -> Result<Vec<(i32, u32)>> {
    let sql = "WITH RECURSIVE days(day) AS (SELECT $1 UNION ALL SELECT day - 1 FROM days WHERE day > $2) \
               SELECT day, (SELECT u.hours FROM user_days u WHERE u.env_id = $3 AND u.day = days.day AND u.user_id = $4) \
               FROM days";
    let rows = db.rows(sql, &[last.into(), first.into(), environment.0.into(), user.into()])?;
    let day = |row: &Row| Some((i32::try_from(row.int(0)).ok()?, u32::try_from(row.some_int(1)?).ok()?));
    let mut days: Vec<_> = rows.iter().filter_map(day).collect();
    days.sort_unstable_by_key(|(day, _)| Reverse(*day));
    Ok(days)
}

fn seen(db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<Option<Seen>> {
    let Some(user) = sighted(db, environment, hash)? else { return Ok(None) };
    let days = days(db, environment, user.row, (user.first_day, user.last_day))?.len() as u64;
    let last_day = i32::try_from(user.last_day).unwrap_or(i32::MAX);
    Ok(Some(Seen { first_at: user.first_at, last_day, days }))
}

/// The next of all users, one more than the page has.
fn all(db: &dyn Sql, page: &UsersPage) -> Result<Vec<UserRow>> {
    let column = match page.sort {
        UserSort::LastSeen => "last_day",
        UserSort::FirstSeen => "first_at",
    };
    let mut params = Params::default();
    // The sign keeps SQLite off an index that does not help with the order.
    let mut sql = format!("{USER} WHERE +env_id = {}", params.add(page.environment.0));
    if let Some(after) = &page.after {
        let key = params.add(&after.key);
        sql += &format!(" AND ({column}, hash) < ({key}, {})", params.add(Cell::Uuid(after.id)));
    }
    sql += &format!(" ORDER BY {column} DESC, hash DESC LIMIT {}", params.add(i64::from(page.limit) + 1));
    Ok(db.rows(&sql, &params.0)?.iter().map(user).collect())
}

/// The users behind the cursor whom a search finds, and whether there are more than it looks at.
fn matching(db: &dyn Sql, page: &UsersPage, search: &str) -> Result<(Vec<UserRow>, bool)> {
    let environment = page.environment.0;
    let wanted = i64::try_from(MATCHES + 1).unwrap_or(i64::MAX);
    let mut hashes: Vec<[u8; 16]> = Vec::new();
    let named = db.rows(
        r"SELECT hash FROM profiles WHERE +env_id = $1 AND (lower(identifier) LIKE $2 ESCAPE '\' OR lower(email) LIKE $2 ESCAPE '\' OR lower(name) LIKE $2 ESCAPE '\') ORDER BY id DESC LIMIT $3",
        &[environment.into(), format!("%{}%", literal(search)).as_str().into(), wanted.into()],
    )?;
    let mut cut_short = named.len() > MATCHES;
    hashes.extend(named.iter().take(MATCHES).filter_map(|row| row.array(0)));
    let mut found = HashMap::new();
    if let Some((first, last)) = id_range(search) {
        let sql = "SELECT hash FROM profiles WHERE env_id = $1 AND uuid >= $2 AND uuid <= $3 ORDER BY uuid LIMIT $4";
        let ids = db.rows(sql, &[environment.into(), (&first).into(), (&last).into(), wanted.into()])?;
        cut_short |= ids.len() > MATCHES;
        hashes.extend(ids.iter().take(MATCHES).filter_map(|row| row.array(0)));
        let sql = [USER, "WHERE env_id = $1 AND hash >= $2 AND hash <= $3 ORDER BY hash LIMIT $4"].concat();
        let users = db.rows(&sql, &[environment.into(), Cell::Uuid(first), Cell::Uuid(last), wanted.into()])?;
        cut_short |= users.len() > MATCHES;
        found.extend(users.iter().take(MATCHES).map(user).map(|user| (user.hash.0, user)));
        let sql = "SELECT into_hash FROM links WHERE env_id = $1 AND hash >= $2 AND hash <= $3 ORDER BY hash LIMIT $4";
        let linked =
            db.rows(sql, &[environment.into(), Cell::Uuid(first), Cell::Uuid(last), (MATCHES as i64).into()])?;
        hashes.extend(linked.iter().filter_map(|row| row.array(0)));
    }
    if !hashes.is_empty() {
        let mut params = Params::default();
        let own = params.add(environment);
        let list = params.list(hashes.into_iter().map(Cell::Uuid));
        let sql = format!("{USER} WHERE env_id = {own} AND hash IN ({list})");
        found.extend(db.rows(&sql, &params.0)?.iter().map(user).map(|user| (user.hash.0, user)));
    }
    let mut rows: Vec<_> = found.into_values().collect();
    if let Some(Cursor { key: CursorKey::Number(key), id }) = page.after {
        rows.retain(|row| (sorted(row, page.sort), row.hash.0) < (key, id));
    }
    rows.sort_unstable_by_key(|row| Reverse((sorted(row, page.sort), row.hash.0)));
    Ok((rows, cut_short))
}

/// The ids that begin with those digits, first and last; `None` for what cannot be meant as an id.
fn id_range(search: &str) -> Option<([u8; 16], [u8; 16])> {
    let digits: String = search.chars().filter(|c| *c != '-').collect();
    if !(DIGITS..=32).contains(&digits.len()) || !search.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return None;
    }
    let filled = |with: &str| {
        let mut id = [0; 16];
        let text = format!("{digits}{}", with.repeat(32 - digits.len()));
        hex::decode_to_slice(text, &mut id).ok().map(|()| id)
    };
    filled("0").zip(filled("f"))
}

/// What apps tell of users, by pseudonym, with the rows of it; of several rows for one user the newest.
fn profiles(
    db: &dyn Sql,
    environment: EnvironmentId,
    users: impl IntoIterator<Item = UserHash>,
) -> Result<HashMap<[u8; 16], (i64, Profile)>> {
    let mut params = Params::default();
    let own = params.add(environment.0);
    let list = params.list(users.into_iter().map(|hash| Cell::from(&hash.0)));
    if list.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT p.hash, p.id, {PROFILE} FROM profiles p WHERE p.env_id = {own} AND p.hash IN ({list}) ORDER BY p.id"
    );
    let rows = db.rows(&sql, &params.0)?;
    Ok(rows.iter().filter_map(|row| Some((row.array(0)?, (row.int(1), profile(row, 2)?)))).collect())
}

fn sorted(row: &UserRow, sort: UserSort) -> i64 {
    match sort {
        UserSort::LastSeen => row.last_day.into(),
        UserSort::FirstSeen => row.first_at.0,
    }
}

/// From a row of [`USER`].
fn user(row: &Row) -> UserRow {
    UserRow {
        hash: UserHash(row.array(0).unwrap_or_default()),
        first_at: Millis(row.int(1)),
        last_day: i32::try_from(row.int(2)).unwrap_or_default(),
        profile: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_an_id_is_looked_for_as_one() {
        let first =
            |text: &str| id_range(text).map(|(first, last)| (hex::encode(&first[..4]), hex::encode(&last[..4])));
        let range = |first: &str, last: &str| Some((first.to_owned(), last.to_owned()));
        assert_eq!(first("3f2a9"), range("3f2a9000", "3f2a9fff"));
        assert_eq!(first("6f1d0b52-6c0a"), range("6f1d0b52", "6f1d0b52"));
        for text in ["ada", "3f2", "user-123", "3f2g", "", "-", &"a".repeat(33)] {
            assert_eq!(first(text), None, "{text}");
        }
    }
}
