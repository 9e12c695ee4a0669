//! Runs what one node of those that share a database does: takes a job that is due, keeps it while it is at it, gives it
//! back with what came of it. Whoever is not heard of for too long loses it.

use std::time::Duration;

use super::super::{Duty, Ground, Room};
use super::{Held, Over, RunError, Turn, duration, is_read_only, millis, run};
use crate::clock::{Deadline, Stopwatch};
use crate::model::{JobClaim, JobClaimed, JobDue, JobEnd, JobRun, JobVerdict, Millis};
use crate::store::{Result, StoreError};

/// How often it looks at the most whether a job is due, or whether whoever is at it has gone.
const LOOK: Duration = Duration::from_secs(10);
/// The shortest pause between two looks.
const GLANCE: Duration = Duration::from_millis(100);
/// How long it waits for a database that is away, and for room on its disk.
const AWAY: Duration = Duration::from_secs(5);

type Step = fn(&Ground, &Held) -> Turn;

/// How a run came to its end.
struct Ended {
    verdict: JobVerdict,
    result: String,
    /// Where it is not the period: how long after its beginning the next is due.
    next: Option<Duration>,
}

/// Does a job whenever it is due and this node gets it, until all is over.
pub(super) fn stand(ground: &Ground, duty: &Duty, step: Step, over: &Over) {
    while !over.wait(turn(ground, duty, step, over)) {}
}

/// Does a job now, unless somebody else is at it.
pub(super) fn run_now(ground: &Ground, duty: &Duty, step: Step) -> std::result::Result<String, RunError> {
    let claimed = ground.store.claim_job(&claim(ground, duty, JobDue::Now))?;
    let lease = match claimed {
        JobClaimed::Taken(lease) => lease,
        JobClaimed::Waits(run) => {
            let holder = run.held.map_or_else(|| "another process".to_owned(), |(holder, _)| holder);
            return Err(RunError::Held(holder));
        }
    };
    let held = Held::new(lease);
    let (ended, run) = work(ground, duty, &held, step, &Over::default());
    match (ended.verdict, run) {
        (JobVerdict::Done, Ok(_)) => Ok(ended.result),
        (JobVerdict::Done, Err(error)) => Err(error.into()),
        (JobVerdict::Failed | JobVerdict::BrokenOff, _) => Err(RunError::Failed(ended.result)),
    }
}

/// One look, and the whole run where the job is due; the pause behind it.
fn turn(ground: &Ground, duty: &Duty, step: Step, over: &Over) -> Duration {
    if duty.room == Room::Takes && is_read_only(ground) {
        return AWAY;
    }
    match ground.store.claim_job(&claim(ground, duty, JobDue::WhenDue)) {
        Ok(JobClaimed::Taken(lease)) => {
            let held = Held::new(lease);
            let (ended, run) = work(ground, duty, &held, step, over);
            match run {
                Ok(run) => {
                    if ended.verdict == JobVerdict::Failed {
                        run::tell(duty, run.failures, &ended.result);
                    }
                    ground.progress.tell(duty.job(), run);
                }
                Err(error) => tracing::warn!(job = duty.name, %error, "what came of a job could not be written down"),
            }
            GLANCE
        }
        Ok(JobClaimed::Waits(run)) => {
            let pause = until_due(&run, ground.clock.now(), ground.lease);
            ground.progress.tell(duty.job(), run);
            pause
        }
        Err(StoreError::Unavailable(_) | StoreError::Full) => AWAY,
        Err(error) => {
            tracing::warn!(job = duty.name, %error, "whether a job is due could not be found out");
            AWAY
        }
    }
}

/// How long nobody has to look. Clocks of nodes may differ a little from that of the database.
fn until_due(run: &JobRun, now: Millis, lease: Duration) -> Duration {
    let due = run.held.as_ref().map_or(run.next_at, |(_, until)| *until);
    duration(due.since(now)).clamp(GLANCE, LOOK.min(lease))
}

