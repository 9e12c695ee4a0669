//! The part of the storage contract that is about age: for how long things are kept, their end, and their way out of the box
//! and back.

use hashbrown::HashSet;

use super::backend::Backend;
use super::{Result, keeping, records};
use crate::model::{
    By, Choice, EnvironmentId, Keeping, Keeps, Kept, Millis, Outdated, Records, RecordsAsk, TimeRange, Trust, UserHash,
};

/// What is kept for a time only. Like all of the store, its methods block.
pub trait Keepers {
    /// For how long the box keeps things where nothing else was chosen.
    fn box_keeps(&self) -> Keeps;

    /// Every environment of every app with each kind: what holds, and what is gone.
    fn keeping(&self) -> Result<Vec<Keeping>>;

    /// The instant before which an environment may have lost what is of a kind; none where nothing is lost.
    fn gone(&self, of: (EnvironmentId, Kept)) -> Result<Option<Millis>>;

    /// Chooses for how long environments keep things.
    fn choose_keeping(&self, choice: &Choice, by: &By) -> Result<()>;

    /// What is too old now, if anything is, but for how many rows that are.
    fn outdated(&self, keeping: &Keeping, now: Millis) -> Result<Option<Outdated>>;

    /// The time of the oldest row of a kind of which all is over before an instant: of sessions, when the first of them began.
    fn oldest(&self, of: (EnvironmentId, Kept), before: Millis) -> Result<Option<Millis>>;

    /// How many rows of a kind lie in a range.
    fn count_records(&self, of: (EnvironmentId, Kept), range: TimeRange) -> Result<u64>;

    /// Rows of a kind, page by page, as the last write left them.
    fn records(&self, ask: &RecordsAsk) -> Result<Records>;

    /// Notes that everything of before a UTC day may be gone from now on: nobody is told of a day behind it as whole.
    fn let_go(&self, of: (EnvironmentId, Kept), before: i64) -> Result<()>;

    /// Removes some of what is older than an instant, about `limit` rows at the most; how many. Summaries stay.
    fn remove(&self, of: (EnvironmentId, Kept), before: Millis, limit: u32) -> Result<u64>;

    /// Removes at one stroke what can be, where all environments may lose their events of before an instant; how many
    /// stretches of time that were.
    fn remove_whole(&self, before: Millis) -> Result<u64>;

    /// Gives some of the room of what was removed back to the disk; whether there is more to give.
    fn give_back(&self) -> Result<bool>;

    /// Notes that the events of a UTC day have been brought back.
    fn take_back(&self, environment: EnvironmentId, day: i64) -> Result<()>;

    /// Those of these users that an environment knows.
    fn known_users(&self, environment: EnvironmentId, users: &HashSet<UserHash>) -> Result<HashSet<UserHash>>;

    /// The UTC days of a stretch, first and last, that have events by the summaries, and how many.
    fn event_days(&self, environment: EnvironmentId, days: (i64, i64)) -> Result<Vec<(i64, i64)>>;

    /// How far the clock was believed; none where nothing was ever deleted by age.
    fn trust(&self) -> Result<Option<Trust>>;

    /// Notes it.
    fn set_trust(&self, trust: Trust) -> Result<()>;

    /// Notes that somebody says that the clock is right.
    fn confirm_clock(&self, now: Millis, by: &By) -> Result<()>;
}

impl<B: Backend> Keepers for B {
    fn box_keeps(&self) -> Keeps {
        Backend::keeps(self)
    }

    fn keeping(&self) -> Result<Vec<Keeping>> {
        self.look(|db| keeping::all(db, Backend::keeps(self)))
    }

    fn gone(&self, (environment, kind): (EnvironmentId, Kept)) -> Result<Option<Millis>> {
        let day = self.look(|db| keeping::gone_before(db, environment, kind))?;
        Ok((day > 0).then_some(Millis(day * Millis::DAY)))
    }

    fn choose_keeping(&self, choice: &Choice, by: &By) -> Result<()> {
        self.change(|db| keeping::choose(db, choice, by))
    }

    fn outdated(&self, of: &Keeping, now: Millis) -> Result<Option<Outdated>> {
        self.look(|db| keeping::outdated(db, of, now))
    }

    fn oldest(&self, of: (EnvironmentId, Kept), before: Millis) -> Result<Option<Millis>> {
        self.look(|db| keeping::oldest(db, of, before))
    }

    fn count_records(&self, of: (EnvironmentId, Kept), range: TimeRange) -> Result<u64> {
        self.look(|db| keeping::count(db, of, range))
    }

    fn records(&self, ask: &RecordsAsk) -> Result<Records> {
        self.look(|db| records::page(db, ask))
    }

    fn let_go(&self, of: (EnvironmentId, Kept), before: i64) -> Result<()> {
        self.change(|db| keeping::let_go(db, of, before))
    }

    fn remove(&self, of: (EnvironmentId, Kept), before: Millis, limit: u32) -> Result<u64> {
        self.change(|db| keeping::remove(db, of, before, limit))
    }

    fn remove_whole(&self, before: Millis) -> Result<u64> {
        Backend::drop_whole(self, before)
    }

    fn give_back(&self) -> Result<bool> {
        Backend::give_back(self)
    }

    fn take_back(&self, environment: EnvironmentId, day: i64) -> Result<()> {
        self.change(|db| {
            B::hold_commits(db)?;
            keeping::take_back(db, environment, day)
        })
    }

    fn known_users(&self, environment: EnvironmentId, users: &HashSet<UserHash>) -> Result<HashSet<UserHash>> {
        self.look(|db| records::known_users(db, environment, users))
    }

    fn event_days(&self, environment: EnvironmentId, days: (i64, i64)) -> Result<Vec<(i64, i64)>> {
        self.look(|db| records::event_days(db, environment, days))
    }

    fn trust(&self) -> Result<Option<Trust>> {
        self.look(keeping::trust)
    }

    fn set_trust(&self, trust: Trust) -> Result<()> {
        self.change(|db| keeping::set_trust(db, trust))
    }

    fn confirm_clock(&self, now: Millis, by: &By) -> Result<()> {
        self.change(|db| keeping::confirm(db, now, by))
    }
}
