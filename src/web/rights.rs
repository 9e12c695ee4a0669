//! How people and devices are named in the addresses and forms of their rights, and how an erasure is told.

use uuid::Uuid;

use crate::model::{App, Environment, EnvironmentId, Erasure, ErasureKind, Subject, UserHash, Who};

use super::extract::{AppVisit, environment_path};
use super::form::Fields;
use super::format::{Calendar, When, grouped};
use super::state::WebState;

/// Whom a query or a form names in an environment.
pub fn subject(environment: &Environment, fields: &Fields) -> Option<Subject> {
    let user = fields.find("user").and_then(UserHash::parse).map(Who::User);
    let device = fields.find("device").and_then(|id| Uuid::try_parse(id).ok()).map(Who::Device);
    user.or(device).map(|who| Subject { environment: environment.id, who })
}

/// The name and the value of the field that names them.
pub fn named(who: Who) -> (&'static str, String) {
    match who {
        Who::User(hash) => ("user", hash.to_string()),
        Who::Device(id) => ("device", id.to_string()),
    }
}

/// What has to be typed before they are erased: the beginning of what is shown of them.
pub fn confirmation(who: Who) -> String {
    let (_, mut id) = named(who);
    id.truncate(8);
    id
}

/// The environment of that row.
pub fn environment(app: &App, id: EnvironmentId) -> Option<&Environment> {
    app.environments.iter().find(|environment| environment.id == id)
}

/// Where their rights are, in an environment of an app.
pub fn address(state: &WebState, app: &App, subject: Subject) -> Option<String> {
    let path = environment_path(app, environment(app, subject.environment)?);
    let (name, id) = named(subject.who);
    Some(state.site.link(&format!("{path}/people/one?{name}={id}")))
}

/// An erasure, for pages.
pub struct Told {
    /// Its own page.
    pub href: String,
    /// Of what, and where.
    pub what: String,
    /// Its digest.
    pub digest: String,
    /// What is being done, until it is done.
    pub doing: Option<&'static str>,
    /// Rows that are gone, by table.
    pub counts: Vec<(String, String)>,
    /// All of those.
    pub rows: String,
    /// Who asked.
    pub member: String,
    /// When.
    pub asked: When,
    /// When it was done.
    pub ended: Option<When>,
}

impl Told {
    /// From an erasure of that app.
    pub fn of(state: &WebState, on: &AppVisit, calendar: &Calendar, erasure: &Erasure) -> Self {
        let count = |rows: u64| grouped(i64::try_from(rows).unwrap_or(i64::MAX));
        let place = erasure.environment.and_then(|id| environment(&on.app, id));
        let place = place.map(|environment| format!(" in {}", environment.slug)).unwrap_or_default();
        let what = match erasure.kind {
            ErasureKind::Person => "Person",
            ErasureKind::Device => "Device",
            ErasureKind::App => "App",
        };
        Self {
            href: state.site.link(&format!("/apps/{}/people/erasure?id={}", on.app.slug, erasure.id)),
            what: format!("{what}{place}"),
            digest: erasure.digest.clone(),
            doing: erasure.ended_at.is_none().then_some(erasure.doing),
            counts: erasure.counts.0.iter().map(|(table, rows)| (table.replace('_', " "), count(*rows))).collect(),
            rows: count(erasure.counts.sum()),
            member: erasure.member.clone(),
            asked: calendar.date_time(erasure.asked_at),
            ended: erasure.ended_at.map(|at| calendar.date_time(at)),
        }
    }
}
