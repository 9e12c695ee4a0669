//! For how long an app keeps events, sessions and what was set aside, and what of it is gone.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{Choice, Environment, Keeping, Keeps, Kept, MOST_DAYS, Millis};

use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::{Calendar, When, grouped};
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/keeping.html")]
struct View {
    frame: Frame,
    action: String,
    csrf: String,
    most: u32,
    environments: Vec<Block>,
    /// Why nothing is deleted now.
    held: Option<String>,
    problem: Option<String>,
}

/// One environment.
struct Block {
    slug: String,
    rows: Vec<Row>,
}

/// One kind of what it keeps.
struct Row {
    kind: Kept,
    by: &'static str,
    /// What stands in the field.
    typed: String,
    /// What holds where nothing stands there.
    of_box: String,
    holds: String,
    oldest: Option<When>,
    gone: Option<When>,
}

/// `GET /apps/{app}/keeping`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    if !on.administers() {
        return Err(PageError::Role);
    }
    page(&view(&state, &on, None).await?)
}

/// `POST /apps/{app}/keeping`: chooses for one environment.
pub async fn change(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let environment = on.app.environment(fields.get("environment")).ok_or(PageError::BadForm)?.id;
    let kinds: Result<Vec<_>, String> = Kept::ALL.into_iter().map(|kind| Ok((kind, typed(&fields, kind)?))).collect();
    let kinds = match kinds {
        Ok(kinds) => kinds,
        Err(problem) => return page_with(StatusCode::UNPROCESSABLE_ENTITY, &view(&state, &on, Some(problem)).await?),
    };
    let choice = Choice { app: on.app.id, environments: vec![environment], kinds };
    let by = on.visit.by(&state);
    state.ask(move |store| store.choose_keeping(&choice, &by)).await?;
    state.keys.forget();
    Ok(Redirect::to(&state.site.link(&format!("/apps/{}/keeping", on.app.slug))).into_response())
}

/// Days, 0 for ever; none where the field is empty.
fn typed(fields: &Fields, kind: Kept) -> Result<Option<u32>, String> {
    match fields.get(kind.as_str()).trim() {
        "" => Ok(None),
        text => match text.parse() {
            Ok(days) if days <= MOST_DAYS => Ok(Some(days)),
            _ => Err(format!("A number of days is 0 to {}, or empty.", grouped(MOST_DAYS.into()))),
        },
    }
}

async fn view(state: &WebState, on: &AppVisit, problem: Option<String>) -> Result<View, PageError> {
    let now = state.clock.now();
    let app = on.app.id;
    let asked = state.ask(move |store| {
        let kept: Vec<_> = store.keeping()?.into_iter().filter(|kept| kept.app == app).collect();
        let oldest = kept.iter().map(|kept| store.oldest((kept.environment, kept.kind), Millis(i64::MAX)));
        let oldest: Result<Vec<_>, _> = oldest.collect();
        Ok((store.box_keeps(), kept.into_iter().zip(oldest?).collect::<Vec<_>>()))
    });
    let (of_box, kept) = asked.await?;
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let block = |environment: &Environment| Block {
        slug: environment.slug.to_string(),
        rows: kept
            .iter()
            .filter(|(kept, _)| kept.environment == environment.id)
            .map(|(kept, oldest)| row((kept, *oldest), of_box, &calendar))
            .collect(),
    };
    Ok(View {
        frame: Frame::app(state, on, "/keeping"),
        action: state.site.link(&format!("/apps/{}/keeping", on.app.slug)),
        csrf: on.visit.csrf.clone(),
        most: MOST_DAYS,
        environments: on.app.environments.iter().map(block).collect(),
        held: state.metrics.pruning.lock().held.as_ref().map(|held| held.told()),
        problem,
    })
}

fn row((kept, oldest): (&Keeping, Option<Millis>), of_box: Keeps, calendar: &Calendar) -> Row {
    let by = match kept.kind {
        Kept::Events => "by when they occurred",
        Kept::Sessions => "by when they ended; never less than events",
        Kept::SetAside => "by when they came",
    };
    let days = |days: u32| match days {
        0 => "for ever".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{} days", grouped(days.into())),
    };
    Row {
        kind: kept.kind,
        by,
        typed: kept.chosen.map_or_else(String::new, |days| days.to_string()),
        of_box: days(of_box.of(kept.kind)),
        holds: days(kept.days),
        oldest: oldest.map(|at| calendar.date_time(at)),
        gone: kept.gone().map(|at| calendar.date_time(at)),
    }
}
