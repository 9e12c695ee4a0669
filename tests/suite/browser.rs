//! A real browser: the first minute of a new user, and every page of an app.

mod hostile;
mod live;
mod pages;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::harness::http::{Connection, Request};
use crate::harness::{MEMBER, PASSWORD, Server, poll};

/// Longest wait for something to appear on a page.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether the browser runs those of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scripts {
    On,
    Off,
}

/// A chromedriver in a process of its own; ended when dropped, and its browsers with it.
struct Driver {
    child: Child,
    address: SocketAddr,
    home: tempfile::TempDir,
}

impl Driver {
    fn start() -> Self {
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

    async fn open(&self) -> Client {
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
    async fn look(&self, client: &Client, width: u32, scripts: Scripts) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.tell(client, "Emulation.setDeviceMetricsOverride", size).await;
        self.tell(client, "Emulation.setScriptExecutionDisabled", json!({ "value": scripts == Scripts::Off })).await;
    }

    async fn tell(&self, client: &Client, command: &str, parameters: Value) {
        let session = client.session_id().await.unwrap().unwrap();
        let body = json!({ "cmd": command, "params": parameters }).to_string();
        let request = Request::post(&format!("/session/{session}/goog/cdp/execute"), body);
        Connection::open(self.address).unwrap().send(&request).unwrap().expect(200);
    }

    /// What the browser complained about since the last call: errors of scripts, refused resources, policy reports.
    async fn complaints(&self, client: &Client) -> Vec<String> {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_first_minute_ends_with_an_event_on_the_page() {
    let server = Server::with().start_fresh();
    let driver = Driver::start();
    let client = driver.open().await;
    let begun = Instant::now();

    client.goto(&format!("{}{}", server.url(), server.setup_link())).await.unwrap();
    fill(&client, "name", MEMBER).await;
    fill(&client, "password", PASSWORD).await;
    submit(&client).await;

    await_text(&client, "app").await;
    client.goto(&format!("{}/apps/new", server.url())).await.unwrap();
    fill(&client, "name", "First Light").await;
    submit(&client).await;

    await_text(&client, "curl").await;
    let shown = client.current_url().await.unwrap();
    let snippet = snippet(&client, "openssl").await;
    client.goto(&format!("{}/apps/first-light", server.url())).await.unwrap();
    await_text(&client, "Waiting for the first event").await;

    run_as_shown(&snippet);
    let sent = Instant::now();
    await_text(&client, "Newest events").await; // by itself: nobody reloads
    println!("the page turned {:?} after the event, {:?} after the link", sent.elapsed(), begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(server.count("SELECT count(*) FROM events"), 1);

    run_as_shown(&snippet);
    let sent = Instant::now();
    let two = Locator::XPath("//*[@class='metric-total'][.='2']");
    client.wait().at_most(PATIENCE).for_element(two).await.expect("the second event never appeared by itself");
    println!("the overview told the second event after {:?}", sent.elapsed());

    client.goto(shown.as_str()).await.unwrap();
    let again = client.source().await.unwrap();
    let secret = snippet.split(['\'', '"']).find(|part| part.len() == 44 && part.ends_with('=')).expect("a secret");
    assert!(!again.contains(secret), "the secret is shown twice");

    assert_eq!(driver.complaints(&client).await, [] as [String; 0]);
    client.close().await.unwrap();
}

/// A shell gets exactly what a person would paste.
#[track_caller]
fn run_as_shown(snippet: &str) {
    let output = Command::new("sh").arg("-c").arg(snippet).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("\"accepted\":1"), "{snippet}\n{said}\n{errors}");
}

async fn fill(client: &Client, name: &str, text: &str) {
    let field = client.wait().at_most(PATIENCE).for_element(Locator::Css(&format!("input[name={name}]"))).await;
    field.unwrap_or_else(|e| panic!("no field {name}: {e}")).send_keys(text).await.unwrap();
}

async fn submit(client: &Client) {
    let button = client.find(Locator::Css("main form button[type=submit], main form button:not([type])")).await;
    button.unwrap().click().await.unwrap();
}

/// The text of the first preformatted block that contains `word`.
async fn snippet(client: &Client, word: &str) -> String {
    for block in client.find_all(Locator::Css("pre")).await.unwrap() {
        let text = block.prop("textContent").await.unwrap().unwrap_or_default();
        if text.contains(word) {
            return text;
        }
    }
    panic!("no snippet with {word} in {}", client.source().await.unwrap())
}

async fn await_text(client: &Client, text: &str) {
    let here = format!("//main[contains(., '{text}')]");
    if client.wait().at_most(PATIENCE).for_element(Locator::XPath(&here)).await.is_err() {
        panic!("{text:?} never appeared on {}", client.source().await.unwrap());
    }
}
