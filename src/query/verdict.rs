//! Whether a version does better or worse than the one before it, as far as the counts can tell.

use crate::model::VersionHealth;

/// Fewest observations on both sides from which anything is concluded.
pub const ENOUGH: i64 = 30;

/// How many standard deviations hold 95 percent of a normal distribution.
const Z: f64 = 1.959_963_985;

/// What of a version is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Share of the sessions in which something has crashed.
    Crashes,
    /// Share of the events that tell of an error.
    Errors,
    /// Share of the new users who were seen on the next day.
    Returns,
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proportion {
    /// How many.
    pub part: i64,
    /// Of how many.
    pub whole: i64,
    /// How many of the whole are taken to be independent of each other, at most all. Events of one session are alike,
    /// so there are no more such than sessions.
    pub observations: i64,
}

/// What comes out of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Better than the version before it.
    Better,
    /// Worse than the version before it.
    Worse,
    /// A difference as large as what is seen can be chance.
    Unclear,
    /// Fewer than [`ENOUGH`] observations on one side.
    TooFew,
    /// No version was seen before it.
    First,
}

/// A version beside the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// The version.
    pub version: &'a VersionHealth,
    /// The latest of those first seen before it that has enough sessions to compare with; where none has, the latest.
    pub before: Option<&'a VersionHealth>,
}

/// Each of some versions, in the order in which they were first seen, beside the one before it.
pub fn releases(versions: &[VersionHealth]) -> Vec<Release<'_>> {
    let (mut latest, mut compared) = (None, None);
    let release = |version| {
        let release = Release { version, before: compared.or(latest) };
        latest = Some(version);
        if version.sessions >= ENOUGH {
            compared = Some(version);
        }
        release
    };
    versions.iter().map(release).collect()
}

impl Release<'_> {
    /// How it compares.
    pub fn verdict(&self, aspect: Aspect) -> Verdict {
        self.before.map_or(Verdict::First, |before| aspect.judge(aspect.of(self.version), aspect.of(before)))
    }

    /// How it compares, in words: `worse than 1.4.0: 3.1% of sessions crash, 0.4% before`.
    pub fn words(&self, aspect: Aspect) -> String {
        let Some(before) = self.before else { return "no version before it".to_owned() };
        let than = match self.verdict(aspect) {
            Verdict::Better => "better than",
            Verdict::Worse => "worse than",
            Verdict::Unclear => "no clear difference from",
            Verdict::TooFew => return format!("too few {} to tell", aspect.noun()),
            Verdict::First => return "no version before it".to_owned(),
        };
        let (now, earlier) = (aspect.of(self.version).percent(), aspect.of(before).percent());
        format!("{than} {}: {now} {}, {earlier} before", before.version, aspect.said())
    }
}

impl Aspect {
    /// Every aspect, in the order of pages.
    pub const ALL: [Self; 3] = [Self::Crashes, Self::Errors, Self::Returns];

    /// Its share in a version.
    pub fn of(self, version: &VersionHealth) -> Proportion {
        let (part, whole, observations) = match self {
            Self::Crashes => (version.crashed_sessions, version.sessions, version.sessions),
            Self::Errors => (version.errors, version.events, version.sessions.min(version.events)),
            Self::Returns => (version.returned, version.newcomers, version.newcomers),
        };
        Proportion { part, whole, observations }
    }

    /// Compares a share with that of the version before. A difference is clear where its interval of 95 percent, by
    /// Newcombe's method of two Wilson scores, does not hold zero: that stays right for rare events and small counts.
    fn judge(self, now: Proportion, before: Proportion) -> Verdict {
        if now.observations < ENOUGH || before.observations < ENOUGH {
            return Verdict::TooFew;
        }
        let (low, high) = difference(now, before);
        match self {
            Self::Crashes | Self::Errors if low > 0.0 => Verdict::Worse,
            Self::Crashes | Self::Errors if high < 0.0 => Verdict::Better,
            Self::Returns if low > 0.0 => Verdict::Better,
            Self::Returns if high < 0.0 => Verdict::Worse,
            Self::Crashes | Self::Errors | Self::Returns => Verdict::Unclear,
        }
    }

    /// What there has to be enough of.
    const fn noun(self) -> &'static str {
        match self {
            Self::Crashes | Self::Errors => "sessions",
            Self::Returns => "new users",
        }
    }

    /// What its share is of.
    const fn said(self) -> &'static str {
        match self {
            Self::Crashes => "of sessions crash",
            Self::Errors => "of events are errors",
            Self::Returns => "of new users come back the next day",
        }
    }
}

impl Proportion {
    /// As a fraction; zero of nothing.
    fn share(self) -> f64 {
        self.part.clamp(0, self.whole.max(0)) as f64 / self.whole.max(1) as f64
    }

    /// With two digits that count: `3.1%`, `0.42%`, `38%`.
    pub fn percent(self) -> String {
        match self.share() * 100.0 {
            p if p <= 0.0 => "0%".to_owned(),
            p if p < 0.01 => "<0.01%".to_owned(),
            p if p < 0.995 => format!("{p:.2}%"),
            p if p < 9.95 => format!("{p:.1}%"),
            p if p < 99.0 => format!("{p:.0}%"),
            p if p < 99.95 => format!("{p:.1}%"),
            p if p < 100.0 => ">99.9%".to_owned(),
            _ => "100%".to_owned(),
        }
    }

