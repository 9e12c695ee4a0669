//! Names of members, systems and languages, whatever an SDK calls them.

use std::borrow::Cow;

use crate::protocol::unity;

/// The place of a member's name in a list, in whatever case it is written.
pub fn place(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|known| known.eq_ignore_ascii_case(name))
}

/// An operating system in the spelling of this box; one that is not known stays what it is.
pub fn system(name: Cow<'_, str>) -> Cow<'_, str> {
    let lower = name.trim().to_ascii_lowercase();
    let known = match lower.as_str() {
        "mac os" | "macos" | "mac os x" | "mac" | "osx" | "darwin" => "macos",
        "ios" | "iphone os" => "ios",
        "ipados" => "ipados",
        "windows" | "win32nt" | "winui" => "windows",
        "linux" => "linux",
        "android" => "android",
        lower => match unity::system(lower) {
            Some(known) => known,
            None => return name,
        },
    };
    Cow::Borrowed(known)
}

/// A language, with its region where that is a country: `en_US.UTF-8` is `en-US`, `en-001` is `en`, `C` is none.
pub fn locale(text: &str) -> Option<String> {
    let text = text.split(['.', '@']).next().unwrap_or_default().trim();
    let mut parts = text.split(['-', '_']);
    let language = parts.next().filter(|part| (2..=3).contains(&part.len()) && is_letters(part))?;
    let mut locale = language.to_ascii_lowercase();
    for part in parts {
        match part.len() {
            2 if is_letters(part) => {
                locale.push('-');
                locale.push_str(&part.to_ascii_uppercase());
                break;
            }
            // A script, such as in `zh-Hant-TW`.
            4 if is_letters(part) => {
                locale.push('-');
                locale.push_str(&part[..1].to_ascii_uppercase());
                locale.push_str(&part[1..].to_ascii_lowercase());
            }
            _ => break,
        }
    }
    Some(locale)
}

fn is_letters(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_are_language_and_country() {
        for (text, kept) in [
            ("en-US", Some("en-US")),
            ("en_us", Some("en-US")),
            ("de", Some("de")),
            ("EN", Some("en")),
            ("pt_BR.UTF-8", Some("pt-BR")),
            ("zh-hant-tw", Some("zh-Hant-TW")),
            ("en-001", Some("en")),
            ("en-US-posix", Some("en-US")),
            ("C", None),
            ("", None),
            ("English", None),
            ("é-US", None),
        ] {
            assert_eq!(locale(text).as_deref(), kept, "{text}");
        }
    }

    #[test]
    fn systems_have_one_spelling() {
        for (name, kept) in [
            ("macOS", "macos"),
            ("Darwin", "macos"),
            ("iOS", "ios"),
            ("Windows", "windows"),
            ("IPhonePlayer", "ios"),
            ("Haiku", "Haiku"),
        ] {
            assert_eq!(system(name.into()), kept);
        }
    }
}
