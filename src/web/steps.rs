//! What the address of a funnel asks, and the form of its steps.

use uuid::Uuid;

use crate::model::{Dimension, Filters, FunnelAsk, FunnelStep, Keep, Metric, Millis, SavedFunnel};
use crate::query::{FunnelProblem, FunnelShape, WINDOW, filters, window};

use super::asking::Asking;
use super::error::PageError;
use super::extract::AppVisit;
use super::form::Fields;
use super::format;
use super::selection::Selection;
use super::state::WebState;

/// Most events that are offered as steps.
const OFFERED: u32 = 40;

/// Windows that the form offers.
const WINDOWS: [i64; 7] = [
    Millis::HOUR,
    6 * Millis::HOUR,
    Millis::DAY,
    7 * Millis::DAY,
    14 * Millis::DAY,
    30 * Millis::DAY,
    90 * Millis::DAY,
];

/// What an address asks.
pub struct Asked {
    /// Range and filters; its links keep the funnel.
    pub selection: Selection,
    /// Steps, window and what users are told apart by.
    pub shape: Result<FunnelShape, FunnelProblem>,
    /// The funnel whose id the address names.
    pub saved: Option<SavedFunnel>,
    /// Names of the steps as they stand there.
    names: Vec<String>,
}

/// The form of steps, for `parts/steps.html`.
pub struct StepForm {
    /// Where it shows the funnel.
    pub show: String,
    /// Where it comes back with one more row.
    pub more: String,
    /// The steps.
    pub rows: Vec<StepRow>,
    /// How many rows it has with one more; none where there are as many as there may be.
    pub next: Option<usize>,
    /// Windows: value, label, whether it is chosen.
    pub windows: Vec<Choice>,
    /// What users may be told apart by.
    pub splits: Vec<Choice>,
    /// What a condition may look at.
    pub dimensions: Vec<(String, String)>,
    /// Events to choose from.
    pub events: Vec<String>,
    /// Hidden fields.
    pub kept: Vec<(String, String)>,
    /// What is wrong with the address.
    pub problem: Option<String>,
}

/// One step in the form.
pub struct StepRow {
    /// From 1.
    pub number: usize,
    /// The event's name.
    pub event: String,
    /// What its condition looks at.
    pub dimension: String,
    /// The condition's value.
    pub value: String,
}

/// A value that can be chosen.
pub struct Choice {
    /// As in addresses.
    pub value: String,
    /// As on pages.
    pub label: String,
    /// Whether it is.
    pub chosen: bool,
}

