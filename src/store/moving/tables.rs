//! The tables that a move copies: their columns, their keys, and the units in which they are compared.

use super::accounts::{INVITATIONS, MEMBERSHIPS};
use super::devices::DEVICES;
use super::limits::{APP_LIMITS, BANS, CLIENT_ORDERS, KEEPING, TIERS, TRUSTED_CLOCK, VISITOR_SALTS};
use super::sign_in;
use crate::model::Millis;
use crate::store::sql::{Cell, Row};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Int,
    Text,
    Bytes,
    /// Sixteen bytes, which PostgreSQL keeps as a UUID.
    Uuid,
}

/// One table. Columns that only one of the backends has are not moved.
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    /// Those of the key first, in the key's order.
    pub(in crate::store) columns: &'static [(&'static str, Kind)],
    /// How many columns make the key.
    pub(in crate::store) key: usize,
    /// How many columns of the key stand before the one that is cut into units; all of them integers.
    pub(in crate::store) prefix: usize,
    pub(super) cut: Cut,
}

/// How the values of an integer column fall into units. What lies before the first or behind the last belongs to it,
/// so that clocks that are far off do not make a unit for each of their days.
pub(super) struct Cut {
    width: i64,
    first: i64,
    last: i64,
}

/// 1999-12-31 and everything before.
const FIRST_DAY: i64 = 10_956;
/// 2100-01-01 and everything after.
const LAST_DAY: i64 = 47_482;
/// Quarters of an hour in a day.
const QUARTERS: i64 = 96;
/// Ids in a unit.
const IDS: i64 = 50_000;

pub(super) const WHOLE: Cut = Cut { width: i64::MAX, first: 0, last: 0 };
pub(super) const BY_ID: Cut = Cut { width: IDS, first: 0, last: i64::MAX / IDS };
pub(super) const BY_DAY: Cut = Cut { width: 1, first: FIRST_DAY, last: LAST_DAY };
const BY_DAY_OF_MILLIS: Cut = Cut { width: Millis::DAY, first: FIRST_DAY, last: LAST_DAY };
const BY_DAY_OF_QUARTERS: Cut = Cut { width: QUARTERS, first: FIRST_DAY, last: LAST_DAY };
const BY_HOUR_OF_SECONDS: Cut = Cut { width: 3_600, first: FIRST_DAY * 24, last: LAST_DAY * 24 };

use Kind::{Bytes, Int, Text, Uuid};

/// Small tables that refer to each other, in the order in which they can be filled: one unit together.
pub(in crate::store) const DIRECTORY: [Table; 22] = [
    Table {
        name: "organizations",
        columns: &[("id", Int), ("uuid", Bytes), ("slug", Text), ("name", Text), ("created_at", Int)],
        key: 1,
        prefix: 0,
        cut: WHOLE,
    },
    Table {
        name: "apps",
        columns: &[
            ("id", Int),
            ("organization_id", Int),
            ("uuid", Bytes),
            ("slug", Text),
            ("name", Text),
            ("zone", Text),
            ("strict", Int),
            ("salt", Bytes),
            ("created_at", Int),
            ("first_event_at", Int),
            ("first_session_at", Int),
            ("archived_at", Int),
            ("deleted_at", Int),
            ("collects_public", Int),
        ],
        key: 1,
        prefix: 0,
        cut: WHOLE,
    },
    Table {
        name: "environments",
        columns: &[("id", Int), ("app_id", Int), ("slug", Text)],
        key: 1,
        prefix: 0,
        cut: WHOLE,
    },
    Table {
        name: "ingest_keys",
        columns: &[
            ("id", Int),
            ("environment_id", Int),
            ("name", Text),
            ("hint", Text),
            ("token_hash", Bytes),
            ("sealed_secret", Bytes),
            ("created_at", Int),
            ("last_used_at", Int),
            ("revoked_at", Int),
            ("kind", Text),
        ],
        key: 1,
        prefix: 0,
        cut: WHOLE,
    },
    TIERS,
    APP_LIMITS,
    BANS,
    CLIENT_ORDERS,
    KEEPING,
    VISITOR_SALTS,
    TRUSTED_CLOCK,
    Table {
        name: "api_tokens",
        columns: &[
            ("id", Int),
            ("organization_id", Int),
            ("app_id", Int),
            ("name", Text),
            ("hint", Text),
            ("token_hash", Bytes),
            ("scopes", Text),
            ("created_at", Int),
            ("expires_at", Int),
            ("last_used_at", Int),
            ("revoked_at", Int),
        ],
        key: 1,
        prefix: 0,
        cut: WHOLE,
    },
    Table { name: "directory", columns: &[("id", Int), ("version", Int)], key: 1, prefix: 0, cut: WHOLE },
    Table {
        name: "members",
        columns: &[
            ("id", Int),
            ("name", Text),
            ("password_hash", Text),
            ("owner", Int),
            ("created_at", Int),
            ("disabled_at", Int),
        ],
        key: 1,
        prefix: 0,
        cut: WHOLE,
    },
    MEMBERSHIPS,
    INVITATIONS,
    sign_in::LOGINS,
    sign_in::TWO_FACTOR,
    sign_in::RECOVERY_CODES,
    sign_in::IDENTITIES,
    Table { name: "setup_tokens", columns: &[("hash", Bytes), ("expires_at", Int)], key: 1, prefix: 0, cut: WHOLE },
    Table {
        name: "answered_hours",
        columns: &[("hour", Int), ("traffic", Text), ("requests", Int), ("failed", Int), ("slow", Int)],
        key: 2,
        prefix: 0,
        cut: WHOLE,
    },
];

