//! Numbers and times as text.

mod metric;

use std::sync::Arc;

use jiff::Zoned;

use crate::model::{Millis, Period, Zone, date_of};
use crate::query::{Change, Direction, Interval, Range};

pub use metric::{change_of, decimal, hundredths, length, metric, percent};

/// `12,345`.
pub fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if count < 0 {
        text.push('−');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes: `950 bytes`, `1.5 KiB`, `64 MiB`; rounded down, so that nothing looks larger than it is.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.into_iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} bytes"),
        Some((unit, name)) if bytes / unit >= 10 || bytes % unit < unit / 10 => format!("{} {name}", bytes / unit),
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    }
}

/// A limit: `1,200`, or that there is none.
pub fn limit(figure: Option<u64>) -> String {
    figure.map_or_else(|| "no limit".to_owned(), |figure| grouped(i64::try_from(figure).unwrap_or(i64::MAX)))
}

/// `950`, `1.2k`, `12k`, `3.4M`: two digits that count, rounded down so that no figure looks larger than it is.
pub fn compact(count: i64) -> String {
    let size = count.unsigned_abs();
    let sign = if count < 0 { "−" } else { "" };
    let units = [(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k")];
    match units.into_iter().find(|(unit, _)| size >= *unit) {
        None => format!("{sign}{size}"),
        Some((unit, letter)) if size / unit >= 10 => format!("{sign}{}{letter}", size / unit),
        Some((unit, letter)) => match size * 10 / unit % 10 {
            0 => format!("{sign}{}{letter}", size / unit),
            tenth => format!("{sign}{}.{tenth}{letter}", size / unit),
        },
    }
}

/// A part of a whole, in percent: `37%`, `4.2%`, `<0.1%`.
pub fn share(part: i64, whole: i64) -> String {
    if whole <= 0 || part <= 0 {
        return "0%".to_owned();
    }
    match part as f64 / whole as f64 * 100.0 {
        p if p < 0.1 => "<0.1%".to_owned(),
        p if p < 9.95 => format!("{p:.1}%"),
        p if p < 100.0 => format!("{}%", (p.round() as i64).min(if part < whole { 99 } else { 100 })),
        _ => "100%".to_owned(),
    }
}

/// The part of a budget that is left, which may be negative, in percent.
pub fn budget_share(share: f64) -> String {
    match share * 100.0 {
        p if p.abs() >= 9.95 => format!("{}%", p.trunc() as i64),
        p => format!("{p:.1}%"),
    }
}

/// The value of a dimension; of events that do not say, that they do not.
pub fn value(value: Option<&str>) -> String {
    value.unwrap_or("not reported").to_owned()
}

/// A change as words and as a class for its colour.
pub struct ChangeText {
    /// `up`, `down`, `same` or `new`.
    pub class: &'static str,
    /// `+12%`.
    pub text: String,
}

/// `+12%`, `−3.1%`, `new`, `no change`.
pub fn change(change: Change) -> ChangeText {
    let percent = |fraction: f64| match fraction * 100.0 {
        p if p < 0.1 => "<0.1%".to_owned(),
        p if p < 9.95 => format!("{p:.1}%"),
        p => format!("{}%", grouped(p.round() as i64)),
    };
    match (change.direction, change.fraction) {
        (Direction::Up, Some(fraction)) => ChangeText { class: "up", text: format!("+{}", percent(fraction)) },
        (Direction::Down, Some(fraction)) => ChangeText { class: "down", text: format!("−{}", percent(fraction)) },
        (Direction::New | Direction::Up | Direction::Down, None) | (Direction::New, Some(_)) => {
            ChangeText { class: "new", text: "new".to_owned() }
        }
        (Direction::Same, _) => ChangeText { class: "same", text: "no change".to_owned() },
    }
}

/// An instant for a `<time>` element.
pub struct When {
    /// Universal time, RFC 3339, for `datetime`.
    pub utc: String,
    /// On the reader's calendar.
    pub text: String,
}

/// The calendar on which a page shows times.
#[derive(Clone)]
pub struct Calendar {
    zone: Arc<Zone>,
    now: Millis,
}

impl Calendar {
    /// A zone's calendar, seen from now.
    pub fn new(zone: Arc<Zone>, now: Millis) -> Self {
        Self { zone, now }
    }

    fn at(&self, at: Millis) -> Zoned {
        at.timestamp().to_zoned(self.zone.tz().clone())
    }

    /// To the second: `14:03:22` today, `3 Nov, 14:03:22` this year, with the year otherwise.
    pub fn moment(&self, at: Millis) -> When {
        let (then, now) = (self.at(at), self.at(self.now));
        let form = match (then.date() == now.date(), then.year() == now.year()) {
            (true, _) => "%H:%M:%S",
            (false, true) => "%-d %b, %H:%M:%S",
            (false, false) => "%-d %b %Y, %H:%M:%S",
        };
        When { utc: utc(at), text: then.strftime(form).to_string() }
    }

    /// The day alone: `3 Nov 2026`.
    pub fn date(&self, at: Millis) -> When {
        When { utc: utc(at), text: self.at(at).strftime("%-d %b %Y").to_string() }
    }

    /// To the minute, with the date: `3 Nov 2026, 14:03`.
    pub fn date_time(&self, at: Millis) -> When {
        When { utc: utc(at), text: self.at(at).strftime("%-d %b %Y, %H:%M").to_string() }
    }

    /// The hour from then on: `3 Nov 2026, 14:00–15:00`.
    pub fn hour(&self, from: Millis) -> When {
        let end = self.at(from.plus(Millis::HOUR)).strftime("%H:%M").to_string();
        let start = self.date_time(from);
        When { text: format!("{}–{end}", start.text), ..start }
    }

    /// A local day: `today`, `yesterday`, `3 Nov 2026`.
    pub fn day(&self, day: i32) -> When {
        let date = date_of(day);
        let text = match self.zone.local(self.now).day - day {
            0 => "today".to_owned(),
            1 => "yesterday".to_owned(),
            _ => date.strftime("%-d %b %Y").to_string(),
        };
        When { utc: date.to_string(), text }
    }

    /// A local day as a heading: `Today`, `Yesterday`, `Tue 3 Nov 2026`.
    pub fn day_title(&self, day: i32) -> String {
        match self.zone.local(self.now).day - day {
            0 => "Today".to_owned(),
            1 => "Yesterday".to_owned(),
            _ => date_of(day).strftime("%a %-d %b %Y").to_string(),
        }
    }

    /// As much as is of use: `14:03` today, `3 Nov, 14:03` this year, `3 Nov 2025` otherwise.
    pub fn glance(&self, at: Millis) -> When {
        let (then, now) = (self.at(at), self.at(self.now));
        let form = match (then.date() == now.date(), then.year() == now.year()) {
            (true, _) => "%H:%M",
            (false, true) => "%-d %b, %H:%M",
            (false, false) => "%-d %b %Y",
        };
        When { utc: utc(at), text: then.strftime(form).to_string() }
    }

    /// The time of day alone, to the second: `14:03:22`.
    pub fn time(&self, at: Millis) -> When {
        When { utc: utc(at), text: self.at(at).strftime("%H:%M:%S").to_string() }
    }

    /// The time of day alone, to the minute: `14:03`.
    pub fn hour_minute(&self, at: Millis) -> String {
        self.at(at).strftime("%H:%M").to_string()
    }

    /// To the minute, with the day and without the year: `3 Nov, 14:03`.
    pub fn short(&self, at: Millis) -> String {
        self.at(at).strftime("%-d %b, %H:%M").to_string()
    }

    /// A period's own name: `Tue 3 Nov, 14:00`, `Tue 3 Nov 2026`, `2–8 Nov 2026`, `November 2026`.
    pub fn period(&self, interval: Interval, period: &Period) -> String {
        let first = date_of(period.first.day);
        match interval {
            Interval::Hour => self.at(period.range.from).strftime("%a %-d %b, %H:%M").to_string(),
            Interval::Day => first.strftime("%a %-d %b %Y").to_string(),
            Interval::Week => days(period),
            Interval::Month => first.strftime("%B %Y").to_string(),
        }
    }

    /// A period's name on the axis of a range: `14:00`, `3 Nov`, `Nov`, and `Nov ’26` where the range is longer than
    /// a year, so that no name means two places.
    pub fn tick(&self, range: &Range, period: &Period) -> String {
        let first = date_of(period.first.day);
        match range.interval {
            Interval::Day | Interval::Week | Interval::Month
                if range.whole.last_day() - range.whole.first.day > 366 =>
            {
                first.strftime("%b ’%y").to_string()
            }
            Interval::Hour if period.first.hour > 0 => self.at(period.range.from).strftime("%H:%M").to_string(),
            Interval::Hour | Interval::Day | Interval::Week => first.strftime("%-d %b").to_string(),
            Interval::Month if first.month() == 1 => first.strftime("%b %Y").to_string(),
            Interval::Month => first.strftime("%b").to_string(),
        }
    }
}

/// A length of time: `under a minute`, `12 min`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(ms: i64) -> String {
    let pair = |large: i64, unit: &str, small: i64, part: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {part}"),
    };
    match ms / Millis::MINUTE {
        ..=0 => "under a minute".to_owned(),
        minutes @ 1..=59 => format!("{minutes} min"),
        minutes @ 60..=1_439 => pair(minutes / 60, "h", minutes % 60, "min"),
        minutes => pair(minutes / 1_440, "d", minutes % 1_440 / 60, "h"),
    }
}

