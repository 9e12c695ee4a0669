//! How much apps may send, and who may not: tiers, lists and bans, written once for every backend.

use super::directory::changed;
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError};
use crate::model::{
    AppId, AppLimits, Ban, BanId, Banned, Figures, IpNet, MOST_BANS, Millis, NewBan, Rules, Subject, SubjectHash, Tier,
    TierEnd, TierId, UserHash, WantedTier,
};

/// Most tiers of a box.
const MOST_TIERS: i64 = 50;

const TIER: &str = "SELECT t.id, t.name, t.key_rate, t.app_rate, t.network_rate, t.day_events, t.usual, \
                    (SELECT count(*) FROM app_limits l WHERE l.tier_id = t.id) FROM tiers t ";

pub(super) fn tiers(db: &dyn Sql) -> Result<Vec<Tier>> {
    Ok(db.rows(&[TIER, "ORDER BY t.id"].concat(), &[])?.iter().map(read_tier).collect())
}

pub(super) fn save_tier(db: &dyn Sql, wanted: &WantedTier) -> Result<Tier> {
    changed(db)?;
    let namesake = db.value("SELECT id FROM tiers WHERE lower(name) = lower($1)", &[wanted.name.as_str().into()])?;
    if namesake.some_int().is_some_and(|id| wanted.id.is_none_or(|own| own.0 != id)) {
        return Err(StoreError::Exists("a tier of that name"));
    }
    let Figures { key, app, network, day } = wanted.figures;
    let rate = |figure: Option<u32>| Cell::from(figure.map(i64::from));
    let day = day.map(|events| i64::try_from(events).unwrap_or(i64::MAX)).into();
    let mut row = vec![wanted.name.as_str().into(), rate(key), rate(app), rate(network), day];
    let id = match wanted.id {
        Some(id) => {
            row.push(id.0.into());
            let sql = "UPDATE tiers SET name = $1, key_rate = $2, app_rate = $3, network_rate = $4, day_events = $5 \
                       WHERE id = $6";
            if db.run(sql, &row)? == 0 {
                return Err(StoreError::NotFound("tier"));
            }
            id
        }
        None => {
            if db.value("SELECT count(*) FROM tiers", &[])?.int() >= MOST_TIERS {
                return Err(StoreError::NoRoom("tier"));
            }
            let sql = "INSERT INTO tiers (name, key_rate, app_rate, network_rate, day_events) \
                       VALUES ($1, $2, $3, $4, $5) RETURNING id";
            TierId(db.value(sql, &row)?.int())
        }
    };
    find_tier(db, id)
}

pub(super) fn set_usual_tier(db: &dyn Sql, tier: TierId) -> Result<()> {
    changed(db)?;
    find_tier(db, tier)?;
    db.run("UPDATE tiers SET usual = CASE WHEN id = $1 THEN 1 ELSE 0 END", &[tier.0.into()])?;
    Ok(())
}

pub(super) fn delete_tier(db: &dyn Sql, tier: TierId) -> Result<TierEnd> {
    changed(db)?;
    let found = find_tier(db, tier)?;
    if found.usual {
        return Ok(TierEnd::Usual);
    }
    if found.apps > 0 {
        return Ok(TierEnd::InUse);
    }
    db.run("DELETE FROM tiers WHERE id = $1", &[tier.0.into()])?;
    Ok(TierEnd::Deleted)
}

pub(super) fn app_limits(db: &dyn Sql, app: AppId) -> Result<AppLimits> {
    let row = db.row("SELECT tier_id, networks, origins FROM app_limits WHERE app_id = $1", &[app.0.into()])?;
    Ok(row.map_or_else(AppLimits::default, |row| AppLimits {
        tier: row.some_int(0).map(TierId),
        networks: networks(&row.text(1)),
        origins: lines(&row.text(2)),
    }))
}

pub(super) fn set_app_limits(db: &dyn Sql, app: AppId, limits: &AppLimits) -> Result<()> {
    changed(db)?;
    if let Some(tier) = limits.tier {
        find_tier(db, tier)?;
    }
    let networks = limits.networks.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    db.run(
        "INSERT INTO app_limits (app_id, tier_id, networks, origins) VALUES ($1, $2, $3, $4) ON CONFLICT (app_id) \
         DO UPDATE SET tier_id = excluded.tier_id, networks = excluded.networks, origins = excluded.origins",
        &[
            app.0.into(),
            limits.tier.map(|tier| tier.0).into(),
            networks.as_str().into(),
            limits.origins.join("\n").as_str().into(),
        ],
    )?;
    Ok(())
}

/// Newest first.
pub(super) fn bans(db: &dyn Sql, app: AppId) -> Result<Vec<Ban>> {
    let rows = db.rows(
        "SELECT id, kind, hash, identifier, label, created_at, member FROM bans WHERE app_id = $1 ORDER BY id DESC",
        &[app.0.into()],
    )?;
    let read = |row: &Row| {
        Some(Ban {
            id: BanId(row.int(0)),
            subject: subject(row, 1)?,
            label: row.text(4),
            created_at: Millis(row.int(5)),
            member: row.text(6),
        })
    };
    Ok(rows.iter().filter_map(read).collect())
}

