//! How sessions are told of on pages.

use crate::model::SessionRow;

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
