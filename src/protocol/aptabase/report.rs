//! Error reports as they travel, one a request, and `decode` from bytes to a claim.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::MapAccess;
use serde_json::value::{RawValue, to_raw_value};

use super::names;
use super::wire::{SOMEBODY, Told, filled, malformed, moment, session, unusable};
use crate::ingest::Sent;
use crate::model::{EventId, Fact, RawError, RawEvent, Refusal};
use crate::protocol::event_id::ContentIds;
use crate::protocol::json::{Filled, Found, Leaf, Members, pass};

/// How much of a message and of a stack is kept, in bytes: SDKs send at most 5,000 and 10,000 characters.
const MESSAGE: usize = 15_000;
const STACK: usize = 30_000;
/// How much of each other text is.
const WORD: usize = 200;

#[derive(Debug, Default)]
struct Report<'a>([Leaf<'a>; 13]);

impl<'de> Members<'de> for Report<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        const NAMES: [&str; 13] = [
            "errorMessage",
            "errorType",
            "stackTrace",
            "timestamp",
            "sessionId",
            "platform",
            "osName",
            "osVersion",
            "appVersion",
            "sdkVersion",
            "severity",
            "kind",
            "isDebug",
        ];
        match names::place(&NAMES, &name) {
            Some(place) => self.0[place] = map.next_value()?,
            None => pass(map)?,
        }
        Ok(())
    }
}

/// What a report tells beside the error, as properties.
#[derive(Serialize)]
struct Props<'p> {
    error_type: &'p str,
    message: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'p str>,
    #[serde(skip_serializing_if = "std::ops::Not::not", rename = "isDebug")]
    is_debug: bool,
}

/// Reads one report. One that says neither what went wrong nor how is set aside.
///
/// # Errors
/// [`Refusal::Malformed`] where it is no JSON object.
pub fn decode(body: &[u8], key: i64) -> Result<Told<'_>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
    let is_object = text.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok();
    if !is_object {
        return Err(malformed("the body is not a JSON object"));
    }
    Ok(one(text, Some(ContentIds::of(key, body).at(0))))
}

/// Whether a text that was set aside is a report, and no event.
pub(super) fn is_one(text: &str) -> bool {
    let says = |leaf: &Leaf<'_>| !matches!(leaf, Leaf::Absent | Leaf::Double(_) | Leaf::Other);
    serde_json::from_str::<Filled<Report<'_>>>(text).is_ok_and(|report| report.members.0[..2].iter().any(says))
}

/// One report by itself.
pub(super) fn one(text: &str, id: Option<EventId>) -> Told<'_> {
    let read = serde_json::from_str::<Filled<Report<'_>>>(text).ok().filter(|read| read.found == Found::Wanted);
    let unread = |detail, is_debug, session| {
        let sent = Sent { protocol: super::NAME, user: Some(SOMEBODY.into()), session };
        Told { claim: unusable(detail, id, text, sent), is_debug, names_system: false }
    };
    let Some(Filled { members: Report(leaves), .. }) = read else {
        return unread("a string of the report is not valid", false, None);
    };
    let [message, kind_of, stack, at, id_of_session, platform, os, os_version, version, sdk, severity, kind, debug] =
        leaves;
    let (is_debug, session) = (debug == Leaf::Bool(true), session(id_of_session));
    let (Some(message), Some(error_type)) = (filled(message), filled(kind_of)) else {
        return unread("`errorMessage` or `errorType` is missing, or not a string", is_debug, session);
    };
    let [stack, platform] = [stack, platform].map(filled);
    let (severity, kind) = (one_of(severity, &["fatal", "error"]), one_of(kind, &KINDS));
    let fatal = severity == Some("fatal") || kind == Some("crash");
    let props = Props {
        error_type: cut(&error_type, WORD),
        message: cut(&message, MESSAGE),
        stack: stack.as_deref().map(|stack| cut(stack, STACK)),
        platform: platform.as_deref().map(|platform| cut(platform, WORD)),
        severity,
        kind,
        is_debug,
    };
    let mut raw = RawEvent {
        id,
        claimed_at: moment(at).map(|(at, _)| at),
        name: if fatal { "crash" } else { "error" }.into(),
        session,
        props: to_raw_value(&props).ok().map(Cow::Owned),
        ..RawEvent::default()
    };
    let system = filled(os).map(names::system);
    let names_system = system.is_some();
    raw.facts.set(Fact::System, system);
    raw.facts.set(Fact::SystemVersion, filled(os_version));
    raw.facts.set(Fact::Version, filled(version));
    raw.facts.set(Fact::Sdk, filled(sdk));
    raw.error = Some(RawError { kind: Some(error_type), message: Some(message), fingerprint: None, fatal });
    Told { claim: crate::ingest::Claim::Event(raw), is_debug, names_system }
}

