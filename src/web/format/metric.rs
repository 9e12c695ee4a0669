//! Values of metrics, and other amounts, as text.

use super::{ChangeText, change, grouped};
use crate::model::{Metric, Millis, Unit, Wish};
use crate::query::compare;

/// The change of a metric against its earlier value, where there is one: coloured by what is wished for. Shares are
/// told apart in points: `+0.4 points`.
pub fn change_of(metric: Metric, now: Option<i64>, before: Option<i64>) -> Option<ChangeText> {
    let (now, before) = (now?, before?);
    let told = match metric.unit() {
        Unit::Share if now != before => {
            let sign = if now > before { "+" } else { "−" };
            let apart = now.abs_diff(before);
            let class = if now > before { "up" } else { "down" };
            ChangeText { class, text: format!("{sign}{}.{:02} points", apart / 100, apart % 100) }
        }
        Unit::Share | Unit::Count | Unit::Duration | Unit::Hundredths => change(compare(now, before)),
    };
    let class = match (metric.wish(), told.class) {
        (Wish::More, class) => class,
        (Wish::Less, "up" | "new") => "down",
        (Wish::Less, "down") => "up",
        (Wish::Less, class) => class,
        (Wish::Either, _) => "same",
    };
    Some(ChangeText { class, ..told })
}

/// A metric's value in its unit; a dash where there is nothing to speak of.
pub fn metric(metric: Metric, value: Option<i64>) -> String {
    match (value, metric.unit()) {
        (None, _) => "–".to_owned(),
        (Some(value), Unit::Count) => grouped(value),
        (Some(value), Unit::Duration) => length(value),
        (Some(value), Unit::Hundredths) => hundredths(value),
        (Some(value), Unit::Share) => percent(value),
    }
}

/// A length in milliseconds to two units, down to the second: `0 s`, `42 s`, `2 m 10 s`, `3 h 5 m`, `4 d 2 h`.
pub fn length(ms: i64) -> String {
    let seconds = ms.max(0) / Millis::SECOND;
    let two = |first: i64, unit: &str, second: i64, smaller: &str| match second {
        0 => format!("{first} {unit}"),
        second => format!("{first} {unit} {second} {smaller}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// Hundredths of one: `2.5`, `12`, `1,234.56`.
pub fn hundredths(value: i64) -> String {
    let whole = grouped(value / 100);
    match value.unsigned_abs() % 100 {
        0 => whole,
        rest if rest % 10 == 0 => format!("{whole}.{}", rest / 10),
        rest => format!("{whole}.{rest:02}"),
    }
}

/// A number of an app's own, to three decimals at the most: `1,234.5`; very large and very small ones as `1.2e20`.
pub fn decimal(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size >= 1e15 || (size > 0.0 && size < 0.001) {
        return format!("{value:.3e}");
    }
    let thousandths = (size * 1_000.0).round() as i64;
    let whole = grouped(thousandths / 1_000);
    let rest = format!("{:03}", thousandths % 1_000);
    let rest = rest.trim_end_matches('0');
    let sign = if value < 0.0 { "−" } else { "" };
    if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

/// Hundredths of a percent: `99.5%`, `0.07%`, `100%`.
pub fn percent(value: i64) -> String {
    format!("{}%", hundredths(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_in_their_units() {
        for (of, value, text) in [
            (Metric::Events, Some(1_234), "1,234"),
            (Metric::SessionLength, Some(130_900), "2 m 10 s"),
            (Metric::SessionLength, Some(0), "0 s"),
            (Metric::SessionLength, Some(59_999), "59 s"),
            (Metric::SessionLength, Some(120_000), "2 m"),
            (Metric::SessionLength, Some(11_100_000), "3 h 5 m"),
            (Metric::SessionLength, Some(4 * Millis::DAY + 2 * Millis::HOUR), "4 d 2 h"),
            (Metric::EventsPerSession, Some(250), "2.5"),
            (Metric::EventsPerSession, Some(123_456), "1,234.56"),
            (Metric::CrashFreeSessions, Some(9_999), "99.99%"),
            (Metric::CrashFreeSessions, Some(10_000), "100%"),
            (Metric::ErrorRate, Some(7), "0.07%"),
            (Metric::ErrorRate, None, "–"),
        ] {
            assert_eq!(metric(of, value), text, "{of:?} {value:?}");
        }
    }

    #[test]
    fn numbers_of_apps_keep_their_size() {
        for (value, text) in [
            (0.0, "0"),
            (12.0, "12"),
            (1_234.5, "1,234.5"),
            (-0.125, "−0.125"),
            (1.0 / 3.0, "0.333"),
            (1e20, "1.000e20"),
            (0.000_012, "1.200e-5"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(decimal(value), text, "{value}");
        }
    }

    #[test]
    fn changes_are_coloured_by_what_is_wished_for() {
        for (of, now, before, told) in [
            (Metric::Events, Some(150), Some(100), Some(("up", "+50%"))),
            (Metric::Errors, Some(150), Some(100), Some(("down", "+50%"))),
            (Metric::Errors, Some(50), Some(100), Some(("up", "−50%"))),
            (Metric::Errors, Some(5), Some(0), Some(("down", "new"))),
            (Metric::SessionLength, Some(50), Some(100), Some(("same", "−50%"))),
            (Metric::CrashFreeSessions, Some(9_950), Some(9_999), Some(("down", "−0.49 points"))),
            (Metric::ErrorRate, Some(250), Some(130), Some(("down", "+1.20 points"))),
            (Metric::ErrorRate, Some(250), Some(250), Some(("same", "no change"))),
            (Metric::ErrorRate, None, Some(250), None),
            (Metric::Events, Some(1), None, None),
        ] {
            let shown = change_of(of, now, before);
            assert_eq!(shown.as_ref().map(|change| (change.class, change.text.as_str())), told, "{of:?} {now:?}");
        }
    }
}