const ROLLUP: &[(&str, Kind)] = &[
    ("env_id", Int),
    ("dimension", Int),
    ("bucket", Int),
    ("value", Int),
    ("events", Int),
    ("sessions", Int),
    ("users", Int),
    ("day_users", Int),
    ("new_users", Int),
    ("errors", Int),
    ("crashes", Int),
    ("crashed_sessions", Int),
];

/// All others, in the order in which they are moved. None refers to another in a way that a database checks.
const TABLES: [Table; 13] = [
    Table {
        name: "strings",
        columns: &[("id", Int), ("app_id", Int), ("kind", Text), ("text", Text)],
        key: 1,
        prefix: 0,
        cut: BY_ID,
    },
    Table {
        name: "facts",
        columns: &[
            ("id", Int),
            ("app_id", Int),
            ("digest", Bytes),
            ("version", Int),
            ("build", Int),
            ("system", Int),
            ("system_version", Int),
            ("arch", Int),
            ("device", Int),
            ("locale", Int),
            ("sdk", Int),
            ("service", Int),
            ("language", Int),
            ("shell", Int),
            ("ci", Int),
            ("country", Int),
        ],
        key: 1,
        prefix: 0,
        cut: BY_ID,
    },
    Table {
        name: "users",
        columns: &[("id", Int), ("env_id", Int), ("hash", Uuid), ("first_at", Int), ("last_day", Int)],
        key: 1,
        prefix: 0,
        cut: BY_ID,
    },
    Table {
        name: "user_days",
        columns: &[("env_id", Int), ("day", Int), ("user_id", Int), ("hours", Int), ("crashes", Int)],
        key: 3,
        prefix: 1,
        cut: BY_DAY,
    },
    Table {
        name: "device_days",
        columns: &[("env_id", Int), ("day", Int), ("device_id", Int), ("hours", Int)],
        key: 3,
        prefix: 1,
        cut: BY_DAY,
    },
    Table {
        name: "error_groups",
        columns: &[("env_id", Int), ("error_id", Int), ("message", Text), ("first_at", Int), ("last_at", Int)],
        key: 2,
        prefix: 1,
        cut: BY_ID,
    },
    Table {
        name: "sessions",
        columns: &[
            ("id", Int),
            ("env_id", Int),
            ("hash", Uuid),
            ("user_id", Int),
            ("facts_id", Int),
            ("started_at", Int),
            ("ended_at", Int),
            ("events", Int),
            ("crashed", Int),
        ],
        key: 1,
        prefix: 0,
        cut: BY_ID,
    },
    Table {
        name: "events",
        columns: &[
            ("env_id", Int),
            ("claimed_at", Int),
            ("event_id", Uuid),
            ("skew", Int),
            ("delay", Int),
            ("name_id", Int),
            ("category_id", Int),
            ("facts_id", Int),
            ("user_id", Int),
            ("session_id", Int),
            ("props", Text),
            ("error_id", Int),
            ("fatal", Int),
        ],
        key: 3,
        prefix: 1,
        cut: BY_DAY_OF_MILLIS,
    },
    // One that is renamed may take the name of another: all in one unit, or the unique index could meet the old one.
    Table {
        name: "funnels",
        columns: &[("id", Int), ("env_id", Int), ("uuid", Bytes), ("name", Text), ("query", Text), ("saved_at", Int)],
        key: 1,
        prefix: 0,
        cut: WHOLE,
    },
    Table { name: "rollup_hours", columns: ROLLUP, key: 4, prefix: 2, cut: BY_DAY_OF_QUARTERS },
    Table { name: "rollup_days", columns: ROLLUP, key: 4, prefix: 2, cut: BY_DAY_OF_QUARTERS },
    Table {
        name: "intake_days",
        columns: &[("app_id", Int), ("day", Int), ("outcome", Text), ("events", Int)],
        key: 3,
        prefix: 1,
        cut: BY_DAY,
    },
    // A request that is sent again after its row was pushed out has a new row: both ids in one unit, or the unique
    // index could meet the old one.
    Table {
        name: "set_aside",
        columns: &[
            ("id", Int),
            ("app_id", Int),
            ("env_id", Int),
            ("received_at", Int),
            ("reason", Text),
            ("detail", Text),
            ("event_id", Uuid),
            ("body", Text),
            ("again", Text),
        ],
        key: 1,
        prefix: 0,
        cut: WHOLE,
    },
];