/// How an error came to be reported.
const KINDS: [&str; 4] = ["crash", "unhandled", "taskException", "handled"];

/// The word of a list that was sent, in any case.
fn one_of(leaf: Leaf<'_>, words: &[&'static str]) -> Option<&'static str> {
    let said = filled(leaf)?;
    words.iter().find(|word| word.eq_ignore_ascii_case(said.trim())).copied()
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Claim;
    use crate::model::Millis;

    #[test]
    fn report_is_an_error_with_its_stack() {
        let body = br#"{"ErrorMessage":"no route","errorType":"NetworkError","stackTrace":"at a\n at b",
            "timestamp":"2026-11-20T10:00:00.5Z","sessionId":"176300000012345678","platform":"Tauri","osName":"macOS",
            "osVersion":"26.1","appVersion":"1.4.0","sdkVersion":"tauri-plugin-aptabase@1.3.0","severity":"FATAL",
            "kind":"crash","isDebug":true}"#;
        let told = decode(body, 7).unwrap();
        let Claim::Event(raw) = told.claim else { panic!("{told:?}") };
        assert!(told.is_debug && told.names_system && raw.id.is_some());
        assert_eq!((&*raw.name, raw.session.as_deref()), ("crash", Some("176300000012345678")));
        assert_eq!(raw.claimed_at, Some(Millis(1_795_168_800_500)));
        assert_eq!(raw.facts.get(Fact::System), Some("macos"));
        let error = raw.error.unwrap();
        assert_eq!(
            (error.kind.as_deref(), error.message.as_deref(), error.fatal),
            (Some("NetworkError"), Some("no route"), true)
        );
        let props: serde_json::Value = serde_json::from_str(raw.props.unwrap().get()).unwrap();
        let expected = serde_json::json!({
            "error_type": "NetworkError", "message": "no route", "stack": "at a\n at b", "platform": "Tauri",
            "severity": "fatal", "kind": "crash", "isDebug": true
        });
        assert_eq!(props, expected);
    }

    #[test]
    fn what_tells_of_no_error_is_set_aside_and_what_is_no_object_refused() {
        for body in
            [r#"{"errorMessage":" ","errorType":"E"}"#, r#"{"errorType":"E"}"#, "{}", r#"{"errorMessage":"\ud800"}"#]
        {
            let told = decode(body.as_bytes(), 7).unwrap();
            assert!(matches!(told.claim, Claim::Unusable { .. }), "{body}");
        }
        for body in ["", "[]", "7", "{", "{\"errorMessage\":", "\u{feff}{}"] {
            assert!(matches!(decode(body.as_bytes(), 7), Err(Refusal::Malformed(_))), "{body}");
        }
        assert!(matches!(decode(b"{\"\xff\":1}", 7), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn long_texts_are_cut_and_unknown_words_left_out() {
        let long = "ü".repeat(40_000);
        let body = serde_json::json!({ "errorMessage": long, "errorType": "E", "stackTrace": long, "kind": "odd" })
            .to_string();
        let Claim::Event(raw) = decode(body.as_bytes(), 7).unwrap().claim else { panic!() };
        let props = raw.props.unwrap();
        assert!(props.get().len() < MESSAGE + STACK + 200 && !props.get().contains("odd"));
        assert!(!raw.error.unwrap().fatal);
        assert!(is_one(&body) && is_one(r#"{"ERRORTYPE":7}"#) && !is_one(r#"{"eventName":"a"}"#));
    }
}
