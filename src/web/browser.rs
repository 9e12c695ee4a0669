//! What a browser calls itself, in two words: its family and its system. Nothing else of it is kept.

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;

/// Families, the more particular first: most call themselves by the names of others, too.
const FAMILIES: [(&str, &str); 10] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chromium", "Chromium"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
    ("curl", "curl"),
];

/// Systems, in the same manner.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// Family and system of a request's browser, such as `Firefox on Linux`; `unknown browser` where it says neither.
pub fn words(headers: &HeaderMap) -> String {
    let text = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let find = |list: &[(&str, &'static str)]| list.iter().find(|(mark, _)| text.contains(mark)).map(|(_, word)| *word);
    match (find(&FAMILIES), find(&SYSTEMS)) {
        (Some(family), Some(system)) => format!("{family} on {system}"),
        (Some(family), None) => family.to_owned(),
        (None, Some(system)) => format!("a browser on {system}"),
        (None, None) => "unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_by_family_and_system() {
        for (agent, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("Mozilla/5.0 (X11; Linux x86_64)", "a browser on Linux"),
            ("<script>alert(1)</script>", "unknown browser"),
            ("", "unknown browser"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            assert_eq!(words(&headers), expected, "{agent}");
        }
        assert_eq!(words(&HeaderMap::new()), "unknown browser");
    }
}
