//! `POST /v1/identify`: who an installation is, and whether it must update (`teardown`, sections 5 to 9).

use axum::body::Body;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use super::fault::{Code, Fault};
use super::headers::check_device;
use super::tenant::{self, Admitted};
use super::{Call, iso, success, wire};
use crate::auth::session_token::SessionClaims;
use crate::http::metrics::Resolved;
use crate::ingest::{device_hash, identifier_hash, user_hash};
use crate::model::{App, Created, Environment, EnvironmentId, Identified, RawPush, Refusal, TurnedAway, Update};

/// Characters of a push token that may stand in the log.
const TOLD: usize = 8;

/// The order of checks is the protocol's (section 2.2): headers, key, body, and at last the work.
pub async fn take(call: &Call, body: Body, resolved: &mut Resolved) -> Result<(Response, Created), Fault> {
    let (gate, headers) = (&call.gate, call.headers());
    let claimed = tenant::claimed(gate, &headers)?;
    let (slug, install_id) = (headers.environment()?, headers.device()?);
    let admitted = tenant::admit(gate, claimed, headers.key, call.origin.address).await?;
    resolved.app(admitted.app());
    call.enter(&admitted)?;
    let bytes = call.body(body).await?;
    check_device(install_id)?;
    let body = wire::identify::read(&bytes)?;
    let environment = admitted.environment(slug, Code::IdentifyFailed)?;
    resolved.environment(&environment.slug);
    let mut claims = body.claims(install_id);
    claims.session = headers.session_hint();
    (claims.sdk_name, claims.sdk_version) = headers.sdk();
    check_bans(call, &admitted, environment.id, (install_id, claims.identifier)).await?;
    let scope = admitted.scope(environment, gate.intake.country(call.origin.address));
    let times = gate.teardown.times;
    let identified = gate.intake.identify(scope, call.origin.received_at, times, &claims).await;
    let identified = identified.map_err(|refusal| call.refused(refusal))?;
    gate.teardown.roster.forget(environment.id, [install_id, &identified.device.to_string()]);
    tell(admitted.app(), environment, &identified, claims.push);
    let token = gate.teardown.tokens.sign(&token_claims(admitted.app(), environment, &identified));
    Ok((success(&Data::of(&identified, &token)), identified.created))
}

/// Turns a banned device away, and whoever is banned: those that the request names, else the device's user. The answer
/// is no success, since an app would go on with a session that does not exist.
async fn check_bans(
    call: &Call,
    admitted: &Admitted,
    environment: EnvironmentId,
    (install_id, identifier): (&str, Option<&str>),
) -> Result<(), Refusal> {
    let (app, banned) = (admitted.app(), &admitted.rules().banned);
    if banned.is_empty() {
        return Ok(());
    }
    let named = identifier.filter(|identifier| !identifier.is_empty());
    let is_banned = banned.devices.contains(&device_hash(&app.salt, install_id))
        || match named {
            Some(identifier) => banned.identifiers.contains(&identifier_hash(&app.salt, identifier)),
            None => {
                let device = call.gate.teardown.roster.device(environment, install_id).await?;
                let user = device.and_then(|device| device.user);
                user.is_some_and(|user| banned.users.contains(&user_hash(&app.salt, &user.hyphenated().to_string())))
            }
        };
    if is_banned {
        call.gate.intake.door().turn_away(app.id, TurnedAway::Banned);
        return Err(Refusal::Banned);
    }
    Ok(())
}

fn token_claims(app: &App, environment: &Environment, identified: &Identified) -> SessionClaims {
    SessionClaims {
        session: identified.session,
        device: identified.device,
        user: identified.user,
        app: app.uuid,
        organization: app.organization.uuid,
        environment: environment.slug.to_string(),
        issued_at: identified.issued_at,
        expires_at: identified.token_expires_at,
    }
}

