//! Jobs of the background: what there is to do, and how it stands.

use super::Millis;

/// Who does a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobScope {
    /// Every process that serves the database, for itself.
    EveryNode,
    /// One of those that serve the database, at any time.
    OneOfFleet,
}

/// A job as it stands in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: &'static str,
    /// What it does, in words.
    pub what: &'static str,
    /// How far its beginnings lie apart, in milliseconds.
    pub period: i64,
    /// Who does it.
    pub scope: JobScope,
}

impl Job {
    /// Whether a run that was due at `next` is late by now: by more than an eighth of the period, and two minutes.
    pub fn is_overdue(&self, next: Millis, now: Millis) -> bool {
        now.since(next) > (self.period / 8).max(2 * Millis::MINUTE)
    }
}

/// How a job stands, as the database has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRun {
    /// Name of the job.
    pub name: String,
    /// The node whose own it is, `None` for what one of the fleet does.
    pub node: Option<String>,
    /// When the last run began.
    pub started_at: Option<Millis>,
    /// When the last run that came to its end did so.
    pub ended_at: Option<Millis>,
    /// How long that took, in milliseconds.
    pub took: i64,
    /// What came of it, in words.
    pub result: String,
    /// How many have failed in a row.
    pub failures: i64,
    /// When it is due.
    pub next_at: Millis,
    /// Who is at it, and until when nobody else may be.
    pub held: Option<(String, Millis)>,
    /// How often it was taken.
    pub fence: i64,
}

/// How a job stands, as this process knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStanding {
    /// The job.
    pub job: Job,
    /// Why it is not done here, where it is not.
    pub off: Option<&'static str>,
    /// Its runs, once it is known how they stand.
    pub run: Option<JobRun>,
}

impl JobStanding {
    /// Whether a run is late.
    pub fn is_overdue(&self, now: Millis) -> bool {
        self.off.is_none() && self.run.as_ref().is_some_and(|run| self.job.is_overdue(run.next_at, now))
    }
}

/// Whether a job is taken before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobDue {
    /// No: only where it is due.
    WhenDue,
    /// Yes: somebody wants it now.
    Now,
}

/// What it takes to be the one who does a job.
#[derive(Clone, Copy, Debug)]
pub struct JobClaim<'a> {
    /// Name of the job.
    pub name: &'a str,
    /// Who wants to do it: nobody else calls itself so.
    pub worker: &'a str,
    /// The time by the worker's clock, which only counts where the database has none of its own.
    pub now: Millis,
    /// The job's period, in milliseconds.
    pub period: i64,
    /// For how many milliseconds it is taken.
    pub lease: i64,
    /// Whether before its time.
    pub due: JobDue,
}

/// A job in somebody's hands. What is changed with it has to make sure, in the same transaction, that it still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLease {
    /// Name of the job.
    pub name: String,
    /// Who does it.
    pub worker: String,
    /// How often it was taken until then.
    pub fence: i64,
    /// When it was taken.
    pub started_at: Millis,
}

/// What became of a [`JobClaim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobClaimed {
    /// It is the worker's.
    Taken(JobLease),
    /// It is not due, or somebody else is at it: how it stands.
    Waits(JobRun),
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobVerdict {
    /// It did what it had to.
    Done,
    /// It failed.
    Failed,
    /// It was broken off, and is due at once for whoever comes next.
    BrokenOff,
}

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub struct JobEnd<'a> {
    /// How it came to it.
    pub verdict: JobVerdict,
    /// What came of it, in words.
    pub result: &'a str,
    /// How long it took, in milliseconds.
    pub took: i64,
    /// The job's period, in milliseconds.
    pub period: i64,
    /// How many milliseconds after its beginning the next is due, where it was done.
    pub next: i64,
}

/// How long a job rests after so many failures in a row, in milliseconds: longer each time, up to an hour or its period.
pub fn job_backoff(failures: i64, period: i64) -> i64 {
    let most = period.clamp(5 * Millis::SECOND, Millis::HOUR);
    let first = (period / 1_000).clamp(5 * Millis::SECOND, Millis::MINUTE).min(period);
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0).min(20);
    (first << doublings).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_fails_rests_longer_each_time() {
        let rests = |period| [1, 2, 3, 4, 7, 100].map(|failures| job_backoff(failures, period) / Millis::SECOND);
        assert_eq!(rests(Millis::DAY), [60, 120, 240, 480, 3_600, 3_600]);
        assert_eq!(rests(Millis::MINUTE), [5, 10, 20, 40, 60, 60]);
        assert_eq!(rests(Millis::SECOND), [1, 2, 4, 5, 5, 5]);
    }

    #[test]
    fn a_run_is_late_by_a_share_of_its_period() {
        let job = |period| Job { name: "a", what: "", period, scope: JobScope::EveryNode };
        for (period, late, expected) in [
            (Millis::MINUTE, 2 * Millis::MINUTE, false),
            (Millis::MINUTE, 2 * Millis::MINUTE + 1, true),
            (Millis::DAY, 3 * Millis::HOUR, false),
            (Millis::DAY, 3 * Millis::HOUR + 1, true),
            (Millis::DAY, -Millis::DAY, false),
        ] {
            assert_eq!(job(period).is_overdue(Millis(0), Millis(late)), expected, "{period} {late}");
        }
    }
}
