//! From claim to event: bounded, timed, free of addresses. Every policy on what a client may send is here.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::acquaint::Acquaintance;
use super::again::{self, Arrival};
use super::etiquette::Etiquette;
use super::failure::error_of;
use super::privacy::{Pseudonyms, without_identifiers};
use super::{Claim, Request, Scope};
use crate::model::{
    Country, Earlier, Event, EventId, Fact, Facts, Limits, Millis, RawEvent, RawFacts, Reason, SetAside,
};
use crate::store::{Draft, Entry};

/// Claimed times further in the future than this are taken as wrong, and the event counts as of its arrival.
const FUTURE: i64 = Millis::MINUTE;

/// Claimed times before 2000 are clocks that were never set: the event counts as of its arrival.
const PAST: Millis = Millis(946_684_800_000);

/// Client clocks within this distance of ours are taken as right: it is the resolution of the time they send, and
/// the way it travels.
const TOLERANCE: i64 = 3 * Millis::SECOND;

/// Rough weight of an event in the queue beside its texts, in bytes.
const WEIGHT: usize = 200;

/// Makes a request's draft, and estimates its size in the queue in bytes.
pub(super) fn draft(request: Request<'_>, limits: &Limits) -> (Draft, usize) {
    let Request { scope, received_at, sent_at, nonce, claims, people, sign_out } = request;
    let mut entries = Vec::with_capacity(claims.len());
    let mut size = WEIGHT;
    let offset = sent_at.map_or(0, |sent| received_at.since(sent));
    let offset = if offset.abs() <= TOLERANCE { 0 } else { offset };
    let mut shared = Shared { country: scope.country, ..Shared::default() };
    let mut pseudonyms = Pseudonyms::new(&scope.app.salt);
    let oldest = scope.rules.oldest(scope.environment, received_at, limits.age);
    let arrival = Arrival { received_at, offset, country: scope.country, limits };
    let mut told = Acquaintance::new(&scope.rules.banned, received_at);
    let mut etiquette = Etiquette::new(&scope, received_at);
    for claim in &claims {
        let entry = match (etiquette.keeps_out(claim, limits, &mut pseudonyms), claim) {
            (Some(out), _) => out,
            (None, Claim::Event(raw)) => match judge(raw, (received_at, offset), (limits, oldest)) {
                Ok(times) => {
                    if let Some((anonymous, user)) = raw.linked() {
                        told.link(pseudonyms.other_user(anonymous), pseudonyms.user(user), Earlier::Anyone);
                    }
                    Entry::Event(event(raw, times, limits, &mut shared, &mut pseudonyms))
                }
                Err((reason, detail)) => {
                    let body = raw.props.as_deref().map_or("null", RawValue::get);
                    let again = again::of_event(raw, arrival, &mut pseudonyms);
                    Entry::SetAside(SetAside { again, ..set_aside(reason, detail, raw.id, body, limits) })
                }
            },
            (None, Claim::Unusable { reason, detail, id, body, sent }) => {
                let again = sent.as_ref().and_then(|sent| again::of_text(sent, body, arrival, &mut pseudonyms));
                Entry::SetAside(SetAside { again, ..set_aside(*reason, detail.clone(), *id, body, limits) })
            }
            (None, Claim::Banned) => Entry::Banned,
        };
        size += WEIGHT
            + match &entry {
                Entry::Event(event) | Entry::Restored(event) => event.props().map_or(0, str::len),
                Entry::SetAside(event) => event.body.len() + event.again.as_ref().map_or(0, |again| again.len()),
                Entry::Banned | Entry::Withheld(_) => 0,
            };
        entries.push(entry);
    }
    for person in &people {
        if !etiquette.passes_over(person, &mut pseudonyms) {
            told.tell(person, limits, &mut pseudonyms);
        }
    }
    size += shared.bytes + told.weight();
    let Acquaintance { people, links, .. } = told;
    let Scope { app, environment, key, .. } = scope;
    let draft = Draft { key, nonce, entries, sign_out, people, links, ..Draft::new(app, environment, received_at) };
    (draft, size)
}

/// Texts and facts that neighbours in a batch share.
#[derive(Default)]
pub(super) struct Shared<'a> {
    name: Option<Arc<str>>,
    category: Option<Arc<str>>,
    facts: Option<(&'a RawFacts<'a>, Arc<Facts>)>,
    /// Where the request began.
    country: Option<Country>,
    /// Length of all that was not found here.
    bytes: usize,
}

