//! Rows as they leave the box and come back to it: with texts in place of numbers, whole enough to be stored anew.

use super::{EnvironmentId, EventError, EventId, Kept, Millis, SessionHash, TimeRange, UserHash};

/// Facts by their names.
pub type FactTexts = Vec<(&'static str, String)>;

/// Asks for rows of one kind in a range, in an order in which they can be asked for page by page.
#[derive(Clone, Copy, Debug)]
pub struct RecordsAsk {
    /// Whose.
    pub environment: EnvironmentId,
    /// Which.
    pub kind: Kept,
    /// When: events occurred, sessions ended, others came.
    pub range: TimeRange,
    /// Behind which they begin; none at the first page.
    pub after: Option<RecordPlace>,
    /// About how many.
    pub limit: u32,
}

/// Where a page ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Of events: those of right clocks come first, the others second.
    pub half: usize,
    /// The time of the last row, or the number of its row.
    pub at: i64,
    /// The event's id; nothing for others.
    pub id: [u8; 16],
}

/// How rows are written to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// Compressed lines of JSON, which can be imported.
    Ndjson,
    /// Apache Parquet, for other programs.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl RecordFormat {
    /// Reads its name; an error completes the sentence "the format ...".
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ndjson" => Ok(Self::Ndjson),
            #[cfg(feature = "parquet")]
            "parquet" => Ok(Self::Parquet),
            #[cfg(not(feature = "parquet"))]
            "parquet" => Err("must be ndjson: this program was built without Parquet, which \
                              `cargo build --release --features parquet` builds in"
                .to_owned()),
            _ => Err(format!("must be ndjson or parquet, not `{text}`")),
        }
    }
}

/// A page of rows.
#[derive(Clone, Debug)]
pub struct Records {
    /// In their order.
    pub rows: Vec<Record>,
    /// Where they go on; none at the end.
    pub next: Option<RecordPlace>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Of an event.
    Event(EventRecord),
    /// Of a session.
    Session(SessionRecord),
    /// Of an event that was set aside.
    SetAside(AsideRecord),
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its client's id.
    pub id: EventId,
    /// When, as the client said.
    pub claimed_at: Millis,
    /// When, by our clock.
    pub occurred_at: Millis,
    /// When it came.
    pub received_at: Millis,
    /// What happened.
    pub name: String,
    /// Coarse class.
    pub category: Option<String>,
    /// Whose.
    pub user: Option<UserHash>,
    /// In which session, where its client named one.
    pub session: Option<SessionHash>,
    /// Of the program.
    pub facts: FactTexts,
    /// Properties as JSON text.
    pub props: Option<String>,
    /// The error that it tells of.
    pub error: Option<EventError>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its pseudonym; none where it was derived from pauses.
    pub session: Option<SessionHash>,
    /// Whose.
    pub user: Option<UserHash>,
    /// Of the program.
    pub facts: FactTexts,
    /// Its first event.
    pub started_at: Millis,
    /// Its last event.
    pub ended_at: Millis,
    /// How many there were.
    pub events: i64,
    /// Whether something has crashed in it.
    pub crashed: bool,
}

/// An event that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideRecord {
    /// When it came.
    pub received_at: Millis,
    /// Why it was set aside.
    pub reason: String,
    /// In words.
    pub detail: String,
    /// Its client's id, where that could be read.
    pub id: Option<EventId>,
    /// Its text.
    pub body: String,
}
