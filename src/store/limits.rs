//! How much apps may send, and who may not: tiers, lists and bans, written once for every backend.

use super::audit::note;
use super::directory::changed;
use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError, etiquette, keeping};
use crate::model::{
    AppId, AppLimits, Ban, BanId, Banned, Barred, By, Concerning, Figures, IpNet, MOST_BANS, Millis, NewBan, Rules,
    SubjectHash, Tier, TierEnd, TierId, UserHash, WantedTier,
};

/// Most tiers of a box.
const MOST_TIERS: i64 = 50;

const TIER: &str = "SELECT t.id, t.name, t.key_rate, t.app_rate, t.network_rate, t.day_events, t.usual, \
                    (SELECT count(*) FROM app_limits l WHERE l.tier_id = t.id) FROM tiers t ";

pub(super) fn tiers(db: &dyn Sql) -> Result<Vec<Tier>> {
    Ok(db.rows(&[TIER, "ORDER BY t.id"].concat(), &[])?.iter().map(read_tier).collect())
}

pub(super) fn save_tier(db: &dyn Sql, wanted: &WantedTier, by: &By) -> Result<Tier> {
    changed(db)?;
    let namesake = db.value("SELECT id FROM tiers WHERE lower(name) = lower($1)", &[wanted.name.as_str().into()])?;
    if namesake.some_int().is_some_and(|id| wanted.id.is_none_or(|own| own.0 != id)) {
        return Err(StoreError::Exists("a tier of that name"));
    }
    let Figures { key, app, network, day } = wanted.figures;
    let rate = |figure: Option<u32>| Cell::from(figure.map(i64::from));
    let day = day.map(|events| i64::try_from(events).unwrap_or(i64::MAX)).into();
    let mut row = vec![wanted.name.as_str().into(), rate(key), rate(app), rate(network), day];
    let before = wanted.id.map(|id| find_tier(db, id)).transpose()?;
    let id = match wanted.id {
        Some(id) => {
            row.push(id.0.into());
            let sql = "UPDATE tiers SET name = $1, key_rate = $2, app_rate = $3, network_rate = $4, day_events = $5 \
                       WHERE id = $6";
            db.run(sql, &row)?;
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
    let saved = find_tier(db, id)?;
    let (action, detail) = match before {
        Some(before) => ("tier.changed", format!("{} → {}", told(&before), told(&saved))),
        None => ("tier.made", told(&saved)),
    };
    note(db, by, Concerning::Box, (action, &saved.name, &detail))?;
    Ok(saved)
}

/// A tier as the account of changes tells it.
fn told(tier: &Tier) -> String {
    let Figures { key, app, network, day } = tier.figures;
    let figure = |many: Option<u64>| many.map_or_else(|| "no limit".to_owned(), |many| many.to_string());
    let rate = |many: Option<u32>| figure(many.map(u64::from));
    let (name, key, app, network, day) = (&tier.name, rate(key), rate(app), rate(network), figure(day));
    format!("{name}: by minute {key} with a key, {app} to an app, {network} from a network; by day {day} events")
}

pub(super) fn set_usual_tier(db: &dyn Sql, tier: TierId, by: &By) -> Result<()> {
    changed(db)?;
    let usual = find_tier(db, tier)?;
    db.run("UPDATE tiers SET usual = CASE WHEN id = $1 THEN 1 ELSE 0 END", &[tier.0.into()])?;
    note(db, by, Concerning::Box, ("tier.usual", &usual.name, ""))
}

pub(super) fn delete_tier(db: &dyn Sql, tier: TierId, by: &By) -> Result<TierEnd> {
    changed(db)?;
    let found = find_tier(db, tier)?;
    if found.usual {
        return Ok(TierEnd::Usual);
    }
    if found.apps > 0 {
        return Ok(TierEnd::InUse);
    }
    db.run("DELETE FROM tiers WHERE id = $1", &[tier.0.into()])?;
    note(db, by, Concerning::Box, ("tier.deleted", &found.name, &told(&found)))?;
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

pub(super) fn set_app_limits(db: &dyn Sql, app: AppId, limits: &AppLimits, by: &By) -> Result<()> {
    changed(db)?;
    let tier = match limits.tier {
        Some(tier) => find_tier(db, tier)?.name,
        None => "the box's usual tier".to_owned(),
    };
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
    let listed = |what: &str, all: &str| match all {
        "" => format!("all {what}"),
        all => format!("{what} {}", all.replace('\n', ", ")),
    };
    let detail =
        format!("{tier}; {}; {}", listed("networks", &networks), listed("origins", &limits.origins.join("\n")));
    note(db, by, Concerning::App(app), ("limits.set", "limits", &detail))
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

pub(super) fn ban(db: &dyn Sql, ban: &NewBan, by: &By) -> Result<()> {
    changed(db)?;
    let many = db.value("SELECT count(*) FROM bans WHERE app_id = $1", &[ban.app.0.into()])?.int();
    if usize::try_from(many).unwrap_or(usize::MAX) >= MOST_BANS {
        return Err(StoreError::NoRoom("ban"));
    }
    let (hash, identifier) = match ban.subject {
        Barred::User(user, identifier) => (user.0, identifier),
        Barred::Device(device) => (device.0, None),
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
            by.member.as_str().into(),
            by.at.0.into(),
        ],
    )?;
    if made == 0 {
        return Err(StoreError::Exists("that ban"));
    }
    note(db, by, Concerning::App(ban.app), ("ban.made", ban.subject.kind(), &ban.label))
}

pub(super) fn lift_ban(db: &dyn Sql, app: AppId, ban: BanId, by: &By) -> Result<()> {
    changed(db)?;
    let sql = "DELETE FROM bans WHERE id = $1 AND app_id = $2 RETURNING kind, label";
    let gone = db.row(sql, &[ban.0.into(), app.0.into()])?.ok_or(StoreError::NotFound("ban"))?;
    note(db, by, Concerning::App(app), ("ban.lifted", &gone.text(0), &gone.text(1)))
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
            Barred::User(user, identifier) => {
                banned.users.insert(user);
                banned.identifiers.extend(identifier);
            }
            Barred::Device(device) => _ = banned.devices.insert(device),
        }
    }
    banned.users.extend(earlier_names(db, app, &banned)?);
    let (ages, orders) = (keeping::ages(db, app)?, etiquette::orders(db, app)?);
    Ok(Rules { figures: tier.figures, networks: set.networks, origins: set.origins, banned, ages, orders })
}

/// What those who are banned were called before it was known who they are.
fn earlier_names(db: &dyn Sql, app: AppId, banned: &Banned) -> Result<Vec<UserHash>> {
    if banned.users.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<_> = (2..2 + banned.users.len()).map(|place| format!("${place}")).collect();
    let sql = format!(
        "SELECT hash FROM links WHERE env_id IN (SELECT id FROM environments WHERE app_id = $1) AND into_hash IN ({})",
        places.join(", ")
    );
    let users = banned.users.iter().map(|user| Cell::Uuid(user.0));
    let rows = db.rows(&sql, &std::iter::once(app.0.into()).chain(users).collect::<Vec<_>>())?;
    Ok(rows.iter().filter_map(|row| row.array(0).map(UserHash)).collect())
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
fn subject(row: &Row, first: usize) -> Option<Barred> {
    let hash = row.array(first + 1)?;
    match row.text(first).as_str() {
        "user" => Some(Barred::User(UserHash(hash), row.array(first + 2).map(SubjectHash))),
        "device" => Some(Barred::Device(SubjectHash(hash))),
        _ => None,
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn networks(text: &str) -> Vec<IpNet> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}