/// Comes last: it is of use for minutes only.
const NONCES: Table = Table {
    name: "nonces",
    columns: &[("at", Int), ("app_id", Int), ("value", Uuid)],
    key: 3,
    prefix: 0,
    cut: BY_HOUR_OF_SECONDS,
};

/// Every table, in the order in which they can be filled.
pub(in crate::store) fn all() -> impl DoubleEndedIterator<Item = &'static Table> {
    DIRECTORY.iter().chain(bulk())
}

/// The tables behind [`DIRECTORY`], in order.
pub(super) fn bulk() -> impl DoubleEndedIterator<Item = &'static Table> {
    TABLES.iter().chain(&DEVICES).chain(std::iter::once(&NONCES))
}

/// Rows of one table: those with this prefix whose next column lies between two values, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) prefix: Vec<i64>,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Table {
    /// Its columns as a list.
    pub(in crate::store) fn list(&self) -> String {
        join(self.columns.iter().map(|(name, _)| *name))
    }

    fn names(&self, count: usize) -> String {
        join(self.columns[..count].iter().map(|(name, _)| *name))
    }

    /// The column that is cut into units.
    fn ruler(&self) -> &'static str {
        self.columns[self.prefix].0
    }

    /// The unit of a value.
    pub(super) fn unit(&self, value: i64) -> i64 {
        value.div_euclid(self.cut.width).clamp(self.cut.first, self.cut.last)
    }

    /// The unit of a row.
    pub(super) fn unit_of(&self, row: &Row) -> i64 {
        self.unit(row.int(self.prefix))
    }

    /// First value of a unit.
    pub(super) fn first(&self, unit: i64) -> i64 {
        if unit <= self.cut.first { i64::MIN } else { unit * self.cut.width }
    }

    /// Last value of a unit.
    pub(super) fn last(&self, unit: i64) -> i64 {
        if unit >= self.cut.last { i64::MAX } else { (unit + 1) * self.cut.width - 1 }
    }

    /// All rows, where no column stands before the one that is cut.
    pub(super) fn whole(&self) -> Stretch {
        Stretch { prefix: Vec::new(), from: i64::MIN, to: i64::MAX }
    }

    /// The place of the first row at or behind a place: its prefix and its value.
    pub(super) fn next(&self, at: &[i64]) -> (String, Vec<Cell>) {
        let names = self.names(self.prefix + 1);
        let numbers = join((1..=at.len()).map(|n| format!("${n}")));
        let condition =
            if at.len() == 1 { format!("{names} >= {numbers}") } else { format!("({names}) >= ({numbers})") };
        let sql = format!("SELECT {names} FROM {} WHERE {condition} ORDER BY {names} LIMIT 1", self.name);
        (sql, at.iter().copied().map(Cell::Int).collect())
    }

    /// The value that lies so many rows behind the beginning of a stretch.
    pub(super) fn ahead(&self, stretch: &Stretch, rows: u64) -> (String, Vec<Cell>) {
        let (condition, params) = self.condition(stretch);
        let (table, ruler) = (self.name, self.ruler());
        (format!("SELECT {ruler} FROM {table} WHERE {condition} ORDER BY {ruler} LIMIT 1 OFFSET {rows}"), params)
    }

    /// All cells of a stretch, in the order of the key.
    pub(super) fn select(&self, stretch: &Stretch) -> (String, Vec<Cell>) {
        let (columns, order) = (self.list(), self.names(self.key));
        // Where the first column is no integer, no place can be told, and there is one stretch only.
        if self.columns[self.prefix].1 != Int {
            return (format!("SELECT {columns} FROM {} ORDER BY {order}", self.name), Vec::new());
        }
        let (condition, params) = self.condition(stretch);
        (format!("SELECT {columns} FROM {} WHERE {condition} ORDER BY {order}", self.name), params)
    }

    /// Removes a stretch.
    pub(super) fn delete(&self, stretch: &Stretch) -> (String, Vec<Cell>) {
        let (condition, params) = self.condition(stretch);
        (format!("DELETE FROM {} WHERE {condition}", self.name), params)
    }

    fn condition(&self, stretch: &Stretch) -> (String, Vec<Cell>) {
        let prefix = self.columns[..self.prefix].iter().zip(1..).map(|((name, _), n)| format!("{name} = ${n} AND "));
        let (ruler, n) = (self.ruler(), self.prefix + 1);
        let condition = format!("{}{ruler} >= ${n} AND {ruler} <= ${}", prefix.collect::<String>(), n + 1);
        let params = stretch.prefix.iter().copied().chain([stretch.from, stretch.to]).map(Cell::Int);
        (condition, params.collect())
    }

    /// A unit in words.
    pub(super) fn told(&self, prefix: &[i64], unit: i64) -> String {
        let mut parts: Vec<_> =
            self.columns.iter().zip(prefix).map(|((name, _), value)| format!("{name} {value}")).collect();
        let day = match self.cut.width {
            1 | QUARTERS | Millis::DAY => jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(unit)).ok(),
            _ => None,
        };
        match day {
            Some(day) => parts.push(day.to_string()),
            None if self.cut.width < i64::MAX => parts.push(format!("{} from {}", self.ruler(), self.first(unit))),
            None => {}
        }
        format!("{} ({})", self.name, if parts.is_empty() { "all".to_owned() } else { parts.join(", ") })
    }
}

