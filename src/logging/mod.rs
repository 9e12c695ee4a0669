//! Log lines to standard error and to daily files, without anything that names a person or opens a door.

mod lines;
mod redact;

use std::io;
use std::path::Path;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Config, LogFormat, LogLevel};
use lines::Lines;

pub use redact::masked;

/// Days of log files that are kept.
const DAYS_KEPT: usize = 14;

/// Keeps the log files being written; when it is dropped the last lines are flushed.
#[derive(Debug)]
#[must_use = "log files are no longer written once this is dropped"]
pub struct Guard {
    _file: Option<WorkerGuard>,
}

/// Starts logging for the whole process, as the configuration asks: our own lines from `log_level` up, those of
/// libraries from `warn` up. Fails where the log directory cannot be written, or when logging was started before.
pub fn start(config: &Config) -> io::Result<Guard> {
    let mut writers = vec![BoxMakeWriter::new(io::stderr)];
    let mut guard = None;
    if let Some(dir) = &config.log_dir {
        let (file, worker) = daily_files(dir)?;
        writers.push(BoxMakeWriter::new(file));
        guard = Some(worker);
    }
    let subscriber = subscriber(config.log_level, config.log_format, writers);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(Guard { _file: guard })
}

fn subscriber(
    level: LogLevel,
    format: LogFormat,
    writers: Vec<BoxMakeWriter>,
) -> impl tracing::Subscriber + Send + Sync {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_default(ours.min(LevelFilter::WARN)).with_target("tallybox", ours);
    tracing_subscriber::registry().with(Layer::<Registry>::with_filter(Lines::new(format, writers), filter))
}

fn daily_files(dir: &Path) -> io::Result<(NonBlocking, WorkerGuard)> {
    std::fs::create_dir_all(dir).map_err(|error| in_dir(dir, &error))?;
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("tallybox")
        .filename_suffix("log")
        .max_log_files(DAYS_KEPT)
        .build(dir)
        .map_err(|error| in_dir(dir, &error))?;
    Ok(tracing_appender::non_blocking(files))
}

fn in_dir(dir: &Path, error: &dyn std::error::Error) -> io::Error {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    io::Error::other(format!("log files cannot be written in {}: {error}{cause}", dir.display()))
}

#[cfg(test)]
mod tests;
