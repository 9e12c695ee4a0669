//! How sessions are told of on pages.

use crate::model::{Millis, SessionRow};

use super::format::duration;

/// How long something lasted, to the second where it was short: `under a second`, `42 s`, `3 min 20 s`, `2 h 5 min`.
pub fn length(ms: i64) -> String {
    match (ms / Millis::MINUTE, ms / Millis::SECOND) {
        (0, ..=0) => "under a second".to_owned(),
        (0, seconds) => format!("{seconds} s"),
        (minutes @ 1..=59, seconds) if seconds % 60 != 0 => format!("{minutes} min {} s", seconds % 60),
        _ => duration(ms),
    }
}

/// Version, system and device, as far as they are known.
pub fn facts(row: &SessionRow) -> Vec<(&'static str, String)> {
    let pair = |first: &Option<String>, second: Option<String>| {
        let words: Vec<String> = [first.clone(), second].into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    let build = row.build.as_ref().map(|build| format!("({build})"));
    let version = ("Version", pair(&row.version, build));
    let system = ("System", pair(&row.system, row.system_version.clone()));
    let all = [version, system, ("Device", row.device.clone())];
    all.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lengths_are_told_to_the_second() {
        for (ms, text) in [
            (-5, "under a second"),
            (999, "under a second"),
            (42_900, "42 s"),
            (60_000, "1 min"),
            (200_000, "3 min 20 s"),
            (3_600_000, "1 h"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(length(ms), text);
        }
    }
}
