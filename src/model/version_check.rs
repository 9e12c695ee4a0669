//! The question whether a version must update, asked of any app, and its answer out of the app's policy.

use std::collections::HashMap;

use super::{Judged, Platform, VersionNumber, VersionRule, VersionStatus};

/// What a client tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionQuestion {
    /// The app's version.
    pub version: String,
    /// Its build, where it tells one.
    pub build: Option<i64>,
    /// What it runs on, where it tells a platform that we know.
    pub platform: Option<Platform>,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionAnswer {
    /// What is asked of it.
    pub status: VersionStatus,
    /// The version to move to, where there is a higher one.
    pub version: Option<String>,
    /// The build of that, where one is known for its platform.
    pub build: Option<i64>,
    /// What the developer has to say.
    pub notes: Option<String>,
    /// Where to get the newest.
    pub store_url: Option<String>,
}

impl VersionAnswer {
    /// Where nothing is known against a version, or nothing at all.
    pub const UP_TO_DATE: Self =
        Self { status: VersionStatus::Supported, version: None, build: None, notes: None, store_url: None };
}

/// A version to move to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its name.
    pub version: String,
    /// Its newest build there.
    pub build: Option<i64>,
}

/// All that it takes to answer for one app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPolicy {
    /// Rules by number.
    pub rules: Vec<VersionRule>,
    /// Versions that somebody has judged; whatever stands here, no rule applies to it.
    pub versions: HashMap<String, Judged>,
    /// Builds of a version that somebody has judged.
    pub builds: HashMap<String, Vec<(i64, Platform, Judged)>>,
    /// The highest supported version with a supported build, by platform.
    pub newest: Vec<(Platform, Destination)>,
    /// The highest version without any builds that somebody has judged as supported.
    pub newest_anywhere: Option<Destination>,
}

impl VersionPolicy {
    /// The answer: by what somebody has set of that version or build, else by the rules, as [`decide`](super::decide)
    /// makes it of rows. A version without a number that can be read, and a platform that is not known, fall under no
    /// rule.
    pub fn answer(&self, question: &VersionQuestion) -> VersionAnswer {
        let number = VersionNumber::read(&question.version);
        let rule = |platform| self.rules.iter().find(|rule| rule.platform == platform);
        let everywhere = rule(None);
        let here = question.platform.and_then(|platform| rule(Some(platform)));
        let ruled = |rule: Option<&VersionRule>| match (rule, number) {
            (Some(rule), Some(number)) => rule.judge(number),
            _ => Judged::SUPPORTED,
        };
        let version = self.versions.get(&question.version).cloned().unwrap_or_else(|| ruled(everywhere));
        let build = self.build(question).cloned().unwrap_or_else(|| ruled(here));
        let judged = Judged::of(&version, Some(&build));
        if !judged.status.offers_update() {
            // Who is shut out may want to know why.
            let notes = judged.notes.clone().filter(|_| judged.status == VersionStatus::Disabled);
            return VersionAnswer { status: judged.status, notes, ..VersionAnswer::UP_TO_DATE };
        }
        let rules = [here, everywhere];
        let target = self.target(question.platform, number.unwrap_or_default(), rules);
        let store_url = rules.into_iter().flatten().find_map(|rule| rule.store_url.clone());
        VersionAnswer {
            status: judged.status,
            build: target.as_ref().and_then(|target| target.build),
            version: target.map(|target| target.version),
            notes: judged.notes.clone(),
            store_url,
        }
    }

    fn build(&self, question: &VersionQuestion) -> Option<&Judged> {
        let (build, platform) = (question.build?, question.platform?);
        let builds = self.builds.get(&question.version)?;
        builds.iter().find(|(number, on, _)| (*number, *on) == (build, platform)).map(|(_, _, judged)| judged)
    }

    /// The highest of what is known to be supported there and of what the rules name, if it is above `number`.
    fn target(
        &self,
        platform: Option<Platform>,
        number: VersionNumber,
        rules: [Option<&VersionRule>; 2],
    ) -> Option<Destination> {
        let known = self.newest.iter().find(|(on, _)| Some(*on) == platform).map(|(_, newest)| newest.clone());
        let named = rules.into_iter().flatten().flat_map(|rule| [&rule.recommended, &rule.required]).flatten();
        let named = named.map(|version| Destination { version: version.clone(), build: None });
        let all = named.chain(self.newest_anywhere.clone()).chain(known);
        // Of those of one number it takes the last, which is the one that says most.
        all.filter(|one| one.number() > number).max_by_key(Destination::number)
    }
}

