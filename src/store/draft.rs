//! What is asked of a commit, and what becomes of it.

use std::sync::Arc;

use crate::model::{
    App, EnvironmentId, Event, Identify, IngestKeyId, Link, Millis, Outcome, Receipt, SetAside, Told, Withheld,
};

/// What a queued request asks to be written, all or nothing.
#[derive(Debug)]
pub struct Draft {
    /// When its request arrived.
    pub received_at: Millis,
    /// The app it belongs to.
    pub app: Arc<App>,
    /// The key it was accepted with, where its protocol wants one.
    pub key: Option<IngestKeyId>,
    /// Into which environment its events go.
    pub environment: EnvironmentId,
    /// The request's nonce, if its protocol has one.
    pub nonce: Option<Nonce>,
    /// In the request's order.
    pub entries: Vec<Entry>,
    /// What an installation says of itself, where it does.
    pub identify: Option<Box<Identify>>,
    /// The row of a device whose user has signed out.
    pub sign_out: Option<i64>,
    /// What was told of people beside the events.
    pub people: Vec<Told>,
    /// Names that turned out to be one person's.
    pub links: Vec<Link>,
    /// The number under which its one event was set aside, where it is tried again: it leaves the list in the same
    /// transaction, or stays there with its new reason. Where it is not there any more, nothing is done, and there is no
    /// outcome.
    pub again: Option<i64>,
}

impl Draft {
    /// An empty one, without a key.
    pub fn new(app: Arc<App>, environment: EnvironmentId, received_at: Millis) -> Self {
        Self {
            received_at,
            app,
            key: None,
            environment,
            nonce: None,
            entries: Vec::new(),
            identify: None,
            sign_out: None,
            people: Vec::new(),
            links: Vec::new(),
            again: None,
        }
    }

    /// Whether it brings back what is counted already.
    pub fn restores(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Restored(_)))
    }
}

/// One event of a [`Draft`].
#[derive(Debug)]
pub enum Entry {
    /// To be stored if it is new.
    Event(Event),
    /// The same of one that the summaries count already, since it was stored before: it comes back, and counts nowhere.
    /// It stands only among its like.
    Restored(Event),
    /// To be kept aside.
    SetAside(SetAside),
    /// Of somebody who is banned: to be counted only.
    Banned,
    /// Not to be kept, by order of the app's owner: to be counted only.
    Withheld(Withheld),
}

/// A value that may be used once while requests of its time are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce {
    /// The request's own time, in seconds since 1970.
    pub at: i64,
    /// The value.
    pub value: [u8; 16],
}

/// What became of one [`Draft`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Written; one outcome for each entry, in order.
    Receipt(Receipt),
    /// Its nonce was used before: nothing was written.
    Replayed,
    /// Its key was revoked before the commit: nothing was written.
    KeyRevoked,
}

impl Committed {
    /// The outcomes, where there are any.
    pub fn outcomes(&self) -> &[Outcome] {
        match self {
            Self::Receipt(receipt) => &receipt.outcomes,
            Self::Replayed | Self::KeyRevoked => &[],
        }
    }
}
