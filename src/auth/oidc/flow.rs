//! What a browser keeps while it is at the provider: sealed, bound to the address, and good for ten minutes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Errand;
use crate::auth::seal::MasterKey;
use crate::auth::token;
use crate::model::Millis;

/// How long somebody may be away.
const LIFE: i64 = 10 * Millis::MINUTE;
const LABEL: &[u8] = b"tallybox sign-in at a provider v1";

/// One way to the provider and back.
pub(super) struct Journey {
    pub(super) errand: Errand,
    /// Proves that the answer belongs to this browser.
    pub(super) state: String,
    /// Proves that the ID token belongs to this journey.
    pub(super) nonce: String,
    /// Proves that whoever redeems the code has asked for it (RFC 7636).
    pub(super) verifier: String,
    /// Where the provider sends the browser.
    pub(super) redirect: String,
    /// Where the browser goes on to.
    pub(super) next: String,
    /// When it began.
    pub(super) begun: i64,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    proves: bool,
    state: String,
    nonce: String,
    verifier: String,
    redirect: String,
    next: String,
    begun: i64,
}

impl Journey {
    /// With fresh values of 256 random bits each.
    pub(super) fn begin(errand: Errand, redirect: &str, next: &str, now: Millis) -> Self {
        let fresh = || URL_SAFE_NO_PAD.encode(token::random::<32>());
        let (redirect, next) = (redirect.to_owned(), next.to_owned());
        Self { errand, state: fresh(), nonce: fresh(), verifier: fresh(), redirect, next, begun: now.0 }
    }

    /// What the provider is shown of the verifier.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// For a cookie.
    pub(super) fn seal(&self, key: &MasterKey) -> String {
        let wire = Wire {
            proves: self.errand == Errand::Prove,
            state: self.state.clone(),
            nonce: self.nonce.clone(),
            verifier: self.verifier.clone(),
            redirect: self.redirect.clone(),
            next: self.next.clone(),
            begun: self.begun,
        };
        let text = serde_json::to_vec(&wire).expect("texts and numbers always serialize");
        URL_SAFE_NO_PAD.encode(key.seal(&text, LABEL))
    }

    /// What [`Journey::seal`] gave, where it is of this state and young enough.
    pub(super) fn open(sealed: &str, state: &str, key: &MasterKey, now: Millis) -> Option<Self> {
        let opened = key.unseal(&URL_SAFE_NO_PAD.decode(sealed).ok()?, LABEL)?;
        let Wire { proves, state: own, nonce, verifier, redirect, next, begun } =
            serde_json::from_slice(&opened).ok()?;
        let errand = if proves { Errand::Prove } else { Errand::SignIn };
        let same = bool::from(own.as_bytes().ct_eq(state.as_bytes()));
        let young = (0..LIFE).contains(&now.since(Millis(begun)));
        (same && young).then_some(Self { errand, state: own, nonce, verifier, redirect, next, begun })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journey_is_known_by_its_state_key_and_time() {
        let (key, now) = (MasterKey::generate(), Millis(1_800_000_000_000));
        let journey = Journey::begin(Errand::Prove, "https://box.example/login/oidc/back", "/apps", now);
        let sealed = journey.seal(&key);
        let open = |state: &str, key: &MasterKey, at| Journey::open(&sealed, state, key, at);
        let back = open(&journey.state, &key, now.plus(LIFE - 1)).unwrap();
        assert_eq!((back.errand, back.verifier, back.next), (Errand::Prove, journey.verifier, "/apps".to_owned()));
        assert!(open("another", &key, now).is_none() && open("", &key, now).is_none());
        assert!(open(&journey.state, &MasterKey::generate(), now).is_none());
        assert!(open(&journey.state, &key, now.plus(LIFE)).is_none());
        assert!(open(&journey.state, &key, now.plus(-1)).is_none());
        for broken in ["", "x", &sealed[1..], &sealed[..sealed.len() - 2]] {
            assert!(Journey::open(broken, &journey.state, &key, now).is_none());
        }
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let mut journey = Journey::begin(Errand::SignIn, "", "", Millis(0));
        journey.verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        assert_eq!(journey.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "appendix B");
    }
}
