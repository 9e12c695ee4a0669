//! A part of all people, by which events are sampled.

use std::fmt;

/// More than nothing and less than everything, in ten-thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

/// All parts.
const WHOLE: u16 = 10_000;

impl Share {
    /// So many ten-thousandths, 1 to 9,999.
    pub fn of(parts: u16) -> Option<Self> {
        (1..WHOLE).contains(&parts).then_some(Self(parts))
    }

    /// In ten-thousandths.
    pub fn parts(self) -> u16 {
        self.0
    }

    /// Reads a number of percent with two decimals at the most: `10`, `2.5`, `0.01%`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('%').trim_end();
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most: usize| {
            let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let hundredths = digits(rest, 2)? * if rest.len() == 1 { 10 } else { 1 };
        Self::of(digits(whole, 2)? * 100 + hundredths)
    }

    /// Whether whoever has this hash is in. What a smaller share holds a larger one holds, too.
    pub fn holds(self, hash: [u8; 16]) -> bool {
        let [a, b, c, d, e, f, g, h, ..] = hash;
        let place = u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        (place * u128::from(WHOLE)) >> 64 < u128::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, rest) if rest % 10 == 0 => write!(f, "{whole}.{}%", rest / 10),
            (whole, rest) => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written_in_percent() {
        for (text, parts, written) in [
            ("10", 1_000, "10%"),
            (" 2.5% ", 250, "2.5%"),
            ("0.01", 1, "0.01%"),
            ("99.99 %", 9_999, "99.99%"),
            ("5.05", 505, "5.05%"),
            ("07", 700, "7%"),
        ] {
            let share = Share::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((share.parts(), share.to_string().as_str()), (parts, written), "{text}");
            assert_eq!(Share::parse(&share.to_string()), Some(share));
        }
        for text in ["", "0", "0.00", "100", "-1", "1.234", "1.", ".5", "ten", "1e1", "1,5", "٣"] {
            assert_eq!(Share::parse(text), None, "{text}");
        }
        assert!(Share::of(0).is_none() && Share::of(10_000).is_none());
    }

    #[test]
    fn the_same_people_are_in_a_larger_share() {
        let hash = |number: u64| {
            let mut hash = [0; 16];
            hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            hash
        };
        let shares = [1, 100, 1_000, 5_000, 9_999].map(|parts| Share::of(parts).unwrap());
        for share in shares {
            let many = (0..100_000).filter(|number| share.holds(hash(*number))).count();
            let expected = usize::from(share.parts()) * 10;
            assert!(many.abs_diff(expected) <= 20 + expected / 100, "{many} of {expected} are in {share}");
        }
        for number in 0..10_000 {
            let are_in = shares.map(|share| share.holds(hash(number)));
            assert!(are_in.is_sorted(), "{number}: {are_in:?}");
        }
        assert!(Share::of(1).unwrap().holds([0; 16]) && !Share::of(9_999).unwrap().holds([0xff; 16]));
    }
}
