//! Who must update: statuses that were set, rules by the number of a version, and the one decision made of them.

use super::{Millis, Platform, Update, VersionInfo, VersionNumber, VersionStatus};

/// What was set of a version, or of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What is asked of those who run it.
    pub status: VersionStatus,
    /// What the developer has to say to them.
    pub notes: Option<String>,
    /// When somebody set the status; `None` where nobody did, or a rule.
    pub status_at: Option<Millis>,
}

/// What is required of versions by their number. What a rule has set it also takes back, so statuses that it writes
/// have no [`Judged::status_at`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRule {
    /// Of builds on this platform; `None` for a rule about versions, wherever they run.
    pub platform: Option<Platform>,
    /// Lower ones must update.
    pub required: Option<String>,
    /// Lower ones should update.
    pub recommended: Option<String>,
    /// What the developer has to say to both.
    pub notes: Option<String>,
    /// Where to get the newest, beginning with `https://`.
    pub store_url: Option<String>,
    /// When it was last changed.
    pub updated_at: Millis,
}

impl Judged {
    /// What nobody has judged.
    pub const SUPPORTED: Self = Self { status: VersionStatus::Supported, notes: None, status_at: None };

    /// The more severe of a version's and its build's; where they are the same, with the build's notes if there are
    /// any, else with the version's (`teardown`, section 8.2).
    pub fn of<'a>(version: &'a Self, build: Option<&'a Self>) -> &'a Self {
        match build {
            Some(build) if build.status > version.status => build,
            Some(build) if build.status == version.status && build.notes.is_some() => build,
            _ => version,
        }
    }

    /// Whether somebody, and no rule, has set it.
    pub fn is_by_hand(&self) -> bool {
        self.status_at.is_some()
    }
}

impl VersionRule {
    /// What it asks of a number.
    pub fn status(&self, number: VersionNumber) -> VersionStatus {
        let below = |name: &Option<String>| name.as_deref().is_some_and(|name| number < VersionNumber::of(name));
        if below(&self.required) {
            VersionStatus::UpdateRequired
        } else if below(&self.recommended) {
            VersionStatus::UpdateRecommended
        } else {
            VersionStatus::Supported
        }
    }

    fn judge(&self, number: VersionNumber) -> Judged {
        match self.status(number) {
            VersionStatus::Supported => Judged::SUPPORTED,
            status => Judged { status, notes: self.notes.clone(), status_at: None },
        }
    }
}

/// What the rules of an app make of a version and a build that nobody has seen before: the version goes by the rule
/// without a platform, the build by that of its platform alone. For rows that are made new; those that are there keep
/// what they have.
pub fn born(rules: &[VersionRule], number: VersionNumber, platform: Platform) -> (Judged, Judged) {
    let by = |platform| {
        let rule = rules.iter().find(|rule| rule.platform == platform);
        rule.map_or(Judged::SUPPORTED, |rule| rule.judge(number))
    };
    (by(None), by(Some(platform)))
}

impl VersionStatus {
    /// Whether the answer names a version to move to; for the others none need be looked for.
    pub const fn offers_update(self) -> bool {
        matches!(self, Self::UpdateAvailable | Self::UpdateRecommended | Self::UpdateRequired)
    }
}

