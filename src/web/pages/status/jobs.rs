//! Jobs of the background, as the status page tells of them.

use serde_json::{Value, json};

use crate::model::{JobScope, JobStanding, Millis};

use super::super::super::condition::Condition;
use super::super::super::format::{Calendar, When, grouped, length};
use super::time;

/// One job.
pub(super) struct JobRow {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// How it stands, with the kind of its badge; `None` where all is well.
    pub(super) badge: Option<(&'static str, String)>,
    pub(super) result: String,
    /// `None` where it was not looked at yet.
    pub(super) times: Option<Times>,
    pub(super) period: String,
}

/// When a job was and will be done.
pub(super) struct Times {
    pub(super) last: Option<When>,
    pub(super) took: String,
    pub(super) next: When,
}

/// All jobs, in the order of their table.
pub(super) fn rows(condition: &Condition, calendar: &Calendar) -> Vec<JobRow> {
    condition.jobs.iter().map(|standing| row(standing, condition.now, calendar)).collect()
}

/// Beside the period of a job that is due later than that.
const IDLE: &str = ", less often while there is nothing to do";

/// Whether a job had nothing to do, and so is looked at later than after its period.
fn rests(standing: &JobStanding) -> bool {
    standing.run.as_ref().is_some_and(|run| {
        run.failures == 0 && run.ended_at.is_some_and(|at| run.next_at.since(at) > 2 * standing.job.period)
    })
}

fn row(standing: &JobStanding, now: Millis, calendar: &Calendar) -> JobRow {
    let (job, run) = (standing.job, standing.run.as_ref());
    let scope = match job.scope {
        JobScope::EveryNode => "on every node",
        JobScope::OneOfFleet => "on one node",
    };
    let result = match (standing.off, run) {
        (Some(why), _) => why.to_owned(),
        (None, Some(run)) if run.result.is_empty() => "not done yet".to_owned(),
        (None, Some(run)) => run.result.clone(),
        (None, None) => "not known yet".to_owned(),
    };
    JobRow {
        name: job.name,
        what: job.what,
        badge: badge(standing, now),
        result,
        times: run.map(|run| Times {
            last: run.ended_at.map(|at| calendar.moment(at)),
            took: took(run.took),
            next: calendar.moment(run.next_at),
        }),
        period: format!("every {} {scope}{}", every(job.period), if rests(standing) { IDLE } else { "" }),
    }
}

/// The worst of what can be said of it.
fn badge(standing: &JobStanding, now: Millis) -> Option<(&'static str, String)> {
    if standing.off.is_some() {
        return Some(("", "off".to_owned()));
    }
    let run = standing.run.as_ref()?;
    if run.failures > 0 {
        return Some((
            "bad",
            if run.failures == 1 { "failed".to_owned() } else { format!("failed {} times", run.failures) },
        ));
    }
    if standing.is_overdue(now) {
        return Some(("warn", "overdue".to_owned()));
    }
    let (holder, _) = run.held.as_ref()?;
    Some(("info", format!("at work on {}", holder.rsplit_once(' ').map_or(holder.as_str(), |(name, _)| name))))
}

fn took(ms: i64) -> String {
    if ms < Millis::SECOND { format!("{} ms", grouped(ms)) } else { length(ms) }
}

/// A period as it stands behind "every".
fn every(ms: i64) -> String {
    let units = [(Millis::DAY, "day"), (Millis::HOUR, "hour"), (Millis::MINUTE, "minute"), (Millis::SECOND, "second")];
    let (unit, name) = units.into_iter().find(|(unit, _)| ms % unit == 0).unwrap_or((1, "millisecond"));
    if ms == unit { name.to_owned() } else { format!("{} {name}s", ms / unit) }
}

/// The same for programs.
pub(super) fn told(condition: &Condition) -> Vec<Value> {
    let tell = |standing: &JobStanding| {
        let run = standing.run.as_ref();
        json!({
            "name": standing.job.name,
            "period_seconds": standing.job.period / Millis::SECOND,
            "scope": match standing.job.scope {
                JobScope::EveryNode => "every_node",
                JobScope::OneOfFleet => "one_of_fleet",
            },
            "off": standing.off,
            "started_at": run.and_then(|run| run.started_at).map(time),
            "ended_at": run.and_then(|run| run.ended_at).map(time),
            "took_ms": run.map(|run| run.took),
            "result": run.map(|run| run.result.as_str()),
            "failures": run.map(|run| run.failures),
            "next_at": run.map(|run| time(run.next_at)),
            "holder": run.and_then(|run| run.held.as_ref()).map(|(holder, _)| holder.as_str()),
            "overdue": standing.is_overdue(condition.now),
        })
    };
    condition.jobs.iter().map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_told_in_whole_units() {
        for (ms, expected) in [
            (Millis::SECOND, "second"),
            (Millis::MINUTE, "minute"),
            (90 * Millis::SECOND, "90 seconds"),
            (Millis::DAY, "day"),
            (30 * Millis::DAY, "30 days"),
            (7, "7 milliseconds"),
        ] {
            assert_eq!(every(ms), expected);
        }
    }
}
