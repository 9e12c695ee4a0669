//! A real Chromium, driven as a person would.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use super::http::{Connection, Request};
use super::poll;

/// Longest wait for something to appear on a page.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Whether the browser runs those of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

/// A chromedriver in a process of its own; ended when dropped, and its browsers with it.
pub struct Driver {
    child: Child,
    address: SocketAddr,
    home: tempfile::TempDir,
}

impl Driver {
    pub fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", home.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/run installs chromium-driver");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        poll::until(PATIENCE, "chromedriver", || Connection::open(address).ok());
        Self { child, address, home }
    }

    pub async fn open(&self) -> Client {
        let profile = self.home.path().join("profile");
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                "args": [
                    "--headless=new",
                    "--no-sandbox", // as root there is no other way
                    "--disable-dev-shm-usage",
                    "--disable-gpu",
                    "--window-size=1280,1400",
                    format!("--user-data-dir={}", profile.display()),
                ]
            },
            "goog:loggingPrefs": { "browser": "ALL" }
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object, just above") };
        ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://{}", self.address))
            .await
            .unwrap()
    }

    /// Makes the page so many pixels wide, and scripts run or not.
    pub async fn look(&self, client: &Client, width: u32, scripts: Scripts) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.tell(client, "Emulation.setDeviceMetricsOverride", size).await;
        self.tell(client, "Emulation.setScriptExecutionDisabled", json!({ "value": scripts == Scripts::Off })).await;
    }

    /// A command of the DevTools protocol.
    pub async fn tell(&self, client: &Client, command: &str, parameters: Value) {
        let session = client.session_id().await.unwrap().unwrap();
        let body = json!({ "cmd": command, "params": parameters }).to_string();
        let request = Request::post(&format!("/session/{session}/goog/cdp/execute"), body);
        Connection::open(self.address).unwrap().send(&request).unwrap().expect(200);
    }

    /// What the browser complained about since the last call: errors of scripts, refused resources, policy reports.
    pub async fn complaints(&self, client: &Client) -> Vec<String> {
        let session = client.session_id().await.unwrap().unwrap();
        let request = Request::post(&format!("/session/{session}/se/log"), json!({ "type": "browser" }).to_string());
        let reply = Connection::open(self.address).unwrap().send(&request).unwrap().expect(200).json();
        let entries = reply["value"].as_array().unwrap().clone();
        entries.iter().filter(|entry| entry["level"] == "SEVERE").map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Its browsers would outlive it, but they stay in its process group.
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        _ = group.map(|group| kill_process_group(group, Signal::KILL));
        _ = self.child.wait();
    }
}
