//! Ways in for others: invitations made, and accepted by somebody new.

use super::{BUSY_RETRY, Logins, SetupError, SignedIn, check_name, password, token};
use crate::auth::password::TooBusy;
use crate::model::{Accepting, By, Invitation, Millis, NewInvitation, Organization, OrganizationId, Role, Way};
use crate::store::Result as StoreResult;

/// How long an invitation works.
const LIFE: i64 = 7 * Millis::DAY;

impl Logins {
    /// Opens a way into an organization for a week; the token for its link, which is stored as a hash only.
    pub async fn invite(
        &self,
        organization: OrganizationId,
        role: Role,
        note: &str,
        by: &By,
    ) -> StoreResult<(String, Millis)> {
        let (token, expires_at) = (token::issue(""), by.at.plus(LIFE));
        let token_hash = token::hash(&token);
        let new = NewInvitation { token_hash, organization, role, note: note.to_owned(), expires_at };
        let by = by.clone();
        self.on_store(move |store| store.invite(&new, &by)).await?;
        Ok((token, expires_at))
    }

    /// The invitation of a token, where it still works, and into what it leads.
    pub async fn invitation(&self, token: &str) -> StoreResult<Option<(Invitation, Organization)>> {
        let (hash, now) = (token::hash(token), self.shared.clock.now());
        self.on_store(move |store| store.find_invitation(&hash, now)).await
    }

    /// Makes a member by an invitation, which is spent by it, and signs them in.
    pub async fn accept(
        &self,
        token: &str,
        (name, password): (&str, &str),
        place: &str,
    ) -> Result<SignedIn, SetupError> {
        let name = check_name(name).ok_or(SetupError::Name)?;
        // Before anything that costs: whoever does not hold the token learns nothing here.
        if self.invitation(token).await?.is_none() {
            return Err(SetupError::Spent);
        }
        password::check(password, &name)?;
        let hashed = self.shared.hasher.hash(password).await;
        let password_hash = hashed.map_err(|TooBusy| SetupError::TooBusy { retry_after: BUSY_RETRY })?;
        let by = By { at: self.shared.clock.now(), member: name.clone(), place: place.to_owned() };
        let (hash, who) = (token::hash(token), Accepting::New(name, password_hash));
        let member = self.on_store(move |store| store.accept_invitation(&hash, &who, &by)).await?;
        Ok(self.create_login(member, Way::Link, self.shared.clock.now(), place).await?)
    }
}
