//! What the box is held to: shares of requests that are answered, and in time; and what of their budgets is left.

use std::time::Duration;

use super::Millis;

/// For how many hours a budget is: 30 days.
pub const BUDGET_HOURS: i64 = 30 * 24;
/// The pace is that of this hour and so many before it.
const PACE_HOURS: i64 = 1;
/// Fewer failures than this are chance, whatever share they are: nobody is woken for them.
const FEW: u64 = 10;
/// A budget of which less is left is low.
const LOW: f64 = 0.25;

/// Requests that are held to objectives of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Traffic {
    /// From SDKs.
    Ingest,
    /// Pages for people, and the read API.
    Pages,
}

impl Traffic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingest, Self::Pages];

    /// As stored, and as a label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Pages => "pages",
        }
    }

    /// The traffic of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|traffic| traffic.as_str() == name)
    }
}

/// What is asked of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aim {
    /// That they are answered, and not with a fault of ours (5xx).
    Availability,
    /// That the answer comes in time.
    Latency,
}

impl Aim {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Availability, Self::Latency];

    /// As a label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Latency => "latency",
        }
    }
}

/// Requests of one hour that were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Hours since 1970.
    pub hour: i64,
    /// Which.
    pub traffic: Traffic,
    /// All of them.
    pub requests: u64,
    /// Those with a fault of ours.
    pub failed: u64,
    /// Those that came too late.
    pub slow: u64,
}

impl Answers {
    /// The hour of a moment.
    pub fn hour_of(at: Millis) -> i64 {
        at.0.div_euclid(Millis::HOUR)
    }

    fn bad(&self, aim: Aim) -> u64 {
        match aim {
            Aim::Availability => self.failed,
            Aim::Latency => self.slow,
        }
    }
}

/// What the box is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objectives {
    /// Share of requests that is to be answered without a fault of ours.
    pub availability: f64,
    /// Share of requests that is to be answered in time.
    pub latency: f64,
    /// In time, for ingest.
    pub ingest: Duration,
    /// In time, for pages.
    pub pages: Duration,
}

impl Default for Objectives {
    fn default() -> Self {
        let (ingest, pages) = (Duration::from_millis(500), Duration::from_millis(1_000));
        Self { availability: 0.999, latency: 0.99, ingest, pages }
    }
}

impl Objectives {
    /// The share that is asked for.
    pub fn target(&self, aim: Aim) -> f64 {
        match aim {
            Aim::Availability => self.availability,
            Aim::Latency => self.latency,
        }
    }

    /// What is in time.
    pub fn bound(&self, traffic: Traffic) -> Duration {
        match traffic {
            Traffic::Ingest => self.ingest,
            Traffic::Pages => self.pages,
        }
    }

    /// How all budgets stand at `now`, after what was counted: hours in any order, several of the same hour add up.
    pub fn judge(&self, counted: &[Answers], now: Millis) -> Vec<Budget> {
        let all = Traffic::ALL.into_iter().flat_map(|traffic| Aim::ALL.map(|aim| (traffic, aim)));
        all.map(|(traffic, aim)| self.judge_one((traffic, aim), counted, Answers::hour_of(now))).collect()
    }

    fn judge_one(&self, (traffic, aim): (Traffic, Aim), counted: &[Answers], hour: i64) -> Budget {
        let sum = |hours: i64| {
            let within =
                counted.iter().filter(|one| one.traffic == traffic && (hour - hours..=hour).contains(&one.hour));
            within.fold((0, 0), |(all, bad), one| (all + one.requests, bad + one.bad(aim)))
        };
        let (requests, bad) = sum(BUDGET_HOURS - 1);
        let target = self.target(aim);
        // How often what is allowed was used up.
        let used = |(all, bad): (u64, u64)| {
            let used = if all == 0 { 0.0 } else { bad as f64 / (all as f64 * (1.0 - target)) };
            // What is used up exactly is not to be a trifle less.
            (used * 1e9).round() / 1e9
        };
        Budget { traffic, aim, target, requests, bad, left: 1.0 - used((requests, bad)), pace: used(sum(PACE_HOURS)) }
    }
}

