//! `$exception_list`: what was thrown, and where.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json;

/// Most causes, most frames of each, and the longest line in characters: events stay small enough to be kept.
const CAUSES: usize = 5;
const FRAMES: usize = 50;
const LINE: usize = 240;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Exception<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    stacktrace: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stack<'a> {
    #[serde(borrow)]
    frames: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Frame<'a> {
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow)]
    module: Option<&'a RawValue>,
    #[serde(borrow)]
    filename: Option<&'a RawValue>,
    #[serde(borrow)]
    abs_path: Option<&'a RawValue>,
    #[serde(borrow)]
    lineno: Option<&'a RawValue>,
    #[serde(borrow)]
    colno: Option<&'a RawValue>,
}

/// What was thrown.
#[derive(Default)]
pub struct Thrown<'a> {
    /// Its class.
    pub kind: Option<Cow<'a, str>>,
    /// Its message.
    pub message: Option<Cow<'a, str>>,
    /// Where, and by what it was caused, a line for each.
    pub stack: Vec<String>,
}

/// Reads the list. What is not as it should be tells nothing.
pub fn read(list: &RawValue) -> Thrown<'_> {
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
    let mut thrown = Thrown::default();
    for (at, raw) in list.into_iter().take(CAUSES).enumerate() {
        let exception: Exception<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
        let (kind, message) = (exception.kind.and_then(json::text), exception.value.and_then(json::text));
        if at == 0 {
            (thrown.kind, thrown.message) = (kind, message);
        } else {
            let named = [kind, message].into_iter().flatten().collect::<Vec<_>>().join(": ");
            thrown.stack.push(cut(format!("caused by {named}")));
        }
        let stack = exception.stacktrace.and_then(|raw| serde_json::from_str::<Stack<'_>>(raw.get()).ok());
        let frames = stack.map(|stack| stack.frames).unwrap_or_default();
        // The call that threw comes last.
        thrown.stack.extend(frames.into_iter().rev().take(FRAMES).filter_map(line));
    }
    thrown
}

/// `work (src/main.js:12:5)`.
fn line(raw: &RawValue) -> Option<String> {
    let frame: Frame<'_> = serde_json::from_str(raw.get()).ok()?;
    let text = |member: Option<&'_ RawValue>| member.and_then(json::text).map(Cow::into_owned);
    let function = text(frame.function).or_else(|| text(frame.module));
    let place = [text(frame.filename).or_else(|| text(frame.abs_path)), text(frame.lineno), text(frame.colno)];
    let place = place.into_iter().map_while(|part| part).collect::<Vec<_>>().join(":");
    match (function, place.is_empty()) {
        (Some(function), true) => Some(cut(function)),
        (Some(function), false) => Some(cut(format!("{function} ({place})"))),
        (None, true) => None,
        (None, false) => Some(cut(place)),
    }
}

fn cut(line: String) -> String {
    match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
