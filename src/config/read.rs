//! How the text of a setting becomes its value. An error completes the sentence "port ...".

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::postgres_url::PostgresUrl;
use crate::model::{GroupRole, Role, Slug};

type Read<T> = Result<T, String>;

/// Which database holds the events.
#[derive(Clone, Debug)]
pub enum Database {
    /// The embedded one, in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL server under this URL, which may hold a password and is one that [`PostgresUrl::split`] reads.
    Postgres(SecretString),
}

impl Database {
    /// Whether the place itself tells a password.
    pub fn has_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => PostgresUrl::split(url.expose_secret()).is_ok_and(|url| url.has_password()),
        }
    }
}

/// Least severity that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may need a person.
    Warn,
    /// And what happens in the large.
    Info,
    /// And what happens in the small.
    Debug,
    /// And everything.
    Trace,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When SQLite waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// At every commit: what is acknowledged survives a power cut.
    Full,
    /// At checkpoints only: a power cut loses acknowledged events. For a drill's control run.
    Normal,
}

/// How telemetry-kit clients are told of refusals: the published SDK reads the flat shape, its next version the nested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorShape {
    /// Nested where the path shows the next version, else flat.
    ByPath,
    /// `{"error":"code"}` always.
    Flat,
    /// `{"error":{"code":"code"}}` always.
    Nested,
}

/// The app of every client that is asked for no key: UUIDs or short names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its owner, where that was named.
    pub organization: Option<String>,
    /// The app.
    pub app: String,
}

/// The empty text means that there is no value.
pub fn optional<T>(read: impl Fn(&str) -> Read<T>) -> impl Fn(&str) -> Read<Option<T>> {
    move |text| if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// An IP address, or `localhost` for 127.0.0.1.
pub fn host(text: &str) -> Read<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("must be an IP address such as 127.0.0.1 or ::, not `{text}`"))
}

/// 0 to 65535.
pub fn port(text: &str) -> Read<u16> {
    text.trim().parse().map_err(|_| format!("must be a number from 0 to 65535, not `{text}`"))
}

/// A path, made absolute.
pub fn path(text: &str) -> Read<PathBuf> {
    std::path::absolute(text).map_err(|_| "must be a path, and is empty".to_owned())
}

/// `sqlite:PATH`, `sqlite://PATH`, `file:PATH` or a path, or the URL of a PostgreSQL server. The value itself stays out
/// of errors: it may hold a password.
pub fn database(text: &str) -> Read<Database> {
    if PostgresUrl::is_meant(text) {
        return postgres_url(text).map(Database::Postgres);
    }
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).unwrap_or_default().to_ascii_lowercase();
    let file = match scheme.as_str() {
        "sqlite" | "file" => {
            let rest = &text[scheme.len() + 1..];
            rest.strip_prefix("//").unwrap_or(rest)
        }
        other if text[other.len()..].starts_with("://") => {
            return Err("must be sqlite:PATH, a path, or postgres://USER@HOST/DATABASE".to_owned());
        }
        _ => text,
    };
    if file.is_empty() || file.starts_with(":memory:") || file.contains('?') {
        return Err("must name a file, without options behind it".to_owned());
    }
    path(file).map(Database::Sqlite)
}

/// The URL of a PostgreSQL server. What its parts say is judged where it is used.
pub fn postgres_url(text: &str) -> Read<SecretString> {
    PostgresUrl::split(text).map(|_| SecretString::from(text))
}

/// Where the events are kept, as it may be shown.
pub fn database_shown(text: &str) -> String {
    if !PostgresUrl::is_meant(text) {
        return text.to_owned();
    }
    PostgresUrl::split(text).map_or_else(|_| "(hidden)".to_owned(), |url| url.to_string())
}

/// Any text.
pub fn secret(text: &str) -> Read<SecretString> {
    Ok(SecretString::from(text))
}

