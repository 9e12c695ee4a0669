//! Passwords: Argon2id in PHC form, at most two at a time, and what may be chosen.

mod policy;

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::token;

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
    memory: Arc<Mutex<Vec<Memory>>>,
    wait: Duration,
}

impl Default for Hasher {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { slots: semaphore(AT_ONCE), waiting: semaphore(WAITING), memory: Arc::default(), wait: WAIT }
    }
}

impl Hasher {
    /// See [`hash`].
    pub async fn hash(&self, password: &str) -> Result<String, TooBusy> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move |memory| hash_in(memory, &password)).await
    }

    /// See [`verify`]. Without a hash (nobody of that name) the answer is [`Verdict::Wrong`], after the same work.
    pub async fn verify(&self, password: &str, phc: Option<String>) -> Result<Verdict, TooBusy> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move |memory| match phc {
            Some(phc) => verify_in(memory, &password, &phc),
            None => {
                verify_in(memory, &password, NOBODY);
                Verdict::Wrong
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut Memory) -> T + Send + 'static) -> Result<T, TooBusy> {
        let place = self.waiting.try_acquire().map_err(|_| TooBusy)?;
        let slot = tokio::time::timeout(self.wait, self.slots.clone().acquire_owned()).await;
        let slot = slot.map_err(|_| TooBusy)?.map_err(|_| TooBusy)?;
        drop(place);
        let pool = self.memory.clone();
        let hash = move || {
            // Where that is refused it is as dear as anything else.
            _ = rustix::process::setpriority_process(None, NICE);
            // Made once for each slot and kept: what is made and dropped by ever new threads the allocator would keep many
            // times over.
            let mut memory = pool.lock().pop().unwrap_or_default();
            let result = work(&mut memory);
            pool.lock().push(memory);
            result
        };
        // In a thread of its own, since a priority cannot be taken back.
        let thread = std::thread::Builder::new().name("password".to_owned()).spawn(hash).map_err(|_| TooBusy)?;
        // The slot goes with the work: a caller who gives up must not let a third hash start.
        let done = tokio::task::spawn_blocking(move || {
            let result = thread.join();
            drop(slot);
            result
        });
        done.await.map_err(|_| TooBusy)?.map_err(|_| TooBusy)
    }
}

/// Where a hash is worked out; grows to what its parameters ask for.
type Memory = Vec<Block>;

/// The PHC string of a password under a fresh salt. Takes some 20 ms and 19 MiB: call it from a blocking thread.
pub fn hash(password: &str) -> String {
    hash_in(&mut Memory::new(), password)
}

/// Whether a PHC string is of this password. As slow as [`hash`].
pub fn verify(password: &str, phc: &str) -> Verdict {
    verify_in(&mut Memory::new(), password, phc)
}

fn hash_in(memory: &mut Memory, password: &str) -> String {
    let (argon2, salt, mut output) = (argon2(), token::random::<16>(), [0; 32]);
    let made = fill(&argon2, memory, (password, &salt), &mut output).and_then(|()| {
        let params = ParamsString::try_from(argon2.params()).ok()?;
        Some(PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params,
            salt: Some(Salt::new(&salt).ok()?),
            hash: Some(Output::new(&output).ok()?),
        })
    });
    made.expect("the parameters are constant, and lie within Argon2's bounds").to_string()
}

fn verify_in(memory: &mut Memory, password: &str, phc: &str) -> Verdict {
    let Ok(parsed) = PasswordHash::new(phc) else { return Verdict::Wrong };
    let mut is_right = || {
        let algorithm = Algorithm::try_from(parsed.algorithm.as_str()).ok()?;
        let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&parsed).ok()?);
        let (salt, expected) = (parsed.salt.as_ref()?, parsed.hash.as_ref()?);
        let mut output = vec![0; expected.as_bytes().len()];
        fill(&argon2, memory, (password, salt), &mut output)?;
        Some(bool::from(output.ct_eq(expected.as_bytes())))
    };
    match is_right() {
        Some(true) if is_weak(&parsed) => Verdict::RightButWeak,
        Some(true) => Verdict::Right,
        Some(false) | None => Verdict::Wrong,
    }
}

/// Works a hash out; `None` for what lies beyond Argon2's bounds.
fn fill(argon2: &Argon2<'_>, memory: &mut Memory, (password, salt): (&str, &[u8]), output: &mut [u8]) -> Option<()> {
    let blocks = argon2.params().block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, &mut memory[..blocks]).ok()
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
    use argon2::{PasswordHasher, PasswordVerifier};

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
        // As the library has it.
        assert!(argon2().verify_password(b"a long enough secret", phc.as_str()).is_ok());
        let theirs = argon2().hash_password(b"a long enough secret").unwrap().to_string();
        assert_eq!(verify("a long enough secret", &theirs), Verdict::Right);
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