/// How the budget of an objective stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Of which requests.
    pub traffic: Traffic,
    /// What is asked of them.
    pub aim: Aim,
    /// The share that is asked for.
    pub target: f64,
    /// Requests of 30 days.
    pub requests: u64,
    /// Those of them that missed the aim.
    pub bad: u64,
    /// Which part of the misses that the objective allows is left: 1 is all, below 0 the objective is missed.
    pub left: f64,
    /// How fast it is spent, now and in the hour before: at 1, all of it lasts 30 days.
    pub pace: f64,
}

/// How much a budget matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// There is enough.
    #[default]
    None,
    /// Little is left.
    Low,
    /// Nothing is left.
    Spent,
}

impl Budget {
    /// The share of requests that met the aim; `None` where there were none.
    pub fn met(&self) -> Option<f64> {
        (self.requests > 0).then(|| 1.0 - self.bad as f64 / self.requests as f64)
    }

    /// Whether somebody should know. A handful of misses never is an alarm.
    pub fn alarm(&self) -> Alarm {
        match self.left {
            _ if self.bad < FEW => Alarm::None,
            left if left <= 0.0 => Alarm::Spent,
            left if left < LOW => Alarm::Low,
            _ => Alarm::None,
        }
    }

    /// Days until nothing is left at the present pace; `None` where nothing is left, or nothing is being spent.
    pub fn days_left(&self) -> Option<f64> {
        (self.left > 0.0 && self.pace > 0.0).then(|| self.left * (BUDGET_HOURS / 24) as f64 / self.pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn answers(ago: i64, traffic: Traffic, counts: (u64, u64, u64)) -> Answers {
        let (requests, failed, slow) = counts;
        Answers { hour: Answers::hour_of(NOW) - ago, traffic, requests, failed, slow }
    }

    fn find(budgets: &[Budget], traffic: Traffic, aim: Aim) -> Budget {
        *budgets.iter().find(|budget| budget.traffic == traffic && budget.aim == aim).unwrap()
    }

    #[test]
    fn a_budget_is_what_the_objective_allows_less_what_was_missed() {
        let counted = [
            answers(0, Traffic::Ingest, (1_000, 1, 40)),
            answers(0, Traffic::Ingest, (1_000, 1, 0)),
            answers(BUDGET_HOURS - 1, Traffic::Ingest, (8_000, 3, 0)),
            answers(BUDGET_HOURS, Traffic::Ingest, (9_999, 9_999, 9_999)),
            answers(-1, Traffic::Ingest, (9_999, 9_999, 9_999)),
        ];
        let budgets = Objectives::default().judge(&counted, NOW);
        assert_eq!(budgets.len(), 4);
        let available = find(&budgets, Traffic::Ingest, Aim::Availability);
        assert_eq!((available.requests, available.bad), (10_000, 5));
        assert!((available.left - 0.5).abs() < 1e-9 && (available.pace - 1.0).abs() < 1e-9, "{available:?}");
        assert!((available.days_left().unwrap() - 15.0).abs() < 1e-6, "{available:?}");
        let quick = find(&budgets, Traffic::Ingest, Aim::Latency);
        assert!((quick.left - 0.6).abs() < 1e-9 && (quick.pace - 2.0).abs() < 1e-9, "{quick:?}");
        let pages = find(&budgets, Traffic::Pages, Aim::Availability);
        assert_eq!((pages.left, pages.pace, pages.met(), pages.days_left()), (1.0, 0.0, None, None));
    }

    #[test]
    fn an_alarm_takes_more_than_a_handful() {
        for (requests, failed, alarm) in [
            (100, 9, Alarm::None),
            (100, 10, Alarm::Spent),
            (10_000, 10, Alarm::Spent),
            (12_000, 10, Alarm::Low),
            (20_000, 10, Alarm::None),
        ] {
            let counted = [answers(3, Traffic::Pages, (requests, failed, 0))];
            let budgets = Objectives::default().judge(&counted, NOW);
            assert_eq!(find(&budgets, Traffic::Pages, Aim::Availability).alarm(), alarm, "{failed} of {requests}");
        }
    }

    #[test]
    fn names_come_back() {
        for traffic in Traffic::ALL {
            assert_eq!(Traffic::parse(traffic.as_str()), Some(traffic));
        }
        assert_eq!(Traffic::parse("other"), None);
    }
}
