//! Systems under the names that the box counts them by, and the system that a browser says it runs on.

use std::borrow::Cow;

/// Marks of systems in what browsers call themselves, the more particular first.
const MARKS: [(&str, &str); 8] = [
    ("Windows", "windows"),
    ("Android", "android"),
    ("iPhone", "ios"),
    ("iPad", "ipados"),
    ("CrOS", "chromeos"),
    ("Mac OS X", "macos"),
    ("Macintosh", "macos"),
    ("Linux", "linux"),
];

/// What SDKs call systems, in lower case, and what the box does.
const NAMES: [(&str, &str); 4] =
    [("mac os x", "macos"), ("mac os", "macos"), ("osx", "macos"), ("chrome os", "chromeos")];

/// A system's name as it is counted: in lower case, whatever the SDK's spelling.
pub fn system(name: Cow<'_, str>) -> Cow<'_, str> {
    let known = NAMES.iter().find(|(theirs, _)| name.eq_ignore_ascii_case(theirs));
    match known {
        Some((_, ours)) => Cow::Borrowed(ours),
        None if name.bytes().any(|byte| byte.is_ascii_uppercase()) => Cow::Owned(name.to_ascii_lowercase()),
        None => name,
    }
}

/// The system that a browser with that `User-Agent` runs on. Its version is not told: most browsers freeze it.
pub fn of_browser(agent: &str) -> Option<&'static str> {
    MARKS.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, system)| *system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_system_has_one_name() {
        for (theirs, ours) in [
            ("iOS", "ios"),
            ("Android", "android"),
            ("macOS", "macos"),
            ("Mac OS X", "macos"),
            ("OSX", "macos"),
            ("Windows", "windows"),
            ("Chrome OS", "chromeos"),
            ("linux", "linux"),
            ("ÖS 2", "Ös 2"),
        ] {
            assert_eq!(system(theirs.into()), ours, "{theirs}");
        }
    }

    #[test]
    fn browsers_say_on_what_they_run() {
        for (agent, system) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Some("linux")),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Safari/605.1.15", Some("macos")),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile", Some("ios")),
            ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile", Some("android")),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Edg/140.0", Some("windows")),
            ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/140.0.0.0", Some("chromeos")),
            ("analytics-node-next/latest", None),
            ("", None),
        ] {
            assert_eq!(of_browser(agent), system, "{agent}");
        }
    }
}
