//! Values of attributes and bodies, and how they are written as JSON.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// A name and its value.
pub type Attribute<'a> = (Cow<'a, str>, Value<'a>);

/// Any value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// None of the following.
    #[default]
    Empty,
    /// Text; in JSON bytes are text in Base64 already.
    Text(Cow<'a, str>),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any number; JSON has no word for some of them.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Values in order.
    List(Vec<Value<'a>>),
    /// Values by name.
    Map(Vec<Attribute<'a>>),
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => to.serialize_unit(),
            Self::Text(text) => to.serialize_str(text),
            Self::Bool(value) => to.serialize_bool(*value),
            Self::Int(value) => to.serialize_i64(*value),
            Self::Double(value) if value.is_finite() => to.serialize_f64(*value),
            Self::Double(value) => to.serialize_str(unwritable(*value)),
            Self::Bytes(bytes) => to.collect_str(&Base64Display::new(bytes, &STANDARD)),
            Self::List(values) => to.collect_seq(values),
            Self::Map(members) => to.collect_map(last_of_each(members.iter().map(|(name, value)| (&**name, value)))),
        }
    }
}

/// A value as the text of an identifier or a fact: what is neither text nor a whole number is none.
pub fn as_text<'a>(value: &Value<'a>) -> Option<Cow<'a, str>> {
    match value {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        Value::Int(value) => Some(value.to_string().into()),
        Value::Text(_)
        | Value::Empty
        | Value::Bool(_)
        | Value::Double(_)
        | Value::Bytes(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

/// As the protocol buffers' own JSON writes them.
fn unwritable(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Members up to this number are compared with each other; more are looked up.
const FEW: usize = 16;

/// Members with names, in order; of several with one name the last.
pub fn last_of_each<'m, 'a>(
    members: impl Iterator<Item = (&'m str, &'m Value<'a>)>,
) -> impl Iterator<Item = (&'m str, &'m Value<'a>)>
where
    'a: 'm,
{
    let named = members.filter(|(name, _)| !name.is_empty());
    let mut members = Vec::with_capacity(named.size_hint().1.unwrap_or_default());
    members.extend(named);
    let last: Option<HashMap<&str, usize>> =
        (members.len() > FEW).then(|| members.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect());
    (0..members.len()).filter_map(move |at| {
        let (name, value) = members[at];
        let again = match &last {
            Some(last) => last.get(name) != Some(&at),
            None => members[at + 1..].iter().any(|(later, _)| *later == name),
        };
        (!again).then_some((name, value))
    })
}
