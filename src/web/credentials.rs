//! New keys' credentials, on the only page that ever shows them.

use askama::Template;

use crate::auth::ingest_key::IssuedKey;
use crate::auth::token;
use crate::model::{App, Environment, GuidePart, KeyKind, Span};

use super::connect::{Connect, Filling};
use super::error::PageError;
use super::extract::{Visit, environment_path};
use super::frame::Frame;
use super::state::WebState;

/// New keys with what they need to be used, shown once.
#[derive(Template)]
#[template(path = "pages/credentials.html")]
pub struct Shown {
    frame: Frame,
    heading: String,
    /// What became of an older key, where one of these takes its place.
    note: Option<String>,
    environment: String,
    organization: String,
    app: String,
    public: Option<Public>,
    signing: Option<Signing>,
    connect: Connect,
    overview: String,
}

/// A public key.
struct Public {
    token: String,
    /// As Aptabase's SDKs take it.
    aptabase: String,
}

/// A secret key.
struct Signing {
    token: String,
    secret: String,
}

impl Shown {
    /// Keys of one environment, at most one of each kind, as they are shown.
    pub async fn new(
        state: &WebState,
        visit: &Visit,
        (app, environment): (&App, &Environment),
        keys: Vec<IssuedKey>,
        frame: Frame,
    ) -> Result<Self, PageError> {
        let (mut public, mut signing) = (None, None);
        for IssuedKey { token, secret, new } in keys {
            match new.kind {
                KeyKind::Public => {
                    let aptabase = token::as_aptabase(&token).unwrap_or_default();
                    public = Some(Public { token, aptabase });
                }
                KeyKind::Secret | KeyKind::Either => signing = Some(Signing { token, secret }),
            }
        }
        let filling = Filling {
            app,
            address: &visit.place.address,
            environment: environment.slug.as_str(),
            public: public.as_ref().map(|key| key.token.as_str()),
            signing: signing.as_ref().map(|key| (key.token.as_str(), key.secret.as_str())),
        };
        Ok(Self {
            connect: Connect::new(state, &filling).await?,
            heading: String::new(),
            note: None,
            environment: environment.slug.to_string(),
            organization: app.organization.uuid.to_string(),
            app: app.uuid.to_string(),
            overview: state.site.link(&environment_path(app, environment)),
            frame,
            public,
            signing,
        })
    }

    /// With a heading.
    #[must_use]
    pub fn titled(self, heading: String) -> Self {
        Self { heading, ..self }
    }

    /// With what became of an older key, in whose place one of these is.
    #[must_use]
    pub fn noting(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// Whether a name of an app or key has 1 to 100 characters, none of them a control character.
pub fn name_fits(name: &str) -> bool {
    (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}
