//! `POST /v1/events`: a batch of events, with the device and session that each belongs to (`teardown`, section 10).

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use serde::Serialize;
use uuid::Uuid;

use super::fault::{Code, Fault};
use super::headers::Headers;
use super::tenant::{self, Admitted};
use super::wire::events::{Batch, Event, MOST, NoBatch, read};
use super::{Call, success};
use crate::http::metrics::{AnsweredBatch, Resolved};
use crate::ingest::{Claim, Request, device_hash};
use crate::model::{
    Environment, EnvironmentId, KnownDevice, KnownSession, Outcome, RawEvent, RawFacts, Reason, Receipt, Refusal, Salt,
    SubjectHash,
};

/// Longest name of a device that can be known, in bytes: of 255 characters.
const DEVICE: usize = 255 * 4;

/// What the figures are to say of a batch, whatever becomes of it.
#[derive(Debug, Default)]
pub struct Seen {
    /// Whom it was for.
    pub resolved: Resolved,
    /// How large it was, and how much of it was taken.
    pub batch: AnsweredBatch,
}

/// The order of checks is the protocol's (sections 2.2 and 10.2): headers, key, body, environment, device, session.
pub async fn take(call: &Call, body: Body, seen: &mut Seen) -> Result<Response, Fault> {
    let (gate, headers) = (&call.gate, call.headers());
    let claimed = tenant::claimed(gate, &headers)?;
    let slug = headers.environment()?;
    let admitted = tenant::admit(gate, claimed, headers.key, call.origin.address).await?;
    seen.resolved.app(admitted.app());
    call.enter(&admitted)?;
    gate.intake.door().afford(admitted.app().id, admitted.rules()).await?;
    let bytes = call.body(body).await?;
    let batch = batch(&bytes, &mut seen.batch)?;
    let environment = admitted.environment(slug, Code::EventsProcessingFailed)?;
    seen.resolved.environment(&environment.slug);
    let banned = DeviceBans::of(&admitted);
    let named = batch.device.as_deref().or(headers.device);
    let mut sorted = if named.is_some_and(|named| banned.hold(named)) {
        // It need not be known: its identify may have been turned away.
        Sorted::banned(&batch.events)
    } else {
        let whole = Whose::whole(call, environment.id, &headers, &batch).await?;
        sort(call, (environment.id, banned), &whole, &batch.events).await?
    };
    let sign_out = sorted.sign_out.take();
    let receipt = accept(call, &admitted, environment, sorted.claims, sign_out.as_ref()).await?;
    if let Some(out) = &sign_out {
        gate.teardown.roster.forget(environment.id, [&out.named, &out.device.to_string()]);
    }
    let data = Data::of(&sorted.ids, &receipt);
    tell(call, &admitted, environment, &data, &mut seen.batch);
    if data.processed_count == 0 {
        let message = "none of the events could be kept".to_owned();
        return Err(Fault::Domain(Code::EventsProcessingFailed, message));
    }
    seen.batch.taken = Some(data.processed_count);
    Ok(success(&data))
}

fn batch<'a>(bytes: &'a [u8], seen: &mut AnsweredBatch) -> Result<Batch<'a>, Fault> {
    match read(bytes) {
        Ok(batch) => {
            seen.sent = batch.events.len();
            Ok(batch)
        }
        Err(NoBatch::TooMany(events)) => {
            seen.sent = events;
            Err(Fault::Domain(Code::BatchSizeExceeded, format!("a batch holds at most {MOST} events")))
        }
        Err(NoBatch::Invalid(invalid)) => Err(invalid.into()),
    }
}

/// The device and the session of an event, as far as it has any.
#[derive(Clone, Default)]
struct Whose {
    /// Under the name that was sent.
    device: Option<(String, Arc<KnownDevice>)>,
    session: Option<Arc<KnownSession>>,
}

