//! Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::{Display, Write};

use super::Histogram;

/// All metrics as one text. Each family has its name once, followed by all of its samples.
#[derive(Debug, Default)]
pub struct Exposition(String);

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

/// One family, taking samples.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// What the response calls this text.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family. `help` is one line: a sentence for whoever finds the name on a dashboard.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        write_to(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, name }
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// All of it.
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One sample. Values of labels may be any text, their names are ours.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// The samples of one histogram: a cumulative one for each bucket, the sum and the count.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let read = histogram.read();
        for (bound, count) in &read.buckets {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            self.line("_bucket", labels, Some(&bound), count);
        }
        self.line("_sum", labels, None, read.sum);
        self.line("_count", labels, None, read.count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, text) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
            write_to(self.text, format_args!("{before}{name}=\""));
            for character in text.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        write_to(self.text, format_args!(" {value}\n"));
    }
}

fn write_to(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a String never fails");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn families_are_written_as_prometheus_reads_them() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(500));
        histogram.observe(Duration::from_secs(20));
        let mut text = Exposition::default();
        text.counter("a_total", "Things.", 3);
        text.gauge("b", "Level.", 0.5);
        let mut family = text.family("c", Kind::Counter, "More.");
        family.sample(&[("x", "1"), ("y", "a\\b\"c\nd")], 7);
        text.family("d", Kind::Histogram, "Times.").histogram(&[("x", "1")], &histogram);
        let text = text.into_text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..8],
            [
                "# HELP a_total Things.",
                "# TYPE a_total counter",
                "a_total 3",
                "# HELP b Level.",
                "# TYPE b gauge",
                "b 0.5",
                "# HELP c More.",
                "# TYPE c counter",
            ]
        );
        assert_eq!(lines[8], r#"c{x="1",y="a\\b\"c\nd"} 7"#);
        assert_eq!(lines[9..12], ["# HELP d Times.", "# TYPE d histogram", r#"d_bucket{x="1",le="0.0005"} 1"#]);
        let end = [r#"d_bucket{x="1",le="+Inf"} 2"#, r#"d_sum{x="1"} 20.0005"#, r#"d_count{x="1"} 2"#];
        assert_eq!(lines[lines.len() - 3..], end);
        assert!(text.ends_with('\n'));
    }
}
