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
    groups: Vec<Group>,
}

/// Apps of one organization.
struct Group {
    /// Its name, where there are several.
    heading: Option<String>,
    apps: Vec<Card>,
    /// Name and address of those that take nothing more.
    archived: Vec<(String, String)>,
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
    let mut apps = state.ask(|store| store.apps()).await?;
    apps.retain(|app| visit.member.role_in(app.organization.id).is_some());
    apps.sort_by_cached_key(|app| (app.organization.name.to_lowercase(), app.organization.id));
    let is_alone = apps.windows(2).all(|pair| pair[0].organization.id == pair[1].organization.id);
    let mut groups = Vec::new();
    for apps in apps.chunk_by(|app, next| app.organization.id == next.organization.id) {
        let (archived, active): (Vec<_>, Vec<_>) = apps.iter().partition(|app| app.archived_at.is_some());
        let mut cards = Vec::with_capacity(active.len());
        for app in active {
            cards.push(card(&state, app).await?);
        }
        groups.push(Group {
            heading: apps.first().filter(|_| !is_alone).map(|app| app.organization.name.clone()),
            apps: cards,
            archived: archived.into_iter().map(|app| link(&state, app)).collect(),
        });
    }
    page(&Apps { frame: Frame::member(&state, &visit, "Apps"), groups })
}

fn link(state: &WebState, app: &App) -> (String, String) {
    (app.name.clone(), state.site.link(&format!("/apps/{}", app.slug)))
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
