//! Events that could not be used, kept aside with the reason.

use askama::Template;
use axum::extract::State;

use crate::model::Reason;

use super::super::error::{Page, page};
use super::super::extract::AppVisit;
use super::super::format::{Calendar, When, grouped};
use super::super::frame::Frame;
use super::super::json::pretty;
use super::super::state::WebState;

/// How many are shown.
const SHOWN: u32 = 25;
/// How much of one's text is shown, in bytes: a page stays under 60 KB.
const BODY: usize = 1_200;

#[derive(Template)]
#[template(path = "pages/set_aside.html")]
struct SetAside {
    frame: Frame,
    rows: Vec<Row>,
    count: String,
    more: bool,
}

struct Row {
    when: When,
    reason: &'static str,
    detail: Vec<Piece>,
    body: String,
}

/// A part of a sentence.
struct Piece {
    text: String,
    /// Whether it names something in the event, rather than being prose.
    quoted: bool,
}

/// `GET /apps/{app}/set-aside`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    let app = on.app.id;
    let (rows, count) = state.ask(move |store| store.set_aside(app, SHOWN)).await?;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let more = count > rows.len() as u64;
    let row = |row: crate::model::SetAsideRow| Row {
        when: calendar.moment(row.received_at),
        reason: words(row.reason),
        detail: pieces(&row.detail),
        body: pretty(&row.body, BODY),
    };
    page(&SetAside {
        frame: Frame::app(&state, &on, "/set-aside"),
        rows: rows.into_iter().map(row).collect(),
        count: grouped(i64::try_from(count).unwrap_or(i64::MAX)),
        more,
    })
}

/// Cuts a text at its back quotes: every second piece stands between two of them.
fn pieces(text: &str) -> Vec<Piece> {
    text.split('`').enumerate().map(|(at, text)| Piece { text: text.to_owned(), quoted: at % 2 == 1 }).collect()
}

fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::Invalid => "Not a valid event",
        Reason::UnsupportedSchema => "Unknown schema version",
        Reason::TooLarge => "Too large",
        Reason::TooComplex => "Too deep or too many properties",
        Reason::TooOld => "Older than events are kept",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_between_back_quotes_are_set_apart() {
        for (text, quoted) in [("`a` is missing", vec!["a"]), ("plain", vec![]), ("`a` lacks `b.c`", vec!["a", "b.c"])]
        {
            let pieces = pieces(text);
            let found: Vec<_> = pieces.iter().filter(|piece| piece.quoted).map(|piece| piece.text.as_str()).collect();
            assert_eq!(found, quoted, "{text}");
            assert_eq!(
                pieces.iter().map(|piece| piece.text.as_str()).collect::<String>(),
                text.replace('`', ""),
                "{text}"
            );
        }
    }
}
