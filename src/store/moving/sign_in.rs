//! The tables of who is signed in and what proves it, as a move copies them; they refer to members.

use super::tables::Kind::{Bytes, Int, Text};
use super::tables::{Table, WHOLE};

/// Signed-in browsers.
pub(super) const LOGINS: Table = Table {
    name: "logins",
    columns: &[
        ("token_hash", Bytes),
        ("member_id", Int),
        ("created_at", Int),
        ("seen_at", Int),
        ("way", Text),
        ("place", Text),
        ("proved_at", Int),
    ],
    key: 1,
    prefix: 0,
    cut: WHOLE,
};

/// Authenticator apps.
pub(super) const TWO_FACTOR: Table = Table {
    name: "two_factor",
    columns: &[("member_id", Int), ("sealed_secret", Bytes), ("last_step", Int), ("confirmed_at", Int)],
    key: 1,
    prefix: 0,
    cut: WHOLE,
};

/// Recovery codes that were not used yet.
pub(super) const RECOVERY_CODES: Table =
    Table { name: "recovery_codes", columns: &[("hash", Bytes), ("member_id", Int)], key: 1, prefix: 0, cut: WHOLE };

/// Who members are at providers.
pub(super) const IDENTITIES: Table = Table {
    name: "identities",
    columns: &[("issuer", Text), ("subject", Text), ("member_id", Int), ("created_at", Int)],
    key: 2,
    prefix: 0,
    cut: WHOLE,
};
