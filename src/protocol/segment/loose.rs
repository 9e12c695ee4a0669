//! JSON read loosely: a member of a wrong type is as one that is missing, and arrays are of a bounded length.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A member that should be a text. A number is its own text, since user ids occur as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf<'a>(Option<Cow<'a, str>>);

impl<'a> Leaf<'a> {
    /// The text, if it has any characters.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The same, to keep.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        self.0
    }
}

/// An object, or nothing where it is something else.
#[derive(Clone, Debug, Default)]
pub struct Loose<T>(pub Option<T>);

/// A struct from a JSON object alone: derived structs would take an array of their fields as well.
pub struct Object<T>(pub T);

/// An array of at most so many elements. A longer one ends the reading before it takes memory, and says so.
pub struct List<'l, T> {
    most: usize,
    overflow: &'l Cell<bool>,
    element: PhantomData<T>,
}

impl<'l, T> List<'l, T> {
    /// `overflow` becomes true when the array is longer than `most`.
    pub fn new(most: usize, overflow: &'l Cell<bool>) -> Self {
        Self { most, overflow, element: PhantomData }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Leaf<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LeafVisitor)
    }
}

struct LeafVisitor;

impl<'de> Visitor<'de> for LeafVisitor {
    type Value = Leaf<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Leaf<'de>, E> {
        Ok(Leaf((!text.is_empty()).then_some(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Leaf<'de>, E> {
        Ok(Leaf((!text.is_empty()).then(|| Cow::Owned(text.to_owned()))))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Leaf<'de>, E> {
        Ok(Leaf(Some(number.to_string().into())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Leaf<'de>, E> {
        Ok(Leaf(Some(number.to_string().into())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Leaf<'de>, E> {
        Ok(Leaf(Some(number.to_string().into())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Leaf<'de>, E> {
        Ok(Leaf(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Leaf<'de>, E> {
        Ok(Leaf(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Leaf<'de>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| Leaf(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Leaf<'de>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Leaf(None))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor(PhantomData))
    }
}

struct LooseVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LooseVisitor<T> {
    type Value = Loose<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Loose<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Loose(Some(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Loose<T>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| Loose(None))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Loose<T>, E> {
        Ok(Loose(None))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Loose<T>, E> {
        Ok(Loose(None))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Loose<T>, E> {
        Ok(Loose(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Loose<T>, E> {
        Ok(Loose(None))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Loose<T>, E> {
        Ok(Loose(None))
    }

    fn visit_unit<E: Error>(self) -> Result<Loose<T>, E> {
        Ok(Loose(None))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
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
        f.write_str("an array of messages")
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

    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Pair<'a> {
        #[serde(borrow)]
        a: Leaf<'a>,
        #[serde(borrow)]
        b: Loose<Inner<'a>>,
    }

    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Inner<'a> {
        #[serde(borrow)]
        c: Leaf<'a>,
    }

    #[test]
    fn wrong_types_are_as_missing_members() {
        for (json, a, c) in [
            (r#"{"a":"x","b":{"c":"y"}}"#, Some("x"), Some("y")),
            (r#"{"a":"","b":{"c":null}}"#, None, None),
            (r#"{"a":12,"b":{"c":-3}}"#, Some("12"), Some("-3")),
            (r#"{"a":1.5,"b":{"c":true}}"#, Some("1.5"), None),
            (r#"{"a":[1,[2]],"b":["c"]}"#, None, None),
            (r#"{"a":{"c":1},"b":"c"}"#, None, None),
            (r#"{"a":"\u00e9","b":7}"#, Some("é"), None),
            (r#"{"b":false}"#, None, None),
            (r#"{"b":-1,"z":{}}"#, None, None),
            (r#"{"b":1.5}"#, None, None),
            ("{}", None, None),
        ] {
            let pair = serde_json::from_str::<Object<Pair<'_>>>(json).unwrap_or_else(|e| panic!("{json}: {e}")).0;
            let inner = pair.b.0.unwrap_or_default();
            assert_eq!((pair.a.text(), inner.c.into_text().as_deref()), (a, c), "{json}");
        }
        assert!(serde_json::from_str::<Object<Pair<'_>>>(r#"["x",{}]"#).is_err(), "an array is no object");
    }
}
