//! Requests counted and timed by route, method and status, and the form in which `/metrics` tells all figures.

mod answers;
mod connections;
mod exposition;
mod identify;
mod otlp;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use hashbrown::{Equivalent, HashMap};
use parking_lot::RwLock;

use answers::Failed;

pub use answers::{Answering, Kept};
pub use connections::Connections;
pub use exposition::{Exposition, Family, Kind, Number, Source};
pub use identify::{AnsweredBatch, IdentifyMetrics, Resolved};

pub use crate::model::Histogram;

/// Route of a request that no route took. One label for all of them: paths that strangers try have no end.
const UNMATCHED: &str = "unmatched";

/// One request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The template of its route, without the base path; `None` where none matched.
    pub route: Option<&'a str>,
    /// Its method.
    pub method: &'a Method,
    /// What it was answered with.
    pub status: StatusCode,
    /// From its head to the head of its response.
    pub duration: Duration,
    /// The part of it in which its client kept us waiting for the body.
    pub waited: Duration,
}

/// Requests answered since start. Clones count into one table, which has at most a row for each route and
/// method. Requests that the connection turned away before any router are not among them.
#[derive(Clone, Debug, Default)]
pub struct RequestMetrics {
    rows: Arc<RwLock<HashMap<Key, Row>>>,
    slow: Arc<RwLock<BTreeMap<&'static str, u64>>>,
    answering: Answering,
    connections: Connections,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    route: Box<str>,
    method: &'static str,
}

/// The same, borrowed; field for field, so that both hash alike.
#[derive(Hash)]
struct Seen<'a> {
    route: &'a str,
    method: &'static str,
}

#[derive(Debug)]
struct Row {
    statuses: Vec<(u16, AtomicU64)>,
    durations: Histogram,
}

impl RequestMetrics {
    /// The same, counting answers against objectives too.
    #[must_use]
    pub fn with_answering(self, answering: Answering) -> Self {
        Self { answering, ..self }
    }

    /// The connections that they come on.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Answers counted against the objectives.
    pub fn answering(&self) -> &Answering {
        &self.answering
    }

    /// Counts a request that was slow, by what it spent most of its time on.
    pub fn record_slow(&self, cause: &'static str) {
        *self.slow.write().entry(cause).or_default() += 1;
    }

    /// Counts a request. It allocates only for a route's first request with a method or status.
    pub fn record(&self, answered: &Answered<'_>) {
        let seen = Seen { route: answered.route.unwrap_or(UNMATCHED), method: method_label(answered.method) };
        let failed = if answered.status.is_server_error() { Failed::Yes } else { Failed::No };
        self.answering.count(seen.route, failed, answered.duration.saturating_sub(answered.waited));
        if self.rows.read().get(&seen).is_some_and(|row| row.record(answered)) {
            return;
        }
        let mut rows = self.rows.write();
        let row = rows.entry(Key { route: seen.route.into(), method: seen.method }).or_default();
        row.add_status(answered.status.as_u16());
        row.record(answered);
    }

    /// Writes `http_requests_total` and `http_request_duration_seconds`, in the order of routes and methods. The names
    /// and the label `status` are the telemetry-kit guide's.
    pub fn expose(&self, text: &mut Exposition) {
        let rows = self.rows.read();
        let mut rows: Vec<(&Key, &Row)> = rows.iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        let mut requests = text.family("http_requests_total", Kind::Counter, "Requests answered.");
        for (key, row) in &rows {
            for (status, count) in &row.statuses {
                let labels = [("method", key.method), ("route", &*key.route), ("status", &*status.to_string())];
                requests.sample(&labels, count.load(Ordering::Relaxed));
            }
        }
        let help = "Time from the head of a request to the head of its response.";
        let mut durations = text.family("http_request_duration_seconds", Kind::Histogram, help);
        for (key, row) in &rows {
            durations.histogram(&[("method", key.method), ("route", &*key.route)], &row.durations);
        }
        text.gauge("tallybox_connections", "Connections of clients that are open.", self.connections.count());
        let help = "Connections for which there was no room: more than max_connections.";
        text.counter("tallybox_connections_turned_away_total", help, self.connections.turned_away());
        let help = "Requests that took longer than slow_request_ms, by what they spent most of that time on.";
        let mut slow = text.family("tallybox_slow_requests_total", Kind::Counter, help);
        for (cause, requests) in &*self.slow.read() {
            slow.sample(&[("cause", cause)], *requests);
        }
    }
}

