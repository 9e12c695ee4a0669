//! An authenticator app, written from RFC 6238 and RFC 4648 by itself.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// One that has read a secret.
pub struct App(Vec<u8>);

impl App {
    /// Reads the secret that a page shows as text.
    #[track_caller]
    pub fn enrol(page: &str, member: &str) -> Self {
        assert!(page.contains(member) && page.contains("<svg class=\"qr\""), "{page}");
        let shown = page.split("<dt>Secret</dt><dd><code data-copy>").nth(1).unwrap().split('<').next().unwrap();
        let letters = shown.chars().filter(|c| !c.is_whitespace());
        let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
        for letter in letters {
            let value = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(letter).unwrap();
            (bits, held) = (bits << 5 | u32::try_from(value).unwrap(), held + 5);
            if held >= 8 {
                held -= 8;
                bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
            }
        }
        assert_eq!(bytes.len(), 20);
        Self(bytes)
    }

    /// The code of now, or so many steps away.
    pub fn code(&self, steps: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let step = u64::try_from(i64::try_from(now / 30).unwrap() + steps).unwrap();
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).unwrap();
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let at = usize::from(hash[19] & 15);
        let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}
