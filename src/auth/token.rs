//! Random secrets that are handed out once and kept only as hashes.

use sha2::{Digest, Sha256};

/// `N` random bytes from the system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random generator always works once it is seeded at boot");
    bytes
}

/// A fresh token of 256 random bits: `prefix` and 64 lower-case hex digits.
pub fn issue(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(random::<32>()))
}

/// What is stored of a token. A fast hash is enough for 112 random bits or more (ASVS 5.0, 6.5.2).
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
