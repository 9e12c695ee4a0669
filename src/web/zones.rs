//! The time zones that are on offer, by parts of the world.

use std::sync::LazyLock;

/// The time zones of a part of the world.
pub struct Region {
    /// As in the zone's name, before the slash.
    pub name: &'static str,
    /// IANA names.
    pub zones: Vec<String>,
}

/// Every time zone on offer.
pub static REGIONS: LazyLock<Vec<Region>> = LazyLock::new(|| {
    let parts =
        ["Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"];
    let all: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let region = |name: &'static str| {
        let inside = |zone: &&String| zone.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let mut zones: Vec<String> = all.iter().filter(inside).cloned().collect();
        zones.sort();
        Region { name, zones }
    };
    parts.into_iter().map(region).collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Zone;

    #[test]
    fn every_zone_on_offer_exists() {
        assert!(REGIONS.iter().map(|region| region.zones.len()).sum::<usize>() > 400);
        for zone in REGIONS.iter().flat_map(|region| &region.zones) {
            assert!(Zone::find(zone).is_some(), "{zone}");
        }
    }
}
