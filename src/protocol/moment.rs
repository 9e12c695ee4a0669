//! RFC 3339 times as SDKs write them, read quickly.

use jiff::Timestamp;

use crate::model::Millis;

/// An RFC 3339 time with `Z` or any offset and any number of decimals, those below a millisecond cut off.
pub fn parse(text: &str) -> Option<Millis> {
    plain(text.as_bytes()).or_else(|| unusual(text))
}

/// What jiff understands beyond the plain form: lower-case letters, a space for the `T`, a leap second.
fn unusual(text: &str) -> Option<Millis> {
    let nanoseconds = text.parse::<Timestamp>().ok()?.as_nanosecond();
    i64::try_from(nanoseconds.div_euclid(1_000_000)).ok().map(Millis)
}

/// `YYYY-MM-DDTHH:MM:SS`, perhaps a point and digits, then `Z` or `±HH:MM`.
fn plain(text: &[u8]) -> Option<Millis> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = *head else {
        return None;
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    if !(1..=12).contains(&month)
        || !(1..=month_len(year, month)).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let (millis, zone) = fraction(rest)?;
    let seconds = ((days_from_1970(year, month, day) * 24 + hour) * 60 + minute - offset(zone)?) * 60 + second;
    Some(Millis(seconds * 1_000 + millis))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let digits = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (digits.0 < 10 && digits.1 < 10).then(|| i64::from(digits.0) * 10 + i64::from(digits.1))
}

/// Milliseconds of the decimals, and what stands behind them.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else { return Some((0, text)) };
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (decimals, zone) = text.split_at(digits);
    let digit = |i: usize| decimals.get(i).map_or(0, |b| i64::from(b - b'0'));
    (digits > 0).then(|| (digit(0) * 100 + digit(1) * 10 + digit(2), zone))
}

/// Minutes east of Greenwich.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, [h1, h2, b':', m1, m2]) = (match zone {
        b"Z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    }) else {
        return None;
    };
    let (hours, minutes) = (two(*h1, *h2)?, two(*m1, *m2)?);
    (hours < 24 && minutes < 60).then(|| sign * (hours * 60 + minutes))
}

fn month_len(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days in the Gregorian calendar. Years are counted from March, so that the leap day is the last of its year.
fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    const MARCH_YEAR_0_TO_1970: i64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - MARCH_YEAR_0_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_form_agrees_with_the_calendar_library() {
        let zones = ["Z", "+00:00", "-00:00", "+05:45", "-09:30", "+14:00", "-23:59"];
        let fractions = ["", ".1", ".12", ".123", ".999999", ".123456789", ".0004"];
        for year in [1, 1600, 1900, 1969, 1970, 1999, 2000, 2024, 2026, 2100, 9998] {
            for (month, day) in (1..=12).flat_map(|month| [1, 15, month_len(year, month)].map(|day| (month, day))) {
                for (i, zone) in zones.iter().enumerate() {
                    let fraction = fractions[(month + day) as usize % fractions.len()];
                    let text = format!("{year:04}-{month:02}-{day:02}T{:02}:59:58{fraction}{zone}", i * 3);
                    let read = plain(text.as_bytes()).expect(&text);
                    assert_eq!(Some(read), unusual(&text), "{text}");
                }
            }
        }
    }

    #[test]
    fn times_are_read_to_the_millisecond() {
        for (text, at) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123),
            ("2023-11-15T00:13:20.9+02:00", 1_700_000_000_900),
            ("2023-11-14T22:13:20.1234567890123Z", 1_700_000_000_123),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("2023-11-14t22:13:20z", 1_700_000_000_000),
            ("2023-11-14 22:13:20Z", 1_700_000_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ] {
            assert_eq!(parse(text), Some(Millis(at)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_with_an_offset_is_not_read() {
        for text in [
            "",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-02-29T22:13:20Z",
            "2023-13-01T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-01-00T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:60:00Z",
            "2023-01-01T00:00:61Z",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00Zjunk",
            "2023-01-01T00:00:00+1:00",
            "1700000000",
            "٢٠٢٣-٠١-٠١T00:00:00Z",
            "2023-01-01T00:00:00\u{0}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
