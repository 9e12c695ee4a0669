//! Which versions of an app an order is for.

use std::fmt;

use crate::model::VersionNumber;

/// Longest version that an order names, in bytes.
const LONGEST: usize = 100;

/// Which versions an order is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionScope {
    /// All, and events that tell of none.
    #[default]
    All,
    /// Those with a lower number, by their first three.
    Below(String),
    /// The one of that very name.
    Exactly(String),
}

impl VersionScope {
    /// Reads a kind and a version.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(kind: &str, version: &str) -> Result<Self, &'static str> {
        let version = version.trim();
        let fits = (1..=LONGEST).contains(&version.len()) && !version.chars().any(char::is_control);
        match kind {
            "all" if version.is_empty() => Ok(Self::All),
            "all" => Err("An order for all versions names none."),
            "below" if fits && VersionNumber::read(version).is_some() => Ok(Self::Below(version.to_owned())),
            "below" => Err("Say below which version, such as 1.2.0."),
            "exactly" if fits => Ok(Self::Exactly(version.to_owned())),
            "exactly" => Err("Say which version, in up to 100 bytes."),
            _ => Err("An order is for all versions, for those below one, or for one."),
        }
    }

    /// As stored, and as the field of a form says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Below(_) => "below",
            Self::Exactly(_) => "exactly",
        }
    }

    /// The version that it names, empty for all.
    pub fn version(&self) -> &str {
        match self {
            Self::All => "",
            Self::Below(version) | Self::Exactly(version) => version,
        }
    }

    /// Whether it is for a client of that version; one that tells of none is only among all.
    pub fn holds(&self, version: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Below(end) => {
                let number = version.and_then(VersionNumber::read);
                number.is_some_and(|number| number < VersionNumber::of(end))
            }
            Self::Exactly(name) => version == Some(name),
        }
    }
}

impl fmt::Display for VersionScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all versions"),
            Self::Below(version) => write!(f, "versions below {version}"),
            Self::Exactly(version) => write!(f, "version {version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_a_scope_by_number_or_by_name() {
        let below = VersionScope::parse("below", " 1.10.0 ").unwrap();
        let exactly = VersionScope::parse("exactly", "1.10.0-beta").unwrap();
        for (version, is_below, is_it) in [
            (Some("1.9.9"), true, false),
            (Some("1.10.0"), false, false),
            (Some("1.10.0-beta"), false, true),
            (Some("v1.2"), true, false),
            (Some("nightly"), false, false),
            (Some(""), false, false),
            (None, false, false),
        ] {
            let held = [VersionScope::All.holds(version), below.holds(version), exactly.holds(version)];
            assert_eq!(held, [true, is_below, is_it], "{version:?}");
        }
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for scope in [VersionScope::All, VersionScope::Below("2.0".to_owned()), VersionScope::Exactly("x".to_owned())] {
            assert_eq!(VersionScope::parse(scope.kind(), scope.version()), Ok(scope));
        }
        let long = "1".repeat(101);
        for (kind, version) in
            [("all", "1.0"), ("below", ""), ("below", "new"), ("exactly", " "), ("exactly", &long), ("", "")]
        {
            assert!(VersionScope::parse(kind, version).is_err(), "{kind} {version}");
        }
    }
}
