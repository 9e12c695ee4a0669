//! What becomes of the client's own identifiers: keyed hashes, different for each app.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::model::{Salt, SessionHash, UserHash};

/// Hashes the identifiers of one app's batch. A batch mostly repeats one user and one session, so the last of each is
/// remembered.
pub(super) struct Pseudonyms<'a> {
    keyed: Hmac<Sha256>,
    user: Option<(&'a str, UserHash)>,
    session: Option<(&'a str, SessionHash)>,
}

impl<'a> Pseudonyms<'a> {
    pub(super) fn new(salt: &Salt) -> Self {
        let keyed = Hmac::new_from_slice(&salt.0).expect("HMAC takes keys of any length");
        Self { keyed, user: None, session: None }
    }

    pub(super) fn user(&mut self, id: &'a str) -> UserHash {
        match self.user {
            Some((last, hash)) if last == id => hash,
            _ => {
                let hash = UserHash(self.hash(b"user\0", id));
                self.user = Some((id, hash));
                hash
            }
        }
    }

    pub(super) fn session(&mut self, id: &'a str) -> SessionHash {
        match self.session {
            Some((last, hash)) if last == id => hash,
            _ => {
                let hash = SessionHash(self.hash(b"session\0", id));
                self.session = Some((id, hash));
                hash
            }
        }
    }

    fn hash(&self, kind: &[u8], id: &str) -> [u8; 16] {
        let mut mac = self.keyed.clone();
        mac.update(kind);
        mac.update(id.as_bytes());
        let full = mac.finalize().into_bytes();
        let mut hash = [0; 16];
        hash.copy_from_slice(&full[..16]);
        hash
    }
}

/// The stored form of a user identifier of an app, to find what is kept of one person.
pub fn user_hash(salt: &Salt, id: &str) -> UserHash {
    Pseudonyms::new(salt).user(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_user_differs_between_apps_and_from_a_session_of_that_name() {
        let (a, b) = (Salt([1; 32]), Salt([2; 32]));
        assert_eq!(user_hash(&a, "ada"), user_hash(&a, "ada"));
        assert_ne!(user_hash(&a, "ada"), user_hash(&b, "ada"));
        assert_ne!(user_hash(&a, "ada").0, Pseudonyms::new(&a).session("ada").0);
    }
}
