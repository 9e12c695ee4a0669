//! The tables of who belongs to which organization, as a move copies them.

use super::tables::Kind::{Bytes, Int, Text};
use super::tables::{Table, WHOLE};

pub(super) const MEMBERSHIPS: Table = Table {
    name: "memberships",
    columns: &[("member_id", Int), ("organization_id", Int), ("role", Text), ("created_at", Int)],
    key: 2,
    prefix: 0,
    cut: WHOLE,
};

pub(super) const INVITATIONS: Table = Table {
    name: "invitations",
    columns: &[
        ("id", Int),
        ("token_hash", Bytes),
        ("organization_id", Int),
        ("role", Text),
        ("note", Text),
        ("invited_by", Text),
        ("created_at", Int),
        ("expires_at", Int),
    ],
    key: 1,
    prefix: 0,
    cut: WHOLE,
};
