//! What the SDKs of each protocol send: the same events, each in its own words.

use std::fmt::Write as _;

use super::rig::Rig;
use super::rig::traffic::Sender;

/// The key as Aptabase's SDKs spell it.
pub fn aptabase_key(rig: &Rig) -> String {
    tallybox::auth::token::as_aptabase(&rig.token).expect("it is a public key")
}

/// A part of what a client sends, for SDKs whose requests are smaller.
pub fn part(sender: &Sender, nth: usize, events: usize) -> Sender {
    let before = nth * events;
    Sender { session: sender.session(before), at: sender.time(before), events, ..*sender }
}

/// An event, whatever the protocol.
struct Event {
    name: &'static str,
    id: uuid::Uuid,
    at: i64,
    time: String,
    user: String,
    session: String,
    version: String,
    system: &'static str,
    /// What it tells besides: the members of a JSON object.
    data: String,
}

fn events(sender: &Sender) -> Vec<Event> {
    let Sender { user, release, events, .. } = *sender;
    let event = |i: usize| {
        let data = Sender::data(i);
        Event {
            name: ["command_execution", "feature_used", "project_opened", "file_saved", "build_finished"][i % 5],
            id: uuid::Uuid::new_v4(),
            at: sender.time(i),
            time: jiff::Timestamp::from_millisecond(sender.time(i)).expect("in range").to_string(),
            user: format!("client_{user:064x}"),
            session: format!("sess_{:032x}", sender.session(i)),
            version: format!("2.{release}.0"),
            system: ["linux", "macos", "windows"][user % 3],
            data: data[1..data.len() - 1].to_owned(),
        }
    };
    (0..events).map(event).collect()
}

/// A list of events in JSON, with what stands before and behind it.
fn list(sender: &Sender, before: &str, behind: &str, one: impl Fn(&mut String, &Event)) -> Vec<u8> {
    let mut body = before.to_owned();
    for (at, event) in events(sender).iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        one(&mut body, event);
    }
    body.push_str(behind);
    body.into_bytes()
}

/// As `@aptabase/web` and its kin do: events have no ids, and name no user.
pub fn aptabase(_: &Rig, sender: &Sender) -> Vec<u8> {
    list(sender, "[", "]", |body, event| {
        let Event { name, time, session, version, system, data, .. } = event;
        _ = write!(
            body,
            r#"{{"timestamp":"{time}","sessionId":"{session}","eventName":"{name}","systemProps":{{"isDebug":false,"locale":"en-US","osName":"{system}","osVersion":"6.1","appVersion":"{version}","appBuildNumber":"12","sdkVersion":"aptabase-tauri@0.4.1"}},"props":{{{data}}}}}"#
        );
    })
}

/// As `posthog` for Python does.
pub fn posthog(rig: &Rig, sender: &Sender) -> Vec<u8> {
    let before = format!(r#"{{"api_key":"{}","batch":["#, rig.token);
    list(sender, &before, "]}", |body, event| {
        let Event { name, id, time, user, session, version, system, data, .. } = event;
        _ = write!(
            body,
            r#"{{"event":"{name}","uuid":"{id}","timestamp":"{time}","distinct_id":"{user}","properties":{{{data},"$lib":"posthog-python","$lib_version":"6.7.0","$session_id":"{session}","$os":"{system}","$app_version":"{version}"}}}}"#
        );
    })
}

/// As `@segment/analytics-node` does.
pub fn segment(rig: &Rig, sender: &Sender) -> Vec<u8> {
    let behind = format!(r#"],"writeKey":"{}"}}"#, rig.token);
    list(sender, r#"{"batch":["#, &behind, |body, event| {
        let Event { name, id, time, user, session, version, system, data, .. } = event;
        _ = write!(
            body,
            r#"{{"type":"track","event":"{name}","messageId":"node-next-{id}","timestamp":"{time}","userId":"{user}","properties":{{{data}}},"context":{{"library":{{"name":"@segment/analytics-node","version":"2.3.0"}},"app":{{"version":"{version}"}},"os":{{"name":"{system}"}},"sessionId":"{session}"}},"integrations":{{}}}}"#
        );
    })
}

/// As exporters of logs do in JSON.
pub fn otlp_json(_: &Rig, sender: &Sender) -> Vec<u8> {
    let text = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
    let all = events(sender);
    let resource = [("service.name", "acme-cli"), ("service.version", &all[0].version), ("os.type", all[0].system)]
        .map(|(key, value)| text(key, value))
        .join(",");
    let before = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{resource}]}},"scopeLogs":[{{"scope":{{"name":"acme"}},"logRecords":["#
    );
    list(sender, &before, "]}]}]}", |body, event| {
        let Event { name, at, user, session, .. } = event;
        let attributes = [
            text("session.id", session),
            text("user.id", user),
            text("command", "build"),
            r#"{"key":"flags","value":{"arrayValue":{"values":[{"stringValue":"--release"}]}}}"#.to_owned(),
            r#"{"key":"success","value":{"boolValue":true}}"#.to_owned(),
            format!(r#"{{"key":"duration_ms","value":{{"intValue":"{}"}}}}"#, at % 5_000),
        ];
        _ = write!(
            body,
            r#"{{"timeUnixNano":"{at}000000","severityNumber":9,"eventName":"{name}","attributes":[{}]}}"#,
            attributes.join(",")
        );
    })
}

/// The same in protobuf, which exporters send unless they are told otherwise.
pub fn otlp(_: &Rig, sender: &Sender) -> Vec<u8> {
    let text = |key: &str, value: &str| [field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat();
    let number = |key: &str, kind: u8, value: u64| {
        [field(1, key.as_bytes()), field(2, &[&[kind << 3][..], &varint(value)].concat())].concat()
    };
    let all = events(sender);
    let resource = [("service.name", "acme-cli"), ("service.version", &all[0].version), ("os.type", all[0].system)]
        .map(|(key, value)| field(1, &text(key, value)))
        .concat();
    let mut records = Vec::new();
    for Event { name, at, user, session, .. } in &all {
        let flags = field(5, &field(1, &field(1, b"--release")));
        let attributes = [
            text("session.id", session),
            text("user.id", user),
            text("command", "build"),
            [field(1, b"flags"), field(2, &flags)].concat(),
            number("success", 2, 1),
            number("duration_ms", 3, at.unsigned_abs() % 5_000),
        ];
        let mut record = [&[9][..], &(at.unsigned_abs() * 1_000_000).to_le_bytes(), &[16, 9]].concat();
        attributes.iter().for_each(|attribute| record.extend(field(6, attribute)));
        record.extend(field(12, name.as_bytes()));
        records.extend(field(2, &record));
    }
    let scope = [field(1, &field(1, b"acme")), records].concat();
    field(1, &[field(1, &resource), field(2, &scope)].concat())
}

/// A field of bytes, with its number and length before it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(bytes.len() as u64), bytes].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A request with this body.
pub fn post(rig: &Rig, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n", rig.address, body.len());
    for (name, value) in headers {
        _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}
