//! For how long what is kept: choices, what follows from them, and the time by which it is judged.

use super::{AppId, EnvironmentId, Millis};

/// Longest time that can be chosen, in days.
pub const MOST_DAYS: u32 = 36_500;

/// How long a day has been too old before it may go: an event that was in time when it came is on the disk by then.
const MARGIN: i64 = Millis::HOUR;

/// What is kept for a time. Summaries are kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kept {
    /// Events, by when they occurred.
    Events,
    /// Sessions, by when they ended.
    Sessions,
    /// Events that were set aside, by when they came.
    SetAside,
}

impl Kept {
    /// All of them, in the order in which they go.
    pub const ALL: [Self; 3] = [Self::Events, Self::Sessions, Self::SetAside];

    /// As written in the database, in archives and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Sessions => "sessions",
            Self::SetAside => "set-aside",
        }
    }

    /// As on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Events => "Events",
            Self::Sessions => "Sessions",
            Self::SetAside => "Set aside",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// For how many days everything is kept, by kind; 0 is for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Events.
    pub events: u32,
    /// Sessions.
    pub sessions: u32,
    /// Events that were set aside.
    pub set_aside: u32,
}

impl Keeps {
    /// Everything for ever.
    pub const FOREVER: Self = Self { events: 0, sessions: 0, set_aside: 0 };

    /// Those of one kind.
    pub const fn of(&self, kind: Kept) -> u32 {
        match kind {
            Kept::Events => self.events,
            Kept::Sessions => self.sessions,
            Kept::SetAside => self.set_aside,
        }
    }

    /// The same with another figure for one kind.
    #[must_use]
    pub const fn with(mut self, kind: Kept, days: u32) -> Self {
        match kind {
            Kept::Events => self.events = days,
            Kept::Sessions => self.sessions = days,
            Kept::SetAside => self.set_aside = days,
        }
        self
    }

    /// What holds: sessions stay at least as long as the events in them, or one that goes on would be counted anew.
    #[must_use]
    pub fn in_force(self) -> Self {
        let longer = |one: u32, other: u32| if one == 0 || other == 0 { 0 } else { one.max(other) };
        Self { sessions: longer(self.sessions, self.events), ..self }
    }
}

/// The age in milliseconds that so many days are; none for ever.
pub fn age_of(days: u32) -> Option<i64> {
    (days > 0).then(|| i64::from(days) * Millis::DAY)
}

/// The first UTC day that has to stay at an instant, where things are kept for so many days; none where all have to.
pub fn first_kept_day(days: u32, now: Millis) -> Option<i64> {
    age_of(days).map(|age| now.plus(-age - MARGIN).0.div_euclid(Millis::DAY))
}

/// How long an environment keeps one kind, and what is gone of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Whose.
    pub app: AppId,
    /// Where.
    pub environment: EnvironmentId,
    /// What.
    pub kind: Kept,
    /// What was chosen for it; the box's setting where nothing was.
    pub chosen: Option<u32>,
    /// Days that hold.
    pub days: u32,
    /// When the choice was changed, or something was brought back: nothing goes within a minute of it.
    pub changed_at: Millis,
    /// The UTC day since 1970 before which everything may be gone; 0 where nothing is.
    pub gone_before: i64,
}

impl Keeping {
    /// The instant before which everything may be gone; none where nothing is.
    pub fn gone(&self) -> Option<Millis> {
        (self.gone_before > 0).then(|| Millis(self.gone_before * Millis::DAY))
    }

    /// Whether the choice is so new that requests which were judged by the last one may be under way.
    pub fn rests(&self, now: Millis) -> bool {
        (0..Millis::MINUTE).contains(&now.since(self.changed_at))
    }

    /// The UTC day before which everything may go now, where that is more than what is gone.
    pub fn due(&self, now: Millis) -> Option<i64> {
        first_kept_day(self.days, now).filter(|day| *day > self.gone_before && !self.rests(now))
    }
}

impl Keeping {
    /// The UTC day before which rows go: those that are too old by what holds now, and that may be gone. What was brought
    /// back to be kept for longer is not among them.
    pub fn going(&self, now: Millis) -> Option<i64> {
        first_kept_day(self.days, now).map(|day| day.min(self.gone_before)).filter(|day| *day > 0)
    }

    /// The UTC day before which rows will be gone when all is done that may be done now.
    pub fn end(&self, now: Millis) -> Option<i64> {
        self.due(now).or_else(|| self.going(now))
    }
}

/// For how long environments of an app are to keep things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Whose.
    pub app: AppId,
    /// Where.
    pub environments: Vec<EnvironmentId>,
    /// What, and for how many days: 0 for ever, none as the box is set.
    pub kinds: Vec<(Kept, Option<u32>)>,
}

/// What an app chose for events of one of its environments, as ingest holds it against them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventAge {
    /// Where.
    pub environment: EnvironmentId,
    /// Days, 0 for ever; the box's setting where nothing was chosen.
    pub chosen: Option<u32>,
    /// The instant before which events may be gone, so that a repeat would not be known as one.
    pub gone: Millis,
}

/// How many rows something is about, by app, environment and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// Whose.
    pub keeping: Keeping,
    /// What goes is of before this UTC day.
    pub before: i64,
    /// How many rows.
    pub rows: u64,
    /// The time of the oldest.
    pub oldest: Option<Millis>,
}

/// How far the clock was believed when something was last deleted by age, and by how much it may still jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The latest time that was believed.
    pub at: Millis,
    /// Milliseconds by which it may get ahead of what has been seen to pass.
    pub credit: i64,
}

/// What a reading of the clock is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Things are judged by this time.
    By(Millis),
    /// It is ahead of everything seen by so many milliseconds more than a day: nothing is deleted until somebody says that
    /// it is right.
    Ahead(i64),
}