/// The answer to an app of that version and build (`teardown`, sections 8.2 and 8.3): the more severe of the two. An
/// update leads to `target`, or to the caller's `own` where there is no better. Its notes are those of whoever
/// decided, and so is its time where there is no target; `own` has the time for where nobody has set any. The notes of
/// `own` and `target` make no difference.
pub fn decide(version: &Judged, build: Option<&Judged>, own: Update, target: Option<Update>) -> VersionInfo {
    let judged = Judged::of(version, build);
    let own = || Update { effective_at: judged.status_at.unwrap_or(own.effective_at), ..own };
    let update =
        judged.status.offers_update().then(|| Update { notes: judged.notes.clone(), ..target.unwrap_or_else(own) });
    VersionInfo { status: judged.status, update }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use VersionStatus::{Disabled, Supported, UpdateAvailable, UpdateRecommended, UpdateRequired};

    fn judged(status: VersionStatus, notes: Option<&str>) -> Judged {
        Judged { status, notes: notes.map(str::to_owned), status_at: Some(Millis(7)) }
    }

    fn update(version: &str, at: i64) -> Update {
        Update { version: version.to_owned(), build: 1, id: Uuid::nil(), effective_at: Millis(at), notes: None }
    }

    #[test]
    fn the_more_severe_decides_and_on_a_tie_the_builds_notes_if_it_has_any() {
        for (version, build, status, notes) in [
            ((Supported, Some("v")), None, Supported, None),
            ((UpdateRequired, Some("v")), Some((Supported, Some("b"))), UpdateRequired, Some("v")),
            ((UpdateAvailable, Some("v")), Some((UpdateRecommended, Some("b"))), UpdateRecommended, Some("b")),
            ((UpdateAvailable, Some("v")), Some((UpdateRecommended, None)), UpdateRecommended, None),
            ((UpdateRequired, Some("v")), Some((UpdateRequired, Some("b"))), UpdateRequired, Some("b")),
            ((UpdateRequired, Some("v")), Some((UpdateRequired, None)), UpdateRequired, Some("v")),
            ((UpdateRequired, Some("v")), Some((Disabled, Some("b"))), Disabled, None),
        ] {
            let (version, build) = (judged(version.0, version.1), build.map(|(s, n)| judged(s, n)));
            let told = decide(&version, build.as_ref(), update("1.0", 1), None);
            assert_eq!(told.status, status, "{version:?} {build:?}");
            assert_eq!(told.update.is_some(), status.offers_update());
            assert_eq!(told.update.and_then(|update| update.notes).as_deref(), notes, "{version:?} {build:?}");
        }
    }

    #[test]
    fn an_update_leads_to_the_target_or_stays_where_the_caller_is() {
        let version = judged(UpdateRequired, Some("n"));
        let told = decide(&version, None, update("1.0", 1), Some(update("2.0", 5))).update.unwrap();
        assert_eq!((told.version.as_str(), told.effective_at), ("2.0", Millis(5)));
        let told = decide(&version, None, update("1.0", 1), None).update.unwrap();
        assert_eq!((told.version.as_str(), told.effective_at), ("1.0", Millis(7)));
        let ruled = Judged { status_at: None, ..version };
        assert_eq!(decide(&ruled, None, update("1.0", 1), None).update.unwrap().effective_at, Millis(1));
    }

    #[test]
    fn rules_judge_the_numbers_below_theirs_each_in_its_own_place() {
        let rule = |platform, required: Option<&str>, recommended: Option<&str>| VersionRule {
            platform,
            required: required.map(str::to_owned),
            recommended: recommended.map(str::to_owned),
            notes: Some("n".to_owned()),
            store_url: None,
            updated_at: Millis(0),
        };
        let rules = [rule(None, Some("1.2"), Some("2")), rule(Some(Platform::Ios), Some("3.0.1"), None)];
        for (name, platform, version, build) in [
            ("1.1.9", Platform::Ios, UpdateRequired, UpdateRequired),
            ("1.1.9", Platform::Android, UpdateRequired, Supported),
            ("1.2.0", Platform::Android, UpdateRecommended, Supported),
            ("1.10.0", Platform::Android, UpdateRecommended, Supported),
            ("2.0.0", Platform::Ios, Supported, UpdateRequired),
            ("3.0.1-beta", Platform::Ios, Supported, Supported),
        ] {
            let (of_version, of_build) = born(&rules, VersionNumber::of(name), platform);
            assert_eq!((of_version.status, of_build.status), (version, build), "{name} {platform:?}");
            assert_eq!(of_version.notes.is_some(), version != Supported);
            assert!(!of_build.is_by_hand());
        }
        assert_eq!(born(&[], VersionNumber::default(), Platform::Ios), (Judged::SUPPORTED, Judged::SUPPORTED));
    }
}