    /// Between which shares the true one lies in 95 of 100 cases: Wilson's score interval.
    fn interval(self) -> (f64, f64) {
        let (p, n) = (self.share(), self.observations.max(1) as f64);
        let widened = 1.0 + Z * Z / n;
        let middle = (p + Z * Z / (2.0 * n)) / widened;
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt() / widened;
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }
}

/// Between which values the difference of two shares lies in 95 of 100 cases.
fn difference(one: Proportion, other: Proportion) -> (f64, f64) {
    let (p, q) = (one.share(), other.share());
    let ((low, high), (other_low, other_high)) = (one.interval(), other.interval());
    (p - q - (p - low).hypot(other_high - q), p - q + (high - p).hypot(q - other_low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    fn of(part: i64, whole: i64) -> Proportion {
        Proportion { part, whole, observations: whole }
    }

    /// The examples of Newcombe, Statistics in Medicine 17 (1998), table II, method 10.
    #[test]
    fn intervals_are_those_of_the_paper() {
        for (one, other, low, high) in [
            (of(56, 70), of(48, 80), 0.0524, 0.3339),
            (of(9, 10), of(3, 10), 0.1705, 0.8090),
            (of(6, 7), of(2, 7), 0.0582, 0.8062),
            (of(5, 56), of(0, 29), -0.0381, 0.1926),
            (of(0, 10), of(0, 20), -0.1611, 0.2775),
            (of(10, 10), of(0, 20), 0.6791, 1.0),
        ] {
            let found = difference(one, other);
            assert!((found.0 - low).abs() < 0.0001 && (found.1 - high).abs() < 0.0001, "{one:?} {other:?}: {found:?}");
        }
    }

    fn version(name: &str, [sessions, crashed, events, errors, newcomers, returned]: [i64; 6]) -> VersionHealth {
        VersionHealth {
            version: name.to_owned(),
            first_day: Millis(0),
            sessions,
            crashed_sessions: crashed,
            events,
            errors,
            newcomers,
            returned,
        }
    }

    #[test]
    fn verdicts_are_given_in_words() {
        use Verdict::{Better, TooFew, Unclear, Worse};
        let base = [1_000, 4, 20_000, 200, 100, 40];
        for (now, crashes, errors, returns) in [
            ([1_000, 31, 20_000, 190, 100, 41], Worse, Unclear, Unclear),
            ([5_000, 3, 20_000, 1_000, 100, 20], Better, Worse, Worse),
            ([29, 29, 20_000, 2_000, 29, 0], TooFew, TooFew, TooFew),
            ([30, 0, 600, 6, 100, 60], Unclear, Unclear, Better),
            ([0; 6], TooFew, TooFew, TooFew),
            // Ten times the events of the same sessions tell nothing more.
            ([1_000, 4, 200_000, 3_000, 100, 40], Unclear, Unclear, Unclear),
        ] {
            let pair = [version("1.4.0", base), version("1.5.0", now)];
            let release = releases(&pair)[1];
            assert_eq!(Aspect::ALL.map(|aspect| release.verdict(aspect)), [crashes, errors, returns], "{now:?}");
        }
        let pair = [version("1.4.0", base), version("1.5.0", [1_000, 31, 9_000, 90, 3, 1])];
        let words = Aspect::ALL.map(|aspect| releases(&pair)[1].words(aspect));
        assert_eq!(
            words,
            [
                "worse than 1.4.0: 3.1% of sessions crash, 0.40% before",
                "no clear difference from 1.4.0: 1.0% of events are errors, 1.0% before",
                "too few new users to tell",
            ]
        );
        assert_eq!(releases(&pair)[0].words(Aspect::Crashes), "no version before it");
    }

    #[test]
    fn a_version_is_compared_with_one_that_has_enough_sessions() {
        let sessions = [10, 500, 3, 29, 40, 0, 50];
        let versions: Vec<_> =
            (0..).zip(sessions).map(|(at, n): (i32, i64)| version(&at.to_string(), [n; 6])).collect();
        let before = |release: &Release<'_>| release.before.map(|one| one.version.clone()).unwrap_or_default();
        let found: Vec<_> = releases(&versions).iter().map(before).collect();
        assert_eq!(found, ["", "0", "1", "1", "1", "4", "4"]);
    }

    #[test]
    fn shares_never_claim_all_or_nothing_wrongly() {
        for (part, whole, text) in [
            (0, 10, "0%"),
            (3, 0, "0%"),
            (1, 1_000_000, "<0.01%"),
            (42, 10_000, "0.42%"),
            (31, 1_000, "3.1%"),
            (38, 100, "38%"),
            (998, 1_000, "99.8%"),
            (999_999, 1_000_000, ">99.9%"),
            (7, 7, "100%"),
        ] {
            assert_eq!(of(part, whole).percent(), text, "{part} of {whole}");
        }
    }
}
