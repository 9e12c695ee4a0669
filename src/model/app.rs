//! Who owns what: organizations, apps, environments, ingest keys, members and their logins.

use std::sync::Arc;

use uuid::Uuid;

use super::{AppId, EnvironmentId, IngestKeyId, Millis, OrganizationId, Refusal, Slug, Zone};

/// Owner of apps and members.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Row.
    pub id: OrganizationId,
    /// Public id, in ingest paths.
    pub uuid: Uuid,
    /// Public short name, in ingest paths; unique on the box.
    pub slug: Slug,
    /// Display name.
    pub name: String,
}

/// One product that reports.
#[derive(Clone, Debug)]
pub struct App {
    /// Row.
    pub id: AppId,
    /// The owner.
    pub organization: Organization,
    /// Public id, in ingest paths.
    pub uuid: Uuid,
    /// Public short name, in ingest paths and page addresses; unique on the box.
    pub slug: Slug,
    /// Display name.
    pub name: String,
    /// The calendar in which days are counted.
    pub zone: Arc<Zone>,
    /// Whether a batch with unusable events is answered as the telemetry-kit reference server does (207 or 400)
    /// instead of being taken in charge.
    pub strict: bool,
    /// Secret salt of this app's [`UserHash`](super::UserHash)es.
    pub salt: Salt,
    /// When it was made.
    pub created_at: Millis,
    /// When its first event was stored.
    pub first_event_at: Option<Millis>,
    /// Since when it takes nothing more; it can be restored.
    pub archived_at: Option<Millis>,
    /// Its environments, the first being the default.
    pub environments: Vec<Environment>,
}

impl App {
    /// Whether it takes anything at all.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] once it is archived.
    pub fn check_open(&self) -> Result<(), Refusal> {
        match self.archived_at {
            None => Ok(()),
            Some(_) => Err(Refusal::Forbidden("this app is archived and takes nothing".to_owned())),
        }
    }

    /// The environment of that short name.
    pub fn environment(&self, slug: &str) -> Option<&Environment> {
        self.environments.iter().find(|e| e.slug.as_str() == slug)
    }
}

/// 32 random bytes that never leave the box; `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// Production, development and the like: events of one never count in another.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Row.
    pub id: EnvironmentId,
    /// Short name, such as `production`.
    pub slug: Slug,
}

/// An app to be made, with environments `production`, `staging` and `development`.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Whose it is; the box's first organization where none is named.
    pub organization: Option<OrganizationId>,
    /// Public id; chosen by the caller so that ids of another box can be taken over.
    pub uuid: Uuid,
    /// Wanted short name. With `slug_fixed` a taken one is a conflict, else a suffix makes it unique.
    pub slug: Slug,
    /// Whether `slug` was chosen by a person.
    pub slug_fixed: bool,
    /// Display name, 1 to 100 characters.
    pub name: String,
    /// Calendar of its days.
    pub zone: Zone,
    /// Salt of its user hashes.
    pub salt: Salt,
    /// See [`App::strict`].
    pub strict: bool,
}

/// What an SDK proves itself with, as listed: no secret in it.
#[derive(Clone, Debug)]
pub struct IngestKey {
    /// Row.
    pub id: IngestKeyId,
    /// Whose events it may send.
    pub app: AppId,
    /// Into which environment.
    pub environment: Environment,
    /// What its owner calls it.
    pub name: String,
    /// First characters of the token, enough to recognise it.
    pub hint: String,
    /// When it was made.
    pub created_at: Millis,
    /// The hour of its last accepted request.
    pub last_used_at: Option<Millis>,
    /// When it stops working, or stopped.
    pub revoked_at: Option<Millis>,
}

/// A key to be stored: the token as a hash, the secret sealed.
#[derive(Clone, Debug)]
pub struct NewIngestKey {
    /// Into which environment it sends.
    pub environment: EnvironmentId,
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// First characters of the token.
    pub hint: String,
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// The HMAC secret, sealed under the master key with `token_hash` as associated data.
    pub sealed_secret: Vec<u8>,
}

/// One active key as ingest needs it.
#[derive(Clone, Debug)]
pub struct SealedKey {
    /// Row.
    pub id: IngestKeyId,
    /// Into which environment it sends.
    pub environment: EnvironmentId,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// See [`NewIngestKey::sealed_secret`].
    pub sealed_secret: Vec<u8>,
    /// When it stops working, where a rotation has set that.
    pub revoked_at: Option<Millis>,
}

/// How an ingest request names its credential, or a setting its app.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyLookup {
    /// By the SHA-256 of a bearer token.
    Token([u8; 32]),
    /// By the two segments of `/v1/ingest/{first}/{second}`: organization and app, each as UUID or short name;
    /// else the first alone as an app.
    Path(String, String),
    /// By the app alone, as UUID or short name, and maybe its organization: for a box that asks no key of its clients.
    App(Option<String>, String),
}

/// An app with the keys that a look-up found: exactly one for a token, all active ones for a path, none for an app
/// alone.
#[derive(Clone, Debug)]
pub struct KeyRing {
    /// Whose keys they are.
    pub app: App,
    /// Newest first.
    pub keys: Vec<SealedKey>,
}
