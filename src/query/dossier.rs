//! The file of everything about a person or a device: JSON text, written piece by piece, of which no more than some rows are
//! in memory.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::model::{App, FileAsk, FilePlace, FileRow, FileValue, Millis, Subject, Who, date_of};
use crate::store::{Store, StoreError};

/// What the file says of its own form.
const FORMAT: &str = "tallybox-person/1";

/// A file that is being written.
pub struct Dossier {
    app: App,
    at: Millis,
    /// Those that are still to come, the next one last.
    subjects: Vec<Subject>,
    state: State,
}

/// How far a file is.
enum State {
    /// Nothing is written.
    New,
    /// Between two people.
    Between,
    /// In one, where it goes on, with the list that is open and whether that has a row.
    In { subject: Subject, at: FilePlace, list: Option<(&'static str, bool)> },
    /// All is written.
    Over,
}

impl Dossier {
    /// A file about people and devices of an app, as they are now.
    pub fn new(app: App, mut subjects: Vec<Subject>, at: Millis) -> Self {
        subjects.reverse();
        Self { app, at, subjects, state: State::New }
    }

    /// The next piece, nothing where all is written. [`StoreError::NotFound`] where somebody is not there any more.
    pub fn next(&mut self, store: &dyn Store) -> Result<Option<String>, StoreError> {
        let mut text = String::new();
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return Ok(None),
            State::New => {
                text += &format!(
                    "{{\"format\":{},\"app\":{},\"exported_at\":{},\"people\":[",
                    quoted(FORMAT),
                    quoted(self.app.slug.as_str()),
                    quoted(&self.at.timestamp().to_string())
                );
                self.begin("\n", &mut text);
            }
            State::Between => self.begin(",\n", &mut text),
            State::In { subject, at, list } => {
                let part = store.file(&FileAsk { app: self.app.id, subject, at })?;
                let mut list = list;
                if list.is_none_or(|(open, _)| open != part.list) {
                    text += if list.is_some() { "],\n" } else { ",\n" };
                    text += &format!("{}:[", quoted(part.list));
                    list = Some((part.list, false));
                }
                for row in part.rows {
                    let between = if list.is_some_and(|(_, has)| has) { ",\n" } else { "\n" };
                    text += between;
                    text += &object(row)?;
                    list = Some((part.list, true));
                }
                self.state = match part.next {
                    Some(at) => State::In { subject, at, list },
                    None => {
                        text += "]}";
                        State::Between
                    }
                };
                if self.subjects.is_empty() && matches!(self.state, State::Between) {
                    text += "\n]}\n";
                    self.state = State::Over;
                }
            }
        }
        Ok(Some(text))
    }

    /// Begins with the next one.
    fn begin(&mut self, between: &str, text: &mut String) {
        let Some(subject) = self.subjects.pop() else {
            text.push_str("]}\n");
            return;
        };
        let environment = self.app.environments.iter().find(|one| one.id == subject.environment);
        let environment = environment.map_or("", |environment| environment.slug.as_str());
        let (kind, name, id) = match subject.who {
            Who::User(hash) => ("person", "pseudonym", hash.to_string()),
            Who::Device(id) => ("device", "device", id.to_string()),
        };
        text.push_str(between);
        *text +=
            &format!("{{\"environment\":{},\"kind\":{},\"{name}\":{}", quoted(environment), quoted(kind), quoted(&id));
        self.state = State::In { subject, at: FilePlace::begin(0), list: None };
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// One row as an object; what was sent as JSON stands in it as it was sent.
fn object(row: FileRow) -> Result<String, StoreError> {
    let mut members = Vec::with_capacity(row.len());
    for (name, value) in row {
        members.push(format!("{}:{}", quoted(name), json(value)?));
    }
    Ok(format!("{{{}}}", members.join(",")))
}

fn json(value: FileValue) -> Result<String, StoreError> {
    Ok(match value {
        FileValue::Null => "null".to_owned(),
        FileValue::Int(number) => number.to_string(),
        FileValue::Bool(truth) => truth.to_string(),
        FileValue::Text(text) => quoted(&text),
        FileValue::At(at) => quoted(&at.timestamp().to_string()),
        FileValue::Day(day) => quoted(&date_of(day).to_string()),
        FileValue::Hours(hours) => {
            let hours: Vec<_> = (0..25).filter(|hour| hours & (1 << hour) != 0).collect();
            Value::from(hours).to_string()
        }
        FileValue::Json(text) => match serde_json::from_str::<&RawValue>(&text) {
            Ok(_) => text,
            Err(_) => quoted(&text),
        },
        FileValue::Texts(texts) => {
            let texts: Map<_, _> = texts.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
            Value::from(texts).to_string()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_json() {
        for (value, text) in [
            (FileValue::Null, "null"),
            (FileValue::Text("a \"b\"\n".to_owned()), r#""a \"b\"\n""#),
            (FileValue::At(Millis(0)), r#""1970-01-01T00:00:00Z""#),
            (FileValue::Day(1), r#""1970-01-02""#),
            (FileValue::Hours(0b1001), "[0,3]"),
            (FileValue::Json(r#"{"a":[1.50]}"#.to_owned()), r#"{"a":[1.50]}"#),
            (FileValue::Json(r#"{"a":"#.to_owned()), r#""{\"a\":""#),
            (FileValue::Texts(vec![("system", "iOS".to_owned())]), r#"{"system":"iOS"}"#),
        ] {
            assert_eq!(json(value.clone()).unwrap(), text, "{value:?}");
        }
    }
}
