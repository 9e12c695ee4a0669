//! The protocol's JSON, read leniently: what has a wrong type is as if it were not there
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::lenient::{Leaf, List, Object, scalars_are};
use super::outline::{Outlines, Span};
use super::{Attribute, Bounds, ERROR, EXCEPTION, Record, Signal, Sink, Unreadable, Value};

/// Reads a whole request, or several of them one after another.
pub fn read<'a>(body: &'a [u8], signal: Signal, bounds: Bounds, sink: &mut impl Sink<'a>) -> Result<(), Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::Broken)?;
    let outlines = Outlines::new(signal, bounds.elements);
    for group in outlines.requests(text)? {
        let resource = group.resource.filter(|raw| raw.get().len() <= bounds.bytes);
        sink.resource(named(resource.and_then(object::<Resource<'_>>).unwrap_or_default().attributes));
        for scope in group.scopes {
            let name = scope.scope.and_then(object::<Named<'_>>).unwrap_or_default().name.text();
            for item in scope.items {
                match signal {
                    Signal::Logs => sink.record(name.clone(), bounded(item, bounds, log_record))?,
                    Signal::Traces => {
                        sink.count(1);
                        read_span(outlines.span(item)?.unwrap_or_default(), name.clone(), bounds, sink)?;
                    }
                    Signal::Metrics => sink.count(points(item)),
                }
            }
        }
    }
    Ok(())
}

/// A record by itself: another that cannot be read does not fail it.
fn bounded<'a, T: Deserialize<'a>>(
    item: &'a RawValue,
    bounds: Bounds,
    record: fn(T) -> Record<'a>,
) -> Result<Record<'a>, Unreadable> {
    if item.get().len() > bounds.bytes {
        return Err(Unreadable::Large);
    }
    object(item).map(record).ok_or(Unreadable::Broken)
}

fn object<'a, T: Deserialize<'a>>(text: &'a RawValue) -> Option<T> {
    serde_json::from_str::<Object<T>>(text.get()).ok()?.0
}

fn log_record(read: LogRecord<'_>) -> Record<'_> {
    Record {
        time: read.time_unix_nano.unsigned(),
        observed: read.observed_time_unix_nano.unsigned(),
        severity: super::severity(read.severity_number.unsigned()),
        severity_text: read.severity_text.text(),
        body: read.body,
        attributes: named(read.attributes),
        trace: hexadecimal(&read.trace_id, 32),
        span: hexadecimal(&read.span_id, 16),
        event: read.event_name.text(),
    }
}

/// The exceptions of a span, which is not kept itself.
fn read_span<'a>(
    span: Span<'a>,
    scope: Cow<'a, str>,
    bounds: Bounds,
    sink: &mut impl Sink<'a>,
) -> Result<(), Unreadable> {
    let (trace, id) = (hexadecimal(&span.trace, 32), hexadecimal(&span.id, 16));
    for event in span.events {
        if object::<Named<'_>>(event).is_some_and(|named| named.name.text() == EXCEPTION) {
            let read = bounded(event, bounds, exception);
            sink.record(scope.clone(), read.map(|read| Record { trace: trace.clone(), span: id.clone(), ..read }))?;
        }
    }
    Ok(())
}

fn exception(read: SpanEvent<'_>) -> Record<'_> {
    Record {
        time: read.time_unix_nano.unsigned(),
        severity: ERROR,
        attributes: named(read.attributes),
        event: EXCEPTION.into(),
        ..Record::default()
    }
}

/// The data points of a metric.
fn points(metric: &RawValue) -> u64 {
    let metric = object::<Metric>(metric).unwrap_or_default();
    let kinds = [metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram, metric.summary];
    kinds.into_iter().filter_map(|kind| kind.0).map(|kind| kind.data_points.0.len() as u64).sum()
}

fn named(attributes: List<KeyValue<'_>>) -> Vec<Attribute<'_>> {
    attributes.0.into_iter().map(|attribute| (attribute.0, attribute.1)).collect()
}

/// An id of so many digits that are not all zero.
fn hexadecimal(leaf: &Leaf<'_>, digits: usize) -> Option<String> {
    let Leaf::Text(text) = leaf else { return None };
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (valid && text.bytes().any(|byte| byte != b'0')).then(|| text.to_ascii_lowercase())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: List<KeyValue<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Leaf<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LogRecord<'a> {
    #[serde(borrow)]
    time_unix_nano: Leaf<'a>,
    #[serde(borrow)]
    observed_time_unix_nano: Leaf<'a>,
    #[serde(borrow)]
    severity_number: Leaf<'a>,
    #[serde(borrow)]
    severity_text: Leaf<'a>,
    #[serde(borrow)]
    body: Value<'a>,
    #[serde(borrow)]
    attributes: List<KeyValue<'a>>,
    #[serde(borrow)]
    trace_id: Leaf<'a>,
    #[serde(borrow)]
    span_id: Leaf<'a>,
    #[serde(borrow)]
    event_name: Leaf<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpanEvent<'a> {
    #[serde(borrow)]
    time_unix_nano: Leaf<'a>,
    #[serde(borrow)]
    attributes: List<KeyValue<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metric {
    gauge: Object<Points>,
    sum: Object<Points>,
    histogram: Object<Points>,
    exponential_histogram: Object<Points>,
    summary: Object<Points>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Points {
    data_points: List<IgnoredAny>,
}

/// A pair of `key` and `value`.
#[derive(Default)]
struct KeyValue<'a>(Cow<'a, str>, Value<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for KeyValue<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(KeyValueVisitor)
    }
}

struct KeyValueVisitor;

impl<'de> Visitor<'de> for KeyValueVisitor {
    type Value = KeyValue<'de>;

    scalars_are!(KeyValue::default());

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<KeyValue<'de>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| KeyValue::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KeyValue<'de>, A::Error> {
        let mut read = KeyValue::default();
        while let Some(member) = map.next_key::<Leaf<'_>>()? {
            match &*member.text() {
                "key" => read.0 = map.next_value::<Leaf<'_>>()?.text(),
                "value" => read.1 = map.next_value()?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(read)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Values<T> {
    values: List<T>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    scalars_are!(Value::Empty);

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value<'de>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| Value::Empty)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut read = Value::Empty;
        while let Some(member) = map.next_key::<Leaf<'_>>()? {
            read = match &*member.text() {
                "stringValue" | "bytesValue" => Value::Text(map.next_value::<Leaf<'_>>()?.text()),
                "boolValue" => Value::Bool(map.next_value::<Leaf<'_>>()? == Leaf::Bool(true)),
                "intValue" => whole(map.next_value()?),
                "doubleValue" => double(map.next_value()?),
                "arrayValue" => {
                    let list: Object<Values<Value<'_>>> = map.next_value()?;
                    Value::List(list.0.unwrap_or_default().values.0)
                }
                "kvlistValue" => {
                    let list: Object<Values<KeyValue<'_>>> = map.next_value()?;
                    Value::Map(named(list.0.unwrap_or_default().values))
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    read
                }
            };
        }
        Ok(read)
    }
}

/// Numbers of 64 bits travel as text, since those of JSON are not exact; some exporters write numbers all the same.
fn whole(leaf: Leaf<'_>) -> Value<'_> {
    match leaf {
        Leaf::Int(number) => Value::Int(number),
        Leaf::Text(text) => text.parse().map(Value::Int).unwrap_or(Value::Text(text)),
        Leaf::Large(number) => Value::Text(number.to_string().into()),
        Leaf::Double(number) => Value::Double(number),
        Leaf::Absent | Leaf::Bool(_) => Value::Empty,
    }
}

/// What JSON has no number for travels as text.
fn double(leaf: Leaf<'_>) -> Value<'_> {
    match leaf {
        Leaf::Double(number) => Value::Double(number),
        Leaf::Int(number) => Value::Int(number),
        Leaf::Large(number) => Value::Double(number as f64),
        Leaf::Text(text) => text.parse().map(Value::Double).unwrap_or(Value::Text(text)),
        Leaf::Absent | Leaf::Bool(_) => Value::Empty,
    }
}
