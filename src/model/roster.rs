//! Who uses an app: questions for lists of devices and users, for one person and what they did, and the answers.

use std::sync::Arc;

use uuid::Uuid;

use super::{Cursor, EnvironmentId, EventRow, Millis, SessionRow, UserHash, Zone};

/// The order of a list of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceSort {
    /// Those that identified themselves last come first.
    #[default]
    LastSeen,
    /// The newest first.
    FirstSeen,
    /// By what their owners call them, without regard to the case of A to Z.
    Name,
    /// By platform, then by name.
    Platform,
}

impl DeviceSort {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::LastSeen, Self::FirstSeen, Self::Name, Self::Platform];

    /// As in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LastSeen => "seen",
            Self::FirstSeen => "first",
            Self::Name => "name",
            Self::Platform => "platform",
        }
    }

    /// As on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::LastSeen => "Last seen",
            Self::FirstSeen => "First seen",
            Self::Name => "Name",
            Self::Platform => "Platform",
        }
    }

    /// Reads a cursor of a list in this order.
    pub fn cursor(self, text: &str) -> Option<Cursor> {
        match self {
            Self::LastSeen | Self::FirstSeen => Cursor::number(text),
            Self::Name | Self::Platform => Cursor::text(text),
        }
    }
}

/// The order of a list of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserSort {
    /// Those of the latest day come first.
    #[default]
    LastSeen,
    /// The newest first.
    FirstSeen,
}

impl UserSort {
    /// Every order.
    pub const ALL: [Self; 2] = [Self::LastSeen, Self::FirstSeen];

    /// As in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LastSeen => "seen",
            Self::FirstSeen => "first",
        }
    }

    /// As on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::LastSeen => "Last seen",
            Self::FirstSeen => "First seen",
        }
    }
}

/// A page of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicesPage {
    /// Whose.
    pub environment: EnvironmentId,
    /// Only those whose name, brand, platform or system contains it, or whose installation id begins with it; the case
    /// of A to Z makes no difference. Empty for all.
    pub search: String,
    /// In which order.
    pub sort: DeviceSort,
    /// Behind which row of the same search and order.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}

/// Answer to a [`DevicesPage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceList {
    /// In the order that was asked for.
    pub rows: Vec<DeviceRow>,
    /// Where it goes on, if it does.
    pub next: Option<Cursor>,
}

/// One device, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// Public id.
    pub id: Uuid,
    /// What the installation calls itself.
    pub install_id: String,
    /// What it runs on, in upper case.
    pub platform: String,
    /// The operating system.
    pub system_name: String,
    /// Its version.
    pub system_version: String,
    /// What its owner calls it; may be empty, as may the next two.
    pub name: String,
    /// `phone`, `tablet`, …
    pub kind: String,
    /// Who made it.
    pub brand: String,
    /// When it first identified itself.
    pub created_at: Millis,
    /// When it last did.
    pub seen_at: Millis,
    /// Whose it is, if anybody's.
    pub user: Option<(UserHash, Profile)>,
    /// The app's version and build of its newest session.
    pub version: Option<(String, i64)>,
}

/// What an app tells of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Public id.
    pub id: Uuid,
    /// The app's own identifier; without one it is nobody known yet.
    pub identifier: Option<String>,
    /// Theirs.
    pub email: Option<String>,
    /// Theirs.
    pub name: Option<String>,
}

/// A page of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersPage {
    /// Whose.
    pub environment: EnvironmentId,
    /// Only those whose identifier, e-mail address or name contains it, whatever the case of A to Z, or whose public id
    /// or pseudonym begins with it, from four digits on. Empty for all.
    pub search: String,
    /// In which order.
    pub sort: UserSort,
    /// Behind which row of the same search and order.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}

/// Answer to a [`UsersPage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserList {
    /// In the order that was asked for.
    pub rows: Vec<UserRow>,
    /// Where it goes on, if it does.
    pub next: Option<Cursor>,
    /// Whether more match than a search looks at, so that some are in no page of it.
    pub cut: bool,
}

/// One user, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Pseudonym.
    pub hash: UserHash,
    /// First event.
    pub first_at: Millis,
    /// Last local day with an event.
    pub last_day: i32,
    /// What the app tells of them.
    pub profile: Option<Profile>,
}

/// One user, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Pseudonym.
    pub hash: UserHash,
    /// The pseudonyms that they had before it was known who they are, each with when that was told.
    pub earlier: Vec<(UserHash, Millis)>,
    /// When they were seen, if there was an event of theirs.
    pub seen: Option<Seen>,
    /// What the app tells of them.
    pub profile: Option<Profile>,
    /// What they have now, the last seen first, at most a hundred.
    pub devices: Vec<DeviceRow>,
    /// Addresses for messages to those devices, in the same order.
    pub push: Vec<PushRow>,
    /// Their sessions on devices, where they have had any.
    pub sessions: u64,
}

/// When a user was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// First event.
    pub first_at: Millis,
    /// Last local day with an event.
    pub last_day: i32,
    /// Local days with events.
    pub days: u64,
}

/// Where messages for a device go; of the address itself only the beginning is known outside of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRow {
    /// The device's public id.
    pub device: Uuid,
    /// Who delivers, in upper case.
    pub platform: String,
    /// The first eight characters.
    pub hint: String,
    /// Whether it is wanted still.
    pub active: bool,
}

/// A stretch of what a user did.
#[derive(Clone, Debug)]
pub struct TimelinePage {
    /// Where.
    pub environment: EnvironmentId,
    /// The calendar in which the app's days are counted.
    pub zone: Arc<Zone>,
    /// Who.
    pub user: UserHash,
    /// Before which item; `None` for the newest.
    pub before: Option<Cursor>,
    /// At most so many items.
    pub limit: u32,
}

/// Answer to a [`TimelinePage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Newest first.
    pub items: Vec<TimelineItem>,
    /// The sessions of those items.
    pub sessions: Vec<SessionRow>,
    /// Where it goes on. There may be nothing more, or a page may be short, where looking took long.
    pub next: Option<Cursor>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineItem {
    /// When.
    pub at: Millis,
    /// Public id of the event or of the session.
    pub id: [u8; 16],
    /// The event; without one, a device's session began.
    pub event: Option<EventRow>,
    /// Its session's place in [`Timeline::sessions`].
    pub session: Option<usize>,
}
