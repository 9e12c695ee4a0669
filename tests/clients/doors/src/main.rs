//! Sends `COUNT` events to the box with a published SDK: `doors-client posthog`, `doors-client otlp protobuf` or
//! `doors-client otlp json`. `BOX` is the address, `KEY` a public key. Ends with an error if anything was not taken.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry_otlp::{LogExporter, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLoggerProvider};
use posthog_rs::{ClientOptionsBuilder, Event};
use serde_json::json;

const TEXT: &str = "größe 🦀 \0\"\\";

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (address, key) = (env::var("BOX")?, env::var("KEY")?);
    let count = env::var("COUNT")?.parse()?;
    match arguments[..] {
        ["posthog"] => posthog(&address, &key, count),
        ["otlp", "protobuf"] => otlp(&address, &key, count, Protocol::HttpBinary),
        ["otlp", "json"] => otlp(&address, &key, count, Protocol::HttpJson),
        _ => Err("which SDK: posthog, otlp protobuf, or otlp json".into()),
    }
}

fn posthog(address: &str, key: &str, count: i64) -> Outcome {
    let failures = Arc::new(AtomicUsize::new(0));
    let seen = failures.clone();
    let mut options = ClientOptionsBuilder::default();
    options.api_key(key.to_owned()).host(address).on_error(move |error| {
        eprintln!("{error:?}");
        seen.fetch_add(1, Ordering::Relaxed);
    });
    let client = posthog_rs::client(options.build()?);
    for number in 0..count {
        let mut event = Event::new("checked_out".to_owned(), format!("user-{}", number % 10));
        event.insert_prop("n", number)?;
        event.insert_prop("text", "Příliš žluťoučký 🐎")?;
        event.insert_prop("nested", json!({ "list": [1, null, { "deep": "ü" }], "no": false }))?;
        client.capture(event);
    }
    client.capture_exception(&std::io::Error::other("no such cart"))?;
    client.flush();
    client.shutdown();
    match failures.load(Ordering::Relaxed) {
        0 => Ok(()),
        failures => Err(format!("{failures} batches failed").into()),
    }
}

fn otlp(address: &str, key: &str, count: i64, protocol: Protocol) -> Outcome {
    let headers = HashMap::from([("authorization".to_owned(), format!("Bearer {key}"))]);
    let exporter = LogExporter::builder().with_http().with_protocol(protocol);
    let exporter = exporter.with_endpoint(format!("{address}/v1/logs")).with_headers(headers).build()?;
    let attributes = [
        ("service.version", "2.1.0"),
        ("app.installation.id", "install-7"),
        ("os.name", "iOS"),
        ("os.version", "19.1"),
        ("device.model.identifier", "iPhone18,2"),
    ];
    let attributes = attributes.map(|(name, value)| KeyValue::new(name, value));
    let resource = Resource::builder().with_service_name("shop").with_attributes(attributes).build();
    let config = BatchConfigBuilder::default().with_max_queue_size(100_000).build();
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
    let provider = SdkLoggerProvider::builder().with_resource(resource).with_log_processor(processor).build();
    let logger = provider.logger("checkout");
    let mut line = logger.create_log_record();
    line.set_severity_number(Severity::Warn);
    line.set_body("the cart is empty".into());
    logger.emit(line);
    for number in 0..count {
        let mut event = logger.create_log_record();
        event.set_event_name("checked_out");
        event.set_timestamp(SystemTime::now());
        event.set_body([("note", AnyValue::from("naïve")), ("number", AnyValue::from(-1))].into_iter().collect());
        event.add_attribute("number", number);
        event.add_attribute("user.id", "zoë");
        event.add_attribute("session.id", format!("session-{}", number % 7));
        event.add_attribute("text", TEXT);
        event.add_attribute("whole", 1.0);
        event.add_attribute("part", 0.5);
        event.add_attribute("least", i64::MIN);
        event.add_attribute("most", i64::MAX);
        event.add_attribute("list", ["a", "b"].into_iter().collect::<AnyValue>());
        event.add_attribute("nested", nested());
        event.add_attribute("bytes", AnyValue::from(&[1_u8, 2, 255][..]));
        logger.emit(event);
    }
    provider.force_flush()?;
    provider.shutdown()?;
    Ok(())
}

fn nested() -> AnyValue {
    let deeper: AnyValue = [[("yes", true)].into_iter().collect::<AnyValue>()].into_iter().collect();
    let deep: AnyValue = [("deeper", deeper)].into_iter().collect();
    [("deep", deep)].into_iter().collect()
}
