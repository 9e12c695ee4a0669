//! The tabs of SDKs in a real browser: ticked by themselves where scripts run, by reloading where they do not.

use fantoccini::{Client, Locator};

use super::pages::assert_fits;
use super::{await_text, fill, submit};
use crate::harness::browser::{Driver, Scripts};
use crate::harness::kit::{self, Credentials};
use crate::harness::{MEMBER, PASSWORD, Server};

#[tokio::test(flavor = "multi_thread")]
async fn the_tab_of_an_sdk_is_ticked_when_its_first_event_comes_with_scripts_and_without() {
    let server = Server::start();
    let driver = Driver::start();
    let client = driver.open().await;
    client.goto(&format!("{}/login", server.url())).await.unwrap();
    fill(&client, "name", MEMBER).await;
    fill(&client, "password", PASSWORD).await;
    submit(&client).await;
    await_text(&client, "app").await;
    client.goto(&format!("{}/apps/new", server.url())).await.unwrap();
    fill(&client, "name", "Ticked").await;
    submit(&client).await;
    await_text(&client, "Ticked is ready").await;

    let app = shown(&client).await;
    assert!(is_seen(&client, "openssl").await, "the first tab is not open");
    choose(&client, "Rust").await;
    assert!(is_seen(&client, "TelemetryKit::builder").await && !is_seen(&client, "openssl").await);
    server.accept(&app, &[kit::event("opened")]);
    await_text(&client, "It works.").await; // by itself: nobody reloads
    assert!(is_seen(&client, "It works.").await && is_seen(&client, "✓").await);
    assert!(is_seen(&client, "TelemetryKit::builder").await, "another tab is open now");
    assert_eq!(shown(&client).await.secret, app.secret, "the keys are gone");
    choose(&client, "Teardown").await;
    assert!(is_seen(&client, "ingestUrl").await && !is_seen(&client, "TelemetryKit::builder").await);
    driver.look(&client, 390, Scripts::On).await;
    assert_fits(&client, "the page of new keys").await;

    driver.look(&client, 390, Scripts::Off).await;
    client.goto(&format!("{}/apps/ticked/connect", server.url())).await.unwrap();
    assert!(is_seen(&client, "TelemetryKit::builder").await, "the tab of the SDK that works is not open");
    choose(&client, "A shell").await;
    assert!(is_seen(&client, "openssl").await && is_seen(&client, "Waiting for the first event of this SDK").await);
    server.accept(&app, &[kit::event("opened")]);
    client.find(Locator::LinkText("Look again")).await.unwrap().click().await.unwrap();
    await_text(&client, "Rust: 2 events").await;
    assert_eq!(driver.complaints(&client).await, [] as [String; 0]);
    client.close().await.unwrap();
}

/// The credentials that the page shows.
async fn shown(client: &Client) -> Credentials {
    let mut values = Vec::new();
    for label in ["Organization id", "App id", "Token", "Secret"] {
        let here = format!("//dt[.='{label}']/following-sibling::dd/code");
        values.push(client.find(Locator::XPath(&here)).await.unwrap().text().await.unwrap());
    }
    let [organization, app, token, secret] = values.try_into().expect("four labels, just above");
    Credentials { organization, app, slug: "ticked".to_owned(), token, secret }
}

/// Presses the tab of that name.
async fn choose(client: &Client, name: &str) {
    let label = format!("//label[starts-with(normalize-space(), '{name}')]");
    client.find(Locator::XPath(&label)).await.unwrap().click().await.unwrap();
}

/// Whether an element that holds the text is displayed.
async fn is_seen(client: &Client, text: &str) -> bool {
    let here = format!("//main//*[not(*)][contains(., '{text}')] | //main//p[contains(., '{text}')]");
    for element in client.find_all(Locator::XPath(&here)).await.unwrap() {
        if element.is_displayed().await.unwrap() {
            return true;
        }
    }
    false
}
