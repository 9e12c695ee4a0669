//! Values that should be an object.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The name of a member.
#[derive(serde::Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Reads past the value of a member.
///
/// # Errors
/// Where it is not JSON.
pub fn pass<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// What a value was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// What was looked for.
    Wanted,
    /// `null`, or not there.
    #[default]
    Nothing,
    /// Something else.
    Other,
}

/// What becomes of one value, whatever it is. Of what it has no use for it is told, and that is read to its end.
pub trait Reader<'de>: Sized {
    /// What it comes to.
    type Value;

    /// Of `null`, or of what it has no use for.
    fn none(self, found: Found) -> Self::Value;

    /// Of an object.
    ///
    /// # Errors
    /// Where it is not JSON, or the reader has enough.
    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_map(map).map(|_| self.none(Found::Other))
    }

    /// Of a list.
    ///
    /// # Errors
    /// The same.
    fn list<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| self.none(Found::Other))
    }
}

/// Reads a value with a [`Reader`].
pub struct As<R>(pub R);

impl<'de, R: Reader<'de>> DeserializeSeed<'de> for As<R> {
    type Value = R::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Reader<'de>> Visitor<'de> for As<R> {
    type Value = R::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<R::Value, E> {
        Ok(self.0.none(Found::Nothing))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<R::Value, E> {
        Ok(self.0.none(Found::Other))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<R::Value, E> {
        Ok(self.0.none(Found::Other))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<R::Value, E> {
        Ok(self.0.none(Found::Other))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<R::Value, E> {
        Ok(self.0.none(Found::Other))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<R::Value, E> {
        Ok(self.0.none(Found::Other))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<R::Value, A::Error> {
        self.0.list(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<R::Value, A::Error> {
        self.0.object(map)
    }
}

/// What is read from an object member by member.
pub trait Members<'de> {
    /// Takes the value of a member, or [passes](pass) over it. Of a member that occurs twice the last one counts.
    ///
    /// # Errors
    /// Where it is not JSON.
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error>;
}

/// Members out of an object; of anything else none.
#[derive(Debug, Default)]
pub struct Filled<T> {
    /// What was read.
    pub members: T,
    /// What it was read from.
    pub found: Found,
}

impl<'de, T: Members<'de> + Default> Deserialize<'de> for Filled<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(As(Filling(PhantomData)))
    }
}

struct Filling<T>(PhantomData<T>);

impl<'de, T: Members<'de> + Default> Reader<'de> for Filling<T> {
    type Value = Filled<T>;

    fn none(self, found: Found) -> Filled<T> {
        Filled { members: T::default(), found }
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<Filled<T>, A::Error> {
        let mut members = T::default();
        while let Some(Name(name)) = map.next_key()? {
            members.take(name, &mut map)?;
        }
        Ok(Filled { members, found: Found::Wanted })
    }
}

/// A struct from an object; of anything else nothing.
#[derive(Clone, Debug, Default)]
pub struct Loose<T>(pub Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(As(Loosely(PhantomData)))
    }
}

struct Loosely<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Reader<'de> for Loosely<T> {
    type Value = Loose<T>;

    fn none(self, _: Found) -> Loose<T> {
        Loose(None)
    }

    fn object<A: MapAccess<'de>>(self, map: A) -> Result<Loose<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|read| Loose(Some(read)))
    }
}

/// A struct from an object alone: derived ones would take an array of their fields as well.
pub struct Object<T>(pub T);

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

#[cfg(test)]
mod tests {
    use super::super::Leaf;
    use super::*;

    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Pair<'a> {
        #[serde(borrow)]
        a: Leaf<'a>,
    }

    impl<'de> Members<'de> for Pair<'de> {
        fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
            match &*name {
                "a" => self.a = map.next_value()?,
                _ => pass(map)?,
            }
            Ok(())
        }
    }

    #[test]
    fn what_is_no_object_is_told_from_one_that_is() {
        for (json, a, found) in [
            (r#"{"a":"x"}"#, Some("x"), Found::Wanted),
            (r#"{"\u0061":"x","b":[{}]}"#, Some("x"), Found::Wanted),
            ("{}", None, Found::Wanted),
            ("null", None, Found::Nothing),
            (r#"["x"]"#, None, Found::Other),
            (r#""a""#, None, Found::Other),
            ("true", None, Found::Other),
            ("1", None, Found::Other),
            ("-1", None, Found::Other),
            ("1.5", None, Found::Other),
        ] {
            let filled: Filled<Pair<'_>> = serde_json::from_str(json).unwrap();
            assert_eq!((filled.members.a.text(), filled.found), (a, found), "{json}");
            let loose: Loose<Pair<'_>> = serde_json::from_str(json).unwrap();
            let is_object = found == Found::Wanted;
            assert_eq!((loose.0.as_ref().and_then(|pair| pair.a.text()), loose.0.is_some()), (a, is_object), "{json}");
            let object = serde_json::from_str::<Object<Pair<'_>>>(json);
            assert_eq!(object.is_ok_and(|object| object.0.a.text() == a), is_object, "{json}");
        }
    }
}
