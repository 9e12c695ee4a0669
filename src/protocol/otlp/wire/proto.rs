//! Protocol buffers, read in place: the messages and fields that are needed, everything else is skipped
//! (<https://protobuf.dev/programming-guides/encoding/>, `opentelemetry-proto` 1.11.0).

use std::borrow::Cow;

use super::{Attribute, Bounds, ERROR, EXCEPTION, Record, Signal, Sink, Unreadable, Value};

/// Reads a whole request.
pub fn read<'a>(body: &'a [u8], signal: Signal, bounds: Bounds, sink: &mut impl Sink<'a>) -> Result<(), Unreadable> {
    let mut room = bounds.elements;
    let mut enter = || {
        room = room.checked_sub(1).ok_or(Unreadable::TooMany)?;
        Ok(())
    };
    for group in messages(body, 1) {
        let group = group?;
        enter()?;
        // It is written first by every exporter, and need not be.
        let resource = messages(group, 1).last().transpose()?.filter(|resource| resource.len() <= bounds.bytes);
        sink.resource(resource.and_then(|resource| attributes(resource, 1, bounds.depth).ok()).unwrap_or_default());
        for scope in messages(group, 2) {
            enter()?;
            read_scope(scope?, signal, bounds, sink)?;
        }
    }
    Ok(())
}

fn read_scope<'a>(scope: &'a [u8], signal: Signal, bounds: Bounds, sink: &mut impl Sink<'a>) -> Result<(), Unreadable> {
    let mut name = Cow::default();
    if let Some(instrumentation) = messages(scope, 1).last() {
        name = messages(instrumentation?, 1).last().transpose()?.map(text).unwrap_or_default();
    }
    for item in messages(scope, 2) {
        let item = item?;
        match signal {
            Signal::Logs => sink.record(name.clone(), bounded(item, bounds, log_record))?,
            Signal::Traces => {
                sink.count(1);
                read_span(item, name.clone(), bounds, sink)?;
            }
            Signal::Metrics => sink.count(points(item)?),
        }
    }
    Ok(())
}

fn bounded<'a>(
    item: &'a [u8],
    bounds: Bounds,
    read: fn(&'a [u8], usize) -> Result<Record<'a>, Unreadable>,
) -> Result<Record<'a>, Unreadable> {
    if item.len() > bounds.bytes { Err(Unreadable::Large) } else { read(item, bounds.depth) }
}

fn log_record(record: &[u8], depth: usize) -> Result<Record<'_>, Unreadable> {
    let mut read = Record::default();
    for field in fields(record) {
        match field? {
            (1, Field::Eight(time)) => read.time = time,
            (2, Field::Varint(number)) => read.severity = super::severity(number),
            (3, Field::Bytes(bytes)) => read.severity_text = text(bytes),
            (5, Field::Bytes(bytes)) => read.body = value(bytes, depth)?,
            (6, Field::Bytes(bytes)) => read.attributes.push(attribute(bytes, depth)?),
            (9, Field::Bytes(bytes)) => read.trace = hexadecimal::<16>(bytes),
            (10, Field::Bytes(bytes)) => read.span = hexadecimal::<8>(bytes),
            (11, Field::Eight(time)) => read.observed = time,
            (12, Field::Bytes(bytes)) => read.event = text(bytes),
            _ => {}
        }
    }
    Ok(read)
}

/// The exceptions of a span, which is not kept itself.
fn read_span<'a>(
    span: &'a [u8],
    scope: Cow<'a, str>,
    bounds: Bounds,
    sink: &mut impl Sink<'a>,
) -> Result<(), Unreadable> {
    let id = |number| messages(span, number).last().transpose();
    let (trace, id) = (id(1)?.and_then(hexadecimal::<16>), id(2)?.and_then(hexadecimal::<8>));
    for event in messages(span, 11) {
        let event = event?;
        if messages(event, 2).last().transpose()? == Some(EXCEPTION.as_bytes()) {
            let read = bounded(event, bounds, exception);
            sink.record(scope.clone(), read.map(|read| Record { trace: trace.clone(), span: id.clone(), ..read }))?;
        }
    }
    Ok(())
}

