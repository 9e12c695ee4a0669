//! The second step of signing in: a code of the member's authenticator app, or a recovery code.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Caller, Logins, SignInError, SignedIn};
use crate::auth::seal::{self, MasterKey};
use crate::auth::totp::Secret;
use crate::auth::{recovery, token};
use crate::model::{By, Member, MemberId, Millis, SealedOf, Way};
use crate::store::Result as StoreResult;

/// How long after the password the code may come.
const LIFE: i64 = 5 * Millis::MINUTE;
const LABEL: &[u8] = b"tallybox second step v1";

/// Why the second step failed.
#[derive(Debug, thiserror::Error)]
pub enum SecondStepError {
    /// The first step was not taken in this browser, or too long ago, or the password has changed since.
    #[error("the password has to be given anew")]
    Stale,
    /// As for the first step.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

/// A member whose password was right: nobody is signed in yet.
struct Pending {
    member: MemberId,
    /// Of the hash of the password that was right.
    mark: [u8; 32],
    begun: Millis,
}

impl Pending {
    fn seal(&self, key: &MasterKey) -> String {
        let bytes = [&self.member.0.to_be_bytes()[..], &self.begun.0.to_be_bytes(), &self.mark].concat();
        URL_SAFE_NO_PAD.encode(key.seal(&bytes, LABEL))
    }

    fn open(sealed: &str, key: &MasterKey, now: Millis) -> Option<Self> {
        let bytes = key.unseal(&URL_SAFE_NO_PAD.decode(sealed).ok()?, LABEL)?;
        let (member, rest) = bytes.split_first_chunk()?;
        let (begun, mark) = rest.split_first_chunk()?;
        let begun = Millis(i64::from_be_bytes(*begun));
        let pending = Self { member: MemberId(i64::from_be_bytes(*member)), mark: mark.try_into().ok()?, begun };
        (0..LIFE).contains(&now.since(begun)).then_some(pending)
    }
}

impl Logins {
    /// What the browser of a member keeps between the two steps; good for five minutes, and for nothing else.
    pub(super) fn first_step_done(&self, member: &Member) -> String {
        let (mark, begun) = (token::hash(&member.password_hash), self.shared.clock.now());
        Pending { member: member.id, mark, begun }.seal(&self.shared.key)
    }

    /// Whether a second step can be taken with this.
    pub fn awaits_code(&self, sealed: &str) -> bool {
        Pending::open(sealed, &self.shared.key, self.shared.clock.now()).is_some()
    }

    /// Signs in whoever knows a code, after the right password in the same browser. Each code is good once. Wrong ones
    /// make the account wait as wrong passwords do, and are counted apart from them.
    pub async fn second_step(&self, sealed: &str, code: &str, from: &Caller<'_>) -> Result<SignedIn, SecondStepError> {
        let pending = Pending::open(sealed, &self.shared.key, self.shared.clock.now()).ok_or(SecondStepError::Stale)?;
        let (id, by) = (pending.member, self.by("", from));
        let found = self.on_store(move |store| store.member(id)).await.map_err(SignInError::from)?;
        let member = found.filter(|member| member.disabled_at.is_none() && self.is_of(&pending, member));
        let member = member.ok_or(SecondStepError::Stale)?;
        let by = By { member: member.name.clone(), ..by };
        let way = match self.limited(account(id), from.address, self.code_fits(id, code, &by)).await {
            Err(SignInError::Wrong) => {
                self.note_failure(&member.name, "wrong code", from).await;
                return Err(SignInError::Wrong.into());
            }
            checked => checked?,
        };
        Ok(self.enter(member, way, self.shared.clock.now(), from).await?)
    }

    fn is_of(&self, pending: &Pending, member: &Member) -> bool {
        token::hash(&member.password_hash) == pending.mark
    }

    /// By which kind of code a member is proved, if by any. The code is used up.
    pub(super) async fn code_fits(&self, member: MemberId, code: &str, by: &By) -> StoreResult<Option<Way>> {
        let Some(two_factor) = self.two_factor(member).await?.filter(|own| own.confirmed_at.is_some()) else {
            return Ok(None);
        };
        if let Some(hash) = recovery::hash(code) {
            let by = by.clone();
            let spent = self.on_store(move |store| store.spend_recovery_code(member, &hash, &by)).await?;
            return Ok(spent.then_some(Way::RecoveryCode));
        }
        let secret = self.unsealed(member, &two_factor.sealed_secret);
        let matching = secret.and_then(|own| own.matches(code, self.shared.clock.now(), two_factor.last_step));
        let Some(step) = matching else { return Ok(None) };
        let spent = self.on_store(move |store| store.spend_step(member, step)).await?;
        Ok(spent.then_some(Way::Code))
    }

    /// The secret of a member's authenticator app; `None` where it was sealed under another master key.
    pub(super) fn unsealed(&self, member: MemberId, sealed: &[u8]) -> Option<Secret> {
        let secret = self.shared.key.unseal(sealed, &bound_to(member)).as_deref().and_then(Secret::from_bytes);
        if secret.is_none() {
            tracing::error!(
                member = member.0,
                "a two-factor secret cannot be read: it was sealed under another master key"
            );
        }
        secret
    }

    pub(super) fn sealed(&self, member: MemberId, secret: &Secret) -> Vec<u8> {
        self.shared.key.seal(secret.bytes(), &bound_to(member))
    }
}

/// Under which wrong codes of a member are counted.
fn account(member: MemberId) -> [u8; 32] {
    token::hash(&format!("\0code of {}", member.0))
}

fn bound_to(member: MemberId) -> Vec<u8> {
    seal::bound_to(SealedOf::TwoFactor(member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_step_is_good_for_five_minutes_and_for_one_box() {
        let (key, now) = (MasterKey::generate(), Millis(1_800_000_000_000));
        let sealed = Pending { member: MemberId(7), mark: [3; 32], begun: now }.seal(&key);
        let opened = Pending::open(&sealed, &key, now.plus(LIFE - 1)).unwrap();
        assert_eq!((opened.member, opened.mark), (MemberId(7), [3; 32]));
        assert!(Pending::open(&sealed, &key, now.plus(LIFE)).is_none());
        assert!(Pending::open(&sealed, &key, now.plus(-1)).is_none());
        assert!(Pending::open(&sealed, &MasterKey::generate(), now).is_none());
        for broken in ["", "x", &sealed[1..], "ä"] {
            assert!(Pending::open(broken, &key, now).is_none());
        }
    }
}
