//! The properties of an event: those that have a place in our model, and the rest, which is kept.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::MapAccess;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::json;
use crate::protocol::json::{Members, pass};

macro_rules! known {
    ($($field:ident = $name:literal;)+) => {
        /// Properties that have a place of their own, each as its JSON.
        #[derive(Default)]
        pub struct Known<'a> { $(#[doc = $name] pub $field: Option<&'a RawValue>),+ }

        impl<'a> Known<'a> {
            fn place(&mut self, name: &str) -> Option<&mut Option<&'a RawValue>> {
                match name {
                    $($name => Some(&mut self.$field),)+
                    _ => None,
                }
            }
        }
    };
}

known! {
    distinct_id = "distinct_id";
    token = "token";
    set = "$set";
    set_once = "$set_once";
    session = "$session_id";
    device_id = "$device_id";
    anonymous = "$anon_distinct_id";
    identified = "$is_identified";
    person = "$process_person_profile";
    cookieless = "$cookieless_mode";
    agent = "$raw_user_agent";
    server = "$is_server";
    ip = "$ip";
    no_place = "$geoip_disable";
    uncorrected = "$ignore_sent_at";
    version = "$app_version";
    build = "$app_build";
    system_name = "$os_name";
    system = "$os";
    system_version = "$os_version";
    model = "$device_model";
    device_name = "$device_name";
    device = "$device";
    locale = "$locale";
    language = "$browser_language";
    lib = "$lib";
    lib_version = "$lib_version";
    exceptions = "$exception_list";
    level = "$exception_level";
    fingerprint = "$exception_fingerprint";
}

/// Nothing but the client's own bookkeeping, or names of people and machines, which are kept nowhere.
const PASSED_OVER: [&str; 15] = [
    "$config_defaults",
    "$configured_session_timeout_ms",
    "$distinct_id",
    "$had_persisted_distinct_id",
    "$initialization_time",
    "$insert_id",
    "$lib_custom_api_host",
    "$lib_rate_limit_remaining_tokens",
    "$pageview_id",
    "$recording_status",
    "$sdk_dist_channel",
    "$time",
    "$unset",
    "$user_id",
    "$window_id",
];

/// How such properties begin, too.
const DEBUG: &str = "$sdk_debug_";

/// An event's properties.
#[derive(Default)]
pub struct Properties<'a> {
    /// Those with a place of their own.
    pub known: Known<'a>,
    /// All others, in their order.
    pub rest: Rest<'a>,
}

/// Properties that are kept as they are.
#[derive(Default)]
pub struct Rest<'a> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// A stack, as lines.
    pub stack: Vec<String>,
}

impl<'de> Members<'de> for Properties<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        if let Some(place) = self.known.place(&name) {
            *place = Some(map.next_value()?);
        } else if PASSED_OVER.contains(&&*name) || name.starts_with(DEBUG) {
            pass(map)?;
        } else {
            self.rest.members.push((name, map.next_value()?));
        }
        Ok(())
    }
}

impl<'a> Known<'a> {
    /// A property as a text.
    pub fn text(place: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
        place.and_then(json::text).filter(|text| !text.is_empty())
    }

    /// Whether a property is `true`.
    pub fn is(place: Option<&RawValue>) -> bool {
        place.and_then(json::flag) == Some(true)
    }
}

impl<'a> Rest<'a> {
    /// Keeps one more.
    pub fn keep(&mut self, name: &'static str, value: Option<&'a RawValue>) {
        if let Some(value) = value {
            self.members.push((name.into(), value));
        }
    }

    /// A property by its name.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// All of them as JSON; nothing where there are none.
    pub fn json(&self) -> Option<Cow<'a, RawValue>> {
        if self.members.is_empty() && self.stack.is_empty() {
            return None;
        }
        to_raw_value(self).ok().map(Cow::Owned)
    }
}

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        if !self.stack.is_empty() {
            map.serialize_entry("stack", &self.stack)?;
        }
        map.end()
    }
}
