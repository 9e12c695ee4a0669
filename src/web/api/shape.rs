//! How things look in JSON: times, metrics, events.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::{EventRow, Metric, Millis, Period, Unit, Zone};

/// A time, as in RFC 3339, in UTC, always with three digits of the second: as texts they sort as times.
#[derive(Clone, Copy)]
pub struct Utc(pub Millis);

impl Serialize for Utc {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
    }
}

/// A time on a calendar, as in RFC 3339, to the second.
#[derive(Serialize)]
pub struct Local(String);

impl Local {
    /// In a zone.
    pub fn new(zone: &Zone, at: Millis) -> Self {
        Self(at.timestamp().to_zoned(zone.tz().clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }
}

/// The values of metrics by their names, in plain units.
pub struct Values<'a>(pub &'a [Metric], pub Vec<Option<i64>>);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.0.iter().zip(&self.1).map(|(metric, value)| (metric.name(), plain(*metric, *value))))
    }
}

/// A value in its plain unit: a count, milliseconds, a ratio, or a share from 0 to 1.
fn plain(metric: Metric, value: Option<i64>) -> Value {
    match (metric.unit(), value) {
        (_, None) => Value::Null,
        (Unit::Count | Unit::Duration, Some(value)) => value.into(),
        (Unit::Hundredths, Some(value)) => (value as f64 / 100.0).into(),
        (Unit::Share, Some(value)) => (value as f64 / 10_000.0).into(),
    }
}

/// The unit of each metric by its name.
pub struct Units<'a>(pub &'a [Metric]);

impl Units<'_> {
    /// As in answers.
    pub const fn name(unit: Unit) -> &'static str {
        match unit {
            Unit::Count => "count",
            Unit::Duration => "milliseconds",
            Unit::Hundredths => "ratio",
            Unit::Share => "share",
        }
    }
}

impl Serialize for Units<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|metric| (metric.name(), Self::name(metric.unit()))))
    }
}

/// One period and what it comes to.
#[derive(Serialize)]
pub struct Step<'a> {
    from: Utc,
    to: Utc,
    /// `from` on the app's calendar.
    local: Local,
    values: Values<'a>,
}

impl<'a> Step<'a> {
    /// One for each period, out of a series.
    pub fn all(zone: &Zone, periods: &[Period], (metrics, rows): (&'a [Metric], &[Vec<Option<i64>>])) -> Vec<Self> {
        let column = |place: usize| rows.iter().map(|row| row.get(place).copied().flatten()).collect();
        let step = |(place, period): (usize, &Period)| Self {
            from: Utc(period.range.from),
            to: Utc(period.range.to),
            local: Local::new(zone, period.range.from),
            values: Values(metrics, column(place)),
        };
        periods.iter().enumerate().map(step).collect()
    }
}

/// One event.
#[derive(Serialize)]
pub struct Event<'a> {
    id: String,
    at: Utc,
    received_at: Utc,
    name: &'a str,
    category: Option<&'a str>,
    user: Option<String>,
    version: Option<&'a str>,
    system: Option<&'a str>,
    /// Exactly as they came.
    properties: Option<&'a RawValue>,
}

impl<'a> From<&'a EventRow> for Event<'a> {
    fn from(row: &'a EventRow) -> Self {
        Self {
            id: row.id.to_string(),
            at: Utc(row.occurred_at),
            received_at: Utc(row.received_at),
            name: &row.name,
            category: row.category.as_deref(),
            user: row.user.map(|user| user.to_string()),
            version: row.version.as_deref(),
            system: row.system.as_deref(),
            properties: row.props.as_deref().and_then(|props| serde_json::from_str(props).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_plain_units() {
        for (metric, value, shown) in [
            (Metric::Events, Some(12), "12"),
            (Metric::SessionLength, Some(83_000), "83000"),
            (Metric::EventsPerSession, Some(250), "2.5"),
            (Metric::ErrorRate, Some(9_950), "0.995"),
            (Metric::ErrorRate, Some(10_000), "1.0"),
            (Metric::CrashFreeUsers, None, "null"),
        ] {
            assert_eq!(plain(metric, value).to_string(), shown, "{metric:?} {value:?}");
        }
    }

    #[test]
    fn periods_are_told_on_both_calendars() {
        let zone = Zone::find("Asia/Kolkata").unwrap();
        assert_eq!(Local::new(&zone, Millis(1_775_822_400_000)).0, "2026-04-10T17:30:00+05:30");
        for (ms, text) in [(120, "12:00:00.120Z"), (0, "12:00:00.000Z")] {
            let told = serde_json::to_string(&Utc(Millis(1_775_822_400_000 + ms))).unwrap();
            assert_eq!(told, format!("\"2026-04-10T{text}\""));
        }
    }
}
