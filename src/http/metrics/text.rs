//! Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).

use std::fmt::{Display, Write};

use super::exposition::{Kind, Number, Sample, Told, Value};

/// All families as one text.
pub(super) fn render(families: &[Told]) -> String {
    let mut text = String::new();
    for Told { name, kind, help, samples } in families {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        write_to(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for sample in samples {
            series(&mut text, name, sample);
        }
    }
    text
}

/// A histogram is a cumulative sample for each bucket, the sum and the count.
fn series(text: &mut String, name: &str, sample: &Sample) {
    let mut line = |suffix: &str, bound: Option<&str>, value: &dyn Display| {
        text.push_str(name);
        text.push_str(suffix);
        labels(text, sample, bound);
        write_to(text, format_args!(" {value}\n"));
    };
    match &sample.value {
        Value::Number(Number::Whole(value)) => line("", None, value),
        Value::Number(Number::Real(value)) => line("", None, value),
        Value::Buckets(read) => {
            for (bound, count) in &read.buckets {
                let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
                line("_bucket", Some(&bound), count);
            }
            line("_sum", None, &read.sum);
            line("_count", None, &read.count);
        }
    }
}

fn labels(text: &mut String, sample: &Sample, bound: Option<&str>) {
    let mut before = '{';
    let own = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(bound.map(|bound| ("le", bound))) {
        write_to(text, format_args!("{before}{name}=\""));
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
}

fn write_to(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a String never fails");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Exposition, Histogram};
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
        family.sample(&[("x", "1"), ("y", "a\\b\"c\nd")], 7_u64);
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
