//! The same figures as OTLP wants them, in its JSON encoding
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use serde_json::{Value as Json, json};

use super::exposition::{Kind, Number, Sample, Source, Told, Value};
use crate::model::{Millis, Readout};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: counted since the start.
const CUMULATIVE: u8 = 2;

/// Names with dots, as Teardown's hosted service has them. A family of Prometheus can have none.
const DOTTED: [(&str, &str); 9] = [
    ("ingest_identify_duration", "ingest.identify.duration"),
    ("ingest_identify_count", "ingest.identify.count"),
    ("ingest_identify_session_created", "ingest.identify.session.created"),
    ("ingest_identify_user_created", "ingest.identify.user.created"),
    ("ingest_identify_device_created", "ingest.identify.device.created"),
    ("ingest_events_duration", "ingest.events.duration"),
    ("ingest_events_count", "ingest.events.count"),
    ("ingest_events_batch_size", "ingest.events.batch.size"),
    ("ingest_events_high_volume", "ingest.events.high_volume"),
];

/// The body of an `ExportMetricsServiceRequest`.
pub(super) fn render(families: &[Told], source: Source<'_>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let resource =
        [("service.name", "tallybox"), ("service.version", version), ("service.instance.id", source.instance)];
    let metrics: Vec<Json> =
        families.iter().filter(|told| !told.samples.is_empty()).map(|told| metric(told, source)).collect();
    let body = json!({ "resourceMetrics": [{
        "resource": { "attributes": attributes(resource) },
        "scopeMetrics": [{ "scope": { "name": "tallybox", "version": version }, "metrics": metrics }],
    }] });
    body.to_string()
}

fn metric(told: &Told, source: Source<'_>) -> Json {
    let points: Vec<Json> = told.samples.iter().map(|sample| point(told.kind, sample, source)).collect();
    let name = DOTTED.iter().find(|(ours, _)| *ours == told.name).map_or(told.name, |(_, dotted)| *dotted);
    let mut metric = json!({ "name": name, "description": told.help, "unit": unit(told.name) });
    let (key, figures) = match told.kind {
        Kind::Counter => {
            ("sum", json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true }))
        }
        Kind::Gauge => ("gauge", json!({ "dataPoints": points })),
        Kind::Histogram => ("histogram", json!({ "dataPoints": points, "aggregationTemporality": CUMULATIVE })),
    };
    metric[key] = figures;
    metric
}

fn point(kind: Kind, sample: &Sample, source: Source<'_>) -> Json {
    let labels = sample.labels.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let mut point = json!({ "attributes": attributes(labels), "timeUnixNano": nanos(source.now) });
    if kind != Kind::Gauge {
        point["startTimeUnixNano"] = json!(nanos(source.started_at));
    }
    match &sample.value {
        // Whole numbers travel as text, since those of JSON are not exact.
        Value::Number(Number::Whole(value)) => point["asInt"] = json!(value.to_string()),
        Value::Number(Number::Real(value)) => point["asDouble"] = json!(value),
        Value::Buckets(read) => {
            point["count"] = json!(read.count.to_string());
            point["sum"] = json!(read.sum);
            point["explicitBounds"] = json!(read.buckets.iter().filter_map(|(bound, _)| *bound).collect::<Vec<_>>());
            point["bucketCounts"] = json!(alone(read).map(|count| count.to_string()).collect::<Vec<_>>());
        }
    }
    point
}

/// What lies in each bucket, without those below.
fn alone(read: &Readout) -> impl Iterator<Item = u64> + '_ {
    let below = std::iter::once(0).chain(read.buckets.iter().map(|(_, count)| *count));
    read.buckets.iter().zip(below).map(|((_, count), below)| count - below)
}

fn attributes<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Json {
    pairs.into_iter().map(|(key, text)| json!({ "key": key, "value": { "stringValue": text } })).collect()
}

fn nanos(at: Millis) -> String {
    (i128::from(at.0.max(0)) * 1_000_000).to_string()
}

/// As UCUM writes it.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    match name {
        "ingest_identify_duration" | "ingest_events_duration" => "ms",
        _ if name.ends_with("_seconds") => "s",
        _ if name.ends_with("_bytes") => "By",
        _ => "1",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Exposition, Histogram};
    use super::*;

    #[test]
    fn figures_are_told_as_otlp_has_them() {
        let mut all = Exposition::default();
        all.family("ingest_events_count", Kind::Counter, "Taken.").sample(&[("status", "success")], u64::MAX);
        all.gauge("a_bytes", "Level.", 0.5);
        all.family("none", Kind::Gauge, "Nothing.");
        let times = Histogram::default();
        for ms in [1, 1, 20_000] {
            times.observe(Duration::from_millis(ms));
        }
        all.family("b_seconds", Kind::Histogram, "Times.").histogram(&[], &times);
        let source = Source { instance: "one", started_at: Millis(5), now: Millis(1_800_000_000_000) };
        let body: Json = serde_json::from_str(&all.into_otlp(source)).unwrap();
        let metrics = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        assert_eq!(metrics.as_array().unwrap().len(), 3);
        let point = &metrics[0]["sum"]["dataPoints"][0];
        assert_eq!(
            (&metrics[0]["name"], &point["asInt"]),
            (&json!("ingest.events.count"), &json!("18446744073709551615"))
        );
        assert_eq!(point["startTimeUnixNano"], json!("5000000"));
        assert_eq!(point["timeUnixNano"], json!("1800000000000000000"));
        assert_eq!(
            (&metrics[1]["unit"], &metrics[1]["gauge"]["dataPoints"][0]["asDouble"]),
            (&json!("By"), &json!(0.5))
        );
        let point = &metrics[2]["histogram"]["dataPoints"][0];
        let counts: Vec<_> = point["bucketCounts"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        assert_eq!(counts.len(), point["explicitBounds"].as_array().unwrap().len() + 1);
        assert_eq!((counts[1], counts.last(), counts.iter().filter(|n| **n != "0").count()), ("2", Some(&"1"), 2));
        assert_eq!(point["count"], json!("3"));
    }
}
