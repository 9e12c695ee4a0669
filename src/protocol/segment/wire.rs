//! What Segment's and RudderStack's SDKs send: batches and single messages, read without judging them.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::leaf::Leaf;
use crate::protocol::json::{List, Loose, Name, NoList, Object, bounded, pass};

/// One call of an SDK. Members that are not named here are not kept.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Message<'a> {
    /// Which call; in a batch.
    #[serde(borrow, rename = "type")]
    pub kind: Leaf<'a>,
    /// The same on every resend.
    #[serde(borrow)]
    pub message_id: Leaf<'a>,
    #[serde(borrow)]
    pub user_id: Leaf<'a>,
    #[serde(borrow)]
    pub anonymous_id: Leaf<'a>,
    /// On alias: what the user was called before.
    #[serde(borrow)]
    pub previous_id: Leaf<'a>,
    /// On track: what happened.
    #[serde(borrow)]
    pub event: Leaf<'a>,
    /// On page and screen.
    #[serde(borrow)]
    pub name: Option<&'a RawValue>,
    /// On page and screen.
    #[serde(borrow)]
    pub category: Option<&'a RawValue>,
    #[serde(borrow)]
    pub properties: Option<&'a RawValue>,
    /// Of a person, on identify.
    #[serde(borrow)]
    pub traits: Loose<Traits<'a>>,
    /// Time of the call in Segment's SDKs.
    #[serde(borrow)]
    pub timestamp: Leaf<'a>,
    /// The same in RudderStack's.
    #[serde(borrow)]
    pub original_timestamp: Leaf<'a>,
    #[serde(borrow)]
    pub sent_at: Leaf<'a>,
    /// `server`, `mobile` or `web` in RudderStack's SDKs.
    #[serde(borrow)]
    pub channel: Leaf<'a>,
    #[serde(borrow)]
    pub context: Loose<Context<'a>>,
}

/// What is kept of a person.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Traits<'a> {
    #[serde(borrow)]
    pub email: Leaf<'a>,
    #[serde(borrow)]
    pub name: Leaf<'a>,
    #[serde(borrow)]
    pub first_name: Leaf<'a>,
    #[serde(borrow)]
    pub last_name: Leaf<'a>,
}

/// Where a call was made.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Context<'a> {
    #[serde(borrow)]
    pub app: Loose<App<'a>>,
    #[serde(borrow)]
    pub device: Loose<Device<'a>>,
    #[serde(borrow)]
    pub os: Loose<Named<'a>>,
    #[serde(borrow)]
    pub library: Loose<Named<'a>>,
    #[serde(borrow)]
    pub locale: Leaf<'a>,
    #[serde(borrow)]
    pub user_agent: Leaf<'a>,
    #[serde(borrow)]
    pub user_agent_data: Loose<AgentData<'a>>,
    #[serde(borrow)]
    pub ip: Leaf<'a>,
    #[serde(borrow)]
    pub page: Loose<Page<'a>>,
    #[serde(borrow)]
    pub campaign: Loose<Campaign<'a>>,
    /// In RudderStack's client SDKs: when the session began.
    #[serde(borrow)]
    pub session_id: Leaf<'a>,
    /// On identify: the person's, too.
    #[serde(borrow)]
    pub traits: Loose<Traits<'a>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct App<'a> {
    #[serde(borrow)]
    pub name: Leaf<'a>,
    #[serde(borrow)]
    pub version: Leaf<'a>,
    #[serde(borrow)]
    pub build: Leaf<'a>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Device<'a> {
    #[serde(borrow)]
    pub model: Leaf<'a>,
}

/// A system, or a library.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Named<'a> {
    #[serde(borrow)]
    pub name: Leaf<'a>,
    #[serde(borrow)]
    pub version: Leaf<'a>,
}

/// What newer browsers say of themselves.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct AgentData<'a> {
    #[serde(borrow)]
    pub platform: Leaf<'a>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Page<'a> {
    #[serde(borrow)]
    pub path: Option<&'a RawValue>,
    #[serde(borrow)]
    pub referrer: Option<&'a RawValue>,
    #[serde(borrow)]
    pub search: Option<&'a RawValue>,
    #[serde(borrow)]
    pub title: Option<&'a RawValue>,
    #[serde(borrow)]
    pub url: Option<&'a RawValue>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Campaign<'a> {
    #[serde(borrow)]
    pub source: Option<&'a RawValue>,
    #[serde(borrow)]
    pub medium: Option<&'a RawValue>,
    #[serde(borrow)]
    pub name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub term: Option<&'a RawValue>,
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
}

/// A batch: its messages, each as a `T`, and what they share.
pub struct Batch<'a, T> {
    /// As they came.
    pub messages: Vec<T>,
    /// When the batch was sent, by the client's clock.
    pub sent_at: Leaf<'a>,
    /// Stands in for what a message does not say itself.
    pub context: Option<Context<'a>>,
}

/// Reads a batch of at most `most` messages.
pub fn batch<'a, T: Deserialize<'a>>(text: &'a str, most: usize) -> Result<Batch<'a, T>, NoList> {
    bounded(text, most, |list, parser| parser.deserialize_map(Envelope(list)))
}

/// Reads one message by itself.
pub fn message(text: &str) -> Result<Message<'_>, serde_json::Error> {
    serde_json::from_str::<Object<Message<'_>>>(text).map(|message| message.0)
}

struct Envelope<'l, T>(List<'l, T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Envelope<'_, T> {
    type Value = Batch<'de, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `batch`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Batch<'de, T>, A::Error> {
        let mut list = Some(self.0);
        let (mut messages, mut sent_at, mut context) = (None, Leaf::default(), None);
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "batch" => {
                    let list = list.take().ok_or_else(|| A::Error::duplicate_field("batch"))?;
                    messages = Some(map.next_value_seed(list)?);
                }
                "sentAt" => sent_at = map.next_value()?,
                "context" => context = map.next_value::<Loose<Context<'de>>>()?.0,
                _ => pass(&mut map)?,
            }
        }
        let messages = messages.ok_or_else(|| A::Error::missing_field("batch"))?;
        Ok(Batch { messages, sent_at, context })
    }
}

/// The write key that a body names: that of the whole, else that of its first message.
pub fn key(body: &[u8]) -> Option<String> {
    let keyed = serde_json::from_slice::<Object<Keyed<'_>>>(body).ok()?.0;
    keyed.write_key.into_text().or(keyed.batch.0).map(Into::into)
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Keyed<'a> {
    #[serde(borrow)]
    write_key: Leaf<'a>,
    #[serde(borrow)]
    batch: FirstKey<'a>,
}

/// The key of an array's first message.
#[derive(Default)]
struct FirstKey<'a>(Option<std::borrow::Cow<'a, str>>);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow)]
    write_key: Leaf<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for FirstKey<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FirstKeyVisitor)
    }
}

struct FirstKeyVisitor;

impl<'de> Visitor<'de> for FirstKeyVisitor {
    type Value = FirstKey<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<FirstKey<'de>, A::Error> {
        let first = seq.next_element::<Loose<Item<'de>>>()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(FirstKey(first.and_then(|first| first.0).and_then(|item| item.write_key.into_text())))
    }
}
