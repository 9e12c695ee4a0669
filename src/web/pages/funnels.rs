//! The funnels that an environment keeps, and the form of a new one.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect};
use uuid::Uuid;

use crate::model::{FunnelAsk, SaveFunnel, SavedFunnel};
use crate::query::{FunnelShape, WINDOW, filters};
use crate::store::StoreError;

use super::super::error::{Page, PageError, page};
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::state::WebState;
use super::super::steps::{Asked, StepForm, frequent, window_label};
use super::funnel::{Refused, show_with};

/// Steps of the example that is made of the most frequent events.
const EXAMPLE: usize = 3;

#[derive(Template)]
#[template(path = "pages/funnels.html")]
struct Funnels {
    frame: Frame,
    rows: Vec<Row>,
    example: Option<Example>,
    /// Nothing where no event has happened yet.
    form: Option<StepForm>,
}

struct Row {
    name: String,
    href: String,
    steps: String,
    window: String,
    saved: When,
}

struct Example {
    label: String,
    href: String,
}

/// `GET /apps/{app}/funnels` and `GET /apps/{app}/{env}/funnels`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let query = query.unwrap_or_default();
    let environment = on.environment.id;
    let saved = state.ask(move |store| store.funnels(environment)).await?;
    let [path, all] = ["funnel", "funnels"].map(|page| state.site.link(&format!("{}/{page}", on.path())));
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let (form, example) = match Asked::read(&state, &on, &query).await? {
        None => (None, None),
        Some(asked) => {
            let events = frequent(&state, &on, &asked.selection).await?;
            let example = example(&events, &path);
            let rows = Fields::parse(query.as_bytes()).get("rows").parse().unwrap_or(EXAMPLE);
            (Some(asked.form((&path, &all), rows, events)), example)
        }
    };
    page(&Funnels {
        frame: Frame::app(&state, &on, "/funnels"),
        rows: saved.iter().map(|funnel| row(funnel, &path, &calendar)).collect(),
        example,
        form,
    })
}

/// `POST /apps/{app}/funnels` and `POST /apps/{app}/{env}/funnels`: keeps, renames or forgets a funnel.
pub async fn change(state: State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let environment = on.environment.id;
    let id = match fields.get("id") {
        "" => None,
        id => Some(Uuid::try_parse(id).map_err(|_| PageError::BadForm)?),
    };
    let to = |path: &str| Redirect::to(&state.site.link(&format!("{}/{path}", on.path()))).into_response();
    match (fields.get("act"), id) {
        ("delete", Some(id)) => {
            state.ask(move |store| store.delete_funnel(environment, id)).await?;
            Ok(to("funnels"))
        }
        ("save", id) => {
            let query = definition(fields.get("query")).ok_or(PageError::BadForm)?;
            let name = fields.get("name").trim().to_owned();
            let save = SaveFunnel { environment, id, name: name.clone(), query, at: state.clock.now() };
            let problem = match problem(&save) {
                Some(problem) => problem,
                None => match state.ask(move |store| store.save_funnel(&save)).await {
                    Ok(saved) => return Ok(to(&format!("funnel?id={}", saved.id))),
                    Err(StoreError::Exists(_)) => "Another funnel has that name.",
                    Err(StoreError::NoRoom(_)) => "There are a hundred funnels already. Delete one that nobody needs.",
                    Err(error) => return Err(error.into()),
                },
            };
            let refused = Refused { name, problem: problem.to_owned() };
            let query = fields.get("query").to_owned();
            show_with(state, on, &query, Some(refused)).await
        }
        _ => Err(PageError::BadForm),
    }
}

/// What is kept of the query string of a funnel's page: steps and filters in their own words, not the range.
fn definition(query: &str) -> Option<String> {
    let fields = Fields::parse(query.as_bytes());
    let shape = FunnelShape::parse(fields.iter()).ok()?;
    if shape.steps.len() < FunnelAsk::FEWEST {
        return None;
    }
    let pairs = shape.pairs().into_iter().chain(filters::pairs(&filters::parse(fields.iter())));
    Some(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// Why a funnel cannot be kept, for whoever fills in the form.
fn problem(save: &SaveFunnel) -> Option<&'static str> {
    match save.name.chars().count() {
        0 => Some("A funnel that is kept has a name."),
        length if length > SaveFunnel::NAME => Some("A name has 80 characters at the most."),
        _ if save.name.contains('\0') => Some("A name is plain text."),
        _ if save.query.len() > SaveFunnel::QUERY => Some("That are too many conditions to keep."),
        _ => None,
    }
}

fn row(funnel: &SavedFunnel, path: &str, calendar: &Calendar) -> Row {
    let fields = Fields::parse(funnel.query.as_bytes());
    let shape = FunnelShape::parse(fields.iter()).ok();
    let names = shape.iter().flat_map(|shape| &shape.steps).map(|step| step.event.as_ref());
    Row {
        name: funnel.name.clone(),
        href: format!("{path}?id={}", funnel.id),
        steps: names.collect::<Vec<_>>().join(" → "),
        window: window_label(shape.as_ref().map_or(WINDOW, |shape| shape.window)),
        saved: calendar.date(funnel.saved_at),
    }
}

/// The most frequent events, as a funnel to begin with.
fn example(events: &[String], path: &str) -> Option<Example> {
    let steps = &events[..events.len().min(EXAMPLE)];
    if steps.len() < FunnelAsk::FEWEST {
        return None;
    }
    let pairs = steps.iter().map(|event| ("step", event));
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Some(Example { label: steps.join(" → "), href: format!("{path}?{query}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_the_funnel_alone() {
        for (query, kept) in [
            ("range=90d&id=x&step=a&step=b&window=1d&version=1", Some("step=a&step=b&window=1d&version=1")),
            ("step=a&csrf=x", None),
            ("step=a&step=b&window=never", None),
        ] {
            assert_eq!(definition(query).as_deref(), kept, "{query}");
        }
    }
}
