//! All figures at one moment, in whichever form they are then told.

use super::Histogram;
use super::{otlp, text};
use crate::model::{Millis, Readout};

/// All metrics. Each family has its name once, followed by all of its samples.
#[derive(Debug, Default)]
pub struct Exposition(Vec<Told>);

/// What the figures of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// A measure.
    Real(f64),
}

/// A family as it was told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: String,
    pub(super) samples: Vec<Sample>,
}

/// One series of a family.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: Value,
}

/// What a series holds.
#[derive(Debug)]
pub(super) enum Value {
    Number(Number),
    Buckets(Readout),
}

/// Whose figures they are, for collectors that gather those of many.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The process.
    pub instance: &'a str,
    /// Since when counters count.
    pub started_at: Millis,
    /// Now.
    pub now: Millis,
}

/// One family, taking samples.
#[derive(Debug)]
pub struct Family<'a>(&'a mut Told);

impl Exposition {
    /// What a response calls the text for Prometheus.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family. `help` is one line: a sentence for whoever finds the name on a dashboard.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        Family(self.0.push_mut(Told { name, kind, help: help.to_owned(), samples: Vec::new() }))
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: impl Into<Number>) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// All of it in Prometheus' text format.
    pub fn into_text(self) -> String {
        text::render(&self.0)
    }

    /// All of it as the body of an OTLP request, in JSON; families without samples are left out.
    pub fn into_otlp(self, source: Source<'_>) -> String {
        otlp::render(&self.0, source)
    }
}

impl Family<'_> {
    /// One sample. Values of labels may be any text, their names are ours.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        self.push(labels, Value::Number(value.into()));
    }

    /// One sample, or none where there is no value.
    pub fn sample_if<T: Into<Number>>(&mut self, labels: &[(&str, &str)], value: Option<T>) {
        if let Some(value) = value {
            self.sample(labels, value);
        }
    }

    /// One histogram.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        self.push(labels, Value::Buckets(histogram.read()));
    }

    fn push(&mut self, labels: &[(&str, &str)], value: Value) {
        let labels = labels.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        self.0.samples.push(Sample { labels, value });
    }
}

impl From<u8> for Number {
    fn from(value: u8) -> Self {
        Self::Whole(value.into())
    }
}

impl From<bool> for Number {
    /// 1 where it is so.
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        u64::try_from(value).map_or(Self::Real(value as f64), Self::Whole)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}
