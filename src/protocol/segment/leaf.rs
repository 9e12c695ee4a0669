//! Members that should be a text.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::protocol::json;

/// A member that should be a text; one of a wrong type is as one that is missing. A number is its own text, since user ids
/// occur as numbers.
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

impl<'de: 'a, 'a> Deserialize<'de> for Leaf<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match json::Leaf::deserialize(deserializer)? {
            json::Leaf::Text(text) => Some(text).filter(|text| !text.is_empty()),
            json::Leaf::Double(number) => Some(number.to_string().into()),
            leaf => leaf.spelt(),
        };
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::{Loose, Object};

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Pair<'a> {
        #[serde(borrow)]
        a: Leaf<'a>,
        #[serde(borrow)]
        b: Loose<Inner<'a>>,
    }

    #[derive(Default, Deserialize)]
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
