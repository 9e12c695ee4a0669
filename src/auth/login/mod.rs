//! Signing in and out, the first run's set-up, and the token that proves a form is ours.

mod attempts;
mod invited;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::password::{self, Hasher, PasswordProblem, TooBusy, Verdict};
use super::token;
use crate::clock::Clock;
use crate::model::{By, Login, Member, Millis, NewMember, Role};
use crate::store::{Result as StoreResult, Store, StoreError};
use attempts::Attempts;

/// A login ends when it was not used for this long.
const IDLE: i64 = 12 * Millis::HOUR;
/// A login ends this long after signing in, however much it is used.
const ABSOLUTE: i64 = 7 * Millis::DAY;
/// How long a set-up token works.
const SETUP_LIFE: i64 = Millis::HOUR;
/// Longest name of a member, in characters (that of an e-mail address).
const LONGEST_NAME: usize = 254;
/// Seconds to come back after when too many passwords are being hashed.
const BUSY_RETRY: u32 = 2;
const CSRF_LABEL: &[u8] = b"tallybox form v1";

/// Everything about logins. Clones share their limits.
#[derive(Clone)]
pub struct Logins {
    shared: Arc<Shared>,
}

/// A member who has just signed in.
#[derive(Clone)]
pub struct SignedIn {
    /// For the cookie: 256 random bits, known to nobody else and stored as a hash.
    pub token: String,
    /// Who.
    pub member: Member,
}

/// Why signing in failed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such member, or another password; which of the two is not told.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many failures for this account or address, or too many people at once.
    #[error("too many attempts; try again in {retry_after} seconds")]
    TooMany {
        /// Seconds.
        retry_after: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the set-up was not done.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The password is not good enough.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// The name is empty, longer than 254 characters, or holds control characters.
    #[error("The name needs 1 to 254 characters.")]
    Name,
    /// Another member signs in with that name.
    #[error("That name is taken.")]
    Taken,
    /// The token is wrong, too old, or somebody else was faster.
    #[error("the set-up link is not valid any more")]
    Spent,
    /// Too many try at once; the token is still good.
    #[error("too many attempts; try again in {retry_after} seconds")]
    TooBusy {
        /// Seconds.
        retry_after: u32,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedIn(member {})", self.member.id)
    }
}

struct Shared {
    store: Arc<dyn Store>,
    clock: Clock,
    hasher: Hasher,
    attempts: Mutex<Attempts>,
    set_up: AtomicBool,
}