/// `http://` or `https://`, a host, maybe a port and a path; what is returned has no slash at its end.
pub fn public_url(text: &str) -> Read<String> {
    let problem =
        || format!("must be an address such as https://stats.example.org or https://example.org/stats, not `{text}`");
    let (scheme, rest) = text.split_once("://").ok_or_else(problem)?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(problem());
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = split_port(authority).ok_or_else(problem)?;
    let host_fits = !host.is_empty()
        && if host.starts_with('[') {
            host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        };
    if !host_fits || port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err(problem());
    }
    let path = base_path(path).map_err(|_| problem())?;
    Ok(format!("{scheme}://{}{path}", authority.to_ascii_lowercase()))
}

/// Empty, or segments of unreserved characters with a slash before each and none at the end.
pub fn base_path(text: &str) -> Read<String> {
    let path = text.trim_end_matches('/');
    let segment_fits = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
    };
    match path.strip_prefix('/') {
        None if path.is_empty() => Ok(String::new()),
        Some(segments) if segments.split('/').all(segment_fits) => Ok(path.to_owned()),
        _ => Err(format!("must be empty or a path such as /stats, not `{text}`")),
    }
}

/// Names of protocols, each maybe with `-` before it or `=/path` behind it.
pub fn protocols(text: &str) -> Read<Vec<String>> {
    let entries = text.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty());
    let fits = |entry: &str| {
        let (name, path) = entry.split_once('=').map_or((entry, None), |(name, path)| (name, Some(path)));
        let bare = name.strip_prefix('-').unwrap_or(name);
        let plain = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit());
        plain && path.is_none_or(|path| bare == name && base_path(path).is_ok_and(|clean| clean == path))
    };
    match entries.clone().find(|entry| !fits(entry)) {
        None => Ok(entries.map(str::to_owned).collect()),
        Some(wrong) => Err(format!("must list names such as posthog, -posthog or posthog=/ph, not `{wrong}`")),
    }
}

/// `APP` or `ORGANIZATION/APP`.
pub fn tenant(text: &str) -> Read<Tenant> {
    let (organization, app) = text.split_once('/').map_or((None, text), |(owner, app)| (Some(owner), app));
    let is_name = |name: &str| Slug::parse(name).is_some();
    if organization.is_none_or(is_name) && is_name(app) {
        return Ok(Tenant { organization: organization.map(str::to_owned), app: app.to_owned() });
    }
    Err(format!("must be the short name or id of an app, or ORGANIZATION/APP, not `{text}`"))
}

/// 1 to 100 visible characters.
pub fn label(text: &str) -> Read<String> {
    let fits = (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("must have 1 to 100 visible characters".to_owned()) }
}

/// The name of a region: 1 to 64 letters, digits and dashes.
pub fn region(text: &str) -> Read<String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits { Ok(text.to_owned()) } else { Err(format!("must be a region such as eu-central-1, not `{text}`")) }
}

/// The name of a header, in lower case, that no proxy or browser uses for something else.
pub fn user_header(text: &str) -> Read<String> {
    const TAKEN: [&str; 6] = ["authorization", "cookie", "forwarded", "host", "origin", "user-agent"];
    let name = text.to_ascii_lowercase();
    let is_name = (1..=100).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let taken = TAKEN.contains(&name.as_str()) || name.starts_with("x-forwarded-") || name.starts_with("sec-");
    if is_name && !taken { Ok(name) } else { Err(format!("must be a header such as Remote-User, not `{text}`")) }
}

/// An address as a provider writes it into its tokens: kept to the letter, without query and fragment.
pub fn issuer(text: &str) -> Read<String> {
    let url =
        public_url(text).map_err(|_| format!("must be an address such as https://id.example.org, not `{text}`"))?;
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    if host.is_none_or(|host| matches!(host, "localhost" | "127.0.0.1") || url.starts_with("http://[::1]")) {
        return Ok(text.to_owned());
    }
    Err(format!("must begin with https://, unless it is on this machine, not `{text}`"))
}

