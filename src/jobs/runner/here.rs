//! Runs what every node does for itself, step by step, and writes down now and then how it stands.

use std::time::Duration;

use super::super::{Duty, Ground};
use super::{Over, RunError, Turn, duration, is_read_only, millis, run};
use crate::clock::{Deadline, Stopwatch};
use crate::model::{JobRun, job_backoff};

/// How often at the most it is written down that all goes on as it did.
const NOTE: Duration = Duration::from_secs(60);

/// What it remembers from one step to the next.
struct Stand<'a> {
    ground: &'a Ground,
    duty: &'a Duty,
    run: JobRun,
    /// When the run began that is not over.
    begun: Option<Stopwatch>,
    /// Until when nothing has to be written down.
    noted: Option<Deadline>,
}

/// Does a job until it is over.
pub(super) fn stand(ground: &Ground, duty: &Duty, step: fn(&Ground) -> Turn, over: &Over) {
    let run = JobRun {
        name: duty.name.to_owned(),
        node: Some(ground.worker.clone()),
        result: "nothing to do yet".to_owned(),
        ..JobRun::default()
    };
    let mut stand = Stand { ground, duty, run, begun: None, noted: None };
    while !over.wait(stand.turn(step)) {}
}

/// Does a job in one go, until it says that it is done or that there is nothing to do.
pub(super) fn run_now(ground: &Ground, step: fn(&Ground) -> Turn) -> Result<String, RunError> {
    let mut result = "nothing to do".to_owned();
    loop {
        match run::attempt(|| step(ground)) {
            Turn::Done(words) | Turn::Until(words, _) => result = words,
            Turn::Idle(_) => return Ok(result),
            Turn::More(pause) => {
                std::thread::sleep(pause);
                continue;
            }
            Turn::Failed(why) => return Err(RunError::Failed(why)),
        }
        return Ok(result);
    }
}

impl Stand<'_> {
    /// One step; the pause behind it.
    fn turn(&mut self, step: fn(&Ground) -> Turn) -> Duration {
        let watch = *self.begun.get_or_insert_with(|| {
            self.run.started_at = Some(self.ground.clock.now());
            Stopwatch::start()
        });
        let period = millis(self.duty.period);
        let (before, mut goes_on) = (self.run.failures, false);
        let pause = match run::attempt(|| step(self.ground)) {
            Turn::Done(words) => self.end(words, self.duty.period.saturating_sub(watch.elapsed())),
            Turn::Until(words, next) => self.end(words, next.saturating_sub(watch.elapsed())),
            Turn::Idle(pause) => self.end(self.idle(), pause),
            Turn::More(pause) => {
                goes_on = true;
                pause
            }
            Turn::Failed(why) => {
                let failures = self.run.failures + 1;
                run::tell(self.duty, failures, &why);
                let pause = self.end(why, duration(job_backoff(failures, period)));
                self.run.failures = failures;
                pause
            }
        };
        let now = self.ground.clock.now();
        if !goes_on {
            self.run.ended_at = Some(now);
            self.run.took = millis(watch.elapsed());
            self.begun = None;
        }
        self.run.next_at = now.plus(millis(pause.max(NOTE)));
        self.note(before != self.run.failures);
        pause
    }

    fn end(&mut self, words: String, pause: Duration) -> Duration {
        self.run.result = words;
        self.run.failures = 0;
        pause
    }

    /// What the last run said stays; a failure is over.
    fn idle(&self) -> String {
        if self.run.failures > 0 { "nothing to do".to_owned() } else { self.run.result.clone() }
    }

    /// Tells how it stands; writes it down where it has changed, or it was long not written down.
    fn note(&mut self, changed: bool) {
        self.ground.progress.tell(self.duty.job(), self.run.clone());
        let due = changed || self.noted.is_none_or(Deadline::passed);
        if !due || is_read_only(self.ground) {
            return;
        }
        self.noted = Some(Deadline::after(NOTE));
        if let Err(error) = self.ground.store.note_job(&self.run, &self.ground.worker) {
            tracing::debug!(job = self.duty.name, %error, "how a job stands could not be written down");
        }
    }
}