/// The times of an event that can be kept as one, or why it cannot.
fn judge(
    raw: &RawEvent<'_>,
    (received_at, offset): (Millis, i64),
    (limits, oldest): (&Limits, Millis),
) -> Result<(Millis, Millis), (Reason, String)> {
    if let Some(refusal) = refuse(raw, limits) {
        return Err(refusal);
    }
    let times = times(raw.claimed_at, offset, received_at);
    outlived(times.1, received_at, oldest).map_or(Ok(times), Err)
}

/// Why an event of that time would be forgotten at once, or taken for new though it was here before, if it would.
pub(super) fn outlived(occurred_at: Millis, now: Millis, oldest: Millis) -> Option<(Reason, String)> {
    (occurred_at < oldest).then(|| {
        let days = now.since(oldest) / Millis::DAY;
        (Reason::TooOld, format!("the event is older than the {days} days for which events are kept"))
    })
}

/// Why an event cannot be kept as one, if it cannot.
pub(super) fn refuse(raw: &RawEvent<'_>, limits: &Limits) -> Option<(Reason, String)> {
    if raw.name.is_empty() {
        return Some((Reason::Invalid, "the event has no name".to_owned()));
    }
    for (what, id) in [("user", &raw.user), ("user", &raw.anonymous), ("session", &raw.session)] {
        if id.as_ref().is_some_and(|id| id.len() > limits.identifier_bytes) {
            let detail = format!("the {what} id is longer than {} bytes", limits.identifier_bytes);
            return Some((Reason::Invalid, detail));
        }
    }
    let props = raw.props.as_deref().map_or("", RawValue::get);
    if props.len() > limits.event_bytes {
        return Some((Reason::TooLarge, format!("the properties are larger than {} bytes", limits.event_bytes)));
    }
    let shape = Shape::of(props);
    if shape.depth > limits.depth {
        return Some((Reason::TooComplex, format!("the properties are nested deeper than {}", limits.depth)));
    }
    if shape.members > limits.props {
        return Some((Reason::TooComplex, format!("the event has more than {} properties", limits.props)));
    }
    None
}

pub(super) fn event<'a>(
    raw: &'a RawEvent<'a>,
    (claimed_at, occurred_at): (Millis, Millis),
    limits: &Limits,
    shared: &mut Shared<'a>,
    pseudonyms: &mut Pseudonyms<'a>,
) -> Event {
    let name = reuse(&mut shared.name, &bounded(&raw.name, limits.name_bytes), &mut shared.bytes);
    let category = raw.category.as_deref().filter(|text| !text.is_empty());
    let category =
        category.map(|text| reuse(&mut shared.category, &bounded(text, limits.name_bytes), &mut shared.bytes));
    let facts = match &shared.facts {
        Some((last, facts)) if **last == raw.facts => facts.clone(),
        _ => {
            let made = Arc::new(facts(&raw.facts, shared.country));
            shared.bytes += Fact::ALL.iter().filter_map(|fact| made.get(*fact)).map(str::len).sum::<usize>();
            shared.facts = Some((&raw.facts, made.clone()));
            made
        }
    };
    let props = raw.props.as_deref().map(|props| compact(props.get())).filter(|text| &**text != "null");
    let error = error_of(raw, props.as_deref()).map(Box::new);
    shared.bytes += error.as_ref().map_or(0, |error| error.group.len() + error.message.len());
    Event {
        id: raw.id.unwrap_or_else(EventId::random),
        claimed_at,
        occurred_at,
        name,
        category,
        user: raw.whose().map(|id| pseudonyms.user(id)),
        session: raw.session.as_deref().filter(|id| !id.is_empty()).map(|id| pseudonyms.session(id)),
        facts,
        props,
        error,
    }
}

/// The claimed time as it is, for de-duplication, and the time of the event by our clock.
pub(super) fn times(claimed: Option<Millis>, offset: i64, received_at: Millis) -> (Millis, Millis) {
    let claimed = claimed.unwrap_or(received_at);
    let corrected = claimed.plus(offset);
    let plausible = corrected >= PAST && corrected <= received_at.plus(FUTURE);
    (claimed, if plausible { corrected.min(received_at) } else { received_at })
}

/// The facts that were claimed, with the country of the request where none was.
pub(super) fn facts(raw: &RawFacts<'_>, country: Option<Country>) -> Facts {
    let mut facts = Facts::default();
    for fact in Fact::ALL {
        facts.0[fact as usize] = raw.get(fact).map(|text| bounded(text, fact.max_len()).into());
    }
    let country_fact = &mut facts.0[Fact::Country as usize];
    *country_fact = country_fact.take().or_else(|| country.map(|country| country.code().into()));
    facts
}

fn reuse(last: &mut Option<Arc<str>>, text: &str, bytes: &mut usize) -> Arc<str> {
    match last {
        Some(shared) if **shared == *text => shared.clone(),
        _ => {
            *bytes += text.len();
            last.insert(text.into()).clone()
        }
    }
}

