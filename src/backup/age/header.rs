//! The beginning of an encrypted file: the key of the file, wrapped to those who may open it, and proof of it all.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{AgeError, Key, derive, mac};

const VERSION: &str = "age-encryption.org/v1";
const KIND: &str = "X25519";
const PURPOSE: &str = "age-encryption.org/v1/X25519";
/// Begins the line that ends a header.
const END: &str = "---";
/// Longest line of a body.
const COLUMNS: usize = 64;
/// Longest header that is read.
pub(super) const LONGEST: usize = 1 << 16;

/// The key of one file.
pub(super) type FileKey = Zeroizing<[u8; 16]>;

/// A header that gives this file's key to one recipient.
pub(super) fn write(to: &Key, file_key: &FileKey) -> Vec<u8> {
    let once = Key::generate();
    let shared = once.shared(&to.public).expect("a key of our own is an honest point");
    let mut wrapped = file_key.to_vec();
    wrapping(&shared, &once.public, &to.public)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut wrapped)
        .expect("16 bytes can be sealed");
    let (share, body) = (STANDARD_NO_PAD.encode(once.public), STANDARD_NO_PAD.encode(wrapped));
    let text = format!("{VERSION}\n-> {KIND} {share}\n{body}\n{END}");
    let proof = STANDARD_NO_PAD.encode(prove(file_key, &text));
    format!("{text} {proof}\n").into_bytes()
}

/// How long the header at the beginning is; `None` where its end is not there yet.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(line) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        let end = from + line + 1;
        if bytes[from..].starts_with(END.as_bytes()) {
            return Some(end);
        }
        from = end;
    }
    None
}

/// The key of the file whose header this is.
pub(super) fn read(header: &[u8], key: &Key) -> Result<FileKey, AgeError> {
    let text = std::str::from_utf8(header).ok().and_then(|text| text.strip_suffix('\n')).ok_or(AgeError::Damaged)?;
    let (above, proof) = text.rsplit_once(' ').ok_or(AgeError::Damaged)?;
    let mut lines = above.lines().peekable();
    if lines.next() != Some(VERSION) || !above.ends_with(&format!("\n{END}")) {
        return Err(AgeError::Damaged);
    }
    let mut found = None;
    while let Some(arguments) = lines.next_if(|line| *line != END) {
        let arguments: Vec<_> = arguments.strip_prefix("-> ").ok_or(AgeError::Damaged)?.split(' ').collect();
        let mut body = String::new();
        // The last line of a body is a short one, and may be empty.
        loop {
            let line = lines.next().filter(|line| line.len() <= COLUMNS && *line != END).ok_or(AgeError::Damaged)?;
            body.push_str(line);
            if line.len() < COLUMNS {
                break;
            }
        }
        if let [KIND, share] = arguments[..] {
            found = found.or(unwrap(key, share, &body)?);
        }
    }
    let file_key = found.ok_or(AgeError::WrongKey)?;
    let proof = STANDARD_NO_PAD.decode(proof).map_err(|_| AgeError::Damaged)?;
    if bool::from(proof.ct_eq(&prove(&file_key, above))) { Ok(file_key) } else { Err(AgeError::Damaged) }
}

/// The key of the file, where it is wrapped to this key.
fn unwrap(key: &Key, share: &str, body: &str) -> Result<Option<FileKey>, AgeError> {
    let decode = |text| STANDARD_NO_PAD.decode(text).map_err(|_| AgeError::Damaged);
    let share: [u8; 32] = decode(share)?.try_into().map_err(|_| AgeError::Damaged)?;
    let mut body = Zeroizing::new(decode(body)?);
    let shared = key.shared(&share).ok_or(AgeError::Damaged)?;
    let wrapping = wrapping(&shared, &share, &key.public);
    let opened = wrapping.open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body);
    let Ok(opened) = opened else { return Ok(None) };
    (*opened).try_into().map(|key| Some(Zeroizing::new(key))).map_err(|_| AgeError::Damaged)
}

/// What wraps the key of a file: good for that once, so that its nonce may be nought.
fn wrapping(shared: &[u8], share: &[u8; 32], recipient: &[u8; 32]) -> LessSafeKey {
    cipher(&derive(&[&share[..], recipient].concat(), shared, PURPOSE))
}

/// The proof of a header, up to the end of its last line's dashes.
fn prove(file_key: &FileKey, text: &str) -> [u8; 32] {
    mac(&*derive(&[], &**file_key, "header"), &[text.as_bytes()])
}

pub(super) fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of 32 bytes fits"))
}
