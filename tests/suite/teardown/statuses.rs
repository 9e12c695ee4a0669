//! Point 8: each of the five statuses reaches the client at its next identify, with its notes, and can be read back at a
//! start without a network. Statuses are set behind the server's back, as another node would set them.

use serde_json::Value;

use super::{Client, server_with_client};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Server};

on_both_backends! {
    every_status_is_told_at_the_next_identify_with_its_notes,
    the_more_severe_of_version_and_build_decides,
    an_update_leads_to_the_highest_supported_version_of_the_platform,
}

/// As stored, and as the app is told.
const STATUSES: [(&str, &str); 5] = [
    ("SUPPORTED", "up_to_date"),
    ("UPDATE_AVAILABLE", "update_available"),
    ("UPDATE_RECOMMENDED", "update_recommended"),
    ("UPDATE_REQUIRED", "update_required"),
    ("DISABLED", "disabled"),
];

fn set(server: &Server, table: &str, status: &str, notes: Option<&str>) {
    let notes = notes.map_or_else(|| "NULL".to_owned(), |notes| format!("'{notes}'"));
    server.database().alter(&format!("UPDATE {table} SET status = '{status}', notes = {notes}, status_at = 7"));
}

fn every_status_is_told_at_the_next_identify_with_its_notes(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    client.refresh();
    // Down again as well as up: nothing is remembered of a status.
    for (stored, told) in STATUSES.iter().chain(STATUSES.iter().rev()) {
        for notes in [Some("Fixes a crash at launch"), None] {
            set(&server, "versions", stored, notes);
            let identity = client.refresh();
            let notes = notes.filter(|_| told.starts_with("update_")).map(str::to_owned);
            assert_eq!((&identity.status, &identity.notes), (&(*told).to_owned(), &notes), "{stored}");
            assert_eq!(client.state().status, Some(((*told).to_owned(), notes)), "{stored} is lost at a restart");
        }
    }
}

fn the_more_severe_of_version_and_build_decides(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    client.refresh();
    for (version, build, told, notes) in [
        (("UPDATE_AVAILABLE", Some("v")), ("UPDATE_REQUIRED", Some("b")), "update_required", Some("b")),
        (("UPDATE_REQUIRED", Some("v")), ("UPDATE_AVAILABLE", Some("b")), "update_required", Some("v")),
        (("UPDATE_REQUIRED", Some("v")), ("UPDATE_REQUIRED", Some("b")), "update_required", Some("b")),
        (("UPDATE_REQUIRED", Some("v")), ("UPDATE_REQUIRED", None), "update_required", Some("v")),
        (("SUPPORTED", Some("v")), ("DISABLED", Some("b")), "disabled", None),
    ] {
        set(&server, "versions", version.0, version.1);
        set(&server, "builds", build.0, build.1);
        let identity = client.refresh();
        assert_eq!((identity.status.as_str(), identity.notes.as_deref()), (told, notes), "{version:?} {build:?}");
    }
}

fn an_update_leads_to_the_highest_supported_version_of_the_platform(backend: Backend) {
    let (server, _, client) = server_with_client(backend);
    let update = || -> Value {
        let reply = client.send(&client.request("/v1/identify", &client.identify_body(None))).expect(200).json();
        reply["data"]["version_info"]["update"].clone()
    };
    update();
    set(&server, "versions", "UPDATE_REQUIRED", None);
    let own = update();
    assert_eq!((&own["version"], &own["build"]), (&"1.2.3".into(), &"45".into()), "there is no better");
    assert_eq!(own["effective_date"], "1970-01-01T00:00:00.007Z", "when the status was set");
    for (version, build, platform) in
        [("1.10.0", 60, "IOS"), ("1.9.0", 61, "IOS"), ("1.0.0", 62, "IOS"), ("2.0.0", 70, "ANDROID")]
    {
        let mut other: Client = client.reinstalled().version(version, build);
        other.device["os"]["platform"] = platform.into();
        other.refresh();
    }
    let better = update();
    assert_eq!((&better["version"], &better["build"]), (&"1.10.0".into(), &"60".into()));
    assert_eq!(better["release_notes"], Value::Null);
}
