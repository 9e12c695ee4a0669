//! The nine figures of identify and its events (`teardown`, section 13), by app, environment and success.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use super::{Exposition, Histogram, Kind};
use crate::model::{App, Created, MILLISECONDS, SIZES, Slug};

/// Whom a request was for, as far as it was proved. Nothing that a stranger only claims gets in here, so there are as
/// many different ones as apps and environments.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resolved {
    ids: Option<(Uuid, Uuid)>,
    environment: Option<Slug>,
}

impl Resolved {
    /// The app is known.
    pub fn app(&mut self, app: &App) {
        self.ids = Some((app.organization.uuid, app.uuid));
    }

    /// The environment is known, and is one of the app's.
    pub fn environment(&mut self, slug: &Slug) {
        self.environment = Some(slug.clone());
    }
}

/// A batch of events that was answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnsweredBatch {
    /// Events in the request.
    pub sent: usize,
    /// Events taken; `None` where the whole batch failed.
    pub taken: Option<usize>,
    /// Whether it was larger than usual.
    pub high_volume: bool,
}

/// Figures since start; clones count into one table.
#[derive(Clone, Debug, Default)]
pub struct IdentifyMetrics(Arc<Mutex<BTreeMap<Resolved, Row>>>);

#[derive(Debug, Default)]
struct Row {
    identify: [Calls; 2],
    events: [Calls; 2],
    sessions: u64,
    users: u64,
    devices: u64,
    high_volume: u64,
}

/// Calls that succeeded, or failed.
#[derive(Debug)]
struct Calls {
    calls: u64,
    count: u64,
    durations: Histogram,
    sizes: Histogram,
}

impl Default for Calls {
    fn default() -> Self {
        Self { calls: 0, count: 0, durations: Histogram::new(&MILLISECONDS), sizes: Histogram::new(&SIZES) }
    }
}

/// Values of the attribute `status`, in the order of a row's calls.
const STATUSES: [&str; 2] = ["success", "error"];

impl IdentifyMetrics {
    /// Counts an identify; `created` is `None` where it failed.
    pub fn identify(&self, resolved: &Resolved, duration: Duration, created: Option<Created>) {
        self.with(resolved, |row| {
            let calls = &mut row.identify[usize::from(created.is_none())];
            calls.calls += 1;
            calls.count += 1;
            calls.durations.observe(duration);
            let created = created.unwrap_or_default();
            row.sessions += u64::from(created.session);
            row.users += u64::from(created.user);
            row.devices += u64::from(created.device);
        });
    }

    /// Counts a batch of events.
    pub fn events(&self, resolved: &Resolved, duration: Duration, batch: AnsweredBatch) {
        self.with(resolved, |row| {
            let calls = &mut row.events[usize::from(batch.taken.is_none())];
            calls.calls += 1;
            calls.count += batch.taken.unwrap_or(0) as u64;
            calls.durations.observe(duration);
            calls.sizes.count(batch.sent as u64);
            row.high_volume += u64::from(batch.high_volume);
        });
    }

