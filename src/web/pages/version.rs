//! One version of an app: its adoption over time, its builds, and the form that judges it.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{Ask, KnownBuild, Period, Platform, Query, SetStatus, VersionDetail, VersionStatus};
use crate::query::{Range, releases};
use crate::store::StoreError;

use super::super::chart::{self, Chart};
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::{self, Calendar, When, grouped};
use super::super::frame::{Frame, Tab};
use super::super::release::{self, Rate};
use super::super::standing::{self, Choice, Environments, Standing, given, query};
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/version.html")]
struct VersionPage {
    frame: Frame,
    pages: Vec<Tab>,
    name: String,
    standing: Standing,
    ranges: Vec<Tab>,
    environments: Vec<Tab>,
    days: String,
    zone: String,
    seen: Option<(When, When)>,
    named: Option<When>,
    figures: Vec<Figure>,
    drawing: Drawing,
    /// How it does.
    rates: Vec<Rate>,
    /// The version that it is compared with, and its page.
    before: Option<(String, String)>,
    builds: Vec<Build>,
    action: String,
    administers: bool,
    csrf: String,
    form: Form,
    problem: Option<String>,
}

/// A figure above the chart.
struct Figure {
    label: &'static str,
    value: String,
    detail: String,
}

/// The chart of shares, and the table beneath it.
struct Drawing {
    label: &'static str,
    interval: &'static str,
    chart: Chart,
    empty: bool,
    has_unfinished: bool,
    spoken: String,
    rows: Vec<TableRow>,
}

struct TableRow {
    name: String,
    unfinished: bool,
    counts: [String; 3],
}

struct Build {
    number: i64,
    platform: &'static str,
    standing: Standing,
    /// Whether the version is the more severe one, so that it decides for this build.
    overruled: bool,
    first: When,
    form: Form,
}

/// What a form is filled in with.
struct Form {
    choices: Vec<Choice>,
    notes: String,
}

/// What was counted over a range.
struct Counts {
    /// Of the version, and of all, for each period.
    sessions: [Vec<i64>; 2],
    /// The same for users over the whole range, where they could be counted in time.
    users: Option<[i64; 2]>,
}

/// `GET /apps/{app}/version?name=…`; without a name, the way to all of them.
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    if fields.get("name").is_empty() {
        return Ok(Redirect::to(&state.site.link(&format!("/apps/{}/versions", on.app.slug))).into_response());
    }
    page(&view(&state, &on, &fields).await?)
}

