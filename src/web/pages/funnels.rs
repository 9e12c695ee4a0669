//! The funnels that an environment keeps, and the form of a new one.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{FunnelAsk, SavedFunnel};
use crate::query::{FunnelShape, WINDOW};

use super::super::error::{Page, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::state::WebState;
use super::super::steps::{Asked, StepForm, frequent, window_label};

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
