//! The live page in a real browser: told of news where scripts run, asking again where they do not.

use std::time::Instant;

use fantoccini::{Client, Locator};

use super::{await_text, fill, submit};
use crate::harness::browser::{Driver, PATIENCE, Scripts};
use crate::harness::{MEMBER, PASSWORD, Server, kit, poll};

#[tokio::test(flavor = "multi_thread")]
async fn the_live_page_shows_events_as_they_come_with_scripts_and_without() {
    let mut server = Server::start();
    let app = server.app("Lively");
    server.accept(&app, &[kit::event("first_event")]);
    let driver = Driver::start();
    let client = driver.open().await;
    client.goto(&format!("{}/login", server.url())).await.unwrap();
    fill(&client, "name", MEMBER).await;
    fill(&client, "password", PASSWORD).await;
    submit(&client).await;
    await_text(&client, "Lively").await;

    let live = format!("{}/apps/{}/live", server.url(), app.slug);
    client.goto(&live).await.unwrap();
    await_event(&client, "first_event").await;
    await_told(&client).await;
    server.accept(&app, &[kit::event("second_event")]);
    let sent = Instant::now();
    await_event(&client, "second_event").await;
    println!("the live page showed an event after {:?}", sent.elapsed());
    let two = Locator::XPath("//*[@class='metric-total'][.='2']");
    client.wait().at_most(PATIENCE).for_element(two).await.expect("the figures never followed");
    assert_eq!(driver.complaints(&client).await, [] as [String; 0]);

    // It comes again by itself after a restart, and hears what came meanwhile.
    assert!(server.stop().success());
    server.restart();
    server.accept(&app, &[kit::event("third_event")]);
    await_event(&client, "third_event").await;
    await_told(&client).await;
    driver.complaints(&client).await; // of the connection that was gone

    driver.look(&client, 1280, Scripts::Off).await;
    client.goto(&live).await.unwrap();
    await_event(&client, "third_event").await;
    assert_eq!(client.find_all(Locator::Css("[data-pulse]:not([hidden])")).await.unwrap().len(), 0);
    server.accept(&app, &[kit::event("fourth_event")]);
    client.find(Locator::LinkText("Refresh")).await.unwrap().click().await.unwrap();
    await_event(&client, "fourth_event").await;
    server.accept(&app, &[kit::event("fifth_event")]);
    await_event(&client, "fifth_event").await; // nobody clicks: the page says when to ask again
    assert_eq!(driver.complaints(&client).await, [] as [String; 0]);
    client.close().await.unwrap();
    let figures = || server.get("/metrics").text();
    poll::until(PATIENCE, "no stream", || figures().contains("\ntallybox_live_streams 0\n").then_some(()));
}

async fn await_event(client: &Client, name: &str) {
    let line = format!("//ul[@class='rows card']//strong[.='{name}']");
    if client.wait().at_most(PATIENCE).for_element(Locator::XPath(&line)).await.is_err() {
        panic!("{name} never appeared on {}", client.source().await.unwrap());
    }
}

/// Until the page is told of news.
async fn await_told(client: &Client) {
    let sign = Locator::Css("[data-pulse]:not([hidden])");
    client.wait().at_most(PATIENCE).for_element(sign).await.expect("the page is not told of anything");
}