fn exception(event: &[u8], depth: usize) -> Result<Record<'_>, Unreadable> {
    let mut read = Record { event: EXCEPTION.into(), severity: ERROR, ..Record::default() };
    for field in fields(event) {
        match field? {
            (1, Field::Eight(time)) => read.time = time,
            (3, Field::Bytes(bytes)) => read.attributes.push(attribute(bytes, depth)?),
            _ => {}
        }
    }
    Ok(read)
}

/// The data points of a metric: of a gauge, a sum, a histogram, an exponential histogram, or a summary.
fn points(metric: &[u8]) -> Result<u64, Unreadable> {
    let mut count = 0;
    for field in fields(metric) {
        if let (5 | 7 | 9 | 10 | 11, Field::Bytes(bytes)) = field? {
            for point in messages(bytes, 1) {
                point?;
                count += 1;
            }
        }
    }
    Ok(count)
}

fn attributes(message: &[u8], number: u32, depth: usize) -> Result<Vec<Attribute<'_>>, Unreadable> {
    messages(message, number).map(|bytes| attribute(bytes?, depth)).collect()
}

fn attribute(message: &[u8], depth: usize) -> Result<Attribute<'_>, Unreadable> {
    let mut read = (Cow::default(), Value::Empty);
    for field in fields(message) {
        match field? {
            (1, Field::Bytes(bytes)) => read.0 = text(bytes),
            (2, Field::Bytes(bytes)) => read.1 = value(bytes, depth)?,
            _ => {}
        }
    }
    Ok(read)
}

fn value(message: &[u8], depth: usize) -> Result<Value<'_>, Unreadable> {
    let deeper = depth.checked_sub(1).ok_or(Unreadable::Deep)?;
    let mut read = Value::Empty;
    for field in fields(message) {
        match field? {
            (1, Field::Bytes(bytes)) => read = Value::Text(text(bytes)),
            (2, Field::Varint(number)) => read = Value::Bool(number != 0),
            (3, Field::Varint(number)) => read = Value::Int(number.cast_signed()),
            (4, Field::Eight(bits)) => read = Value::Double(f64::from_bits(bits)),
            (5, Field::Bytes(bytes)) => {
                let values: Result<_, _> = messages(bytes, 1).map(|bytes| value(bytes?, deeper)).collect();
                read = Value::List(values?);
            }
            (6, Field::Bytes(bytes)) => read = Value::Map(attributes(bytes, 1, deeper)?),
            (7, Field::Bytes(bytes)) => read = Value::Bytes(bytes),
            _ => {}
        }
    }
    Ok(read)
}

/// What is not UTF-8 is marked, not refused: no record is lost for it.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// An id of so many bytes that are not all zero.
fn hexadecimal<const BYTES: usize>(bytes: &[u8]) -> Option<String> {
    (bytes.len() == BYTES && bytes.iter().any(|byte| *byte != 0)).then(|| hex::encode(bytes))
}

/// What stands behind one number.
enum Field<'a> {
    Varint(u64),
    Eight(u64),
    Four,
    Bytes(&'a [u8]),
}

/// The fields of a message, until the first that is none.
fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u32, Field<'_>), Unreadable>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest).ok_or(Unreadable::Broken);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// The fields of that number which are messages, texts or bytes.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], Unreadable>> {
    fields(message).filter_map(move |field| match field {
        Ok((found, Field::Bytes(bytes))) => (found == number).then_some(Ok(bytes)),
        Ok(_) => None,
        Err(broken) => Some(Err(broken)),
    })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Field<'a>)> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
    let field = match tag & 7 {
        0 => Field::Varint(varint(rest)?),
        1 => Field::Eight(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Field::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Field::Four)?,
        // Groups, which the third version of the language does not have.
        _ => return None,
    };
    Some((number, field))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}
