//! The protocol's JSON, read leniently: what has a wrong type is as if it were not there
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use std::borrow::Cow;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::outline::{Group, Span, requests};
use super::parts::{Element, Part, Reading};
use super::{Attribute, Bounds, ERROR, EXCEPTION, Record, Signal, Sink, Unreadable, Value};
use crate::protocol::json::{Leaf, pass};

/// The least that an element takes of a text, in bytes: `0,`.
const LEAST: usize = 2;

/// Reads a whole request, or several of them one after another.
pub fn read<'a>(body: &'a [u8], signal: Signal, bounds: Bounds, sink: &mut impl Sink<'a>) -> Result<(), Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::Broken)?;
    let within = bounds.bytes / LEAST;
    let begin = || Reading::new(signal, bounds.elements, within);
    // As a rule every record is good, and one pass does. Else each is read again by itself.
    if signal == Signal::Logs
        && let Ok(groups) = requests::<Option<Record<'_>>>(text, &begin())
    {
        return tell(groups, bounds, sink, |sink, scope, record| sink.record(scope, record.ok_or(Unreadable::Broken)));
    }
    let outline = begin();
    tell(requests::<&RawValue>(text, &outline)?, bounds, sink, |sink, scope, item| match signal {
        Signal::Logs => sink.record(scope, by_itself(item, within)),
        Signal::Traces => {
            sink.count(1);
            read_span(item, scope, (&outline, within), sink)
        }
        Signal::Metrics => {
            sink.count(points(item));
            Ok(())
        }
    })
}

/// Hands on what was read, in order.
fn tell<'a, I, S: Sink<'a>>(
    groups: Vec<Group<'a, I>>,
    bounds: Bounds,
    sink: &mut S,
    mut one: impl FnMut(&mut S, Cow<'a, str>, I) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    for group in groups {
        let resource = group.resource.filter(|raw| raw.get().len() <= bounds.bytes);
        let resource = resource.and_then(|raw| by_itself::<Resource<'_>>(raw, bounds.bytes).ok());
        sink.resource(resource.unwrap_or_default().attributes);
        for scope in group.scopes {
            let name = scope.scope.and_then(|raw| by_itself::<Named<'_>>(raw, bounds.bytes).ok()).unwrap_or_default();
            for item in scope.items {
                one(sink, name.0.clone(), item)?;
            }
        }
    }
    Ok(())
}

/// A part from a text of its own: another that cannot be read does not fail it.
fn by_itself<'a, T: Part<'a> + Default>(text: &'a RawValue, within: usize) -> Result<T, Unreadable> {
    let reading = Reading::new(Signal::Logs, usize::MAX, within);
    filled(text, &reading)?.ok_or(Unreadable::Broken)
}

/// A part, if there is an object in that text.
fn filled<'a, T: Part<'a> + Default>(text: &'a RawValue, of: &Reading) -> Result<Option<T>, Unreadable> {
    let mut part = T::default();
    let read = of.one(&mut part).deserialize(&mut serde_json::Deserializer::from_str(text.get()));
    read.map(|is_one| is_one.then_some(part)).map_err(|_| of.why())
}

/// The exceptions of a span, which is not kept itself.
fn read_span<'a>(
    span: &'a RawValue,
    scope: Cow<'a, str>,
    (outline, within): (&Reading, usize),
    sink: &mut impl Sink<'a>,
) -> Result<(), Unreadable> {
    let span: Span<'_> = match filled(span, outline) {
        Err(Unreadable::TooMany) => return Err(Unreadable::TooMany),
        read => read.ok().flatten().unwrap_or_default(),
    };
    let (trace, id) = (hexadecimal(&span.trace, 32), hexadecimal(&span.id, 16));
    for event in span.events {
        if by_itself::<Named<'_>>(event, within).is_ok_and(|named| named.0 == EXCEPTION) {
            let read = by_itself::<Record<'_>>(event, within).map(|Record { time, attributes, .. }| Record {
                time,
                attributes,
                severity: ERROR,
                event: EXCEPTION.into(),
                trace: trace.clone(),
                span: id.clone(),
                ..Record::default()
            });
            sink.record(scope.clone(), read)?;
        }
    }
    Ok(())
}

/// The data points of a metric.
fn points(metric: &RawValue) -> u64 {
    by_itself::<Points>(metric, usize::MAX).unwrap_or_default().0
}

