//! Signing in and out, the first run's set-up, and the token that proves a form is ours.

mod attempts;
mod failures;
mod invited;
mod own;
mod second;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::password::{self, Hasher, PasswordProblem, TooBusy, Verdict};
use super::seal::MasterKey;
use super::token;
use crate::clock::Clock;
use crate::model::{AuditLine, By, Concerning, Login, Member, Millis, NewLogin, NewMember, Role, Way};
use crate::store::{Result as StoreResult, Store, StoreError};
use crate::trail::{self, Stage};
use attempts::Attempts;
use failures::{Failures, Listed};

pub use own::{AdmitError, ChangeError, Own, Proof};
pub use second::SecondStepError;

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

/// Who tries to sign in.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// From where, for limits only.
    pub address: IpAddr,
    /// What the browser calls itself, such as `Firefox on Linux`.
    pub place: &'a str,
}

/// What a right password leads to.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// Signed in.
    In(SignedIn),
    /// A code is asked for next: what the browser keeps meanwhile.
    Code(String),
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
    key: MasterKey,
    times: LoginTimes,
    attempts: Mutex<Attempts>,
    failures: Mutex<Failures>,
    set_up: AtomicBool,
}

/// How long a login lasts, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginTimes {
    /// Without being used.
    pub idle: i64,
    /// However much it is used.
    pub whole: i64,
}

impl Default for LoginTimes {
    /// Twelve hours, and seven days.
    fn default() -> Self {
        Self { idle: 12 * Millis::HOUR, whole: 7 * Millis::DAY }
    }
}

impl Logins {
    /// Over a store; nothing is read yet. The key seals what must be read again.
    pub fn new(store: Arc<dyn Store>, key: MasterKey, clock: Clock, times: LoginTimes) -> Self {
        let (hasher, attempts, set_up) = (Hasher::default(), Mutex::default(), AtomicBool::new(false));
        let failures = Mutex::default();
        Self { shared: Arc::new(Shared { store, key, clock, hasher, times, attempts, failures, set_up }) }
    }

    /// How long logins last.
    pub fn times(&self) -> LoginTimes {
        self.shared.times
    }

    /// Checks name and password, and makes a login unless a code is to follow. 20 failures of an address are free in
    /// ten minutes (an IPv6 /64 counts as one address), and 5 of an account; then it waits for 15 seconds, doubled with
    /// each further one up to 15 minutes, and after a hundred for a day. An unknown name takes as long as a wrong
    /// password.
    pub async fn sign_in(&self, name: &str, password: &str, from: &Caller<'_>) -> Result<Entrance, SignInError> {
        let name = name.trim();
        let account = token::hash(&format!("name {}", name.to_lowercase()));
        let checked = self.limited(account, from.address, self.whose(name, password)).await;
        if matches!(checked, Err(SignInError::Wrong)) {
            self.note_failure(name, "wrong name or password", from).await;
        }
        let member = checked?;
        if self.two_factor(member.id).await?.is_some_and(|own| own.confirmed_at.is_some()) {
            return Ok(Entrance::Code(self.first_step_done(&member)));
        }
        Ok(Entrance::In(self.enter(member, Way::Password, self.shared.clock.now(), from).await?))
    }

    /// The member of a name and its password, which is hashed anew where its hash is weak.
    async fn whose(&self, name: &str, password: &str) -> Result<Option<Member>, SignInError> {
        let wanted = name.to_owned();
        let found = if name.chars().count() <= LONGEST_NAME && password.chars().count() <= password::LONGEST {
            self.on_store(move |store| store.find_member(&wanted)).await?
        } else {
            None
        };
        // What no member can have chosen is cut, so that nobody makes us hash megabytes.
        let password: String = password.chars().take(password::LONGEST).collect();
        // Whoever signs in elsewhere has none, which must not be seen from the time that it takes.
        let phc = found.as_ref().map(|member| member.password_hash.clone()).filter(|phc| !phc.is_empty());
        let verdict = self.shared.hasher.verify(&password, phc).await;
        let verdict = verdict.map_err(|TooBusy| SignInError::TooMany { retry_after: BUSY_RETRY })?;
        match (found.filter(|member| member.disabled_at.is_none()), verdict) {
            (Some(member), Verdict::Right) => Ok(Some(member)),
            (Some(member), Verdict::RightButWeak) => Ok(Some(self.strengthen(member, &password).await?)),
            (Some(_), Verdict::Wrong) | (None, _) => Ok(None),
        }
    }

