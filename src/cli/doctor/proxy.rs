//! What stands in front of the box: what the settings say of it, and what arrives through it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use super::super::client::Way;
use super::Ground;
use super::finding::{Finding, Level};
use crate::clock::Deadline;
use crate::config::Config;
use crate::http::IpNet;

/// How long a request is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of a request that is read.
const HEAD: usize = 64 << 10;

const ADDRESS: &str = "address";
const PROXIES: &str = "proxies";
const COOKIES: &str = "cookies";
const THROUGH: &str = "through";

/// What the settings say.
pub fn settings(config: &Config) -> Vec<Finding> {
    let warn = |warning: String| {
        Finding::warning("settings", format!("{warning}."), "see the page of settings: docs/settings.md")
    };
    let mut findings: Vec<_> = config.warnings().into_iter().map(warn).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("settings", "The settings are valid, and none of them is dangerous."));
    }
    findings.push(address(config));
    findings.push(proxies(config));
    findings.push(cookies(config));
    findings
}

fn address(config: &Config) -> Finding {
    match &config.public_url {
        Some(url) => Finding::ok(ADDRESS, format!("People and apps reach the box as {url}.")),
        None if config.host.is_loopback() => Finding::ok(ADDRESS, "The box is reached from this machine alone."),
        None => {
            let text = "The box listens beyond this machine, and does not know under which address it is reached.";
            Finding::warning(ADDRESS, text, "public_url = \"https://stats.example.org\" in the file of settings")
        }
    }
}

fn proxies(config: &Config) -> Finding {
    let is_https = config.public_url.as_deref().is_some_and(|url| url.starts_with("https:"));
    if config.trusted_proxies.iter().any(|network| network.ends_with("/0")) {
        let text = "trusted_proxies trusts everybody: any client can claim any address.";
        return Finding::problem(PROXIES, text, "trusted_proxies = [\"127.0.0.1\"], or the address of the proxy");
    }
    if is_https && config.trusted_proxies.is_empty() {
        let text =
            "public_url is https, so a proxy stands in front; none is trusted, and all clients share its address.";
        return Finding::warning(PROXIES, text, "trusted_proxies = [\"127.0.0.1\"], or the address of the proxy");
    }
    match config.trusted_proxies.len() {
        0 => Finding::ok(PROXIES, "No proxy is expected."),
        _ => Finding::ok(PROXIES, format!("Trusted proxies: {}.", config.trusted_proxies.join(", "))),
    }
}

fn cookies(config: &Config) -> Finding {
    if config.login_idle_ms > config.login_max_ms {
        let text = "login_idle_ms is longer than login_max_ms, and has no effect.";
        return Finding::warning(COOKIES, text, "lower login_idle_ms");
    }
    match config.public_url.as_deref() {
        Some(url) if url.starts_with("https:") => Finding::ok(COOKIES, "Cookies travel over TLS alone."),
        _ if config.host.is_loopback() => Finding::ok(COOKIES, "Without TLS, cookies stay on this machine."),
        _ => {
            let text = "Without an https public_url, passwords and cookies can be read on the way.";
            Finding::warning(COOKIES, text, "put TLS in front, and set public_url to its https:// address")
        }
    }
}

/// What arrives through the proxy. Where a server runs, by its answers; else by listening in its place for one request.
pub fn through(ground: &Ground<'_>, url: &str) -> Vec<Finding> {
    let way = match Way::parse(url) {
        Ok(way) => way,
        Err(error) => return vec![Finding::problem(THROUGH, format!("{error:#}."), "--url https://stats.example.org")],
    };
    if ground.is_running { by_answers(&way, url) } else { by_listening(ground.config, &way, url) }
}

fn by_answers(way: &Way, url: &str) -> Vec<Finding> {
    let fix = "compare the proxy with the examples in packaging/";
    let live = match way.get("/health/live", None) {
        Ok(live) => live,
        Err(error) => return vec![Finding::problem(THROUGH, format!("{url} does not answer: {error:#}."), fix)],
    };
    let mut findings = Vec::new();
    if live.status != 200 {
        findings.push(Finding::problem(
            THROUGH,
            format!("{url} answers {} where the box would answer 200.", live.status),
            fix,
        ));
    }
    if url.starts_with("https:") && !live.headers.contains_key("strict-transport-security") {
        let text = "The box does not know that clients come over TLS: no header tells browsers to stay with it.";
        findings.push(Finding::warning(THROUGH, text, "set public_url to the https:// address"));
    }
    // Figures are open to this machine alone, and closed to whoever comes through a proxy that says for whom it asks.
    match way.get("/metrics", None).map(|answer| answer.status) {
        Ok(200) => {
            let text = "The figures at /metrics can be read through the proxy: it does not say for whom it asks.";
            let fix = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; and proxy_set_header Host $host; in nginx";
            findings.push(Finding::problem(THROUGH, text, fix));
        }
        Ok(_) => {}
        Err(error) => findings.push(Finding::problem(THROUGH, format!("{url} stops answering: {error:#}."), fix)),
    }
    if findings.is_empty() {
        let text = format!(
            "{url} leads to the box, and says for whom it asks; with the server stopped, what arrives is seen."
        );
        findings.push(Finding::ok(THROUGH, text));
    }
    findings
}

