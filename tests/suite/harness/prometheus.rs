//! The real Prometheus, from Debian's package: a process of its own for each test, which scrapes one server.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::http::{Connection, Request};
use super::poll;
use super::postgres::{free_port, guard::Guard};

/// How long anything of it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Prometheus. Dropping it ends the process and deletes its files.
pub struct Prometheus {
    _guard: Guard,
    address: SocketAddr,
}

impl Prometheus {
    /// One that scrapes the server there five times a second.
    pub fn over(target: SocketAddr) -> Self {
        let folder = tempfile::Builder::new().prefix("tallybox-").tempdir().unwrap().keep();
        let mut guard = Guard::over(folder.clone());
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
             scrape_configs: [{{ job_name: tallybox, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        fs::write(folder.join("config.yml"), config).unwrap();
        guard.start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", folder.join("config.yml").display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--log.level=error", "--query.lookback-delta=1m"]),
        );
        let prometheus = Self { _guard: guard, address };
        poll::until(PATIENCE, "Prometheus", || {
            let reply = Connection::open(address).ok()?.send(&Request::get("/-/ready")).ok()?;
            (reply.status == 200).then_some(())
        });
        prometheus
    }

    /// Waits until it has scraped so many times, all of them well.
    #[track_caller]
    pub fn await_scrapes(&self, count: usize) {
        poll::until(PATIENCE, "scrapes", || {
            let read = |query: &str| self.query(query).first()?["value"][1].as_str()?.parse::<f64>().ok();
            (read("sum_over_time(up[5m])")? >= count as f64).then_some(())
        });
        let failed = self.query("count_over_time(up[5m]) - sum_over_time(up[5m])");
        assert_eq!(failed[0]["value"][1], "0", "a scrape has failed");
    }

    /// What a query finds now.
    #[track_caller]
    pub fn query(&self, query: &str) -> Vec<Value> {
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let asked = Request::get(&format!("/api/v1/query?{query}"));
        let reply = Connection::open(self.address).unwrap().send(&asked).unwrap().expect(200).json();
        assert_eq!(reply["status"], "success", "{reply}");
        reply["data"]["result"].as_array().unwrap().clone()
    }
}

/// Gives text to `promtool` with these arguments: whether it was content, and what it said.
pub fn promtool(arguments: &[&str], text: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed by tests/run");
    child.stdin.take().expect("piped above").write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    (output.status.success(), said)
}