impl Asked {
    /// Reads the query string of a request; nothing where no event has happened yet. A saved funnel's own stands before
    /// what the address says, unless that has steps of its own.
    pub async fn read(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<Self>, PageError> {
        let fields = Fields::parse(query.as_bytes());
        let saved = match fields.get("id") {
            "" => None,
            id => Some(find(state, on, Uuid::try_parse(id).map_err(|_| PageError::NotFound)?).await?),
        };
        let whole = match &saved {
            Some(saved) if fields.find("step").is_none() => format!("{}&{query}", saved.query),
            Some(_) | None => query.to_owned(),
        };
        let fields = Fields::parse(whole.as_bytes());
        let Some(selection) = Selection::read(state, on, &whole).await? else { return Ok(None) };
        let shape = FunnelShape::parse(fields.iter());
        let mut own: Vec<_> = saved.iter().map(|saved| ("id".to_owned(), saved.id.to_string())).collect();
        own.extend(shape.iter().flat_map(FunnelShape::pairs));
        let names = fields.iter().filter(|(name, value)| *name == "step" && !value.trim().is_empty());
        let names = names.map(|(_, value)| value.trim().to_owned()).collect();
        Ok(Some(Self { selection: selection.keeping_all(own), shape, saved, names }))
    }

    /// What would be saved: the funnel and its filters, without the range.
    pub fn definition(&self) -> String {
        let own = self.shape.iter().flat_map(FunnelShape::pairs);
        let pairs = own.chain(filters::pairs(&self.selection.filters));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    /// The form, with so many rows at least.
    pub fn form(&self, (show, more): (&str, &str), rows: usize, events: Vec<String>) -> StepForm {
        let steps: &[FunnelStep] = self.shape.as_ref().map_or(&[], |shape| &shape.steps);
        let mut kept = self.selection.pairs();
        kept.retain(|(name, _)| {
            let is_condition = name.split_once('.').is_some_and(|(step, _)| step.parse::<usize>().is_ok());
            !is_condition && !["step", "window", "split"].contains(&name.as_str())
        });
        let mut all: Vec<_> = match &self.shape {
            Ok(_) => steps.iter().zip(1..).map(|(step, number)| row(number, step, &mut kept)).collect(),
            Err(_) => self.names.iter().take(FunnelAsk::MOST).zip(1..).map(|(name, n)| blank(n, name)).collect(),
        };
        let least = rows.clamp(FunnelAsk::FEWEST, FunnelAsk::MOST);
        all.extend((all.len() + 1..=least).map(|number| blank(number, "")));
        let (chosen, by) = self.shape.as_ref().map_or((WINDOW, None), |shape| (shape.window, shape.by.as_ref()));
        StepForm {
            show: show.to_owned(),
            more: more.to_owned(),
            next: (all.len() < FunnelAsk::MOST).then_some(all.len() + 1),
            rows: all,
            windows: windows(chosen),
            splits: splits(by),
            dimensions: Dimension::OFFERED.iter().map(|one| (one.to_string(), one.label())).collect(),
            events,
            kept,
            problem: self.shape.as_ref().err().map(ToString::to_string),
        }
    }
}

/// The events that happened most in the range, most first.
pub async fn frequent(state: &WebState, on: &AppVisit, selection: &Selection) -> Result<Vec<String>, PageError> {
    let asking = Asking::new(state, on.environment.id, Filters::none());
    let whole = selection.range.whole;
    let list = asking.breakdown(Dimension::Event, &[Metric::Events], whole, OFFERED).await?;
    Ok(list.rows.into_iter().filter_map(|row| row.value).collect())
}

/// A step's conditions in words: `version is 1.0 or 1.1`, `plan is not pro`.
pub fn conditions(step: &FunnelStep) -> String {
    let told = step.filters.iter().map(|filter| {
        if filter.keep == Keep::IsNot && filter.values == [None] {
            return format!("{} is reported", filter.dimension.label());
        }
        let values: Vec<_> = filter.values.iter().map(|value| format::value(value.as_deref())).collect();
        let (is, or) = match filter.keep {
            Keep::Is => ("is", " or "),
            Keep::IsNot => ("is not", " nor "),
        };
        format!("{} {is} {}", filter.dimension.label(), values.join(or))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// A window in words: `7 days`, `1 hour`, `90 minutes`.
pub fn window_label(ms: i64) -> String {
    let units = [(Millis::DAY, "day"), (Millis::HOUR, "hour"), (Millis::MINUTE, "minute")];
    let (unit, noun) = units.into_iter().find(|(unit, _)| ms % unit == 0).unwrap_or((Millis::MINUTE, "minute"));
    match ms / unit {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

async fn find(state: &WebState, on: &AppVisit, id: Uuid) -> Result<SavedFunnel, PageError> {
    let environment = on.environment.id;
    let all = state.ask(move |store| store.funnels(environment)).await?;
    all.into_iter().find(|funnel| funnel.id == id).ok_or(PageError::NotFound)
}

fn blank(number: usize, event: &str) -> StepRow {
    StepRow { number, event: event.to_owned(), dimension: String::new(), value: String::new() }
}

/// A step as a row, which has room for one condition; what it has besides is kept by hidden fields.
fn row(number: usize, step: &FunnelStep, kept: &mut Vec<(String, String)>) -> StepRow {
    let simple = step.filters.iter().find(|filter| filter.keep == Keep::Is && filter.values.len() == 1);
    let others =
        simple.map_or(step.filters.clone(), |filter| step.filters.clone().without(&filter.dimension, filter.keep));
    kept.extend(filters::pairs(&others).into_iter().map(|(name, value)| (format!("{number}.{name}"), value)));
    let value = simple.and_then(|filter| filter.values.first().cloned().flatten());
    StepRow {
        number,
        event: step.event.to_string(),
        dimension: simple.map(|filter| filter.dimension.to_string()).unwrap_or_default(),
        value: value.map(|value| value.to_string()).unwrap_or_default(),
    }
}

fn windows(chosen: i64) -> Vec<Choice> {
    let mut all = WINDOWS.to_vec();
    if let Err(place) = all.binary_search(&chosen) {
        all.insert(place, chosen);
    }
    let choice = |ms| Choice { value: window(ms), label: window_label(ms), chosen: ms == chosen };
    all.into_iter().map(choice).collect()
}

fn splits(by: Option<&Dimension>) -> Vec<Choice> {
    let nothing = Choice { value: String::new(), label: "nothing".to_owned(), chosen: by.is_none() };
    let own = by.filter(|by| !Dimension::OFFERED.contains(by)).cloned();
    let choice = |dimension: Dimension| Choice {
        value: dimension.to_string(),
        label: dimension.label(),
        chosen: by == Some(&dimension),
    };
    [nothing].into_iter().chain(Dimension::OFFERED.into_iter().chain(own).map(choice)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;

    #[test]
    fn windows_and_conditions_are_told_in_words() {
        for (ms, label) in [(Millis::DAY, "1 day"), (90 * Millis::MINUTE, "90 minutes"), (48 * Millis::HOUR, "2 days")]
        {
            assert_eq!(window_label(ms), label);
        }
        let version = Dimension::Fact(Fact::Version);
        let filters = Filters::none()
            .with(version.clone(), Keep::Is, Some("1.0".into()))
            .with(version, Keep::Is, Some("1.1".into()))
            .with(Dimension::Prop("plan".into()), Keep::IsNot, None);
        let step = FunnelStep { event: "a".into(), filters };
        assert_eq!(conditions(&step), "Version is 1.0 or 1.1, plan is reported");
    }

    #[test]
    fn a_row_has_room_for_one_condition_and_loses_none() {
        let version = Dimension::Fact(Fact::Version);
        let filters = Filters::none().with(version.clone(), Keep::IsNot, Some("1.0".into())).with(
            Dimension::Prop("plan".into()),
            Keep::Is,
            Some("pro".into()),
        );
        let mut kept = Vec::new();
        let row = row(2, &FunnelStep { event: "a".into(), filters }, &mut kept);
        assert_eq!((row.dimension.as_str(), row.value.as_str()), ("prop:plan", "pro"));
        assert_eq!(kept, [("2.version!".to_owned(), "1.0".to_owned())]);
        assert_eq!(windows(90 * Millis::MINUTE).iter().filter(|choice| choice.chosen).count(), 1);
        assert!(splits(Some(&Dimension::Prop("plan".into()))).iter().any(|choice| choice.chosen));
    }
}
