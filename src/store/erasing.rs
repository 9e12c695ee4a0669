//! The part of the storage contract that is about people's rights: to find, to hand out and to erase what is kept of them.

use super::backend::Backend;
use super::{Result, StoreError, rights};
use crate::model::{
    App, AppId, AskErasure, Audience, By, Collected, EnvironmentId, Erasure, FileAsk, FilePart, FindPeople, Found,
    Millis, WorkErasure,
};

/// What is kept of people, and its end. Like all of the store, its methods block.
pub trait Erasing {
    /// One person or device of an app, found by whatever is known of them.
    fn find_people(&self, ask: &FindPeople) -> Result<Vec<Found>>;

    /// The next rows of the file of everything about a person or a device. [`StoreError::NotFound`] where there is nobody of
    /// that name.
    fn file(&self, ask: &FileAsk) -> Result<FilePart>;

    /// Begins the erasure of a person or a device: from then on nothing finds them any more, and whoever comes under the same
    /// name is somebody new. The rest is done by [`Store::work_erasure`]. [`StoreError::NotFound`] where there is nobody of
    /// that name.
    fn ask_erasure(&self, ask: &AskErasure) -> Result<Erasure>;

    /// Does one small step of an erasure that is open and in nobody else's hands, after which it may be told as ended;
    /// `None` where there is none. Apps that are to be deleted begin to be erased here. What is removed cannot be read in
    /// the database's files any more, as far as the database lets the box say so.
    fn work_erasure(&self, work: &WorkErasure) -> Result<Option<Erasure>>;

    /// What an app has collected of late, as far as it is stored: names and kinds, never values.
    fn collected(&self, app: &App, now: Millis) -> Result<Collected>;

    /// Whether everybody may read what an app collects.
    fn is_collects_public(&self, app: AppId) -> Result<bool>;

    /// Lets everybody read what an app collects, or members alone.
    fn set_collects_public(&self, app: AppId, audience: Audience, by: &By) -> Result<()>;

    /// On how many UTC days the summaries of an environment count somebody who is erased.
    fn erased_days(&self, environment: EnvironmentId) -> Result<u64>;

    /// One erasure, by its public id.
    fn erasure(&self, id: uuid::Uuid) -> Result<Option<Erasure>>;

    /// The newest erasures of an app.
    fn erasures(&self, app: AppId, limit: u32) -> Result<Vec<Erasure>>;
}

impl<B: Backend> Erasing for B {
    fn find_people(&self, ask: &FindPeople) -> Result<Vec<Found>> {
        self.look(|db| rights::find(db, ask))
    }

    fn file(&self, ask: &FileAsk) -> Result<FilePart> {
        self.look(|db| rights::part(db, ask))
    }

    fn ask_erasure(&self, ask: &AskErasure) -> Result<Erasure> {
        let beginning = self.look(|db| rights::prepare(db, ask))?;
        let id = self.erase(|db| rights::begin(db, ask, &beginning))?;
        self.look(|db| rights::one(db, id))?.ok_or(StoreError::NotFound("erasure"))
    }

    fn work_erasure(&self, work: &WorkErasure) -> Result<Option<Erasure>> {
        let me = (work.worker.as_str(), work.now);
        if work.only.is_none() && self.look(|db| rights::has_apps(db, work.now))? {
            self.change(|db| rights::begin_apps(db, work.now))?;
        }
        let job = self.look(|db| {
            Backend::believe(self, rights::mark(db)?);
            rights::next(db, work.only, me)
        })?;
        let Some(job) = job else { return Ok(None) };
        if self.change(|db| rights::hold(db, &job, me))? {
            if !rights::is_removed(&job) {
                let step = self.look(|db| rights::step(db, &job))?;
                // Where something has happened since it was worked out, it is worked out anew the next time.
                let taken = self.erase(|db| {
                    B::hold_commits(db)?; // so that what is being settled meanwhile finds its mark gone
                    rights::take(db, &job, &step, me)
                });
                match taken {
                    Ok(()) | Err(StoreError::Interrupted) => {}
                    Err(error) => return Err(error),
                }
            } else if Backend::cut_log(self)? {
                self.change(|db| rights::finish(db, &job, me))?;
            }
        }
        self.look(|db| rights::one(db, job.id))
    }

    fn collected(&self, app: &App, now: Millis) -> Result<Collected> {
        let environments: Vec<_> = app.environments.iter().map(|environment| environment.id).collect();
        self.study(|db| rights::collected(db, app.id, &environments, now))
    }

    fn is_collects_public(&self, app: AppId) -> Result<bool> {
        self.look(|db| rights::is_public(db, app))
    }

    fn set_collects_public(&self, app: AppId, audience: Audience, by: &By) -> Result<()> {
        self.change(|db| rights::set_public(db, app, audience, by))
    }

    fn erased_days(&self, environment: EnvironmentId) -> Result<u64> {
        self.look(|db| rights::erased_days(db, environment))
    }

    fn erasure(&self, id: uuid::Uuid) -> Result<Option<Erasure>> {
        self.look(|db| rights::one(db, id))
    }

    fn erasures(&self, app: AppId, limit: u32) -> Result<Vec<Erasure>> {
        self.look(|db| rights::of_app(db, app, limit))
    }
}
