//! Networks of addresses, and which address a request really came from.

use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName, header};

/// Proxies that a request may name at most; a longer list is not believed.
const MAX_HOPS: usize = 32;

/// Longest name of a user that a proxy may tell, in bytes: 254 characters.
const LONGEST_USER: usize = 1_016;

/// A network in CIDR form, or a single address. IPv4 addresses inside IPv6 (`::ffff:a.b.c.d`) count as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    network: IpAddr,
    /// Leading bits that count.
    prefix: u8,
}

/// A text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither an address nor a network such as 10.0.0.0/8")]
pub struct IpNetError(String);

impl IpNet {
    /// Whether the address lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let shift = 32 - u32::from(self.prefix);
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let shift = 128 - u32::from(self.prefix);
                (ours.to_bits() ^ theirs.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for IpNet {
    type Err = IpNetError;

    /// `10.0.0.0/8`, `192.0.2.1`, `fd00::/8`, `::1`. Bits after the prefix are ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || IpNetError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| error())?;
        let network = address.to_canonical();
        let longest = if network.is_ipv4() { 32 } else { 128 };
        // Of a mapped address the first 96 bits say only that it is one.
        let mapped = if network == address { 0 } else { 96 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => {
                let prefix: u8 = prefix.trim().parse().map_err(|_| error())?;
                prefix.checked_sub(mapped).filter(|bits| *bits <= longest).ok_or_else(error)?
            }
        };
        Ok(Self { network, prefix })
    }
}

impl std::fmt::Display for IpNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// The client and whether it came over TLS, as far as the peer may be believed.
///
/// Headers count only where the peer is trusted. Then `X-Forwarded-For`, or where that is absent `Forwarded`
/// (RFC 7239), is walked from its right end, past trusted proxies, to the first address that is not one; a list
/// with anything else in it is not believed and the peer stands.
pub(crate) fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> (IpAddr, bool) {
    let peer = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(address));
    if trusted.is_empty() || !is_trusted(peer) {
        return (peer, false);
    }
    let https = last_value(headers, "x-forwarded-proto").map(|proto| proto.eq_ignore_ascii_case("https"));
    if headers.contains_key("x-forwarded-for") {
        let hops = values(headers, "x-forwarded-for").map(|value| (parse_node(value), None));
        let (address, _) = walk(peer, hops, is_trusted);
        return (address, https.unwrap_or(false));
    }
    let hops = values(headers, header::FORWARDED.as_str()).map(parse_forwarded);
    let (address, proto) = walk(peer, hops, is_trusted);
    (address, https.or(proto).unwrap_or(false))
}

/// Whom the peer names in a header, where it is trusted and names one alone: two headers, or one that a client has sent
/// along and the proxy has added to, are nobody.
pub(crate) fn user_of(peer: IpAddr, headers: &HeaderMap, header: &HeaderName, trusted: &[IpNet]) -> Option<String> {
    if !trusted.iter().any(|net| net.contains(peer)) {
        return None;
    }
    let mut named = headers.get_all(header).into_iter();
    let (Some(name), None) = (named.next(), named.next()) else { return None };
    let name = std::str::from_utf8(name.as_bytes()).ok()?.trim();
    (!name.is_empty() && name.len() <= LONGEST_USER).then(|| name.to_owned())
}

/// From the nearest hop outwards: the first that is not trusted, else the outermost.
fn walk(
    peer: IpAddr,
    hops: impl Iterator<Item = (Option<IpAddr>, Option<bool>)>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> (IpAddr, Option<bool>) {
    let (mut client, mut https) = (peer, None);
    for (count, (address, proto)) in hops.enumerate() {
        let Some(address) = address.filter(|_| count < MAX_HOPS) else { return (peer, None) };
        (client, https) = (address, proto);
        if !is_trusted(address) {
            break;
        }
    }
    (client, https)
}

/// The members of a list header, the last one first. A line that is no text yields one empty member.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    lines.into_iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')).map(str::trim)
}

fn last_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    values(headers, name).next()
}

/// One member of `Forwarded`: whom it was sent by, and whether over TLS.
fn parse_forwarded(element: &str) -> (Option<IpAddr>, Option<bool>) {
    let (mut address, mut https) = (None, None);
    for pair in element.split(';') {
        let Some((name, value)) = pair.split_once('=') else { return (None, None) };
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("for") {
            address = parse_node(value);
        } else if name.trim().eq_ignore_ascii_case("proto") {
            https = Some(value.eq_ignore_ascii_case("https"));
        }
    }
    (address, https)
}

