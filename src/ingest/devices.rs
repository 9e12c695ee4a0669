//! From what an installation says of itself to what we vouch for.

use std::sync::Arc;

use uuid::Uuid;

use super::Scope;
use super::normalize::{bounded, facts};
use super::privacy::Pseudonyms;
use crate::model::{About, Identify, Millis, RawIdentify, SessionTimes};
use crate::store::Draft;

/// Rough weight of an identify in the queue, in bytes.
const WEIGHT: usize = 2_000;

/// Longest text that is kept of a device, in bytes; longer ones are cut with a mark.
const TEXT: usize = 1_024;

/// Makes an identify's draft, and estimates its size in the queue in bytes.
pub(super) fn draft(scope: Scope, received_at: Millis, times: SessionTimes, raw: &RawIdentify<'_>) -> (Draft, usize) {
    let Scope { app, environment, key, country, .. } = scope;
    let (user, session) = (Uuid::new_v4(), Uuid::new_v4());
    let (user_text, session_text) = (user.to_string(), session.to_string());
    let mut pseudonyms = Pseudonyms::new(&app.salt);
    let hashes = (pseudonyms.user(&user_text), pseudonyms.session(&session_text));
    let text = |text: &str| bounded(text, TEXT).into_owned();
    let some = |found: Option<&str>| found.filter(|found| !found.is_empty()).map(text);
    let about = About {
        platform: raw.platform,
        system_version: text(raw.system_version),
        kind: text(raw.device_kind),
        brand: text(raw.device_brand),
        version: text(raw.version),
        build: raw.build,
        sdk: raw.sdk_name.map(|name| match raw.sdk_version {
            Some(version) => [name, version].join("@"),
            None => name.to_owned(),
        }),
    };
    let identify = Identify {
        install_id: raw.install_id.to_owned(),
        platform: raw.platform,
        system_name: text(raw.system_name),
        device_name: text(raw.device_name),
        build: raw.build,
        ota: raw.ota.map(str::to_owned),
        push: raw.push.map(|push| (push.platform, push.token.map(str::to_owned))),
        identifier: raw.identifier.filter(|found| !found.is_empty()).map(str::to_owned),
        email: some(raw.email),
        name: some(raw.name),
        session: raw.session,
        sdk_name: some(raw.sdk_name),
        sdk_version: some(raw.sdk_version),
        facts: Arc::new(facts(&about.facts(), country)),
        times,
        new_user: (user, hashes.0),
        new_device: Uuid::new_v4(),
        new_session: (session, hashes.1),
        system_version: about.system_version,
        version: about.version,
        device_kind: about.kind,
        device_brand: about.brand,
    };
    let size = WEIGHT + raw.ota.map_or(0, str::len);
    let identify = Some(Box::new(identify));
    (Draft { key, identify, ..Draft::new(app, environment, received_at) }, size)
}