impl Equivalent<Key> for Seen<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.route == &*key.route && self.method == key.method
    }
}

impl Default for Row {
    /// With a zero to rise from, so that an error rate is 0 and not unknown before the first error.
    fn default() -> Self {
        Self { statuses: vec![(500, AtomicU64::new(0))], durations: Histogram::default() }
    }
}

impl Row {
    /// Whether it could: not while the status is new here.
    fn record(&self, answered: &Answered<'_>) -> bool {
        let status = answered.status.as_u16();
        let Some((_, count)) = self.statuses.iter().find(|(known, _)| *known == status) else { return false };
        count.fetch_add(1, Ordering::Relaxed);
        self.durations.observe(answered.duration);
        true
    }

    fn add_status(&mut self, status: u16) {
        if let Err(at) = self.statuses.binary_search_by_key(&status, |(known, _)| *known) {
            self.statuses.insert(at, (status, AtomicU64::new(0)));
        }
    }
}

/// Methods are bounded as well: a client may make up any.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(requests: &RequestMetrics) -> String {
        let mut text = Exposition::default();
        requests.expose(&mut text);
        text.into_text()
    }

    fn count(requests: &RequestMetrics, route: Option<&str>, method: &str, status: u16) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        requests.record(&Answered {
            route,
            method: &method,
            status,
            duration: Duration::from_millis(3),
            waited: Duration::ZERO,
        });
    }

    #[test]
    fn requests_are_counted_by_route_method_and_status() {
        let requests = RequestMetrics::default();
        let clone = requests.clone();
        for (route, method, status, times) in
            [(Some("/v1/{app}"), "POST", 200, 3), (Some("/v1/{app}"), "POST", 401, 2), (Some("/"), "GET", 500, 1)]
        {
            (0..times).for_each(|_| count(&clone, route, method, status));
        }
        let text = exposed(&requests);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("http_requests_total")).collect();
        assert_eq!(
            lines,
            [
                r#"http_requests_total{method="GET",route="/",status="500"} 1"#,
                r#"http_requests_total{method="POST",route="/v1/{app}",status="200"} 3"#,
                r#"http_requests_total{method="POST",route="/v1/{app}",status="401"} 2"#,
                r#"http_requests_total{method="POST",route="/v1/{app}",status="500"} 0"#,
            ]
        );
        let durations = r#"http_request_duration_seconds_count{method="POST",route="/v1/{app}"} 5"#;
        assert!(text.lines().any(|line| line == durations), "{text}");
    }

    #[test]
    fn what_strangers_make_up_makes_no_new_rows() {
        let requests = RequestMetrics::default();
        for n in 0..100 {
            count(&requests, None, &format!("MADE{n}"), 404);
        }
        assert_eq!(requests.rows.read().len(), 1);
        let line = r#"http_requests_total{method="other",route="unmatched",status="404"} 100"#;
        assert!(exposed(&requests).lines().any(|found| found == line));
    }

    #[test]
    fn counts_of_many_threads_add_up() {
        let requests = RequestMetrics::default();
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let requests = &requests;
                threads.spawn(move || (0..500).for_each(|n| count(requests, Some("/"), "GET", 200 + (n + thread) % 3)));
            }
        });
        let rows = requests.rows.read();
        let row = rows.values().next().unwrap();
        let total: u64 = row.statuses.iter().map(|(_, count)| count.load(Ordering::Relaxed)).sum();
        assert_eq!((rows.len(), row.statuses.len(), total), (1, 4, 2_000));
    }
}
