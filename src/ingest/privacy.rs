//! What becomes of the client's own identifiers: keyed hashes, different for each app.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
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

/// Members whose values name a person, a device or a place on the network, in the spelling of any SDK, without case and
/// separators.
const IDENTIFYING: [&str; 12] = [
    "userid",
    "sessionid",
    "distinctid",
    "anonymousid",
    "deviceid",
    "previousid",
    "ip",
    "ipaddress",
    "email",
    "phone",
    "username",
    "pushtoken",
];

/// The text of an event that is kept aside, with the values of identifying members replaced, wherever they stand.
pub(super) fn without_identifiers(json: &str) -> String {
    match serde_json::from_str::<Value>(json) {
        Ok(mut value) => {
            hide(&mut value);
            value.to_string()
        }
        Err(_) => "(not readable as JSON)".to_owned(),
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
                if IDENTIFYING.contains(&plain.to_ascii_lowercase().as_str()) && !member.is_null() {
                    *member = Value::from("(hidden)");
                } else {
                    hide(member);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
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
    fn what_is_kept_aside_names_nobody() {
        for (json, kept) in [
            (r#"{"user_id":"ada","event":{"type":1}}"#, r#"{"user_id":"(hidden)","event":{"type":1}}"#),
            (r#"[{"a":{"Session-ID":[1,"s"]}},"x"]"#, r#"[{"a":{"Session-ID":"(hidden)"}},"x"]"#),
            (r#"{"userId":null,"IP":"203.0.113.9"}"#, r#"{"userId":null,"IP":"(hidden)"}"#),
            ("7", "7"),
            ("1e999", "(not readable as JSON)"),
        ] {
            assert_eq!(without_identifiers(json), kept);
        }
    }

    #[test]
    fn the_same_user_differs_between_apps_and_from_a_session_of_that_name() {
        let (a, b) = (Salt([1; 32]), Salt([2; 32]));
        assert_eq!(user_hash(&a, "ada"), user_hash(&a, "ada"));
        assert_ne!(user_hash(&a, "ada"), user_hash(&b, "ada"));
        assert_ne!(user_hash(&a, "ada").0, Pseudonyms::new(&a).session("ada").0);
    }
}