impl Whose {
    /// Those of the whole batch: of its body, else of its headers.
    async fn whole(
        call: &Call,
        environment: EnvironmentId,
        headers: &Headers<'_>,
        batch: &Batch<'_>,
    ) -> Result<Self, Fault> {
        let teardown = &call.gate.teardown;
        let named = batch.device.as_deref().or(headers.device);
        let device = match named {
            None => None,
            Some(named) => match device(call, environment, named).await? {
                None if !teardown.lenient_devices => {
                    let message = "device is not known in this environment; identify first".to_owned();
                    return Err(Fault::Domain(Code::InvalidDevice, message));
                }
                found => found.map(|device| (named.to_owned(), device)),
            },
        };
        let session = match batch.session.as_deref().or(headers.session) {
            None => None,
            Some(text) => {
                let id = Uuid::try_parse(text).ok();
                let found = match id {
                    Some(id) => teardown.roster.session(environment, id).await?,
                    None => None,
                };
                Some(found.ok_or_else(|| {
                    let message = "session is not known in this environment".to_owned();
                    Fault::Domain(Code::InvalidSession, message)
                })?)
            }
        };
        Ok(Self { device, session })
    }

    /// Those of one event: its own, else of the whole batch. `Err` says which of its own is not known.
    async fn of(
        &self,
        call: &Call,
        environment: EnvironmentId,
        event: &Event<'_>,
    ) -> Result<Result<Self, &'static str>, Refusal> {
        let mut whose = self.clone();
        if let Some(named) = event.device.as_deref() {
            let found = device(call, environment, named).await?;
            if found.is_none() && !call.gate.teardown.lenient_devices {
                return Ok(Err("the event names a device that is not known in this environment"));
            }
            whose.device = found.map(|device| (named.to_owned(), device));
        }
        if let Some(id) = event.session {
            whose.session = call.gate.teardown.roster.session(environment, id).await?;
            if whose.session.is_none() {
                return Ok(Err("the event names a session that is not known in this environment"));
            }
        }
        Ok(Ok(whose))
    }

    /// The end user: whoever was in the session, else whoever has the device now.
    fn user(&self) -> Option<Uuid> {
        let of_session = self.session.as_ref().and_then(|session| session.user);
        of_session.or_else(|| self.device.as_ref().and_then(|(_, device)| device.user))
    }

    fn session(&self) -> Option<Uuid> {
        let named = self.session.as_ref().map(|session| session.id);
        named.or_else(|| self.device.as_ref().and_then(|(_, device)| device.session))
    }

    /// What the installation calls itself.
    fn install(&self) -> Option<&str> {
        let device = self.device.as_ref().map(|(_, device)| device.install_id.as_str());
        device.or_else(|| self.session.as_ref().map(|session| session.install_id.as_str()))
    }

    fn facts(&self) -> RawFacts<'static> {
        match (&self.session, &self.device) {
            (Some(session), _) => session.about.facts(),
            (None, Some((_, device))) => device.about.facts(),
            (None, None) => RawFacts::default(),
        }
    }

    /// Row and names of the device that is signed out.
    fn sign_out(&self) -> Option<SignOut> {
        match (&self.device, &self.session) {
            (Some((named, device)), _) => Some(SignOut { row: device.row, named: named.clone(), device: device.id }),
            (None, Some(session)) => Some(SignOut { row: session.device, named: String::new(), device: Uuid::nil() }),
            (None, None) => None,
        }
    }
}

/// A device whose user signs out.
struct SignOut {
    row: i64,
    named: String,
    device: Uuid,
}

/// The device of that name, in its own words or ours.
async fn device(call: &Call, environment: EnvironmentId, named: &str) -> Result<Option<Arc<KnownDevice>>, Refusal> {
    if named.len() > DEVICE {
        return Ok(None);
    }
    call.gate.teardown.roster.device(environment, named).await
}

/// A batch with everything found that its events belong to.
struct Sorted<'a> {
    /// One for each event, in order.
    ids: Vec<Uuid>,
    claims: Vec<Claim<'a>>,
    sign_out: Option<SignOut>,
}

impl Sorted<'_> {
    /// A batch of which nothing is to be kept.
    fn banned(events: &[Event<'_>]) -> Self {
        let ids = events.iter().map(|_| Uuid::new_v4()).collect();
        Self { ids, claims: events.iter().map(|_| Claim::Banned).collect(), sign_out: None }
    }
}

/// Devices that an app has banned.
#[derive(Clone, Copy)]
struct DeviceBans<'a> {
    salt: &'a Salt,
    banned: &'a HashSet<SubjectHash>,
}

impl<'a> DeviceBans<'a> {
    fn of(admitted: &'a Admitted) -> Self {
        Self { salt: &admitted.app().salt, banned: &admitted.rules().banned.devices }
    }

    fn hold(self, install_id: &str) -> bool {
        !self.banned.is_empty() && self.banned.contains(&device_hash(self.salt, install_id))
    }
}

