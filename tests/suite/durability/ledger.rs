//! The client's own book: what it sent and what it was told, written down before and after each call.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

/// What a client knows of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// On its way; if nothing follows, as good as unknown.
    Sent,
    /// The server has it.
    Acked,
    /// The server said no, or was never reached.
    Refused,
    /// The answer was lost.
    Unknown,
}

impl State {
    const ALL: [Self; 4] = [Self::Sent, Self::Acked, Self::Refused, Self::Unknown];

    fn mark(self) -> char {
        match self {
            Self::Sent => 's',
            Self::Acked => 'a',
            Self::Refused => 'r',
            Self::Unknown => 'u',
        }
    }

    /// What is known once `next` is learnt. An acknowledgement stands for ever; an event whose fate is unknown may be
    /// on disk even though a later attempt was refused.
    fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Acked, _) | (_, Self::Acked) => Self::Acked,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Sent | Self::Refused, next) => next,
        }
    }
}

/// A file of one line for each change: a mark and an event id.
pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
    dark: AtomicBool,
}

impl Ledger {
    pub fn create(path: &Path) -> Self {
        Self { path: path.to_owned(), file: Mutex::new(File::create(path).unwrap()), dark: AtomicBool::new(false) }
    }

    /// Writes down that these events are now in that state.
    pub fn note(&self, ids: &[Uuid], state: State) {
        let state = if state == State::Acked && self.dark.load(Ordering::SeqCst) { State::Unknown } else { state };
        let lines: String = ids.iter().map(|id| format!("{}{}\n", state.mark(), id.simple())).collect();
        self.file.lock().unwrap().write_all(lines.as_bytes()).unwrap();
    }

    /// From now on, or no longer, an answer is one that could not have been heard: with the power gone no server answers,
    /// but a drilled one runs on for a moment on a disk that is no more.
    pub fn set_dark(&self, dark: bool) {
        self.dark.store(dark, Ordering::SeqCst);
    }

    /// What is known of every event, read back from the file.
    pub fn read(&self) -> HashMap<Uuid, State> {
        let mut states = HashMap::new();
        for line in fs::read_to_string(&self.path).unwrap().lines() {
            let (mark, id) = line.split_at(1);
            let next = State::ALL.into_iter().find(|state| mark.starts_with(state.mark())).unwrap();
            let state = states.entry(Uuid::try_parse(id).unwrap()).or_insert(next);
            *state = state.then(next);
        }
        states
    }
}

#[test]
fn what_a_client_knows_follows_its_attempts() {
    use State::{Acked, Refused, Sent, Unknown};
    for (attempts, known) in [
        (vec![Sent], Sent),
        (vec![Sent, Acked], Acked),
        (vec![Sent, Refused], Refused),
        (vec![Sent, Refused, Sent, Acked], Acked),
        (vec![Sent, Refused, Sent], Sent),
        (vec![Sent, Unknown, Sent, Refused], Unknown),
        (vec![Sent, Unknown, Sent, Acked], Acked),
        (vec![Sent, Acked, Sent, Unknown], Acked),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::create(&dir.path().join("ledger"));
        let id = Uuid::from_u128(1);
        for state in &attempts {
            ledger.note(&[id], *state);
        }
        assert_eq!(ledger.read(), HashMap::from([(id, known)]), "{attempts:?}");
    }
}
