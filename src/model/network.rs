//! Networks of addresses.

use std::net::IpAddr;
use std::str::FromStr;

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

/// Whose allowance an address uses: an IPv4 address its own, those of one IPv6 /64 a common one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientNetwork {
    /// One address.
    V4(u32),
    /// The first half of many.
    V6(u64),
}

impl ClientNetwork {
    /// The one of an address. IPv4 addresses inside IPv6 count as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}
