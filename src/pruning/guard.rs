//! The guard on the clock: how far a reading of it is believed before something is deleted by it.

use crate::clock::Stopwatch;
use crate::model::{By, Held, Keeping, Millis, Trust, Verdict, first_kept_day};
use crate::store::{Result, Store};

/// How far the clock may go on before that is written down: a restart forgets no more.
const NOTED: i64 = 10 * Millis::MINUTE;

/// What one process has seen of the clock.
#[derive(Debug, Default)]
pub struct Guard {
    /// Since the last reading, on a clock that nobody can set.
    since: Option<Stopwatch>,
    trust: Option<Trust>,
    /// As it was last read or written.
    noted: Option<Trust>,
}

/// Whether something may be deleted by age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clearance {
    /// It may, as if it were this time.
    By(Millis),
    /// It may not.
    Held(Held),
}

impl Guard {
    /// Judges a reading of the clock.
    pub fn ask(&mut self, store: &dyn Store, now: Millis) -> Result<Clearance> {
        let passed = self
            .since
            .replace(Stopwatch::start())
            .map_or(0, |since| i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX));
        let noted = store.trust()?;
        if noted != self.noted {
            (self.trust, self.noted) = (noted, noted); // another process, or somebody who has confirmed the clock
        }
        let Some(trust) = self.trust else {
            return Ok(match waiting(store, now)? {
                Some(days) => Clearance::Held(Held::First(days)),
                None => {
                    self.note(store, Trust::confirmed(now))?;
                    Clearance::By(now)
                }
            });
        };
        let (trust, verdict) = trust.judge(now, passed);
        match verdict {
            Verdict::Ahead(by) => Ok(Clearance::Held(Held::Ahead(by))),
            Verdict::By(at) => {
                self.trust = Some(trust);
                let last = self.noted.unwrap_or(trust);
                if trust.at.since(last.at) >= NOTED || trust.credit < last.credit {
                    self.note(store, trust)?;
                }
                Ok(Clearance::By(at))
            }
        }
    }

    fn note(&mut self, store: &dyn Store, trust: Trust) -> Result<()> {
        store.set_trust(trust)?;
        (self.trust, self.noted) = (Some(trust), Some(trust));
        Ok(())
    }

    /// Takes somebody's word that the clock is right.
    pub fn confirm(store: &dyn Store, now: Millis, by: &By) -> Result<()> {
        store.confirm_clock(now, by)
    }
}

/// How many days of things are too old, where that is more than one: a box that has deleted by age all along has no more.
fn waiting(store: &dyn Store, now: Millis) -> Result<Option<i64>> {
    let mut most = None;
    for kept in store.keeping()? {
        let Keeping { environment, kind, days, .. } = kept;
        let Some(first) = first_kept_day(days, now) else { continue };
        let edge = Millis((first - 1) * Millis::DAY);
        if let Some(oldest) = store.oldest((environment, kind), edge)? {
            most = most.max(Some(first - oldest.0.div_euclid(Millis::DAY)));
        }
    }
    Ok(most)
}
