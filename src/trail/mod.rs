//! The trail of one request: the trace it belongs to, and where its time goes, on whichever thread its work is done.

use std::any::Any;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::{JoinError, JoinHandle};
use tracing::Span;

use crate::clock::Stopwatch;
use crate::model::TraceId;

/// Bytes of a statement that are remembered.
const TEXT: usize = 600;

tokio::task_local! {
    static CURRENT: Arc<Trail>;
}

/// What a request can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The client, until its body is here.
    Body,
    /// Its turn to be committed.
    Queue,
    /// The commit.
    Commit,
    /// Figures for a page, from the cache or the database.
    Report,
    /// Other questions to the database.
    Store,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 5] = [Self::Body, Self::Queue, Self::Commit, Self::Report, Self::Store];

    /// As a label of metrics and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Queue => "queue",
            Self::Commit => "commit",
            Self::Report => "report",
            Self::Store => "store",
        }
    }
}

/// One request's trail, shared by all who work for it.
#[derive(Debug)]
pub struct Trail {
    trace: TraceId,
    spent: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    stages: [StageTime; Stage::ALL.len()],
    slowest: Option<SlowStatement>,
}

/// The time of a stage. What overlaps counts once: a page asks for several reports at a time.
#[derive(Clone, Copy, Debug, Default)]
struct StageTime {
    running: u32,
    since: Option<Stopwatch>,
    total: Duration,
}

/// The statement that took longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowStatement {
    /// How long.
    pub took: Duration,
    /// What it was, without its values.
    pub what: String,
}

impl Trail {
    /// The trail of a request that begins.
    pub fn new(trace: TraceId) -> Arc<Self> {
        Arc::new(Self { trace, spent: Mutex::default() })
    }

    /// The trace that the request belongs to.
    pub fn trace(&self) -> TraceId {
        self.trace
    }

    /// Adds to a stage what was measured elsewhere.
    pub fn add(&self, stage: Stage, time: Duration) {
        self.spent.lock().stages[stage as usize].total += time;
    }

    /// How long the request has spent in a stage, up to now.
    pub fn spent(&self, stage: Stage) -> Duration {
        let of = self.spent.lock().stages[stage as usize];
        of.total + of.since.map_or(Duration::ZERO, Stopwatch::elapsed)
    }

    /// Remembers a statement, if none took longer.
    pub fn note_statement(&self, took: Duration, what: &str) {
        let mut spent = self.spent.lock();
        if spent.slowest.as_ref().is_none_or(|slowest| slowest.took < took) {
            let what = what[..what.floor_char_boundary(TEXT)].split_whitespace().collect::<Vec<_>>().join(" ");
            spent.slowest = Some(SlowStatement { took, what });
        }
    }

    /// The statement that took longest, where one was noted.
    pub fn slowest(&self) -> Option<SlowStatement> {
        self.spent.lock().slowest.clone()
    }
}

/// Counts as time of a stage until it is dropped.
struct Within {
    trail: Arc<Trail>,
    stage: Stage,
}

impl Within {
    fn enter(trail: Arc<Trail>, stage: Stage) -> Self {
        {
            let of = &mut trail.spent.lock().stages[stage as usize];
            if of.running == 0 {
                of.since = Some(Stopwatch::start());
            }
            of.running += 1;
        }
        Self { trail, stage }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        let of = &mut self.trail.spent.lock().stages[self.stage as usize];
        of.running -= 1;
        if of.running == 0
            && let Some(since) = of.since.take()
        {
            of.total += since.elapsed();
        }
    }
}

/// The trail of the request that this is done for, where it is one.
pub fn current() -> Option<Arc<Trail>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Does all of `work` on that trail.
pub async fn follow<F: Future>(trail: Arc<Trail>, work: F) -> F::Output {
    CURRENT.scope(trail, work).await
}

/// Counts the time of `work` as that of a stage.
pub async fn within<F: Future>(stage: Stage, work: F) -> F::Output {
    let Some(trail) = current() else { return work.await };
    let _within = Within::enter(trail, stage);
    work.await
}

/// Runs `work` on a thread that may block, on the trail of the caller and within its span: log lines name the request. It
/// begins at once, and goes on when nobody waits for it any more.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    Blocking { task: begin(Box::new(|| Box::new(work()))), within: None, kind: PhantomData }
}

/// As [`blocking`]; the time for which it is waited for counts as that of a stage.
pub fn blocking_within<T: Send + 'static>(stage: Stage, work: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    let within = current().map(|trail| Within::enter(trail, stage));
    let Blocking { task, kind, .. } = blocking(work);
    Blocking { task, within, kind }
}

/// What comes of work on another thread; an error where it has panicked.
#[must_use = "or what comes of it is not known"]
pub struct Blocking<T> {
    task: JoinHandle<Outcome>,
    within: Option<Within>,
    kind: PhantomData<fn() -> T>,
}

impl<T: 'static> Future for Blocking<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let done = ready!(Pin::new(&mut self.task).poll(context));
        self.within = None;
        Poll::Ready(done.map(|outcome| *outcome.downcast().expect("it is what the work has come to")))
    }
}

type Outcome = Box<dyn Any + Send>;

/// One kind of task for all work: the program would have three kilobytes for each kind.
fn begin(work: Box<dyn FnOnce() -> Outcome + Send>) -> JoinHandle<Outcome> {
    let (span, trail) = (Span::current(), current());
    tokio::task::spawn_blocking(move || {
        let inside = || span.in_scope(work);
        match trail {
            Some(trail) => CURRENT.sync_scope(trail, inside),
            None => inside(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn work_on_other_threads_stays_on_the_trail() {
        assert!(current().is_none());
        let trail = Trail::new(TraceId(7));
        let seen = follow(trail.clone(), async {
            let there = blocking(|| current().map(|trail| trail.trace())).await.unwrap();
            (there, current().map(|trail| trail.trace()))
        });
        assert_eq!(seen.await, (Some(TraceId(7)), Some(TraceId(7))));
        assert_eq!(blocking(|| current().is_none()).await.ok(), Some(true));
    }

    #[tokio::test]
    async fn what_overlaps_counts_once_and_what_is_given_up_ends() {
        let trail = Trail::new(TraceId(7));
        let watch = Stopwatch::start();
        follow(trail.clone(), async {
            let wait = || within(Stage::Report, tokio::time::sleep(Duration::from_millis(20)));
            tokio::join!(wait(), wait(), wait());
            _ = tokio::time::timeout(Duration::from_millis(1), within(Stage::Store, std::future::pending::<()>()))
                .await;
        })
        .await;
        let all = watch.elapsed();
        assert!(trail.spent(Stage::Report) >= Duration::from_millis(20));
        assert!(trail.spent(Stage::Report) + trail.spent(Stage::Store) <= all);
        assert_eq!(trail.spent(Stage::Store), trail.spent(Stage::Store), "it has ended");
        trail.add(Stage::Queue, LONG);
        assert_eq!(trail.spent(Stage::Queue), LONG);
    }

    #[test]
    fn the_slowest_statement_is_remembered() {
        let trail = Trail::new(TraceId(7));
        for (ms, what) in [(5, "a"), (9, "b  b\n b"), (7, "c")] {
            trail.note_statement(Duration::from_millis(ms), what);
        }
        let expected = SlowStatement { took: Duration::from_millis(9), what: "b b b".to_owned() };
        assert_eq!(trail.slowest(), Some(expected));
    }
}
