//! A collector of OTLP metrics that reads them with the published Python package of the protocol.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::sdk;

/// How long a request may let wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running collector. Dropping it ends the process.
pub struct Collector {
    child: Child,
    told: Receiver<Value>,
    pub port: u64,
}

impl Collector {
    /// One on that port; 0 takes a free one.
    pub fn start(port: u64) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/harness/collector.py");
        let mut child = Command::new(sdk::installed("python/bin/python"))
            .arg(script)
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().expect("piped above")).lines();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Ok(value) = serde_json::from_str(&line) else { continue };
                if tell.send(value).is_err() {
                    return;
                }
            }
        });
        let mut collector = Self { child, told, port: 0 };
        collector.port = collector.next()["port"].as_u64().unwrap();
        collector
    }

    /// What the next request held.
    #[track_caller]
    pub fn next(&self) -> Value {
        self.told.recv_timeout(PATIENCE).expect("the collector tells what comes")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
