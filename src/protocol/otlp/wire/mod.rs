//! OTLP requests in both of their encodings: what they say, without judging it.

mod json;
mod outline;
mod parts;
mod proto;
mod value;

use std::borrow::Cow;

pub use value::{Attribute, Value, as_text, last_of_each};

/// How a message is written. Answers are written as the request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Protocol buffers.
    Protobuf,
    /// Their JSON, with the exceptions that OTLP makes.
    Json,
}

impl Form {
    fn other(self) -> Self {
        match self {
            Self::Protobuf => Self::Json,
            Self::Json => Self::Protobuf,
        }
    }
}

/// What a request exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Log records, of which those with a name are events.
    Logs,
    /// Spans, whose exceptions are records.
    Traces,
    /// Metrics.
    Metrics,
}

/// A log record, or an exception of a span.
#[derive(Debug, Default, PartialEq)]
pub struct Record<'a> {
    /// When it happened, in nanoseconds; 0 is not known.
    pub time: u64,
    /// When it was seen, in nanoseconds; 0 is not known.
    pub observed: u64,
    /// 1 to 24; 0 is not known.
    pub severity: u8,
    /// The same in the words of its source.
    pub severity_text: Cow<'a, str>,
    /// What a log line says.
    pub body: Value<'a>,
    /// In order, as they came.
    pub attributes: Vec<Attribute<'a>>,
    /// In lower case, where it is one.
    pub trace: Option<String>,
    /// In lower case, where it is one.
    pub span: Option<String>,
    /// The name of an event.
    pub event: Cow<'a, str>,
}

/// Why a request, or a record of it, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no message of that form, or ends within one.
    Broken,
    /// It is nested deeper than anything that is kept.
    Deep,
    /// It is larger than a record may be.
    Large,
    /// More records than a request may have.
    TooMany,
}

/// What a request is read into, in the order in which it has it.
pub trait Sink<'a> {
    /// The attributes of whatever sends the records that follow.
    fn resource(&mut self, attributes: Vec<Attribute<'a>>);

    /// A record under the scope of that name, or why it is none.
    ///
    /// # Errors
    /// [`Unreadable::TooMany`] ends the reading.
    fn record(&mut self, scope: Cow<'a, str>, record: Result<Record<'a>, Unreadable>) -> Result<(), Unreadable>;

    /// That many spans or data points.
    fn count(&mut self, more: u64);

    /// Forgets everything: it is read anew.
    fn clear(&mut self);
}

/// Bounds of what is read.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of what is said of a resource, and in protobuf of a record, as they travel. A record in JSON has no more elements
    /// in its lists than would fit into so many; how large its texts may be is the pipeline's to judge.
    pub bytes: usize,
    /// Deepest nesting of its values.
    pub depth: usize,
    /// Elements of all lists outside of records: those of a few bytes take many in memory, or much time.
    pub elements: usize,
}

/// Reads a request in the form that it is said to have, else in the other one, and tells in which.
///
/// # Errors
/// [`Unreadable::Broken`] where it is of neither, and what a sink ends with.
pub fn read<'a>(
    body: &'a [u8],
    (form, signal): (Form, Signal),
    bounds: Bounds,
    sink: &mut impl Sink<'a>,
) -> Result<Form, Unreadable> {
    // Whoever has nothing to export may send nothing at all, in whatever form.
    if body.is_empty() {
        return Ok(form);
    }
    for form in [form, form.other()] {
        let read = match form {
            Form::Protobuf => proto::read(body, signal, bounds, sink),
            Form::Json => json::read(body, signal, bounds, sink),
        };
        match read {
            Err(Unreadable::Broken) => sink.clear(),
            read => return read.map(|()| form),
        }
    }
    Err(Unreadable::Broken)
}

/// A number of a severity, if it is one of those there are.
fn severity(number: u64) -> u8 {
    u8::try_from(number).ok().filter(|number| *number <= 24).unwrap_or_default()
}

/// Name of the events of spans that are kept.
const EXCEPTION: &str = "exception";
/// The severity of what a span calls an exception: `ERROR`.
const ERROR: u8 = 17;

#[cfg(test)]
mod tests;
