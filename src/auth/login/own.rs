//! What members do with their own account: passwords, authenticator apps, browsers, and proving anew who they are.

use std::net::IpAddr;

use super::{BUSY_RETRY, Caller, Logins, SignInError, SignedIn};
use crate::auth::oidc::{Oidc, Person};
use crate::auth::password::{self, PasswordProblem, TooBusy, Verdict};
use crate::auth::totp::Secret;
use crate::auth::{recovery, token};
use crate::model::{
    Admission, By, Confirmed, Ending, Identity, Login, Member, MemberId, Millis, TwoFactor, Vouched, Way,
};
use crate::store::{Result as StoreResult, StoreError};

/// How long a proof is good for dangerous acts.
const PROOF: i64 = 10 * Millis::MINUTE;

/// A signed-in member, about their own account.
#[derive(Clone, Debug)]
pub struct Own<'a> {
    /// Who.
    pub member: &'a Member,
    /// The cookie's token.
    pub token: &'a str,
    /// Who, when and from where, for the account.
    pub by: By,
    /// For limits only.
    pub address: IpAddr,
}

/// What proves that a member still is who signed in.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// Their password; not enough where codes are asked for.
    Password(&'a str),
    /// A code of their authenticator app, or a recovery code.
    Code(&'a str),
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The new one is not good enough.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// The present one is wrong, or there were too many attempts.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

/// Why somebody for whom a provider vouches is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// None of their groups has a role here.
    #[error("none of the groups has a role here")]
    NoRole,
    /// They may not sign in.
    #[error("the member is disabled")]
    Disabled,
    /// Another member signs in with the name that they would get.
    #[error("another member has that name")]
    Taken,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl Logins {
    /// Whether a proof of that time still counts.
    pub fn is_proved(&self, proved_at: Millis) -> bool {
        (0..PROOF).contains(&self.shared.clock.now().since(proved_at))
    }

    /// Notes a proof, if it is one. Wrong ones make the account wait, counted apart from sign-ins: so strangers cannot
    /// keep a member who is signed in from it.
    pub async fn prove(&self, own: &Own<'_>, proof: Proof<'_>) -> Result<(), SignInError> {
        let coded = self.two_factor(own.member.id).await?.is_some_and(|two| two.confirmed_at.is_some());
        let checked = async {
            match proof {
                Proof::Code(code) => Ok(self.code_fits(own.member.id, code, &own.by).await?.map(|_| ())),
                Proof::Password(password) if !coded => self.password_fits(own.member, password).await,
                Proof::Password(_) => Ok(None),
            }
        };
        self.limited(account(own.member.id), own.address, checked).await?;
        self.proved(own).await?;
        Ok(())
    }

    /// Notes a proof that somebody else has checked.
    pub async fn proved(&self, own: &Own<'_>) -> StoreResult<()> {
        let (hash, by) = (token::hash(own.token), own.by.clone());
        self.on_store(move |store| store.prove_login(&hash, &by)).await
    }

    /// Replaces a password; all other browsers are signed out.
    pub async fn change_password(&self, own: &Own<'_>, current: &str, new: &str) -> Result<(), ChangeError> {
        password::check(new, &own.member.name)?;
        self.limited(account(own.member.id), own.address, self.password_fits(own.member, current)).await?;
        let hashed = self.shared.hasher.hash(new).await;
        let hashed = hashed.map_err(|TooBusy| SignInError::TooMany { retry_after: BUSY_RETRY })?;
        let (id, keep, by) = (own.member.id, token::hash(own.token), own.by.clone());
        let changed = self.on_store(move |store| store.set_password(id, &hashed, Some(&keep), &by)).await;
        Ok(changed.map_err(SignInError::from)?)
    }

    async fn password_fits(&self, member: &Member, password: &str) -> Result<Option<()>, SignInError> {
        let password: String = password.chars().take(password::LONGEST).collect();
        let verdict = self.shared.hasher.verify(&password, Some(member.password_hash.clone())).await;
        match verdict.map_err(|TooBusy| SignInError::TooMany { retry_after: BUSY_RETRY })? {
            Verdict::Right | Verdict::RightButWeak => Ok(Some(())),
            Verdict::Wrong => Ok(None),
        }
    }

    /// The browsers in which a member is signed in, the newest first.
    pub async fn browsers(&self, member: MemberId) -> StoreResult<Vec<Login>> {
        let all = self.on_store(move |store| store.logins(member)).await?;
        Ok(all.into_iter().filter(|login| self.is_live(login)).collect())
    }

    /// Signs some of them out; how many.
    pub async fn end(&self, own: &Own<'_>, which: Ending) -> StoreResult<u64> {
        let (id, by) = (own.member.id, own.by.clone());
        self.on_store(move |store| store.end_logins(id, &which, &by)).await
    }

    /// What is known of a member's authenticator app.
    pub async fn two_factor(&self, member: MemberId) -> StoreResult<Option<TwoFactor>> {
        self.on_store(move |store| store.two_factor(member)).await
    }

    /// Makes a secret that counts once a code has confirmed it. [`StoreError::Exists`] where one counts already.
    pub async fn begin_two_factor(&self, member: MemberId) -> StoreResult<()> {
        let sealed = self.sealed(member, &Secret::generate());
        self.on_store(move |store| store.begin_two_factor(member, &sealed)).await
    }

    /// The secret that is being set up.
    pub async fn unconfirmed_secret(&self, member: MemberId) -> StoreResult<Option<Secret>> {
        let two_factor = self.two_factor(member).await?.filter(|two| two.confirmed_at.is_none());
        Ok(two_factor.and_then(|two| self.unsealed(member, &two.sealed_secret)))
    }

    /// Lets the secret count if the code is one of it: then codes are asked for at each sign-in, and all other browsers
    /// are signed out. The recovery codes, to be shown once.
    pub async fn confirm_two_factor(&self, own: &Own<'_>, code: &str) -> Result<Vec<String>, SignInError> {
        let (id, now) = (own.member.id, self.shared.clock.now());
        let matching = async {
            let secret = self.unconfirmed_secret(id).await?;
            Ok::<_, StoreError>(secret.and_then(|secret| secret.matches(code, now, 0)))
        };
        let step = self.limited(account(id), own.address, matching).await?;
        let codes = recovery::generate();
        let recovery_codes = hashes(&codes);
        let confirmed = Confirmed { member: id, step, recovery_codes, keep: token::hash(own.token) };
        let by = own.by.clone();
        self.on_store(move |store| store.confirm_two_factor(&confirmed, &by)).await?;
        Ok(codes)
    }

    /// Fresh recovery codes, to be shown once; all earlier ones are good for nothing.
    pub async fn renew_recovery_codes(&self, own: &Own<'_>) -> StoreResult<Vec<String>> {
        let codes = recovery::generate();
        let (id, hashes, by) = (own.member.id, hashes(&codes), own.by.clone());
        self.on_store(move |store| store.renew_recovery_codes(id, &hashes, &by)).await?;
        Ok(codes)
    }

    /// Codes are asked for no more.
    pub async fn drop_two_factor(&self, own: &Own<'_>) -> StoreResult<bool> {
        let (id, by) = (own.member.id, own.by.clone());
        self.on_store(move |store| store.drop_two_factor(id, &by)).await
    }

    /// Who a member is at a provider.
    pub async fn identity(&self, member: MemberId) -> StoreResult<Option<Identity>> {
        self.on_store(move |store| store.identity(member)).await
    }

    /// Signs in whom a provider vouches for. They are known by issuer and subject alone: the first sign-in makes the
    /// member, and at each one the roles follow the groups.
    pub async fn admit(&self, oidc: &Oidc, person: Person, from: &Caller<'_>) -> Result<SignedIn, AdmitError> {
        let mut ruled: Vec<_> = oidc.groups().iter().map(|rule| rule.organization.clone()).collect();
        ruled.sort_unstable();
        ruled.dedup();
        let by = self.by(&person.name, from);
        let signed_in_at = person.signed_in_at;
        let identity = Identity { issuer: person.issuer, subject: person.subject };
        let vouched = Vouched { identity, name: person.name, roles: person.roles, ruled };
        let admission = self.on_store(move |store| store.admit(&vouched, &by)).await;
        let member = match admission {
            Ok(Admission::In(member)) => member,
            Ok(Admission::NoRole) => return Err(AdmitError::NoRole),
            Ok(Admission::Disabled) => return Err(AdmitError::Disabled),
            Err(StoreError::Exists(_)) => return Err(AdmitError::Taken),
            Err(error) => return Err(AdmitError::Store(error)),
        };
        // A sign-in that the provider only remembers proves nothing of now.
        let proved_at = signed_in_at.map_or(Millis(0), |at| at.min(self.shared.clock.now()));
        self.create_login(member, Way::Provider, proved_at, from.place).await.map_err(AdmitError::Store)
    }

    /// Signs in the member whom a trusted proxy names; `None` where there is none who may.
    pub async fn sign_in_named(&self, name: &str, from: &Caller<'_>) -> StoreResult<Option<SignedIn>> {
        let wanted = name.to_owned();
        let found = self.on_store(move |store| store.find_member(&wanted)).await?;
        match found.filter(|member| member.disabled_at.is_none()) {
            Some(member) => self.create_login(member, Way::Proxy, Millis(0), from.place).await.map(Some),
            None => {
                self.note_failure(name, "named by the proxy, and no member who may sign in", from).await;
                Ok(None)
            }
        }
    }
}

/// Under which wrong proofs of a member are counted.
fn account(member: MemberId) -> [u8; 32] {
    token::hash(&format!("\0proof of {}", member.0))
}

fn hashes(codes: &[String]) -> Vec<[u8; 32]> {
    codes.iter().filter_map(|code| recovery::hash(code)).collect()
}
