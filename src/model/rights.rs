//! What people may ask of an app: who they are in it, a file of everything about them, their erasure, and what the app
//! collects at all.

use std::fmt;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{AppId, By, EnvironmentId, Fact, Millis, UserHash};

/// Of whom something is asked: a person or a device, in one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Where.
    pub environment: EnvironmentId,
    /// Whom.
    pub who: Who,
}

/// A person or a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A user, by the stored pseudonym.
    User(UserHash),
    /// An installation, by its public id.
    Device(Uuid),
}

impl Who {
    /// The bytes that name it.
    pub fn bytes(self) -> [u8; 16] {
        match self {
            Self::User(hash) => hash.0,
            Self::Device(id) => *id.as_bytes(),
        }
    }

    /// What stands for it in the account of who did what: eight digits of a hash, by which nobody can be found.
    pub fn digest(self) -> String {
        let mut hex = hex::encode(Sha256::digest(self.bytes()));
        hex.truncate(8);
        hex
    }

    /// The action of exporting it.
    pub const fn exported(self) -> &'static str {
        match self {
            Self::User(_) => "person.exported",
            Self::Device(_) => "device.exported",
        }
    }

    /// `person` or `device`.
    pub const fn kind(self) -> ErasureKind {
        match self {
            Self::User(_) => ErasureKind::Person,
            Self::Device(_) => ErasureKind::Device,
        }
    }
}

/// A search for one person or device in the environments of an app, by whatever is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindPeople {
    /// Where.
    pub environments: Vec<EnvironmentId>,
    /// What was typed: compared whole with identifiers, e-mail addresses and installation ids, and as the beginning of a
    /// pseudonym or of a public id where it is eight hexadecimal digits or more.
    pub text: String,
    /// What an SDK's user id of that text is stored as.
    pub hash: UserHash,
}

/// One person or device that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who, and where.
    pub subject: Subject,
    /// By what.
    pub by: FoundBy,
    /// What they are called, where an app tells of them; of a device its name.
    pub label: Option<String>,
}

/// What a person or device was found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// What an SDK calls them.
    UserId,
    /// The pseudonym, or the beginning of it.
    Pseudonym,
    /// The identifier, e-mail address or public id of what an app tells of them.
    Profile,
    /// What the installation calls itself, or its public id.
    Device,
}

impl FoundBy {
    /// As on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UserId => "user id that the app sends",
            Self::Pseudonym => "pseudonym",
            Self::Profile => "what the app tells of them",
            Self::Device => "installation",
        }
    }
}

/// Asks for the erasure of a person or a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskErasure {
    /// Of which app.
    pub app: AppId,
    /// Of whom.
    pub subject: Subject,
    /// What else names them, beside what is stored of them: the id that an SDK sends. Looked for in what is set aside and
    /// in samples of errors.
    pub names: Vec<String>,
    /// Who asked, when and from where.
    pub by: By,
}

/// What an erasure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureKind {
    /// A person.
    Person,
    /// A device.
    Device,
    /// A whole app.
    App,
}

impl ErasureKind {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Device => "device",
            Self::App => "app",
        }
    }

    /// The kind that is stored so.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Person, Self::Device, Self::App].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An erasure that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Public id.
    pub id: Uuid,
    /// Of which app.
    pub app: AppId,
    /// Where, unless it is of the whole app.
    pub environment: Option<EnvironmentId>,
    /// Of what.
    pub kind: ErasureKind,
    /// The beginning of a hash of whom it is of.
    pub digest: String,
    /// Rows that are gone, by table.
    pub counts: RowCounts,
    /// What is being done, in words; empty once it is done.
    pub doing: &'static str,
    /// Who asked.
    pub member: String,
    /// When.
    pub asked_at: Millis,
    /// When it last came further.
    pub changed_at: Millis,
    /// When it was done.
    pub ended_at: Option<Millis>,
}

/// Rows by table, in the order of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowCounts(pub std::collections::BTreeMap<String, u64>);

impl RowCounts {
    /// Reads what [`RowCounts`] is written as; what is no count is left out.
    pub fn parse(text: &str) -> Self {
        let count = |part: &str| {
            let (table, rows) = part.split_once(' ')?;
            Some((table.to_owned(), rows.parse().ok()?))
        };
        Self(text.split(", ").filter_map(count).collect())
    }

    /// Adds rows of a table.
    pub fn add(&mut self, table: &str, rows: u64) {
        if rows > 0 {
            *self.0.entry(table.to_owned()).or_default() += rows;
        }
    }