/// Log lines of what was decided; who the user is does not stand in them.
fn tell(app: &App, environment: &Environment, identified: &Identified, push: Option<RawPush<'_>>) {
    let (app, environment, device) = (app.slug.as_str(), environment.slug.as_str(), identified.device);
    let Created { session: new_session, user: new_person, device: new_device } = identified.created;
    let status = identified.version.status.answer();
    tracing::info!(
        app, environment, %device, session = %identified.session, status, new_session, new_device, new_person,
        "identify"
    );
    if let Some(push) = push {
        let decision = if push.token.is_some() { "active" } else { "inactive" };
        let begins: String = push.token.unwrap_or_default().chars().take(TOLD).collect();
        tracing::info!(app, environment, %device, platform = push.platform.as_str(), decision, begins, "push");
    }
}

/// In the order of section 5.2.
#[derive(Serialize)]
struct Data<'a> {
    session_id: Uuid,
    device_id: Uuid,
    user_id: Uuid,
    token: &'a str,
    version_info: Version<'a>,
}

#[derive(Serialize)]
struct Version<'a> {
    status: &'static str,
    update: Option<Target<'a>>,
}

/// Clients need all five: without one they forget their session at the next start without a network.
#[derive(Serialize)]
struct Target<'a> {
    version: &'a str,
    build: String,
    update_id: Uuid,
    effective_date: String,
    release_notes: Option<&'a str>,
}

impl<'a> Data<'a> {
    fn of(identified: &'a Identified, token: &'a str) -> Self {
        let target = |update: &'a Update| Target {
            version: &update.version,
            build: update.build.to_string(),
            update_id: update.id,
            effective_date: iso(update.effective_at),
            release_notes: update.notes.as_deref(),
        };
        let version = &identified.version;
        Self {
            session_id: identified.session,
            device_id: identified.device,
            user_id: identified.user,
            token,
            version_info: Version { status: version.status.answer(), update: version.update.as_ref().map(target) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Millis, VersionInfo, VersionStatus};

    /// Example 5 of section 17, byte by byte.
    #[test]
    fn answer_is_that_of_the_protocols_example() {
        let id = |text: &str| Uuid::parse_str(text).unwrap();
        let update = Update {
            version: "1.3.0".to_owned(),
            build: 52,
            id: id("c3a1f6de-93b0-4c51-9d59-6f1f0e5a7b04"),
            effective_at: Millis(1_767_225_600_000),
            notes: Some("Fixes a crash at launch".to_owned()),
        };
        let mut identified = Identified {
            session: id("6f1d0b52-6c0a-4d0e-9a51-0f2f7f0f9a01"),
            device: id("0f9d6c1e-7b0e-4c0b-8f0a-2b7f5f2f4c02"),
            user: id("b7b3f0a4-51b0-4c39-8d7e-6a4c1f9d3e03"),
            issued_at: 1_767_225_600,
            token_expires_at: 1_767_226_500,
            version: VersionInfo { status: VersionStatus::UpdateRequired, update: Some(update) },
            created: Created::default(),
        };
        let start = concat!(
            r#"{"session_id":"6f1d0b52-6c0a-4d0e-9a51-0f2f7f0f9a01","#,
            r#""device_id":"0f9d6c1e-7b0e-4c0b-8f0a-2b7f5f2f4c02","#,
            r#""user_id":"b7b3f0a4-51b0-4c39-8d7e-6a4c1f9d3e03","token":"TOKEN","version_info":"#,
        );
        let example = concat!(
            r#"{"status":"UPDATE_REQUIRED","update":{"version":"1.3.0","build":"52","#,
            r#""update_id":"c3a1f6de-93b0-4c51-9d59-6f1f0e5a7b04","effective_date":"2026-01-01T00:00:00.000Z","#,
            r#""release_notes":"Fixes a crash at launch"}}}"#,
        );
        let written = |identified: &Identified| serde_json::to_string(&Data::of(identified, "TOKEN")).unwrap();
        assert_eq!(written(&identified), [start, example].concat());
        identified.version.update.as_mut().unwrap().notes = None;
        assert!(written(&identified).contains(r#""release_notes":null}"#), "never left out");
        identified.version = VersionInfo { status: VersionStatus::Supported, update: None };
        assert_eq!(written(&identified), [start, r#"{"status":"UP_TO_DATE","update":null}}"#].concat());
    }
}
