//! Passwords: Argon2id in PHC form, at most two at a time, and what may be chosen.

mod policy;

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{Semaphore, oneshot};
use zeroize::Zeroizing;

pub use policy::{LONGEST, PasswordProblem, SHORTEST, check};

/// Memory of one hash in KiB, with two passes and one lane: OWASP's floor for Argon2id.
const MEMORY: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes that run at the same time, so that sign-ins never take more than some 40 MiB and two cores.
const AT_ONCE: usize = 2;
const WAIT: Duration = Duration::from_secs(2);
/// Most that wait for one of them; whoever comes then is sent away at once.
const WAITING: usize = 16;
/// How far hashing stands behind all else that the box does, as `nice` has it: a flood of sign-ins takes what is left.
const NICE: i32 = 10;

/// A hash of the present parameters that no password has: verifying against it costs what a real one costs.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$dGFsbHlib3gtbm9ib2R5IQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashing could not start within two seconds, or too many wait for it: too many sign in at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many people sign in at the moment")]
pub struct TooBusy;

/// What verifying said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or a hash that cannot be read.
    Wrong,
    /// The right one.
    Right,
    /// The right one, but its hash is weaker than today's: hash it anew.
    RightButWeak,
}

/// Hashes off the async threads, at most two at a time. Clones share that bound.
#[derive(Clone, Debug)]
pub struct Hasher {
    slots: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    wait: Duration,
}

impl Default for Hasher {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { slots: semaphore(AT_ONCE), waiting: semaphore(WAITING), wait: WAIT }
    }
}

impl Hasher {
    /// See [`hash`].
    pub async fn hash(&self, password: &str) -> Result<String, TooBusy> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move || hash(&password)).await
    }

    /// See [`verify`]. Without a hash (nobody of that name) the answer is [`Verdict::Wrong`], after the same work.
    pub async fn verify(&self, password: &str, phc: Option<String>) -> Result<Verdict, TooBusy> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move || match phc {
            Some(phc) => verify(&password, &phc),
            None => {
                verify(&password, NOBODY);
                Verdict::Wrong
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, TooBusy> {
        let place = self.waiting.try_acquire().map_err(|_| TooBusy)?;
        let slot = tokio::time::timeout(self.wait, self.slots.clone().acquire_owned()).await;
        let slot = slot.map_err(|_| TooBusy)?.map_err(|_| TooBusy)?;
        drop(place);
        let (answer, done) = oneshot::channel();
        let hash = move || {
            // Where that is refused it is as dear as anything else.
            _ = rustix::process::setpriority_process(None, NICE);
            let result = work();
            // The slot goes with the work: a caller who gives up must not let a third hash start.
            drop(slot);
            _ = answer.send(result);
        };
        // In a thread of its own: each thread of a pool would keep the memory of a hash once it has had it.
        let thread = std::thread::Builder::new().name("password".to_owned()).spawn(hash);
        thread.map_err(|_| TooBusy)?;
        done.await.map_err(|_| TooBusy)
    }
}

/// The PHC string of a password under a fresh salt. Takes some 20 ms and 19 MiB: call it from a blocking thread.
pub fn hash(password: &str) -> String {
    let hash = argon2().hash_password(password.as_bytes());
    hash.expect("the parameters are constant and the system's random generator works").to_string()
}

/// Whether a PHC string is of this password. As slow as [`hash`].
pub fn verify(password: &str, phc: &str) -> Verdict {
    let Ok(parsed) = PasswordHash::new(phc) else { return Verdict::Wrong };
    match argon2().verify_password(password.as_bytes(), &parsed) {
        Err(_) => Verdict::Wrong,
        Ok(()) if is_weak(&parsed) => Verdict::RightButWeak,
        Ok(()) => Verdict::Right,
    }
}

fn is_weak(hash: &PasswordHash) -> bool {
    let Ok(params) = Params::try_from(hash) else { return true };
    hash.algorithm.as_str() != Algorithm::Argon2id.as_str()
        || hash.version != Some(Version::V0x13.into())
        || params.m_cost() < MEMORY
        || params.t_cost() < PASSES
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY, PASSES, LANES, None).expect("the constants lie within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old_hash(password: &str) -> String {
        let params = Params::new(1_024, 1, 1, None).unwrap();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password(password.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn a_hash_fits_its_password_alone() {
        let phc = hash("a long enough secret");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(verify("a long enough secret", &phc), Verdict::Right);
        assert_eq!(verify("a long enough secreT", &phc), Verdict::Wrong);
        assert_ne!(phc, hash("a long enough secret"), "each has its own salt");
    }

    #[test]
    fn a_weaker_hash_asks_to_be_made_anew() {
        let phc = old_hash("a long enough secret");
        assert_eq!(verify("a long enough secret", &phc), Verdict::RightButWeak);
        assert_eq!(verify("another secret here", &phc), Verdict::Wrong);
    }

    #[test]
    fn an_unreadable_hash_fits_nothing() {
        for phc in ["", "plain", "$argon2id$v=19$m=19456,t=2,p=1$", "$2b$12$abcdefghijklmnopqrstuv"] {
            assert_eq!(verify("", phc), Verdict::Wrong, "{phc}");
        }
    }

    #[test]
    fn the_hash_of_nobody_has_todays_cost() {
        let parsed = PasswordHash::new(NOBODY).unwrap();
        assert!(!is_weak(&parsed) && parsed.hash.is_some());
    }

    #[tokio::test]
    async fn a_third_hash_waits_and_gives_up() {
        let hasher = Hasher { wait: Duration::ZERO, ..Hasher::default() };
        let first = hasher.slots.clone().acquire_owned().await.unwrap();
        assert!(hasher.hash("one slot is left").await.is_ok());
        let second = hasher.slots.clone().acquire_owned().await.unwrap();
        assert_eq!(hasher.verify("none is left", None).await, Err(TooBusy));
        drop((first, second));
        let all = u32::try_from(WAITING).unwrap();
        let queue = hasher.waiting.clone().acquire_many_owned(all).await.unwrap();
        assert_eq!(hasher.verify("no place is left to wait in", None).await, Err(TooBusy));
        drop(queue);
        assert_eq!(hasher.verify("nobody has this", None).await, Ok(Verdict::Wrong));
    }
}
