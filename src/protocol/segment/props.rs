//! Properties of an event: those of the call, and what its context says of the page and the campaign.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::decode::Kind;
use super::wire::{Context, Message};
use crate::protocol::json::{Filled, Members, pass};

/// A property that is added where the call has none of that name.
type Extra<'a> = (&'static str, &'a RawValue);

/// The properties of a message, with the members of its context that are kept as such.
pub fn of<'a>(
    kind: Kind,
    message: &Message<'a>,
    own: Option<&Context<'a>>,
    whole: Option<&Context<'a>>,
) -> Option<Cow<'a, RawValue>> {
    let mut extras = Vec::new();
    if kind != Kind::Track {
        extras.extend([("name", message.name), ("category", message.category)]);
    }
    if let Some(page) = own.and_then(|own| own.page.0.as_ref()).or(whole.and_then(|whole| whole.page.0.as_ref())) {
        // A call of a page is about it; any other was made on it.
        extras.extend(match kind {
            Kind::Page => [
                ("path", page.path),
                ("referrer", page.referrer),
                ("search", page.search),
                ("title", page.title),
                ("url", page.url),
            ],
            _ => [
                ("page_path", page.path),
                ("page_referrer", page.referrer),
                ("page_search", page.search),
                ("page_title", page.title),
                ("page_url", page.url),
            ],
        });
    }
    let campaign = own.and_then(|own| own.campaign.0.as_ref());
    if let Some(campaign) = campaign.or(whole.and_then(|whole| whole.campaign.0.as_ref())) {
        extras.extend([
            ("campaign_source", campaign.source),
            ("campaign_medium", campaign.medium),
            ("campaign_name", campaign.name),
            ("campaign_term", campaign.term),
            ("campaign_content", campaign.content),
        ]);
    }
    let extras: Vec<Extra<'a>> = extras.into_iter().filter_map(|(name, raw)| Some((name, filled(raw?)?))).collect();
    joined(message.properties, &extras)
}

/// A text that is not empty.
fn filled(raw: &RawValue) -> Option<&RawValue> {
    (raw.get().starts_with('"') && raw.get() != r#""""#).then_some(raw)
}

/// An object with more members. What is no object is left as it is.
fn joined<'a>(own: Option<&'a RawValue>, extras: &[Extra<'a>]) -> Option<Cow<'a, RawValue>> {
    let Some(own) = own else {
        return if extras.is_empty() { None } else { object("", extras.iter()).map(Cow::Owned) };
    };
    let inside = own.get().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let Some(inside) = inside.filter(|_| !extras.is_empty()) else { return Some(Cow::Borrowed(own)) };
    let known = serde_json::from_str::<Filled<Names<'_>>>(own.get()).map(|names| names.members.0).unwrap_or_default();
    let missing = extras.iter().filter(|(name, _)| !known.iter().any(|known| known == name));
    object(inside.trim(), missing).map_or(Some(Cow::Borrowed(own)), |joined| Some(Cow::Owned(joined)))
}

/// An object of members that are written already, and more. `None` cannot be: it would be our own defect.
fn object<'e, 'a: 'e>(written: &str, more: impl Iterator<Item = &'e Extra<'a>>) -> Option<Box<RawValue>> {
    let mut text = String::with_capacity(written.len() + 256);
    text.push('{');
    text.push_str(written);
    for (name, raw) in more {
        text.push_str(if text.len() > 1 { ",\"" } else { "\"" });
        text.push_str(name);
        text.push_str("\":");
        text.push_str(raw.get());
    }
    text.push('}');
    RawValue::from_string(text).ok()
}

/// The names of an object's members.
#[derive(Default)]
struct Names<'a>(Vec<Cow<'a, str>>);

impl<'de> Members<'de> for Names<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        self.0.push(name);
        pass(map)
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire;
    use super::*;

    fn read(kind: Kind, text: &str) -> Option<String> {
        let message = wire::message(text).unwrap();
        of(kind, &message, message.context.0.as_ref(), None).map(|props| props.get().to_owned())
    }

    #[test]
    fn context_is_added_where_the_call_says_nothing_itself() {
        const CONTEXT: &str =
            r#""context":{"page":{"path":"/a","title":"","url":7},"campaign":{"source":"news","name":null}}"#;
        for (kind, members, props) in [
            (Kind::Track, r#""properties":{"n":1}"#, r#"{"n":1,"page_path":"/a","campaign_source":"news"}"#),
            (Kind::Track, r#""properties":{ }"#, r#"{"page_path":"/a","campaign_source":"news"}"#),
            (Kind::Track, r#""name":"x""#, r#"{"page_path":"/a","campaign_source":"news"}"#),
            (
                Kind::Track,
                r#""properties":{"page\u005fpath":"/b"}"#,
                r#"{"page\u005fpath":"/b","campaign_source":"news"}"#,
            ),
            (Kind::Page, r#""properties":{"path":"/b"}"#, r#"{"path":"/b","campaign_source":"news"}"#),
            (
                Kind::Page,
                r#""name":"Start","category":"Docs","properties":{"name":"Own"}"#,
                r#"{"name":"Own","category":"Docs","path":"/a","campaign_source":"news"}"#,
            ),
            (Kind::Screen, r#""name":"Start""#, r#"{"name":"Start","page_path":"/a","campaign_source":"news"}"#),
            (Kind::Track, r#""properties":[1]"#, "[1]"),
            (Kind::Track, r#""properties":"{}""#, r#""{}""#),
        ] {
            assert_eq!(read(kind, &format!("{{{members},{CONTEXT}}}")).as_deref(), Some(props), "{members}");
        }
        assert_eq!(read(Kind::Track, "{}"), None);
        assert_eq!(read(Kind::Track, r#"{"properties":null,"context":{"page":{},"campaign":7}}"#), None);
        assert_eq!(read(Kind::Track, r#"{"properties":{"a":{"b":[]}}}"#).as_deref(), Some(r#"{"a":{"b":[]}}"#));
    }
}