impl Logins {
    /// Over a store; nothing is read yet.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        let (hasher, attempts, set_up) = (Hasher::default(), Mutex::default(), AtomicBool::new(false));
        Self { shared: Arc::new(Shared { store, clock, hasher, attempts, set_up }) }
    }

    /// Checks name and password and makes a login. `address` is used for limits only: 20 failures in ten minutes
    /// (an IPv6 /64 counts as one address), and for an account a wait of 15 seconds after 5 failures, doubled with
    /// each further one up to 15 minutes. An unknown name takes as long as a wrong password.
    pub async fn sign_in(&self, name: &str, password: &str, address: IpAddr) -> Result<SignedIn, SignInError> {
        let name = name.trim().to_owned();
        let account = token::hash(&name.to_lowercase());
        let begun = self.shared.attempts.lock().begin(account, address, self.shared.clock.now());
        let attempt = begun.map_err(|retry_after| SignInError::TooMany { retry_after })?;
        let found = if name.chars().count() <= LONGEST_NAME && password.chars().count() <= password::LONGEST {
            self.on_store(move |store| store.find_member(&name)).await
        } else {
            Ok(None)
        };
        let member = found.inspect_err(|_| self.shared.attempts.lock().forgive(attempt))?;
        // What no member can have chosen is cut, so that nobody makes us hash megabytes.
        let password: String = password.chars().take(password::LONGEST).collect();
        let phc = member.as_ref().map(|member| member.password_hash.clone());
        let verdict = self.shared.hasher.verify(&password, phc).await.map_err(|TooBusy| {
            self.shared.attempts.lock().forgive(attempt);
            SignInError::TooMany { retry_after: BUSY_RETRY }
        })?;
        let (member, weak) = match (member, verdict) {
            (Some(member), Verdict::Right) if member.disabled_at.is_none() => (member, false),
            (Some(member), Verdict::RightButWeak) if member.disabled_at.is_none() => (member, true),
            _ => return Err(SignInError::Wrong),
        };
        self.shared.attempts.lock().succeed(attempt);
        let signed_in = self.create_login(member).await?;
        // A password that was changed while this one was checked ended all logins, but not one made just after.
        let now = self.find(&signed_in.token).await?;
        if now.is_none_or(|login| login.member.password_hash != signed_in.member.password_hash) {
            self.sign_out(&signed_in.token).await?;
            return Err(SignInError::Wrong);
        }
        if weak {
            self.strengthen(&signed_in, &password).await?;
        }
        Ok(signed_in)
    }

    /// The login of a cookie's token, unless it lay idle for 12 hours or is 7 days old.
    pub async fn find(&self, token: &str) -> StoreResult<Option<Login>> {
        let (hash, now) = (token::hash(token), self.shared.clock.now());
        let login = self.on_store(move |store| store.find_login(&hash, now)).await?;
        let live = |login: &Login| now.since(login.seen_at) < IDLE && now.since(login.created_at) < ABSOLUTE;
        match login {
            Some(login) if live(&login) => Ok(Some(login)),
            Some(_) => self.sign_out(token).await.map(|()| None),
            None => Ok(None),
        }
    }

    /// Ends a login for good; an unknown one is no error.
    pub async fn sign_out(&self, token: &str) -> StoreResult<()> {
        let hash = token::hash(token);
        self.on_store(move |store| store.delete_login(&hash)).await
    }

    /// What a form of this login carries: 64 hex digits that only the holder of the token can know.
    pub fn csrf(&self, login_token: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(login_token.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(CSRF_LABEL);
        hex::encode(mac.finalize().into_bytes())
    }

    /// Whether a form carried what [`Logins::csrf`] gives, compared in constant time.
    pub fn csrf_matches(&self, login_token: &str, given: &str) -> bool {
        self.csrf(login_token).as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// Whether a set-up can be done with this token now.
    pub async fn setup_token_valid(&self, token: &str) -> StoreResult<bool> {
        let (hash, now) = (token::hash(token), self.shared.clock.now());
        self.on_store(move |store| store.setup_token_valid(&hash, now)).await
    }

    /// Makes the first member, an owner, spends the token and signs them in. However many try at once, one succeeds.
    /// `place` says from where, in words.
    pub async fn complete_setup(
        &self,
        token: &str,
        (name, password): (&str, &str),
        place: &str,
    ) -> Result<SignedIn, SetupError> {
        let name = check_name(name).ok_or(SetupError::Name)?;
        // Before anything that costs: whoever does not hold the token learns nothing here.
        if !self.setup_token_valid(token).await? {
            return Err(SetupError::Spent);
        }
        password::check(password, &name)?;
        let hashed = self.shared.hasher.hash(password).await;
        let password_hash = hashed.map_err(|TooBusy| SetupError::TooBusy { retry_after: BUSY_RETRY })?;
        let by = By { at: self.shared.clock.now(), member: name.clone(), place: place.to_owned() };
        let new = NewMember { name, role: Role::Owner, password_hash, organization: None };
        let hash = token::hash(token);
        let member = self.on_store(move |store| store.complete_setup(&hash, &new, &by)).await?;
        self.shared.set_up.store(true, Ordering::Relaxed);
        Ok(self.create_login(member).await?)
    }

    /// A token for the set-up link, good for an hour, in place of earlier ones: `fixed` where that is given, else a
    /// fresh one. `None` once there is a member.
    pub async fn issue_setup_token(&self, fixed: Option<&str>) -> StoreResult<Option<String>> {
        if self.set_up().await? {
            return Ok(None);
        }
        let token = fixed.map_or_else(|| token::issue(""), str::to_owned);
        let (hash, expires) = (token::hash(&token), self.shared.clock.now().plus(SETUP_LIFE));
        self.on_store(move |store| store.put_setup_token(&hash, expires)).await?;
        Ok(Some(token))
    }

    /// Whether there is a member. Once true it stays true.
    pub async fn set_up(&self) -> StoreResult<bool> {
        if self.shared.set_up.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let set_up = self.on_store(|store| store.has_members()).await?;
        self.shared.set_up.fetch_or(set_up, Ordering::Relaxed);
        Ok(set_up)
    }

    async fn create_login(&self, member: Member) -> StoreResult<SignedIn> {
        let (token, id, now) = (token::issue(""), member.id, self.shared.clock.now());
        let hash = token::hash(&token);
        self.on_store(move |store| store.create_login(&hash, id, now)).await?;
        Ok(SignedIn { token, member })
    }

    /// Hashes a password with today's parameters. If the box is too busy the next sign-in does it.
    async fn strengthen(&self, signed_in: &SignedIn, password: &str) -> StoreResult<()> {
        let Ok(phc) = self.shared.hasher.hash(password).await else { return Ok(()) };
        let (member, keep) = (signed_in.member.id, token::hash(&signed_in.token));
        self.on_store(move |store| store.set_password(member, &phc, Some(&keep))).await
    }

    async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let store = self.shared.store.clone();
        let done = tokio::task::spawn_blocking(move || work(store.as_ref())).await;
        done.unwrap_or_else(|_| Err(StoreError::Unexpected("a store call panicked".to_owned())))
    }
}

/// A member's name without blanks around it; `None` where it is empty, longer than 254 characters, or holds control
/// characters.
pub fn check_name(name: &str) -> Option<String> {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}

impl From<StoreError> for SetupError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TokenSpent => Self::Spent,
            StoreError::Exists(_) => Self::Taken,
            other => Self::Store(other),
        }
    }
}

#[cfg(test)]
mod tests;
