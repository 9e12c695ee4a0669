//! LZ-String, as its JavaScript library 1.5.0 writes it in base64, undone within bounds.

use std::iter;

/// Why a text could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LzError {
    /// It is longer than allowed.
    TooLong,
    /// It is not what that library writes.
    Corrupt,
}

/// Codes with a meaning of their own: a character of 8 bits follows, one of 16 bits, the end.
const BYTE: u32 = 0;
const UNIT: u32 = 1;
const END: u32 = 2;
/// The first code of a phrase.
const FIRST: usize = 3;
/// Longest code in bits; the phrases of any text that is allowed have shorter ones.
const LONGEST: u32 = 26;

/// The text behind `base64`, of at most `most` UTF-16 units.
pub fn decompress(base64: &str, most: usize) -> Result<String, LzError> {
    let mut bits = Bits { text: base64.trim_end_matches('=').bytes(), value: 0, left: 0 };
    let mut unpacking = Unpacking { units: Vec::new(), phrases: Vec::new(), width: 2, room: 1, most };
    // Before the first code there are no phrases, and it is two bits wide.
    match bits.take(2)? {
        END => return Ok(String::new()),
        kind => unpacking.literal(kind, &mut bits)?,
    }
    unpacking.width = 3;
    unpacking.room = 4;
    let mut last: (u32, u32) = (0, 1);
    loop {
        let code = bits.take(unpacking.width)?;
        let at = unpacking.at();
        match code {
            END => break,
            BYTE | UNIT => {
                unpacking.literal(code, &mut bits)?;
                unpacking.widen();
            }
            code => unpacking.repeat(code as usize - FIRST, last)?,
        }
        // What was written last, with the first unit of what is written now, which stands right behind it.
        unpacking.phrases.push((last.0, last.1 + 1));
        unpacking.widen();
        last = (at, unpacking.at() - at);
    }
    String::from_utf16(&unpacking.units).map_err(|_| LzError::Corrupt)
}

struct Unpacking {
    units: Vec<u16>,
    /// Where each phrase stands among the units, and how long it is.
    phrases: Vec<(u32, u32)>,
    /// Bits of a code.
    width: u32,
    /// Phrases until codes are wider.
    room: usize,
    most: usize,
}

impl Unpacking {
    /// How many units there are: far fewer than a `u32` counts, since what is allowed is.
    fn at(&self) -> u32 {
        u32::try_from(self.units.len()).unwrap_or(u32::MAX)
    }

    fn literal(&mut self, kind: u32, bits: &mut Bits<'_>) -> Result<(), LzError> {
        let width = match kind {
            BYTE => 8,
            UNIT => 16,
            _ => return Err(LzError::Corrupt),
        };
        let unit = u16::try_from(bits.take(width)?).map_err(|_| LzError::Corrupt)?;
        if self.units.len() == self.most {
            return Err(LzError::TooLong);
        }
        self.phrases.push((self.at(), 1));
        self.units.push(unit);
        Ok(())
    }

    /// Writes a phrase again: one that is known, or the next one, which begins as the last and ends with its own first.
    fn repeat(&mut self, phrase: usize, last: (u32, u32)) -> Result<(), LzError> {
        let (from, length) = match self.phrases.get(phrase) {
            Some(known) => *known,
            None if phrase == self.phrases.len() => (last.0, last.1 + 1),
            None => return Err(LzError::Corrupt),
        };
        let (from, length) = (from as usize, length as usize);
        if length > self.most - self.units.len() {
            return Err(LzError::TooLong);
        }
        // The next phrase overlaps what is being written.
        for at in from..from + length {
            self.units.push(self.units[at]);
        }
        Ok(())
    }

    fn widen(&mut self) {
        self.room -= 1;
        if self.room == 0 {
            self.room = 1 << self.width;
            self.width += 1;
        }
    }
}

/// Bits of a base64 text, the highest of each character first.
struct Bits<'a> {
    text: std::str::Bytes<'a>,
    value: u8,
    left: u32,
}

impl Bits<'_> {
    /// A number whose lowest bit comes first.
    fn take(&mut self, width: u32) -> Result<u32, LzError> {
        if width > LONGEST {
            return Err(LzError::TooLong);
        }
        let mut bits = iter::repeat_with(|| self.bit()).take(width as usize).enumerate();
        bits.try_fold(0, |number, (at, bit)| Ok(number | bit? << at))
    }

    fn bit(&mut self) -> Result<u32, LzError> {
        if self.left == 0 {
            self.value = self.text.next().and_then(sextet).ok_or(LzError::Corrupt)?;
            self.left = 6;
        }
        self.left -= 1;
        Ok(u32::from(self.value >> self.left & 1))
    }
}

fn sextet(letter: u8) -> Option<u8> {
    Some(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 10_000;

    #[test]
    fn what_the_library_wrote_is_read() {
        for (base64, text) in [
            ("Q===", ""),
            ("IZA=", "a"),
            ("IY1/kA==", "aaaaaaaaaaaaaaaaaaaa"),
            ("BYUwNmD2AEoTcpA=", "hello hello hello"),
            ("IYI17SOrZ/ZA", &*"ab".repeat(24)),
            (
                "N4IgpgbmB2AuIC4QHMBOA3g+2VACQwGS6AsG4Hi7IANCACYCWAzrDdAMawD6NViIAHiAL5A=",
                r#"{"event":"größer ☃ 𝄞","distinct_id":"x"}"#,
            ),
        ] {
            assert_eq!(decompress(base64, MOST).as_deref(), Ok(text));
        }
        assert_eq!(decompress("B418ZXTt/DFOS1b0c17Pd/wYUcSaWeRZVdTbXTEA", MOST), Ok("x".repeat(1_000)));
    }

    #[test]
    fn length_is_bounded_and_nonsense_refused() {
        let bomb = "B418ZXTt/DFOS1b0c17Pd/wYUcSaWeRZVdTbXTEA";
        assert_eq!(decompress(bomb, 1_000).map(|text| text.len()), Ok(1_000));
        assert_eq!(decompress(bomb, 999), Err(LzError::TooLong));
        assert_eq!(decompress("IZA=", 0), Err(LzError::TooLong));
        for nonsense in ["", "=", "IZ", "I*A=", "é", "////", "wAAA", &bomb[..20], &"A".repeat(500)] {
            assert!(decompress(nonsense, MOST).is_err(), "{nonsense}");
        }
        let lone_surrogate = "gAbQ";
        assert!(decompress(lone_surrogate, MOST).is_err());
        // No text of these letters takes more than it may, or makes the decoder go wrong.
        let mut state = 7_u64;
        for _ in 0..2_000 {
            let text: String = iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(b"ABCIQYghwx019+/"[(state >> 40) as usize % 15])
            })
            .take(60)
            .collect();
            _ = decompress(&text, 1_000);
        }
    }
}
