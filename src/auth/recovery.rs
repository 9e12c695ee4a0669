//! Recovery codes: what lets a member in whose authenticator app is gone, each of them once.

use super::token;

/// How many there are at first.
pub const COUNT: usize = 10;
/// Characters of one: 120 random bits, for which a fast hash is enough (ASVS 5.0, 6.5.2).
const LETTERS: usize = 24;
const GROUP: usize = 6;
/// Without i, l, o and u, which are mistaken for others or spell words.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Fresh codes, such as `3k9x0a-…`, to be shown once.
pub fn generate() -> Vec<String> {
    let one = || {
        let random = token::random::<LETTERS>();
        let letters: Vec<char> = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        letters.chunks(GROUP).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
    };
    (0..COUNT).map(|_| one()).collect()
}

/// What is stored of a code, however it was typed; `None` for a text that can be none.
pub fn hash(typed: &str) -> Option<[u8; 32]> {
    let letter = |c: char| match c.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    let text: String =
        typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(LETTERS + 1).map(letter).collect();
    (text.len() == LETTERS && text.is_ascii()).then(|| token::hash(&text))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ten_codes_differ_and_are_known_however_typed() {
        let codes = generate();
        let hashes: HashSet<_> = codes.iter().map(|code| hash(code).unwrap()).collect();
        assert_eq!((codes.len(), hashes.len()), (10, 10));
        let code = &codes[0];
        assert_eq!((code.len(), code.matches('-').count()), (27, 3), "{code}");
        for typed in [code.to_uppercase(), code.replace('-', " "), format!(" {} ", code.replace('-', ""))] {
            assert_eq!(hash(&typed), hash(code), "{typed}");
        }
        assert_eq!(hash(&code.replace('0', "O").replace('1', "l")), hash(code));
    }

    #[test]
    fn what_cannot_be_a_code_has_no_hash() {
        for typed in ["", "123456", &"a".repeat(23), &"a".repeat(25), &"ä".repeat(12), &"x".repeat(100_000)] {
            assert_eq!(hash(typed), None);
        }
    }
}
