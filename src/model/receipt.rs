//! Answers to ingest: what became of each event, or why a whole request was turned away.

use super::{EventId, Identified, Reason, Withheld};

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
    /// Not kept, since its user or device is banned; counted.
    Banned,
    /// Not kept, by order of the app's owner; counted by its reason.
    Withheld(Withheld),
}

impl Outcome {
    /// As counted in the store and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::SetAside(..) => "set_aside",
            Self::Dropped => "dropped",
            Self::Banned => "banned",
            Self::Withheld(why) => why.as_str(),
        }
    }

    /// Whether all of a request's events came though their clients are to be quiet; not where there are none.
    pub fn are_of_the_quiet(outcomes: &[Self]) -> bool {
        let quiet = |outcome: &Self| matches!(outcome, Self::Withheld(Withheld::Paused | Withheld::Stopped));
        !outcomes.is_empty() && outcomes.iter().all(quiet)
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

    /// Events that take room on the disk because of this request.
    pub fn kept(&self) -> usize {
        self.count(|o| matches!(o, Outcome::Stored | Outcome::SetAside(..)))
    }

    /// Events that are not kept, by order of the app's owner.
    pub fn withheld(&self) -> usize {
        self.count(|o| matches!(o, Outcome::Withheld(_)))
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
    /// A credential that, by its mere look, is of another kind or mistyped; which, in words.
    WrongCredential(&'static str),
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
    /// Too many failed proofs from an address; seconds until the next is welcome, 1 to 60.
    RateLimited(u32),
    /// More than its tier allows.
    OverLimit(OverLimit),
    /// Its user or device is banned from the app.
    Banned,
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

/// Where an allowance stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// All of it: requests a minute, or events a day.
    pub limit: u64,
    /// How much is left now.
    pub remaining: u64,
    /// When all of it is there again, in seconds since 1970.
    pub resets_at: i64,
}

/// What a tier allows too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests with the key.
    Key,
    /// Requests to the app.
    App,
    /// Requests with public keys from the client's network.
    Network,
    /// Events of the day.
    Day,
}

/// A request that its tier does not allow now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// Of what there were too many.
    pub limit: Limit,
    /// How it stands.
    pub standing: Standing,
    /// Seconds until the next is welcome, 1 to 60: SDKs are known to sleep whatever they are told.
    pub retry_after: u32,
}

impl std::fmt::Display for OverLimit {
    /// For developers and the people who run the app.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let many = self.standing.limit;
        match self.limit {
            Limit::Key => write!(f, "more than {many} requests a minute with this key; try again later"),
            Limit::App => write!(f, "more than {many} requests a minute to this app; try again later"),
            Limit::Network => write!(f, "more than {many} requests a minute from your network; try again later"),
            Limit::Day => {
                write!(f, "the {many} events of this app for today are used up; the next day begins at 00:00 UTC")
            }
        }
    }
}
