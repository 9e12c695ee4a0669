//! What is too old goes: found by app, environment and kind, laid down in an archive where there is one, and deleted in small
//! steps. Every step can be the last one: what was begun goes on from what the database says.

mod archive;
mod guard;
mod line;
mod pack;
#[cfg(feature = "parquet")]
mod parquet;
mod unpack;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::model::{App, EnvironmentId, Keeping, Kept, Millis, Outdated, TimeRange};
use crate::store::{Result, Store, StoreError};

pub use archive::{Archive, Manifest, Parcel, PruneError, lay, manifests};
pub use guard::{Clearance, Guard};
pub use unpack::Unpacked;

/// After so long a step is over.
const STEP: Duration = Duration::from_millis(250);
/// So long a transaction may take; commits wait for no longer.
const TURN: Duration = Duration::from_millis(25);
/// Rows that are removed together: at first, at least and at the most.
const ROWS: (u32, u32, u32) = (200, 50, 5_000);
/// What is done has to be looked for again after so long, whatever is remembered.
const FORGET: Duration = Duration::from_secs(3_600);

/// What one step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Rows that were removed.
    pub removed: BTreeMap<(EnvironmentId, Kept), u64>,
    /// Stretches of events that were removed at one stroke.
    pub whole: u64,
    /// Files that were laid down in the archive.
    pub archived: u64,
    /// Whether there is more to do.
    pub more: bool,
}

impl Done {
    /// All rows of a kind.
    pub fn rows(&self, kind: Kept) -> u64 {
        self.removed.iter().filter(|((_, of), _)| *of == kind).map(|(_, rows)| rows).sum()
    }
}

/// Whether events wait to be written, so that it is better to wait.
pub type Busy = Arc<dyn Fn() -> bool + Send + Sync>;

/// Deletes what is too old.
pub struct Pruner {
    store: Arc<dyn Store>,
    /// Where everything is laid down before it is deleted.
    archive: Option<Archive>,
    busy: Busy,
    rows: u32,
    /// Up to where everything was found to be removed.
    clean: BTreeMap<(EnvironmentId, Kept), i64>,
    since: Stopwatch,
    /// Whether stretches may be removed at one stroke that were not looked at yet.
    moved: bool,
    /// Whose; everybody's where none are named.
    only: Option<Vec<EnvironmentId>>,
}

