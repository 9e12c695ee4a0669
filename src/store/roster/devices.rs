//! Devices: lists of them, those of a person, and where messages for them go.

use uuid::Uuid;

use super::{PROFILE, Params, cut, folded, literal, profile};
use crate::model::{
    Cursor, CursorKey, DeviceList, DeviceRow, DeviceSort, DevicesPage, EnvironmentId, Millis, PushRow, UserHash,
};
use crate::store::Result;
use crate::store::sql::{Cell, Row, Sql};

/// How many devices of one person are told.
const OF_ONE: i64 = 100;

/// A page of devices.
pub(in crate::store) fn devices(db: &dyn Sql, page: &DevicesPage) -> Result<DeviceList> {
    let mut params = Params::default();
    // The sign keeps SQLite off indexes that do not help with the order: a walk over the table is faster.
    let sign = if page.sort == DeviceSort::LastSeen { "" } else { "+" };
    let mut condition = format!("{sign}d.env_id = {}", params.add(page.environment.0));
    let search = folded(&page.search);
    if !search.is_empty() {
        let inside = params.add(format!("%{}%", literal(&search)).as_str());
        let columns = ["d.name", "d.brand", "d.platform", "d.system_name || ' ' || d.system_version"];
        let mut places: Vec<_> =
            columns.iter().map(|text| format!(r"lower({text}) LIKE {inside} ESCAPE '\'")).collect();
        let begins = params.add(format!("{}%", literal(&search)).as_str());
        places.push(format!(r"lower(d.install_id) LIKE {begins} ESCAPE '\'"));
        condition += &format!(" AND ({})", places.join(" OR "));
    }
    let order = Order::of(page.sort);
    if let Some(after) = &page.after {
        let key = params.add(&after.key);
        let behind = if order.down == "DESC" { "<" } else { ">" };
        condition += &format!(" AND ({}, d.uuid) {behind} ({key}, {})", order.key, params.add(&after.id));
    }
    let found = rows(db, &condition, &order, params, i64::from(page.limit) + 1)?;
    let mut found: Vec<_> = found.iter().map(|row| (device(row), key(row, page.sort))).collect();
    let next = cut(&mut found, page.limit, |(device, key)| Cursor { key: key.clone(), id: *device.id.as_bytes() });
    Ok(DeviceList { rows: found.into_iter().map(|(device, _)| device).collect(), next })
}

/// The devices of the profile of that row, the last seen first, and where messages for them go.
pub(super) fn of_profile(db: &dyn Sql, environment: EnvironmentId, row: i64) -> Result<(Vec<DeviceRow>, Vec<PushRow>)> {
    let mut params = Params::default();
    // The sign, again: the index by time would be walked through to find one person's.
    let condition = format!("d.profile_id = {} AND +d.env_id = {}", params.add(row), params.add(environment.0));
    let found = rows(db, &condition, &Order::of(DeviceSort::LastSeen), params, OF_ONE)?;
    if found.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut params = Params::default();
    let ids = params.list(found.iter().map(|row| Cell::Int(row.int(ROW))));
    let sql = format!(
        "SELECT d.uuid, t.platform, substr(t.token, 1, 8), t.active FROM push_tokens t JOIN devices d ON d.id = t.device_id \
         WHERE t.device_id IN ({ids}) ORDER BY t.active DESC, t.updated_at DESC, t.id DESC LIMIT 1000"
    );
    let push = |row: &Row| PushRow {
        device: Uuid::from_bytes(row.array(0).unwrap_or_default()),
        platform: row.text(1),
        hint: row.text(2),
        active: row.int(3) != 0,
    };
    let push = db.rows(&sql, &params.0)?.iter().map(push).collect();
    Ok((found.iter().map(device).collect(), push))
}

/// How a list is sorted, as SQL.
struct Order {
    key: &'static str,
    down: &'static str,
}

impl Order {
    fn of(sort: DeviceSort) -> Self {
        let (key, down) = match sort {
            DeviceSort::LastSeen => ("d.seen_at", "DESC"),
            DeviceSort::FirstSeen => ("d.created_at", "DESC"),
            DeviceSort::Name => ("lower(d.name)", "ASC"),
            DeviceSort::Platform => ("d.platform || ' ' || lower(d.name)", "ASC"),
        };
        Self { key, down }
    }
}

/// Places of columns that [`rows`] gives.
const USER: usize = 10;
const VERSION: usize = 15;
const KEY: usize = 17;
const ROW: usize = 18;

/// Devices under a condition, with their users and the versions of their newest sessions: those are looked up for the
/// rows that are wanted, not for all that are sorted.
fn rows(db: &dyn Sql, condition: &str, order: &Order, mut params: Params, limit: i64) -> Result<Vec<Row>> {
    let Order { key, down } = order;
    let sql = format!(
        "SELECT d.uuid, d.install_id, d.platform, d.system_name, d.system_version, d.name, d.kind, d.brand, \
         d.created_at, d.seen_at, p.hash, {PROFILE}, v.name, b.number, d.sorted, d.id \
         FROM (SELECT d.*, {key} AS sorted FROM devices d WHERE {condition} \
         ORDER BY {key} {down}, d.uuid {down} LIMIT {}) d \
         LEFT JOIN profiles p ON p.id = d.profile_id AND p.env_id = d.env_id \
         LEFT JOIN device_sessions s ON s.id = (SELECT max(n.id) FROM device_sessions n WHERE n.device_id = d.id) \
         LEFT JOIN versions v ON v.id = s.version_id LEFT JOIN builds b ON b.id = s.build_id \
         ORDER BY d.sorted {down}, d.uuid {down}",
        params.add(limit)
    );
    db.rows(&sql, &params.0)
}

fn device(row: &Row) -> DeviceRow {
    let user = row.array(USER).map(UserHash);
    DeviceRow {
        id: Uuid::from_bytes(row.array(0).unwrap_or_default()),
        install_id: row.text(1),
        platform: row.text(2),
        system_name: row.text(3),
        system_version: row.text(4),
        name: row.text(5),
        kind: row.text(6),
        brand: row.text(7),
        created_at: Millis(row.int(8)),
        seen_at: Millis(row.int(9)),
        user: user.zip(profile(row, USER + 1)),
        version: row.some_text(VERSION).map(|version| (version, row.int(VERSION + 1))),
    }
}

fn key(row: &Row, sort: DeviceSort) -> CursorKey {
    match sort {
        DeviceSort::LastSeen | DeviceSort::FirstSeen => CursorKey::Number(row.int(KEY)),
        DeviceSort::Name | DeviceSort::Platform => CursorKey::Text(row.text(KEY)),
    }
}
