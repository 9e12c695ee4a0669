//! Two nodes over one database: what one sets or counts, the other knows within seconds.

use std::time::Duration;

use serde_json::json;

use super::{limit, set, stay_within_a_day};
use crate::harness::backend::on_postgres_alone;
use crate::harness::kit;
use crate::harness::{Backend, Database, Server, poll};

on_postgres_alone! { what_one_node_sets_holds_on_the_other, a_quota_is_counted_over_all_nodes }

const SOON: Duration = Duration::from_secs(20);

fn two() -> (Server, Server) {
    let first = Server::over(Backend::Postgres);
    let Database::Postgres(database) = first.database() else { panic!("a file has one server") };
    let second = Server::with().database(database.at(database.port())).start_fresh();
    (first, second)
}

fn what_one_node_sets_holds_on_the_other() {
    let (first, second) = two();
    let app = first.app("Both");
    let mut event = kit::event("a");
    event["user_id"] = json!("client_bad");
    second.accept(&app, std::slice::from_ref(&event));
    set(&first, &app, &[("act", "ban"), ("kind", "user"), ("id", "client_bad")]);
    let counted = || first.count("SELECT coalesce(sum(events), 0) FROM intake_days WHERE outcome = 'banned'");
    poll::until(SOON, "the ban on the other node", || {
        event["event_id"] = json!(uuid::Uuid::new_v4().to_string());
        second.accept(&app, std::slice::from_ref(&event));
        (counted() > 0).then_some(())
    });
    set(&first, &app, &[("act", "lists"), ("networks", "203.0.113.0/24"), ("origins", "")]);
    poll::until(SOON, "the list on the other node", || {
        (second.send(&app.sdk(&kit::batch(&[kit::event("b")]))).status == 403).then_some(())
    });
}

fn a_quota_is_counted_over_all_nodes() {
    stay_within_a_day();
    let (first, second) = two();
    let app = first.app("Counted");
    limit(&first, &app, ["", "", "", "10"]);
    let one = || app.sdk(&kit::batch(&[kit::event("a")]));
    poll::until(SOON, "the quota on the other node", || second.send(&one()).header("x-ratelimit-limit").map(|_| ()));
    let rest: Vec<_> = (0..20).map(|_| kit::event("b")).collect();
    first.accept(&app, &rest);
    poll::until(SOON, "what the first node has taken", || (second.send(&one()).status == 429).then_some(()));
    assert_eq!(first.send(&one()).status, 429);
}