async fn sort<'a>(
    call: &Call,
    (environment, banned): (EnvironmentId, DeviceBans<'_>),
    whole: &Whose,
    events: &[Event<'a>],
) -> Result<Sorted<'a>, Refusal> {
    let ids: Vec<Uuid> = events.iter().map(|_| Uuid::new_v4()).collect();
    let mut claims = Vec::with_capacity(events.len());
    let mut sign_out = None;
    let facts = whole.facts();
    for (event, id) in events.iter().zip(&ids) {
        let own = event.device.is_some() || event.session.is_some();
        let whose = if own { whole.of(call, environment, event).await? } else { Ok(whole.clone()) };
        claims.push(match whose {
            Err(detail) => {
                let (reason, detail) = (Reason::Invalid, detail.to_owned());
                // Whom it names is not kept, so it could never be found again.
                Claim::Unusable { reason, detail, id: Some((*id).into()), body: event.text, sent: None }
            }
            Ok(whose) if whose.install().is_some_and(|install| banned.hold(install)) => Claim::Banned,
            Ok(whose) => {
                if event.is_sign_out() {
                    sign_out = whose.sign_out().or(sign_out);
                }
                let facts = if own { whose.facts() } else { facts.clone() };
                Claim::Event(raw(event, *id, &whose, facts))
            }
        });
    }
    Ok(Sorted { ids, claims, sign_out })
}

/// Users and sessions are named as identify names them, so that they are the same ones.
fn raw<'a>(event: &Event<'a>, id: Uuid, whose: &Whose, facts: RawFacts<'a>) -> RawEvent<'a> {
    let text = |id: Uuid| Cow::Owned(id.hyphenated().to_string());
    RawEvent {
        id: Some(id.into()),
        claimed_at: event.at,
        name: event.name.clone(),
        category: Some(Cow::Borrowed(event.kind)),
        user: whose.user().map(text),
        session: whose.session().map(text),
        props: event.properties.map(Cow::Borrowed),
        facts,
        ..RawEvent::default()
    }
}

async fn accept(
    call: &Call,
    admitted: &Admitted,
    environment: &Environment,
    claims: Vec<Claim<'_>>,
    sign_out: Option<&SignOut>,
) -> Result<Receipt, Fault> {
    let intake = &call.gate.intake;
    let untracked = call.gate.respect_dnt && call.asks_not_to_be_tracked();
    let (dropped, claims) = if untracked { (claims.len(), Vec::new()) } else { (0, claims) };
    let sign_out = sign_out.map(|out| out.row);
    // Whoever is not tracked signs out all the same.
    let receipt = if claims.is_empty() && sign_out.is_none() {
        Receipt::default()
    } else {
        let received_at = call.origin.received_at;
        let scope = admitted.scope(environment, intake.country(call.origin.address));
        let request = Request { claims, sign_out, ..Request::new(scope, received_at) };
        intake.accept(request).await.map_err(|refusal| call.refused(refusal))?
    };
    Ok(if dropped > 0 { intake.drop_all(admitted.app(), dropped) } else { receipt })
}

/// In the order of section 10.3.
#[derive(Serialize)]
struct Data {
    event_ids: Vec<Uuid>,
    processed_count: usize,
    failed_count: usize,
}

impl Data {
    /// One id for each event that was taken; one that was set aside has failed.
    fn of(ids: &[Uuid], receipt: &Receipt) -> Self {
        let taken = ids.iter().zip(&receipt.outcomes).filter(|(_, outcome)| !matches!(outcome, Outcome::SetAside(..)));
        let event_ids: Vec<Uuid> = taken.map(|(id, _)| *id).collect();
        let processed_count = event_ids.len();
        Self { event_ids, processed_count, failed_count: ids.len() - processed_count }
    }
}

fn tell(call: &Call, admitted: &Admitted, environment: &Environment, data: &Data, seen: &mut AnsweredBatch) {
    let (app, environment) = (admitted.app().slug.as_str(), environment.slug.as_str());
    let (processed, failed, most) = (data.processed_count, data.failed_count, call.gate.teardown.high_volume);
    tracing::info!(app, environment, processed, failed, "events");
    if seen.sent > most {
        seen.high_volume = true;
        tracing::warn!(app, environment, events = seen.sent, usual = most, "high volume");
    }
}
