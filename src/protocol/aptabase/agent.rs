//! What a browser says of itself in `User-Agent`: the protocol's web SDK leaves it to the server to read that.

use std::borrow::Cow;

/// Browsers by what stands before their version, those first that also call themselves others.
const BROWSERS: [(&str, &str); 12] = [
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
];

/// More of it is not looked at, in bytes.
const LONGEST: usize = 512;

/// A `User-Agent` and what it tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent<'a> {
    /// As it came, cut.
    pub text: &'a str,
    /// Operating system.
    pub system: Option<&'static str>,
    /// Its version.
    pub system_version: Option<Cow<'a, str>>,
    /// The browser and its major version.
    pub browser: Option<(&'static str, &'a str)>,
}

impl<'a> Agent<'a> {
    /// Reads the header; what is not known is left out.
    pub fn read(text: &'a str) -> Self {
        let text = &text[..text.floor_char_boundary(LONGEST)];
        let (system, system_version) = system(text);
        let browser = BROWSERS.iter().find_map(|(mark, name)| {
            let version = after(text, mark)?;
            let safari = *name != "Safari" || text.contains("Safari/");
            safari.then(|| (*name, version.split(['.', ';', ')']).next().unwrap_or(version)))
        });
        Self { text, system, system_version, browser }
    }
}

fn system(text: &str) -> (Option<&'static str>, Option<Cow<'_, str>>) {
    let dotted = |version: &str| Cow::Owned(version.replace('_', "."));
    if let Some(version) = after(text, "Windows NT ") {
        let version = match version {
            "10.0" => "10",
            "6.3" => "8.1",
            "6.2" => "8",
            "6.1" => "7",
            other => other,
        };
        return (Some("windows"), Some(version.into()));
    }
    if let Some(version) = after(text, "CPU iPhone OS ") {
        return (Some("ios"), Some(dotted(version)));
    }
    if let Some(version) = after(text, "CPU OS ") {
        return (Some("ipados"), Some(dotted(version)));
    }
    if text.contains("Android") {
        return (Some("android"), after(text, "Android ").map(Cow::Borrowed));
    }
    if text.contains("CrOS") {
        return (Some("chromeos"), None);
    }
    if text.contains("Macintosh") {
        return (Some("macos"), after(text, "Mac OS X ").map(dotted));
    }
    if text.contains("Windows") {
        return (Some("windows"), None);
    }
    if text.contains("Linux") || text.contains("X11") {
        return (Some("linux"), None);
    }
    (None, None)
}

/// The word behind a mark, where there is one.
fn after<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(mark)?;
    let word = rest.split([' ', ';', ')', ',']).next().unwrap_or_default();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_and_systems_are_told_apart() {
        for (text, system, version, browser) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 \
                 Safari/537.36 Edg/142.0.3595.53",
                Some("windows"),
                Some("10"),
                Some(("Edge", "142")),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 \
                 Safari/605.1.15",
                Some("macos"),
                Some("10.15.7"),
                Some(("Safari", "26")),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 CriOS/141.0 Mobile/15E148 Safari/604.1",
                Some("ios"),
                Some("18.6"),
                Some(("Chrome", "141")),
            ),
            (
                "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) \
                 SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
                Some("android"),
                Some("16"),
                Some(("Samsung Internet", "28")),
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                Some("linux"),
                None,
                Some(("Firefox", "145")),
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 \
                 Safari/537.36",
                Some("linux"),
                None,
                Some(("Chrome", "142")),
            ),
            ("Mozilla/5.0 (Macintosh) Not-A-Browser", Some("macos"), None, None),
            ("curl/8.14.1", None, None, None),
            ("", None, None, None),
        ] {
            let read = Agent::read(text);
            assert_eq!(
                (read.system, read.system_version.as_deref(), read.browser),
                (system, version, browser),
                "{text}"
            );
        }
        let long = format!("{}é Firefox/1", "x".repeat(LONGEST - 1));
        assert_eq!(Agent::read(&long).browser, None);
    }
}
