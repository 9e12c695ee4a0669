//! Keys as they are handed out: made here, or taken over from another server.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::auth::seal::MasterKey;
use crate::auth::token::{self, TokenKind};
use crate::model::{EnvironmentId, KeyKind, NewIngestKey};

/// Characters of a token that are listed.
const HINT: usize = 8;

/// Longest token or secret that can be taken over from elsewhere, in bytes (the reference server's column).
const IMPORT_MAX: usize = 255;

/// A key as it is handed out, and as it is to be stored. `Debug` hides token and secret.
pub struct IssuedKey {
    /// A prefix, 32 hex digits, of which the stored hint leaves 112 random bits unknown, and a check; shown once.
    pub token: String,
    /// Base64 of 32 random bytes; shown once. Empty for a public key.
    pub secret: String,
    /// What the store keeps: a hash of the one, the other sealed.
    pub new: NewIngestKey,
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedKey").field("new", &self.new).finish_non_exhaustive()
    }
}

/// Why a token and a secret of another server cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The token cannot be sent in a header.
    #[error("a token has 16 to {IMPORT_MAX} visible ASCII characters")]
    Token,
    /// The secret is empty or too long.
    #[error("a secret has 1 to {IMPORT_MAX} bytes")]
    Secret,
}

/// Makes a secret key without a running server. `name` has 1 to 100 characters, which the caller has checked.
pub fn issue(master: &MasterKey, environment: EnvironmentId, name: &str) -> IssuedKey {
    let token = token::issue_kind::<16>(TokenKind::SecretKey);
    let secret = STANDARD.encode(token::random::<32>());
    assemble(master, (environment, KeyKind::Secret), name, (token, secret))
}

/// Makes a public key, which has no secret. `name` as for [`issue`].
pub fn issue_public(environment: EnvironmentId, name: &str) -> IssuedKey {
    let token = token::issue_kind::<16>(TokenKind::PublicKey);
    let (token_hash, hint) = (token::hash(&token), token.chars().take(HINT).collect());
    let (kind, name) = (KeyKind::Public, name.to_owned());
    let new = NewIngestKey { environment, kind, name, hint, token_hash, sealed_secret: Vec::new() };
    IssuedKey { token, secret: String::new(), new }
}

/// Takes a token and a secret over from another server, unchanged, so that programs in the field go on working. What
/// they use them for is theirs: such a key works as either kind.
///
/// # Errors
/// Where one of them could not have been used with telemetry-kit, or the token is too short to be a secret.
pub fn import(
    master: &MasterKey,
    environment: EnvironmentId,
    name: &str,
    token: &str,
    secret: &str,
) -> Result<IssuedKey, ImportError> {
    if !(16..=IMPORT_MAX).contains(&token.len()) || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ImportError::Token);
    }
    if !(1..=IMPORT_MAX).contains(&secret.len()) {
        return Err(ImportError::Secret);
    }
    Ok(assemble(master, (environment, KeyKind::Either), name, (token.to_owned(), secret.to_owned())))
}

fn assemble(
    master: &MasterKey,
    (environment, kind): (EnvironmentId, KeyKind),
    name: &str,
    (token, secret): (String, String),
) -> IssuedKey {
    let token_hash = token::hash(&token);
    let new = NewIngestKey {
        environment,
        kind,
        name: name.to_owned(),
        hint: token.chars().take(HINT).collect(),
        token_hash,
        sealed_secret: master.seal(secret.as_bytes(), &token_hash),
    };
    IssuedKey { token, secret, new }
}
