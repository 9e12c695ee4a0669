//! What may be chosen as a password: long, and nothing that guessers try first. No rules about character classes.

use std::collections::HashSet;
use std::sync::OnceLock;

/// Fewest characters (NIST SP 800-63B-4 asks for 15 where nothing but a password protects; OWASP ASVS 5.0 for 8).
pub const SHORTEST: usize = 12;
/// Most characters.
pub const LONGEST: usize = 128;

/// Shortest stem that counts as a word, in bytes: what is left of `1q2w3e4r` says nothing.
const SHORTEST_WORD: usize = 3;

/// Why a password is refused, as a sentence for its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// Fewer than 12 characters.
    #[error("The password needs at least 12 characters.")]
    TooShort,
    /// More than 128 characters.
    #[error("The password may have at most 128 characters.")]
    TooLong,
    /// The same few characters again and again.
    #[error("The password repeats the same few characters.")]
    Repeats,
    /// A run of the alphabet, of digits or of the keyboard.
    #[error("The password is a simple sequence.")]
    Sequence,
    /// Known to every guesser.
    #[error("The password is one of the most common ones, or two of them put together.")]
    Common,
    /// Holds the member's name.
    #[error("The password must not contain your name.")]
    ContainsName,
    /// Holds the product's name.
    #[error("The password must not contain the word tallybox.")]
    ContainsProduct,
}

/// Whether a member of that name may use this password.
pub fn check(password: &str, name: &str) -> Result<(), PasswordProblem> {
    let characters = password.chars().count();
    if characters < SHORTEST {
        return Err(PasswordProblem::TooShort);
    }
    if characters > LONGEST {
        return Err(PasswordProblem::TooLong);
    }
    let lower: Vec<char> = password.to_lowercase().chars().collect();
    let text: String = lower.iter().collect();
    if repeats(&lower) {
        return Err(PasswordProblem::Repeats);
    }
    if is_sequence(&lower) {
        return Err(PasswordProblem::Sequence);
    }
    if contains_product(&text) {
        return Err(PasswordProblem::ContainsProduct);
    }
    if contains_name(&text, &name.to_lowercase()) {
        return Err(PasswordProblem::ContainsName);
    }
    if is_common(&text) { Err(PasswordProblem::Common) } else { Ok(()) }
}

/// A period of at most four characters all the way, or fewer than four different ones.
fn repeats(password: &[char]) -> bool {
    let periodic = |period: usize| password.iter().zip(&password[period..]).all(|(a, b)| a == b);
    (1..=4).any(periodic) || password.iter().collect::<HashSet<_>>().len() < 4
}

/// Whether at most three runs along these rows, in either direction, make up the whole password.
fn is_sequence(password: &[char]) -> bool {
    const ROWS: [&str; 7] = [
        "abcdefghijklmnopqrstuvwxyz",
        "01234567890",
        "qwertyuiop[]",
        "asdfghjkl;'",
        "zxcvbnm,./",
        "qwertzuiop",
        "azertyuiop",
    ];
    let neighbours = |a: char, b: char| {
        ROWS.iter().any(|row| {
            let mut pairs = row.chars().zip(row.chars().skip(1));
            pairs.any(|pair| pair == (a, b) || pair == (b, a))
        })
    };
    password.windows(2).filter(|pair| !neighbours(pair[0], pair[1])).count() <= 2
}

fn contains_product(text: &str) -> bool {
    text.contains("tallybox") || plain_letters(text).contains("tallybox")
}

fn contains_name(text: &str, name: &str) -> bool {
    let parts = [name, name.split('@').next().unwrap_or_default()];
    parts.iter().any(|part| part.chars().count() >= 3 && text.contains(part))
}

/// Whether letters alone, with digits and signs around them stripped and stand-ins undone, are one or two words
/// of the list.
fn is_common(text: &str) -> bool {
    static WORDS: OnceLock<HashSet<&str>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let lines = include_str!("common.txt").lines().filter(|line| !line.starts_with('#'));
        let stem = |word: &'static str| word.trim_matches(|c: char| !c.is_alphabetic());
        // Of `trustno1` the stem counts too: digits behind it are the first that guessers change.
        lines.flat_map(|word| [word, stem(word)]).filter(|word| word.len() >= SHORTEST_WORD).collect()
    });
    let known = |core: &str| {
        let two = |at: usize| core.is_char_boundary(at) && words.contains(&core[..at]) && words.contains(&core[at..]);
        core.is_empty() || words.contains(core) || (1..core.len()).any(two)
    };
    let stripped = text.trim_matches(|c: char| !c.is_alphabetic());
    let letters: String = text.chars().filter(|c| c.is_alphabetic()).collect();
    words.contains(text) || known(&plain_letters(stripped)) || known(&plain_letters(text)) || known(&letters)
}

/// Digits and signs that stand in for letters become those letters; all others go.
fn plain_letters(text: &str) -> String {
    let letter = |c: char| match c {
        '0' => Some('o'),
        '1' | '!' | '|' => Some('i'),
        '3' => Some('e'),
        '4' | '@' => Some('a'),
        '5' | '$' => Some('s'),
        '7' | '+' => Some('t'),
        '8' => Some('b'),
        c => c.is_alphabetic().then_some(c),
    };
    text.chars().filter_map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_simple_and_personal_passwords_are_refused() {
        use PasswordProblem::*;
        let rows = [
            ("elevenchars", TooShort),
            ("ääääääääääb", TooShort),
            (&"aB3$".repeat(33), TooLong),
            ("aaaaaaaaaaaaaa", Repeats),
            ("abcabcabcabcabc", Repeats),
            ("xoxoxoxoxoxo", Repeats),
            ("111222333111", Repeats),
            ("abcdefghijklm", Sequence),
            ("123456789012345", Sequence),
            ("0987654321098", Sequence),
            ("QwertyUiop[]", Sequence),
            ("qwertzuiop123", Sequence),
            ("abcd1234qwer", Sequence),
            ("Password123456", Common),
            ("P@ssw0rd!!2026", Common),
            ("1234password5678", Common),
            ("p.a.s.s.w.o.r.d", Common),
            ("letmein-welcome", Common),
            ("iloveyouforever", Common),
            ("Administrator1", Common),
            ("correct horse battery staple", Common),
            ("TrustNo1TrustNo1!", Common),
            ("mustang-scooter-99", Common),
            ("gfhjkm2026gfhjkm", Common),
            ("1985-05-12 1985!", Common),
            ("my tallybox secret", ContainsProduct),
            ("T4llyB0x rocks on", ContainsProduct),
            ("AdaLovelace-was-here", ContainsName),
        ];
        for (password, problem) in rows {
            assert_eq!(check(password, "adalovelace@example.org"), Err(problem), "{password}");
        }
    }

    #[test]
    fn long_uncommon_passwords_are_taken_whatever_their_characters() {
        let rows = [
            "plover zinc fathom",
            "vK9#qLw2!xRt",
            "übergroße äpfel",
            "correct zebra battery lamp",
            "63029 77418 20956 x",
            "長い長い合言葉をここに書きます",
            &"plover zinc 9 ".repeat(9)[..],
        ];
        for password in rows {
            assert_eq!(check(password, "ada"), Ok(()), "{password}");
        }
    }

    #[test]
    fn a_short_name_may_occur_by_chance() {
        assert_eq!(check("plover zinc fathom", "ov"), Ok(()));
        assert_eq!(check("plover zinc fathom", "zinc"), Err(PasswordProblem::ContainsName));
    }
}