fn join<T: AsRef<str>>(names: impl Iterator<Item = T>) -> String {
    let mut list = String::new();
    for name in names {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(name.as_ref());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_each_other_without_a_gap() {
        for table in DIRECTORY.iter().chain(bulk()) {
            for value in [i64::MIN, -1, 0, 1, 49_999, 50_000, 1_800_000, 1_700_000_000, 1_700_000_000_000, i64::MAX] {
                let unit = table.unit(value);
                let (first, last) = (table.first(unit), table.last(unit));
                assert!(first <= value && value <= last, "{} {value}: {first} to {last}", table.name);
                assert!(last == i64::MAX || table.first(table.unit(last + 1)) == last + 1, "{} {value}", table.name);
            }
        }
    }

    #[test]
    fn statements_name_the_key_in_its_order() {
        let events = bulk().find(|table| table.name == "events").unwrap();
        let stretch = Stretch { prefix: vec![7], from: 1, to: 2 };
        assert!(events.select(&stretch).0.ends_with(
            "WHERE env_id = $1 AND claimed_at >= $2 AND claimed_at <= $3 ORDER BY env_id, claimed_at, event_id"
        ));
        assert_eq!(
            events.next(&[7, 1]).0,
            "SELECT env_id, claimed_at FROM events WHERE (env_id, claimed_at) >= ($1, $2) \
             ORDER BY env_id, claimed_at LIMIT 1"
        );
        assert_eq!(events.told(&[7], 19_000), "events (env_id 7, 2022-01-08)");
    }
}
