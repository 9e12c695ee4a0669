//! Versions and builds of an app, and what is asked of those who run them.

use std::fmt;

use uuid::Uuid;

use super::Millis;

macro_rules! named {
    ($(#[$head:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$head])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// Every one, in order.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// As stored, and as clients write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The one of that name, in upper case.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.as_str() == text)
            }
        }
    };
}

named! {
    /// What is asked of those who run a version or a build; the later, the more severe (`teardown`, section 8).
    VersionStatus {
        /// Nothing.
        Supported = "SUPPORTED",
        /// There is a newer one.
        UpdateAvailable = "UPDATE_AVAILABLE",
        /// They should update.
        UpdateRecommended = "UPDATE_RECOMMENDED",
        /// They must update.
        UpdateRequired = "UPDATE_REQUIRED",
        /// It does not work any more, and no update is offered.
        Disabled = "DISABLED",
    }
}

named! {
    /// What an app runs on (`teardown`, section 5.1).
    Platform {
        /// Apple's telephones and tablets.
        Ios = "IOS",
        /// Android.
        Android = "ANDROID",
        /// A browser.
        Web = "WEB",
        /// Windows.
        Windows = "WINDOWS",
        /// Apple's computers.
        Macos = "MACOS",
        /// Linux.
        Linux = "LINUX",
        /// A telephone.
        Phone = "PHONE",
        /// A tablet.
        Tablet = "TABLET",
        /// A computer.
        Desktop = "DESKTOP",
        /// A console.
        Console = "CONSOLE",
        /// A television.
        Tv = "TV",
        /// A watch and the like.
        Wearable = "WEARABLE",
        /// A console for games.
        GameConsole = "GAME_CONSOLE",
        /// A headset.
        Vr = "VR",
        /// Not known.
        Unknown = "UNKNOWN",
        /// Something else.
        Other = "OTHER",
    }
}

named! {
    /// Who delivers messages to a device (`teardown`, section 9).
    PushPlatform {
        /// Apple.
        Apns = "APNS",
        /// Google.
        Fcm = "FCM",
        /// Expo.
        Expo = "EXPO",
    }
}

impl VersionStatus {
    /// As answered to clients: what is stored as supported is up to date to them.
    pub const fn answer(self) -> &'static str {
        match self {
            Self::Supported => "UP_TO_DATE",
            other => other.as_str(),
        }
    }

    /// As on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Supported => "Supported",
            Self::UpdateAvailable => "Update available",
            Self::UpdateRecommended => "Update recommended",
            Self::UpdateRequired => "Update required",
            Self::Disabled => "Disabled",
        }
    }
}

/// The first three numbers of a version's name, by which versions are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionNumber {
    /// First.
    pub major: i64,
    /// Second.
    pub minor: i64,
    /// Third.
    pub patch: i64,
}

impl VersionNumber {
    /// What can be read of a name: what follows `-` or `+` is left out, and whatever is no number is 0, as is one of
    /// more than fifteen digits. A leading `v` is no part of the number.
    pub fn of(name: &str) -> Self {
        let name = name.trim().trim_start_matches(['v', 'V']);
        let core = name.split(['-', '+', ' ']).next().unwrap_or_default();
        let mut parts = core.split('.').map(|part| match part.len() {
            1..=15 if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse().unwrap_or(0),
            _ => 0,
        });
        let mut next = || parts.next().unwrap_or(0);
        Self { major: next(), minor: next(), patch: next() }
    }

    /// As [`VersionNumber::of`]; `None` of a name that does not begin with a number.
    pub fn read(name: &str) -> Option<Self> {
        let begins = name.trim().trim_start_matches(['v', 'V']).starts_with(|c: char| c.is_ascii_digit());
        begins.then(|| Self::of(name))
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The answer to whether an app must update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// What is asked.
    pub status: VersionStatus,
    /// Where to, for every status between [`VersionStatus::Supported`] and [`VersionStatus::Disabled`].
    pub update: Option<Update>,
}

/// The version to move to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Its name: the asking one's own where there is no better.
    pub version: String,
    /// Its build.
    pub build: i64,
    /// Public id of that build.
    pub id: Uuid,
    /// Since when: when the version to move to was first seen, else when the status was set.
    pub effective_at: Millis,
    /// What the developer has to say, by whom the status was decided.
    pub notes: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_far_as_there_are_some() {
        for (name, major, minor, patch) in [
            ("1.2.3", 1, 2, 3),
            ("v2.0", 2, 0, 0),
            ("1.2.3-beta.4+567", 1, 2, 3),
            ("10.20.30.40", 10, 20, 30),
            ("1.x.3", 1, 0, 3),
            ("nightly", 0, 0, 0),
            ("", 0, 0, 0),
            ("99999999999999999999.1", 0, 1, 0),
        ] {
            assert_eq!(VersionNumber::of(name), VersionNumber { major, minor, patch }, "{name}");
        }
        assert!(VersionNumber::of("1.10.0") > VersionNumber::of("1.9.9"));
        for (name, begins) in [("0", true), (" v1.2", true), ("nightly", false), (".1", false), ("", false)] {
            assert_eq!(VersionNumber::read(name).is_some(), begins, "{name}");
        }
    }

    #[test]
    fn statuses_are_in_the_order_of_their_severity_and_known_by_their_names() {
        assert!(VersionStatus::ALL.is_sorted());
        for status in VersionStatus::ALL {
            assert_eq!(VersionStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(VersionStatus::Supported.answer(), "UP_TO_DATE");
        assert_eq!(VersionStatus::Disabled.answer(), "DISABLED");
        assert_eq!(Platform::ALL.len(), 16);
        assert_eq!(Platform::parse("ios"), None);
    }
}
