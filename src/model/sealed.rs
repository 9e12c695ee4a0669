//! Secrets as the database has them: sealed under a master key that lies elsewhere.

use super::{IngestKeyId, MemberId};

/// A secret that is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Whose it is.
    pub of: SealedOf,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
}

/// What a sealed secret belongs to, with what it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedOf {
    /// An ingest key, by the hash of its token.
    Key(IngestKeyId, [u8; 32]),
    /// A member's authenticator app.
    TwoFactor(MemberId),
}