    /// Writes all nine, under the hosted service's names with underscores for dots.
    pub fn expose(&self, text: &mut Exposition) {
        let rows = self.0.lock();
        expose_calls(text, &rows, &IDENTIFY, |row| &row.identify);
        type Count = fn(&Row) -> u64;
        let counters: [(&'static str, &str, Count); 3] = [
            ("ingest_identify_session_created", "Sessions made by identify.", |row| row.sessions),
            ("ingest_identify_user_created", "Users made by identify.", |row| row.users),
            ("ingest_identify_device_created", "Devices made by identify.", |row| row.devices),
        ];
        for (name, help, count) in counters {
            let mut family = text.family(name, Kind::Counter, help);
            for (resolved, row) in rows.iter().filter(|(_, row)| row.identify[0].calls > 0) {
                labels(resolved, None, |labels| family.sample(labels, count(row)));
            }
        }
        expose_calls(text, &rows, &EVENTS, |row| &row.events);
        let mut sizes = text.family("ingest_events_batch_size", Kind::Histogram, "Events of a batch.");
        each(&rows, |row| &row.events, |labels, calls| sizes.histogram(labels, &calls.sizes));
        let help = "Batches that were larger than usual.";
        let mut family = text.family("ingest_events_high_volume", Kind::Counter, help);
        for (resolved, row) in rows.iter().filter(|(_, row)| row.events.iter().any(|calls| calls.calls > 0)) {
            labels(resolved, None, |labels| family.sample(labels, row.high_volume));
        }
    }

    fn with(&self, resolved: &Resolved, change: impl FnOnce(&mut Row)) {
        let mut rows = self.0.lock();
        match rows.get_mut(resolved) {
            Some(row) => change(row),
            None => change(rows.entry(resolved.clone()).or_default()),
        }
    }
}

/// Names and sentences of a kind of call.
struct Names {
    duration: &'static str,
    duration_help: &'static str,
    count: &'static str,
    count_help: &'static str,
}

const IDENTIFY: Names = Names {
    duration: "ingest_identify_duration",
    duration_help: "Time of an identify, in milliseconds.",
    count: "ingest_identify_count",
    count_help: "Identifies.",
};

const EVENTS: Names = Names {
    duration: "ingest_events_duration",
    duration_help: "Time of a batch of events, in milliseconds.",
    count: "ingest_events_count",
    count_help: "Events taken in batches.",
};

type Rows = BTreeMap<Resolved, Row>;

fn expose_calls(text: &mut Exposition, rows: &Rows, names: &Names, of: impl Fn(&Row) -> &[Calls; 2]) {
    let mut durations = text.family(names.duration, Kind::Histogram, names.duration_help);
    each(rows, &of, |labels, calls| durations.histogram(labels, &calls.durations));
    let mut counts = text.family(names.count, Kind::Counter, names.count_help);
    each(rows, &of, |labels, calls| counts.sample(labels, calls.count));
}

/// The calls that there were, with their labels.
fn each(rows: &Rows, of: impl Fn(&Row) -> &[Calls; 2], mut tell: impl FnMut(&[(&str, &str)], &Calls)) {
    for (resolved, row) in rows {
        for (calls, status) in of(row).iter().zip(STATUSES).filter(|(calls, _)| calls.calls > 0) {
            labels(resolved, Some(status), |labels| tell(labels, calls));
        }
    }
}

/// What is not resolved has no label.
fn labels(resolved: &Resolved, status: Option<&str>, tell: impl FnOnce(&[(&str, &str)])) {
    let ids = resolved.ids.map(|(organization, app)| (organization.to_string(), app.to_string()));
    let mut labels = Vec::with_capacity(4);
    if let Some((organization, app)) = &ids {
        labels.extend([("orgId", organization.as_str()), ("projectId", app.as_str())]);
    }
    labels.extend(resolved.environment.as_ref().map(|slug| ("environment", slug.as_str())));
    labels.extend(status.map(|status| ("status", status)));
    tell(&labels);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(metrics: &IdentifyMetrics) -> String {
        let mut text = Exposition::default();
        metrics.expose(&mut text);
        text.into_text()
    }

    #[test]
    fn all_nine_are_told_with_what_was_resolved() {
        let metrics = IdentifyMetrics::default();
        let known =
            Resolved { ids: Some((Uuid::from_u128(1), Uuid::from_u128(2))), environment: Slug::parse("staging") };
        let (none, time) = (Resolved::default(), Duration::from_micros(1_500));
        metrics.identify(&known, time, Some(Created { session: true, user: true, device: true }));
        metrics.identify(&known, time, Some(Created { session: true, ..Created::default() }));
        metrics.identify(&known, time, None);
        metrics.identify(&none, time, None);
        metrics.events(&known, time, AnsweredBatch { sent: 60, taken: Some(58), high_volume: true });
        metrics.events(&none, time, AnsweredBatch { sent: 3, ..AnsweredBatch::default() });
        let text = exposed(&metrics);
        let own = format!(r#"orgId="{}",projectId="{}",environment="staging""#, Uuid::from_u128(1), Uuid::from_u128(2));
        for line in [
            format!(r#"ingest_identify_count{{{own},status="success"}} 2"#),
            format!(r#"ingest_identify_count{{{own},status="error"}} 1"#),
            r#"ingest_identify_count{status="error"} 1"#.to_owned(),
            format!(r#"ingest_identify_duration_sum{{{own},status="success"}} 3"#),
            format!(r#"ingest_identify_duration_bucket{{{own},status="success",le="2.5"}} 2"#),
            format!("ingest_identify_session_created{{{own}}} 2"),
            format!("ingest_identify_user_created{{{own}}} 1"),
            format!("ingest_identify_device_created{{{own}}} 1"),
            format!(r#"ingest_events_count{{{own},status="success"}} 58"#),
            r#"ingest_events_count{status="error"} 0"#.to_owned(),
            format!(r#"ingest_events_duration_count{{{own},status="success"}} 1"#),
            format!(r#"ingest_events_batch_size_bucket{{{own},status="success",le="100"}} 1"#),
            format!(r#"ingest_events_batch_size_sum{{{own},status="success"}} 60"#),
            format!("ingest_events_high_volume{{{own}}} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE ingest_")).count(), 9);
    }
}
