//! What an event says of the program that sent it, in our words.

use std::borrow::Cow;

use super::super::properties::Known;
use crate::protocol::unity;

/// A coarse class of what the SDKs send by themselves.
pub(super) fn category(name: &str) -> Option<&'static str> {
    Some(match name {
        "$pageview" | "$pageleave" => "page",
        "$screen" => "screen",
        "$exception" => "error",
        "$autocapture" | "$rageclick" | "$dead_click" | "$copy_autocapture" | "$$heatmap" => "interaction",
        "$feature_flag_called" | "$feature_enrollment_update" => "flag",
        "$web_vitals" | "$performance_event" => "performance",
        "$opt_in" | "$$client_ingestion_warning" => "client",
        name if name.starts_with("Application ") => "lifecycle",
        name if name.starts_with("survey ") => "survey",
        name if name.starts_with("$ai_") => "ai",
        _ => return None,
    })
}

/// `posthog-js/1.449.2`: the SDK of browsers calls itself `web`.
pub(super) fn sdk<'a>(known: &Known<'a>) -> Option<Cow<'a, str>> {
    let lib = Known::text(known.lib)?;
    let lib = if lib == "web" { Cow::Borrowed("posthog-js") } else { lib };
    Some(match Known::text(known.lib_version) {
        Some(version) => [&*lib, "/", &*version].concat().into(),
        None => lib,
    })
}

/// Of the SDK for Unity out of the description that it puts there.
pub(super) fn system_version<'a>(known: &Known<'a>) -> Option<Cow<'a, str>> {
    let version = Known::text(known.system_version)?;
    if Known::text(known.lib).is_none_or(|lib| lib != "posthog-unity") {
        return Some(version);
    }
    Some(match version {
        Cow::Borrowed(version) => unity::version(version).into(),
        Cow::Owned(version) => unity::version(&version).to_owned().into(),
    })
}

/// As other SDKs call the same systems.
pub(super) fn system(name: Cow<'_, str>) -> Cow<'_, str> {
    for (theirs, ours) in [
        ("Mac OS X", "macos"),
        ("macOS", "macos"),
        ("Darwin", "macos"),
        ("Windows", "windows"),
        ("Linux", "linux"),
        ("iOS", "ios"),
        ("iPadOS", "ios"),
        ("Android", "android"),
    ] {
        if name.eq_ignore_ascii_case(theirs) {
            return Cow::Borrowed(ours);
        }
    }
    name
}
