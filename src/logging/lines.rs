//! Turns events and the spans around them into lines, text or JSON, after redaction.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::redact::{REDACTED, is_secret, masked};
use crate::clock::Clock;
use crate::config::LogFormat;

/// Bytes of one value that are logged.
const LONGEST_VALUE: usize = 4_096;

/// A layer that writes every event as one line to each of its writers. Nothing reaches a writer but through
/// [`Fields`], which redacts.
pub(super) struct Lines {
    format: LogFormat,
    writers: Vec<BoxMakeWriter>,
    clock: Clock,
}

/// Redacted fields in the order they came; also what is kept of a span.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Lines {
    pub(super) fn new(format: LogFormat, writers: Vec<BoxMakeWriter>) -> Self {
        Self { format, writers, clock: Clock::system() }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        // The widest span first: its fields (the request id) open every line.
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.iter().cloned());
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        fields.0.extend(own.0);
        let line = match self.format {
            LogFormat::Text => self.text(event.metadata(), fields),
            LogFormat::Json => self.json(event.metadata(), fields),
        };
        for writer in &self.writers {
            // Where even the log cannot be written there is nobody left to tell.
            let _ = writer.make_writer().write_all(line.as_bytes());
        }
    }
}

impl Lines {
    /// `2026-11-21T04:28:00.123Z INFO tallybox::cli message field=value`
    fn text(&self, metadata: &Metadata<'_>, fields: Fields) -> String {
        let mut line = format!("{} {:5} {}", self.time(), metadata.level(), metadata.target());
        for (_, message) in fields.0.iter().filter(|(name, _)| *name == "message") {
            push(&mut line, format_args!(" {}", message.as_str().unwrap_or_default()));
        }
        for (name, value) in fields.0.iter().filter(|(name, _)| *name != "message") {
            match value.as_str() {
                Some(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => {
                    push(&mut line, format_args!(" {name}={text}"))
                }
                _ => push(&mut line, format_args!(" {name}={value}")),
            }
        }
        line.push('\n');
        line
    }

    /// One object a line: `time`, `level`, `target`, `message` and the fields.
    fn json(&self, metadata: &Metadata<'_>, fields: Fields) -> String {
        let mut line = Map::new();
        line.extend(fields.0.into_iter().map(|(name, value)| (name.to_owned(), value)));
        line.insert("time".to_owned(), json!(self.time()));
        line.insert("level".to_owned(), json!(metadata.level().as_str()));
        line.insert("target".to_owned(), json!(metadata.target()));
        format!("{}\n", Value::Object(line))
    }

    fn time(&self) -> String {
        format!("{:.3}", self.clock.now().timestamp())
    }
}

fn push(line: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = line.write_fmt(what);
}

/// Masked, and cut where it is longer than anybody reads.
fn shown(text: &str) -> Value {
    if text.len() <= LONGEST_VALUE {
        return json!(masked(text));
    }
    let cut = &text[..text.floor_char_boundary(LONGEST_VALUE)];
    json!(format!("{}...", masked(cut)))
}

/// Names of traces look like secrets, and are none: they are there to be found.
fn are_traces(name: &str, text: &str) -> bool {
    let is_trace = |word: &str| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(name, "trace_id" | "trace_ids") && text.split(' ').all(is_trace)
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        let value = if is_secret(field.name()) { json!(REDACTED) } else { value() };
        self.0.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, || json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, || json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, || json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, || json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, || if are_traces(field.name(), value) { json!(value) } else { shown(value) });
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, || {
            let causes = std::iter::successors(Some(value), |error| error.source());
            let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            shown(&text)
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.add(field, || if are_traces(field.name(), &text) { json!(text) } else { shown(&text) });
    }
}
