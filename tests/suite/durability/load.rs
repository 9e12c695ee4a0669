//! Eight clients that send signed batches as fast as they are answered, and keep a ledger.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::ledger::{Ledger, State};
use crate::harness::http::{Connection, Reply};
use crate::harness::kit::{self, Credentials};
use crate::harness::poll;
use crate::harness::random::Random;

const CLIENTS: u64 = 8;
const KINDS: [&str; 5] = ["command_execution", "feature_used", "export", "sync", "crash"];
const VERSIONS: [&str; 3] = ["1.0.0", "1.1.0", "2.0.0-beta.1"];
const SYSTEMS: [&str; 3] = ["linux", "macos", "windows"];

/// What the clients send.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Most events in a batch.
    pub events: u64,
    /// Bytes of text in each event's properties.
    pub padding: usize,
}

/// The clients, with what they still have to send again.
pub struct Load {
    pub ledger: Ledger,
    clients: Vec<Client>,
}

/// What happened during one [`Load::run`].
#[derive(Default)]
pub struct Tally {
    pub acked: u64,
    pub elapsed: Duration,
    /// Answers other than 200.
    pub refusals: Vec<Reply>,
    /// Calls without an answer.
    pub unanswered: usize,
    /// Longest wait for an answer.
    pub slowest: Duration,
}

/// What a client does when it is refused or loses an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Temper {
    /// It waits for the next run.
    Yielding,
    /// It goes on. Its database is another machine, whose answer to a commit may be what was lost: so a 503 says no
    /// more than that the server does not know.
    Insistent,
}

/// A look at a load that is running.
pub struct Progress<'a> {
    acked: &'a AtomicU64,
    refused: &'a AtomicU64,
    ledger: &'a Ledger,
}

struct Client {
    random: Random,
    shape: Shape,
    credentials: Credentials,
    again: VecDeque<Batch>,
}

/// A batch keeps its ids and times however often it is sent.
struct Batch {
    ids: Vec<Uuid>,
    body: Vec<u8>,
}

enum Answer {
    Acked,
    Refused(Reply),
    Unreached,
    Lost,
}

impl Load {
    /// Clients whose every choice follows from `seed`, with a ledger in `home`.
    pub fn new(seed: u64, home: &Path, credentials: &Credentials, shape: Shape) -> Self {
        println!("seed {seed}");
        let client = |index| Client {
            random: Random::seeded(seed.wrapping_mul(CLIENTS).wrapping_add(index)),
            shape,
            credentials: credentials.clone(),
            again: VecDeque::new(),
        };
        Self { ledger: Ledger::create(&home.join("ledger")), clients: (0..CLIENTS).map(client).collect() }
    }

