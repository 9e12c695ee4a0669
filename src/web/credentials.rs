//! A new key's credentials, on the only page that ever shows them.

use askama::Template;

use crate::auth::ingest_key::IssuedKey;
use crate::model::{App, KeyKind};

use super::error::PageError;
use super::extract::Visit;
use super::frame::Frame;
use super::snippet::{Credentials, Snippets, snippets};

/// A new key with what it needs to be used, shown once.
#[derive(Template)]
#[template(path = "pages/credentials.html")]
pub struct Shown {
    /// The page's surroundings.
    pub frame: Frame,
    /// Its heading.
    pub heading: String,
    /// What became of an older key, where this one takes its place.
    pub note: Option<String>,
    /// Into which environment it sends, by short name.
    pub environment: String,
    /// `org_id` of the SDK.
    pub organization: String,
    /// `app_id` of the SDK.
    pub app: String,
    /// The key's token.
    pub token: String,
    /// The key's secret, where it has one.
    pub secret: Option<String>,
    /// To paste, where the key signs.
    pub snippets: Option<Snippets>,
    /// The box's address for SDKs.
    pub address: String,
    /// Where the first event will appear.
    pub overview: String,
}

/// A new key as it is shown, with plain surroundings that the caller may replace.
pub fn shown(app: &App, visit: &Visit, issued: IssuedKey, frame: Frame) -> Result<Shown, PageError> {
    let IssuedKey { token, secret, new } = issued;
    let address = visit.place.address.clone();
    let signs = new.kind != KeyKind::Public;
    let credentials = Credentials { token: &token, secret: &secret };
    let snippets = signs.then(|| snippets(app, &address, &credentials)).transpose()?;
    Ok(Shown {
        frame,
        heading: String::new(),
        note: None,
        environment: String::new(),
        organization: app.organization.uuid.to_string(),
        app: app.uuid.to_string(),
        overview: String::new(),
        snippets,
        address,
        token,
        secret: signs.then_some(secret),
    })
}

/// Whether a name of an app or key has 1 to 100 characters, none of them a control character.
pub fn name_fits(name: &str) -> bool {
    (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}