/// A text without control characters, cut to `max` bytes with an ellipsis as the mark.
pub(super) fn bounded(text: &str, max: usize) -> Cow<'_, str> {
    let clean = !text.bytes().any(|byte| byte < 0x20 || byte == 0x7f);
    if clean && text.len() <= max {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(max.min(text.len()));
    for c in text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
        if kept.len() + c.len_utf8() > max.saturating_sub('…'.len_utf8()) {
            kept.push('…');
            break;
        }
        kept.push(c);
    }
    Cow::Owned(kept)
}

fn set_aside(reason: Reason, detail: String, id: Option<EventId>, body: &str, limits: &Limits) -> SetAside {
    SetAside { reason, detail, id, body: without_identifiers(body, limits.set_aside_bytes).into(), again: None }
}

/// How deep valid JSON is nested, and how many members and elements it has at all depths together.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    depth: usize,
    members: usize,
}

impl Shape {
    fn of(json: &str) -> Self {
        let (mut depth, mut deepest, mut members) = (0_usize, 0, 0);
        for byte in Structure::new(json) {
            match byte {
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                    members += 1; // its first; an empty one counts as if it had one
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b',' => members += 1,
                _ => {}
            }
        }
        Self { depth: deepest, members }
    }
}

/// The bytes of valid JSON that stand outside of strings.
struct Structure<'a> {
    rest: std::slice::Iter<'a, u8>,
}

impl<'a> Structure<'a> {
    fn new(json: &'a str) -> Self {
        Self { rest: json.as_bytes().iter() }
    }
}

impl Iterator for Structure<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = *self.rest.next()?;
        if byte == b'"' {
            while let Some(inside) = self.rest.next() {
                match inside {
                    b'\\' => _ = self.rest.next(),
                    b'"' => break,
                    _ => {}
                }
            }
        }
        Some(byte)
    }
}

/// Valid JSON without the white space between its tokens.
fn compact(json: &str) -> Box<str> {
    if !Structure::new(json).any(|byte| byte.is_ascii_whitespace()) {
        return json.into();
    }
    let mut kept = String::with_capacity(json.len());
    let (mut inside, mut escaped) = (false, false);
    for c in json.chars() {
        if inside || !c.is_ascii_whitespace() {
            kept.push(c);
        }
        match (inside, c) {
            (true, _) if escaped => escaped = false,
            (true, '\\') => escaped = true,
            (_, '"') => inside = !inside,
            _ => {}
        }
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_counts_depth_and_members_outside_strings() {
        for (json, depth, members) in [
            ("", 0, 0),
            ("1", 0, 0),
            (r#"{"a":1}"#, 1, 1),
            (r#"{"a":[1,2],"b":{"c":"}{[,:"}}"#, 2, 5),
            (r#"["\"[[["]"#, 1, 1),
        ] {
            assert_eq!(Shape::of(json), Shape { depth, members }, "{json}");
        }
    }

    #[test]
    fn compact_removes_only_space_between_tokens() {
        for (json, kept) in [
            (r#"{"a b":"c \" d"}"#, r#"{"a b":"c \" d"}"#),
            ("{ \"a b\" : [ 1,\n\t2 ] , \"q\\\\\" : \" \" }", "{\"a b\":[1,2],\"q\\\\\":\" \"}"),
        ] {
            assert_eq!(&*compact(json), kept);
        }
    }

    #[test]
    fn bounded_cuts_with_a_mark_and_replaces_control_characters() {
        for (text, max, kept) in [
            ("short", 10, "short"),
            ("exactly10.", 10, "exactly10."),
            ("longer than ten", 10, "longer …"),
            ("a\0b\nc", 20, "a\u{fffd}b\u{fffd}c"),
            ("ééééééé", 10, "ééé…"),
        ] {
            let bounded = bounded(text, max);
            assert_eq!(bounded, kept);
            assert!(bounded.len() <= max.max(text.len()));
        }
    }

    #[test]
    fn times_are_corrected_and_clamped() {
        let now = Millis(1_800_000_000_000);
        for (claimed, offset, occurred) in [
            (Some(now.plus(-5_000)), 0, now.plus(-5_000)),
            (None, 0, now),
            (Some(now.plus(-5_000)), -60_000, now.plus(-65_000)),
            (Some(now.plus(30_000)), 0, now),
            (Some(now.plus(90_000)), 0, now),
            (Some(Millis(0)), 0, now),
            (Some(Millis(i64::MAX)), 5, now),
        ] {
            assert_eq!(times(claimed, offset, now), (claimed.unwrap_or(now), occurred), "{claimed:?} {offset}");
        }
    }
}