/// `GROUP=ROLE` or `GROUP=ORGANIZATION/ROLE`, separated by commas; a group may hold blanks and equals signs.
pub fn group_roles(text: &str) -> Read<Vec<GroupRole>> {
    let rule = |item: &str| {
        let (group, role) = item.rsplit_once('=')?;
        let (organization, role) = role.rsplit_once('/').map_or((None, role), |(slug, role)| (Some(slug), role));
        let organization = match organization {
            Some(slug) => Some(Slug::parse(slug)?.as_str().to_owned()),
            None => None,
        };
        let group = Some(group.trim().to_owned()).filter(|group| !group.is_empty())?;
        Some(GroupRole { group, organization, role: Role::parse(role.trim())? })
    };
    let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            let problem = || format!("must list roles such as admins=admin or staff=lab/viewer, not `{item}`");
            rule(item).ok_or_else(problem)
        })
        .collect()
}

/// Words of visible ASCII, `openid` among them.
pub fn scopes(text: &str) -> Read<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let fits = text.len() <= 1_000 && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if fits && words.contains(&"openid") {
        return Ok(words.join(" "));
    }
    Err(format!("must be words such as `openid profile`, openid among them, not `{text}`"))
}

/// Addresses and networks (`10.0.0.0/8`), separated by commas or blanks.
pub fn networks(text: &str) -> Read<Vec<String>> {
    let items = text.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty());
    let wrong: Vec<&str> = items.clone().filter(|item| !is_network(item)).collect();
    if wrong.is_empty() {
        return Ok(items.map(str::to_owned).collect());
    }
    Err(format!("must list addresses or networks such as 10.0.0.0/8, not `{}`", wrong.join("`, `")))
}

/// The level of that name, in any case.
pub fn log_level(text: &str) -> Read<LogLevel> {
    match text.to_ascii_lowercase().as_str() {
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => Err(format!("must be error, warn, info, debug or trace, not `{text}`")),
    }
}

/// `text` or `json`.
pub fn log_format(text: &str) -> Read<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("must be text or json, not `{text}`")),
    }
}

/// `full` or `normal`.
pub fn synchronous(text: &str) -> Read<Synchronous> {
    match text {
        "full" => Ok(Synchronous::Full),
        "normal" => Ok(Synchronous::Normal),
        _ => Err(format!("must be full or normal, not `{text}`")),
    }
}

/// `by-path`, `flat` or `nested`.
pub fn error_shape(text: &str) -> Read<ErrorShape> {
    match text {
        "by-path" => Ok(ErrorShape::ByPath),
        "flat" => Ok(ErrorShape::Flat),
        "nested" => Ok(ErrorShape::Nested),
        _ => Err(format!("must be by-path, flat or nested, not `{text}`")),
    }
}

/// Web origins (`https://example.org`) or `*`, separated by commas or blanks.
pub fn origins(text: &str) -> Read<Vec<String>> {
    let items = text.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty());
    let is_origin = |item: &str| {
        let host = item.strip_prefix("https://").or_else(|| item.strip_prefix("http://"));
        item == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@']))
    };
    match items.clone().find(|item| !is_origin(item)) {
        None => Ok(items.map(str::to_owned).collect()),
        Some(wrong) => Err(format!("must list origins such as https://example.org, not `{wrong}`")),
    }
}

/// 32 bytes as 64 hex digits or 44 characters of base64.
pub fn master_key(text: &str) -> Read<SecretString> {
    let is_one = |text: &str| {
        let bytes = match text.len() {
            64 => hex::decode(text).ok(),
            44 => STANDARD.decode(text).ok(),
            _ => None,
        };
        bytes.is_some_and(|bytes| bytes.len() == 32)
    };
    match text.split_whitespace().count() {
        1..=8 if text.split_whitespace().all(is_one) => Ok(SecretString::from(text)),
        _ => Err(
            "must be 64 hex digits or 44 characters of base64 (such as `openssl rand -hex 32` prints), and behind it \
                  at most seven older keys"
                .to_owned(),
        ),
    }
}

