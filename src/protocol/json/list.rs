//! Lists of a bounded length.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::de::StrRead;

/// The parser of a text.
pub type Parser<'a> = serde_json::Deserializer<StrRead<'a>>;

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoList {
    /// The text is not JSON of the form that was asked for, or an element is not what it should be.
    Unreadable,
    /// More elements than allowed; the reading ended there, before they took memory.
    TooMany,
}

/// Reads an array of at most so many elements. A longer one ends the reading before it takes memory.
pub struct List<'l, T> {
    most: usize,
    overflow: &'l Cell<bool>,
    element: PhantomData<T>,
}

/// Reads a whole text that has one list somewhere in it, of at most `most` elements; `read` is handed what reads that list.
///
/// # Errors
/// Where there is none, or more stands behind what was read.
pub fn bounded<'a, T, V>(
    text: &'a str,
    most: usize,
    read: impl FnOnce(List<'_, T>, &mut Parser<'a>) -> serde_json::Result<V>,
) -> Result<V, NoList> {
    let overflow = Cell::new(false);
    let mut parser = serde_json::Deserializer::from_str(text);
    let list = List { most, overflow: &overflow, element: PhantomData };
    let whole = read(list, &mut parser).and_then(|whole| parser.end().map(|()| whole));
    whole.map_err(|_| if overflow.get() { NoList::TooMany } else { NoList::Unreadable })
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for List<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            if elements.len() == self.most {
                self.overflow.set(true);
                return Err(A::Error::custom("too many elements"));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_to_its_bound_and_nothing_behind_it() {
        for (json, read) in [
            ("[]", Ok(vec![])),
            (" [1, 2] ", Ok(vec![1, 2])),
            ("[1,2,3", Err(NoList::TooMany)),
            ("[1,2,3]", Err(NoList::TooMany)),
            ("[1,2", Err(NoList::Unreadable)),
            ("[1] 2", Err(NoList::Unreadable)),
            (r#"["1"]"#, Err(NoList::Unreadable)),
            ("{}", Err(NoList::Unreadable)),
            ("", Err(NoList::Unreadable)),
        ] {
            let found = bounded(json, 2, |list: List<'_, u8>, parser| list.deserialize(parser));
            assert_eq!(found, read, "{json}");
        }
    }
}
