//! The part of the storage contract that is about jobs of the background: who does one, how it went, when it is due.

use super::backend::Backend;
use super::{Result, jobs};
use crate::model::{JobClaim, JobClaimed, JobEnd, JobLease, JobRun, Millis};

/// Jobs and how they stand. Like all of the store, its methods block. Times are those of the database's own clock where
/// it has one, so that nodes agree on them.
pub trait Duties {
    /// How all jobs stand, by name.
    fn jobs(&self) -> Result<Vec<JobRun>>;

    /// Takes a job that is due and in nobody's hands; whoever had it before, and was not heard of for too long, can change
    /// nothing in its name any more. At most one worker has a job.
    fn claim_job(&self, claim: &JobClaim<'_>) -> Result<JobClaimed>;

    /// Keeps a job for so many milliseconds from now. [`StoreError::TakenOver`](super::StoreError::TakenOver) where it is in
    /// other hands.
    fn renew_job(&self, lease: &JobLease, now: Millis, length: i64) -> Result<()>;

    /// Gives a job back and says how it stands then. [`StoreError::TakenOver`](super::StoreError::TakenOver) where it is in
    /// other hands: nothing is changed.
    fn end_job(&self, lease: &JobLease, now: Millis, end: &JobEnd<'_>) -> Result<JobRun>;

    /// Writes down how a job stands that a node does for itself.
    fn note_job(&self, run: &JobRun, node: &str) -> Result<()>;
}

impl<B: Backend> Duties for B {
    fn jobs(&self) -> Result<Vec<JobRun>> {
        self.look(jobs::all)
    }

    fn claim_job(&self, claim: &JobClaim<'_>) -> Result<JobClaimed> {
        let at = |now| JobClaim { now, ..*claim };
        let run = self.look(|db| Ok((jobs::of_fleet(db, claim.name)?, B::now(db, claim.now)?)))?;
        match run {
            (Some(run), now) if !jobs::is_free(&run, &at(now)) => Ok(JobClaimed::Waits(run)),
            _ => self.change(|db| jobs::claim(db, &at(B::now(db, claim.now)?))),
        }
    }

    fn renew_job(&self, lease: &JobLease, now: Millis, length: i64) -> Result<()> {
        self.change(|db| jobs::renew(db, lease, B::now(db, now)?, length))
    }

    fn end_job(&self, lease: &JobLease, now: Millis, end: &JobEnd<'_>) -> Result<JobRun> {
        self.change(|db| jobs::end(db, lease, B::now(db, now)?, end))
    }

    fn note_job(&self, run: &JobRun, node: &str) -> Result<()> {
        self.change(|db| if B::SHARED { jobs::note(db, run, node) } else { jobs::note_alone(db, run, node) })
    }
}
