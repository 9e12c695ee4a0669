//! Where a long list goes on, as addresses have it; and pseudonyms as addresses have them.

use std::fmt;

use super::{Millis, UserHash};

/// Where a list goes on: behind the row that has this key and id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// What the list is sorted by.
    pub key: CursorKey,
    /// Among rows of the same key; public, or a pseudonym.
    pub id: [u8; 16],
}

/// The value of a sorted column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CursorKey {
    /// A time or a day.
    Number(i64),
    /// A text.
    Text(String),
}

impl Cursor {
    /// Before everything that happens at `at`, in a list that begins with the newest.
    pub fn before(at: Millis) -> Self {
        Self { key: CursorKey::Number(at.0), id: [0; 16] }
    }

    /// Reads a cursor of a list that is sorted by numbers.
    pub fn number(text: &str) -> Option<Self> {
        let (id, key) = text.split_once('.')?;
        Some(Self { key: CursorKey::Number(key.parse().ok()?), id: id16(id)? })
    }

    /// Reads a cursor of a list that is sorted by texts.
    pub fn text(text: &str) -> Option<Self> {
        let (id, key) = text.split_once('.').filter(|(_, key)| !key.contains('\0'))?;
        Some(Self { key: CursorKey::Text(key.to_owned()), id: id16(id)? })
    }
}

impl fmt::Display for Cursor {
    /// As in addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", hex::encode(self.id))?;
        match &self.key {
            CursorKey::Number(key) => key.fmt(f),
            CursorKey::Text(key) => key.fmt(f),
        }
    }
}

/// Sixteen bytes from 32 hexadecimal digits.
fn id16(text: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    hex::decode_to_slice(text, &mut id).ok()?;
    Some(id)
}

impl UserHash {
    /// The pseudonym that is written so, as 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        id16(text).map(Self)
    }
}

impl fmt::Display for UserHash {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_are_written() {
        for (cursor, text) in [
            (Cursor { key: CursorKey::Number(-5), id: [0xab; 16] }, format!("{}.-5", "ab".repeat(16))),
            (
                Cursor { key: CursorKey::Text("IOS a.b ä".to_owned()), id: [1; 16] },
                format!("{}.IOS a.b ä", "01".repeat(16)),
            ),
            (Cursor { key: CursorKey::Text(String::new()), id: [1; 16] }, format!("{}.", "01".repeat(16))),
        ] {
            assert_eq!(cursor.to_string(), text);
            let read = match cursor.key {
                CursorKey::Number(_) => Cursor::number(&text),
                CursorKey::Text(_) => Cursor::text(&text),
            };
            assert_eq!(read, Some(cursor));
        }
        for text in ["", ".", "ab.5", "5", &format!("{}.x", "ab".repeat(16)), &format!("{}.5", "xy".repeat(16))] {
            assert_eq!(Cursor::number(text), None, "{text}");
        }
    }
}
