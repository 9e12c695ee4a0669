//! What Prometheus and Grafana find at `/metrics`: point 16 of the list.

use std::collections::BTreeMap;

use super::server_with_app;
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, Server, kit};

on_both_backends! {
    the_guides_dashboard_queries_find_data,
    every_event_is_accounted_for,
    figures_are_for_this_machine_and_for_holders_of_the_token,
}

/// One scrape: samples by name and labels.
struct Scrape(Vec<(String, BTreeMap<String, String>, f64)>);

impl Scrape {
    fn of(server: &Server) -> Self {
        let reply = server.get("/metrics").expect(200);
        assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::parse(&reply.text())
    }

    /// Reads the text as strictly as Prometheus does: a type before the samples, each series once.
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let (mut types, mut samples) = (BTreeMap::new(), Vec::new());
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let (word, rest) = comment.split_once(' ').unwrap();
                let (name, rest) = rest.split_once(' ').unwrap();
                match word {
                    "TYPE" => assert_eq!(types.insert(name, rest), None, "{name} comes twice"),
                    "HELP" => assert!(!rest.is_empty(), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(types.contains_key(family) || types.contains_key(name), "no type before {line}");
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"));
            // No label of ours has a comma or a quote in its value.
            let labels: BTreeMap<_, _> = (labels.split(',').filter(|label| !label.is_empty()))
                .map(|label| {
                    let (name, text) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
                    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                    (name.to_owned(), text.unwrap_or_else(|| panic!("{line}")).to_owned())
                })
                .collect();
            assert!(!samples.iter().any(|(n, l, _)| n == name && *l == labels), "{series} comes twice");
            samples.push((name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{line}"))));
        }
        Self(samples)
    }

    /// The sum over all series of that name whose labels fit, `None` where there is no series.
    fn sum(&self, name: &str, fits: impl Fn(&BTreeMap<String, String>) -> bool) -> Option<f64> {
        let mut found = self.0.iter().filter(|(n, labels, _)| n == name && fits(labels)).peekable();
        found.peek()?;
        Some(found.map(|(_, _, value)| value).sum())
    }

    /// Requests with such a status. While the server starts it may say that it is not ready yet.
    fn status(&self, begin: &str) -> Option<f64> {
        self.sum("http_requests_total", |labels| {
            labels["status"].starts_with(begin) && labels["status"].len() == 3 && labels["route"] != "/health/ready"
        })
    }

    fn value(&self, name: &str) -> f64 {
        self.sum(name, |_| true).unwrap_or_else(|| panic!("no {name}"))
    }
}

/// `histogram_quantile(q, increase(http_request_duration_seconds_bucket{route}))` between two scrapes.
fn quantile(q: f64, route: &str, before: &Scrape, after: &Scrape) -> f64 {
    let name = "http_request_duration_seconds_bucket";
    let of_route = |labels: &BTreeMap<String, String>| labels["route"].starts_with(route);
    let bounds = after.0.iter().filter(|(n, labels, _)| n == name && of_route(labels));
    let mut bounds: Vec<f64> = bounds.map(|(_, labels, _)| labels["le"].parse().unwrap()).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    assert_eq!(bounds.last(), Some(&f64::INFINITY));
    let up_to = |scrape: &Scrape, bound: f64| {
        scrape.sum(name, |labels| of_route(labels) && labels["le"].parse() == Ok(bound)).unwrap_or(0.0)
    };
    let increases: Vec<f64> = bounds.iter().map(|bound| up_to(after, *bound) - up_to(before, *bound)).collect();
    assert!(increases.is_sorted(), "buckets are cumulative: {increases:?}");
    let rank = q * increases.last().unwrap();
    let bucket = increases.iter().position(|count| *count >= rank).unwrap();
    let below = |values: &[f64]| if bucket == 0 { 0.0 } else { values[bucket - 1] };
    let inside = (rank - below(&increases)) / (increases[bucket] - below(&increases));
    below(&bounds) + (bounds[bucket].min(20.0) - below(&bounds)) * inside
}

fn the_guides_dashboard_queries_find_data(backend: Backend) {
    let (server, app) = server_with_app(backend);
    server.accept(&app, &[kit::event("a")]);
    let before = Scrape::of(&server);
    // rate(http_requests_total{status=~"5.."}[5m]): zero, not unknown, where nothing went wrong.
    assert_eq!(before.status("5"), Some(0.0));

    for n in 0..10 {
        server.accept(&app, &[kit::event(&format!("b{n}")), kit::event(&format!("c{n}"))]);
    }
    server.send(&Request::post(&app.path(), b"{}".to_vec())).expect(401);
    let mut malformed = kit::event("d");
    malformed["timestamp"] = "never".into();
    server.accept(&app, &[malformed]);
    let after = Scrape::of(&server);

    // sum(rate(http_requests_total[5m])), and by status.
    let grown = |begin: &str| after.status(begin).unwrap_or(0.0) - before.status(begin).unwrap_or(0.0);
    assert!(grown("") >= 13.0, "{} requests", grown(""));
    assert_eq!((grown("200") - grown_scrapes(&before, &after), grown("401")), (11.0, 1.0));
    // histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m])).
    let p95 = quantile(0.95, "/v1/ingest/", &before, &after);
    assert!(p95 > 0.0 && p95 < 20.0, "{p95}");
    // rate(events_ingested_total[5m]).
    assert_eq!(after.value("events_ingested_total") - before.value("events_ingested_total"), 20.0);
    assert_eq!(after.value("events_failed_total") - before.value("events_failed_total"), 1.0);
    assert!(after.value("db_connections_active") < 10.0);
}

/// The scrape before is counted in the one after.
fn grown_scrapes(before: &Scrape, after: &Scrape) -> f64 {
    let scrapes = |scrape: &Scrape| {
        scrape.sum("http_requests_total", |labels| labels["route"] == "/metrics" && labels["status"] == "200")
    };
    scrapes(after).unwrap() - scrapes(before).unwrap_or(0.0)
}

fn every_event_is_accounted_for(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let event = kit::event("a");
    server.accept(&app, std::slice::from_ref(&event));
    server.accept(&app, &[event, kit::event("b")]);
    let mut malformed = kit::event("c");
    malformed["timestamp"] = "never".into();
    server.accept(&app, &[malformed]);
    server.send(&app.sdk(&kit::batch(&[kit::event("d"), kit::event("e")])).header("dnt", "1")).expect(200);
    let scrape = Scrape::of(&server);
    let events = |outcome: &str| scrape.sum("tallybox_events_total", |labels| labels["outcome"] == outcome).unwrap();
    let outcomes = ["stored", "duplicate", "set_aside", "dropped", "banned", "refused"].map(events);
    assert_eq!(outcomes, [2.0, 1.0, 1.0, 2.0, 0.0, 0.0]);
    assert_eq!(["sampled", "unlisted", "paused", "stopped"].map(events), [0.0; 4]);
    assert_eq!(outcomes.iter().sum::<f64>(), events("received"));
    let of_app = |outcome: &str| {
        scrape.sum("tallybox_app_events_total", |l| l["app"] == app.slug && l["outcome"] == outcome).unwrap()
    };
    let outcomes = ["stored", "duplicate", "rejected", "refused"].map(of_app);
    assert_eq!((outcomes, of_app("received")), ([2.0, 1.0, 3.0, 0.0], 6.0));
    assert_eq!(scrape.sum("tallybox_commits_total", |labels| labels["result"] == "failed"), Some(0.0));
    assert_eq!(scrape.value("tallybox_queued_requests"), 0.0);
    let keys = scrape.sum("tallybox_cache_lookups_total", |labels| labels["cache"] == "ingest_keys");
    assert_eq!(keys, Some(4.0), "one look-up a request");
}

fn figures_are_for_this_machine_and_for_holders_of_the_token(backend: Backend) {
    let token = "0123456789-0123456789-canary";
    let server = Server::with().backend(backend).setting("TALLYBOX_METRICS_TOKEN", token).start_fresh();
    let elsewhere = Request::get("/metrics").header("x-forwarded-for", "203.0.113.9");
    server.get("/metrics").expect(200);
    let refused = server.send(&elsewhere).expect(401);
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    server.send(&elsewhere.clone().header("authorization", &format!("Bearer {token}x"))).expect(401);
    server.send(&elsewhere.clone().header("authorization", &format!("Bearer {token}"))).expect(200);
    let closed = Server::with().backend(backend).start_fresh();
    closed.get("/metrics").expect(200);
    closed.send(&elsewhere.header("authorization", "Bearer ")).expect(404);
}
