//! Bodies of identify that are taken, and that are not.

use serde_json::{Value, json};

use super::*;

/// The first example of the protocol (`teardown`, section 17).
fn body() -> Value {
    json!({ "device": {
        "os": { "platform": "IOS", "name": "iOS", "version": "18.1" },
        "application": { "version": "1.2.3", "build_number": 45 },
        "hardware": { "device_name": "Ana's phone", "device_type": "phone", "device_brand": "Apple" },
        "update": null
    } })
}

/// The example with a member set, by its pointer; `Null` below `/-` takes it out.
fn with(pointer: &str, value: Value) -> Vec<u8> {
    let mut body = body();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[key] = value;
    body.to_string().into_bytes()
}

fn without(pointer: &str) -> Vec<u8> {
    let mut body = body();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    body.to_string().into_bytes()
}

#[track_caller]
fn refused_at(body: &[u8], property: &str) {
    match read(body) {
        Ok(read) => panic!("{} fits: {read:?}", String::from_utf8_lossy(body)),
        Err(invalid) => assert_eq!(invalid.property, property, "{}", invalid.summary),
    }
}

#[test]
fn example_is_read() {
    let text = body().to_string();
    let read = read(text.as_bytes()).unwrap();
    let claims = read.claims("install");
    assert_eq!((claims.install_id, claims.platform, claims.build), ("install", Platform::Ios, 45));
    assert_eq!((claims.system_name, claims.system_version, claims.version), ("iOS", "18.1", "1.2.3"));
    assert_eq!((claims.device_name, claims.device_kind, claims.device_brand), ("Ana's phone", "phone", "Apple"));
    assert!(claims.ota.is_none() && claims.push.is_none() && claims.identifier.is_none());
}

#[test]
fn every_platform_is_taken_and_no_other() {
    for platform in Platform::ALL {
        let body = with("/device/os/platform", json!(platform.as_str()));
        assert_eq!(read(&body).unwrap().claims("i").platform, platform);
    }
    for other in [json!("ios"), json!(""), json!(7), Value::Null] {
        refused_at(&with("/device/os/platform", other), "/device/os/platform");
    }
    let invalid = read(&with("/device/os/platform", json!("ios"))).unwrap_err();
    assert_eq!(invalid.summary, "device.os.platform is not a known platform");
}

#[test]
fn build_may_be_null_and_never_a_text() {
    for (build, found) in [(json!(null), 0), (json!(7.9), 7), (json!(0), 0)] {
        assert_eq!(read(&with("/device/application/build_number", build)).unwrap().claims("i").build, found);
    }
    for build in [json!("45"), json!(-1), json!([])] {
        refused_at(&with("/device/application/build_number", build), "/device/application/build_number");
    }
}

#[test]
fn required_members_are_missed_and_others_are_not() {
    for pointer in [
        "/device",
        "/device/os",
        "/device/os/name",
        "/device/os/version",
        "/device/application",
        "/device/application/version",
        "/device/application/build_number",
        "/device/hardware",
        "/device/hardware/device_name",
        "/device/hardware/device_type",
        "/device/hardware/device_brand",
    ] {
        refused_at(&without(pointer), pointer);
    }
    read(&without("/device/update")).unwrap();
    for pointer in ["/extra", "/device/extra", "/device/os/extra", "/user", "/device/notifications"] {
        let value = if pointer.ends_with("extra") { json!({ "any": [1] }) } else { Value::Null };
        read(&with(pointer, value)).unwrap();
    }
}

#[test]
fn long_texts_are_refused() {
    for (pointer, most) in
        [("/device/os/name", TEXT), ("/device/application/version", TEXT), ("/device/hardware/device_name", TEXT)]
    {
        read(&with(pointer, json!("é".repeat(most)))).unwrap();
        refused_at(&with(pointer, json!("é".repeat(most + 1))), pointer);
    }
    let user = |key: &str, length: usize| with("/user", json!({ key: "x".repeat(length) }));
    for key in ["persona_id", "user_id"] {
        read(&user(key, 255)).unwrap();
        refused_at(&user(key, 256), &format!("/user/{key}"));
    }
}