/// A key of the program age, maybe with comments around it. Whether it is one is seen where it is used.
pub fn backup_key(text: &str) -> Read<SecretString> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.collect::<Vec<_>>()[..] {
        [line] if line.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-1") => Ok(SecretString::from(line)),
        _ => {
            Err("must be one key that begins with AGE-SECRET-KEY-1 (`tallybox backup --make-key` makes one)".to_owned())
        }
    }
}

/// At least 22 characters of visible ASCII (128 bits in base64), since it goes into a link or a header.
pub fn token(text: &str) -> Read<SecretString> {
    let fits = (22..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits {
        return Ok(SecretString::from(text));
    }
    Err("must be 22 to 256 visible ASCII characters, without blanks".to_owned())
}

/// Tokens, separated by commas or blanks. The values themselves stay out of errors.
pub fn tokens(text: &str) -> Read<Vec<SecretString>> {
    let items = text.split([',', ' ', '\t', '\r', '\n']).filter(|item| !item.is_empty());
    items.map(token).collect::<Read<_>>().map_err(|problem| format!("has secrets, each of which {problem}"))
}

/// A size of at least `least` bytes that fits what a request may be (4 GiB).
pub fn size(least: usize) -> impl Fn(&str) -> Read<usize> {
    move |text| {
        let bytes = size_u64(text)?;
        let fits = usize::try_from(bytes).ok().filter(|&bytes| bytes >= least && bytes <= u32::MAX as usize);
        fits.ok_or_else(|| format!("must be from {least} bytes to 4 GiB, not `{text}`"))
    }
}

/// Bytes, as a number or with KiB, MiB, GiB (powers of 1024), kB, MB, GB (powers of 1000).
pub fn size_u64(text: &str) -> Read<u64> {
    let problem = || format!("must be a size such as 33554432 or 32MiB, not `{text}`");
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(problem()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(problem)
}

/// At least one, at most a million.
pub fn count(text: &str) -> Read<usize> {
    let number = text.trim().parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| format!("must be a number from 1 to 1000000, not `{text}`"))
}

/// A whole number in that range.
pub fn number(range: RangeInclusive<usize>) -> impl Fn(&str) -> Read<usize> {
    move |text| {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a number from {} to {}, not `{text}`", range.start(), range.end()))
    }
}

/// A time in milliseconds, in that range.
pub fn millis(range: RangeInclusive<usize>) -> impl Fn(&str) -> Read<Duration> {
    let number = number(range);
    move |text| number(text).map(|millis| Duration::from_millis(millis as u64))
}

/// A share of requests, in percent: from 50 to 99.999, as what is between 0 and 1.
pub fn percent(text: &str) -> Read<f64> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok().filter(|percent| (50.0..=99.999).contains(percent));
    percent
        .map(|percent| (percent * 1_000.0).round() / 100_000.0)
        .ok_or_else(|| format!("must be a percentage from 50 to 99.999, such as 99.9, not `{text}`"))
}

/// The address of a collector of metrics, with its path.
pub fn collector(text: &str) -> Read<String> {
    public_url(text).map_err(|_| format!("must be an address such as http://127.0.0.1:4318/v1/metrics, not `{text}`"))
}

/// Headers as `NAME=VALUE`, separated by commas. What is wrong is told without the values, which are secrets.
pub fn headers(text: &str) -> Read<Vec<(String, SecretString)>> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let is_value = |value: &str| !value.is_empty() && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    let header = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        (is_name(&name) && is_value(value)).then(|| (name, SecretString::from(value)))
    };
    let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| header(item).ok_or_else(|| "must list headers as NAME=VALUE, separated by commas".to_owned()))
        .collect()
}

/// `true` or `false`, and what else people write for them.
pub fn switch(text: &str) -> Read<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("must be true or false, not `{text}`")),
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let after_host = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(after_host);
    if rest.is_empty() { Some((host, None)) } else { rest.strip_prefix(':').map(|port| (host, Some(port))) }
}

fn is_network(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| {
        prefix.bytes().all(|b| b.is_ascii_digit()) && prefix.parse::<u8>().is_ok_and(|bits| bits <= longest)
    })
}