/// `POST /apps/{app}/version`: sets the status and notes of a version and its builds, or of one build.
pub async fn set(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let build = match fields.get("build") {
        "" => None,
        number => {
            let platform = Platform::parse(fields.get("platform")).ok_or(PageError::BadForm)?;
            Some((number.parse().map_err(|_| PageError::BadForm)?, platform))
        }
    };
    let set = SetStatus {
        app: on.app.id,
        version: fields.get("name").to_owned(),
        build,
        status: VersionStatus::parse(fields.get("status")).ok_or(PageError::BadForm)?,
        notes: given(&fields, "notes"),
        by: on.visit.by(&state),
    };
    if let Err(problem) = set.check() {
        let mut again = view(&state, &on, &fields).await?;
        again.problem = Some(problem.to_string());
        if build.is_none() {
            again.form = form(set.status, set.notes.as_deref());
        }
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let back = format!("/apps/{}/version{}", on.app.slug, query(&[("name", &set.version)]));
    state.policies.set_status(set).await?;
    Ok(Redirect::to(&state.site.link(&back)).into_response())
}

async fn view(state: &WebState, on: &AppVisit, fields: &Fields) -> Result<VersionPage, PageError> {
    let environments = Environments::of(on, fields);
    let now = state.clock.now();
    let range = standing::range(on, fields, now);
    let preset = range.preset;
    let name = fields.get("name").to_owned();
    let wanted = environments.wanted(on, range.whole.range.from);
    let found = state.ask(move |store| store.version(&wanted, &name)).await?;
    let VersionDetail { version, builds, .. } = found.ok_or(PageError::NotFound)?;
    let (counts, health) = tokio::try_join!(count(state, &environments, &version.name, &range), async {
        Ok(release::health(state, &environments, &range, &on.app.zone).await?)
    },)?;
    let health = health.unwrap_or_default();
    let release = releases(&health.versions).into_iter().find(|one| one.version.version == version.name);
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let action = state.site.link(&format!("/apps/{}/version", on.app.slug));
    let to = |range: &str, environment: &str| {
        let pairs = [("name", version.name.as_str()), ("range", range), ("environment", environment)];
        format!("{action}{}", query(&pairs))
    };
    let frame = Frame::app(state, on, "/versions");
    Ok(VersionPage {
        frame: Frame { title: format!("{} · {}", version.name, on.app.name), ..frame },
        pages: standing::pages(state, on, ""),
        standing: standing::standing(&version.judged),
        ranges: standing::ranges(preset, |range| to(range, &environments.chosen)),
        environments: environments.tabs(on, |environment| to(standing::range_name(preset), environment)),
        days: format::days(&range.whole),
        zone: on.app.zone.name().to_owned(),
        seen: version.seen.map(|(first, last)| (calendar.hour(first), calendar.hour(last))),
        named: version.created_at.map(|at| calendar.date_time(at)),
        figures: figures(&counts),
        drawing: drawing(&range, &counts, &calendar),
        rates: release.as_ref().map(release::rates).unwrap_or_default(),
        before: release.and_then(|one| one.before).map(|before| {
            let pairs = [
                ("name", before.version.as_str()),
                ("range", standing::range_name(preset)),
                ("environment", &environments.chosen),
            ];
            (before.version.clone(), format!("{action}{}", query(&pairs)))
        }),
        builds: builds.into_iter().map(|build| self::build(build, version.judged.status, &calendar)).collect(),
        administers: on.administers(),
        csrf: on.visit.csrf.clone(),
        form: form(version.judged.status, version.judged.notes.as_deref()),
        problem: None,
        name: version.name,
        action,
    })
}

async fn count(state: &WebState, on: &Environments, version: &str, range: &Range) -> Result<Counts, PageError> {
    let mut sessions = [vec![0; range.periods.len()], vec![0; range.periods.len()]];
    let mut users = Some([0; 2]);
    for environment in on.ids.iter().copied() {
        let ask = |ask| state.reports.report(Query { environment, ask });
        let told = ask(Ask::Adoption(version.to_owned(), range.periods.clone())).await?;
        for (sum, row) in sessions.iter_mut().zip(told.counts()) {
            sum.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        let Some([own, all]) = users else { continue };
        users = match ask(Ask::AdoptionUsers(version.to_owned(), range.whole)).await {
            Ok(people) => match &people.counts()[..] {
                [one, every] => {
                    let first = |row: &[i64]| row.first().copied().unwrap_or(0);
                    Some([own + first(one), all + first(every)])
                }
                _ => None,
            },
            // A figure that takes too long must not take the page and its forms along.
            Err(StoreError::Interrupted) => None,
            Err(other) => return Err(other.into()),
        };
    }
    Ok(Counts { sessions, users })
}

fn figures(counts: &Counts) -> Vec<Figure> {
    let [own, all] = [0, 1].map(|at: usize| counts.sessions[at].iter().sum::<i64>());
    let share = |label, [own, all]: [i64; 2], noun| Figure {
        label,
        value: format::share(own, all),
        detail: format!("{} of {} {noun}", grouped(own), grouped(all)),
    };
    let mut figures = vec![share("Of all sessions", [own, all], "sessions")];
    figures.push(match counts.users {
        Some(users) => share("Of all users", users, "users"),
        None => Figure { label: "Of all users", value: "–".to_owned(), detail: "too many in this range".to_owned() },
    });
    figures
}

fn drawing(range: &Range, counts: &Counts, calendar: &Calendar) -> Drawing {
    let [own, all] = &counts.sessions;
    let title = |at: usize, period: &Period| {
        let so_far = if range.unfinished == Some(at) { " so far" } else { "" };
        let name = calendar.period(range.interval, period);
        let share = format::share(own[at], all[at]);
        format!("{name}: {share}, {} of {} sessions{so_far}", grouped(own[at]), grouped(all[at]))
    };
    let point = |(at, period): (usize, &Period)| chart::Point {
        value: own[at].max(0) * 1_000 / all[at].max(1),
        tick: calendar.tick(range, period),
        title: title(at, period),
    };
    let points: Vec<_> = range.periods.iter().enumerate().map(point).collect();
    let highest = points.iter().max_by_key(|point| point.value);
    let spoken = highest.map_or(String::new(), |point| format!("Highest: {}.", point.title));
    let row = |(at, period): (usize, &Period)| TableRow {
        name: calendar.period(range.interval, period),
        unfinished: range.unfinished == Some(at),
        counts: [grouped(own[at]), grouped(all[at]), format::share(own[at], all[at])],
    };
    Drawing {
        label: "Share of all sessions",
        interval: range.interval.name(),
        empty: own.iter().all(|count| *count == 0),
        has_unfinished: range.unfinished.is_some(),
        spoken,
        rows: range.periods.iter().enumerate().rev().map(row).collect(),
        chart: chart::draw_shares(&chart::Series { points, ahead: Vec::new(), unfinished: range.unfinished }),
    }
}

fn build(build: KnownBuild, version: VersionStatus, calendar: &Calendar) -> Build {
    Build {
        number: build.number,
        platform: build.platform.as_str(),
        standing: standing::standing(&build.judged),
        overruled: version > build.judged.status,
        first: calendar.date(build.created_at),
        form: form(build.judged.status, build.judged.notes.as_deref()),
    }
}

fn form(status: VersionStatus, notes: Option<&str>) -> Form {
    Form { choices: standing::choices(status), notes: notes.unwrap_or_default().to_owned() }
}
