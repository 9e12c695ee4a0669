//! An app straight on a store, and the properties of its events: for what is measured without HTTP.

use std::sync::Arc;

use serde_json::value::RawValue;
use tallybox::ingest::Scope;
use tallybox::model::{By, IngestKeyId, KeyKind, Millis, NewApp, NewIngestKey, Salt, Slug, Zone};
use tallybox::store::Store;

/// Events of one request.
pub const BATCH: usize = 100;
/// Requests under way at once.
pub const CLIENTS: usize = 8;
/// 2026-01-01, in milliseconds.
pub const START: i64 = 1_767_225_600_000;

/// The production environment of a new app, the first of its store.
pub fn scope(store: &dyn Store) -> Scope {
    let app = NewApp {
        organization: None,
        uuid: uuid::Uuid::new_v4(),
        slug: Slug::from_name("bench"),
        slug_fixed: true,
        name: "Bench".to_owned(),
        zone: Zone::find("Europe/Zurich").expect("the zone exists"),
        salt: Salt([7; 32]),
        strict: false,
    };
    let app = store.create_app(&app, &By::command_line(Millis(START))).expect("the app is made");
    let environment = app.environments[0].id;
    let key = NewIngestKey {
        environment,
        kind: KeyKind::Either,
        name: "bench".to_owned(),
        hint: "tk_bench".to_owned(),
        token_hash: [1; 32],
        sealed_secret: vec![0],
    };
    let key = store.create_key(&key, &By::command_line(Millis(START))).expect("the key is made").id;
    assert_eq!(key, IngestKeyId(1));
    Scope { app: Arc::new(app), environment, key: Some(key), rules: Arc::default(), country: None }
}

/// The properties of a request's events.
pub fn props() -> Vec<Box<RawValue>> {
    let one = |i: usize| {
        let text = format!(r#"{{"command":"build","flags":["--release"],"success":true,"duration_ms":{}}}"#, i * 7);
        RawValue::from_string(text).expect("it is JSON")
    };
    (0..BATCH).map(one).collect()
}
