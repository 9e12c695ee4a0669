//! One request of a made-up app on its way into the pipeline.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::demo::{Parcel, Phone, Said, Sender};
use crate::ingest::{Claim, Intake, Request, Scope};
use crate::model::{About, Millis, RawEvent, RawFacts, RawIdentify, Receipt, Refusal, SessionTimes};

/// The SDK of telephones.
const SDK: (&str, &str) = ("@teardown/react-native", "2.0.40");

/// Sends a parcel, as the SDK of its sender would. When it arrived, and what became of it.
pub(super) async fn send(intake: &Intake, scope: &Scope, parcel: Parcel) -> Result<(Millis, Receipt), Refusal> {
    let Parcel { received_at, sent_at, country, sender, events } = parcel;
    let scope = &Scope { country, ..scope.clone() };
    let (user, session, facts) = match sender {
        Sender::Program { user, session, facts } => (user, session, facts),
        Sender::Phone(phone) => identify(intake, scope, &phone).await?,
    };
    let props: Vec<_> = events.iter().map(props).collect();
    let claim = |(said, props)| claim(said, props, (&user, &session, &facts));
    let claims = events.iter().zip(&props).map(claim).collect();
    let request = Request { sent_at, claims, ..Request::new(scope.clone(), received_at) };
    Ok((received_at, intake.accept(request).await?))
}

/// What an installation's events are told of it: user, session and facts.
async fn identify(
    intake: &Intake,
    scope: &Scope,
    phone: &Phone,
) -> Result<(String, String, RawFacts<'static>), Refusal> {
    let owner = phone.owner.as_ref();
    let raw = RawIdentify {
        install_id: &phone.install_id,
        platform: phone.platform,
        system_name: phone.system_name,
        system_version: phone.system_version,
        version: &phone.version,
        build: phone.build,
        device_name: &phone.device_name,
        device_kind: phone.kind,
        device_brand: phone.brand,
        ota: None,
        push: None,
        identifier: owner.map(|(_, email)| email.as_str()),
        email: owner.map(|(_, email)| email.as_str()),
        name: owner.map(|(name, _)| name.as_str()),
        session: None,
        sdk_name: Some(SDK.0),
        sdk_version: Some(SDK.1),
    };
    let identified = intake.identify(scope.clone(), phone.at, SessionTimes::default(), &raw).await?;
    let about = About {
        platform: phone.platform,
        system_version: phone.system_version.to_owned(),
        kind: phone.kind.to_owned(),
        brand: phone.brand.to_owned(),
        version: phone.version.clone(),
        build: phone.build,
        sdk: Some([SDK.0, SDK.1].join("@")),
    };
    Ok((identified.user.to_string(), identified.session.to_string(), about.facts()))
}

fn props(said: &Said) -> Option<Box<RawValue>> {
    match said {
        Said::Event { props, .. } => RawValue::from_string(props.clone()).ok(),
        Said::Unusable { .. } => None,
    }
}

fn claim<'a>(
    said: &'a Said,
    props: &'a Option<Box<RawValue>>,
    (user, session, facts): (&'a str, &'a str, &RawFacts<'static>),
) -> Claim<'a> {
    match said {
        Said::Event { id, claimed_at, name, category, .. } => Claim::Event(RawEvent {
            id: Some(*id),
            claimed_at: Some(*claimed_at),
            name: (*name).into(),
            category: Some((*category).into()),
            user: Some(user.into()),
            session: Some(session.into()),
            props: props.as_deref().map(Cow::Borrowed),
            facts: facts.clone(),
            ..RawEvent::default()
        }),
        Said::Unusable { id, reason, detail, body } => {
            Claim::Unusable { reason: *reason, detail: (*detail).to_owned(), id: Some(*id), body, sent: None }
        }
    }
}
