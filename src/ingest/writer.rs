//! The writer: takes what waits, commits it together, then answers every caller.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Counters, Submission};
use crate::clock::Clock;
use crate::model::{Limits, Receipt, Refusal};
use crate::store::{Committed, Draft, Result, Store, StoreError};

/// Most events in one commit: enough to make the price of the sync small, few enough to answer quickly.
const GROUP: usize = 2_000;

/// How long the writer waits for work before it looks after the store.
const IDLE: Duration = Duration::from_secs(1);

/// The writer's threads, as many as the store has use for. They end when the last [`Intake`](super::Intake) is dropped
/// and its queue is empty.
pub struct Writer(Vec<JoinHandle<()>>);

impl Writer {
    pub(super) fn spawn(
        store: Arc<dyn Store>,
        limits: Arc<Limits>,
        clock: Clock,
        counters: Arc<Counters>,
        queue: Receiver<Submission>,
    ) -> std::io::Result<Self> {
        let writers = store.writers();
        let shared = Arc::new(Loop { store, limits, clock, counters, queue: Mutex::new(queue) });
        let threads = (0..writers).map(|_| {
            let shared = shared.clone();
            std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
                let _guard = EndWithTheWriter;
                shared.run();
            })
        });
        threads.collect::<std::io::Result<_>>().map(Self)
    }

    /// Waits until everything queued is committed and the threads have ended.
    pub fn join(self) {
        for thread in self.0 {
            // A panic of the thread has ended the process already.
            _ = thread.join();
        }
    }
}

/// A box whose writer has panicked would refuse events for ever while it looks alive. Everything acknowledged is on the
/// disk, so ending the process, for its supervisor to start anew, loses nothing.
struct EndWithTheWriter;

impl Drop for EndWithTheWriter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the writer panicked: ending the process, to be started anew");
            std::process::abort();
        }
    }
}

struct Loop {
    store: Arc<dyn Store>,
    limits: Arc<Limits>,
    clock: Clock,
    counters: Arc<Counters>,
    queue: Mutex<Receiver<Submission>>,
}

impl Loop {
    fn run(&self) {
        while let Some(group) = self.next() {
            if !group.is_empty() {
                self.commit(group);
            }
            if let Err(error) = self.store.tend(self.clock.now()) {
                tracing::warn!(%error, "looking after the store failed");
            }
        }
    }

    /// The next group to commit, empty where nothing came for a while; `None` when nothing will come any more. While
    /// one thread waits here, the others wait for it.
    fn next(&self) -> Option<Vec<Submission>> {
        let queue = self.queue.lock();
        match queue.recv_timeout(IDLE) {
            Ok(first) => Some(self.gather(&queue, first)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => Some(Vec::new()),
        }
    }

    /// Everything that waits, up to the size of a group. Waiting for more was measured and is slower: while one group
    /// commits, the requests of the next are decoded.
    fn gather(&self, queue: &Receiver<Submission>, first: Submission) -> Vec<Submission> {
        let mut events = first.draft.entries.len();
        let mut group = vec![first];
        while events < GROUP {
            let Ok(next) = queue.try_recv() else { break };
            events += next.draft.entries.len().max(1);
            group.push(next);
        }
        self.counters.queued.fetch_sub(group.len() as u64, Ordering::Relaxed);
        group
    }

    fn commit(&self, group: Vec<Submission>) {
        let mut drafts = Vec::with_capacity(group.len());
        let mut waiting = Vec::with_capacity(group.len());
        for Submission { draft, reply, _room } in group {
            drafts.push(draft);
            waiting.push((reply, _room));
        }
        let answers: Vec<_> = match self.try_commit(&drafts) {
            Ok(committed) => committed.into_iter().map(answer).collect(),
            Err(StoreError::Unexpected(_)) if drafts.len() > 1 => {
                drafts.iter().map(|draft| self.alone(draft)).collect()
            }
            Err(error) => drafts.iter().map(|_| Err(refusal(&error))).collect(),
        };
        for ((answer, draft), (reply, _room)) in answers.into_iter().zip(&drafts).zip(waiting) {
            match (&answer, draft.again) {
                (Ok(receipt), None) => self.counters.count(receipt),
                (Ok(receipt), Some(_)) => self.counters.count_again(receipt),
                (Err(_), None) => self.counters.refuse(draft.entries.len()),
                (Err(_), Some(_)) => {}
            }
            // A caller that has gone away is no reason to do anything: its events are stored or refused all the same.
            let _ = reply.send(answer);
        }
    }

    /// One draft in a commit of its own, so that a bad neighbour does not fail the rest.
    fn alone(&self, draft: &Draft) -> std::result::Result<Receipt, Refusal> {
        match self.try_commit(std::slice::from_ref(draft)) {
            Ok(committed) => committed.into_iter().next().map_or(Err(Refusal::Internal), answer),
            Err(error) => Err(refusal(&error)),
        }
    }

    fn try_commit(&self, drafts: &[Draft]) -> Result<Vec<Committed>> {
        let result = self.store.commit(drafts, &self.limits);
        match &result {
            Ok(_) => _ = self.counters.commits.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                self.counters.failed_commits.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, requests = drafts.len(), "commit failed");
            }
        }
        result
    }
}

fn answer(committed: Committed) -> std::result::Result<Receipt, Refusal> {
    match committed {
        Committed::Receipt(receipt) => Ok(receipt),
        Committed::Replayed => Err(Refusal::Replayed),
        Committed::KeyRevoked => Err(Refusal::Unauthorized),
    }
}

fn refusal(error: &StoreError) -> Refusal {
    match error {
        StoreError::Full => Refusal::StorageFull,
        StoreError::Unavailable(_) | StoreError::Io(_) | StoreError::Corrupt(_) | StoreError::Interrupted => {
            Refusal::StorageDown
        }
        StoreError::Exists(_)
        | StoreError::InUse(_)
        | StoreError::LastOwner
        | StoreError::TakenOver
        | StoreError::NotFound(_)
        | StoreError::NoRoom(_)
        | StoreError::TokenSpent
        | StoreError::TooMuch
        | StoreError::Schema(_)
        | StoreError::Unexpected(_) => Refusal::Internal,
    }
}
