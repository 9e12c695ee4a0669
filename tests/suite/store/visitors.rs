//! Visitors of a day: one name on all nodes, another the day after, and nothing left by which to find anybody.

use std::net::IpAddr;

use tallybox::model::{Origin, RequestId};

use super::*;

on_both_backends! {
    a_visitor_has_one_name_a_day_on_every_node,
    a_session_keeps_its_visitor_wherever_it_goes,
    salts_are_forgotten_after_two_days,
}

const HOME: &str = "203.0.113.77";
const AWAY: &str = "198.51.100.23";

fn name(bench: &Bench, app: &App, seen: (Millis, &str), session: Option<&str>) -> String {
    let (received_at, address) = seen;
    let address: IpAddr = address.parse().unwrap();
    let origin = Origin { received_at, address, https: true, user: None, request_id: RequestId(1) };
    bench.runtime.block_on(bench.intake.as_ref().unwrap().visitor(app.id, &origin, "agent/1", session)).unwrap()
}

fn a_visitor_has_one_name_a_day_on_every_node(backend: Backend) {
    let mut bench = Bench::new(backend);
    let (app, other) = (bench.app("UTC"), bench.app("UTC"));
    let first = name(&bench, &app, (NOW, HOME), None);
    assert_eq!(first.len(), "visitor ".len() + 32);
    assert_eq!(name(&bench, &app, (NOW.plus(11 * Millis::HOUR), HOME), Some("of no matter")), first);
    assert_ne!(name(&bench, &app, (NOW, AWAY), None), first);
    assert_ne!(name(&bench, &other, (NOW, HOME), None), first);
    assert_ne!(name(&bench, &app, (NOW.plus(12 * Millis::HOUR), HOME), None), first, "it is another day");
    let mobile = ["2001:db8:cafe::7e57", "2001:db8:cafe::1"].map(|address| name(&bench, &app, (NOW, address), None));
    assert_eq!(mobile[0], mobile[1], "a phone changes the second half of its address by itself");
    // Another process knows what the database says.
    bench.reopen();
    assert_eq!(name(&bench, &app, (NOW, HOME), None), first);
    assert_eq!(bench.database.count("SELECT count(*) FROM visitor_salts"), 3);
}

fn a_session_keeps_its_visitor_wherever_it_goes(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let first = name(&bench, &app, (NOW, HOME), Some("176300000012345678"));
    let midnight = NOW.plus(12 * Millis::HOUR);
    for (at, address) in [(NOW, AWAY), (midnight, HOME), (midnight.plus(23 * Millis::HOUR), AWAY)] {
        assert_eq!(name(&bench, &app, (at, address), Some("176300000012345678")), first, "{address} at {at:?}");
    }
    assert_ne!(name(&bench, &app, (NOW, AWAY), Some("176300000099999999")), first);
    let days_later = NOW.plus(2 * Millis::DAY);
    assert_ne!(name(&bench, &app, (days_later, HOME), Some("176300000012345678")), first);
}

fn salts_are_forgotten_after_two_days(backend: Backend) {
    let mut bench = Bench::new(backend);
    let app = bench.app("UTC");
    let days = |bench: &Bench| bench.database.sql("SELECT day FROM visitor_salts ORDER BY day");
    let first = name(&bench, &app, (NOW, HOME), None);
    let today = NOW.0 / Millis::DAY;
    bench.store.tend(NOW.plus(Millis::DAY)).unwrap();
    name(&bench, &app, (NOW.plus(Millis::DAY), HOME), None);
    assert_eq!(days(&bench), format!("{today}\n{}\n", today + 1));
    bench.store.tend(NOW.plus(2 * Millis::DAY)).unwrap();
    assert_eq!(days(&bench), format!("{}\n", today + 1));
    // Whoever knows address and agent finds no name any more.
    bench.reopen();
    assert_ne!(name(&bench, &app, (NOW, HOME), None), first);
}