    /// Lets all clients send while `meanwhile` runs. Each stops at its first refusal or lost answer.
    pub fn run(&mut self, address: SocketAddr, meanwhile: impl FnOnce(&Progress<'_>)) -> Tally {
        self.run_as(Temper::Yielding, address, meanwhile)
    }

    /// As [`Load::run`], and clients go on whatever they are told.
    pub fn insist(&mut self, address: SocketAddr, meanwhile: impl FnOnce(&Progress<'_>)) -> Tally {
        self.run_as(Temper::Insistent, address, meanwhile)
    }

    fn run_as(&mut self, temper: Temper, address: SocketAddr, meanwhile: impl FnOnce(&Progress<'_>)) -> Tally {
        let (stop, begun) = (AtomicBool::new(false), Instant::now());
        let (acked, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        let progress = Progress { acked: &acked, refused: &refused, ledger: &self.ledger };
        progress.ledger.set_dark(false);
        let mut total = Tally::default();
        thread::scope(|scope| {
            let (stop, progress) = (&stop, &progress);
            let running: Vec<_> = self
                .clients
                .iter_mut()
                .map(|client| scope.spawn(move || client.run(temper, address, progress, stop)))
                .collect();
            {
                let _stop = Stop(stop);
                meanwhile(progress);
            }
            for client in running {
                let part = client.join().unwrap();
                total.refusals.extend(part.refusals);
                total.unanswered += part.unanswered;
                total.slowest = total.slowest.max(part.slowest);
            }
        });
        Tally { acked: acked.into_inner(), elapsed: begun.elapsed(), ..total }
    }

    /// Sends on until nothing is left that was not answered, one client after the other.
    pub fn settle(&mut self, address: SocketAddr) {
        self.ledger.set_dark(false);
        for client in &mut self.clients {
            while !client.again.is_empty() {
                let mut connection = Connection::open(address).ok();
                let answer = client.step(Temper::Yielding, &mut connection, &self.ledger);
                assert!(matches!(answer, Answer::Acked), "a repeat was not taken");
            }
        }
    }
}

impl Progress<'_> {
    /// What is known by now of every event that was sent.
    pub fn states(&self) -> HashMap<Uuid, State> {
        self.ledger.read()
    }

    /// No answer counts as heard any more.
    pub fn go_dark(&self) {
        self.ledger.set_dark(true);
    }

    /// Waits until so many events were acknowledged in this run.
    #[track_caller]
    pub fn await_acked(&self, events: u64) {
        poll::until(Duration::from_secs(30), "acknowledged events", || {
            (self.acked.load(Ordering::Relaxed) >= events).then_some(())
        });
    }

    /// How long it takes from now until a client is told of success, at the most `limit`.
    #[track_caller]
    pub fn await_success(&self, limit: Duration) -> Duration {
        let (begun, before) = (Instant::now(), self.acked.load(Ordering::Relaxed));
        poll::until(limit, "success", || (self.acked.load(Ordering::Relaxed) > before).then_some(()));
        begun.elapsed()
    }

    /// Waits until a client is refused from now on.
    #[track_caller]
    pub fn await_refusal(&self) {
        let before = self.refused.load(Ordering::Relaxed);
        poll::until(Duration::from_secs(30), "refusal", || {
            (self.refused.load(Ordering::Relaxed) > before).then_some(())
        });
    }
}

impl Client {
    fn run(&mut self, temper: Temper, address: SocketAddr, progress: &Progress<'_>, stop: &AtomicBool) -> Tally {
        let mut tally = Tally::default();
        let mut connection = Connection::open(address).ok();
        while !stop.load(Ordering::Relaxed) {
            let (events, begun) = (self.next_size(), Instant::now());
            let answer = self.step(temper, &mut connection, progress.ledger);
            tally.slowest = tally.slowest.max(begun.elapsed());
            match answer {
                Answer::Acked => {
                    progress.acked.fetch_add(events, Ordering::Relaxed);
                    continue;
                }
                Answer::Refused(reply) => {
                    progress.refused.fetch_add(1, Ordering::Relaxed);
                    tally.refusals.push(reply);
                }
                Answer::Unreached => {}
                Answer::Lost => tally.unanswered += 1,
            }
            if temper == Temper::Yielding {
                break;
            }
            poll::pause();
            connection = Connection::open(address).ok();
        }
        tally
    }

    fn next_size(&mut self) -> u64 {
        if self.again.is_empty() {
            let batch = self.fresh();
            self.again.push_back(batch);
        }
        self.again[0].ids.len() as u64
    }

    /// Sends the next batch. One that may be stored or not is sent again later, or never: both must be harmless.
    fn step(&mut self, temper: Temper, connection: &mut Option<Connection>, ledger: &Ledger) -> Answer {
        let batch = self.again.pop_front().expect("next_size or settle saw one");
        let request = self.credentials.sdk(&batch.body);
        ledger.note(&batch.ids, State::Sent);
        let answer = match connection.as_mut().map(|connection| connection.send(&request)) {
            None => Answer::Unreached,
            Some(Err(_)) => Answer::Lost,
            Some(Ok(reply)) if reply.status == 200 && reply.json()["accepted"] == batch.ids.len() => Answer::Acked,
            Some(Ok(reply)) => Answer::Refused(reply),
        };
        let (state, again) = match &answer {
            Answer::Acked => (State::Acked, self.random.between(0, 19) == 0), // a client that did not hear it
            // After a sync that failed nobody knows what the disk has kept.
            Answer::Refused(reply) if failed_on_disk(reply) => (State::Unknown, true),
            Answer::Refused(Reply { status: 503, .. }) if temper == Temper::Insistent => (State::Unknown, true),
            Answer::Refused(_) | Answer::Unreached => (State::Refused, true),
            Answer::Lost => (State::Unknown, self.random.between(0, 1) == 0),
        };
        ledger.note(&batch.ids, state);
        if again {
            self.again.push_back(batch);
        }
        answer
    }

    fn fresh(&mut self) -> Batch {
        let size = self.random.between(1, self.shape.events);
        let ids: Vec<_> = (0..size).map(|_| self.random.uuid()).collect();
        let events: Vec<_> = ids.iter().map(|id| self.event(*id)).collect();
        Batch { ids, body: kit::batch(&events) }
    }

    fn event(&mut self, id: Uuid) -> serde_json::Value {
        let ago = SignedDuration::from_millis(i64::try_from(self.random.between(0, 40 * 3_600_000)).unwrap());
        let user = self.random.between(0, 300);
        let mut event = kit::event_of(id, Timestamp::now() - ago, self.random.pick(&KINDS));
        event["user_id"] = format!("client_{user:064x}").into();
        event["session_id"] = format!("sess_{:032x}", user * 4 + self.random.between(0, 3)).into();
        event["service"]["version"] = self.random.pick(&VERSIONS).into();
        event["environment"]["os"] = self.random.pick(&SYSTEMS).into();
        event["event"]["data"]["padding"] = "x".repeat(self.shape.padding).into();
        event
    }
}

/// Ends the clients even when the test fails meanwhile.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn failed_on_disk(reply: &Reply) -> bool {
    reply.status == 503
        && reply.json()["message"].as_str().is_some_and(|text| text.starts_with("nothing can be stored"))
}
