//! What may not stand in a log line, and what stands there instead.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

/// Stands for a value that is never logged.
pub(super) const REDACTED: &str = "[redacted]";

/// Anywhere in a field's name.
const SECRET_PARTS: [&str; 12] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "signature",
    "credential",
    "address",
    "email",
    "apikey",
    "csrf",
];
/// As a whole word of a field's name.
const SECRET_WORDS: [&str; 10] = ["key", "keys", "ip", "ips", "addr", "mail", "pwd", "salt", "peer", "user"];

/// Whether a field of this name is never shown, whatever it holds.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // The row of a key is no secret, and what an operator needs to find it.
    name != "key_id"
        && (SECRET_PARTS.iter().any(|part| name.contains(part))
            || name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| SECRET_WORDS.contains(&word)))
}

/// The text with IP addresses, e-mail addresses and long hex runs (tokens, keys) masked and control characters
/// escaped, so that it stays on one line. Addresses that name nobody (loopback, unspecified) stay.
pub fn masked(text: &str) -> Cow<'_, str> {
    let suspicious = |c: char| c == '@' || c == ':' || c == '.' || c == '%' || c.is_ascii_hexdigit() || must_escape(c);
    if !text.chars().any(suspicious) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let found = email(rest, before).or_else(|| address(rest, before)).or_else(|| long_hex(rest, before));
        let taken = match found {
            Some((length, stand_in)) => {
                out.push_str(stand_in);
                length
            }
            None => {
                push(&mut out, c);
                c.len_utf8()
            }
        };
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

fn push(out: &mut String, c: char) {
    if must_escape(c) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{}", c.escape_default());
    } else {
        out.push(c);
    }
}

/// Control characters, line separators and marks that turn the direction of writing.
fn must_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The length of an e-mail address at the start of `text`, unless it began before.
fn email(text: &str, before: Option<char>) -> Option<(usize, &'static str)> {
    let in_local = |c: char| c.is_alphanumeric() || "._+-'".contains(c);
    if before.is_some_and(in_local) {
        return None;
    }
    let local = text.find(|c| !in_local(c))?;
    let domain = text[local..].strip_prefix('@').or_else(|| text[local..].strip_prefix("%40"))?;
    let in_domain = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    let name = &domain[..domain.find(|c| !in_domain(c)).unwrap_or(domain.len())];
    let name = name.trim_end_matches(['.', '-']);
    let fits = local > 0 && name.split_once('.').is_some_and(|(host, rest)| !host.is_empty() && !rest.is_empty());
    fits.then(|| (text.len() - domain.len() + name.len(), "[email]"))
}

/// The length of an IP address at the start of `text`, unless it is part of something longer.
fn address(text: &str, before: Option<char>) -> Option<(usize, &'static str)> {
    // 45 is the longest form of an address; what follows decides only whether it ends there.
    let run = text.bytes().take(46).take_while(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')).count();
    let (dots, colons) = text[..run].bytes().fold((0, 0), |(dots, colons), b| match b {
        b'.' => (dots + 1, colons),
        b':' => (dots, colons + 1),
        _ => (dots, colons),
    });
    if (dots < 3 && colons < 2) || before.is_some_and(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    (2..=run).rev().find_map(|length| {
        let address: IpAddr = text[..length].parse().ok()?;
        let mut after = text[length..].chars();
        let goes_on = match after.next() {
            Some('.') => after.next().is_some_and(|c| c.is_ascii_digit()),
            Some(c) => c.is_ascii_digit() || (address.is_ipv6() && (c.is_alphanumeric() || c == '_')),
            None => false,
        };
        let inside_a_word = address.is_ipv6() && before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        let plain = address.to_canonical();
        let names_nobody = plain.is_loopback() || plain.is_unspecified();
        (!goes_on && !inside_a_word).then_some(if names_nobody { None } else { Some((length, "[address]")) })
    })?
}

/// The length of a run of 32 or more hex digits at the start of `text`: what our tokens and keys look like.
fn long_hex(text: &str, before: Option<char>) -> Option<(usize, &'static str)> {
    if before.is_some_and(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let run = text.bytes().take_while(u8::is_ascii_hexdigit).count();
    (run >= 32).then_some((run, REDACTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known() {
        for name in [
            "password",
            "new_password",
            "setup_token",
            "Authorization",
            "set-cookie",
            "api_key",
            "key",
            "x_signature",
            "client_ip",
            "peer",
            "remote_addr",
            "email",
            "clientSecret",
            "http.client.address",
            "user",
            "user_id",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "message",
            "path",
            "status",
            "request_id",
            "key_id",
            "monkey",
            "zip",
            "recipe",
            "app",
            "events",
            "elapsed_ms",
            "error",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn addresses_and_mail_are_masked_in_running_text() {
        let hex = "0123456789abcdef".repeat(4);
        let rows = [
            ("from 203.0.113.7", "from [address]"),
            ("203.0.113.7:443 said", "[address]:443 said"),
            ("(203.0.113.7)", "([address])"),
            ("peer=203.0.113.7, 198.51.100.2.", "peer=[address], [address]."),
            ("ip203.0.113.7", "ip[address]"),
            ("[2001:db8::1]:443", "[[address]]:443"),
            ("2001:DB8:0:1:2:3:4:5", "[address]"),
            ("fe80::1%eth0", "[address]%eth0"),
            ("::ffff:203.0.113.7", "[address]"),
            ("x ::ffff:203.0.113.7:80 y", "x [address]:80 y"),
            ("ada@example.org", "[email]"),
            ("<ada.b+c@mail.example.org>", "<[email]>"),
            ("mail ada@example.org.", "mail [email]."),
            ("?m=ada%40example.org&x", "?m=[email]&x"),
            ("zoë@exämple.org!", "[email]!"),
            ("a\nb\r\u{1b}[31mc\u{202e}", "a\\nb\\r\\u{1b}[31mc\\u{202e}"),
            (&format!("tok_{hex} x"), "tok_[redacted] x"),
            (&format!("Bearer tk_{}", &hex[..32]), "Bearer tk_[redacted]"),
        ];
        for (text, shown) in rows {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let rows = [
            "listening on http://127.0.0.1:3000 and [::1]:3000 or 0.0.0.0",
            "tallybox::ingest::writer took 12:34:56 for 1.2.3",
            "SQLite 3.53.2, store::cache, std::fs::read",
            "at 2026-11-21T04:28:00.123Z",
            "c0ffee00-0000-4000-8000-000000000000 / 0123456789abcdef",
            "me@localhost, @here, a@b",
            "1.2.3.4.5 and 10.0.0 and 300.1.1.1",
            "häuser 日本語 ok",
        ];
        for text in rows {
            assert_eq!(masked(text), text);
        }
    }
}