impl Destination {
    fn number(&self) -> VersionNumber {
        VersionNumber::of(&self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;
    use VersionStatus::{Disabled, Supported, UpdateAvailable, UpdateRecommended, UpdateRequired};

    fn rule(platform: Option<Platform>, required: &str, recommended: &str) -> VersionRule {
        let name = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        VersionRule {
            platform,
            required: name(required),
            recommended: name(recommended),
            notes: Some("by rule".to_owned()),
            store_url: platform.map(|platform| format!("https://{}.example", platform.as_str())),
            updated_at: Millis(0),
        }
    }

    fn by_hand(status: VersionStatus) -> Judged {
        Judged { status, notes: Some("by hand".to_owned()), status_at: Some(Millis(1)) }
    }

    fn policy() -> VersionPolicy {
        let to = |version: &str, build| Destination { version: version.to_owned(), build };
        VersionPolicy {
            rules: vec![rule(None, "1.2", "2.0"), rule(Some(Platform::Ios), "3.0", "")],
            versions: [("1.0", Supported), ("2.5", Disabled), ("2.6", UpdateAvailable)]
                .map(|(name, status)| (name.to_owned(), by_hand(status)))
                .into(),
            builds: [("2.7".to_owned(), vec![(7, Platform::Ios, by_hand(Supported))])].into(),
            newest: vec![(Platform::Ios, to("3.1", Some(31))), (Platform::Android, to("2.0", Some(20)))],
            newest_anywhere: None,
        }
    }

    fn ask(version: &str, build: Option<i64>, platform: Option<Platform>) -> VersionAnswer {
        policy().answer(&VersionQuestion { version: version.to_owned(), build, platform })
    }

    #[test]
    fn hands_go_before_rules_and_the_more_severe_decides() {
        let (ios, android) = (Some(Platform::Ios), Some(Platform::Android));
        for (version, build, platform, status, target) in [
            ("1.1", None, None, UpdateRequired, Some("2.0")),
            ("1.1", None, android, UpdateRequired, Some("2.0")),
            ("1.1", None, ios, UpdateRequired, Some("3.1")),
            ("1.2", None, android, UpdateRecommended, Some("2.0")),
            ("1.2", None, ios, UpdateRequired, Some("3.1")),
            ("1.0", None, android, Supported, None),
            ("1.0", None, ios, UpdateRequired, Some("3.1")),
            ("2.5", None, ios, Disabled, None),
            ("2.6", None, android, UpdateAvailable, None),
            ("2.6", None, ios, UpdateRequired, Some("3.1")),
            ("2.7", Some(7), ios, Supported, None),
            ("2.7", Some(8), ios, UpdateRequired, Some("3.1")),
            ("2.7", Some(7), android, Supported, None),
            ("9.0", Some(1), ios, Supported, None),
            ("nightly", None, ios, Supported, None),
            ("", None, None, Supported, None),
        ] {
            let answer = ask(version, build, platform);
            assert_eq!(
                (answer.status, answer.version.as_deref()),
                (status, target),
                "{version} {build:?} {platform:?}"
            );
        }
    }

    #[test]
    fn the_answer_says_where_to_go_and_why() {
        let answer = ask("1.2", None, Some(Platform::Ios));
        assert_eq!(answer.build, Some(31));
        assert_eq!(answer.notes.as_deref(), Some("by rule"));
        assert_eq!(answer.store_url.as_deref(), Some("https://IOS.example"));
        let answer = ask("2.6", None, Some(Platform::Android));
        assert_eq!((answer.notes.as_deref(), answer.store_url), (Some("by hand"), None));
        let disabled =
            VersionAnswer { status: Disabled, notes: Some("by hand".to_owned()), ..VersionAnswer::UP_TO_DATE };
        assert_eq!(ask("2.5", None, Some(Platform::Ios)), disabled);
        assert_eq!(ask("1.0", None, Some(Platform::Android)), VersionAnswer::UP_TO_DATE);
    }

    #[test]
    fn without_a_policy_everything_is_up_to_date() {
        let question = VersionQuestion { version: "0.1".to_owned(), build: Some(1), platform: Some(Platform::Ios) };
        assert_eq!(VersionPolicy::default().answer(&question), VersionAnswer::UP_TO_DATE);
    }
}