impl Pruner {
    /// Begins with nothing known.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let busy: Busy = Arc::new(|| false);
        Self {
            store,
            archive: None,
            busy,
            rows: ROWS.0,
            clean: BTreeMap::new(),
            since: Stopwatch::start(),
            moved: true,
            only: None,
        }
    }

    /// The same, which waits while something says that it is better to.
    #[must_use]
    pub fn while_quiet(self, busy: Busy) -> Self {
        Self { busy, ..self }
    }

    /// The same with an archive: nothing is deleted before it lies there.
    #[must_use]
    pub fn with_archive(self, archive: Option<Archive>) -> Self {
        Self { archive, ..self }
    }

    /// The same for some environments alone.
    #[must_use]
    pub fn only(self, environments: Vec<EnvironmentId>) -> Self {
        Self { only: Some(environments), ..self }
    }

    /// How everything is kept that is in its hands.
    fn keeping(&self) -> Result<Vec<Keeping>> {
        let mut all = self.store.keeping()?;
        if let Some(only) = &self.only {
            all.retain(|kept| only.contains(&kept.environment));
        }
        Ok(all)
    }

    /// Does some of what there is to do at an instant that the guard has cleared.
    ///
    /// # Errors
    /// Where something could not be laid down in the archive, what lay there before is deleted all the same.
    pub fn step(&mut self, now: Millis) -> std::result::Result<Done, PruneError> {
        let watch = Stopwatch::start();
        let mut done = Done::default();
        if self.since.elapsed() > FORGET {
            (self.clean, self.since, self.moved) = (BTreeMap::new(), Stopwatch::start(), true);
        }
        let let_go = self.let_go(now, watch, &mut done);
        let all = self.keeping()?;
        if std::mem::take(&mut self.moved)
            && let Some(before) = everywhere(&self.store.keeping()?, now)
        {
            done.whole = self.store.remove_whole(Millis(before * Millis::DAY))?;
        }
        for kept in &all {
            let Some(before) = kept.going(now) else { continue };
            if !self.remove(kept, before, watch, &mut done)? {
                done.more = true;
                return let_go.map(|()| done);
            }
        }
        while self.store.give_back()? {
            if self.is_over(watch) {
                done.more = true;
                break;
            }
        }
        let_go.map(|()| done)
    }

    /// Notes what may be gone from now on, after it is laid down where there is an archive.
    fn let_go(&mut self, now: Millis, watch: Stopwatch, done: &mut Done) -> std::result::Result<(), PruneError> {
        let apps = if self.archive.is_some() { self.store.apps()? } else { Vec::new() };
        for kept in &self.keeping()? {
            let Some(before) = kept.due(now) else { continue };
            let of = (kept.environment, kept.kind);
            let mut gone = kept.gone_before;
            while let Some((day, app)) = self.next_day(kept, (gone, before), &apps)? {
                if watch.elapsed() > STEP {
                    done.more = true;
                    return Ok(());
                }
                done.archived += u64::from(self.lay(app, kept, day)?);
                gone = day + 1;
                self.store.let_go(of, gone)?;
                self.moved |= kept.kind == Kept::Events;
                // Sessions are found by when they began: the rest is quicker without those that are over.
                if kept.kind == Kept::Sessions
                    && !self.remove(&Keeping { gone_before: gone, ..*kept }, gone, watch, done)?
                {
                    done.more = true;
                    return Ok(());
                }
            }
            self.store.let_go(of, before)?;
            self.moved |= kept.kind == Kept::Events;
        }
        Ok(())
    }

    /// The next UTC day that has to be laid down before all of before `before` may go.
    fn next_day<'a>(
        &self,
        kept: &Keeping,
        (gone, before): (i64, i64),
        apps: &'a [App],
    ) -> Result<Option<(i64, &'a App)>> {
        let Some(app) = apps.iter().find(|app| app.id == kept.app) else { return Ok(None) };
        let oldest = self.store.oldest((kept.environment, kept.kind), Millis(before * Millis::DAY))?;
        let day = oldest.map(|at| at.0.div_euclid(Millis::DAY).max(gone));
        Ok(day.filter(|day| *day < before).map(|day| (day, app)))
    }

    /// Whether there was something to lay down.
    fn lay(&self, app: &App, kept: &Keeping, day: i64) -> std::result::Result<bool, PruneError> {
        let environment = app.environments.iter().find(|environment| environment.id == kept.environment);
        let (Some(archive), Some(environment)) = (&self.archive, environment) else { return Ok(false) };
        let range = TimeRange { from: Millis(day * Millis::DAY), to: Millis((day + 1) * Millis::DAY) };
        Ok(lay(&*self.store, archive, Parcel { app, environment, kind: kept.kind, range })?.is_some())
    }

    /// Removes rows until there are none or the step is over; whether there are none.
    fn remove(&mut self, kept: &Keeping, before: i64, watch: Stopwatch, done: &mut Done) -> Result<bool> {
        let of = (kept.environment, kept.kind);
        if self.clean.get(&of).is_some_and(|clean| *clean >= before) {
            return Ok(true);
        }
        loop {
            if self.is_over(watch) {
                return Ok(false);
            }
            let turn = Stopwatch::start();
            let removed = match self.store.remove(of, Millis(before * Millis::DAY), self.rows) {
                // A disk that is full has no room for a large change, and may have some for a small one.
                Err(StoreError::Full) if self.rows > 1 => {
                    self.rows = (self.rows / 4).max(1);
                    _ = self.store.give_back();
                    continue;
                }
                removed => removed?,
            };
            let took = turn.elapsed();
            if removed == 0 {
                self.clean.insert(of, before);
                return Ok(true);
            }
            *done.removed.entry(of).or_default() += removed;
            self.rows =
                if took > TURN { (self.rows / 2).max(ROWS.1.min(self.rows)) } else { self.rows + self.rows / 4 + 1 };
            self.rows = self.rows.min(ROWS.2);
        }
    }

    fn is_over(&self, watch: Stopwatch) -> bool {
        watch.elapsed() > STEP || (self.busy)()
    }
}

/// The UTC day before which nobody's events have to stay; none where somebody keeps all.
fn everywhere(all: &[Keeping], now: Millis) -> Option<i64> {
    let events = all.iter().filter(|kept| kept.kind == Kept::Events);
    events.map(|kept| kept.going(now)).min().flatten()
}

/// Everything that is too old at an instant, but for how many rows that are.
pub fn outdated(store: &dyn Store, now: Millis) -> Result<Vec<Outdated>> {
    let found = store.keeping()?.into_iter().map(|kept| store.outdated(&kept, now));
    Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The same with how many rows there are, counted day by day so that no question takes long; `tell` hears of each.
pub fn counted(store: &dyn Store, now: Millis, tell: &mut dyn FnMut(&Outdated)) -> Result<Vec<Outdated>> {
    let mut all = outdated(store, now)?;
    for found in &mut all {
        let of = (found.keeping.environment, found.keeping.kind);
        let end = Millis(found.before * Millis::DAY);
        let mut from = Millis(i64::MIN / 2);
        while let Some(oldest) = oldest_from(store, of, from, end)? {
            let to = Millis((oldest.0.div_euclid(Millis::DAY) + 1) * Millis::DAY).min(end);
            found.rows += store.count_records(of, TimeRange { from, to })?;
            tell(found);
            from = to;
        }
    }
    all.retain(|found| found.rows > 0);
    Ok(all)
}

/// The first day that is to be counted at all, and then every day.
fn oldest_from(store: &dyn Store, of: (EnvironmentId, Kept), from: Millis, end: Millis) -> Result<Option<Millis>> {
    if from >= end {
        return Ok(None);
    }
    if from.0 > i64::MIN / 2 {
        return Ok(Some(from));
    }
    store.oldest(of, end)
}
