//! What an app's clients are ordered to do, what they hear of it, and what was not kept because of it.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{
    LONGEST_FLUSH, MOST_NAMES, MOST_ORDERS, Millis, NewOrder, OrderId, Orders, StandingOrder, Withheld,
};
use crate::store::StoreError;

use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::{Calendar, When, grouped};
use super::super::frame::Frame;
use super::super::ordering::{self, Blank, Heard};
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/etiquette.html")]
struct Etiquette {
    frame: Frame,
    action: String,
    csrf: String,
    administers: bool,
    environments: Vec<String>,
    zone: String,
    longest_flush: u32,
    most_names: usize,
    orders: Vec<Row>,
    /// Why events of today were not kept, and how many.
    withheld: Vec<(&'static str, String)>,
    /// How many of today are on the disk.
    stored: String,
    /// The form as it is filled in.
    blank: Blank,
    /// What it would be, where that was asked.
    preview: Option<Preview>,
    problem: Option<String>,
}

/// An order that is not given yet.
struct Preview {
    whom: String,
    what: Vec<String>,
    heard: Vec<Heard>,
}

/// One order.
struct Row {
    id: OrderId,
    whom: String,
    what: Vec<String>,
    /// Whether nothing of it is left.
    is_over: bool,
    /// Whether clients are to be quiet.
    is_quiet: bool,
    since: When,
    member: String,
    heard: Vec<Heard>,
    /// Where the form is filled in with it.
    change: String,
}

/// `GET /apps/{app}/etiquette`; `order` is the number of one that the form is to be filled in with.
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let asked = Fields::parse(query.unwrap_or_default().as_bytes());
    let chosen = asked.get("order").parse().ok().map(OrderId);
    page(&view(&state, &on, chosen).await?)
}

/// `POST /apps/{app}/etiquette`: gives an order or shows what it would be, or lifts one.
pub async fn change(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    match fields.get("act") {
        "give" | "preview" => give(&state, &on, &fields).await,
        "lift" => {
            let id = fields.get("id").parse().map(OrderId).map_err(|_| PageError::BadForm)?;
            let (app, by) = (on.app.id, on.visit.by(&state));
            match state.ask(move |store| store.lift_order(app, id, &by)).await {
                Err(StoreError::NotFound(_)) => {} // somebody else was faster
                done => done?,
            }
            Ok(back(&state, &on))
        }
        _ => Err(PageError::BadForm),
    }
}

async fn give(state: &WebState, on: &AppVisit, fields: &Fields) -> Page {
    let new = match ordering::read(fields, &on.app, state.clock.now()) {
        Ok(new) => new,
        Err(problem) => return refuse(state, on, fields, (StatusCode::UNPROCESSABLE_ENTITY, problem)).await,
    };
    if fields.get("act") == "preview" {
        let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
        let shown = Etiquette {
            preview: Some(preview(state, on, &new, &calendar)),
            blank: Blank::typed(fields),
            ..view(state, on, None).await?
        };
        return page(&shown);
    }
    let by = on.visit.by(state);
    match state.ask(move |store| store.give_order(&new, &by)).await {
        Err(StoreError::NoRoom(_)) => {
            let full = format!("There are {MOST_ORDERS} orders already. Lift some first.");
            refuse(state, on, fields, (StatusCode::CONFLICT, full)).await
        }
        done => {
            done?;
            Ok(back(state, on))
        }
    }
}

/// The page once more, with the form as it was filled in.
async fn refuse(state: &WebState, on: &AppVisit, fields: &Fields, (status, problem): (StatusCode, String)) -> Page {
    let again = Etiquette { problem: Some(problem), blank: Blank::typed(fields), ..view(state, on, None).await? };
    page_with(status, &again)
}

fn back(state: &WebState, on: &AppVisit) -> axum::response::Response {
    state.keys.forget();
    Redirect::to(&state.site.link(&path(on))).into_response()
}

fn path(on: &AppVisit) -> String {
    format!("/apps/{}/etiquette", on.app.slug)
}

async fn view(state: &WebState, on: &AppVisit, chosen: Option<OrderId>) -> Result<Etiquette, PageError> {
    let (app, now) = (on.app.id, state.clock.now());
    let day = now.0.div_euclid(Millis::DAY);
    let (orders, intake) = state.ask(move |store| Ok((store.orders(app)?, store.intake(app, day)?))).await?;
    let counted = |outcome: &str| intake.iter().find(|(name, _)| name == outcome).map_or(0, |(_, many)| *many);
    let count = |many: u64| grouped(i64::try_from(many).unwrap_or(i64::MAX));
    let withheld = Withheld::ALL.into_iter().map(|why| (why.label(), counted(why.as_str())));
    let chosen = chosen.and_then(|id| orders.0.iter().find(|order| order.id == id));
    Ok(Etiquette {
        frame: Frame::app(state, on, "/etiquette"),
        action: state.site.link(&path(on)),
        csrf: on.visit.csrf.clone(),
        administers: on.administers(),
        environments: on.app.environments.iter().map(|environment| environment.slug.to_string()).collect(),
        zone: on.app.zone.name().to_owned(),
        longest_flush: LONGEST_FLUSH,
        most_names: MOST_NAMES,
        withheld: withheld.filter(|(_, many)| *many > 0).map(|(label, many)| (label, count(many))).collect(),
        stored: count(counted("stored")),
        blank: chosen.map_or_else(Blank::default, |order| Blank::of(order, &on.app)),
        orders: rows(state, on, &orders),
        preview: None,
        problem: None,
    })
}

/// The newest first.
fn rows(state: &WebState, on: &AppVisit, orders: &Orders) -> Vec<Row> {
    let now = state.clock.now();
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let row = |order: &StandingOrder| {
        let is_over = order.is_over(now);
        Row {
            id: order.id,
            whom: capital(&ordering::whom(&order.versions, order.environment, &on.app)),
            what: order.order.told(|at| calendar.date_time(at).text),
            is_over,
            is_quiet: order.order.is_quiet(now),
            since: calendar.date_time(order.since),
            member: order.member.clone(),
            heard: if is_over { Vec::new() } else { ordering::heard(&order.order, &state.about.words) },
            change: state.site.link(&format!("{}?order={}#give", path(on), order.id)),
        }
    };
    orders.0.iter().rev().map(row).collect()
}

/// With a capital letter at its beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

fn preview(state: &WebState, on: &AppVisit, new: &NewOrder, calendar: &Calendar) -> Preview {
    Preview {
        whom: ordering::whom(&new.versions, new.environment, &on.app),
        what: new.order.told(|at| calendar.date_time(at).text),
        heard: ordering::heard(&new.order, &state.about.words),
    }
}
