//! JSON read member by member, borrowed from the body; what does not fit is named by its place.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Why a request breaks the schema, and where; answered with 422.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// `body` or `headers`.
    pub on: &'static str,
    /// JSON pointer to the first place that does not fit; empty for a body that is no JSON at all.
    pub property: String,
    /// What is wrong, as a sentence that begins with the place. No value of the request is in it.
    pub summary: String,
}

impl Invalid {
    /// The body as a whole does not fit.
    pub fn body(summary: &str) -> Self {
        Self { on: "body", property: String::new(), summary: summary.to_owned() }
    }

    /// A header does not fit.
    pub fn header(name: &str, problem: &str) -> Self {
        Self { on: "headers", property: format!("/{name}"), summary: format!("header {name} {problem}") }
    }
}

/// A value and how it is reached.
#[derive(Clone, Copy)]
pub struct Place<'p, 'a> {
    value: &'a RawValue,
    step: Step<'p, 'a>,
}

#[derive(Clone, Copy)]
enum Step<'p, 'a> {
    Top,
    Member(&'p Object<'p, 'a>, &'static str),
    Element(&'p Place<'p, 'a>, usize),
}

/// An object, its members as they came.
pub struct Object<'p, 'a> {
    place: Place<'p, 'a>,
    members: Members<'a>,
}

impl<'a> Place<'_, 'a> {
    /// The whole body.
    ///
    /// # Errors
    /// Where it is not JSON.
    pub fn top(body: &'a [u8]) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(body).map_err(|_| Invalid::body("the body is not UTF-8"))?;
        let value = serde_json::from_str(text).map_err(|_| Invalid::body("the body is not JSON"))?;
        Ok(Self { value, step: Step::Top })
    }

    /// Its text, as it came.
    pub fn raw(&self) -> &'a RawValue {
        self.value
    }

    /// The error that names this place.
    pub fn invalid(&self, problem: impl fmt::Display) -> Invalid {
        let (mut property, mut name) = (String::new(), String::new());
        self.walk(&mut property, &mut name);
        let name = if name.is_empty() { "the body" } else { &name };
        Invalid { on: "body", property, summary: format!("{name} {problem}") }
    }

    /// The members of an object.
    pub fn object<'p>(&'p self) -> Result<Object<'p, 'a>, Invalid> {
        match serde_json::from_str(self.value.get()) {
            Ok(members) if self.value.get().starts_with('{') => Ok(Object { place: *self, members }),
            Ok(_) | Err(_) => Err(self.invalid("must be an object")),
        }
    }

    /// The elements of an array.
    pub fn list<'p>(&'p self) -> Result<Vec<Place<'p, 'a>>, Invalid> {
        let values: Vec<&'a RawValue> =
            serde_json::from_str(self.value.get()).map_err(|_| self.invalid("must be an array"))?;
        let element = |(index, value)| Place { value, step: Step::Element(self, index) };
        Ok(values.into_iter().enumerate().map(element).collect())
    }

    /// A string of at most `most` characters, without NUL. Halves of surrogate pairs, which no text has, are replaced.
    pub fn text(&self, most: usize) -> Result<Cow<'a, str>, Invalid> {
        let Ok(Text(text)) = serde_json::from_str(self.value.get()) else {
            return Err(self.invalid("must be a string"));
        };
        if text.contains('\0') {
            return Err(self.invalid("must not hold a NUL character"));
        }
        // No text has more characters than bytes.
        if text.len() > most && text.chars().count() > most {
            return Err(self.invalid(format_args!("must have at most {most} characters")));
        }
        Ok(text)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Result<bool, Invalid> {
        serde_json::from_str(self.value.get()).map_err(|_| self.invalid("must be a boolean"))
    }

    /// A number that is not negative, its fraction cut off; `null` is 0, as a client writes what is no number.
    pub fn count(&self) -> Result<i64, Invalid> {
        /// Beyond this not every whole number is one that JavaScript has.
        const LARGEST: f64 = 9_007_199_254_740_991.0;
        let number = match self.value.get() {
            "null" => 0.0,
            text => serde_json::from_str::<f64>(text).map_err(|_| self.invalid("must be a number or null"))?,
        };
        if (0.0..=LARGEST).contains(&number) {
            // In this range the cast does nothing but cut the fraction off.
            return Ok(number as i64);
        }
        Err(self.invalid("must be a number that is not negative and not beyond 2^53"))
    }

    /// What the words of a list mean.
    pub fn one_of<T>(&self, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Invalid> {
        parse(&self.text(usize::MAX)?).ok_or_else(|| self.invalid(format_args!("is not a known {what}")))
    }

    fn walk(&self, property: &mut String, name: &mut String) {
        let part = match self.step {
            Step::Top => return,
            Step::Member(object, key) => {
                object.place.walk(property, name);
                Cow::Borrowed(key)
            }
            Step::Element(list, index) => {
                list.walk(property, name);
                Cow::Owned(index.to_string())
            }
        };
        property.push('/');
        property.push_str(&part);
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&part);
    }
}

impl<'a> Object<'_, 'a> {
    /// A member that must be there; `null` is a value.
    pub fn required(&self, key: &'static str) -> Result<Place<'_, 'a>, Invalid> {
        self.find(key).ok_or_else(|| {
            // The place of what is not there.
            Place { value: RawValue::NULL, step: Step::Member(self, key) }.invalid("is required")
        })
    }

    /// A member that may be absent; `null` counts as that.
    pub fn optional(&self, key: &'static str) -> Option<Place<'_, 'a>> {
        self.find(key).filter(|place| place.value.get() != "null")
    }

    /// A string that may be absent, and is where it is empty.
    pub fn filled(&self, key: &'static str, most: usize) -> Result<Option<Cow<'a, str>>, Invalid> {
        let text = self.optional(key).map(|place| place.text(most)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// As in JavaScript, the last of several counts.
    fn find(&self, key: &'static str) -> Option<Place<'_, 'a>> {
        let (_, value) = self.members.0.iter().rev().find(|(name, _)| name == key)?;
        Some(Place { value, step: Step::Member(self, key) })
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsMembers;
        impl<'de> Visitor<'de> for AsMembers {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(A::Error::custom("an array"))
            }
        }
        deserializer.deserialize_map(AsMembers)
    }
}

/// A string with what is no text in it replaced.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;
        impl<'de> Visitor<'de> for AsText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Text(String::from_utf8_lossy(bytes)))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(String::from_utf8_lossy(bytes).into_owned())))
            }
        }
        deserializer.deserialize_bytes(AsText)
    }
}

#[cfg(test)]
mod tests;
