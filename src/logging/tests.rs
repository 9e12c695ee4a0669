//! Facts about log lines, read from a buffer.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{debug, error, error_span, info, warn};

use super::*;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(level: LogLevel, format: LogFormat, work: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let writer = BoxMakeWriter::new(move || writer.clone());
    tracing::subscriber::with_default(subscriber(level, format, vec![writer]), work);
    String::from_utf8(buffer.0.lock().clone()).unwrap()
}

fn say_everything() {
    let span = error_span!("request", request_id = "00ff", peer = "canary-peer", late = tracing::field::Empty);
    let _entered = span.enter();
    span.record("late", "from 203.0.113.77");
    let cause = io::Error::other("canary.mail@example.org is gone");
    let error = io::Error::other(cause);
    let error: &dyn std::error::Error = &error;
    info!(password = "canary-password", token = ?Some("canary-token"), "plain words from 203.0.113.77");
    warn!(api_key = "canary-key", client_ip = 77, note = %"mail canary.mail@example.org", error, count = 3, "second\nforged line\u{1b}[31m");
    error!(cookie = "canary-cookie", "third 2001:db8::77");
}

#[test]
fn secrets_addresses_and_mail_never_appear() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let log = logged(LogLevel::Trace, format, say_everything);
        for canary in ["canary", "203.0.113.77", "2001:db8", "example.org", "\u{1b}", "client_ip=77"] {
            assert!(!log.contains(canary), "{canary} in {log}");
        }
        for kept in ["plain words from [address]", "[redacted]", "[email] is gone", "00ff"] {
            assert!(log.contains(kept), "{kept} not in {log}");
        }
        assert_eq!(log.lines().count(), 3, "{log}");
    }
}

#[test]
fn every_line_bears_the_fields_of_its_spans() {
    let log = logged(LogLevel::Info, LogFormat::Json, say_everything);
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["request_id"], "00ff");
        assert_eq!(line["late"], "from [address]");
        assert_eq!(line["target"], "tallybox::logging::tests");
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
    assert!(log.contains(r#""count":3"#) && log.contains(r#""level":"WARN""#), "{log}");
}

#[test]
fn text_lines_read_well() {
    let log = logged(LogLevel::Info, LogFormat::Text, || info!(events = 3, path = "/v1", note = "two words", "stored"));
    let rest = log.split_once(' ').unwrap().1;
    assert_eq!(rest, "INFO  tallybox::logging::tests stored events=3 path=/v1 note=\"two words\"\n");
}

#[test]
fn a_value_of_any_length_makes_a_short_line() {
    let log = logged(LogLevel::Info, LogFormat::Text, || info!(text = "ä".repeat(100_000), "long"));
    assert!(log.len() < 5_000 && log.ends_with("...\n"), "{}", log.len());
}

#[test]
fn our_level_is_the_operators_and_libraries_speak_from_warn_up() {
    let speak = || {
        debug!("ours debug");
        info!("ours info");
        error!("ours error");
        info!(target: "hyper", "theirs info");
        warn!(target: "hyper", "theirs warn");
    };
    let rows = [
        (LogLevel::Error, vec!["ours error"]),
        (LogLevel::Info, vec!["ours info", "ours error", "theirs warn"]),
        (LogLevel::Debug, vec!["ours debug", "ours info", "ours error", "theirs warn"]),
    ];
    for (level, lines) in rows {
        let log = logged(level, LogFormat::Text, speak);
        let said: Vec<_> = log.lines().map(|line| line.rsplitn(3, ' ').take(2).collect::<Vec<_>>()).collect();
        let said: Vec<_> = said.iter().map(|words| format!("{} {}", words[1], words[0])).collect();
        assert_eq!(said, lines);
    }
}

#[test]
fn daily_files_hold_the_lines_once_the_guard_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, guard) = daily_files(&dir.path().join("logs")).unwrap();
    file.write_all(b"a line\n").unwrap();
    drop(guard);
    let files: Vec<_> =
        std::fs::read_dir(dir.path().join("logs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(std::fs::read_to_string(&files[0]).unwrap(), "a line\n");
    std::fs::write(dir.path().join("taken"), "").unwrap();
    let error = daily_files(&dir.path().join("taken")).unwrap_err().to_string();
    assert!(error.contains("log files cannot be written"), "{error}");
}
