//! One event as lists show it, for `parts/event.html`.

use crate::model::{EventRow, UserHash};

use super::format::{Calendar, When};
use super::json::pretty;

/// How much of an event's properties is shown, in bytes: a page stays under 60 KB.
const PROPS: usize = 900;

/// One line of a list, which opens to the whole event.
pub struct EventLine {
    /// When it happened, as the list tells times.
    pub when: When,
    /// What happened.
    pub name: String,
    /// Coarse class.
    pub category: Option<String>,
    /// App version.
    pub version: Option<String>,
    /// Operating system.
    pub system: Option<String>,
    /// Beginning of the user's pseudonym, and where the user's page is.
    pub user: Option<(String, String)>,
    /// Its id.
    pub id: String,
    /// When it came.
    pub received: When,
    /// Properties, laid out and cut.
    pub props: Option<String>,
    /// What a list that can be filtered offers to filter by: name, value, and where that leads.
    pub narrow: Vec<(String, String, String)>,
}

impl EventLine {
    /// The line of an event; `people` is where the pages of users are.
    pub fn new(event: &EventRow, when: When, calendar: &Calendar, people: &str) -> Self {
        Self {
            when,
            name: event.name.clone(),
            category: event.category.clone(),
            version: event.version.clone(),
            system: event.system.clone(),
            user: event.user.map(|user| (short(user), format!("{people}/{user}"))),
            id: event.id.to_string(),
            received: calendar.moment(event.received_at),
            props: event.props.as_deref().map(|props| pretty(props, PROPS)),
            narrow: Vec::new(),
        }
    }
}

/// The beginning of a pseudonym, enough to recognise it.
pub fn short(user: UserHash) -> String {
    hex::encode(&user.0[..4])
}
