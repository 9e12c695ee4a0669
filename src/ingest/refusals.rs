//! Requests that were turned away, by reason, with the last of each: what a developer asks for first.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use crate::model::{Millis, Refusal};

/// How many of each reason are remembered.
const SAMPLES: usize = 5;

/// Longest text of one, in bytes.
const TEXT: usize = 200;

/// The reason of those that ask for what is not there.
pub const STRAY: &str = "Nothing at that address";

/// The reason of those whose protocol is not spoken.
pub const UNSPOKEN: &str = "Its protocol is switched off";

/// One request that was turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When.
    pub at: Millis,
    /// Which protocol it spoke.
    pub protocol: &'static str,
    /// What was wrong with it, for its developer; nothing of who sent it.
    pub detail: String,
}

/// All that were turned away for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFor {
    /// In words that stay the same.
    pub reason: &'static str,
    /// How many, since the start.
    pub count: u64,
    /// The last of them, newest first.
    pub samples: Vec<Refused>,
}

/// Counts since the start, and some samples.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<&'static str, (u64, VecDeque<Refused>)>>);

impl Refusals {
    /// Notes one. Reasons are few, so this is bounded.
    pub fn note(&self, reason: &'static str, refused: Refused) {
        let mut all = self.0.lock();
        let (count, samples) = all.entry(reason).or_default();
        *count += 1;
        samples.truncate(SAMPLES - 1);
        let detail = super::normalize::bounded(&refused.detail, TEXT).into_owned();
        samples.push_front(Refused { detail, ..refused });
    }

    /// The last of all, whatever its reason.
    pub fn newest(&self) -> Option<Refused> {
        let all = self.0.lock();
        all.values().filter_map(|(_, samples)| samples.front()).max_by_key(|refused| refused.at).cloned()
    }

    /// All of them, the most frequent first.
    pub fn all(&self) -> Vec<RefusedFor> {
        let all = self.0.lock();
        let told = |(reason, (count, samples)): (&&'static str, &(u64, VecDeque<Refused>))| RefusedFor {
            reason,
            count: *count,
            samples: samples.iter().cloned().collect(),
        };
        let mut told: Vec<_> = all.iter().map(told).collect();
        told.sort_by_key(|refused| std::cmp::Reverse(refused.count));
        told
    }
}

/// A refusal's reason, and what exactly was wrong.
pub fn reason_of(refusal: &Refusal) -> (&'static str, String) {
    match refusal {
        Refusal::Malformed(what) => ("The request cannot be read", what.clone()),
        Refusal::Unauthorized => {
            ("No valid key", "the key is unknown or revoked, or the signature is not of this body".to_owned())
        }
        Refusal::Forbidden(what) => ("The key may not do this", what.clone()),
        Refusal::WrongCredential(what) => ("Another kind of key, or a mistyped one", (*what).to_owned()),
        Refusal::OverLimit(over) => ("More than its tier allows", over.to_string()),
        Refusal::Banned => ("Banned", "its user or device is banned from the app".to_owned()),
        Refusal::ClockSkew(_) => {
            ("The client's clock is wrong", "it is more than ten minutes from the box's clock".to_owned())
        }
        Refusal::Replayed => ("Sent twice", "a request with the same nonce has been taken already".to_owned()),
        Refusal::TooLarge(what) => ("Too large", what.clone()),
        Refusal::Timeout => ("Too slow", "the body did not arrive in the time it was given".to_owned()),
        Refusal::UnsupportedEncoding => ("Unknown compression", "gzip and deflate are understood".to_owned()),
        Refusal::RateLimited(_) => ("Too many requests", "the client was told to wait".to_owned()),
        Refusal::Busy(_) => ("The box was busy", "too much waited to be written".to_owned()),
        Refusal::Draining => ("The box was stopping", "the client was told to come back".to_owned()),
        Refusal::StorageFull => ("No room on the disk", "free space was below its floor".to_owned()),
        Refusal::StorageDown => ("The database was away", "the log says why".to_owned()),
        Refusal::Internal => ("A defect", "the log says more".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_reason_are_remembered_and_all_are_counted() {
        let refusals = Refusals::default();
        for at in 0..20 {
            let detail = format!("request {at}{}", "x".repeat(1_000));
            refusals.note("Too large", Refused { at: Millis(at), protocol: "one", detail });
        }
        refusals.note("No valid key", Refused { at: Millis(99), protocol: "two", detail: "line\nbreak".to_owned() });
        let all = refusals.all();
        assert_eq!(
            all.iter().map(|r| (r.reason, r.count)).collect::<Vec<_>>(),
            [("Too large", 20), ("No valid key", 1)]
        );
        let ats: Vec<_> = all[0].samples.iter().map(|sample| sample.at.0).collect();
        assert_eq!(ats, [19, 18, 17, 16, 15]);
        assert!(all[0].samples[0].detail.len() <= TEXT);
        assert!(!all[1].samples[0].detail.contains('\n'));
        assert_eq!(refusals.newest().map(|refused| (refused.at.0, refused.protocol)), Some((99, "two")));
        assert_eq!(Refusals::default().newest(), None);
    }
}
