//! One funnel: how many users get from step to step, and where the others stay behind.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use uuid::Uuid;

use crate::model::{Funnel, FunnelAsk, FunnelRow, SaveFunnel};
use crate::query::{FunnelProblem, FunnelShape, filters};
use crate::store::StoreError;

use super::super::asking::Asking;
use super::super::error::{Page, PageError, page_with};
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::{self, duration, grouped, share};
use super::super::frame::Frame;
use super::super::state::WebState;
use super::super::steps::{Asked, StepForm, conditions, frequent, window_label};
use super::super::table::{Cell, Form, Table};
use super::super::toolbar::Toolbar;
use super::super::waiting;

#[derive(Template)]
#[template(path = "pages/funnel.html")]
struct FunnelPage {
    frame: Frame,
    title: String,
    toolbar: Toolbar,
    all: String,
    form: StepForm,
    /// Nothing where the address does not describe a funnel.
    shown: Option<Shown>,
    saving: Option<Saving>,
}

/// A funnel's answer.
struct Shown {
    /// The whole in a sentence.
    spoken: String,
    /// Where most stay behind, in a sentence.
    lost: Option<String>,
    steps: Vec<Step>,
    /// Whether those who began late may still go on.
    is_open: bool,
    window: String,
    split: Option<Split>,
}

struct Step {
    number: usize,
    event: String,
    conditions: String,
    /// Percent of the first step's users.
    width: String,
    users: String,
    of_first: String,
    /// How it was reached from the step before.
    passage: Option<Passage>,
}

/// From one step to the next.
struct Passage {
    went_on: String,
    lost: String,
    lost_share: String,
    median: Option<String>,
}

/// The users told apart.
struct Split {
    label: String,
    rows: Vec<SplitRow>,
}

struct SplitRow {
    label: String,
    known: bool,
    /// Users of each step, and their part of the first.
    steps: Vec<(String, String)>,
}

/// What an administrator can do with the funnel.
struct Saving {
    action: String,
    csrf: String,
    /// Empty for one that is not kept.
    id: String,
    name: String,
    query: String,
    /// Whether it is kept as it is shown.
    is_same: bool,
    problem: Option<String>,
}

/// What was wrong with a form that wanted to keep a funnel.
struct Refused {
    /// The name that was filled in.
    name: String,
    /// Why not.
    problem: String,
}

/// `GET /apps/{app}/funnel` and `GET /apps/{app}/{env}/funnel`
pub async fn show(state: State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    show_with(state, on, &query.unwrap_or_default(), None).await
}

/// The page of a query string, after a form was refused.
async fn show_with(State(state): State<WebState>, on: AppVisit, query: &str, refused: Option<Refused>) -> Page {
    let Some(asked) = Asked::read(&state, &on, query).await? else { return waiting::show(State(state), on).await };
    let answer = match ask(&asked) {
        Some(ask) => Some(asking(&state, &on, &asked).funnel(ask).await?),
        None => None,
    };
    let [path, all] = ["funnel", "funnels"].map(|page| state.site.link(&format!("{}/{page}", on.path())));
    let mut form = asked.form((&path, &all), 0, frequent(&state, &on, &asked.selection).await?);
    if answer.is_none() && form.problem.is_none() {
        form.problem = Some(FunnelProblem::TooFew.to_string());
    }
    let status = match (&refused, &form.problem) {
        (Some(_), _) => StatusCode::UNPROCESSABLE_ENTITY,
        (None, Some(_)) => StatusCode::BAD_REQUEST,
        (None, None) => StatusCode::OK,
    };
    let title = asked.saved.as_ref().map_or("Funnel".to_owned(), |saved| saved.name.clone());
    let frame = Frame::app(&state, &on, "/funnels");
    let administers = on.administers();
    let shown = match (&asked.shape, &answer) {
        (Ok(shape), Some(answer)) => Some(shown(&asked, shape, answer)),
        (Ok(_) | Err(_), _) => None,
    };
    page_with(
        status,
        &FunnelPage {
            saving: (administers && shown.is_some()).then(|| saving(&asked, &on, &all, refused)),
            toolbar: Toolbar { compares: Vec::new(), ..Toolbar::new(&asked.selection, &path) },
            frame: Frame { title: format!("{title} · {}", on.app.name), ..frame },
            title,
            all,
            form,
            shown,
        },
    )
}

/// `GET /apps/{app}/funnel.csv`, `.json` and the same by environment
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let columns = ["step", "event", "value", "users", "share_of_first", "share_of_previous", "median_ms"];
    let mut table = Table::new(columns);
    let Some(asked) = Asked::read(&state, &on, &query.unwrap_or_default()).await? else {
        return table.answer(form, "funnel");
    };
    let (Ok(shape), Some(ask)) = (&asked.shape, ask(&asked)) else {
        let problem = asked.shape.err().unwrap_or(FunnelProblem::TooFew);
        return Ok((StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response());
    };
    let funnel = asking(&state, &on, &asked).funnel(ask).await?;
    let all = funnel.steps.iter().map(|step| step.users).collect();
    let rows = funnel.values.iter().map(|row| (Some(format::value(row.value.as_deref())), &row.users));
    let others = funnel.others.iter().map(|(_, users)| (Some("all others".to_owned()), users));
    for (value, users) in [(None, &all)].into_iter().chain(rows).chain(others) {
        for (place, (step, reached)) in shape.steps.iter().zip(users).enumerate() {
            let part = |whole: Option<&i64>| match whole {
                Some(whole) if *whole > 0 => Cell::Decimal(*reached as f64 / *whole as f64),
                Some(_) | None => Cell::Empty,
            };
            let before = place.checked_sub(1);
            table.rows.push(vec![
                (place as i64 + 1).into(),
                step.event.as_ref().into(),
                value.clone().into(),
                (*reached).into(),
                part(users.first()),
                part(before.map(|before| &users[before])),
                funnel.steps[place].median.filter(|_| value.is_none()).into(),
            ]);
        }
    }
    table.answer(form, "funnel")
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
            let by = on.visit.by(&state);
            state.ask(move |store| store.delete_funnel(environment, id, &by)).await?;
            Ok(to("funnels"))
        }
        ("save", id) => {
            let query = definition(fields.get("query")).ok_or(PageError::BadForm)?;
            let name = fields.get("name").trim().to_owned();
            let save = SaveFunnel { environment, id, name: name.clone(), query, by: on.visit.by(&state) };
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

fn ask(asked: &Asked) -> Option<FunnelAsk> {
    let shape = asked.shape.as_ref().ok()?;
    shape.ask(asked.selection.range.whole, asked.selection.filters.clone()).ok()
}

fn asking<'s>(state: &'s WebState, on: &AppVisit, asked: &Asked) -> Asking<'s> {
    Asking::new(state, on.environment.id, asked.selection.filters.clone())
}

