//! Every page of an app on a telephone and on a desk: nothing sticks out, nothing is complained of, and each leads to
//! all others.

use fantoccini::{Client, Locator};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{await_text, fill, submit};
use crate::harness::browser::{Driver, PATIENCE, Scripts};
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};
use crate::harness::{MEMBER, PASSWORD, Server};
use crate::pages::hidden;
use crate::teardown::client;

/// Paths below that of the app, and a text that only the seeded page has.
const PAGES: &[(&str, &str)] = &[
    ("", "Newest events"),
    ("?range=7d&version=1.2.3&metric=crash_free_sessions&compare=year", "Newest events"),
    ("/events", "opened"),
    ("/event?name=opened", "Who did it last"),
    ("/breakdown?dimension=version&metric=users", "All together"),
    ("/live", "Newest events"),
    ("/explorer", "Events, newest first"),
    ("/funnels", "A new funnel"),
    ("/funnel?step=opened&step=checkout_completed&window=7d&split=version", "Keep this funnel"),
    ("/sessions", "How long they last"),
    ("/retention?cohort=day", "Came in"),
    ("/errors", "TornError: torn apart"),
    ("/error?group=TornError%3A+torn+apart", "Message of the first one"),
    ("/versions", "Share of sessions"),
    ("/version?name=1.2.3", "Builds"),
    ("/rules", "the rule is gone"),
    ("/changes", "all platforms"),
    ("/users", "Ana"),
    ("/devices", "Telephone of Ana"),
    ("/keys", "Rotate"),
    ("/connect", "It works."),
    ("/set-aside", "could not be used"),
    ("/settings", "Archive this app"),
];

/// Paths of pages that are about no app, and a text of each.
const OTHERS: &[(&str, &str)] = &[
    ("/apps", "Well Filled"),
    ("/apps/new", "Create app"),
    ("/organizations", "New organization"),
    ("/organizations/default", "Open invitations"),
    ("/organizations/default/changes", "App made:"),
    ("/organizations/default/settings", "Delete this organization"),
    ("/box/members", "Give the box"),
    ("/box/changes", "Member made:"),
];

const PHONE: u32 = 390;
const DESK: u32 = 1280;

/// Somebody signed in at a browser, before an app with something on each of its pages.
struct Seat {
    client: Client,
    driver: Driver,
    /// Address of the app's overview.
    home: String,
    server: Server,
}

impl Seat {
    async fn take() -> Self {
        let server = Server::start();
        let app = seed(&server);
        let driver = Driver::start();
        let client = driver.open().await;
        sign_in(&client, &server).await;
        let home = format!("{}/apps/{}", server.url(), app.slug);
        Self { client, driver, home, server }
    }

    /// Addresses of all pages, those of the app first, with a text of each.
    fn pages(&self) -> impl Iterator<Item = (String, &'static str)> {
        let of_app = PAGES.iter().map(|(path, text)| (format!("{}{path}", self.home), *text));
        of_app.chain(OTHERS.iter().map(|(path, text)| (format!("{}{path}", self.server.url()), *text)))
    }
}

