//! The versions of an app as its members see and judge them, and the account of who changed what.

use super::{AppId, By, EnvironmentId, Judged, Millis, Platform, VersionNumber, VersionRule, VersionStatus};

/// Which versions of an app are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionsPage {
    /// Whose.
    pub app: AppId,
    /// Counts and sightings are those of these of its environments.
    pub environments: Vec<EnvironmentId>,
    /// Sessions and events are counted from the UTC day of this instant on.
    pub since: Millis,
    /// Only those with this in their name, without regard to case.
    pub search: Option<String>,
    /// Only those that come after the one of this name, which need not exist.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// A part of an app's versions, highest number first, then by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// Those of the page.
    pub rows: Vec<KnownVersion>,
    /// How many match the search, on whatever page.
    pub found: usize,
    /// How many the app has.
    pub known: usize,
    /// Sessions of all versions together, and of clients that tell none, since the page's instant.
    pub sessions: i64,
    /// Whether others follow.
    pub more: bool,
}

/// A version that installations named, or that events or sessions came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownVersion {
    /// As clients write it.
    pub name: String,
    /// What could be read of that.
    pub number: VersionNumber,
    /// What is asked of those who run it; by the rules where nobody has said.
    pub judged: Judged,
    /// First and last bucket in which events or sessions of it are counted, if any are.
    pub seen: Option<(Millis, Millis)>,
    /// When an installation first named it, or somebody judged it.
    pub created_at: Option<Millis>,
    /// Sessions, as far back as was asked.
    pub sessions: i64,
    /// Events, as far back as was asked.
    pub events: i64,
    /// How many builds of it are known.
    pub builds: i64,
}

/// A version with its builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionDetail {
    /// The version.
    pub version: KnownVersion,
    /// Sessions of all versions together, as far back as was asked.
    pub sessions: i64,
    /// Highest number first, then by platform.
    pub builds: Vec<KnownBuild>,
}

/// A build that installations named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBuild {
    /// Its number, of which a version may have several for different platforms.
    pub number: i64,
    /// What it runs on.
    pub platform: Platform,
    /// What is asked of those who run it.
    pub judged: Judged,
    /// When an installation first named it.
    pub created_at: Millis,
}

/// A status that a member sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetStatus {
    /// Whose version.
    pub app: AppId,
    /// Its name.
    pub version: String,
    /// Only that build of it; without, the version and all its builds.
    pub build: Option<(i64, Platform)>,
    /// The status.
    pub status: VersionStatus,
    /// What the developer has to say, at most [`NOTES`] characters.
    pub notes: Option<String>,
    /// Who sets it.
    pub by: By,
}

/// A rule that a member sets in place of the one of that platform; one that asks for nothing removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRule {
    /// Whose versions.
    pub app: AppId,
    /// The rule; its `updated_at` is when it was set.
    pub rule: VersionRule,
    /// Who sets it.
    pub by: By,
}

/// A status that is another one than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionChange {
    /// Whose version.
    pub app: AppId,
    /// Its name.
    pub version: String,
    /// The build whose status changed; `None` for the version's own.
    pub build: Option<(i64, Platform)>,
    /// What it was.
    pub from: VersionStatus,
    /// What it is.
    pub to: VersionStatus,
}

/// Longest notes, in characters.
pub const NOTES: usize = 500;
/// Longest name of a version in a rule, in bytes.
const NAME: usize = 64;
/// Longest address of a store, in bytes.
const URL: usize = 500;

/// Why a status or a rule cannot be set, in words for whoever sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// Notes of more than [`NOTES`] characters.
    #[error("Notes have at most 500 characters.")]
    Notes,
    /// A version in which there is no number.
    #[error("A version begins with a number, such as 2.1.0, and has at most 64 characters.")]
    Version,
    /// Recommending less than what is required.
    #[error("The recommended version is lower than the required one.")]
    Order,
    /// Something else than an address that begins with `https://`.
    #[error("The address of a store begins with https:// and has at most 500 characters.")]
    StoreUrl,
}

impl SetStatus {
    /// Whether it can be set.
    pub fn check(&self) -> Result<(), PolicyProblem> {
        check_notes(self.notes.as_deref())
    }
}

impl SetRule {
    /// Whether it can be set.
    pub fn check(&self) -> Result<(), PolicyProblem> {
        let VersionRule { required, recommended, notes, store_url, .. } = &self.rule;
        check_notes(notes.as_deref())?;
        let number = |name: &Option<String>| match name.as_deref() {
            Some(name) if name.len() > NAME => Err(PolicyProblem::Version),
            Some(name) => VersionNumber::read(name).map(Some).ok_or(PolicyProblem::Version),
            None => Ok(None),
        };
        match (number(required)?, number(recommended)?) {
            (Some(required), Some(recommended)) if recommended < required => return Err(PolicyProblem::Order),
            _ => {}
        }
        let is_address = |url: &str| {
            let host = url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
            !host.is_empty() && url.len() <= URL && url.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        if store_url.as_deref().is_none_or(is_address) { Ok(()) } else { Err(PolicyProblem::StoreUrl) }
    }
}

fn check_notes(notes: Option<&str>) -> Result<(), PolicyProblem> {
    match notes {
        Some(notes) if notes.chars().count() > NOTES => Err(PolicyProblem::Notes),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_what_is_wrong_with_them() {
        let long = format!("https://example.org/{}", "a".repeat(500));
        for (required, recommended, url, expected) in [
            ("2.0", "", "", Ok(())),
            ("2.0", "2.0", "https://example.org/app", Ok(())),
            ("", "v2", "", Ok(())),
            ("", "", "", Ok(())),
            ("two", "", "", Err(PolicyProblem::Version)),
            ("", ".1", "", Err(PolicyProblem::Version)),
            ("2.0", "1.9.9", "", Err(PolicyProblem::Order)),
            ("", "", "http://example.org", Err(PolicyProblem::StoreUrl)),
            ("", "", "https://", Err(PolicyProblem::StoreUrl)),
            ("", "", "https:///path", Err(PolicyProblem::StoreUrl)),
            ("", "", "javascript:alert(1)", Err(PolicyProblem::StoreUrl)),
            ("", "", "https://example.org/a b", Err(PolicyProblem::StoreUrl)),
            ("", "", &long, Err(PolicyProblem::StoreUrl)),
        ] {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let rule = VersionRule {
                platform: None,
                required: text(required),
                recommended: text(recommended),
                notes: None,
                store_url: text(url),
                updated_at: Millis(0),
            };
            let set = SetRule { app: AppId(1), rule, by: By::command_line(Millis(0)) };
            assert_eq!(set.check(), expected, "{required} {recommended} {url}");
        }
    }

    #[test]
    fn notes_are_counted_in_characters() {
        for (count, expected) in [(500, Ok(())), (501, Err(PolicyProblem::Notes))] {
            assert_eq!(check_notes(Some(&"ä".repeat(count))), expected);
        }
    }
}
