//! The part of the storage contract that is about sealed secrets, and how every database keeps it.

use super::audit::note;
use super::backend::Backend;
use super::sql::{Cell, Sql};
use super::{Result, StoreError};
use crate::model::{By, Concerning, IngestKeyId, MemberId, Sealed, SealedOf};

/// What is sealed under the master key. Like all of the store, its methods block.
pub trait Sealing {
    /// Every sealed secret.
    fn sealed(&self) -> Result<Vec<Sealed>>;

    /// Puts secrets that were sealed anew in the place of what they were, where they still are that; how many. All of
    /// it, with its line in the account, or nothing.
    fn reseal(&self, changed: &[(Sealed, Vec<u8>)], by: &By) -> Result<u64>;
}

impl<B: Backend> Sealing for B {
    fn sealed(&self) -> Result<Vec<Sealed>> {
        self.look(sealed)
    }

    fn reseal(&self, changed: &[(Sealed, Vec<u8>)], by: &By) -> Result<u64> {
        self.change(|db| reseal(db, changed, by))
    }
}

fn sealed(db: &dyn Sql) -> Result<Vec<Sealed>> {
    let mut all = Vec::new();
    let sql = "SELECT id, token_hash, sealed_secret FROM ingest_keys WHERE length(sealed_secret) > 0 ORDER BY id";
    for row in db.rows(sql, &[])? {
        let hash =
            row.bytes(1).try_into().map_err(|_| StoreError::Corrupt("a key's hash has another length".to_owned()))?;
        all.push(Sealed { of: SealedOf::Key(IngestKeyId(row.int(0)), hash), bytes: row.bytes(2).to_vec() });
    }
    let sql = "SELECT member_id, sealed_secret FROM two_factor ORDER BY member_id";
    for row in db.rows(sql, &[])? {
        all.push(Sealed { of: SealedOf::TwoFactor(MemberId(row.int(0))), bytes: row.bytes(1).to_vec() });
    }
    Ok(all)
}

fn reseal(db: &dyn Sql, changed: &[(Sealed, Vec<u8>)], by: &By) -> Result<u64> {
    let mut resealed = 0;
    for (before, after) in changed {
        let (sql, id) = match before.of {
            SealedOf::Key(id, _) => {
                ("UPDATE ingest_keys SET sealed_secret = $1 WHERE id = $2 AND sealed_secret = $3", id.0)
            }
            SealedOf::TwoFactor(id) => {
                ("UPDATE two_factor SET sealed_secret = $1 WHERE member_id = $2 AND sealed_secret = $3", id.0)
            }
        };
        resealed += db.run(sql, &[Cell::Bytes(after.clone()), id.into(), Cell::Bytes(before.bytes.clone())])?;
    }
    if resealed > 0 {
        note(
            db,
            by,
            Concerning::Box,
            ("master_key.changed", "master key", &format!("{resealed} secrets sealed anew")),
        )?;
    }
    Ok(resealed)
}
