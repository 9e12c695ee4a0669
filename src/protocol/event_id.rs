//! Ids of events, as their clients say them, or as the bytes do that were sent.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::model::EventId;

/// An odd number without a pattern: its multiples, one for each place, do not come near each other in any part of an id.
const STEP: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// Ids for the events of one body that have none: the same for the same body from the same key, so that what is sent again
/// counts once.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContentIds(u128);

impl ContentIds {
    /// Of a body from that key.
    pub fn of(key: i64, body: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::new().chain_update(key.to_be_bytes()).chain_update(body).finalize().into();
        Self(u128::from_be_bytes(first_half(hash).0))
    }

    /// Of the event at that place.
    pub fn at(self, place: usize) -> EventId {
        EventId(self.0.wrapping_add(STEP.wrapping_mul(place as u128)).to_be_bytes())
    }
}

/// The bytes of a UUID; of a text that is none, the first ones of its hash.
pub fn id_of(text: &str) -> EventId {
    Uuid::try_parse(text).map_or_else(|_| first_half(Sha256::digest(text).into()), EventId::from)
}

fn first_half(hash: [u8; 32]) -> EventId {
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    EventId(id)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_place_of_every_body_from_every_key_has_an_id_of_its_own() {
        let mut seen = HashSet::new();
        for (key, body) in [(1, "a"), (1, "b"), (2, "a")] {
            let ids = ContentIds::of(key, body.as_bytes());
            assert_eq!(ids.at(7), ContentIds::of(key, body.as_bytes()).at(7), "the same again");
            for place in 0..1_000 {
                let id = ids.at(place).0;
                assert!(seen.insert(id[..8].to_vec()) && seen.insert(id[8..].to_vec()), "either half tells them apart");
            }
        }
    }
}
