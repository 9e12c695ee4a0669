//! What becomes of the client's own identifiers: keyed hashes, different for each app.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sha2::Sha256;

use crate::model::{EventId, Salt, SessionHash, SubjectHash, UserHash};

/// Hashes the identifiers of one app's batch. A batch mostly repeats one user and one session, so the last of each is
/// remembered.
pub(super) struct Pseudonyms<'a> {
    keyed: Hmac<Sha256>,
    user: Option<(&'a str, UserHash)>,
    /// What the batch calls the same user besides.
    other: Option<(&'a str, UserHash)>,
    session: Option<(&'a str, SessionHash)>,
}

impl<'a> Pseudonyms<'a> {
    pub(super) fn new(salt: &Salt) -> Self {
        let keyed = Hmac::new_from_slice(&salt.0).expect("HMAC takes keys of any length");
        Self { keyed, user: None, other: None, session: None }
    }

    /// For events that name nobody.
    pub(super) fn none() -> Self {
        Self::new(&Salt([0; 32]))
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

    /// The same of a name that stands beside the batch's usual one, so that it does not take its place in memory.
    pub(super) fn other_user(&mut self, id: &'a str) -> UserHash {
        match self.other {
            Some((last, hash)) if last == id => hash,
            _ => {
                let hash = UserHash(self.hash(b"user\0", id));
                self.other = Some((id, hash));
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

    /// Of an event by its id: no name of anything, only something to go by that has no order.
    pub(super) fn event(&self, id: EventId) -> [u8; 16] {
        self.hash(b"event\0", id.0)
    }

    fn hash(&self, kind: &[u8], id: impl AsRef<[u8]>) -> [u8; 16] {
        let mut mac = self.keyed.clone();
        mac.update(kind);
        mac.update(id.as_ref());
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

/// The text of an event that is kept aside, with the values of identifying members replaced, wherever they stand, and
/// cut at `max` bytes. It is read once and nothing is built from it: text of a few bytes can make a tree of many.
pub(super) fn without_identifiers(json: &str, max: usize) -> String {
    let mut kept = Kept { text: String::new(), max };
    let mut json = serde_json::Deserializer::from_str(json);
    let read = Copying { kept: &mut kept, after: "" }.deserialize(&mut json).and_then(|()| json.end());
    if read.is_err() {
        kept = Kept { text: String::new(), max };
        kept.push("(not readable as JSON)");
    }
    kept.text
}

/// A text that stops growing.
struct Kept {
    text: String,
    max: usize,
}

impl Kept {
    /// Appends what there is room for; after the first part that was cut, nothing.
    fn push(&mut self, part: &str) {
        let room = self.max.saturating_sub(self.text.len());
        if part.len() <= room {
            self.text.push_str(part);
        } else {
            self.text.push_str(&part[..part.floor_char_boundary(room)]);
            self.max = self.text.len();
        }
    }

    fn push_string(&mut self, text: &str) {
        // A part is quoted no longer than its source is, and what has no room need not be quoted.
        let end = text.floor_char_boundary(self.max.saturating_sub(self.text.len()).min(text.len()));
        let quoted = Value::from(&text[..end]).to_string();
        self.push(if end == text.len() { &quoted } else { &quoted[..quoted.len() - 1] });
        if end < text.len() {
            self.max = self.text.len();
        }
    }
}

/// Copies one value, compact, after a separator.
struct Copying<'k> {
    kept: &'k mut Kept,
    after: &'static str,
}

impl<'de> DeserializeSeed<'de> for Copying<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.kept.push(self.after);
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copying<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.kept.push("null");
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.kept.push(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.kept.push(&value.to_string());
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.kept.push(&value.to_string());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.kept.push(&Value::from(value).to_string());
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.kept.push_string(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.kept.push("[");
        let mut after = "";
        while elements.next_element_seed(Copying { kept: self.kept, after })?.is_some() {
            after = ",";
        }
        self.kept.push("]");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.kept.push("{");
        let mut after = "";
        while let Some(Name(name)) = members.next_key()? {
            self.kept.push(after);
            self.kept.push_string(&name);
            if is_identifying(&name) {
                let Hidden(mark) = members.next_value()?;
                self.kept.push(mark);
            } else {
                members.next_value_seed(Copying { kept: self.kept, after: ":" })?;
            }
            after = ",";
        }
        self.kept.push("}");
        Ok(())
    }
}

/// What stands in the place of an identifying member's value, of which only the kind is kept: that may be what is wrong
/// with it.
struct Hidden(&'static str);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Hiding)
    }
}

struct Hiding;

/// Anything but a text.
const ANYTHING: Hidden = Hidden(r#":["(hidden)"]"#);

impl<'de> Visitor<'de> for Hiding {
    type Value = Hidden;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Hidden, E> {
        Ok(Hidden(":null"))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Hidden, E> {
        Ok(ANYTHING)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Hidden, E> {
        Ok(ANYTHING)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Hidden, E> {
        Ok(ANYTHING)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Hidden, E> {
        Ok(ANYTHING)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Hidden, E> {
        Ok(Hidden(if text.is_empty() { ":\"\"" } else { r#":"(hidden)""# }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Hidden, A::Error> {
        IgnoredAny.visit_seq(elements).map(|_| ANYTHING)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Hidden, A::Error> {
        IgnoredAny.visit_map(members).map(|_| ANYTHING)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn is_identifying(name: &str) -> bool {
    // No name of the list is that long.
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    IDENTIFYING.contains(&plain.to_ascii_lowercase().as_str())
}

/// The stored form of what an installation calls itself, to find it among those that are banned.
pub fn device_hash(salt: &Salt, id: &str) -> SubjectHash {
    SubjectHash(Pseudonyms::new(salt).hash(b"device\0", id))
}

/// The stored form of what installations call their user, to find them among those who are banned.
pub fn identifier_hash(salt: &Salt, id: &str) -> SubjectHash {
    SubjectHash(Pseudonyms::new(salt).hash(b"identifier\0", id))
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
            (r#"[{"a":{"Session-ID":[1,"s"]}},"x"]"#, r#"[{"a":{"Session-ID":["(hidden)"]}},"x"]"#),
            (r#"{"userId":null,"IP":"203.0.113.9"}"#, r#"{"userId":null,"IP":"(hidden)"}"#),
            (r#"{"user_id":"","email":7}"#, r#"{"user_id":"","email":["(hidden)"]}"#),
            ("7", "7"),
            (r#"[1,-2,3.5,1e3,true,"a\"\u00e9",{},[]]"#, r#"[1,-2,3.5,1000.0,true,"a\"é",{},[]]"#),
            (
                r#"{"user_id":{"a":[1]},"user\u005fid":2,"b":{"ip":[]}}"#,
                r#"{"user_id":["(hidden)"],"user_id":["(hidden)"],"b":{"ip":["(hidden)"]}}"#,
            ),
            ("1e999", "(not readable as JSON)"),
            ("[1", "(not readable as JSON)"),
            ("1 2", "(not readable as JSON)"),
        ] {
            assert_eq!(without_identifiers(json, 1_000), kept);
        }
    }

    #[test]
    fn what_is_kept_aside_is_cut_wherever_that_falls() {
        let json = r#"{"a":"é\n","ip":"203.0.113.9","n":[1,{"b":"zwölf"}]}"#;
        let whole = without_identifiers(json, 1_000);
        assert_eq!(whole, r#"{"a":"é\n","ip":"(hidden)","n":[1,{"b":"zwölf"}]}"#);
        for max in 0..=whole.len() {
            let kept = without_identifiers(json, max);
            assert!(kept.len() <= max && kept.len() + 3 >= max && whole.starts_with(&kept), "{max}: {kept}");
        }
        let many = format!("[{}0]", "[],".repeat(1_000_000));
        assert_eq!(without_identifiers(&many, 10), "[[],[],[],");
    }

    #[test]
    fn the_same_user_differs_between_apps_and_from_a_session_of_that_name() {
        let (a, b) = (Salt([1; 32]), Salt([2; 32]));
        assert_eq!(user_hash(&a, "ada"), user_hash(&a, "ada"));
        assert_ne!(user_hash(&a, "ada"), user_hash(&b, "ada"));
        assert_ne!(user_hash(&a, "ada").0, Pseudonyms::new(&a).session("ada").0);
    }
}