fn shown(asked: &Asked, shape: &FunnelShape, funnel: &Funnel) -> Shown {
    let users: Vec<i64> = funnel.steps.iter().map(|step| step.users).collect();
    let (first, last) = (users.first().copied().unwrap_or(0), users.last().copied().unwrap_or(0));
    let names: Vec<&str> = shape.steps.iter().map(|step| step.event.as_ref()).collect();
    let window = window_label(shape.window);
    let spoken = match (first, names.first(), names.last()) {
        (1.., Some(begin), Some(end)) => format!(
            "{} of the {} who did “{begin}” got to “{end}” within {window}.",
            share(last, first),
            if first == 1 { "one user".to_owned() } else { format!("{} users", grouped(first)) },
        ),
        (_, Some(begin), _) => format!("Nobody did “{begin}” in this range."),
        _ => String::new(),
    };
    let steps = funnel.steps.iter().zip(&shape.steps).enumerate().map(|(place, (reached, step))| Step {
        number: place + 1,
        event: step.event.to_string(),
        conditions: conditions(step),
        width: width(reached.users, first),
        users: grouped(reached.users),
        of_first: share(reached.users, first),
        passage: place.checked_sub(1).map(|before| Passage {
            went_on: share(reached.users, users[before]),
            lost: grouped(users[before] - reached.users),
            lost_share: share(users[before] - reached.users, users[before]),
            median: reached.median.map(duration),
        }),
    });
    Shown {
        spoken,
        lost: lost(&users, &names),
        steps: steps.collect(),
        is_open: asked.selection.range.whole.range.to.plus(shape.window) > asked.selection.ground.now,
        window,
        split: shape.by.as_ref().map(|by| Split { label: by.label(), rows: split(funnel) }),
    }
}

/// Between which steps most users stay behind.
fn lost(users: &[i64], names: &[&str]) -> Option<String> {
    let steps = users.windows(2).map(|pair| pair[0] - pair[1]).enumerate();
    let (place, lost) = steps.max_by_key(|(place, lost)| (*lost, std::cmp::Reverse(*place)))?;
    (lost > 0).then(|| {
        let (from, to) = (names[place], names[place + 1]);
        let part = share(lost, users[place]);
        format!("Most are lost between “{from}” and “{to}”: {}, {part} of those who got to “{from}”.", grouped(lost))
    })
}

fn split(funnel: &Funnel) -> Vec<SplitRow> {
    let row = |label: String, known: bool, users: &[i64]| SplitRow {
        label,
        known,
        steps: users.iter().map(|count| (grouped(*count), share(*count, users[0]))).collect(),
    };
    let of = |value: &FunnelRow| row(format::value(value.value.as_deref()), value.value.is_some(), &value.users);
    let others = funnel.others.iter().map(|(values, users)| {
        let label = if *values == 1 { "one other".to_owned() } else { format!("{values} others") };
        row(label, false, users)
    });
    funnel.values.iter().map(of).chain(others).collect()
}

fn saving(asked: &Asked, on: &AppVisit, all: &str, refused: Option<Refused>) -> Saving {
    let (name, problem) = match refused {
        Some(Refused { name, problem }) => (Some(name), Some(problem)),
        None => (None, None),
    };
    let saved = asked.saved.as_ref();
    Saving {
        action: all.to_owned(),
        csrf: on.visit.csrf.clone(),
        id: saved.map(|saved| saved.id.to_string()).unwrap_or_default(),
        name: name.or(saved.map(|saved| saved.name.clone())).unwrap_or_default(),
        query: asked.selection.query().replacen('?', "", 1),
        is_same: saved.is_some_and(|saved| saved.query == asked.definition()),
        problem,
    }
}

/// Percent of a whole for a bar, of which a little is seen where there is anything.
fn width(part: i64, whole: i64) -> String {
    if whole <= 0 || part <= 0 {
        return "0%".to_owned();
    }
    format!("{:.2}%", (part as f64 / whole as f64 * 100.0).max(0.4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_loss_is_told() {
        for (users, told) in [
            (&[100, 40, 39][..], Some("Most are lost between “a” and “b”: 60, 60% of those who got to “a”.")),
            (&[100, 90, 20], Some("Most are lost between “b” and “c”: 70, 78% of those who got to “b”.")),
            (&[10, 10, 10], None),
            (&[0, 0, 0], None),
        ] {
            assert_eq!(lost(users, &["a", "b", "c"]).as_deref(), told, "{users:?}");
        }
        assert_eq!([width(0, 5), width(1, 10_000), width(5, 5)], ["0%", "0.40%", "100.00%"]);
    }

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
