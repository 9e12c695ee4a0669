//! The part of the storage contract that is about signing in, and how every database keeps it.

use super::backend::Backend;
use super::{Result, StoreError, members, sign_in};
use crate::model::{
    Admission, By, Confirmed, Ending, Identity, Login, Member, MemberId, Millis, NewLogin, TwoFactor, Vouched,
};

/// What proves that a member is one. Like all of the store, its methods block.
pub trait SignIns {
    /// The member of that row.
    fn member(&self, id: MemberId) -> Result<Option<Member>>;

    /// Replaces a password and ends all logins of its member except `keep`.
    fn set_password(&self, member: MemberId, password_hash: &str, keep: Option<&[u8; 32]>, by: &By) -> Result<()>;

    /// Puts a stronger hash of the same password in the place of `before`; does nothing where that is not its hash any
    /// more.
    fn rehash(&self, member: MemberId, before: &str, after: &str) -> Result<()>;

    /// Stores a signed-in browser. A member has at most 100: the one that was seen longest ago makes room.
    fn create_login(&self, new: &NewLogin) -> Result<()>;

    /// The login of that hash, and notes `now` as its last sight. Judging its age is the caller's. None is found of a
    /// member who is shut out.
    fn find_login(&self, token_hash: &[u8; 32], now: Millis) -> Result<Option<Login>>;

    /// Lets a login go on under the hash of another token. [`StoreError::NotFound`] where it has ended.
    fn renew_login(&self, before: &[u8; 32], after: &[u8; 32]) -> Result<()>;

    /// Notes that the member of a login has proved who they are.
    fn prove_login(&self, token_hash: &[u8; 32], by: &By) -> Result<()>;

    /// Ends a login; an unknown one is no error.
    fn delete_login(&self, token_hash: &[u8; 32]) -> Result<()>;

    /// The logins of a member, the newest first, whatever their age.
    fn logins(&self, member: MemberId) -> Result<Vec<Login>>;

    /// Ends logins of a member; how many.
    fn end_logins(&self, member: MemberId, which: &Ending, by: &By) -> Result<u64>;

    /// A member's authenticator app, confirmed or being set up.
    fn two_factor(&self, member: MemberId) -> Result<Option<TwoFactor>>;

    /// Keeps a secret that does not count yet. [`StoreError::Exists`] where one counts.
    fn begin_two_factor(&self, member: MemberId, sealed: &[u8]) -> Result<()>;

    /// Lets it count, and ends all other logins. [`StoreError::NotFound`] where there is none that does not count yet.
    fn confirm_two_factor(&self, confirmed: &Confirmed, by: &By) -> Result<()>;

    /// Uses up the codes of a step and before. However many try the same at once, one is told true.
    fn spend_step(&self, member: MemberId, step: i64) -> Result<bool>;

    /// Uses up a recovery code. However many try the same at once, one is told true.
    fn spend_recovery_code(&self, member: MemberId, hash: &[u8; 32], by: &By) -> Result<bool>;

    /// Puts fresh recovery codes in the place of all earlier ones. [`StoreError::NotFound`] where nothing asks for any.
    fn renew_recovery_codes(&self, member: MemberId, hashes: &[[u8; 32]], by: &By) -> Result<()>;

    /// Forgets a member's authenticator app and recovery codes: whether codes were asked for.
    fn drop_two_factor(&self, member: MemberId, by: &By) -> Result<bool>;

    /// Who a member is at a provider.
    fn identity(&self, member: MemberId) -> Result<Option<Identity>>;

    /// Lets in somebody for whom a provider vouches, who is known by issuer and subject alone. The first time makes the
    /// member, [`StoreError::Exists`] where another has the name. Roles follow `vouched`, but an organization's last
    /// owner stays one.
    fn admit(&self, vouched: &Vouched, by: &By) -> Result<Admission>;
}

impl<B: Backend> SignIns for B {
    fn member(&self, id: MemberId) -> Result<Option<Member>> {
        match self.look(|db| members::get(db, id)) {
            Err(StoreError::NotFound(_)) => Ok(None),
            found => found.map(Some),
        }
    }

    fn set_password(&self, member: MemberId, password_hash: &str, keep: Option<&[u8; 32]>, by: &By) -> Result<()> {
        self.change(|db| sign_in::set_password(db, (member, password_hash), keep, by))
    }

    fn rehash(&self, member: MemberId, before: &str, after: &str) -> Result<()> {
        self.change(|db| sign_in::rehash(db, member, before, after))
    }

    fn create_login(&self, new: &NewLogin) -> Result<()> {
        self.change(|db| sign_in::create_login(db, new))
    }

    fn find_login(&self, token_hash: &[u8; 32], now: Millis) -> Result<Option<Login>> {
        let found = self.look(|db| members::find_login(db, token_hash))?;
        let stale = found.as_ref().is_some_and(|login| now.since(login.seen_at) >= Millis::MINUTE);
        // Being unable to note the visit, on a full disk say, must not lock the owner out.
        if stale && let Err(error) = self.change(|db| members::see_login(db, token_hash, now)) {
            tracing::warn!(%error, "a login's last visit could not be noted");
        }
        Ok(found)
    }

    fn renew_login(&self, before: &[u8; 32], after: &[u8; 32]) -> Result<()> {
        self.change(|db| sign_in::renew_login(db, before, after))
    }

    fn prove_login(&self, token_hash: &[u8; 32], by: &By) -> Result<()> {
        self.change(|db| sign_in::prove(db, token_hash, by))
    }

    fn delete_login(&self, token_hash: &[u8; 32]) -> Result<()> {
        self.change(|db| members::delete_login(db, token_hash))
    }

    fn logins(&self, member: MemberId) -> Result<Vec<Login>> {
        self.look(|db| sign_in::logins(db, member))
    }

    fn end_logins(&self, member: MemberId, which: &Ending, by: &By) -> Result<u64> {
        self.change(|db| sign_in::end_logins(db, member, which, by))
    }

    fn two_factor(&self, member: MemberId) -> Result<Option<TwoFactor>> {
        self.look(|db| sign_in::two_factor(db, member))
    }

    fn begin_two_factor(&self, member: MemberId, sealed: &[u8]) -> Result<()> {
        self.change(|db| sign_in::begin_two_factor(db, member, sealed))
    }

    fn confirm_two_factor(&self, confirmed: &Confirmed, by: &By) -> Result<()> {
        self.change(|db| sign_in::confirm_two_factor(db, confirmed, by))
    }

    fn spend_step(&self, member: MemberId, step: i64) -> Result<bool> {
        self.change(|db| sign_in::spend_step(db, member, step))
    }

    fn spend_recovery_code(&self, member: MemberId, hash: &[u8; 32], by: &By) -> Result<bool> {
        self.change(|db| sign_in::spend_recovery_code(db, member, hash, by))
    }

    fn renew_recovery_codes(&self, member: MemberId, hashes: &[[u8; 32]], by: &By) -> Result<()> {
        self.change(|db| sign_in::renew_recovery_codes(db, member, hashes, by))
    }

    fn drop_two_factor(&self, member: MemberId, by: &By) -> Result<bool> {
        self.change(|db| sign_in::drop_two_factor(db, member, by))
    }

    fn identity(&self, member: MemberId) -> Result<Option<Identity>> {
        self.look(|db| sign_in::identity(db, member))
    }

    fn admit(&self, vouched: &Vouched, by: &By) -> Result<Admission> {
        self.change(|db| sign_in::admit(db, vouched, by))
    }
}
