//! Who somebody was before it was known who they are. A link leads from one pseudonym to another, in the commit that tells
//! of it: from then on whatever names the first counts for the second. What was stored before is moved behind, in small
//! steps.
//!
//! The first link of a pseudonym stays. What it leads to leads nowhere else: where that is linked in turn, all that leads
//! there is led on. So there are no chains, no circles, and one look tells whose an event is. Somebody to whom names lead is
//! known: there are links that are not for such a one ([`Earlier::Unknown`](crate::model::Earlier)).

mod moving;
mod told;
mod unite;
mod write;

use hashbrown::HashMap;

use super::Result;
use super::people::Recent;
use super::sql::{Cell, Row, Sql};
use crate::model::{EnvironmentId, Millis, UserHash};

pub(super) use told::{Teller, tell};
pub use unite::Uniting;
pub(super) use unite::unite;
pub(super) use write::{Asked, Linked, asked, write};

/// Where a pseudonym leads: to itself, unless there is a link.
pub(super) fn root(db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<UserHash> {
    let sql = "SELECT into_hash FROM links WHERE env_id = $1 AND hash = $2";
    let found = db.row(sql, &[environment.0.into(), Cell::Uuid(hash.0)])?;
    Ok(found.and_then(|row| row.array(0)).map_or(hash, UserHash))
}

/// The pseudonyms that lead to one, the first linked first, each with when it was linked.
pub(super) fn names(db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<Vec<(UserHash, Millis)>> {
    let sql = "SELECT hash, linked_at FROM links WHERE env_id = $1 AND into_hash = $2 ORDER BY id";
    let rows = db.rows(sql, &[environment.0.into(), Cell::Uuid(hash.0)])?;
    let name = |row: &Row| Some((UserHash(row.array(0)?), Millis(row.int(1))));
    Ok(rows.iter().filter_map(name).collect())
}

/// Remembers where pseudonyms lead.
#[derive(Default)]
pub(super) struct Roots {
    known: Recent<(EnvironmentId, UserHash), UserHash>,
    /// Whether an environment has any links: where it has none, nothing has to be asked.
    any: HashMap<EnvironmentId, bool>,
}

impl Roots {
    /// Where a pseudonym leads, for whoever knows of every link that is written.
    pub(super) fn find(&mut self, db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<UserHash> {
        let has_some = match self.any.get(&environment) {
            Some(any) => *any,
            None => {
                let sql = "SELECT 1 FROM links WHERE env_id = $1 LIMIT 1";
                let any = db.row(sql, &[environment.0.into()])?.is_some();
                self.any.insert(environment, any);
                any
            }
        };
        if !has_some {
            return Ok(hash);
        }
        if let Some(root) = self.known.get((environment, hash)) {
            return Ok(root);
        }
        let root = root(db, environment, hash)?;
        self.known.put((environment, hash), root);
        Ok(root)
    }

    /// Where it leads as far as is remembered, which another node may have changed since.
    pub(super) fn guess(&self, environment: EnvironmentId, hash: UserHash) -> UserHash {
        self.known.get((environment, hash)).unwrap_or(hash)
    }

    /// Notes where a pseudonym leads.
    pub(super) fn learn(&mut self, environment: EnvironmentId, hash: UserHash, root: UserHash) {
        self.known.put((environment, hash), root);
    }

    /// Notes what a commit has linked.
    fn note(&mut self, linked: &[Linked]) {
        for link in linked {
            self.any.insert(link.environment, true);
            for hash in std::iter::once(&link.from).chain(&link.led_on) {
                self.learn(link.environment, *hash, link.into);
            }
        }
    }
}
