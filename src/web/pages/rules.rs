//! Rules of an app: what its versions must be at least, on every platform or on one.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{Millis, Platform, SetRule, VersionRule};

use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::{Calendar, When};
use super::super::frame::{Frame, Tab};
use super::super::standing::{self, given};
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/rules.html")]
struct Rules {
    frame: Frame,
    pages: Vec<Tab>,
    action: String,
    administers: bool,
    csrf: String,
    rules: Vec<Rule>,
    /// A rule that is not there yet, for one of the platforms.
    new: Rule,
    platforms: Vec<&'static str>,
    /// The address of a check, as a command.
    check: String,
}

/// A rule, or a form that was refused.
#[derive(Default)]
struct Rule {
    /// Empty for all.
    platform: &'static str,
    required: String,
    recommended: String,
    notes: String,
    store_url: String,
    since: Option<When>,
    problem: Option<String>,
}

/// `GET /apps/{app}/rules`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    page(&list(&state, &on).await?)
}

/// `POST /apps/{app}/rules`: puts a rule in place of the one of its platform, or removes it where nothing is filled in.
pub async fn set(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let set = SetRule {
        app: on.app.id,
        rule: rule(&fields, state.clock.now()).ok_or(PageError::BadForm)?,
        by: on.visit.by(&state),
    };
    if let Err(problem) = set.check() {
        let mut again = list(&state, &on).await?;
        let refused = Rule { problem: Some(problem.to_string()), ..shown(&set.rule, None) };
        match again.rules.iter_mut().find(|rule| rule.platform == refused.platform) {
            Some(rule) => *rule = refused,
            None => again.new = refused,
        }
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    state.policies.set_rule(set).await?;
    Ok(Redirect::to(&state.site.link(&format!("/apps/{}/rules", on.app.slug))).into_response())
}

/// What was filled in; `None` for a platform that there is not.
fn rule(fields: &Fields, now: Millis) -> Option<VersionRule> {
    let platform = match fields.get("platform") {
        "" => None,
        name => Some(Platform::parse(name)?),
    };
    Some(VersionRule {
        platform,
        required: given(fields, "required"),
        recommended: given(fields, "recommended"),
        notes: given(fields, "notes"),
        store_url: given(fields, "store_url"),
        updated_at: now,
    })
}

async fn list(state: &WebState, on: &AppVisit) -> Result<Rules, PageError> {
    let app = on.app.id;
    let rules = state.ask(move |store| store.version_rules(app)).await?;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let mut rules: Vec<_> = rules.iter().map(|rule| shown(rule, Some(&calendar))).collect();
    if rules.iter().all(|rule| !rule.platform.is_empty()) {
        rules.insert(0, Rule::default());
    }
    let free = Platform::ALL.iter().map(|platform| platform.as_str());
    let free = free.filter(|name| rules.iter().all(|rule| rule.platform != *name)).collect();
    let frame = Frame::app(state, on, "/versions");
    Ok(Rules {
        frame: Frame { title: format!("Rules · {}", on.app.name), ..frame },
        pages: standing::pages(state, on, "rules"),
        action: state.site.link(&format!("/apps/{}/rules", on.app.slug)),
        administers: on.administers(),
        csrf: on.visit.csrf.clone(),
        rules,
        new: Rule::default(),
        platforms: free,
        check: format!(
            "curl '{}/v1/apps/{}/version-check?platform=IOS&version=1.0.0'",
            on.visit.place.address, on.app.slug
        ),
    })
}

fn shown(rule: &VersionRule, calendar: Option<&Calendar>) -> Rule {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Rule {
        platform: rule.platform.map_or("", Platform::as_str),
        required: text(&rule.required),
        recommended: text(&rule.recommended),
        notes: text(&rule.notes),
        store_url: text(&rule.store_url),
        since: calendar.map(|calendar| calendar.date_time(rule.updated_at)),
        problem: None,
    }
}