/// An address with or without a port, IPv6 with or without brackets.
fn parse_node(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let port = port.strip_prefix(':').unwrap_or(port);
            port.bytes().all(|byte| byte.is_ascii_digit()).then_some(address)?
        }
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => port.parse::<u16>().ok().map(|_| address)?,
            Some(_) | None => text,
        },
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_holds_its_addresses_and_no_other() {
        for (net, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("::1", "::1", "::2"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "::ffff:11.1.1.1"),
            ("::ffff:10.0.0.0/104", "10.1.1.1", "11.1.1.1"),
        ] {
            let parsed: IpNet = net.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{net} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{net} {outside}");
        }
        for wrong in ["", "/8", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0/8", "localhost", "::ffff:10.0.0.0/95"] {
            assert!(wrong.parse::<IpNet>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_user_is_named_by_a_trusted_peer_alone() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let header = HeaderName::from_static("remote-user");
        let long = "x".repeat(1_017);
        for (peer, values, user) in [
            ("10.0.0.1", vec!["ada"], Some("ada")),
            ("::ffff:10.0.0.1", vec![" ada@example.org "], Some("ada@example.org")),
            ("10.0.0.1", vec!["ädä"], Some("ädä")),
            ("203.0.113.9", vec!["ada"], None),
            ("10.0.0.1", vec!["ada", "eve"], None),
            ("10.0.0.1", vec!["ada", "ada"], None),
            ("10.0.0.1", vec![""], None),
            ("10.0.0.1", vec![&long], None),
            ("10.0.0.1", vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(&header, value.as_bytes().try_into().unwrap());
            }
            let found = user_of(peer.parse().unwrap(), &headers, &header, &trusted);
            assert_eq!(found.as_deref(), user, "{peer} {values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(&header, "ada".parse().unwrap());
        assert_eq!(user_of("10.0.0.1".parse().unwrap(), &headers, &header, &[]), None, "nobody is trusted");
    }

    #[test]
    fn client_is_the_first_untrusted_hop_from_the_right() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "::1"].map(|net| net.parse().unwrap()).to_vec();
        for (peer, lines, client, https) in [
            ("203.0.113.9", vec![("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https")], "203.0.113.9", false),
            ("203.0.113.9", vec![("forwarded", "for=1.1.1.1;proto=https")], "203.0.113.9", false),
            ("10.0.0.1", vec![], "10.0.0.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "1.1.1.1")], "1.1.1.1", false),
            ("::ffff:10.0.0.1", vec![("x-forwarded-for", "1.1.1.1")], "1.1.1.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "6.6.6.6, 1.1.1.1, 10.0.0.2")], "1.1.1.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1")], "1.1.1.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "10.0.0.3, 10.0.0.2")], "10.0.0.3", false),
            ("10.0.0.1", vec![("x-forwarded-for", "1.1.1.1, unknown")], "10.0.0.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "1.1.1.1, 10.0.0.2,")], "10.0.0.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "junk, 1.1.1.1")], "1.1.1.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "1.1.1.1:4711")], "1.1.1.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "1.1.1.1:port")], "10.0.0.1", false),
            ("::1", vec![("x-forwarded-for", "2001:db8::1")], "2001:db8::1", false),
            ("::1", vec![("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1", false),
            ("::1", vec![("x-forwarded-for", "::ffff:1.1.1.1"), ("x-forwarded-proto", "https")], "1.1.1.1", true),
            ("10.0.0.1", vec![("forwarded", "for=1.1.1.1;proto=https")], "1.1.1.1", true),
            ("10.0.0.1", vec![("forwarded", r#"for=6.6.6.6, For="[2001:db8::1]:1";Proto=HTTPS"#)], "2001:db8::1", true),
            ("10.0.0.1", vec![("forwarded", "for=1.1.1.1;proto=https, for=10.0.0.2;proto=http")], "1.1.1.1", true),
            ("10.0.0.1", vec![("forwarded", "for=_hidden;proto=https")], "10.0.0.1", false),
            ("10.0.0.1", vec![("x-forwarded-for", "1.1.1.1"), ("forwarded", "for=6.6.6.6")], "1.1.1.1", false),
            ("10.0.0.1", vec![("x-forwarded-proto", "https, http")], "10.0.0.1", false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in &lines {
                headers.append(*name, value.parse().unwrap());
            }
            let found = client_of(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, (client.parse().unwrap(), https), "{peer} {lines:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "10.0.0.2,".repeat(40).trim_end_matches(',').parse().unwrap());
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(client_of(peer, &headers, &trusted), (peer, false), "endless list");
        assert_eq!(client_of(peer, &headers, &[]), (peer, false), "nobody trusted");
    }
}
