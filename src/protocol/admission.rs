//! What every adapter does at an app's door, and how the answer tells of it.

use axum::http::HeaderMap;
use axum::response::Response;

use super::Gate;
use crate::http::body::BodyError;
use crate::http::told::{self, PageVerdict};
use crate::ingest::{Credential, Knock};
use crate::model::{App, IngestKeyId, Origin, Refusal, Rules, Standing};

/// Seconds after which a client is asked to try again where there was no room for its body.
const BUSY_RETRY: u32 = 2;

/// What an answer tells beside its body, whatever becomes of the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// How the narrowest allowance stands.
    pub standing: Option<Standing>,
    /// What the app says to the page that sends.
    pub page: Option<PageVerdict>,
}

impl Seen {
    /// Puts it into the answer; of a refused request, how that for want of which it is refused stands.
    pub fn dress(self, response: &mut Response, refusal: Option<&Refusal>) {
        if let Some(standing) = refusal.and_then(told::refused_for).or(self.standing) {
            told::standing(response, standing);
        }
        if let Some(page) = self.page {
            response.extensions_mut().insert(page);
        }
    }
}

/// An app at whose door a request stands, and with what.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The app.
    pub app: &'a App,
    /// What it lets in.
    pub rules: &'a Rules,
    /// The key that was shown.
    pub key: Option<IngestKeyId>,
    /// Who can have sent it.
    pub credential: Credential,
}

impl Caller<'_> {
    /// Past the door and the day's quota.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::OverLimit`] or [`Refusal::StorageDown`].
    pub async fn enter(
        self,
        gate: &Gate,
        origin: &Origin,
        headers: &HeaderMap,
        seen: &mut Seen,
    ) -> Result<(), Refusal> {
        let Self { app, rules, key, credential } = self;
        seen.page = PageVerdict::of(rules, headers);
        let door = gate.intake.door();
        let knock = Knock { credential, key, address: origin.address, origin: told::origin(headers) };
        seen.standing = door.admit(app.id, rules, knock)?;
        let day = door.afford(app.id, rules).await?;
        seen.standing = seen.standing.or(day);
        Ok(())
    }
}

/// Why a body could not be had, as a refusal.
pub fn unreadable(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLarge { limit } => Refusal::TooLarge(format!("a body has at most {limit} bytes")),
        BodyError::Timeout => Refusal::Timeout,
        BodyError::Broken => Refusal::Malformed("the body broke off".to_owned()),
        BodyError::UnsupportedEncoding => Refusal::UnsupportedEncoding,
        BodyError::BadEncoding => Refusal::Malformed("the body is not compressed as it says".to_owned()),
        BodyError::Busy => Refusal::Busy(BUSY_RETRY),
    }
}
