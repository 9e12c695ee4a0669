//! The properties of events, read member by member without taking them apart.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;

/// A property that is looked for by its name.
#[derive(Clone, Debug)]
pub(in crate::store) struct Key {
    name: Arc<str>,
    /// As it stands in JSON that escapes nothing.
    quoted: Box<str>,
}

/// What an event has under a property's name. Null counts as nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Value<'p> {
    /// A text, as what it says.
    Text(Cow<'p, str>),
    /// A number, as it is written.
    Number(&'p str),
    /// `true` or `false`.
    Truth(&'p str),
    /// An object or an array, which is no value to count by.
    Nested,
}

impl Key {
    pub(in crate::store) fn of(name: &Arc<str>) -> Self {
        Self { name: name.clone(), quoted: format!("\"{name}\"").into() }
    }

    /// Its name.
    pub(in crate::store) fn name(&self) -> &str {
        &self.name
    }

    /// What an event has under this name: the first one where it stands there twice.
    pub(in crate::store) fn find<'p>(&self, props: Option<&'p str>) -> Option<Value<'p>> {
        let props = props?;
        // Most events do not have it, and to see that is much cheaper than to read them.
        if !props.contains(&*self.quoted) && !props.contains('\\') {
            return None;
        }
        let mut found = None;
        members(props, |name, value| {
            if name != &*self.name {
                return ControlFlow::Continue(());
            }
            found = value;
            ControlFlow::Break(())
        });
        found
    }
}

impl<'p> Value<'p> {
    /// Its text behind a letter that says what it is.
    pub(in crate::store) fn marked(&self) -> String {
        let letter = match self {
            Self::Text(_) => "t",
            Self::Number(_) => "n",
            Self::Truth(_) => "b",
            Self::Nested => "o",
        };
        [letter, self.text().unwrap_or_default()].concat()
    }

    /// What was marked so; none where nothing can have been.
    pub(in crate::store) fn of_marked(marked: &'p str) -> Option<Self> {
        let (letter, text) = marked.split_at_checked(1)?;
        match letter {
            "t" => Some(Self::Text(Cow::Borrowed(text))),
            "n" => Some(Self::Number(text)),
            "b" => Some(Self::Truth(text)),
            "o" => Some(Self::Nested),
            _ => None,
        }
    }

    /// The same, as long as this one is there.
    pub(in crate::store) fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(Cow::Borrowed(text)),
            Self::Number(text) => Value::Number(text),
            Self::Truth(text) => Value::Truth(text),
            Self::Nested => Value::Nested,
        }
    }

    /// Its text; none where there is nothing to count by.
    pub(in crate::store) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(text) | Self::Truth(text) => Some(text),
            Self::Nested => None,
        }
    }
}

/// Shows the top-level members of properties until told to stop. What is no object has none.
pub(in crate::store) fn members<'p>(props: &'p str, mut visit: impl FnMut(&str, Option<Value<'p>>) -> ControlFlow<()>) {
    let mut reader = serde_json::Deserializer::from_str(props);
    // An error says that it is no object, or that it was not read to its end.
    _ = reader.deserialize_map(Members(&mut |name: &str, json: &'p RawValue| visit(name, value(json.get()))));
}

fn value(json: &str) -> Option<Value<'_>> {
    match json.as_bytes().first()? {
        b'n' => None,
        b't' | b'f' => Some(Value::Truth(json)),
        b'{' | b'[' => Some(Value::Nested),
        b'"' => {
            let inner = json.get(1..json.len() - 1)?;
            if !inner.contains('\\') {
                return Some(Value::Text(Cow::Borrowed(inner)));
            }
            serde_json::from_str(json).ok().map(|Name(text)| Value::Text(text))
        }
        _ => Some(Value::Number(json)),
    }
}

/// A text that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct Members<'v, V>(&'v mut V);

impl<'de, V: FnMut(&str, &'de RawValue) -> ControlFlow<()>> Visitor<'de> for Members<'_, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            if (self.0)(&name, map.next_value()?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_at_the_top_alone() {
        let props = r#"{"a":{"plan":"no"},"plan":"pro","n":-1.50,"on":true,"nothing":null,"list":[1,2],"q\"x":"a\nb","plan":"late","plän":"ä"}"#;
        for (name, text) in [
            ("plan", Some("pro")),
            ("n", Some("-1.50")),
            ("on", Some("true")),
            ("nothing", None),
            ("q\"x", Some("a\nb")),
            ("plän", Some("ä")),
            ("other", None),
            ("pro", None),
        ] {
            let found = Key::of(&name.into()).find(Some(props));
            assert_eq!(found.as_ref().and_then(Value::text), text, "{name}");
        }
        let list = Key::of(&"list".into()).find(Some(props));
        assert_eq!(list, Some(Value::Nested));
    }

    #[test]
    fn an_escaped_name_is_the_same_name() {
        assert_eq!(Key::of(&"plan".into()).find(Some(r#"{"pl\u0061n":1}"#)), Some(Value::Number("1")));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for props in [None, Some(""), Some("null"), Some("[\"plan\"]"), Some("\"plan\""), Some("{\"plan\"")] {
            assert_eq!(Key::of(&"plan".into()).find(props), None, "{props:?}");
        }
    }
}
