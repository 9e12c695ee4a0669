//! Secrets that must stay readable, such as HMAC keys, sealed under a master key that lies outside the database.

use std::io::{self, ErrorKind};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

use super::{secret_file, token};
use crate::model::{By, SealedOf};
use crate::store::{Store, StoreError};

/// Bytes of the random nonce in front of a sealed secret.
const NONCE: usize = 24;

/// Most keys that may be given.
const MOST: usize = 8;

/// 256 random bits under which secrets are sealed, and perhaps others before them, which open what they have sealed until
/// that is sealed anew. Wiped when dropped; `Debug` hides it.
///
/// Without it, sealed secrets cannot be read: its loss means new ingest keys, and that members set
/// up their authenticator apps anew (recovery codes still sign them in); it leaves the events unharmed.
#[derive(Clone)]
pub struct MasterKey {
    first: Zeroizing<[u8; 32]>,
    others: Vec<Zeroizing<[u8; 32]>>,
}

/// What became of all sealed secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// How many there are.
    pub sealed: u64,
    /// Of them, those that were under another key than the first.
    pub changed: u64,
    /// Of them, those that no key opens.
    pub lost: u64,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    /// A fresh key from the system's generator.
    pub fn generate() -> Self {
        Self { first: Zeroizing::new(token::random()), others: Vec::new() }
    }

    /// The keys in a file, as [`MasterKey::from_text`] reads them. It is made with mode 0600, 64 hex digits and a newline,
    /// if it is not there.
    /// Processes that race to make it all get the key of the one that came first.
    ///
    /// # Errors
    /// Those of the file system, and [`ErrorKind::InvalidData`] where the file holds something else.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        let text = secret_file::read_or_make(path, || Zeroizing::new(hex::encode(*Self::generate().first)))?;
        Self::from_text(&text).ok_or_else(|| {
            let problem =
                format!("{} does not hold a master key (64 hex digits or base64 of 32 bytes)", path.display());
            io::Error::new(ErrorKind::InvalidData, problem)
        })
    }

    /// The keys, each written as 64 hex digits or as base64 of 32 bytes, with white space between them: the first one
    /// seals, all open. At most 8.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut keys = text.split_whitespace().map(Self::one).collect::<Option<Vec<_>>>()?;
        (1..=MOST).contains(&keys.len()).then(|| Self { first: keys.remove(0), others: keys })
    }

    fn one(text: &str) -> Option<Zeroizing<[u8; 32]>> {
        let decoded = if text.len() == 64 {
            hex::decode(text).ok()
        } else {
            STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
        };
        let decoded = Zeroizing::new(decoded?);
        decoded.as_slice().try_into().ok().map(Zeroizing::new)
    }

    /// Encrypts and authenticates `plain` (XChaCha20-Poly1305), bound to `associated`: the result opens only together
    /// with the same associated bytes. A random nonce of 24 bytes stands in front, a tag of 16 at the end.
    pub fn seal(&self, plain: &[u8], associated: &[u8]) -> Vec<u8> {
        let nonce = token::random::<NONCE>();
        let sealed = cipher(&self.first)
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: associated })
            .expect("only messages of many gigabytes are refused, and a secret has bytes");
        [&nonce[..], &sealed].concat()
    }

    /// What was sealed, or `None` where the key or the associated bytes are others, or the text was changed.
    pub fn unseal(&self, sealed: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
        std::iter::once(&self.first).chain(&self.others).find_map(|key| unseal(key, sealed, associated))
    }

    /// A sealed secret under the first key, where it was not under that; `None` of one that no key opens.
    fn reseal(&self, sealed: &[u8], associated: &[u8]) -> Option<Option<Vec<u8>>> {
        if unseal(&self.first, sealed, associated).is_some() {
            return Some(None);
        }
        let plain = Zeroizing::new(self.unseal(sealed, associated)?);
        Some(Some(self.seal(&plain, associated)))
    }
}

/// Seals every secret of the store that is not under the first key anew.
///
/// # Errors
/// Those of the store; nothing is changed then.
pub fn reseal_all(store: &dyn Store, master: &MasterKey, by: &By) -> Result<Resealed, StoreError> {
    let (mut told, mut changed) = (Resealed::default(), Vec::new());
    for secret in store.sealed()? {
        told.sealed += 1;
        match master.reseal(&secret.bytes, &bound_to(secret.of)) {
            Some(None) => {}
            Some(Some(anew)) => changed.push((secret, anew)),
            None => told.lost += 1,
        }
    }
    told.changed = store.reseal(&changed, by)?;
    Ok(told)
}