/// The days of a period: `3 Nov 2026`, `2–8 Nov 2026`, `28 Sep – 4 Oct 2026`, `29 Dec 2025 – 4 Jan 2026`.
pub fn days(period: &Period) -> String {
    let (first, last) = (date_of(period.first.day), date_of(period.last_day()));
    let end = last.strftime("%-d %b %Y");
    match (first == last, first.year() == last.year(), first.month() == last.month()) {
        (true, _, _) => end.to_string(),
        (false, true, true) => format!("{}–{end}", first.day()),
        (false, true, false) => format!("{} – {end}", first.strftime("%-d %b")),
        (false, false, _) => format!("{} – {end}", first.strftime("%-d %b %Y")),
    }
}

fn utc(at: Millis) -> String {
    at.timestamp().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Preset, Wanted, compare};

    #[test]
    fn counts_are_grouped_and_compact() {
        for (count, long, short) in [
            (0, "0", "0"),
            (999, "999", "999"),
            (1_000, "1,000", "1k"),
            (1_250, "1,250", "1.2k"),
            (12_999, "12,999", "12k"),
            (999_999, "999,999", "999k"),
            (1_000_000, "1,000,000", "1M"),
            (2_500_000_000, "2,500,000,000", "2.5B"),
            (-1_234, "−1,234", "−1.2k"),
            (i64::MAX, "9,223,372,036,854,775,807", "9223372T"),
        ] {
            assert_eq!((grouped(count).as_str(), compact(count).as_str()), (long, short));
        }
    }

    #[test]
    fn shares_never_claim_all_or_nothing_wrongly() {
        for (part, whole, text) in [
            (0, 10, "0%"),
            (1, 0, "0%"),
            (1, 10_000, "<0.1%"),
            (42, 1_000, "4.2%"),
            (37, 100, "37%"),
            (9_999, 10_000, "99%"),
            (10, 10, "100%"),
        ] {
            assert_eq!(share(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn lengths_of_time_have_two_units_at_the_most() {
        let minute = Millis::MINUTE;
        for (ms, text) in [
            (-5, "under a minute"),
            (minute - 1, "under a minute"),
            (12 * minute, "12 min"),
            (60 * minute, "1 h"),
            (125 * minute, "2 h 5 min"),
            (Millis::DAY, "1 d"),
            (3 * Millis::DAY + 4 * Millis::HOUR + minute, "3 d 4 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn changes_have_a_sign_and_a_class() {
        for (now, before, class, text) in [
            (112, 100, "up", "+12%"),
            (1_031, 1_000, "up", "+3.1%"),
            (50, 100, "down", "−50%"),
            (13_500, 100, "up", "+13,400%"),
            (5, 5, "same", "no change"),
            (5, 0, "new", "new"),
            (1_000_001, 1_000_000, "up", "+<0.1%"),
        ] {
            let shown = change(compare(now, before));
            assert_eq!((shown.class, shown.text.as_str()), (class, text));
        }
    }

    #[test]
    fn times_are_told_on_the_calendar_of_the_zone() {
        let at = |text: &str| -> Millis { text.parse::<jiff::Timestamp>().unwrap().into() };
        let zone = Arc::new(Zone::find("Asia/Kolkata").unwrap());
        let calendar = Calendar::new(zone.clone(), at("2026-11-18T20:00:00Z")); // the 19th, 01:30
        for (utc, text) in [
            ("2026-11-18T19:59:59Z", "01:29:59"),
            ("2026-11-18T18:00:00Z", "18 Nov, 23:30:00"),
            ("2025-11-18T18:00:00Z", "18 Nov 2025, 23:30:00"),
        ] {
            let when = calendar.moment(at(utc));
            assert_eq!((when.utc.as_str(), when.text.as_str()), (utc, text));
            let glance = if text.contains("2025") { "18 Nov 2025" } else { text.rsplit_once(':').unwrap().0 };
            assert_eq!(calendar.glance(at(utc)).text, glance);
        }
        let day = |text: &str| zone.local(at(text)).day;
        for (utc, told, title) in [
            ("2026-11-18T19:00:00Z", "today", "Today"),
            ("2026-11-18T18:00:00Z", "yesterday", "Yesterday"),
            ("2026-11-17T18:00:00Z", "17 Nov 2026", "Tue 17 Nov 2026"),
        ] {
            assert_eq!((calendar.day(day(utc)).text.as_str(), calendar.day_title(day(utc)).as_str()), (told, title));
        }
        assert_eq!(calendar.hour(at("2026-11-18T17:00:00Z")).text, "18 Nov 2026, 22:30–23:30");
        let range = Range::of(Preset::Hours24, &zone, at("2026-11-18T20:00:00Z"));
        let ticks: Vec<String> = range.periods[21..].iter().map(|p| calendar.tick(&range, p)).collect();
        assert_eq!(ticks, ["23:00", "19 Nov", "01:00"]);
        for (from, by, first, last) in [
            ("2025-12-05", "week", "5 Dec", "16 Nov"),
            ("2025-12-05", "month", "Dec", "Nov"),
            ("2025-01-05", "week", "Jan ’25", "Nov ’26"),
            ("2025-01-05", "month", "Jan ’25", "Nov ’26"),
        ] {
            let wanted = Wanted { from: Some(from), interval: Some(by), ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &zone, at("2026-11-18T20:00:00Z")).unwrap();
            let ends = [range.periods.first(), range.periods.last()].map(|p| calendar.tick(&range, p.unwrap()));
            assert_eq!(ends, [first, last], "{from} by {by}");
        }
    }

    #[test]
    fn periods_are_named_by_their_days() {
        let now = "2026-11-18T20:00:00Z".parse::<jiff::Timestamp>().unwrap().into();
        for (from, to, text) in [
            ("2026-11-03", "2026-11-03", "3 Nov 2026"),
            ("2026-11-02", "2026-11-08", "2–8 Nov 2026"),
            ("2026-09-28", "2026-10-04", "28 Sep – 4 Oct 2026"),
            ("2025-12-29", "2026-01-04", "29 Dec 2025 – 4 Jan 2026"),
        ] {
            let wanted = Wanted { from: Some(from), to: Some(to), ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &Zone::utc(), now).unwrap();
            assert_eq!(days(&range.whole), text);
        }
    }
}
