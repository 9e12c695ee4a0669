//! Files encrypted in the format of the program `age` (age-encryption.org/v1, to X25519 recipients), so that they can be
//! opened without this program. The primitives are those of the TLS library.

mod header;
mod stream;

use std::fmt;
use std::io;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use bech32::{Bech32, Hrp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use stream::{Opener, Sealer, sealed_bytes};

/// What keys and recipients begin with, before the `1` that divides.
const IDENTITY: &str = "age-secret-key-";
const RECIPIENT: &str = "age";

/// Why a file cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    /// It is encrypted to others.
    #[error("the key does not fit: the file was encrypted with another one")]
    WrongKey,
    /// It is none of this format, or was changed.
    #[error("the encrypted file is damaged")]
    Damaged,
    /// It ends before its end.
    #[error("the encrypted file is cut off")]
    Cut,
}

impl AgeError {
    /// What of this kind lies behind an error of reading or writing.
    pub fn behind(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}

impl From<AgeError> for io::Error {
    fn from(error: AgeError) -> Self {
        Self::other(error)
    }
}

/// A key that opens what it has sealed: an identity of age. Wiped when dropped; `Debug` shows the recipient alone.
#[derive(Clone)]
pub struct Key {
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl Key {
    /// A fresh one from the system's generator.
    pub fn generate() -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret).expect("the system has randomness");
        Self::of(secret).expect("any 32 bytes are a key of X25519")
    }

    /// The key in a text as `age-keygen` writes it: a line `AGE-SECRET-KEY-1...` among comments.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let (prefix, bytes) = bech32::decode(line).ok()?;
        let bytes = Zeroizing::new(bytes);
        if !prefix.as_str().eq_ignore_ascii_case(IDENTITY) {
            return None;
        }
        Self::of(Zeroizing::new(bytes.as_slice().try_into().ok()?))
    }

    /// The key as `age` reads it.
    pub fn identity(&self) -> Zeroizing<String> {
        Zeroizing::new(written(IDENTITY, &*self.secret).to_ascii_uppercase())
    }

    /// To whom files are sealed; no secret.
    pub fn recipient(&self) -> String {
        written(RECIPIENT, &self.public)
    }

    fn of(secret: Zeroizing<[u8; 32]>) -> Option<Self> {
        let private = PrivateKey::from_private_key(&X25519, &*secret).ok()?;
        let public = private.compute_public_key().ok()?.as_ref().try_into().ok()?;
        Some(Self { secret, public })
    }

    /// What this key and the other side's have in common; `None` for a point that nobody honest sends.
    fn shared(&self, other: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
        let private = PrivateKey::from_private_key(&X25519, &*self.secret).ok()?;
        let keep = |shared: &[u8]| Ok(Zeroizing::new(shared.to_vec()));
        agree(&private, UnparsedPublicKey::new(&X25519, other), (), keep).ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.recipient())
    }
}

fn written(prefix: &str, bytes: &[u8]) -> String {
    bech32::encode::<Bech32>(Hrp::parse_unchecked(prefix), bytes).expect("32 bytes are short enough")
}

/// HKDF with SHA-256, to the 32 bytes of a key.
fn derive(salt: &[u8], secret: &[u8], purpose: &str) -> Zeroizing<[u8; 32]> {
    let drawn = Zeroizing::new(mac(salt, &[secret]));
    Zeroizing::new(mac(&*drawn, &[purpose.as_bytes(), &[1]]))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is good");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// Longest chunk of the format, in plain.
    const CHUNK: usize = 1 << 16;

    fn sealed(key: &Key, text: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        Sealer::new(key, text).read_to_end(&mut sealed).unwrap();
        assert_eq!(sealed.len() as u64, sealed_bytes(text.len() as u64));
        sealed
    }

    fn opened(key: &Key, sealed: &[u8], step: usize) -> Result<Vec<u8>, AgeError> {
        let mut opener = Opener::new(key, Vec::new());
        for part in sealed.chunks(step) {
            opener.write_all(part).map_err(|error| AgeError::behind(&error).unwrap())?;
        }
        opener.finish().map_err(|error| AgeError::behind(&error).unwrap())
    }

    #[test]
    fn what_is_sealed_is_opened_whatever_its_length() {
        let key = Key::generate();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 200_000] {
            let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let sealed = sealed(&key, &text);
            for step in [7, 65_552, 1 << 20] {
                assert!(opened(&key, &sealed, step).as_ref() == Ok(&text), "{length} in steps of {step}");
            }
        }
    }

    #[test]
    fn what_was_changed_cut_or_sealed_by_others_is_told() {
        let (key, other) = (Key::generate(), Key::generate());
        let sealed = sealed(&key, &[7; 100_000]);
        assert_eq!(opened(&other, &sealed, 4_096), Err(AgeError::WrongKey));
        for cut in [0, 20, 100, 200, 300, 65_700, 65_800, sealed.len() - 1] {
            assert!(opened(&key, &sealed[..cut], 4_096).is_err(), "cut to {cut}");
        }
        for at in (0..sealed.len()).step_by(997).chain(0..200) {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(opened(&key, &changed, 4_096).is_err(), "changed at {at}");
        }
        let behind = [&sealed[..], b"x"].concat();
        assert!(opened(&key, &behind, 4_096).is_err());
    }

    #[test]
    fn keys_are_read_as_age_keygen_writes_them() {
        let text = "# created: 2026-01-01T00:00:00Z\n# public key: age1...\n";
        let key = Key::generate();
        let identity = key.identity();
        assert!(identity.starts_with("AGE-SECRET-KEY-1"), "{}", identity.len());
        for text in [identity.to_string(), format!("{text}{}\n", *identity), identity.to_ascii_lowercase()] {
            assert_eq!(Key::parse(&text).unwrap().recipient(), key.recipient());
        }
        let twice = format!("{}\n{}", *identity, *identity);
        for text in ["", "# nothing", &key.recipient(), &identity[..60], &*twice] {
            assert!(Key::parse(text).is_none(), "{text}");
        }
        assert!(!format!("{key:?}").contains("SECRET"));
    }
}
