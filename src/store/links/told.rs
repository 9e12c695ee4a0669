//! What an app tells of its users beside events, kept as profiles.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use uuid::Uuid;

use super::super::Result;
use super::super::sql::{Cell, Row, Sql};
use crate::model::{EnvironmentId, Millis, Told, UserHash};

/// Rows that are given to another profile together.
const TOGETHER: u64 = 500;

const PROFILE: &str = "SELECT id, hash, identifier, email, name FROM profiles WHERE env_id = $1 AND";

/// Who is told of: whose they are by all links, what is told, and when.
pub(in crate::store) type Teller<'d> = (EnvironmentId, UserHash, &'d Told, Millis);

/// A profile as it is, or is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Profile {
    /// Its row, where there is one.
    row: Option<i64>,
    identifier: Option<String>,
    email: Option<String>,
    name: Option<String>,
}

/// Profiles of an environment.
#[derive(Default)]
struct Known {
    /// The newest of each user.
    profiles: HashMap<UserHash, Profile>,
    /// Whose rows have an identifier.
    named: HashMap<String, i64>,
}

/// Writes down what is told, the last word of each last. What is told and known already costs one look.
pub(in crate::store) fn tell(db: &dyn Sql, told: &[Teller<'_>]) -> Result<()> {
    let mut by_environment: BTreeMap<EnvironmentId, Vec<&Teller<'_>>> = BTreeMap::new();
    for one in told {
        by_environment.entry(one.0).or_default().push(one);
    }
    for (environment, told) in by_environment {
        of_environment(db, environment, &told)?;
    }
    Ok(())
}

fn of_environment(db: &dyn Sql, environment: EnvironmentId, told: &[&Teller<'_>]) -> Result<()> {
    let known = read(db, environment, told)?;
    let mut wanted: BTreeMap<UserHash, (Profile, Millis)> = BTreeMap::new();
    for (_, user, told, at) in told {
        let had = || (known.profiles.get(user).cloned().unwrap_or_default(), *at);
        let (profile, last) = wanted.entry(*user).or_insert_with(had);
        *last = *at;
        // What somebody was called before it was known who they are gives way to what they are called.
        if told.user == *user || profile.identifier.is_none() {
            profile.identifier = Some(told.identifier.clone());
        }
        profile.email = told.email.clone().or(profile.email.take()).or_else(|| told.email_once.clone());
        profile.name = told.name.clone().or(profile.name.take()).or_else(|| told.name_once.clone());
    }
    let mut taken: HashMap<String, UserHash> = HashMap::new();
    for (user, (mut profile, at)) in wanted {
        let had = known.profiles.get(&user);
        // An identifier is one person's: where somebody else has it, they keep it.
        if let Some(identifier) = &profile.identifier {
            let others = known.named.get(identifier).is_some_and(|row| Some(*row) != profile.row);
            if others || *taken.entry(identifier.clone()).or_insert(user) != user {
                profile.identifier = had.and_then(|had| had.identifier.clone());
            }
        }
        if had != Some(&profile) {
            write(db, (environment, user), &profile, at)?;
        }
    }
    Ok(())
}

fn read(db: &dyn Sql, environment: EnvironmentId, told: &[&Teller<'_>]) -> Result<Known> {
    let mut params: Vec<Cell> = vec![environment.0.into()];
    let mut places = |cells: Vec<Cell>| {
        let first = params.len() + 1;
        params.extend(cells);
        (first..=params.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
    };
    let sql = format!(
        "{PROFILE} hash IN ({}) UNION {PROFILE} identifier IN ({}) ORDER BY 1",
        places(told.iter().map(|(_, user, ..)| (&user.0).into()).collect()),
        places(told.iter().map(|(_, _, told, _)| told.identifier.as_str().into()).collect())
    );
    let mut known = Known::default();
    for row in &db.rows(&sql, &params)? {
        let profile = read_profile(row);
        if let Some(identifier) = &profile.identifier {
            known.named.insert(identifier.clone(), row.int(0));
        }
        if let Some(hash) = row.array(1) {
            known.profiles.insert(UserHash(hash), profile);
        }
    }
    Ok(known)
}

fn read_profile(row: &Row) -> Profile {
    Profile { row: Some(row.int(0)), identifier: row.some_text(2), email: row.some_text(3), name: row.some_text(4) }
}

fn write(db: &dyn Sql, (environment, user): (EnvironmentId, UserHash), profile: &Profile, at: Millis) -> Result<()> {
    let texts = [&profile.identifier, &profile.email, &profile.name].map(|text| Cell::from(text.as_deref()));
    let (sql, own): (_, Vec<Cell>) = match profile.row {
        Some(row) => (
            "UPDATE profiles SET identifier = $1, email = $2, name = $3, updated_at = $4 WHERE id = $5",
            vec![at.0.into(), row.into()],
        ),
        None => (
            "INSERT INTO profiles (identifier, email, name, created_at, updated_at, env_id, uuid, hash) \
             VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
            vec![at.0.into(), environment.0.into(), Uuid::new_v4().as_bytes().into(), (&user.0).into()],
        ),
    };
    db.run(sql, &texts.into_iter().chain(own).collect::<Vec<_>>())?;
    Ok(())
}

/// Gives what is told of one user to another, a row at a time: what the other has stays, and what it lacks is added.
/// Whether there was anything.
pub(super) fn unite(
    db: &dyn Sql,
    environment: EnvironmentId,
    (from, into): (UserHash, UserHash),
    now: Millis,
) -> Result<bool> {
    let sql = [PROFILE, " hash = $2 ORDER BY id DESC LIMIT 1"].concat();
    let find = |hash: UserHash| -> Result<Option<Profile>> {
        Ok(db.row(&sql, &[environment.0.into(), (&hash.0).into()])?.as_ref().map(read_profile))
    };
    let Some(had) = find(from)? else { return Ok(false) };
    let Some(has) = find(into)? else {
        let sql = "UPDATE profiles SET hash = $1, updated_at = $2 WHERE id = $3";
        db.run(sql, &[(&into.0).into(), now.0.into(), had.row.into()])?;
        return Ok(true);
    };
    let rows = [has.row.into(), had.row.into()];
    db.run(
        "UPDATE push_tokens SET profile_id = $1 WHERE profile_id = $2 AND device_id IN \
         (SELECT id FROM devices WHERE profile_id = $2 UNION SELECT device_id FROM device_sessions WHERE profile_id = $2)",
        &rows,
    )?;
    let sessions = format!(
        "UPDATE device_sessions SET profile_id = $1 WHERE id IN \
         (SELECT id FROM device_sessions WHERE profile_id = $2 ORDER BY started_at LIMIT {TOGETHER})"
    );
    if db.run(&sessions, &rows)? == TOGETHER {
        return Ok(true);
    }
    db.run("UPDATE devices SET profile_id = $1 WHERE profile_id = $2", &rows)?;
    db.run("DELETE FROM profiles WHERE id = $1", &[had.row.into()])?;
    let whole = Profile {
        row: has.row,
        identifier: has.identifier.clone().or(had.identifier),
        email: has.email.clone().or(had.email),
        name: has.name.clone().or(had.name),
    };
    if whole != has {
        write(db, (environment, into), &whole, now)?;
    }
    Ok(true)
}
