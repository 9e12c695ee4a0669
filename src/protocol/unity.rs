//! What the engine Unity calls the systems it runs on: SDKs for it hand that on as it is.

/// The system behind the name of a place where a game runs, such as `IPhonePlayer` or `OSXEditor`, in lower case.
pub fn system(platform: &str) -> Option<&'static str> {
    let place = platform.strip_suffix("player").or_else(|| platform.strip_suffix("editor"))?;
    Some(match place {
        "iphone" => "ios",
        "osx" => "macos",
        "windows" => "windows",
        "linux" => "linux",
        "android" => "android",
        _ => return None,
    })
}

/// The version in a description of a system, such as `iOS 18.6.2` or `Android OS 15 / API-35 (AP3A)`: the first word that
/// begins with a digit. A description without one stays what it is.
pub fn version(description: &str) -> &str {
    let mut words = description.split_whitespace();
    words.find(|word| word.starts_with(|first: char| first.is_ascii_digit())).unwrap_or(description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_and_versions_are_as_other_sdks_tell_them() {
        for (platform, expected) in [
            ("iphoneplayer", Some("ios")),
            ("osxplayer", Some("macos")),
            ("osxeditor", Some("macos")),
            ("windowsplayer", Some("windows")),
            ("linuxeditor", Some("linux")),
            ("android", None),
            ("webglplayer", None),
            ("", None),
        ] {
            assert_eq!(system(platform), expected, "{platform}");
        }
        for (description, expected) in [
            ("iOS 18.6.2", "18.6.2"),
            ("Mac OS X 15.6.1", "15.6.1"),
            ("Windows 11  (10.0.22631) 64bit", "11"),
            ("Android OS 15 / API-35 (AP3A.240905.015)", "15"),
            ("Linux 6.8 Ubuntu 24.04 64bit", "6.8"),
            ("18.1", "18.1"),
            ("unknown", "unknown"),
            ("", ""),
        ] {
            assert_eq!(version(description), expected, "{description}");
        }
    }
}