#[test]
fn user_is_named_by_persona_first_and_empty_texts_are_absent() {
    for (user, identifier, email) in [
        (json!({ "user_id": "u" }), Some("u"), None),
        (json!({ "user_id": "u", "persona_id": "p" }), Some("p"), None),
        (json!({ "user_id": "u", "persona_id": "" }), Some("u"), None),
        (json!({ "user_id": "", "email": "" }), None, None),
        (json!({ "email": "ana@example.com", "name": "" }), None, Some("ana@example.com")),
    ] {
        let text = with("/user", user.clone());
        let read = read(&text).unwrap();
        let claims = read.claims("i");
        assert_eq!((claims.identifier, claims.email, claims.name), (identifier, email, None), "{user}");
    }
    for email in ["ana", "@example.com", "ana@", "ana @example.com"] {
        refused_at(&with("/user", json!({ "email": email })), "/user/email");
    }
    refused_at(&with("/user", json!("ana")), "/user");
    refused_at(&with("/user", json!({ "user_id": 7 })), "/user/user_id");
}

#[test]
fn push_token_counts_when_it_is_wanted_and_allowed() {
    let notifications = |enabled: bool, granted: bool, token: Value, platform: &str| {
        with(
            "/device/notifications",
            json!({ "push": { "enabled": enabled, "granted": granted, "token": token, "platform": platform } }),
        )
    };
    for platform in PushPlatform::ALL {
        for (enabled, granted, token, kept) in [
            (true, true, json!("t"), Some("t")),
            (true, false, json!("t"), None),
            (false, true, json!("t"), None),
            (true, true, json!(""), None),
            (true, false, Value::Null, None),
        ] {
            let text = notifications(enabled, granted, token, platform.as_str());
            let read = read(&text).unwrap();
            let push = read.claims("i").push.unwrap();
            assert_eq!((push.platform, push.token), (platform, kept));
        }
    }
    read(&notifications(true, true, json!("x".repeat(4_096)), "FCM")).unwrap();
    refused_at(&notifications(true, true, json!("x".repeat(4_097)), "FCM"), "/device/notifications/push/token");
    refused_at(&notifications(true, true, json!("t"), "fcm"), "/device/notifications/push/platform");
    refused_at(&with("/device/notifications", json!({})), "/device/notifications/push");
    let bare = json!({ "push": { "enabled": true, "granted": true, "platform": "FCM" } });
    refused_at(&with("/device/notifications", bare), "/device/notifications/push/token");
}

#[test]
fn update_is_whole_or_absent() {
    let update = json!({
        "is_enabled": true, "update_id": "5e2b9d0c-2f53-4a0e-a1d3-1f6f2f2a9c05", "update_channel": "production",
        "runtime_version": "1.2.0", "emergency_launch": { "is_emergency_launch": true, "reason": "rollback" },
        "is_embedded_launch": false, "created_at": "2025-12-30T10:00:00.000Z"
    });
    let text = with("/device/update", update.clone());
    assert_eq!(read(&text).unwrap().claims("i").ota, Some(update.to_string().as_str()));
    for key in update.as_object().unwrap().keys() {
        let mut part = update.clone();
        part.as_object_mut().unwrap().remove(key);
        refused_at(&with("/device/update", part), &format!("/device/update/{key}"));
    }
    let mut calm = update.clone();
    calm["emergency_launch"] = json!({ "is_emergency_launch": false });
    read(&with("/device/update", calm)).unwrap();
    let mut silent = update;
    silent["emergency_launch"] = json!({ "is_emergency_launch": true });
    refused_at(&with("/device/update", silent), "/device/update/emergency_launch/reason");
}
