//! From claims to commits: normalization, the bounded queue and the writer.

mod acquaint;
mod again;
mod counters;
mod devices;
mod door;
mod etiquette;
mod failure;
mod history;
mod normalize;
mod places;
mod privacy;
mod pulse;
mod refusals;
mod restore;
mod roster;
mod visitors;
mod writer;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::visitors::Visitors;
use crate::clock::{Clock, Stopwatch};
use crate::model::{
    App, AppId, Country, EnvironmentId, EventId, Identified, IngestKeyId, KeptAside, Limits, Millis, Origin, Outcome,
    RawEvent, RawIdentify, RawPerson, Reason, Receipt, Refusal, Rules, SessionTimes, Tried,
};
pub use crate::store::Nonce;
use crate::store::{Draft, Store};
use crate::trail::{self, Trail};

pub use again::Reader;
pub use counters::{AppCounters, Counters};
pub use door::{Credential, Door, Knock};
pub use history::{History, Past};
pub use places::Places;
pub use privacy::{device_hash, identifier_hash, user_hash};
pub use pulse::Pulse;
pub use refusals::{Refused, RefusedFor};
pub use restore::{Names, vouch};
pub use roster::Roster;
pub use writer::Writer;

/// Seconds that a client is asked to wait when the queue is full.
const BUSY_RETRY: u32 = 2;

/// On whose behalf a request is accepted: what its credential proved.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The app.
    pub app: Arc<App>,
    /// The environment of its key.
    pub environment: EnvironmentId,
    /// The key, where the protocol wants one.
    pub key: Option<IngestKeyId>,
    /// What the app lets in.
    pub rules: Arc<Rules>,
    /// Where the request began, as far as that is known: [`Intake::country`].
    pub country: Option<Country>,
}

/// One event as an adapter read it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every claim is an event, and a box would cost it an allocation")]
pub enum Claim<'a> {
    /// Readable.
    Event(RawEvent<'a>),
    /// Not readable: to be kept aside.
    Unusable {
        /// Why.
        reason: Reason,
        /// What exactly, for a developer; no values of the event in it.
        detail: String,
        /// Its id, where that could be read.
        id: Option<EventId>,
        /// Its text.
        body: &'a str,
        /// What it takes to read it again one day; none where that cannot work.
        sent: Option<Sent<'a>>,
    },
    /// Of a device that is banned: to be counted and not kept.
    Banned,
}

/// What is known of an event that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent<'a> {
    /// Which protocol would read it: one of those with a [`Reader`].
    pub protocol: &'static str,
    /// The client's identifier of the end user, where that can be read.
    pub user: Option<Cow<'a, str>>,
    /// That of the session.
    pub session: Option<Cow<'a, str>>,
}

/// One request's events, ready for the pipeline.
#[derive(Debug)]
pub struct Request<'a> {
    /// On whose behalf.
    pub scope: Scope,
    /// When it arrived.
    pub received_at: Millis,
    /// The client's own time when it sent, if it said so: its distance from `received_at` corrects the events' times.
    pub sent_at: Option<Millis>,
    /// To be used once, if the protocol has one.
    pub nonce: Option<Nonce>,
    /// The events.
    pub claims: Vec<Claim<'a>>,
    /// What it tells of people beside the events.
    pub people: Vec<RawPerson<'a>>,
    /// The row of a device whose user signs out with these events.
    pub sign_out: Option<i64>,
}

impl Request<'_> {
    /// An empty one.
    pub fn new(scope: Scope, received_at: Millis) -> Self {
        let (claims, people) = (Vec::new(), Vec::new());
        Self { scope, received_at, sent_at: None, nonce: None, claims, people, sign_out: None }
    }
}

