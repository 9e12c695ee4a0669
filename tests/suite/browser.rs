//! A real browser: the first minute of a new user, and every page of an app.

mod connect;
mod hostile;
mod live;
mod pages;

use std::process::Command;
use std::time::{Duration, Instant};

use fantoccini::{Client, Locator};

use crate::harness::browser::{Driver, PATIENCE};
use crate::harness::{MEMBER, PASSWORD, Server};

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
