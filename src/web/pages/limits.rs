//! What an app lets in: its tier, what of it is used up today, networks, origins, and who is banned.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{
    AppLimits, Ban, BanId, Barred, Figures, IpNet, MOST_LISTED, Millis, Tier, TierId, TurnedAway, Withheld,
    parse_origin,
};
use crate::store::StoreError;

use super::super::banning::{self, Wanted};
use super::super::error::{Page, PageError, page, page_with};
use super::super::event::short;
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::{Calendar, When, grouped, limit};
use super::super::frame::Frame;
use super::super::state::WebState;

/// Longest id that can be typed in, in bytes: no SDK sends a longer one.
const ID: usize = 255;

#[derive(Template)]
#[template(path = "pages/limits.html")]
struct Limits {
    frame: Frame,
    action: String,
    csrf: String,
    administers: bool,
    /// Whether a tier can be chosen here.
    owns_box: bool,
    /// Row, name, and whether it is chosen; the first is the usual one.
    choices: Vec<(String, String, bool)>,
    tier: String,
    /// What the tier allows: label and figure.
    figures: [(&'static str, String); 4],
    /// Share of the day's events that is used up, in percent, where they are limited.
    used: Option<Used>,
    /// What became of today's events: label and how many.
    today: Vec<(&'static str, String)>,
    /// Requests turned away today: why and how many.
    turned: Vec<(&'static str, String)>,
    /// As typed, or as set.
    networks: String,
    origins: String,
    bans: Vec<Row>,
    problem: Option<String>,
}

struct Used {
    percent: u64,
    told: String,
}

struct Row {
    id: i64,
    kind: &'static str,
    label: String,
    /// Where they are looked for, in the app's default environment.
    href: Option<String>,
    at: When,
    member: String,
}

/// `GET /apps/{app}/limits`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    page(&view(&state, &on).await?)
}

/// `POST /apps/{app}/limits`: sets tier and lists, bans somebody or lifts a ban.
pub async fn change(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let back = match fields.get("act") {
        "tier" => choose(&state, &on, &fields).await?,
        "lists" => match lists(&fields) {
            Ok((networks, origins)) => {
                let app = on.app.id;
                let set = state.ask(move |store| store.app_limits(app)).await?;
                save(&state, &on, AppLimits { networks, origins, ..set }).await?
            }
            Err(problem) => {
                let mut again = view(&state, &on).await?;
                (again.networks, again.origins) = (fields.get("networks").to_owned(), fields.get("origins").to_owned());
                again.problem = Some(problem);
                return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
            }
        },
        "ban" => match ban(&state, &on, &fields).await? {
            None => path(&on),
            Some((status, problem)) => {
                let again = Limits { problem: Some(problem.to_owned()), ..view(&state, &on).await? };
                return page_with(status, &again);
            }
        },
        "lift" => {
            let id = fields.get("id").parse().map(BanId).map_err(|_| PageError::BadForm)?;
            let (app, by) = (on.app.id, on.visit.by(&state));
            match state.ask(move |store| store.lift_ban(app, id, &by)).await {
                Err(StoreError::NotFound(_)) => {} // somebody else was faster
                done => done?,
            }
            path(&on)
        }
        _ => return Err(PageError::BadForm),
    };
    state.keys.forget();
    Ok(Redirect::to(&state.site.link(&back)).into_response())
}

/// Tiers are the box's: whoever is limited by one does not choose it.
async fn choose(state: &WebState, on: &AppVisit, fields: &Fields) -> Result<String, PageError> {
    if !on.visit.member.owns_box {
        return Err(PageError::Role);
    }
    let tier = match fields.get("tier") {
        "" => None,
        id => Some(id.parse().map(TierId).map_err(|_| PageError::BadForm)?),
    };
    let app = on.app.id;
    let set = state.ask(move |store| store.app_limits(app)).await?;
    save(state, on, AppLimits { tier, ..set }).await
}

async fn save(state: &WebState, on: &AppVisit, limits: AppLimits) -> Result<String, PageError> {
    let (app, by) = (on.app.id, on.visit.by(state));
    state.ask(move |store| store.set_app_limits(app, &limits, &by)).await?;
    Ok(path(on))
}

/// Networks and origins, one a line.
fn lists(fields: &Fields) -> Result<(Vec<IpNet>, Vec<String>), String> {
    let lines = |name| fields.get(name).lines().map(str::trim).filter(|line| !line.is_empty());
    if lines("networks").count() > MOST_LISTED || lines("origins").count() > MOST_LISTED {
        return Err(format!("At most {MOST_LISTED} of each."));
    }
    let network = |line: &str| line.parse::<IpNet>().map_err(|error| format!("{error}."));
    let origin = |line: &str| {
        parse_origin(line).ok_or_else(|| format!("`{line}` is no origin such as https://app.example.com."))
    };
    Ok((
        lines("networks").map(network).collect::<Result<_, _>>()?,
        lines("origins").map(origin).collect::<Result<_, _>>()?,
    ))
}

/// Bans whom the form names, from a page of theirs or by the id that an SDK sends; what is wrong, if it is.
async fn ban(
    state: &WebState,
    on: &AppVisit,
    fields: &Fields,
) -> Result<Option<(StatusCode, &'static str)>, PageError> {
    let wanted = match (fields.get("kind"), fields.get("id"), fields.get("pseudonym")) {
        (_, id, _) if id.len() > ID => {
            return Ok(Some((StatusCode::UNPROCESSABLE_ENTITY, "No SDK sends an id that long.")));
        }
        ("user", "", "") | ("device", "", _) => {
            return Ok(Some((StatusCode::UNPROCESSABLE_ENTITY, "Say whom to ban, by the id that the SDK sends.")));
        }
        ("user", "", pseudonym) => Wanted::Pseudonym(pseudonym.to_owned()),
        ("user", id, _) => Wanted::User(id.to_owned()),
        ("device", id, _) => Wanted::Device(id.to_owned()),
        _ => return Err(PageError::BadForm),
    };
    match banning::ban(state, on, wanted).await {
        Ok(()) => Ok(None),
        Err(PageError::Store(StoreError::Exists(_))) => Ok(Some((StatusCode::CONFLICT, "They are banned already."))),
        Err(PageError::Store(StoreError::NoRoom(_))) => {
            Ok(Some((StatusCode::CONFLICT, "A thousand are banned already. Lift some first.")))
        }
        Err(error) => Err(error),
    }
}

fn path(on: &AppVisit) -> String {
    format!("/apps/{}/limits", on.app.slug)
}

async fn view(state: &WebState, on: &AppVisit) -> Result<Limits, PageError> {
    let (app, now) = (on.app.id, state.clock.now());
    let day = now.0.div_euclid(Millis::DAY);
    let asked =
        state.ask(move |store| Ok((store.tiers()?, store.app_limits(app)?, store.bans(app)?, store.intake(app, day)?)));
    let (tiers, set, bans, intake) = asked.await?;
    let tier = tiers.iter().find(|tier| set.tier.map_or(tier.usual, |chosen| tier.id == chosen));
    let tier = tier.ok_or(PageError::NotFound)?;
    let networks: Vec<String> = set.networks.iter().map(ToString::to_string).collect();
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let users = state.site.link(&format!("{}/users", on.path()));
    Ok(Limits {
        frame: Frame::app(state, on, "/limits"),
        action: state.site.link(&path(on)),
        csrf: on.visit.csrf.clone(),
        administers: on.administers(),
        owns_box: on.visit.member.owns_box,
        choices: choices(&tiers, set.tier),
        tier: tier.name.clone(),
        figures: figures(tier.figures),
        used: tier.figures.day.map(|quota| used(&intake, quota)),
        today: intake.iter().filter_map(|(outcome, many)| Some((outcome_label(outcome)?, count(*many)))).collect(),
        turned: state
            .door
            .turned_today(app)
            .into_iter()
            .map(|(why, many)| (TurnedAway::label(why), count(many)))
            .collect(),
        networks: networks.join("\n"),
        origins: set.origins.join("\n"),
        bans: bans.into_iter().map(|ban| row(ban, &calendar, &users)).collect(),
        problem: None,
    })
}

fn choices(tiers: &[Tier], chosen: Option<TierId>) -> Vec<(String, String, bool)> {
    let usual = tiers.iter().find(|tier| tier.usual).map_or("", |tier| &tier.name);
    let first = (String::new(), format!("the usual one ({usual})"), chosen.is_none());
    let named = tiers.iter().map(|tier| (tier.id.to_string(), tier.name.clone(), chosen == Some(tier.id)));
    std::iter::once(first).chain(named).collect()
}

fn figures(figures: Figures) -> [(&'static str, String); 4] {
    let Figures { key, app, network, day } = figures;
    [
        ("Requests a minute with one key", limit(key.map(Into::into))),
        ("Requests a minute to the app", limit(app.map(Into::into))),
        ("Requests a minute from one network, with public keys", limit(network.map(Into::into))),
        ("Events a day", limit(day)),
    ]
}

fn used(intake: &[(String, u64)], quota: u64) -> Used {
    let counted = intake.iter().filter(|(outcome, _)| matches!(outcome.as_str(), "stored" | "set_aside"));
    let events: u64 = counted.map(|(_, many)| many).sum();
    let percent = (events.saturating_mul(100) / quota.max(1)).min(100);
    Used { percent, told: format!("{} of {} events", count(events), count(quota)) }
}

/// What became of events, in words; nothing for what this binary does not know.
fn outcome_label(outcome: &str) -> Option<&'static str> {
    match outcome {
        "stored" => Some("Stored"),
        "duplicate" => Some("Known already"),
        "set_aside" => Some("Set aside"),
        "banned" => Some("Of banned users and devices"),
        other => Withheld::ALL.into_iter().find(|why| why.as_str() == other).map(Withheld::label),
    }
}

fn count(many: u64) -> String {
    grouped(i64::try_from(many).unwrap_or(i64::MAX))
}

fn row(ban: Ban, calendar: &Calendar, users: &str) -> Row {
    let href = match ban.subject {
        Barred::User(user, _) => Some(format!("{users}?q={user}")),
        Barred::Device(_) => None,
    };
    let label = match ban.subject {
        Barred::User(user, _) => format!("User {}", short(user)),
        Barred::Device(_) => ban.label,
    };
    let (kind, at) = (ban.subject.kind(), calendar.date_time(ban.created_at));
    Row { id: ban.id.0, kind, label, href, at, member: ban.member }
}