    /// Signs a member in, unless the password was changed or the member shut out since it was checked: that has ended
    /// all logins, but not one made just after.
    async fn enter(
        &self,
        member: Member,
        way: Way,
        proved_at: Millis,
        from: &Caller<'_>,
    ) -> Result<SignedIn, SignInError> {
        let signed_in = self.create_login(member, way, proved_at, from.place).await?;
        let now = self.find(&signed_in.token).await?;
        if now.is_none_or(|login| login.member.password_hash != signed_in.member.password_hash) {
            self.sign_out(&signed_in.token).await?;
            return Err(SignInError::Wrong);
        }
        Ok(signed_in)
    }

    /// Checks something within the limits of an account and an address: `None` counts as a failure. An error is none.
    async fn limited<T, E: Into<SignInError>>(
        &self,
        account: [u8; 32],
        address: IpAddr,
        check: impl Future<Output = Result<Option<T>, E>>,
    ) -> Result<T, SignInError> {
        let begun = self.shared.attempts.lock().begin(account, address, self.shared.clock.now());
        let attempt = begun.map_err(|retry_after| SignInError::TooMany { retry_after })?;
        match check.await {
            Ok(Some(found)) => {
                self.shared.attempts.lock().succeed(attempt);
                Ok(found)
            }
            Ok(None) => Err(SignInError::Wrong),
            Err(error) => {
                self.shared.attempts.lock().forgive(attempt);
                Err(error.into())
            }
        }
    }

    /// Writes down that a sign-in has failed, with the name that was given, cut short. Of an hour at most 200 are
    /// listed one by one, so that strangers cannot fill the account.
    async fn note_failure(&self, name: &str, detail: &str, from: &Caller<'_>) {
        let by = self.by(&name.chars().take(100).collect::<String>(), from);
        let listed = self.shared.failures.lock().count(by.at);
        let detail = match listed {
            Listed::Yes => detail.to_owned(),
            Listed::Last => format!("{detail}; more of this hour are not listed"),
            Listed::No => return,
        };
        let subject = by.member.clone();
        let line = AuditLine { by, of: Concerning::Box, action: "login.failed", subject, detail };
        if let Err(error) = self.on_store(move |store| store.record(&line)).await {
            tracing::warn!(%error, "a failed sign-in could not be written down");
        }
    }

    fn by(&self, member: &str, from: &Caller<'_>) -> By {
        By { at: self.shared.clock.now(), member: member.to_owned(), place: from.place.to_owned() }
    }

    /// The login of a cookie's token, unless it lay idle for 12 hours or is 7 days old.
    pub async fn find(&self, token: &str) -> StoreResult<Option<Login>> {
        let (hash, now) = (token::hash(token), self.shared.clock.now());
        match self.on_store(move |store| store.find_login(&hash, now)).await? {
            Some(login) if self.is_live(&login) => Ok(Some(login)),
            Some(_) => self.sign_out(token).await.map(|()| None),
            None => Ok(None),
        }
    }

    fn is_live(&self, login: &Login) -> bool {
        let now = self.shared.clock.now();
        let LoginTimes { idle, whole } = self.shared.times;
        now.since(login.seen_at) < idle && now.since(login.created_at) < whole
    }

    /// Lets a login go on under another token, as is due whenever its member has proved who they are.
    pub async fn renew(&self, token: &str) -> StoreResult<String> {
        let fresh = token::issue("");
        let (before, after) = (token::hash(token), token::hash(&fresh));
        self.on_store(move |store| store.renew_login(&before, &after)).await?;
        Ok(fresh)
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
        Ok(self.create_login(member, Way::Link, self.shared.clock.now(), place).await?)
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

    async fn create_login(&self, member: Member, way: Way, proved_at: Millis, place: &str) -> StoreResult<SignedIn> {
        let (token, now) = (token::issue(""), self.shared.clock.now());
        let by = By { at: now, member: member.name.clone(), place: place.to_owned() };
        let new = NewLogin { token_hash: token::hash(&token), member: member.id, way, proved_at, by };
        self.on_store(move |store| store.create_login(&new)).await?;
        Ok(SignedIn { token, member })
    }

    /// Hashes a password with today's parameters. If the box is too busy the next sign-in does it.
    async fn strengthen(&self, member: Member, password: &str) -> StoreResult<Member> {
        let Ok(after) = self.shared.hasher.hash(password).await else { return Ok(member) };
        let (id, before, phc) = (member.id, member.password_hash.clone(), after.clone());
        self.on_store(move |store| store.rehash(id, &before, &phc)).await?;
        Ok(Member { password_hash: after, ..member })
    }

    async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let store = self.shared.store.clone();
        let done = trail::blocking_within(Stage::Store, move || work(store.as_ref())).await;
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
