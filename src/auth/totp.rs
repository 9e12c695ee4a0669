//! One-time codes of an authenticator app (RFC 6238): SHA-1, six digits, thirty seconds.

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::token;
use crate::model::Millis;

/// Seconds for which a code is shown.
const STEP: i64 = 30;
/// Bytes of a secret: as many as the hash has (RFC 4226, 4, R6).
const BYTES: usize = 20;
/// How many steps a phone's clock may be off, either way.
const DRIFT: i64 = 1;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// What may stand in a label of an `otpauth` address as it is.
const LABEL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a member's authenticator app and the box both know. Wiped when dropped; `Debug` hides it.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; BYTES]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// 160 random bits.
    pub fn generate() -> Self {
        Self(Zeroizing::new(token::random()))
    }

    /// From what [`Secret::bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// To be sealed.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Base32 in groups of four, to be typed.
    pub fn text(&self) -> String {
        let letters = self.letters();
        let groups = letters.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned());
        groups.collect::<Vec<_>>().join(" ")
    }

    /// The `otpauth` address that authenticator apps read from a picture.
    pub fn address(&self, member: &str) -> String {
        let member = utf8_percent_encode(member, LABEL);
        format!("otpauth://totp/Tallybox:{member}?secret={}&issuer=Tallybox", self.letters())
    }

    /// The step whose code was given, where it is of now, give or take one, and later than `after`: the step of the
    /// last code that was used.
    pub fn matches(&self, given: &str, now: Millis, after: i64) -> Option<i64> {
        let given: String = given.chars().filter(|c| !c.is_whitespace()).collect();
        let present = now.seconds().div_euclid(STEP);
        let steps = present - DRIFT..=present + DRIFT;
        // All are compared, so that the time tells nothing.
        let matching = steps.filter(|&step| self.code(step).as_bytes().ct_eq(given.as_bytes()).into());
        matching.collect::<Vec<_>>().into_iter().find(|&step| step > after)
    }

    /// The six digits of a step of thirty seconds since 1970 (RFC 4226, 5.3).
    pub fn code(&self, step: i64) -> String {
        format!("{:06}", self.truncated(step) % 1_000_000)
    }

    fn truncated(&self, step: i64) -> u32 {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.bytes()).expect("HMAC takes keys of any length");
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let at = usize::from(hash[hash.len() - 1] & 0x0f);
        u32::from_be_bytes([hash[at] & 0x7f, hash[at + 1], hash[at + 2], hash[at + 3]])
    }

    fn letters(&self) -> String {
        let bits = self.0.chunks(5).map(|group| group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)));
        let letters = bits.flat_map(|bits| (0..8).rev().map(move |n| BASE32[(bits >> (5 * n) & 31) as usize]));
        letters.map(char::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 6238, appendix B.
    fn rfc() -> Secret {
        Secret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (seconds, code) in [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            let step = seconds / STEP;
            assert_eq!(rfc().truncated(step) % 100_000_000, code, "{seconds}");
            assert_eq!(rfc().code(step), format!("{:06}", code % 1_000_000), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_either_way_and_once() {
        let secret = rfc();
        let step = 60_000_000;
        let now = Millis(step * STEP * 1_000 + 12_345);
        for off in -3..=3 {
            let found = secret.matches(&secret.code(step + off), now, 0);
            assert_eq!(found, (off.abs() <= 1).then_some(step + off), "{off}");
        }
        let code = secret.code(step);
        assert_eq!(secret.matches(&format!(" {} {} ", &code[..3], &code[3..]), now, step - 1), Some(step));
        assert_eq!(secret.matches(&code, now, step), None, "used");
        assert_eq!(secret.matches(&secret.code(step + 1), now, step), Some(step + 1), "the next one");
        for wrong in ["", "12345", "1234567", "abcdef", "-12345", &code[1..]] {
            assert_eq!(secret.matches(wrong, now, 0), None, "{wrong}");
        }
    }

    #[test]
    fn the_secret_is_told_as_base32() {
        let secret = rfc();
        assert_eq!(secret.text(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert_eq!(
            secret.address("ada & bob@example.org"),
            "otpauth://totp/Tallybox:ada%20%26%20bob%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Tallybox"
        );
        assert!(Secret::from_bytes(b"short").is_none());
        assert_ne!(Secret::generate().bytes(), Secret::generate().bytes());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
