//! Answers to ingest: what became of each event, or why a whole request was turned away.

use super::{EventId, Identified, Reason};

/// What became of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// On disk, counted.
    Stored,
    /// Already on disk; nothing changed.
    Duplicate,
    /// Kept aside for the operator, with its reason; the id where it could be read.
    SetAside(Reason, Option<EventId>),
    /// Deliberately not kept (Do Not Track); counted.
    Dropped,
}

impl Outcome {
    /// As counted in the store and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::SetAside(..) => "set_aside",
            Self::Dropped => "dropped",
        }
    }
}

/// One outcome for each event of a request, in its order. It exists only after the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// In the request's order.
    pub outcomes: Vec<Outcome>,
    /// What an installation is told that has said who it is.
    pub identified: Option<Box<Identified>>,
}

impl Receipt {
    /// How many outcomes satisfy a test.
    pub fn count(&self, test: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| test(outcome)).count()
    }

    /// Events newly on disk.
    pub fn stored(&self) -> usize {
        self.count(|o| matches!(o, Outcome::Stored))
    }

    /// Events that were on disk before.
    pub fn duplicates(&self) -> usize {
        self.count(|o| matches!(o, Outcome::Duplicate))
    }

    /// Events kept aside.
    pub fn set_aside(&self) -> usize {
        self.count(|o| matches!(o, Outcome::SetAside(..)))
    }
}

/// Why a whole request was turned away. Each protocol says it in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request makes no sense; what is wrong, in words for its developer.
    Malformed(String),
    /// No valid credential; never says which part was wrong.
    Unauthorized,
    /// A valid credential that may not do this.
    Forbidden(String),
    /// The client's clock is too far from ours; ours in seconds since 1970.
    ClockSkew(i64),
    /// A request with this nonce has been taken already.
    Replayed,
    /// Body or batch over the limit; which, in words.
    TooLarge(String),
    /// The body did not arrive in the time it was given.
    Timeout,
    /// A content encoding we cannot read.
    UnsupportedEncoding,
    /// Too many requests; seconds until the next is welcome, 1 to 60.
    RateLimited(u32),
    /// Queue full; seconds to wait.
    Busy(u32),
    /// Shutting down; another node, or the next process, will take it.
    Draining,
    /// No room on the disk.
    StorageFull,
    /// The database cannot take it now.
    StorageDown,
    /// A defect of ours; the cause is in the log.
    Internal,
}
