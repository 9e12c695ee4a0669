//! How people and their devices are called on pages.

use crate::model::{DeviceRow, Profile, UserHash};

use super::event::short;

/// What a user is called: by name, else by e-mail address, else as the app does, else by the pseudonym.
pub fn label(hash: UserHash, profile: Option<&Profile>) -> String {
    let told = profile.and_then(|told| [&told.name, &told.email, &told.identifier].into_iter().find_map(Clone::clone));
    told.unwrap_or_else(|| format!("User {}", short(hash)))
}

/// What else is told of a user, beside what they are called.
pub fn told_besides(profile: &Profile) -> Vec<String> {
    let mut told: Vec<&String> = [&profile.name, &profile.email, &profile.identifier].into_iter().flatten().collect();
    told.dedup();
    told.into_iter().skip(1).cloned().collect()
}

/// Who made a device and what it is: `Apple phone`.
pub fn model(device: &DeviceRow) -> String {
    let words = [device.brand.as_str(), &device.kind];
    words.iter().filter(|word| !word.is_empty() && **word != "unknown").copied().collect::<Vec<_>>().join(" ")
}

/// What a device runs: `iOS 18.1`, and its platform where it tells no system.
pub fn system(device: &DeviceRow) -> String {
    let system = [device.system_name.as_str(), &device.system_version].join(" ");
    if system.trim().is_empty() { device.platform.clone() } else { system.trim().to_owned() }
}

/// The beginning of an installation's id, enough to recognise it.
pub fn short_id(id: &str) -> String {
    match id.char_indices().nth(12) {
        Some((end, _)) => format!("{}…", &id[..end]),
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_called_by_the_best_that_is_known() {
        let told = |name: &str, email: &str, identifier: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Profile { name: some(name), email: some(email), identifier: some(identifier), ..Profile::default() }
        };
        let hash = UserHash([0xab; 16]);
        for (profile, called, besides) in [
            (told("Ana", "a@example.com", "u1"), "Ana", vec!["a@example.com", "u1"]),
            (told("Ana", "a@example.com", "a@example.com"), "Ana", vec!["a@example.com"]),
            (told("", "a@example.com", "a@example.com"), "a@example.com", vec![]),
            (told("", "a@example.com", "u1"), "a@example.com", vec!["u1"]),
            (told("", "", "u1"), "u1", vec![]),
            (told("", "", ""), "User abababab", vec![]),
        ] {
            assert_eq!(label(hash, Some(&profile)), called);
            assert_eq!(told_besides(&profile), besides);
        }
        assert_eq!(label(hash, None), "User abababab");
        assert_eq!((short_id("short"), short_id("37a4e0db-31c0-4a74")), ("short".into(), "37a4e0db-31c…".into()));
    }
}
