//! An installation that says who it is: what it claims, what we vouch for, and what it is told.

use std::sync::Arc;

use uuid::Uuid;

use super::{Fact, Facts, Millis, Platform, PushPlatform, RawFacts, SessionHash, UserHash, VersionInfo};

/// What a stranger claims, borrowed from the request. Texts are bounded by the adapter, as its protocol has it.
#[derive(Clone, Debug)]
pub struct RawIdentify<'a> {
    /// What the installation calls itself, 1 to 255 characters.
    pub install_id: &'a str,
    /// What it runs on.
    pub platform: Platform,
    /// The operating system.
    pub system_name: &'a str,
    /// Its version.
    pub system_version: &'a str,
    /// The app's version.
    pub version: &'a str,
    /// The app's build; zero where there is none.
    pub build: i64,
    /// What its owner calls the device.
    pub device_name: &'a str,
    /// `phone`, `tablet`, …
    pub device_kind: &'a str,
    /// Who made it.
    pub device_brand: &'a str,
    /// The bundle that was loaded over the air, as JSON text.
    pub ota: Option<&'a str>,
    /// What it says of messages to it.
    pub push: Option<RawPush<'a>>,
    /// The app's own identifier of the user, not empty.
    pub identifier: Option<&'a str>,
    /// The user's, not empty.
    pub email: Option<&'a str>,
    /// The user's, not empty.
    pub name: Option<&'a str>,
    /// The session that it believes to be in.
    pub session: Option<Uuid>,
    /// Name of the SDK.
    pub sdk_name: Option<&'a str>,
    /// Version of the SDK.
    pub sdk_version: Option<&'a str>,
}

/// What a device says of messages to it.
#[derive(Clone, Copy, Debug)]
pub struct RawPush<'a> {
    /// Who would deliver them.
    pub platform: PushPlatform,
    /// The address for them, not empty; `None` where none are wanted or allowed.
    pub token: Option<&'a str>,
}

/// How long sessions and their tokens last, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimes {
    /// A new session.
    pub session: i64,
    /// How far an identify in a session moves its end, from now.
    pub extend: i64,
    /// A token.
    pub token: i64,
}

impl Default for SessionTimes {
    /// A quarter of an hour each (`teardown`, section 7.4).
    fn default() -> Self {
        let quarter = 15 * Millis::MINUTE;
        Self { session: quarter, extend: quarter, token: quarter }
    }
}

/// What we vouch for, with the ids that whatever is new will have.
#[derive(Clone, Debug)]
pub struct Identify {
    pub(crate) install_id: String,
    pub(crate) platform: Platform,
    pub(crate) system_name: String,
    pub(crate) system_version: String,
    pub(crate) version: String,
    pub(crate) build: i64,
    pub(crate) device_name: String,
    pub(crate) device_kind: String,
    pub(crate) device_brand: String,
    pub(crate) ota: Option<String>,
    pub(crate) push: Option<(PushPlatform, Option<String>)>,
    pub(crate) identifier: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) session: Option<Uuid>,
    pub(crate) sdk_name: Option<String>,
    pub(crate) sdk_version: Option<String>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) times: SessionTimes,
    pub(crate) new_user: (Uuid, UserHash),
    pub(crate) new_device: Uuid,
    pub(crate) new_session: (Uuid, SessionHash),
}

/// What an installation is told. It exists only after the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Public id of its session.
    pub session: Uuid,
    /// Public id of the device.
    pub device: Uuid,
    /// Public id of its user.
    pub user: Uuid,
    /// When the session's token was issued, in seconds since 1970.
    pub issued_at: i64,
    /// When that token expires, in seconds since 1970.
    pub token_expires_at: i64,
    /// Whether it must update.
    pub version: VersionInfo,
    /// What was not there before.
    pub created: Created,
}

/// What an identify has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// A session, perhaps in place of an older one.
    pub session: bool,
    /// A user.
    pub user: bool,
    /// A device.
    pub device: bool,
}

/// A device as events need it: whose it is, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// Row.
    pub row: i64,
    /// Public id.
    pub id: Uuid,
    /// Public id of its user, if it has one.
    pub user: Option<Uuid>,
    /// What the installation calls itself.
    pub install_id: String,
    /// Public id of its newest session, if it has one.
    pub session: Option<Uuid>,
    /// What it last told of itself.
    pub about: About,
}

/// A session as events need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSession {
    /// Public id.
    pub id: Uuid,
    /// Public id of its user, if that is still known.
    pub user: Option<Uuid>,
    /// Its device's row.
    pub device: i64,
    /// What that installation calls itself.
    pub install_id: String,
    /// What its device told of itself.
    pub about: About,
}

/// What an installation tells of itself, as far as its events share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What it runs on.
    pub platform: Platform,
    /// The operating system's version.
    pub system_version: String,
    /// `phone`, `tablet`, …
    pub kind: String,
    /// Who made the device.
    pub brand: String,
    /// The app's version.
    pub version: String,
    /// The app's build.
    pub build: i64,
    /// The SDK, name and version.
    pub sdk: Option<String>,
}

impl About {
    /// The facts that its events and sessions count under.
    pub fn facts(&self) -> RawFacts<'static> {
        let mut facts = RawFacts::default();
        facts.set(Fact::Version, Some(self.version.clone()));
        facts.set(Fact::Build, Some(self.build.to_string()));
        facts.set(Fact::System, Some(self.platform.as_str().to_ascii_lowercase()));
        facts.set(Fact::SystemVersion, Some(self.system_version.clone()));
        facts.set(Fact::Device, Some([&*self.brand, &*self.kind].join(" ").trim().to_owned()));
        facts.set(Fact::Sdk, self.sdk.clone());
        facts
    }
}
