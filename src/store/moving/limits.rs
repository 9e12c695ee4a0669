//! The tables of limits of size and of age, as a move copies them.

use super::tables::Kind::{Bytes, Int, Text};
use super::tables::{Table, WHOLE};

/// Before what refers to it.
pub(super) const TIERS: Table = Table {
    name: "tiers",
    columns: &[
        ("id", Int),
        ("name", Text),
        ("key_rate", Int),
        ("app_rate", Int),
        ("network_rate", Int),
        ("day_events", Int),
        ("usual", Int),
    ],
    key: 1,
    prefix: 0,
    cut: WHOLE,
};

/// Behind apps and tiers.
pub(super) const APP_LIMITS: Table = Table {
    name: "app_limits",
    columns: &[("app_id", Int), ("tier_id", Int), ("networks", Text), ("origins", Text)],
    key: 1,
    prefix: 0,
    cut: WHOLE,
};

/// Behind apps.
pub(super) const BANS: Table = Table {
    name: "bans",
    columns: &[
        ("id", Int),
        ("app_id", Int),
        ("kind", Text),
        ("hash", Bytes),
        ("identifier", Bytes),
        ("label", Text),
        ("member", Text),
        ("created_at", Int),
    ],
    key: 1,
    prefix: 0,
    cut: WHOLE,
};

/// Behind apps and environments.
pub(super) const CLIENT_ORDERS: Table = Table {
    name: "client_orders",
    columns: &[
        ("id", Int),
        ("app_id", Int),
        ("env_id", Int),
        ("versions", Text),
        ("version", Text),
        ("sample", Int),
        ("names", Text),
        ("flush_secs", Int),
        ("quiet", Text),
        ("quiet_till", Int),
        ("member", Text),
        ("created_at", Int),
    ],
    key: 1,
    prefix: 0,
    cut: WHOLE,
};

/// Behind environments.
pub(super) const KEEPING: Table = Table {
    name: "keeping",
    columns: &[("env_id", Int), ("kind", Text), ("days", Int), ("changed_at", Int), ("gone_before", Int)],
    key: 2,
    prefix: 0,
    cut: WHOLE,
};

/// One row.
pub(super) const TRUSTED_CLOCK: Table = Table {
    name: "trusted_clock",
    columns: &[("id", Int), ("at", Int), ("credit", Int)],
    key: 1,
    prefix: 0,
    cut: WHOLE,
};

/// Behind apps.
pub(super) const VISITOR_SALTS: Table = Table {
    name: "visitor_salts",
    columns: &[("app_id", Int), ("day", Int), ("salt", Bytes)],
    key: 2,
    prefix: 0,
    cut: WHOLE,
};
