//! Random secrets that are handed out once and kept only as hashes, and how each kind of them is told from the others.

use sha2::{Digest, Sha256};

/// Hex digits of a token's check.
const CHECK: usize = 8;

/// What a credential is for, as its beginning says. Each is refused where another belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The token of an ingest key that has a secret.
    SecretKey,
    /// An ingest key that may stand in an app.
    PublicKey,
    /// A token of the read API.
    Api,
}

impl TokenKind {
    const ALL: [Self; 3] = [Self::SecretKey, Self::PublicKey, Self::Api];

    /// How tokens of that kind begin.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::SecretKey => "tks_",
            Self::PublicKey => "tkp_",
            Self::Api => "tka_",
        }
    }

    /// The kind of a token, where its beginning tells: earlier versions of the box and other servers had other
    /// beginnings.
    pub fn of(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| token.starts_with(kind.prefix()))
    }
}

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

/// A fresh token of a kind: its prefix, `N` random bytes and a check, all in lower-case hex digits. By prefix and check
/// a leaked one is recognised wherever it stands, and a mistyped one without a look-up.
pub fn issue_kind<const N: usize>(kind: TokenKind) -> String {
    let token = format!("{}{}", kind.prefix(), hex::encode(random::<N>()));
    [token.as_str(), &check(&token)].concat()
}

/// Whether a token that begins as one of ours cannot be one: it was mistyped or cut.
pub fn is_mistyped(token: &str) -> bool {
    let ours = TokenKind::of(token).is_some();
    ours && token
        .len()
        .checked_sub(CHECK)
        .and_then(|at| token.split_at_checked(at))
        .is_none_or(|(front, end)| check(front) != end)
}

/// How Aptabase's SDKs want keys of other servers than their own to begin.
const APTABASE: &str = "A-SH-";

/// A public key as Aptabase's SDKs take it: they look at a key's form before they send anything.
pub fn as_aptabase(public: &str) -> Option<String> {
    let digits = public.strip_prefix(TokenKind::PublicKey.prefix())?;
    Some([APTABASE, &digits.to_ascii_uppercase()].concat())
}

/// The public key that such a spelling is of, in any case; none where it is no such spelling.
pub fn from_aptabase(spelt: &str) -> Option<String> {
    let (front, digits) = spelt.split_at_checked(APTABASE.len())?;
    front.eq_ignore_ascii_case(APTABASE).then(|| [TokenKind::PublicKey.prefix(), &digits.to_ascii_lowercase()].concat())
}

/// What is stored of a token. A fast hash is enough for 112 random bits or more (ASVS 5.0, 6.5.2).
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn check(token: &str) -> String {
    hex::encode(&hash(token)[..CHECK / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_by_its_beginning_and_a_slip_by_the_check() {
        for kind in TokenKind::ALL {
            let token = issue_kind::<16>(kind);
            assert_eq!((TokenKind::of(&token), token.len(), is_mistyped(&token)), (Some(kind), 44, false));
            for at in 4..token.len() {
                let mut slip = token.clone();
                let digit = if slip.as_bytes()[at] == b'0' { "1" } else { "0" };
                slip.replace_range(at..=at, digit);
                assert!(is_mistyped(&slip), "{slip}");
            }
            assert!(is_mistyped(&token[..token.len() - 1]) && is_mistyped(kind.prefix()) && is_mistyped("tks_é€"));
        }
        let public = issue_kind::<16>(TokenKind::PublicKey);
        let spelt = as_aptabase(&public).unwrap();
        assert!(spelt.starts_with("A-SH-") && spelt.split('-').count() == 3 && spelt == spelt.to_ascii_uppercase());
        assert_eq!(from_aptabase(&spelt).as_ref(), Some(&public));
        assert_eq!(from_aptabase(&spelt.to_ascii_lowercase()), Some(public));
        assert_eq!((as_aptabase("tks_00"), from_aptabase("A-EU-0000000000"), from_aptabase("A-S")), (None, None, None));
        for other in ["tk_00112233445566778899aabbccddeeff", "tb_x", "pk_live_1", "", "tks"] {
            assert_eq!((TokenKind::of(other), is_mistyped(other)), (None, false), "{other}");
        }
    }
}
