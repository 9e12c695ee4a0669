//! What an app lets in: its tier's figures, networks, origins, and who is banned.

use std::collections::HashSet;
use std::net::IpAddr;

use super::{AppId, BanId, EnvironmentId, EventAge, Figures, IpNet, Millis, Orders, TierId, UserHash, age_of};

/// Most networks, and most origins, of one app.
pub const MOST_LISTED: usize = 100;
/// Most bans of one app.
pub const MOST_BANS: usize = 1_000;

/// All that a request to an app is held against.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Of its tier.
    pub figures: Figures,
    /// Client networks that may send; all where there are none.
    pub networks: Vec<IpNet>,
    /// Web origins that may send, as browsers write them; where there are none, the box's setting counts.
    pub origins: Vec<String>,
    /// Who is banned.
    pub banned: Banned,
    /// What it chose for the age of events, by environment.
    pub ages: Vec<EventAge>,
    /// What its clients are ordered to do.
    pub orders: Orders,
}

impl Rules {
    /// The oldest that an event of an environment may be at an instant: one that is older would be forgotten at once, or a
    /// repeat of one that was. `usual` is the longest age where nothing was chosen, in milliseconds.
    pub fn oldest(&self, environment: EnvironmentId, now: Millis, usual: i64) -> Millis {
        let chosen = self.ages.iter().find(|age| age.environment == environment);
        let age = match chosen.and_then(|age| age.chosen) {
            Some(days) => age_of(days).unwrap_or(i64::MAX),
            None => usual,
        };
        let gone = chosen.map_or(Millis(i64::MIN), |age| age.gone);
        Millis(now.0.saturating_sub(age)).max(gone)
    }

    /// Whether requests from that address are let in.
    pub fn admit_address(&self, address: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(address))
    }

    /// Whether requests from pages of that origin are let in.
    pub fn admit_origin(&self, origin: &[u8]) -> bool {
        self.origins.is_empty() || self.origins.iter().any(|listed| listed.as_bytes() == origin)
    }
}

/// Whoever is banned from an app, by hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Banned {
    /// Users, as events name them.
    pub users: HashSet<UserHash>,
    /// The same people, as installations name them that say who they are.
    pub identifiers: HashSet<SubjectHash>,
    /// Devices.
    pub devices: HashSet<SubjectHash>,
}

impl Banned {
    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.devices.is_empty()
    }
}

/// A keyed hash of the id of a device, or of a user as installations name them, different for each app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectHash(pub [u8; 16]);

/// Who is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// A user: as events name them, and maybe as installations name them.
    User(UserHash, Option<SubjectHash>),
    /// A device.
    Device(SubjectHash),
}

impl Barred {
    /// As written in the database and on pages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(..) => "user",
            Self::Device(_) => "device",
        }
    }
}

/// A ban of one app.
#[derive(Clone, Debug)]
pub struct Ban {
    /// Row.
    pub id: BanId,
    /// Who.
    pub subject: Barred,
    /// What they are called on pages: never more than is stored of them anyway.
    pub label: String,
    /// Since when.
    pub created_at: Millis,
    /// Who banned them.
    pub member: String,
}

/// A ban to be made.
#[derive(Clone, Debug)]
pub struct NewBan {
    /// From which app.
    pub app: AppId,
    /// Who.
    pub subject: Barred,
    /// See [`Ban::label`]; at most 100 characters.
    pub label: String,
}

/// What is set for an app, for the page that changes it.
#[derive(Clone, Debug, Default)]
pub struct AppLimits {
    /// The tier that was chosen; the box's usual one without.
    pub tier: Option<TierId>,
    /// See [`Rules::networks`].
    pub networks: Vec<IpNet>,
    /// See [`Rules::origins`].
    pub origins: Vec<String>,
}

/// Reads a web origin as browsers write it: `https://app.example.com`, with a port where it is not the usual one.
pub fn parse_origin(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
    let (scheme, host) = text.split_once("://")?;
    let fits = matches!(scheme, "http" | "https" | "capacitor" | "ionic" | "tauri" | "app")
        && (1..=255).contains(&host.len())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'));
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        for (text, origin) in [
            ("https://app.example.com", Some("https://app.example.com")),
            (" HTTPS://App.Example.com/ ", Some("https://app.example.com")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("capacitor://localhost", Some("capacitor://localhost")),
            ("https://app.example.com/path", None),
            ("app.example.com", None),
            ("https://", None),
            ("*", None),
            ("null", None),
            ("javascript://x", None),
            ("https://a b", None),
        ] {
            assert_eq!(parse_origin(text).as_deref(), origin, "{text}");
        }
    }

    #[test]
    fn nothing_listed_lets_everything_in() {
        let mut rules = Rules::default();
        let address = "192.0.2.1".parse().unwrap();
        assert!(rules.admit_address(address) && rules.admit_origin(b"https://any.example"));
        rules.networks = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        rules.origins = vec!["https://app.example".to_owned()];
        for (address, admitted) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.9", true),
            ("2001:db8::1", true),
            ("192.0.3.1", false),
            ("::1", false),
        ] {
            assert_eq!(rules.admit_address(address.parse().unwrap()), admitted, "{address}");
        }
        assert!(rules.admit_origin(b"https://app.example") && !rules.admit_origin(b"https://app.example.evil"));
    }
}
