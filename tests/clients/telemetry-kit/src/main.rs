//! A program that reports through the published telemetry-kit SDK, for tests of a running server.
//!
//! ```text
//! telemetry-kit-client send N | features N | custom N
//! ```
//!
//! It tracks N events (`send`: commands, features and custom events in turn), synchronizes until the SDK's buffer is
//! empty or a sync gets nowhere, and prints one line of JSON:
//! `{"tracked":N,"synced":N,"unsynced":0,"syncs":1,"error":null}`. Exit code 0 means an empty buffer.
//!
//! From the environment: `TK_ENDPOINT`, `TK_ORG`, `TK_APP`, `TK_TOKEN`, `TK_SECRET`; and, if wanted, `TK_BATCH`
//! (events a sync, 100), `TK_RETRIES` (attempts after the first within a sync, 0), `TK_BUFFER` (the buffer's file; by
//! default one of its own that is removed at the end).

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use telemetry_kit::TelemetryKit;
use telemetry_kit::event::{CommandEventBuilder, FeatureEventBuilder};
use telemetry_kit::sync::SyncConfig;

type Anything<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = run().await;
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("telemetry-kit-client: {e}");
            ExitCode::from(2)
        }
    }
}

/// Whether the buffer is empty at the end.
async fn run() -> Anything<bool> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [verb, count] = &args[..] else { return Err("usage: telemetry-kit-client send|features|custom N".into()) };
    let count: usize = count.parse()?;
    let home = tempfile::tempdir()?;
    let buffer = optional("TK_BUFFER").map_or_else(|| home.path().join("buffer.db"), PathBuf::from);
    let kit = TelemetryKit::builder()
        .service_name("kit-client")?
        .service_version("4.5.6")
        .db_path(buffer)
        .sync(config()?)
        .auto_sync(false)
        .build()?;
    for n in 0..count {
        track(&kit, verb, n).await?;
    }
    let (syncs, error) = drain(&kit).await?;
    let stats = kit.stats().await?;
    let (synced, unsynced) = (stats.synced_events, stats.unsynced_events);
    println!("{}", json!({ "tracked": count, "synced": synced, "unsynced": unsynced, "syncs": syncs, "error": error }));
    Ok(unsynced == 0)
}

fn config() -> Anything<SyncConfig> {
    let config = SyncConfig::builder()
        .endpoint(required("TK_ENDPOINT")?)
        .org_id(required("TK_ORG")?)?
        .app_id(required("TK_APP")?)?
        .token(required("TK_TOKEN")?)
        .secret(required("TK_SECRET")?)
        .batch_size(optional("TK_BATCH").map_or(Ok(100), |n| n.parse())?)
        .max_retries(optional("TK_RETRIES").map_or(Ok(0), |n| n.parse())?);
    Ok(config.build()?)
}

async fn track(kit: &TelemetryKit, verb: &str, n: usize) -> Anything<()> {
    match (verb, n % 3) {
        ("send", 0) => command(kit, n).await,
        ("send", 1) | ("features", _) => feature(kit, n).await,
        ("send", _) | ("custom", _) => custom(kit, n).await,
        _ => Err(format!("no such verb: {verb}").into()),
    }
}

async fn command(kit: &TelemetryKit, n: usize) -> Anything<()> {
    let event = |event: CommandEventBuilder| {
        event.subcommand("release").flag("--verbose").success(true).duration_ms(n as u64).exit_code(-1)
    };
    Ok(kit.track_command("build", event).await?)
}

async fn feature(kit: &TelemetryKit, n: usize) -> Anything<()> {
    let event = |event: FeatureEventBuilder| event.method("oauth").success(n.is_multiple_of(2)).data("n", json!(n));
    Ok(kit.track_feature("sign-in", event).await?)
}

/// Data of every JSON type, the odd values of the protocol notes among them.
async fn custom(kit: &TelemetryKit, n: usize) -> Anything<()> {
    let data = match n % 7 {
        0 => json!({ "n": n, "": 1, "a.b": 2, "$set": { "$x": 3 } }),
        1 => json!("zero \u{0} byte"),
        2 => json!([1, "two", null, [true]]),
        3 => json!(u64::MAX),
        4 => json!(i64::MIN),
        5 => json!(1e308),
        _ => json!(null),
    };
    Ok(kit.track_custom("checked_out", data).await?)
}

/// Synchronizes, one batch at a time, until nothing waits or a sync changes nothing.
async fn drain(kit: &TelemetryKit) -> Anything<(usize, Option<String>)> {
    let mut syncs = 0;
    loop {
        let before = kit.stats().await?.unsynced_events;
        if before == 0 {
            return Ok((syncs, None));
        }
        syncs += 1;
        if let Err(e) = kit.sync().await {
            return Ok((syncs, Some(e.to_string())));
        }
        if kit.stats().await?.unsynced_events == before {
            return Ok((syncs, Some("the server took nothing".to_owned())));
        }
    }
}

fn required(name: &str) -> Anything<String> {
    optional(name).ok_or_else(|| format!("{name} is not set").into())
}

fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
