//! Who was erased: nobody of them comes back out of a file.

use std::collections::BTreeSet;

use hashbrown::HashSet;

use crate::model::{AppId, EnvironmentId, ErasureKind, UserHash, Who};
use crate::store::{Result, Store};

/// Erasures of which nobody comes back.
const ERASURES: u32 = 1_000_000;

/// People of an app who were erased.
pub struct Erased<'s> {
    store: &'s dyn Store,
    /// Beginnings of their hashes.
    digests: BTreeSet<String>,
}

impl<'s> Erased<'s> {
    /// Those of an app.
    pub fn of(store: &'s dyn Store, app: AppId) -> Result<Self> {
        let erased = store.erasures(app, ERASURES)?.into_iter().filter(|erasure| erasure.kind == ErasureKind::Person);
        Ok(Self { store, digests: erased.map(|erasure| erasure.digest).collect() })
    }

    /// Those of some users who were erased, and did not come back by themselves since.
    pub fn among(&self, environment: EnvironmentId, users: &HashSet<UserHash>) -> Result<HashSet<UserHash>> {
        if self.digests.is_empty() {
            return Ok(HashSet::new());
        }
        let known = self.store.known_users(environment, users)?;
        let gone = |user: &&UserHash| !known.contains(*user) && self.digests.contains(&Who::User(**user).digest());
        Ok(users.iter().filter(gone).copied().collect())
    }
}
