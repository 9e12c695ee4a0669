//! What is counted: the metrics, each declared once, and the counts that they are worked out of.

/// How a metric's value is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Milliseconds.
    Duration,
    /// Hundredths of one: 250 is 2.5.
    Hundredths,
    /// Hundredths of a percent: 9950 is 99.5 %.
    Share,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $label:literal, $unit:ident, $good:ident;)+) => {
        /// What is counted.
        ///
        /// Under filters only events count that they keep, and for each value of a dimension only those that have it:
        ///
        /// - Users are the different ones who have such an event in the period. New users are those of them whose first
        ///   event ever lies in the period. Users are free of crashes where none of these events is one.
        /// - Where all conditions and the dimension are facts, sessions are those begun in the period under such facts.
        ///   Otherwise they are the different ones that have such an event in the period, whenever they were begun.
        ///   Lengths and crashes are always those of the whole session. Events a session are such events in the period
        ///   over these sessions.
        /// - Events do not name devices: there is no value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Metric { $($(#[$doc])* $variant),+ }

        impl Metric {
            /// Every metric, in the order of menus.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// As in URLs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// As on pages.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }

            /// How its values are to be read.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit),+ }
            }

            /// Whether more of it is better, worse or neither.
            pub const fn wish(self) -> Wish {
                match self { $(Self::$variant => Wish::$good),+ }
            }
        }
    };
}

/// Whether more of a metric is good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// The more the better.
    More,
    /// The less the better.
    Less,
    /// Neither.
    Either,
}

metrics! {
    /// Events.
    Events = "events", "Events", Count, More;
    /// Different end users, exact for any range.
    Users = "users", "Users", Count, More;
    /// End users seen for the first time ever.
    NewUsers = "new_users", "New users", Count, More;
    /// Sessions begun.
    Sessions = "sessions", "Sessions", Count, More;
    /// Half of the sessions begun last longer than this, half less; within 4 percent.
    SessionLength = "session_length", "Session length", Duration, Either;
    /// One session in twenty lasts longer than this; within 4 percent.
    SessionLengthP95 = "session_length_p95", "Session length, p95", Duration, Either;
    /// Events for each session begun.
    EventsPerSession = "events_per_session", "Events a session", Hundredths, Either;
    /// Different installations that said who they are.
    Devices = "devices", "Active devices", Count, More;
    /// Events that tell of an error, crashes included.
    Errors = "errors", "Errors", Count, Less;
    /// Share of the events that tell of an error.
    ErrorRate = "error_rate", "Error rate", Share, Less;
    /// Events that tell of a crash.
    Crashes = "crashes", "Crashes", Count, Less;
    /// Share of the sessions begun in which nothing has crashed.
    CrashFreeSessions = "crash_free_sessions", "Crash-free sessions", Share, More;
    /// Share of the users for whom nothing has crashed.
    CrashFreeUsers = "crash_free_users", "Crash-free users", Share, More;
}

/// What a stretch of time comes to: all that metrics are worked out of. What was not asked for is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events.
    pub events: i64,
    /// Sessions begun.
    pub sessions: i64,
    /// Users seen for the first time ever.
    pub new_users: i64,
    /// Different users.
    pub users: i64,
    /// Different users for whom something has crashed.
    pub crashed_users: i64,
    /// Different installations, where that can be told.
    pub devices: Option<i64>,
    /// Events that tell of an error, crashes included.
    pub errors: i64,
    /// Events that tell of a crash.
    pub crashes: i64,
    /// Sessions begun in which something has crashed.
    pub crashed_sessions: i64,
    /// Length of the middle session in milliseconds, where there is a session.
    pub median_length: Option<i64>,
    /// Length that 95 percent of the sessions do not exceed, in milliseconds, where there is a session.
    pub p95_length: Option<i64>,
}

impl Metric {
    /// The metric of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Its value in its [`Unit`]; `None` where there is nothing to speak of, such as a share of no sessions.
    pub fn value(self, counts: &Counts) -> Option<i64> {
        match self {
            Self::Events => Some(counts.events),
            Self::Users => Some(counts.users),
            Self::NewUsers => Some(counts.new_users),
            Self::Sessions => Some(counts.sessions),
            Self::SessionLength => counts.median_length,
            Self::SessionLengthP95 => counts.p95_length,
            Self::EventsPerSession => ratio(counts.events, counts.sessions, 100),
            Self::Devices => counts.devices,
            Self::Errors => Some(counts.errors),
            Self::ErrorRate => ratio(counts.errors, counts.events, 10_000),
            Self::Crashes => Some(counts.crashes),
            Self::CrashFreeSessions => free(counts.crashed_sessions, counts.sessions),
            Self::CrashFreeUsers => free(counts.crashed_users, counts.users),
        }
    }
}

/// `part` of `whole` times `scale`, rounded; `None` where there is no whole.
fn ratio(part: i64, whole: i64, scale: i64) -> Option<i64> {
    (whole > 0).then(|| (part.saturating_mul(scale).saturating_add(whole / 2)) / whole)
}

/// The share without `crashed`, rounded so that 100 % means none at all.
fn free(crashed: i64, whole: i64) -> Option<i64> {
    (whole > 0).then(|| (whole - crashed).max(0).saturating_mul(10_000) / whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_worked_out_of_counts() {
        let counts = Counts {
            events: 1_000,
            sessions: 300,
            users: 50,
            crashed_users: 1,
            errors: 15,
            crashed_sessions: 1,
            median_length: Some(90_000),
            ..Counts::default()
        };
        for (metric, value) in [
            (Metric::Events, Some(1_000)),
            (Metric::EventsPerSession, Some(333)),
            (Metric::ErrorRate, Some(150)),
            (Metric::CrashFreeSessions, Some(9_966)),
            (Metric::CrashFreeUsers, Some(9_800)),
            (Metric::SessionLength, Some(90_000)),
            (Metric::SessionLengthP95, None),
        ] {
            assert_eq!(metric.value(&counts), value, "{metric:?}");
            assert_eq!(Metric::parse(metric.name()), Some(metric));
        }
    }

    #[test]
    fn shares_of_nothing_are_unknown_and_one_crash_of_many_shows() {
        assert_eq!(Metric::CrashFreeSessions.value(&Counts::default()), None);
        assert_eq!(Metric::ErrorRate.value(&Counts::default()), None);
        let counts = Counts { sessions: 1_000_000, crashed_sessions: 1, ..Counts::default() };
        assert_eq!(Metric::CrashFreeSessions.value(&counts), Some(9_999));
    }
}
