//! The list of apps with their last seven days.

use askama::Template;
use axum::extract::State;

use crate::model::{App, Ask, Filters, Metric, Query};
use crate::query::{Preset, Range};

use super::super::chart::{self, Bar, sparkline};
use super::super::error::{Page, PageError, page};
use super::super::extract::Visit;
use super::super::format::grouped;
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/apps.html")]
struct Apps {
    frame: Frame,
    apps: Vec<Card>,
}

/// One app in the list.
struct Card {
    name: String,
    slug: String,
    href: String,
    zone: String,
    /// `None` while no event has come.
    week: Option<Week>,
}

struct Week {
    events: String,
    users: String,
    bars: Vec<Bar>,
    /// The bars in words.
    spoken: String,
}

/// `GET /apps`
pub async fn show(State(state): State<WebState>, visit: Visit) -> Page {
    let organization = visit.member.organization;
    let mut apps = state.ask(|store| store.apps()).await?;
    apps.retain(|app| app.organization.id == organization);
    let mut cards = Vec::with_capacity(apps.len());
    for app in &apps {
        cards.push(card(&state, app).await?);
    }
    page(&Apps { frame: Frame::member(&state, &visit, "Apps"), apps: cards })
}

async fn card(state: &WebState, app: &App) -> Result<Card, PageError> {
    let week = match (app.first_event_at, app.environments.first()) {
        (Some(_), Some(environment)) => {
            let range = Range::of(Preset::Days7, &app.zone, state.clock.now());
            let days = Ask::Series(vec![Metric::Events], range.periods, Filters::none());
            let whole = Ask::Series(vec![Metric::Events, Metric::Users], vec![range.whole], Filters::none());
            let days = state.reports.report(Query { environment: environment.id, ask: days }).await?.counts();
            let whole = state.reports.report(Query { environment: environment.id, ask: whole }).await?.counts();
            let days = days.into_iter().next().unwrap_or_default();
            let total = |at: usize| whole.get(at).and_then(|row| row.first()).copied().unwrap_or(0);
            let spoken: Vec<String> = days.iter().map(|count| grouped(*count)).collect();
            Some(Week {
                events: grouped(total(0)),
                users: grouped(total(1)),
                bars: sparkline(&days),
                spoken: spoken.join(", "),
            })
        }
        _ => None,
    };
    Ok(Card {
        name: app.name.clone(),
        slug: app.slug.to_string(),
        href: state.site.link(&format!("/apps/{}", app.slug)),
        zone: app.zone.name().to_owned(),
        week,
    })
}
