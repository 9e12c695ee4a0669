//! The telemetry-kit protocol as a client speaks it: events, batches and both signature forms.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use super::http::Request;

/// What an app's program is given.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub organization: String,
    pub app: String,
    pub slug: String,
    pub token: String,
    pub secret: String,
}

impl Credentials {
    /// As `key create` and `key rotate` print them: a label, blanks, a value.
    #[track_caller]
    pub fn parse(told: &str) -> Self {
        let value = |label: &str| {
            let mut values = told.lines().filter_map(|line| line.strip_prefix(label)?.strip_prefix("  "));
            values.next().unwrap_or_else(|| panic!("no {label} in {told}")).trim().to_owned()
        };
        Self {
            organization: value("organization"),
            app: value("app"),
            slug: value("short name"),
            token: value("token"),
            secret: value("secret"),
        }
    }

    /// The ingest path with UUIDs, as the published SDK has it.
    pub fn path(&self) -> String {
        format!("/v1/ingest/{}/{}", self.organization, self.app)
    }

    /// A request as the published SDK sends it.
    pub fn sdk(&self, body: &[u8]) -> Request {
        self.nonce_form(body, now(), &Uuid::new_v4().to_string())
    }

    /// Signed over time, nonce and body; no bearer token.
    pub fn nonce_form(&self, body: &[u8], at: i64, nonce: &str) -> Request {
        let signature = sign(&self.secret, &[at.to_string().as_bytes(), nonce.as_bytes(), body]);
        Request::post(&self.path(), body)
            .header("content-type", "application/json")
            .header("x-signature", &signature)
            .header("x-timestamp", &at.to_string())
            .header("x-nonce", nonce)
            .header("x-sdk-version", "telemetry-kit-rust/0.3.0")
            .header("x-schema-version", "1.0.0")
    }

    /// Signed over time and body, with the bearer token: the self-hosting guide's form.
    pub fn guide_form(&self, body: &[u8], at: i64) -> Request {
        let signature = sign(&self.secret, &[at.to_string().as_bytes(), body]);
        Request::post(&self.path(), body)
            .header("content-type", "application/json")
            .header("authorization", &format!("Bearer {}", self.token))
            .header("x-signature", &signature)
            .header("x-timestamp", &at.to_string())
    }
}

/// Hex HMAC-SHA256 of the parts, joined by colons. The protocol's key is the secret's text.
pub fn sign(secret: impl AsRef<[u8]>, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_ref()).expect("HMAC takes a key of any length");
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            mac.update(b":");
        }
        mac.update(part);
    }
    hex::encode(mac.finalize().into_bytes())
}

/// Seconds since 1970.
pub fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A complete event of that type, happening now.
pub fn event(kind: &str) -> Value {
    event_of(Uuid::new_v4(), Timestamp::now(), kind)
}

/// A complete event with its own id and time.
pub fn event_of(id: Uuid, at: Timestamp, kind: &str) -> Value {
    json!({
        "schema_version": "1.0.0",
        "event_id": id.to_string(),
        "timestamp": at.to_string(),
        "service": { "name": "drill", "version": "1.2.3", "language": "rust", "language_version": "1.75.0" },
        "user_id": format!("client_{:064x}", 7),
        "session_id": format!("sess_{:032x}", 9),
        "environment": { "os": "linux", "arch": "x86_64", "ci": false, "shell": "bash" },
        "event": { "type": kind, "category": "usage", "data": { "command": "build", "success": true } },
        "metadata": {
            "sdk_version": "telemetry-kit-rust/0.3.0",
            "transmission_timestamp": at.to_string(),
            "batch_size": 1,
            "retry_count": 0
        }
    })
}

/// The body of a batch.
pub fn batch(events: &[Value]) -> Vec<u8> {
    json!({ "events": events }).to_string().into_bytes()
}