fn claim<'a>(ground: &'a Ground, duty: &Duty, due: JobDue) -> JobClaim<'a> {
    JobClaim {
        name: duty.name,
        worker: &ground.worker,
        now: ground.clock.now(),
        period: millis(duty.period),
        lease: millis(ground.lease),
        due,
    }
}

/// Does a job that this process has, which keeps it meanwhile, and gives it back; how it stands then.
fn work(ground: &Ground, duty: &Duty, held: &Held, step: Step, over: &Over) -> (Ended, Result<JobRun>) {
    let watch = Stopwatch::start();
    told_as_begun(ground, duty, held);
    let done = Over::default();
    let ended = std::thread::scope(|scope| {
        let keep = || keep(ground, held, &done);
        let keeper = std::thread::Builder::new().name(format!("{}-lease", duty.name)).spawn_scoped(scope, keep);
        let ended = match keeper {
            Ok(_) => steps(ground, held, step, over),
            Err(error) => failed(format!("no thread could be made: {error}")),
        };
        done.end();
        ended
    });
    let period = millis(duty.period);
    let next = ended.next.map_or(period, |next| millis(next).min(period));
    let end = JobEnd { verdict: ended.verdict, result: &ended.result, took: millis(watch.elapsed()), period, next };
    let run = ground.store.end_job(held.lease(), ground.clock.now(), &end);
    (ended, run)
}

/// Lets the status page say that this node is at it.
fn told_as_begun(ground: &Ground, duty: &Duty, held: &Held) {
    let lease = held.lease();
    let mut jobs = ground.progress.jobs.lock();
    let Some(standing) = jobs.iter_mut().find(|standing| standing.job.name == duty.name) else { return };
    let before = standing.run.take().unwrap_or_else(|| JobRun { name: duty.name.to_owned(), ..JobRun::default() });
    standing.run = Some(JobRun {
        started_at: Some(lease.started_at),
        next_at: lease.started_at.plus(millis(duty.period)),
        held: Some((lease.worker.clone(), lease.started_at.plus(millis(ground.lease)))),
        fence: lease.fence,
        ..before
    });
}

/// Step by step, until the run is over.
fn steps(ground: &Ground, held: &Held, step: Step, over: &Over) -> Ended {
    loop {
        let done = |result, next| Ended { verdict: JobVerdict::Done, result, next };
        match run::attempt(|| step(ground, held)) {
            Turn::Done(words) => return done(words, None),
            Turn::Until(words, next) => return done(words, Some(next)),
            Turn::Idle(pause) => return done("nothing to do".to_owned(), Some(pause)),
            Turn::Failed(why) => return failed(why),
            Turn::More(_) if held.is_lost() => return failed("another node has taken it over".to_owned()),
            Turn::More(pause) => {
                if over.wait(pause) {
                    return Ended {
                        verdict: JobVerdict::BrokenOff,
                        result: "it was broken off".to_owned(),
                        next: None,
                    };
                }
            }
        }
    }
}

fn failed(result: String) -> Ended {
    Ended { verdict: JobVerdict::Failed, result, next: None }
}

/// Keeps a job in these hands until it is done. Once nobody can be sure of that any more, it counts as lost.
fn keep(ground: &Ground, held: &Held, done: &Over) {
    let (pause, mut sure) = (ground.lease / 3, Deadline::after(ground.lease));
    while !done.wait(pause) {
        match ground.store.renew_job(held.lease(), ground.clock.now(), millis(ground.lease)) {
            Ok(()) => sure = Deadline::after(ground.lease),
            Err(StoreError::TakenOver) => {
                tracing::warn!(job = held.lease().name, "a job that was at work here was taken over by another node");
                return held.lose();
            }
            Err(_) if sure.passed() => held.lose(),
            Err(error) => tracing::debug!(%error, "a job could not be kept; it is tried again"),
        }
    }
}