fn by_listening(config: &Config, way: &Way, url: &str) -> Vec<Finding> {
    let wanted = SocketAddr::new(config.host, config.port);
    let listener = match TcpListener::bind(wanted) {
        Ok(listener) => listener,
        Err(error) => {
            let text = format!("Nobody can listen on {wanted}: {error}.");
            return vec![Finding::problem(THROUGH, text, format!("ss -ltnp 'sport = :{}'", config.port))];
        }
    };
    let (asked, arrived) = std::thread::scope(|scope| {
        let heard = scope.spawn(|| hear(&listener));
        (way.get("/health/live", None), heard.join().unwrap_or(None))
    });
    match arrived {
        Some((peer, head)) => judge(config, url, peer, &head),
        None => {
            let said =
                asked.map_or_else(|error| format!("{error:#}"), |answer| format!("it answers {}", answer.status));
            let fix = format!("let the proxy pass requests on to {wanted}");
            vec![Finding::problem(THROUGH, format!("Nothing arrives here of what is sent to {url}: {said}."), fix)]
        }
    }
}

/// The first request that comes: from whom, and its headers by their names in lower case.
fn hear(listener: &TcpListener) -> Option<(IpAddr, BTreeMap<String, String>)> {
    listener.set_nonblocking(true).ok()?;
    let deadline = Deadline::after(PATIENCE);
    let (mut stream, peer) = loop {
        match listener.accept() {
            Ok(found) => break found,
            Err(_) if deadline.passed() => return None,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut head = Vec::new();
    let mut part = [0; 4_096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(read) => head.extend_from_slice(&part[..read]),
        }
    }
    // Whether it gets there does not matter: what counts has arrived.
    _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let text = String::from_utf8_lossy(&head).into_owned();
    let headers = text.lines().skip(1).filter_map(|line| line.split_once(':'));
    Some((peer.ip(), headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()))
}

/// What a request tells of the proxy that has passed it on.
fn judge(config: &Config, url: &str, peer: IpAddr, head: &BTreeMap<String, String>) -> Vec<Finding> {
    let header = |name: &str| head.get(name).map(String::as_str);
    let mut findings = Vec::new();
    let is_trusted =
        config.trusted_proxies.iter().filter_map(|text| text.parse::<IpNet>().ok()).any(|net| net.contains(peer));
    let forwards = header("x-forwarded-for").or_else(|| header("forwarded")).is_some();
    if !forwards {
        let text = "The proxy does not say for whom it asks: all clients share its address.";
        findings.push(Finding::problem(
            THROUGH,
            text,
            "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; in nginx",
        ));
    } else if !is_trusted {
        let text = format!(
            "Requests come from {peer}, which is not among trusted_proxies: what it says of clients is not believed."
        );
        findings.push(Finding::problem(THROUGH, text, format!("trusted_proxies = [\"{peer}\"]")));
    }
    let speaks_of_tls = header("x-forwarded-proto") == Some("https");
    if url.starts_with("https:") && !speaks_of_tls && header("forwarded").is_none() {
        let text = "The proxy does not say that the client came over TLS.";
        findings.push(Finding::problem(THROUGH, text, "proxy_set_header X-Forwarded-Proto $scheme; in nginx"));
    }
    let wanted = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if header("host").is_none_or(|host| !host.eq_ignore_ascii_case(wanted)) {
        let text = format!("The proxy asks for {} in place of {wanted}.", header("host").unwrap_or("nothing"));
        findings.push(Finding::warning(THROUGH, text, "proxy_set_header Host $http_host; in nginx"));
    }
    if findings.iter().all(|finding| finding.level == Level::Ok) {
        findings.push(Finding::ok(THROUGH, format!("{url} leads here, and says for whom it asks.")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn what_a_proxy_leaves_out_is_told() {
        let flags = vec![("trusted_proxies".to_owned(), "127.0.0.1".to_owned())];
        let sources = Sources { variables: vec![("HOME".into(), "/h".into())], ..Sources::of_process(flags, None) };
        let config = Config::load(&sources).unwrap();
        let [here, there] = ["127.0.0.1", "10.0.0.9"].map(|text| text.parse::<IpAddr>().unwrap());
        let (name, client, tls) =
            (("host", "a.example"), ("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"));
        type Row<'a> = (&'a str, IpAddr, Vec<(&'a str, &'a str)>, &'a [&'a str]);
        let rows: [Row<'_>; 6] = [
            ("https://a.example", here, vec![name, client, tls], &[]),
            ("http://a.example/base", here, vec![name, client], &[]),
            ("https://a.example", here, vec![name, tls], &["for whom"]),
            ("https://a.example", there, vec![name, client, tls], &["not among trusted_proxies"]),
            ("https://a.example", here, vec![name, client], &["over TLS"]),
            ("https://a.example", here, vec![("host", "127.0.0.1:3000"), client, tls], &["in place of a.example"]),
        ];
        for (url, peer, headers, words) in rows {
            let head = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let bad: Vec<_> = judge(&config, url, peer, &head).into_iter().filter(|one| one.fix.is_some()).collect();
            assert_eq!(bad.len(), words.len(), "{headers:?}: {bad:?}");
            assert!(bad.iter().zip(words).all(|(one, words)| one.text.contains(words)), "{bad:?}");
        }
    }
}