impl Trust {
    /// As somebody has confirmed it.
    pub const fn confirmed(now: Millis) -> Self {
        Self { at: now, credit: Millis::DAY }
    }

    /// Judges a reading of the clock, `passed` milliseconds after the last one as a clock tells that nobody can set.
    ///
    /// What has been seen to pass is believed. What goes beyond is paid from a credit of one day, which grows again as time
    /// passes: so whatever the clock does, no more than a day is believed that has not been.
    pub fn judge(self, now: Millis, passed: i64) -> (Self, Verdict) {
        let gap = now.since(self.at);
        let passed = passed.clamp(0, gap.max(0));
        let credit = (self.credit + passed).min(Millis::DAY);
        let extra = gap - passed;
        if extra > Millis::DAY {
            return (self, Verdict::Ahead(extra));
        }
        if gap <= 0 {
            return (Self { credit, ..self }, Verdict::By(now));
        }
        let spent = extra.min(credit);
        let at = self.at.plus(passed + spent);
        (Self { at, credit: credit - spent }, Verdict::By(at))
    }
}

/// Why nothing is deleted by age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// The clock is ahead of what was seen to pass, by so many milliseconds.
    Ahead(i64),
    /// Nothing was ever deleted by age here, and more than a day of it would go now: since so many days.
    First(i64),
}

impl Held {
    /// As pages, verbs and log lines say it.
    pub fn told(&self) -> String {
        match self {
            Self::Ahead(by) => format!(
                "the clock is {} days ahead of what has been seen to pass, so nothing is deleted by age",
                by / Millis::DAY
            ),
            Self::First(days) => format!(
                "nothing was ever deleted by age here, and {days} days of data are older than they are to be kept"
            ),
        }
    }
}

/// What is known of the deletion by age in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneStanding {
    /// Why nothing is deleted.
    pub held: Option<Held>,
    /// When the log has said so last.
    pub reminded: Option<Millis>,
    /// Rows deleted since the start, in the order of [`Kept::ALL`].
    pub removed: [u64; 3],
    /// Files laid down since the start.
    pub archived: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn sessions_stay_as_long_as_events() {
        let keeps = |events, sessions| Keeps { events, sessions, set_aside: 7 }.in_force().sessions;
        for (events, sessions, held) in [(90, 30, 90), (30, 90, 90), (0, 30, 0), (30, 0, 0), (0, 0, 0)] {
            assert_eq!(keeps(events, sessions), held, "{events} {sessions}");
        }
    }

    #[test]
    fn a_day_goes_as_a_whole_and_late() {
        let midnight = 20_000 * Millis::DAY;
        for (at, first) in [(0, 19_989), (Millis::HOUR - 1, 19_989), (Millis::HOUR, 19_990), (Millis::DAY - 1, 19_990)]
        {
            assert_eq!(first_kept_day(10, Millis(midnight + at)), Some(first), "{at}");
        }
        assert_eq!(first_kept_day(0, NOW), None);
    }

    #[test]
    fn a_clock_gets_no_more_than_a_day_ahead_unconfirmed() {
        let fresh = Trust::confirmed(NOW);
        let hours = |hours: i64| hours * Millis::HOUR;
        for (jump, passed, verdict) in [
            (0, 0, Verdict::By(NOW)),
            (Millis::MINUTE, Millis::MINUTE, Verdict::By(NOW.plus(Millis::MINUTE))),
            (hours(1), 0, Verdict::By(NOW.plus(hours(1)))),
            (hours(-1), Millis::MINUTE, Verdict::By(NOW.plus(hours(-1)))),
            (hours(25), 0, Verdict::Ahead(hours(25))),
            (hours(-25), 0, Verdict::By(NOW.plus(hours(-25)))),
            (hours(24), 0, Verdict::By(NOW.plus(hours(24)))),
            (400 * Millis::DAY, Millis::MINUTE, Verdict::Ahead(400 * Millis::DAY - Millis::MINUTE)),
            (-Millis::DAY, 0, Verdict::By(NOW.plus(-Millis::DAY))),
            (hours(240), hours(240), Verdict::By(NOW.plus(hours(240)))),
        ] {
            let (trust, found) = fresh.judge(NOW.plus(jump), passed);
            assert_eq!(found, verdict, "{jump} {passed}");
            assert!(trust.at >= NOW, "{trust:?}");
        }
    }

    #[test]
    fn many_small_steps_are_no_way_around_it() {
        for step in [10 * Millis::SECOND, 23 * Millis::HOUR, Millis::DAY] {
            let (mut trust, mut clock, mut passed, mut latest) = (Trust::confirmed(NOW), NOW, 0, NOW);
            for _ in 0..20_000 {
                clock = clock.plus(Millis::SECOND + step);
                passed += Millis::SECOND;
                let (next, verdict) = trust.judge(clock, Millis::SECOND);
                trust = next;
                if let Verdict::By(at) = verdict {
                    latest = latest.max(at);
                }
            }
            // A day that has passed pays for another one.
            assert!(latest.since(NOW.plus(passed)) <= Millis::DAY + passed, "{step}: {}", latest.since(NOW));
        }
    }

    #[test]
    fn a_clock_that_stands_or_is_put_right_goes_on() {
        let (trust, verdict) = Trust::confirmed(NOW).judge(NOW.plus(400 * Millis::DAY), Millis::MINUTE);
        assert!(matches!(verdict, Verdict::Ahead(_)));
        let right = NOW.plus(2 * Millis::MINUTE);
        assert_eq!(trust.judge(right, Millis::MINUTE).1, Verdict::By(right));
        let (trust, stopped) = trust.judge(NOW, Millis::HOUR);
        assert_eq!((stopped, trust.at), (Verdict::By(NOW), NOW));
    }
}
