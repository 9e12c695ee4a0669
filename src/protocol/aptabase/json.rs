//! JSON read leniently: members by their names in any case, leaves of any type, and arrays of a bounded length.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A member that should be a string or boolean.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Leaf<'a> {
    /// Left out, or of another type.
    #[default]
    Absent,
    /// A string, or a whole number as it is written.
    Text(Cow<'a, str>),
    /// `true` or `false`.
    Bool(bool),
}

impl<'a> Leaf<'a> {
    /// The string, where it is one that is not empty.
    pub fn filled(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text).filter(|text| !text.trim().is_empty()),
            Self::Absent | Self::Bool(_) => None,
        }
    }

    /// Whether it is `true`.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }
}

/// What has members with names.
pub trait Members<'de>: Default {
    /// Their names, in whatever case they come.
    const NAMES: &'static [&'static str];

    /// Takes the value of the member that has this place in the list; the last of several counts.
    fn take<A: MapAccess<'de>>(&mut self, place: usize, map: &mut A) -> Result<(), A::Error>;
}

/// An object, or nothing where it is none.
#[derive(Debug, Default)]
pub struct Object<T>(pub Option<T>);

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoList {
    /// Not JSON, or an element is not a `T`.
    Unreadable,
    /// More elements than allowed; the reading ended there, before they took memory.
    TooMany,
}

/// The elements of an array, at most `most`; a text that is none is the only one.
pub fn list<'a, T: Deserialize<'a>>(text: &'a str, most: usize) -> Result<Vec<T>, NoList> {
    if !text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map(|one| vec![one]).map_err(|_| NoList::Unreadable);
    }
    let overflow = Cell::new(false);
    let mut parser = serde_json::Deserializer::from_str(text);
    let list = List { most, overflow: &overflow, element: PhantomData };
    let all = parser.deserialize_seq(list).and_then(|all| parser.end().map(|()| all));
    all.map_err(|_| if overflow.get() { NoList::TooMany } else { NoList::Unreadable })
}

struct List<'l, T> {
    most: usize,
    overflow: &'l Cell<bool>,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            if all.len() == self.most {
                self.overflow.set(true);
                return Err(A::Error::custom("too many elements"));
            }
            all.push(one);
        }
        Ok(all)
    }
}

/// Reads a value of any type by what it is taken for: all that a visitor does not say is the default.
macro_rules! lenient {
    ($value:ty) => {
        type Value = $value;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            IgnoredAny.visit_seq(seq).map(|_| Default::default())
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Leaf<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsLeaf)
    }
}

struct AsLeaf;

impl<'de> Visitor<'de> for AsLeaf {
    lenient!(Leaf<'de>);

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Owned(number.to_string())))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Leaf<'de>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Leaf::Absent)
    }
}

impl<'de, T: Members<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsObject(PhantomData))
    }
}

struct AsObject<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for AsObject<T> {
    lenient!(Object<T>);

    fn visit_str<E: Error>(self, _: &str) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Object<T>, E> {
        Ok(Object(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<T>, A::Error> {
        let mut found = T::default();
        while let Some(place) = map.next_key_seed(Name(T::NAMES))? {
            match place {
                Some(place) => found.take(place, &mut map)?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Object(Some(found)))
    }
}

/// The place of a member's name in a list.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|known| known.eq_ignore_ascii_case(name)))
    }
}
