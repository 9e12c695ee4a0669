//! The form of an order: what is read of it, and that it is filled in with what was read.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::model::{AppId, Environment, OrderId, Organization, OrganizationId, Salt, Slug};

const NOW: Millis = Millis(1_800_000_000_000); // 2027-01-15 08:00 UTC

fn app() -> App {
    let slug = Slug::parse("app").unwrap();
    App {
        id: AppId(7),
        organization: Organization {
            id: OrganizationId(1),
            uuid: Uuid::nil(),
            slug: slug.clone(),
            name: "One".to_owned(),
        },
        uuid: Uuid::nil(),
        slug,
        name: "App".to_owned(),
        zone: Arc::new(Zone::find("Europe/Berlin").unwrap()),
        strict: false,
        salt: Salt([0; 32]),
        created_at: NOW,
        first_event_at: None,
        archived_at: None,
        environments: vec![Environment { id: EnvironmentId(3), slug: Slug::parse("production").unwrap() }],
    }
}

fn fields(text: &str) -> Fields {
    Fields::parse(text.as_bytes())
}

#[test]
fn a_form_is_read_and_filled_in_with_what_was_read() {
    for text in [
        "environment=production&versions=below&version=1.2.0&sending=pause&until=2027-01-15T09:01&sample=2.5%25&names=a%0Ab&flush=60",
        "environment=&versions=all&version=&sending=stop&until=&sample=&names=&flush=",
        "environment=&versions=exactly&version=1.2.0-rc&sending=pause&until=&sample=&names=&flush=",
        "environment=&versions=all&version=&sending=go&until=&sample=10%25&names=&flush=",
    ] {
        let new = read(&fields(text), &app(), NOW).unwrap();
        let NewOrder { environment, versions, order, .. } = new;
        let standing =
            StandingOrder { id: OrderId(1), environment, versions, order, since: NOW, member: String::new() };
        assert_eq!(Blank::of(&standing, &app()), Blank::typed(&fields(text)), "{text}");
    }
    let new = read(&fields("versions=all&sending=pause&until=2027-01-15T09:01"), &app(), NOW).unwrap();
    assert_eq!(new.order.paused_until(), Some(NOW.plus(Millis::MINUTE)), "in the app's own time zone");
}

#[test]
fn what_makes_no_sense_is_said() {
    for (text, said) in [
        ("versions=all&sending=go", "Order something"),
        ("versions=all&sending=go&until=2028-01-01T00:00", "Only a pause"),
        ("versions=all&sending=pause&until=2027-01-15T09:00", "over already"),
        ("versions=all&sending=pause&until=soon", "no time"),
        ("versions=all&sending=", "go on, pause or stop"),
        ("versions=below&version=x&sending=stop", "below which"),
        ("versions=&sending=stop", "all versions"),
        ("versions=all&sending=go&sample=100", "less than 100"),
        ("versions=all&sending=go&flush=0", "whole number"),
        ("environment=moon&versions=all&sending=stop", "no such environment"),
    ] {
        let problem = read(&fields(text), &app(), NOW).unwrap_err();
        assert!(problem.contains(said), "{text}: {problem}");
    }
}

#[test]
fn protocols_are_told_what_they_have_words_for() {
    let words = [("A", Words { pause: "pause", stop: "stop", flush: Some("flush") }), ("B", Words::NONE)];
    let order = |text: &str| read(&fields(&format!("versions=all&{text}")), &app(), NOW).unwrap().order;
    let told = |text: &str| heard(&order(text), &words).into_iter().map(|heard| heard.words).collect::<Vec<_>>();
    assert_eq!(told("sending=stop"), [vec!["stop"], vec![Words::NONE.stop]]);
    assert_eq!(told("sending=pause&flush=5")[0], ["pause", "flush"]);
    assert_eq!(told("sending=go&flush=5"), [["flush"], ["It cannot be told how often to send."]]);
    assert!(told("sending=go&sample=5").is_empty());
}