pub(super) fn ban(db: &dyn Sql, ban: &NewBan, (member, at): (&str, Millis)) -> Result<()> {
    changed(db)?;
    let many = db.value("SELECT count(*) FROM bans WHERE app_id = $1", &[ban.app.0.into()])?.int();
    if usize::try_from(many).unwrap_or(usize::MAX) >= MOST_BANS {
        return Err(StoreError::NoRoom("ban"));
    }
    let (hash, identifier) = match ban.subject {
        Subject::User(user, identifier) => (user.0, identifier),
        Subject::Device(device) => (device.0, None),
    };
    let made = db.run(
        "INSERT INTO bans (app_id, kind, hash, identifier, label, member, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        &[
            ban.app.0.into(),
            ban.subject.kind().into(),
            (&hash).into(),
            identifier.as_ref().map(|hash| &hash.0).into(),
            ban.label.as_str().into(),
            member.into(),
            at.0.into(),
        ],
    )?;
    if made == 0 { Err(StoreError::Exists("that ban")) } else { Ok(()) }
}

pub(super) fn lift_ban(db: &dyn Sql, app: AppId, ban: BanId) -> Result<()> {
    changed(db)?;
    let gone = db.run("DELETE FROM bans WHERE id = $1 AND app_id = $2", &[ban.0.into(), app.0.into()])?;
    if gone == 0 { Err(StoreError::NotFound("ban")) } else { Ok(()) }
}

/// All that requests to an app are held against.
pub(super) fn rules(db: &dyn Sql, app: AppId) -> Result<Rules> {
    let set = app_limits(db, app)?;
    let tier = match set.tier {
        Some(tier) => find_tier(db, tier)?,
        None => {
            let row = db.row(&[TIER, "WHERE t.usual = 1"].concat(), &[])?;
            row.as_ref().map(read_tier).ok_or(StoreError::NotFound("usual tier"))?
        }
    };
    let rows = db.rows("SELECT kind, hash, identifier FROM bans WHERE app_id = $1", &[app.0.into()])?;
    let mut banned = Banned::default();
    for subject in rows.iter().filter_map(|row| subject(row, 0)) {
        match subject {
            Subject::User(user, identifier) => {
                banned.users.insert(user);
                banned.identifiers.extend(identifier);
            }
            Subject::Device(device) => _ = banned.devices.insert(device),
        }
    }
    Ok(Rules { figures: tier.figures, networks: set.networks, origins: set.origins, banned })
}

/// Web origins that some app lists.
pub(super) fn listed_origins(db: &dyn Sql) -> Result<Vec<String>> {
    let rows = db.rows("SELECT origins FROM app_limits WHERE origins <> ''", &[])?;
    Ok(rows.iter().flat_map(|row| lines(&row.text(0))).collect())
}

/// Events by app that a UTC day's quotas are held against.
pub(super) fn taken_on(db: &dyn Sql, day: i64) -> Result<Vec<(AppId, u64)>> {
    let rows = db.rows(
        "SELECT app_id, CAST(sum(events) AS bigint) FROM intake_days WHERE day = $1 \
         AND outcome IN ('stored', 'set_aside') GROUP BY app_id",
        &[day.into()],
    )?;
    Ok(rows.iter().map(|row| (AppId(row.int(0)), row.int(1).max(0).unsigned_abs())).collect())
}

/// What became of an app's events that arrived on a UTC day, by outcome.
pub(super) fn intake(db: &dyn Sql, app: AppId, day: i64) -> Result<Vec<(String, u64)>> {
    let sql = "SELECT outcome, events FROM intake_days WHERE app_id = $1 AND day = $2 ORDER BY outcome";
    let rows = db.rows(sql, &[app.0.into(), day.into()])?;
    Ok(rows.iter().map(|row| (row.text(0), row.int(1).max(0).unsigned_abs())).collect())
}

fn find_tier(db: &dyn Sql, tier: TierId) -> Result<Tier> {
    let row = db.row(&[TIER, "WHERE t.id = $1"].concat(), &[tier.0.into()])?;
    row.as_ref().map(read_tier).ok_or(StoreError::NotFound("tier"))
}

fn read_tier(row: &Row) -> Tier {
    let rate = |column| row.some_int(column).map(|figure| u32::try_from(figure).unwrap_or(u32::MAX));
    Tier {
        id: TierId(row.int(0)),
        name: row.text(1),
        figures: Figures {
            key: rate(2),
            app: rate(3),
            network: rate(4),
            day: row.some_int(5).map(|events| events.max(0).unsigned_abs()),
        },
        usual: row.int(6) != 0,
        apps: row.int(7).max(0).unsigned_abs(),
    }
}

/// Who is banned, from three columns on. A kind that this binary does not know bans nobody here.
fn subject(row: &Row, first: usize) -> Option<Subject> {
    let hash = row.array(first + 1)?;
    match row.text(first).as_str() {
        "user" => Some(Subject::User(UserHash(hash), row.array(first + 2).map(SubjectHash))),
        "device" => Some(Subject::Device(SubjectHash(hash))),
        _ => None,
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn networks(text: &str) -> Vec<IpNet> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
