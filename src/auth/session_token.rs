//! Tokens of device sessions: an app's own backend learns from one, with the secret that it shares with us, who calls.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation, crypto, decode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{secret_file, token};
use crate::model::Millis;

/// Shortest secret in characters: 128 random bits in base64.
const SHORTEST: usize = 22;

/// `{"alg":"HS256","typ":"JWT"}`, with its members in the order of `teardown`, section 7.3, which the library's own
/// header does not have.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// What a token says (`teardown`, section 7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClaims {
    /// Public id of the session.
    pub session: Uuid,
    /// Public id of the device.
    pub device: Uuid,
    /// Public id of its user.
    pub user: Uuid,
    /// Public id of the app.
    pub app: Uuid,
    /// Public id of the app's owner.
    pub organization: Uuid,
    /// Short name of the environment.
    pub environment: String,
    /// When it was issued, in seconds since 1970.
    pub issued_at: i64,
    /// When it expires, in seconds since 1970.
    pub expires_at: i64,
}

/// The secrets under which tokens are signed and verified; clones share them, and `Debug` hides them. A secret is
/// rotated with nothing refused: added at the end everywhere, moved to the front everywhere, and the old one dropped
/// once its last tokens have expired.
#[derive(Clone)]
pub struct SessionTokens(Arc<[Secret]>);

struct Secret {
    signs: EncodingKey,
    verifies: DecodingKey,
}

impl fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTokens(..)")
    }
}

impl SessionTokens {
    /// The first secret signs, all verify; `None` without any. The keys are the bytes of the texts as they stand.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let secret = |text: &str| Secret {
            signs: EncodingKey::from_secret(text.as_bytes()),
            verifies: DecodingKey::from_secret(text.as_bytes()),
        };
        let secrets: Arc<[Secret]> = secrets.into_iter().map(secret).collect();
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    /// The secrets in a file, divided by white space; one is made with mode 0600 where the file is not there.
    ///
    /// # Errors
    /// Those of the file system, and [`ErrorKind::InvalidData`] where there is none in it or one is too short.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        let text = secret_file::read_or_make(path, || Zeroizing::new(STANDARD.encode(token::random::<32>())))?;
        let long_enough = text.split_whitespace().all(|secret| secret.len() >= SHORTEST);
        Self::new(text.split_whitespace()).filter(|_| long_enough).ok_or_else(|| {
            let problem = format!("{} does not hold secrets of at least {SHORTEST} characters", path.display());
            io::Error::new(ErrorKind::InvalidData, problem)
        })
    }

    /// A token in compact form, HS256. The same claims give the same token as long as the first secret stays.
    pub fn sign(&self, claims: &SessionClaims) -> String {
        let body = serde_json::to_vec(&Wire::from(claims)).expect("ids, a text and numbers always serialize");
        let signed = [HEADER, ".", &URL_SAFE_NO_PAD.encode(body)].concat();
        let first = self.0.first().expect("the constructor takes at least one secret");
        let signature = crypto::sign(signed.as_bytes(), &first.signs, Algorithm::HS256)
            .expect("HMAC takes a key and a message of any length");
        [&signed, ".", &signature].concat()
    }

    /// What a token says, if one of the secrets signed it and it has not expired at `now`.
    pub fn verify(&self, token: &str, now: Millis) -> Option<SessionClaims> {
        let mut rules = Validation::new(Algorithm::HS256);
        // The library would look at the machine's clock.
        rules.validate_exp = false;
        let read = |secret: &Secret| decode::<Wire>(token, &secret.verifies, &rules).ok();
        let claims = SessionClaims::from(self.0.iter().find_map(read)?.claims);
        (now.seconds() < claims.expires_at).then_some(claims)
    }
}

/// In the order in which the members are written.
#[derive(Serialize, Deserialize)]
struct Wire {
    session_id: Uuid,
    device_id: Uuid,
    user_id: Uuid,
    project_id: Uuid,
    org_id: Uuid,
    environment: String,
    iat: i64,
    exp: i64,
}

impl From<&SessionClaims> for Wire {
    fn from(claims: &SessionClaims) -> Self {
        Self {
            session_id: claims.session,
            device_id: claims.device,
            user_id: claims.user,
            project_id: claims.app,
            org_id: claims.organization,
            environment: claims.environment.clone(),
            iat: claims.issued_at,
            exp: claims.expires_at,
        }
    }
}