    /// All rows together.
    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for RowCounts {
    /// `events 12, sessions 3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (table, rows)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{table} {rows}")?;
        }
        Ok(())
    }
}

/// One step of work on erasures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkErasure {
    /// Who works: nobody else does on the same erasure for a while.
    pub worker: String,
    /// Now.
    pub now: Millis,
    /// On this one only; else on the oldest that is open.
    pub only: Option<Uuid>,
}

impl WorkErasure {
    /// Work of this process.
    pub fn here(now: Millis, only: Option<Uuid>) -> Self {
        static WORKER: LazyLock<String> = LazyLock::new(|| Uuid::new_v4().to_string());
        Self { worker: WORKER.clone(), now, only }
    }
}

/// Asks for a part of the file about a person or a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAsk {
    /// Of which app.
    pub app: AppId,
    /// About whom.
    pub subject: Subject,
    /// Where it goes on; the beginning at first.
    pub at: FilePlace,
}

/// A place in the file about a person or a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// Which part.
    pub part: u8,
    /// How far in it.
    pub key: i64,
    /// Behind which event of that place, by time and id.
    pub after: (i64, [u8; 16]),
}

impl FilePlace {
    /// The beginning of a part.
    pub const fn begin(part: u8) -> Self {
        Self { part, key: i64::MIN, after: (i64::MIN, [0; 16]) }
    }
}

/// Rows of one list of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// The list's name.
    pub list: &'static str,
    /// Its next rows.
    pub rows: Vec<FileRow>,
    /// Where the file goes on, if it does.
    pub next: Option<FilePlace>,
}

/// Members of one object, by name.
pub type FileRow = Vec<(&'static str, FileValue)>;

/// A value of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileValue {
    /// Nothing.
    Null,
    /// A number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// An instant.
    At(Millis),
    /// A local day since 1970.
    Day(i32),
    /// Hours of a day, as bits.
    Hours(u32),
    /// JSON text, as it was sent.
    Json(String),
    /// Texts by name.
    Texts(Vec<(&'static str, String)>),
}

/// Who may read what an app collects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// Members alone.
    #[default]
    Members,
    /// Everybody who has the address.
    Everybody,
}

/// What an app has collected of late, as far as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Events of the last thirty days by name, the most frequent first.
    pub events: Vec<CollectedEvent>,
    /// How many more names there are.
    pub more_events: usize,
    /// Facts that were seen with events or sessions.
    pub facts: Vec<Fact>,
    /// Users, with a pseudonym each.
    pub users: bool,
    /// What an app tells of people: whether there are identifiers, e-mail addresses, names.
    pub profiles: [bool; 3],
    /// Whether installations say who they are.
    pub devices: bool,
    /// Whether there are addresses for messages to devices.
    pub push_tokens: bool,
    /// Whether errors were told of, of whose groups the first message is kept.
    pub errors: bool,
}

/// Events of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectedEvent {
    /// The name.
    pub name: String,
    /// How many there were.
    pub events: u64,
    /// The names of their properties, with the kinds of values that were seen.
    pub props: Vec<(String, PropKinds)>,
    /// How many more properties there are.
    pub more_props: usize,
}

/// Kinds of values of a property.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropKinds {
    /// Texts.
    pub text: bool,
    /// Numbers.
    pub number: bool,
    /// Yes or no.
    pub truth: bool,
    /// Lists and objects.
    pub nested: bool,
    /// Nothing.
    pub nothing: bool,
}

impl PropKinds {
    /// Those that were seen, as on pages.
    pub fn labels(self) -> Vec<&'static str> {
        let all = [
            (self.text, "text"),
            (self.number, "number"),
            (self.truth, "yes or no"),
            (self.nested, "list or group"),
            (self.nothing, "nothing"),
        ];
        all.into_iter().filter(|(seen, _)| *seen).map(|(_, label)| label).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_are_written() {
        let mut counts = RowCounts::default();
        assert_eq!((RowCounts::parse(""), counts.to_string()), (RowCounts::default(), String::new()));
        for (table, rows) in [("sessions", 2), ("events", 10), ("users", 0), ("events", 2)] {
            counts.add(table, rows);
        }
        assert_eq!((counts.to_string().as_str(), counts.sum()), ("events 12, sessions 2", 14));
        assert_eq!(RowCounts::parse(&counts.to_string()), counts);
    }
}
