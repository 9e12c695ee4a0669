//! Tiers of the box: how much the apps in each may send.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{Figures, Tier, TierEnd, TierId, WantedTier};
use crate::store::StoreError;

use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{BoxAction, BoxVisit, Visit};
use super::super::form::Fields;
use super::super::format::{grouped, limit};
use super::super::frame::Frame;
use super::super::state::WebState;

/// Longest name, in characters.
const NAME: usize = 40;

#[derive(Template)]
#[template(path = "pages/tiers.html")]
struct Tiers {
    frame: Frame,
    action: String,
    csrf: String,
    rows: Vec<Row>,
    /// The form for a new one, as it was filled in.
    new: Filled,
    problem: Option<String>,
}

struct Row {
    id: i64,
    usual: bool,
    /// How many apps are in it, in words.
    apps: String,
    /// Whether it can be deleted.
    free: bool,
    /// What it allows, in words.
    told: [String; 4],
    filled: Filled,
}

/// Fields of a tier's form.
#[derive(Default)]
struct Filled {
    name: String,
    key: String,
    app: String,
    network: String,
    day: String,
}

impl Filled {
    fn of(tier: &Tier) -> Self {
        let Figures { key, app, network, day } = tier.figures;
        let rate = |figure: Option<u32>| figure.map(|figure| figure.to_string()).unwrap_or_default();
        let day = day.map(|events| events.to_string()).unwrap_or_default();
        Self { name: tier.name.clone(), key: rate(key), app: rate(app), network: rate(network), day }
    }

    fn read(fields: &Fields) -> Self {
        let text = |name| fields.get(name).trim().to_owned();
        Self { name: text("name"), key: text("key"), app: text("app"), network: text("network"), day: text("day") }
    }

    /// What it asks for, or what is wrong with it.
    fn wanted(&self, id: Option<TierId>) -> Result<WantedTier, String> {
        let name = self.name.clone();
        if !(1..=NAME).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(format!("A name has 1 to {NAME} characters."));
        }
        let rate = |text: &str| {
            let figure = figure(text, Figures::MOST_REQUESTS.into())?;
            Ok::<_, String>(figure.map(|figure| u32::try_from(figure).unwrap_or(u32::MAX)))
        };
        let day = figure(&self.day, Figures::MOST_EVENTS)?;
        let figures = Figures { key: rate(&self.key)?, app: rate(&self.app)?, network: rate(&self.network)?, day };
        Ok(WantedTier { id, name, figures })
    }
}

/// Digits, with or without separators between them; nothing is no limit.
fn figure(text: &str, most: u64) -> Result<Option<u64>, String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ',' | ' ' | '\u{a0}' | '\u{202f}')).collect();
    if digits.is_empty() {
        return Ok(None);
    }
    let number = digits.parse().ok().filter(|number| (1..=most).contains(number));
    number.map(Some).ok_or_else(|| {
        let most = grouped(i64::try_from(most).unwrap_or(i64::MAX));
        format!("A limit is a whole number from 1 to {most}, or empty for none.")
    })
}

/// `GET /box/tiers`
pub async fn show(State(state): State<WebState>, BoxVisit(visit): BoxVisit) -> Page {
    page(&view(&state, &visit).await?)
}

/// `POST /box/tiers`: makes, changes or deletes a tier, or makes it the usual one.
pub async fn change(State(state): State<WebState>, action: BoxAction) -> Page {
    let BoxAction { visit, fields } = action;
    let by = visit.by(&state);
    let id = match fields.get("id") {
        "" => None,
        id => Some(id.parse().map(TierId).map_err(|_| PageError::BadForm)?),
    };
    let problem = match (fields.get("act"), id) {
        ("save", id) => match Filled::read(&fields).wanted(id) {
            Err(problem) => Some((StatusCode::UNPROCESSABLE_ENTITY, problem)),
            Ok(wanted) => match state.ask(move |store| store.save_tier(&wanted, &by)).await {
                Err(StoreError::Exists(_)) => Some((StatusCode::CONFLICT, "Another tier has that name.".to_owned())),
                Err(StoreError::NoRoom(_)) => Some((StatusCode::CONFLICT, "There are 50 tiers already.".to_owned())),
                done => done.map(|_| None)?,
            },
        },
        ("usual", Some(id)) => {
            state.ask(move |store| store.set_usual_tier(id, &by)).await?;
            None
        }
        ("delete", Some(id)) => match state.ask(move |store| store.delete_tier(id, &by)).await? {
            TierEnd::Deleted => None,
            TierEnd::InUse => {
                Some((StatusCode::CONFLICT, "Apps are in that tier. Give them another first.".to_owned()))
            }
            TierEnd::Usual => {
                Some((StatusCode::CONFLICT, "It is the usual tier. Make another one the usual first.".to_owned()))
            }
        },
        _ => return Err(PageError::BadForm),
    };
    if let Some((status, problem)) = problem {
        let mut again = view(&state, &visit).await?;
        let filled = Filled::read(&fields);
        match again.rows.iter_mut().find(|row| Some(row.id) == id.map(|id| id.0)) {
            Some(row) if fields.get("act") == "save" => row.filled = filled,
            Some(_) => {}
            None => again.new = filled,
        }
        again.problem = Some(problem);
        return page_with(status, &again);
    }
    state.keys.forget();
    Ok(Redirect::to(&state.site.link("/box/tiers")).into_response())
}

async fn view(state: &WebState, visit: &Visit) -> Result<Tiers, PageError> {
    let tiers = state.ask(|store| store.tiers()).await?;
    let row = |tier: &Tier| {
        let Figures { key, app, network, day } = tier.figures;
        Row {
            id: tier.id.0,
            usual: tier.usual,
            apps: match (tier.apps, tier.usual) {
                (0, true) => "every app for which no other is chosen".to_owned(),
                (many, true) => format!("chosen for {many}, and every app without a choice"),
                (0, false) => "no app".to_owned(),
                (1, false) => "1 app".to_owned(),
                (many, false) => format!("{many} apps"),
            },
            free: tier.apps == 0 && !tier.usual,
            told: [limit(key.map(Into::into)), limit(app.map(Into::into)), limit(network.map(Into::into)), limit(day)],
            filled: Filled::of(tier),
        }
    };
    Ok(Tiers {
        frame: Frame::of_box(state, visit, "/tiers"),
        action: state.site.link("/box/tiers"),
        csrf: visit.csrf.clone(),
        rows: tiers.iter().map(row).collect(),
        new: Filled::default(),
        problem: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_or_refused() {
        for (text, read) in [
            ("", Ok(None)),
            ("10", Ok(Some(10))),
            ("1,000", Ok(Some(1_000))),
            ("1 000", Ok(Some(1_000))),
            ("0", Err(())),
            ("-1", Err(())),
            ("1001", Err(())),
            ("1.5", Err(())),
            ("ten", Err(())),
            ("99999999999999999999999", Err(())),
        ] {
            assert_eq!(figure(text, 1_000).map_err(|_| ()), read, "{text}");
        }
    }
}
