//! What a developer pastes to send a first event: the published Rust SDK, and a signed request by hand.

use askama::Template;

use crate::model::App;

/// Texts to copy, complete as they stand.
pub struct Snippets {
    /// Lines for `Cargo.toml`.
    pub cargo: String,
    /// A whole `main.rs` for telemetry-kit 0.3.0. Its builder has no endpoint: that is a setting of the sync.
    pub rust: String,
    /// A command for a POSIX shell with `openssl` and `curl`, in the form of the telemetry-kit guide: bearer token,
    /// signature over `timestamp:body`.
    pub curl: String,
}

/// What a snippet proves itself with.
pub struct Credentials<'a> {
    /// Selects the key.
    pub token: &'a str,
    /// Signs.
    pub secret: &'a str,
}

#[derive(Template)]
#[template(path = "parts/snippet.rs.txt")]
struct RustText<'a> {
    endpoint: &'a str,
    organization: String,
    app: String,
    service: &'a str,
    credentials: &'a Credentials<'a>,
}

#[derive(Template)]
#[template(path = "parts/snippet.sh.txt")]
struct ShellText<'a> {
    endpoint: &'a str,
    organization: String,
    app: String,
    service: &'a str,
    credentials: &'a Credentials<'a>,
}

/// The texts for an app; `endpoint` is the box's address without a slash at its end.
pub fn snippets(app: &App, endpoint: &str, credentials: &Credentials<'_>) -> Result<Snippets, askama::Error> {
    let (organization, id) = (app.organization.uuid.to_string(), app.uuid.to_string());
    // The SDK takes only lower case; a slug's other characters are its own.
    let service = &app.slug.as_str().to_ascii_lowercase();
    let rust = RustText { endpoint, organization: organization.clone(), app: id.clone(), service, credentials };
    let curl = ShellText { endpoint, organization, app: id, service, credentials };
    Ok(Snippets {
        cargo: "telemetry-kit = \"0.3.0\"\ntokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }"
            .to_owned(),
        rust: rust.render()?,
        curl: curl.render()?,
    })
}