impl From<Wire> for SessionClaims {
    fn from(wire: Wire) -> Self {
        Self {
            session: wire.session_id,
            device: wire.device_id,
            user: wire.user_id,
            app: wire.project_id,
            organization: wire.org_id,
            environment: wire.environment,
            issued_at: wire.iat,
            expires_at: wire.exp,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SECRET: &str = "vGm0nq0Jb1mJr3yqv8sT7wXo2cLk5uZpE9aHfD4iNxY=";

    /// The check value of `teardown`, section 7.3.
    const CHECK: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzZXNzaW9uX2lkIjoiNmYxZDBiNTItNmMwYS00ZDBlLTlhNTEtMGYy\
        ZjdmMGY5YTAxIiwiZGV2aWNlX2lkIjoiMGY5ZDZjMWUtN2IwZS00YzBiLThmMGEtMmI3ZjVmMmY0YzAyIiwidXNlcl9pZCI6ImI3YjNmMGE0LTU\
        xYjAtNGMzOS04ZDdlLTZhNGMxZjlkM2UwMyIsInByb2plY3RfaWQiOiJiNGIxYzBkZS0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwYjEiLCJvcm\
        dfaWQiOiJhMGExYzBkZS0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwYTEiLCJlbnZpcm9ubWVudCI6InByb2R1Y3Rpb24iLCJpYXQiOjE3NjcyM\
        jU2MDAsImV4cCI6MTc2NzIyNjUwMH0.kxA7Jl6igYLepFU0oq4q_QbdVvYlcOrDW6coXurNy5w";

    fn id(text: &str) -> Uuid {
        Uuid::parse_str(text).unwrap()
    }

    fn claims() -> SessionClaims {
        SessionClaims {
            session: id("6f1d0b52-6c0a-4d0e-9a51-0f2f7f0f9a01"),
            device: id("0f9d6c1e-7b0e-4c0b-8f0a-2b7f5f2f4c02"),
            user: id("b7b3f0a4-51b0-4c39-8d7e-6a4c1f9d3e03"),
            app: id("b4b1c0de-0000-4000-8000-0000000000b1"),
            organization: id("a0a1c0de-0000-4000-8000-0000000000a1"),
            environment: "production".to_owned(),
            issued_at: 1_767_225_600,
            expires_at: 1_767_226_500,
        }
    }

    fn tokens(secrets: &[&str]) -> SessionTokens {
        SessionTokens::new(secrets.iter().copied()).unwrap()
    }

    #[test]
    fn token_is_the_protocols_check_value() {
        assert_eq!(tokens(&[SECRET]).sign(&claims()), CHECK);
        assert_eq!(tokens(&[SECRET]).verify(CHECK, Millis(1_767_226_499_999)), Some(claims()));
    }

    #[test]
    fn first_secret_signs_and_all_verify() {
        let now = Millis(1_767_225_600_000);
        let (old, both, new) = (tokens(&["old"]), tokens(&["new", "old"]), tokens(&["new"]));
        assert_eq!(both.verify(&old.sign(&claims()), now), Some(claims()));
        assert_eq!(new.verify(&both.sign(&claims()), now), Some(claims()));
        assert_eq!(new.verify(&old.sign(&claims()), now), None);
    }

    #[test]
    fn expired_changed_and_foreign_tokens_say_nothing() {
        let now = Millis(1_767_225_600_000);
        let tokens = tokens(&[SECRET]);
        assert_eq!(tokens.verify(CHECK, Millis(1_767_226_500_000)), None);
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", CHECK.split('.').nth(1).unwrap());
        let cut = CHECK.rsplit_once('.').unwrap().0;
        for token in ["", "a.b.c", &unsigned, cut, &CHECK.replace("NmYx", "NmYy")] {
            assert_eq!(tokens.verify(token, now), None, "{token}");
        }
    }

    #[test]
    fn secret_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.secret");
        let first = SessionTokens::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = SessionTokens::load_or_create(&path).unwrap();
        assert_eq!(first.sign(&claims()), again.sign(&claims()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
        std::fs::write(&path, format!("{SECRET}\nthe-old-secret-of-some-length\n")).unwrap();
        assert_eq!(SessionTokens::load_or_create(&path).unwrap().sign(&claims()), CHECK);
        for bad in ["", "short"] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(SessionTokens::load_or_create(&path).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn debug_hides_the_secrets() {
        assert_eq!(format!("{:?}", tokens(&[SECRET])), "SessionTokens(..)");
        assert!(SessionTokens::new([]).is_none());
    }
}
