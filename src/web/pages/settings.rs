//! Every setting of the box: its value, where that came from, and what else could be.

use askama::Template;
use axum::extract::State;

use crate::config::{Fallback, Kind, SETTINGS, Setting, Shown, Source};

use super::super::error::{Page, page};
use super::super::extract::BoxVisit;
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/settings.html")]
struct Settings {
    frame: Frame,
    groups: Vec<(&'static str, Vec<Row>)>,
}

struct Row {
    key: &'static str,
    value: String,
    secret: bool,
    /// Whether somebody set it.
    given: bool,
    source: String,
    /// How the badge of the source looks.
    class: &'static str,
    default: String,
    help: String,
    variable: String,
}

/// `GET /box/settings`
pub async fn show(State(state): State<WebState>, BoxVisit(visit): BoxVisit) -> Page {
    let rows = SETTINGS.iter().filter(|setting| setting.kind != Kind::Hidden).filter_map(|setting| {
        let shown = state.about.settings.iter().find(|shown| shown.key == setting.key)?;
        Some((shown.source != Source::Default, row(setting, shown)))
    });
    let (given, rest): (Vec<_>, Vec<_>) = rows.partition(|(given, _)| *given);
    let strip = |rows: Vec<(bool, Row)>| rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>();
    page(&Settings {
        frame: Frame::of_box(&state, &visit, "/settings"),
        groups: vec![("Given", strip(given)), ("Left at their defaults", strip(rest))],
    })
}

fn row(setting: &Setting, shown: &Shown) -> Row {
    let secret = setting.kind == Kind::Secret;
    let (source, class) = match &shown.source {
        Source::Flag(name) => (format!("flag {name}"), "badge info"),
        Source::Variable(name) => (format!("environment variable {name}"), "badge warn"),
        Source::File { path, line } => (format!("file {}, line {line}", path.display()), "badge info"),
        Source::Default => ("default".to_owned(), "badge"),
    };
    let value = match shown.value.as_str() {
        "(hidden)" => "set".to_owned(),
        "(not set)" | "" => "not set".to_owned(),
        value => value.to_owned(),
    };
    let default = match setting.fallback {
        Fallback::Text("") | Fallback::Nothing => "not set".to_owned(),
        Fallback::Text(text) => text.to_owned(),
        Fallback::Derived(_, words) => words.to_owned(),
    };
    Row {
        key: setting.key,
        value,
        secret,
        given: shown.source != Source::Default,
        source,
        class,
        default,
        help: setting.help().replace('`', ""),
        variable: setting.variable(),
    }
}