/// The associated bytes of a secret.
pub(super) fn bound_to(of: SealedOf) -> Vec<u8> {
    match of {
        SealedOf::Key(_, token_hash) => token_hash.to_vec(),
        SealedOf::TwoFactor(member) => format!("two-factor secret of member {}", member.0).into_bytes(),
    }
}

fn unseal(key: &[u8; 32], sealed: &[u8], associated: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    cipher(key).decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: associated }).ok()
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    let mut key = Key::from(*key);
    let cipher = XChaCha20Poly1305::new(&key);
    key.as_mut_slice().zeroize();
    cipher
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn sealed_secret_opens_only_with_its_key_and_associated_bytes() {
        let key = MasterKey::generate();
        let sealed = key.seal(b"the secret", b"id 1");
        assert_eq!(sealed.len(), 24 + 10 + 16);
        assert_eq!(key.unseal(&sealed, b"id 1").unwrap(), b"the secret");
        assert_eq!(key.unseal(&sealed, b"id 2"), None);
        assert_eq!(MasterKey::generate().unseal(&sealed, b"id 1"), None);
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert_eq!(key.unseal(&changed, b"id 1"), None, "byte {i} changed");
        }
        for len in [0, 23, 24, 39] {
            assert_eq!(key.unseal(&sealed[..len], b"id 1"), None, "cut to {len}");
        }
    }

    #[test]
    fn an_old_key_opens_what_it_sealed_until_that_is_sealed_anew() {
        let (old, new) = ("11".repeat(32), "22".repeat(32));
        let of = |text: &str| MasterKey::from_text(text).unwrap();
        let both = of(&format!("{new}\n{old}\n"));
        let sealed = of(&old).seal(b"secret", b"id");
        assert_eq!(of(&new).unseal(&sealed, b"id"), None);
        assert_eq!(both.unseal(&sealed, b"id").unwrap(), b"secret");
        let anew = both.reseal(&sealed, b"id").unwrap().unwrap();
        assert_eq!(of(&new).unseal(&anew, b"id").unwrap(), b"secret");
        assert_eq!(both.reseal(&anew, b"id"), Some(None), "it is under the first key already");
        assert_eq!(both.reseal(&MasterKey::generate().seal(b"secret", b"id"), b"id"), None);
    }

    #[test]
    fn same_secret_sealed_twice_looks_different() {
        let key = MasterKey::generate();
        assert_ne!(key.seal(b"secret", b""), key.seal(b"secret", b""));
    }

    #[test]
    fn key_is_read_from_hex_and_base64_alone() {
        let hex = "00".repeat(31) + "ff";
        let base64 = STANDARD.encode(hex::decode(&hex).unwrap());
        for text in [&hex, &hex.to_uppercase(), &format!(" {hex}\n"), &base64, base64.trim_end_matches('=')] {
            assert_eq!(
                *MasterKey::from_text(text).expect(text).first,
                *MasterKey::from_text(&hex).unwrap().first,
                "{text}"
            );
        }
        let many = [hex.as_str(); MOST + 1].join(" ");
        assert!(MasterKey::from_text(&many[..many.len() - 65]).is_some());
        for text in [&many, "", "00", &hex[1..], &"g".repeat(64), &STANDARD.encode([0; 31]), &STANDARD.encode([0; 33])]
        {
            assert!(MasterKey::from_text(text).is_none(), "{text}");
        }
    }

    #[test]
    fn key_file_is_private_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let first = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), hex::encode(*first.first) + "\n");
        assert_eq!(*MasterKey::load_or_create(&path).unwrap().first, *first.first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn processes_that_race_to_make_the_key_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = &folder.path().join("master.key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16).map(|_| scope.spawn(|| MasterKey::load_or_create(path).unwrap())).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key.first == *keys[0].first));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn damaged_key_file_is_an_error_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        std::fs::write(&path, "not a key").unwrap();
        assert_eq!(MasterKey::load_or_create(&path).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a key");
    }

    #[test]
    fn debug_hides_the_key() {
        assert_eq!(format!("{:?}", MasterKey::generate()), "MasterKey(..)");
    }
}
