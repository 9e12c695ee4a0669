//! Why requests are turned away at the door, as they are counted.

use super::Limit;

/// What a request was turned away for, though its credential is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TurnedAway {
    /// Too many requests with its key.
    KeyRate,
    /// Too many requests to its app.
    AppRate,
    /// Too many requests from its network.
    NetworkRate,
    /// The events of the day are used up.
    Quota,
    /// Its address is not in a network that the app lists.
    Address,
    /// Its page's origin is not one that the app lists.
    Origin,
    /// It is an identify of somebody who is banned.
    Banned,
}

impl TurnedAway {
    /// Every reason.
    pub const ALL: [Self; 7] =
        [Self::KeyRate, Self::AppRate, Self::NetworkRate, Self::Quota, Self::Address, Self::Origin, Self::Banned];

    /// As a label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeyRate => "key_rate",
            Self::AppRate => "app_rate",
            Self::NetworkRate => "network_rate",
            Self::Quota => "quota",
            Self::Address => "address",
            Self::Origin => "origin",
            Self::Banned => "banned",
        }
    }

    /// On pages.
    pub fn label(self) -> &'static str {
        match self {
            Self::KeyRate => "Too many requests with one key",
            Self::AppRate => "Too many requests to the app",
            Self::NetworkRate => "Too many requests from one network",
            Self::Quota => "The events of the day were used up",
            Self::Address => "Address not in a listed network",
            Self::Origin => "Web page not of a listed origin",
            Self::Banned => "Banned devices and users that said who they are",
        }
    }
}

impl From<Limit> for TurnedAway {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::Key => Self::KeyRate,
            Limit::App => Self::AppRate,
            Limit::Network => Self::NetworkRate,
            Limit::Day => Self::Quota,
        }
    }
}
