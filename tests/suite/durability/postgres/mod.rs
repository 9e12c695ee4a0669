//! Goals R18 to R20, and what else may happen to a PostgreSQL: while it is away every request is answered in time, and
//! when it is back nothing that was acknowledged is lost and nothing counts twice.

mod absent;
mod bounced;
mod crowded;
mod failover;
mod frozen;
mod full;
mod killed;

use std::time::{Duration, Instant};

use super::load::{Shape, Tally};
use crate::harness::Server;
use crate::harness::http::{Reply, Request};
use crate::harness::kit::{self, Credentials};

/// Longest wait for an answer, whatever has become of the database.
const ANSWER: Duration = Duration::from_secs(5);

/// What the clients of these drills send.
const SHAPE: Shape = Shape { events: 20, padding: 20 };

/// Panics unless every client got an answer in time, and none but success and the refusal that SDKs try again on.
#[track_caller]
fn assert_polite(tally: &Tally) {
    assert_eq!(tally.unanswered, 0, "calls without an answer");
    tally.refusals.iter().for_each(assert_passing);
    assert!(tally.slowest <= ANSWER, "an answer took {:?}", tally.slowest);
}

/// Panics unless a reply says that the trouble passes, and when to come back.
#[track_caller]
fn assert_passing(reply: &Reply) {
    let seconds = reply.header("retry-after").and_then(|text| text.parse::<u32>().ok());
    let passing = reply.status == 503 && seconds.is_some_and(|seconds| (1..=60).contains(&seconds));
    assert!(passing, "{} {:?} {}", reply.status, reply.headers, reply.text());
}

/// Panics unless a box without its database answers whoever asks, in time: that it lives, is not ready, and that
/// everything else has to wait.
#[track_caller]
fn assert_away(server: &Server, credentials: &Credentials) {
    let in_time = |request: &Request| {
        let begun = Instant::now();
        let reply = server.send(request);
        assert!(begun.elapsed() <= ANSWER, "{} took {:?}", request.target, begun.elapsed());
        reply
    };
    in_time(&Request::get("/health/live")).expect(200);
    let ready = in_time(&Request::get("/health/ready")).expect(503).json();
    let reason = ready["reasons"][0]["name"].as_str().unwrap_or_default();
    assert!(reason.starts_with("database_"), "{ready}");
    assert_passing(&in_time(&credentials.sdk(&kit::batch(&[kit::event("probe")]))));
    let page = in_time(&Request::get("/apps").header("cookie", "tallybox=nobodys"));
    assert!(page.status < 500 || page.status == 503, "{}: {}", page.status, page.text());
}
