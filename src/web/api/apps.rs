//! `GET /api/v1/apps`: the apps that the caller may read.

use axum::extract::State;
use serde::Serialize;

use super::super::state::WebState;
use super::{Answer, ApiError, Params, Reader, Utc};
use crate::model::App;

#[derive(Serialize)]
struct List<'a> {
    apps: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    app: &'a str,
    id: String,
    name: &'a str,
    zone: &'a str,
    /// The default one first.
    environments: Vec<&'a str>,
    created_at: Utc,
    first_event_at: Option<Utc>,
}

/// Answers with all of them, by name.
pub async fn list(State(state): State<WebState>, reader: Reader, params: Params) -> Result<Answer, ApiError> {
    params.end()?;
    let apps = state.ask(|store| store.apps()).await?;

    Ok(Answer::new(&List { apps: apps.iter().filter(|app| reader.may_read(app)).map(Shown::from).collect() }))
}

impl<'a> From<&'a App> for Shown<'a> {
    fn from(app: &'a App) -> Self {
        Self {
            app: app.slug.as_str(),
            id: app.uuid.to_string(),
            name: &app.name,
            zone: app.zone.name(),
            environments: app.environments.iter().map(|environment| environment.slug.as_str()).collect(),
            created_at: Utc(app.created_at),
            first_event_at: app.first_event_at.map(Utc),
        }
    }
}