/// An app with something on each of its pages.
fn seed(server: &Server) -> Credentials {
    let app = server.app("Well Filled");
    server.member("grace@example.com", "admin", "default");
    let owner = server.sign_in();
    let csrf = hidden(&server.page("/apps", &owner).text(), "csrf");
    let invitation = [("csrf", csrf.as_str()), ("act", "invite"), ("note", "Ada"), ("role", "owner")];
    server.send(&Request::form("/organizations/default/invitations", &invitation).header("cookie", &owner)).expect(200);
    for (n, version) in ["1.2.3", "1.9.0", "2.0.0-beta.4+build.20260420.a-very-long-name", "2.1.0"].iter().enumerate() {
        let mut event = kit::event_of(Uuid::new_v4(), Timestamp::now(), "opened");
        event["service"]["version"] = json!(version);
        event["user_id"] = json!(format!("user {n}"));
        event["session_id"] = json!(format!("sess_{n}"));
        event["event"]["data"]["where"] = json!("a-value-without-a-space-".repeat(8));
        server.accept(&app, &[event]);
    }
    let mut torn = kit::event("error");
    torn["event"]["data"] = json!({ "type": "TornError", "message": "torn apart", "fatal": true });
    server.accept(&app, &[torn]);
    let mut broken = kit::event("opened");
    broken["event"]["type"] = json!(null);
    server.send(&app.sdk(&kit::batch(&[broken]))).expect(200);
    let mut installed = client::Client::new(server, &app);
    installed.device["hardware"]["device_name"] = json!("Telephone of Ana");
    installed.log_in(&json!({ "user_id": "user-123", "email": "ana@example.com", "name": "Ana Example" }));
    installed.track(&[client::event("checkout_completed", None)]).unwrap();
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_an_app_fits_a_telephone_and_a_desk() {
    let seat = &Seat::take().await;
    let Seat { client, driver, home, .. } = seat;
    require_two(client, home).await;

    for scripts in [Scripts::On, Scripts::Off] {
        for width in [PHONE, DESK] {
            driver.look(client, width, scripts).await;
            for (address, text) in seat.pages() {
                visit(client, &address, text).await;
            }
            client.goto(&format!("{home}/users")).await.unwrap();
            let person = client.find(Locator::LinkText("Ana Example")).await.unwrap();
            let person = person.prop("href").await.unwrap().unwrap();
            visit(client, &person, "checkout_completed").await;
            assert_eq!(driver.complaints(client).await, [] as [String; 0], "{width} pixels, scripts {scripts:?}");
        }
    }
    // What is chosen in a row that is longer than the telephone is wide.
    driver.look(client, PHONE, Scripts::On).await;
    visit(client, &format!("{home}/breakdown?dimension=error"), "Breakdown by").await;
    let script = "const [row, chosen] = ['.segments', '.segments [aria-current]']
                      .map((what) => document.querySelector(what).getBoundingClientRect());
                  return [row.left - chosen.left, chosen.right - row.right];";
    let outside = client.execute(script, Vec::new()).await.unwrap();
    assert!([0, 1].iter().all(|end| outside[end].as_f64().unwrap() <= 0.0), "it stands out by {outside}");
    client.clone().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_legible_in_the_light_and_in_the_dark() {
    let seat = &Seat::take().await;
    let Seat { client, driver, home, .. } = seat;
    require_two(client, home).await;
    let mut found = Vec::new();
    for (width, scheme) in [(PHONE, "dark"), (DESK, "light"), (DESK, "dark")] {
        driver.look(client, width, Scripts::On).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        driver.tell(client, "Emulation.setEmulatedMedia", features).await;
        for (path, text) in seat.pages() {
            visit(client, &path, text).await;
            let lacks = client.execute(include_str!("legible.js"), Vec::new()).await.unwrap();
            let lacks = lacks.as_array().expect("the script returns a list").iter();
            found.extend(lacks.map(|lack| format!("{path} in the {scheme}, {width} pixels: {lack}")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    client.clone().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_every_page_of_an_app_all_others_are_one_step_or_two_away() {
    let Seat { client, driver, home, .. } = &Seat::take().await;
    for scripts in [Scripts::On, Scripts::Off] {
        driver.look(client, PHONE, scripts).await;
        client.goto(&format!("{home}/keys")).await.unwrap();
        let devices = Locator::XPath("//nav[@class='tabs']//a[.='Devices']");
        assert!(!client.find(devices).await.unwrap().is_displayed().await.unwrap(), "the menu is open by itself");
        client.find(Locator::Css(".menu summary")).await.unwrap().click().await.unwrap();
        let devices = client.wait().at_most(PATIENCE).for_element(devices).await.unwrap();
        assert!(devices.is_displayed().await.unwrap(), "the menu does not open");
        assert_fits(client, "the menu").await;
        devices.click().await.unwrap();
        await_text(client, "Telephone of Ana").await;

        driver.look(client, DESK, scripts).await;
        assert!(!client.find(Locator::Css(".menu")).await.unwrap().is_displayed().await.unwrap());
        for link in client.find_all(Locator::Css(".tabs a")).await.unwrap() {
            assert!(link.is_displayed().await.unwrap(), "{:?} is hidden", link.text().await);
        }
        client.find(Locator::LinkText("Users")).await.unwrap().click().await.unwrap();
        await_text(client, "Ana Example").await;
    }
    assert_eq!(driver.complaints(client).await, [] as [String; 0]);
    client.clone().close().await.unwrap();
}

/// What members say of versions, as they say it.
async fn require_two(client: &Client, home: &str) {
    client.goto(&format!("{home}/rules")).await.unwrap();
    fill(client, "required", "2.0").await;
    submit(client).await;
    await_text(client, "the rule is gone").await;
}

pub(super) async fn sign_in(client: &Client, server: &Server) {
    client.goto(&format!("{}/login", server.url())).await.unwrap();
    fill(client, "name", MEMBER).await;
    fill(client, "password", PASSWORD).await;
    submit(client).await;
    await_text(client, "Well Filled").await;
}

async fn visit(client: &Client, address: &str, text: &str) {
    client.goto(address).await.unwrap();
    await_text(client, text).await;
    assert_fits(client, address).await;
}

/// The page itself does not scroll sideways; what is in it may.
pub(super) async fn assert_fits(client: &Client, place: &str) {
    let script = "const page = document.documentElement; return [page.scrollWidth, page.clientWidth];";
    let widths = client.execute(script, Vec::new()).await.unwrap();
    let [whole, seen] = [0, 1].map(|n| widths[n].as_u64().unwrap());
    assert!(whole <= seen, "{place} is {whole} pixels wide and shows {seen}");
}
