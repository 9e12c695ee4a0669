//! Values that should be a text, a number or a boolean.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value that should be no list and no object. One that is, is read to its end and no error, so that its reader can say
/// what is wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Leaf<'a> {
    /// Left out, or `null`.
    #[default]
    Absent,
    /// A string.
    Text(Cow<'a, str>),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is larger than all of those.
    Large(u64),
    /// Any other number.
    Double(f64),
    /// A list or an object.
    Other,
}

impl<'a> Leaf<'a> {
    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Bool(_) | Self::Int(_) | Self::Large(_) | Self::Double(_) | Self::Other => None,
        }
    }

    /// The same, to keep.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Bool(_) | Self::Int(_) | Self::Large(_) | Self::Double(_) | Self::Other => None,
        }
    }

    /// The string, or a whole number as it is written.
    pub fn spelt(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Int(number) => Some(number.to_string().into()),
            Self::Large(number) => Some(number.to_string().into()),
            Self::Absent | Self::Bool(_) | Self::Double(_) | Self::Other => None,
        }
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
        Ok(Leaf::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Bool(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Absent)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Leaf<'de>, E> {
        Ok(i64::try_from(number).map_or(Leaf::Large(number), Leaf::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Double(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Leaf<'de>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| Leaf::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Leaf<'de>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Leaf::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_what_it_is_and_no_value_is_an_error() {
        for (json, leaf, text, spelt) in [
            ("null", Leaf::Absent, None, None),
            (r#""x""#, Leaf::Text("x".into()), Some("x"), Some("x")),
            (r#""\u00e9""#, Leaf::Text("é".into()), Some("é"), Some("é")),
            ("true", Leaf::Bool(true), None, None),
            ("-7", Leaf::Int(-7), None, Some("-7")),
            ("18446744073709551615", Leaf::Large(u64::MAX), None, Some("18446744073709551615")),
            ("1.5", Leaf::Double(1.5), None, None),
            (r#"[1,{"a":[]}]"#, Leaf::Other, None, None),
            (r#"{"a":[1]}"#, Leaf::Other, None, None),
        ] {
            let read: Leaf<'_> = serde_json::from_str(json).unwrap();
            assert_eq!((&read, read.text()), (&leaf, text), "{json}");
            assert_eq!((read.clone().into_text().as_deref(), read.spelt().as_deref()), (text, spelt), "{json}");
        }
    }
}
