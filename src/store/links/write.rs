//! New links, written in the commit that tells of them.

use std::collections::{BTreeMap, HashSet};

use hashbrown::HashMap;

use super::super::sql::{Cell, Row, Sql};
use super::super::{Draft, Result, identify};
use super::Roots;
use crate::model::{Earlier, EnvironmentId, Link, UserHash};

/// What a draft tells that may be new.
pub(in crate::store) type Asked<'d> = (&'d Draft, Link);

/// A link that is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Linked {
    pub(in crate::store) environment: EnvironmentId,
    pub(in crate::store) from: UserHash,
    /// Where it leads, as long as the links behind it are not looked at.
    pub(in crate::store) into: UserHash,
    /// What led to `from` before, and is led on.
    pub(in crate::store) led_on: Vec<UserHash>,
}

/// All that drafts tell and that is not known to be there, each once.
pub(in crate::store) fn asked(drafts: &[Draft], leads: impl Fn(EnvironmentId, UserHash) -> UserHash) -> Vec<Asked<'_>> {
    let mut seen = HashSet::new();
    let all = drafts.iter().flat_map(|draft| draft.links.iter().map(move |link| (draft, *link)));
    let is_new = |(draft, link): &Asked<'_>| {
        let environment = draft.environment;
        link.from != link.into
            && leads(environment, link.from) == link.from
            && seen.insert((environment, draft.key, link.from, link.into, link.earlier))
    };
    all.filter(is_new).collect()
}

/// Writes those that are new and whose keys still work; in the order in which they were asked for, as far as they are of one
/// environment. Nobody else may write links of these environments meanwhile. What `roots` learns of new ones is true only if
/// the transaction is committed.
pub(in crate::store) fn write(db: &dyn Sql, asked: &[Asked<'_>], roots: &mut Roots) -> Result<Vec<Linked>> {
    let mut keys = HashMap::new();
    let mut by_environment: BTreeMap<EnvironmentId, Vec<Link>> = BTreeMap::new();
    for (draft, link) in asked {
        if identify::key_works(db, &mut keys, draft)? {
            by_environment.entry(draft.environment).or_default().push(*link);
        }
    }
    let mut linked = Vec::new();
    for (environment, links) in by_environment {
        let known = read(db, environment, &links)?;
        known.iter().for_each(|(hash, root)| roots.learn(environment, *hash, *root));
        linked.extend(of_environment(db, environment, &links, known)?);
    }
    roots.note(&linked);
    Ok(linked)
}

fn of_environment(
    db: &dyn Sql,
    environment: EnvironmentId,
    links: &[Link],
    mut known: HashMap<UserHash, UserHash>,
) -> Result<Vec<Linked>> {
    let mut linked: Vec<Linked> = Vec::new();
    let mut new: BTreeMap<UserHash, i64> = BTreeMap::new();
    for link in links {
        let into = known.get(&link.into).copied().unwrap_or(link.into);
        if known.contains_key(&link.from) || into == link.from {
            continue;
        }
        let led_on: Vec<_> = known.iter().filter(|(_, root)| **root == link.from).map(|(hash, _)| *hash).collect();
        if link.earlier == Earlier::Unknown && !led_on.is_empty() {
            continue;
        }
        if led_on.iter().any(|hash| !new.contains_key(hash)) {
            let sql =
                "UPDATE links SET into_hash = $1, due_at = coalesce(due_at, 0) WHERE env_id = $2 AND into_hash = $3";
            let [into, from] = [into, link.from].map(|hash| Cell::Uuid(hash.0));
            db.run(sql, &[into, environment.0.into(), from])?;
        }
        for hash in led_on.iter().chain([&link.from]) {
            known.insert(*hash, into);
        }
        new.insert(link.from, link.at.0);
        linked.push(Linked { environment, from: link.from, into, led_on });
    }
    if !new.is_empty() {
        insert(db, environment, &new, &known)?;
    }
    Ok(linked)
}

/// The links that there are of these names, and those that lead to one that is to be linked.
fn read(db: &dyn Sql, environment: EnvironmentId, links: &[Link]) -> Result<HashMap<UserHash, UserHash>> {
    let from: HashSet<_> = links.iter().map(|link| link.from).collect();
    let all: HashSet<_> = links.iter().map(|link| link.into).chain(from.iter().copied()).collect();
    let mut params: Vec<Cell> = vec![environment.0.into()];
    let mut places = |hashes: HashSet<UserHash>| {
        let first = params.len() + 1;
        params.extend(hashes.into_iter().map(|hash| Cell::Uuid(hash.0)));
        (first..=params.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
    };
    let sql = format!(
        "SELECT hash, into_hash FROM links WHERE env_id = $1 AND hash IN ({}) \
         UNION SELECT hash, into_hash FROM links WHERE env_id = $1 AND into_hash IN ({})",
        places(all),
        places(from)
    );
    let pair = |row: &Row| Some((UserHash(row.array(0)?), UserHash(row.array(1)?)));
    Ok(db.rows(&sql, &params)?.iter().filter_map(pair).collect())
}

/// Each is due at once, whatever the clock says that told when it was linked.
fn insert(
    db: &dyn Sql,
    environment: EnvironmentId,
    new: &BTreeMap<UserHash, i64>,
    known: &HashMap<UserHash, UserHash>,
) -> Result<()> {
    let mut params: Vec<Cell> = vec![environment.0.into(), 0.into(), i64::MIN.into()];
    let mut rows = Vec::new();
    for (hash, at) in new {
        let first = params.len() + 1;
        params.extend([Cell::Uuid(hash.0), Cell::Uuid(known[hash].0), (*at).into()]);
        rows.push(format!("($1, $2, $3, $2, ${}, ${}, ${})", first, first + 1, first + 2));
    }
    let sql = format!(
        "INSERT INTO links (env_id, stage, position, due_at, hash, into_hash, linked_at) VALUES {}",
        rows.join(", ")
    );
    db.run(&sql, &params)?;
    Ok(())
}
