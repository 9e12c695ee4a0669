//! Whose app a request is for (`teardown`, section 2.1).

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::super::{Gate, public};
use super::fault::{Code, Fault};
use super::headers::Headers;
use crate::ingest::Scope;
use crate::model::{App, Country, Environment, IngestKeyId, KeyLookup, Refusal, Rules, Slug};

/// How the app is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenancy {
    /// By the key of the request, with which its other headers have to agree.
    ByKey,
    /// It is always this one, in its organization if that is named: UUIDs or short names. No key is asked for.
    Single {
        /// The owner.
        organization: Option<String>,
        /// The app.
        app: String,
    },
}

/// The app of a request, and the key that proved it.
#[derive(Clone, Debug)]
pub struct Admitted {
    app: Arc<App>,
    rules: Arc<Rules>,
    key: Option<IngestKeyId>,
}

impl Admitted {
    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// What the app lets in.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The key, where one was asked for.
    pub fn key(&self) -> Option<IngestKeyId> {
        self.key
    }

    /// The app's environment of that short name.
    pub fn environment(&self, slug: &str, code: Code) -> Result<&Environment, Fault> {
        self.app.environment(slug).ok_or_else(|| {
            // What has not even the form of a name is not said again.
            let named = Slug::parse(slug).map_or_else(|| "of that name".to_owned(), |slug| format!("'{slug}'"));
            Fault::Domain(code, format!("project has no environment {named}"))
        })
    }

    /// What the pipeline is told.
    pub fn scope(&self, environment: &Environment, country: Option<Country>) -> Scope {
        Scope { app: self.app.clone(), environment: environment.id, key: self.key, rules: self.rules.clone(), country }
    }
}

/// What a request says of whose app it is for: its organization and app, where they are asked for.
pub type Claimed<'a> = Option<(&'a str, &'a str)>;

/// Reads the headers that name the tenant.
///
/// # Errors
/// 400 for the first that is missing.
pub fn claimed<'a>(gate: &Gate, headers: &Headers<'a>) -> Result<Claimed<'a>, Fault> {
    match gate.teardown.tenancy {
        Tenancy::ByKey => headers.tenant().map(Some),
        Tenancy::Single { .. } => Ok(None),
    }
}

/// Finds the app, and the key if one is asked for.
///
/// # Errors
/// Without a key that works 401, or 429 where its address has tried too many; 403 where organization or app are
/// others than the key's, or the one that is set does not exist.
pub async fn admit(gate: &Gate, claimed: Claimed<'_>, key: Option<&str>, address: IpAddr) -> Result<Admitted, Fault> {
    match (&gate.teardown.tenancy, claimed) {
        (Tenancy::Single { organization, app }, _) => single(gate, organization.as_deref(), app).await,
        (Tenancy::ByKey, claimed) => by_key(gate, claimed.unwrap_or_default(), key, address).await,
    }
}

async fn single(gate: &Gate, organization: Option<&str>, app: &str) -> Result<Admitted, Fault> {
    let lookup = KeyLookup::App(organization.map(str::to_owned), app.to_owned());
    match gate.keys.find(&lookup, |ring| ring.map(|ring| (ring.app.clone(), ring.rules.clone()))).await? {
        Some((app, rules)) => {
            app.check_open().map_err(Fault::Refused)?;
            Ok(Admitted { app, rules, key: None })
        }
        None => {
            let message = format!("the setting teardown_tenant names the app {app}, which this server does not have");
            Err(Fault::Refused(Refusal::Forbidden(message)))
        }
    }
}

async fn by_key(
    gate: &Gate,
    (organization, app): (&str, &str),
    key: Option<&str>,
    address: IpAddr,
) -> Result<Admitted, Fault> {
    let key = key.ok_or("header td-api-key is required");
    let found = public::find(gate, key, address).await.map_err(|refusal| match refusal {
        Refusal::Unauthorized => Fault::Unauthorized("unknown API key"),
        Refusal::WrongCredential(what) => Fault::Unauthorized(what),
        other => Fault::Refused(other),
    })?;
    let public::Admitted { app: found, rules, key, .. } = found;
    let forbidden = |what| Err(Fault::Refused(Refusal::Forbidden(format!("this API key belongs to another {what}"))));
    if !names(organization, found.organization.uuid, &found.organization.slug) {
        return forbidden("organization");
    }
    if !names(app, found.uuid, &found.slug) {
        return forbidden("project");
    }
    found.check_open().map_err(Fault::Refused)?;
    Ok(Admitted { app: found, rules, key: Some(key) })
}

fn names(text: &str, uuid: Uuid, slug: &Slug) -> bool {
    text == slug.as_str() || Uuid::try_parse(text) == Ok(uuid)
}