/// The door to the pipeline. Clones share one queue; the writer ends when the last one is dropped.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::SyncSender<Submission>,
    bytes: Arc<Semaphore>,
    /// All of `bytes`.
    room: u32,
    draining: Arc<AtomicBool>,
    counters: Arc<Counters>,
    limits: Arc<Limits>,
    places: Places,
    readers: Arc<[(&'static str, Reader)]>,
    door: Door,
    visitors: Visitors,
}

/// A draft in the queue, with the way back to its caller.
struct Submission {
    draft: Draft,
    reply: oneshot::Sender<Result<Receipt, Refusal>>,
    /// Since when it waits.
    since: Stopwatch,
    /// Of the request that it is from.
    trail: Option<Arc<Trail>>,
    /// Room in the queue, given back when the submission is dropped.
    _room: OwnedSemaphorePermit,
}

/// How much may wait for a commit.
#[derive(Clone, Copy, Debug)]
pub struct QueueSize {
    /// Requests.
    pub requests: usize,
    /// Bytes of events, roughly as they came.
    pub bytes: usize,
}

impl Default for QueueSize {
    fn default() -> Self {
        Self { requests: 4_096, bytes: 32 << 20 }
    }
}

impl Intake {
    /// Starts the writer thread over a store and opens its queue.
    pub fn start(
        store: Arc<dyn Store>,
        limits: Arc<Limits>,
        clock: Clock,
        size: QueueSize,
    ) -> std::io::Result<(Self, Writer)> {
        let (queue, waiting) = mpsc::sync_channel(size.requests.max(1));
        let counters = Arc::new(Counters::default());
        let door = Door::new(store.clone(), clock.clone());
        let visitors = Visitors::new(store.clone());
        let writer = Writer::spawn(store, limits.clone(), clock, counters.clone(), waiting)?;
        let room = u32::try_from(size.bytes).unwrap_or(u32::MAX);
        let bytes = Arc::new(Semaphore::new(room as usize));
        let draining = Arc::new(AtomicBool::new(false));
        let (places, readers) = (Places::default(), Arc::default());
        Ok((Self { queue, bytes, room, draining, counters, limits, places, readers, door, visitors }, writer))
    }

    /// The same with a database of addresses.
    #[must_use]
    pub fn with_places(self, places: Places) -> Self {
        Self { places, ..self }
    }

    /// The same with the readers of protocols, by whose names events are set aside.
    #[must_use]
    pub fn with_readers(self, readers: impl IntoIterator<Item = (&'static str, Reader)>) -> Self {
        Self { readers: readers.into_iter().collect(), ..self }
    }

    /// Who is let in: to be asked once for each request whose credential is good.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// The country of a client's address, to be put into the request's [`Scope`] in place of the address.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        self.places.country(address)
    }

    /// A name for somebody of whom a client says nothing: the same for all requests from one network with one agent on one
    /// UTC day, and within a session also from elsewhere; another one the day after. Nobody can be found by it, once the
    /// salt of its day is forgotten.
    ///
    /// # Errors
    /// [`Refusal::StorageDown`] where the day's salt cannot be had.
    pub async fn visitor(
        &self,
        app: AppId,
        origin: &Origin,
        agent: &str,
        session: Option<&str>,
    ) -> Result<String, Refusal> {
        self.visitors.name(app, origin, agent, session).await
    }

    /// Normalizes, queues and waits for the commit. An `Ok` means that everything the receipt calls stored is on
    /// disk. If the caller goes away meanwhile, the request is committed or not as a whole.
    pub async fn accept(&self, request: Request<'_>) -> Result<Receipt, Refusal> {
        let (app, events) = (request.scope.app.clone(), request.claims.len());
        self.counters.receive(&app, events);
        let queued = self.door.reserve(&request.scope, events).and_then(|reserved| {
            match self.submit(|| normalize::draft(request, &self.limits)) {
                Ok(answer) => Ok((answer, reserved)),
                Err(refusal) => {
                    give_back(reserved, 0);
                    Err(refusal)
                }
            }
        });
        let (answer, reserved) = queued.inspect_err(|_| self.counters.refuse(&app, events))?;
        let answer = answer.await.unwrap_or(Err(Refusal::Internal));
        give_back(reserved, answer.as_ref().map_or(0, Receipt::kept));
        answer
    }

    /// Finds or makes an installation's version, device, user and session. An `Ok` means that they are on disk.
    pub async fn identify(
        &self,
        scope: Scope,
        received_at: Millis,
        times: SessionTimes,
        raw: &RawIdentify<'_>,
    ) -> Result<Identified, Refusal> {
        let answer = self.submit(|| devices::draft(scope, received_at, times, raw))?;
        let receipt = answer.await.unwrap_or(Err(Refusal::Internal))?;
        receipt.identified.map(|identified| *identified).ok_or(Refusal::Internal)
    }

    /// Tries events again that were set aside for an app, under today's rules. Each that can be used now leaves the list
    /// in the transaction that stores it, so it counts once however often and wherever this is done.
    pub async fn again(
        &self,
        (app, rules): (&Arc<App>, &Rules),
        kept: &[KeptAside],
        now: Millis,
    ) -> Result<Tried, Refusal> {
        app.check_open()?;
        let mut answers = Vec::with_capacity(kept.len());
        let mut tried = Tried::default();
        for kept in kept {
            let draft = {
                let oldest = rules.oldest(kept.environment, now, self.limits.age);
                again::draft(kept, app.clone(), now, (&self.limits, oldest), &self.readers)
            };
            match draft.filter(|draft| !again::is_banned(draft, &rules.banned)) {
                Some(draft) => answers.push(self.submit(|| (draft, kept.again.as_ref().map_or(0, String::len)))?),
                None => tried.stayed += 1,
            }
        }
        for answer in answers {
            let receipt = answer.await.unwrap_or(Err(Refusal::Internal))?;
            match receipt.outcomes.first() {
                None => tried.gone += 1,
                Some(Outcome::Stored) => tried.stored += 1,
                Some(Outcome::Duplicate) => tried.duplicates += 1,
                Some(Outcome::SetAside(..) | Outcome::Dropped | Outcome::Banned | Outcome::Withheld(_)) => {
                    tried.stayed += 1;
                }
            }
        }
        Ok(tried)
    }

    /// Queues a draft, which is made with its size only if there is a queue.
    fn submit(
        &self,
        draft: impl FnOnce() -> (Draft, usize),
    ) -> Result<oneshot::Receiver<Result<Receipt, Refusal>>, Refusal> {
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let (draft, size) = draft();
        // One that takes more room than there is waits until it can have all of it, or it would be sent for ever.
        let size = u32::try_from(size).unwrap_or(u32::MAX).min(self.room);
        let room = self.bytes.clone().try_acquire_many_owned(size).map_err(|_| Refusal::Busy(BUSY_RETRY))?;
        let (reply, answer) = oneshot::channel();
        self.counters.queued.fetch_add(1, Ordering::Relaxed); // before the writer can take it off again
        let (since, trail) = (Stopwatch::start(), trail::current());
        self.queue.try_send(Submission { draft, reply, since, trail, _room: room }).map_err(|e| {
            self.counters.queued.fetch_sub(1, Ordering::Relaxed);
            match e {
                mpsc::TrySendError::Full(_) => Refusal::Busy(BUSY_RETRY),
                mpsc::TrySendError::Disconnected(_) => Refusal::Draining,
            }
        })?;
        Ok(answer)
    }

    /// Counts a request whose events are deliberately not kept (Do Not Track), and answers for it.
    pub fn drop_all(&self, app: &App, events: usize) -> Receipt {
        let receipt = Receipt { outcomes: vec![Outcome::Dropped; events], identified: None };
        self.counters.receive(app, events);
        self.counters.count(app, &receipt);
        receipt
    }

    /// From now on new requests are refused as draining; those that wait are still committed.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Bytes of events that wait for a commit, and how many may.
    pub fn waiting_bytes(&self) -> (u64, u64) {
        let room = u64::from(self.room);
        (room.saturating_sub(self.bytes.available_permits() as u64), room)
    }

    /// Whether the box is shutting down.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Notes that a request was turned away, in whatever words its protocol has for that.
    pub fn note_refusal(&self, protocol: &'static str, refusal: &Refusal, at: Millis) {
        let (reason, detail) = refusals::reason_of(refusal);
        self.counters.refusals.note(reason, Refused { at, protocol, detail });
    }

    /// Notes that something was sent to a path at which there is nothing.
    pub fn note_stray(&self, path: &str, at: Millis) {
        let detail = format!("nothing lies at {path}: look at the address that the SDK was given");
        self.counters.refusals.note(refusals::STRAY, Refused { at, protocol: "a program", detail });
    }

    /// Notes that a client of a protocol came that the box was told not to speak.
    pub fn note_unspoken(&self, protocol: &'static str, at: Millis) {
        let detail = "the setting protocols leaves it out".to_owned();
        self.counters.refusals.note(refusals::UNSPOKEN, Refused { at, protocol, detail });
    }

    /// Counts since start.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The bounds that apply to every request.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Gives back what was taken from a quota for events that were not kept.
fn give_back(reserved: Option<door::Reservation>, kept: usize) {
    if let Some(reserved) = reserved {
        reserved.settle(kept);
    }
}