fn text(leaf: Leaf<'_>) -> Cow<'_, str> {
    leaf.into_text().unwrap_or_default()
}

/// A number that is never negative, or 0.
fn unsigned(leaf: Leaf<'_>) -> u64 {
    match leaf {
        Leaf::Text(text) => text.parse().unwrap_or_default(),
        Leaf::Int(number) => u64::try_from(number).unwrap_or_default(),
        Leaf::Large(number) => number,
        Leaf::Double(number) if number > 0.0 => number as u64,
        Leaf::Absent | Leaf::Bool(_) | Leaf::Double(_) | Leaf::Other => 0,
    }
}

/// An id of so many digits that are not all zero.
fn hexadecimal(leaf: &Leaf<'_>, digits: usize) -> Option<String> {
    let Leaf::Text(text) = leaf else { return None };
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (valid && text.bytes().any(|byte| byte != b'0')).then(|| text.to_ascii_lowercase())
}

impl<'de> Part<'de> for Record<'de> {
    const AROUND: bool = true;

    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        match name {
            "timeUnixNano" => self.time = unsigned(from.next_value()?),
            "observedTimeUnixNano" => self.observed = unsigned(from.next_value()?),
            "severityNumber" => self.severity = super::severity(unsigned(from.next_value()?)),
            "severityText" => self.severity_text = text(from.next_value()?),
            "body" => _ = from.next_value_seed(of.one(&mut self.body))?,
            "attributes" => from.next_value_seed(of.all(&mut self.attributes))?,
            "traceId" => self.trace = hexadecimal(&from.next_value()?, 32),
            "spanId" => self.span = hexadecimal(&from.next_value()?, 16),
            "eventName" => self.event = text(from.next_value()?),
            _ => pass(from)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Resource<'a> {
    attributes: Vec<Attribute<'a>>,
}

impl<'de> Part<'de> for Resource<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        if name == "attributes" { from.next_value_seed(of.all(&mut self.attributes)) } else { pass(from) }
    }
}

/// The name of a scope, or of an event.
#[derive(Default)]
struct Named<'a>(Cow<'a, str>);

impl<'de> Part<'de> for Named<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, _: &Reading) -> Result<(), A::Error> {
        if name == "name" {
            self.0 = text(from.next_value()?);
            return Ok(());
        }
        pass(from)
    }
}

/// A pair of `key` and `value`.
impl<'de> Part<'de> for Attribute<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        match name {
            "key" => self.0 = text(from.next_value()?),
            "value" => _ = from.next_value_seed(of.one(&mut self.1))?,
            _ => pass(from)?,
        }
        Ok(())
    }
}

/// An object with one member that says of what kind the value is.
impl<'de> Part<'de> for Value<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        *self = match name {
            "stringValue" | "bytesValue" => Value::Text(text(from.next_value()?)),
            "boolValue" => Value::Bool(from.next_value::<Leaf<'_>>()? == Leaf::Bool(true)),
            "intValue" => whole(from.next_value()?),
            "doubleValue" => double(from.next_value()?),
            "arrayValue" => {
                let mut list = Values(Vec::new());
                from.next_value_seed(of.one(&mut list))?;
                Value::List(list.0)
            }
            "kvlistValue" => {
                let mut list = Values(Vec::new());
                from.next_value_seed(of.one(&mut list))?;
                Value::Map(list.0)
            }
            _ => return pass(from),
        };
        Ok(())
    }
}

struct Values<T>(Vec<T>);

impl<'de, T: Element<'de>> Part<'de> for Values<T> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        if name == "values" { from.next_value_seed(of.all(&mut self.0)) } else { pass(from) }
    }
}

/// Numbers of 64 bits travel as text, since those of JSON are not exact; some exporters write numbers all the same.
fn whole(leaf: Leaf<'_>) -> Value<'_> {
    match leaf {
        Leaf::Int(number) => Value::Int(number),
        Leaf::Text(text) => text.parse().map(Value::Int).unwrap_or(Value::Text(text)),
        Leaf::Large(number) => Value::Text(number.to_string().into()),
        Leaf::Double(number) => Value::Double(number),
        Leaf::Absent | Leaf::Bool(_) | Leaf::Other => Value::Empty,
    }
}

/// What JSON has no number for travels as text.
fn double(leaf: Leaf<'_>) -> Value<'_> {
    match leaf {
        Leaf::Double(number) => Value::Double(number),
        Leaf::Int(number) => Value::Int(number),
        Leaf::Large(number) => Value::Double(number as f64),
        Leaf::Text(text) => text.parse().map(Value::Double).unwrap_or(Value::Text(text)),
        Leaf::Absent | Leaf::Bool(_) | Leaf::Other => Value::Empty,
    }
}

/// How many data points a metric has.
#[derive(Default)]
struct Points(u64);

impl<'de> Part<'de> for Points {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        match name {
            "gauge" | "sum" | "histogram" | "exponentialHistogram" | "summary" => {
                let mut kind = Kind(Vec::new());
                from.next_value_seed(of.one(&mut kind))?;
                self.0 += kind.0.len() as u64;
                Ok(())
            }
            _ => pass(from),
        }
    }
}

struct Kind(Vec<Point>);

impl<'de> Part<'de> for Kind {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        if name == "dataPoints" { from.next_value_seed(of.all(&mut self.0)) } else { pass(from) }
    }
}

/// Any value: it is counted alone.
struct Point;

impl<'de> Element<'de> for Point {
    const AROUND: bool = false;

    fn next<A: SeqAccess<'de>>(seq: &mut A, _: &Reading) -> Result<Option<Self>, A::Error> {
        Ok(seq.next_element::<IgnoredAny>()?.map(|_| Self))
    }
}
