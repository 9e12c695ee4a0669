//! Rows as a Parquet file: a column for each member of a line, in groups of rows that fit into memory.

use std::io;
use std::sync::Arc;

use parquet::basic::{Compression, GzipLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::model::{
    AsideRecord, EventId, EventRecord, Fact, FactTexts, Kept, Record, SessionHash, SessionRecord, UserHash,
};

/// Rows of a group, at the most.
const ROWS: usize = 10_000;
/// A group with so many bytes of text is whole, too.
const BYTES: usize = 8 << 20;

/// Makes a file of rows, group by group.
pub(super) struct Columns {
    file: SerializedFileWriter<Vec<u8>>,
    /// Of the group that is not written yet: what stands in each column.
    group: Vec<Vec<Cell>>,
    bytes: usize,
}

/// What one row has in one column.
enum Cell {
    None,
    Int(i64),
    Truth(bool),
    Text(ByteArray),
}

impl Columns {
    pub(super) fn new(kind: Kept) -> io::Result<Self> {
        let schema = Arc::new(parse_message_type(&schema(kind)).map_err(odd)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::GZIP(GzipLevel::default()))
            .set_created_by("tallybox".to_owned());
        let file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).map_err(odd)?;
        let columns = file.schema_descr().num_columns();
        Ok(Self { file, group: (0..columns).map(|_| Vec::new()).collect(), bytes: 0 })
    }

    pub(super) fn add(&mut self, row: Record) -> io::Result<()> {
        let cells = match row {
            Record::Event(event) => of_event(event),
            Record::Session(session) => of_session(session),
            Record::SetAside(aside) => of_aside(aside),
        };
        for (column, cell) in self.group.iter_mut().zip(cells) {
            if let Cell::Text(text) = &cell {
                self.bytes += text.len();
            }
            column.push(cell);
        }
        if self.bytes >= BYTES || self.group[0].len() >= ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.bytes = 0;
        let mut group = self.file.next_row_group().map_err(odd)?;
        for cells in &mut self.group {
            let there: Vec<i16> = cells.iter().map(|cell| i16::from(!matches!(cell, Cell::None))).collect();
            let there = Some(&there[..]);
            let cells = cells.drain(..);
            let mut column = group.next_column().map_err(odd)?.ok_or_else(|| io::Error::other("no such column"))?;
            let written = match column.untyped() {
                ColumnWriter::Int64ColumnWriter(to) => to.write_batch(&only(cells, Cell::int), there, None),
                ColumnWriter::BoolColumnWriter(to) => to.write_batch(&only(cells, Cell::truth), there, None),
                ColumnWriter::ByteArrayColumnWriter(to) => to.write_batch(&only(cells, Cell::text), there, None),
                _ => return Err(io::Error::other("a column of another type")),
            };
            written.and_then(|_| column.close()).map_err(odd)?;
        }
        group.close().map(|_| ()).map_err(odd)
    }

    /// The groups that are ready.
    pub(super) fn ready(&mut self) -> io::Result<Vec<u8>> {
        self.file.flush()?;
        Ok(std::mem::take(self.file.inner_mut()))
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.group[0].is_empty() {
            self.write()?;
        }
        self.file.into_inner().map_err(odd)
    }
}

impl Cell {
    fn maybe(text: Option<String>) -> Self {
        text.map_or(Self::None, Self::from)
    }

    fn int(self) -> Option<i64> {
        if let Self::Int(int) = self { Some(int) } else { None }
    }

    fn truth(self) -> Option<bool> {
        if let Self::Truth(truth) = self { Some(truth) } else { None }
    }

    fn text(self) -> Option<ByteArray> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text.into_bytes().into())
    }
}

fn only<T>(cells: impl Iterator<Item = Cell>, of: impl Fn(Cell) -> Option<T>) -> Vec<T> {
    cells.filter_map(of).collect()
}

fn odd(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

/// The columns, in the order of the cells.
fn schema(kind: Kept) -> String {
    let facts = Fact::ALL.map(|fact| format!("OPTIONAL BYTE_ARRAY {} (STRING);", fact.name())).concat();
    let facts = format!("REQUIRED GROUP facts {{ {facts} }}");
    let columns = match kind {
        Kept::Events => format!(
            "REQUIRED BYTE_ARRAY id (STRING);
             REQUIRED INT64 occurred_at (TIMESTAMP(MILLIS,true));
             REQUIRED INT64 claimed_at (TIMESTAMP(MILLIS,true));
             REQUIRED INT64 received_at (TIMESTAMP(MILLIS,true));
             REQUIRED BYTE_ARRAY name (STRING);
             OPTIONAL BYTE_ARRAY category (STRING);
             OPTIONAL BYTE_ARRAY user (STRING);
             OPTIONAL BYTE_ARRAY session (STRING);
             {facts}
             OPTIONAL BYTE_ARRAY properties (STRING);
             OPTIONAL GROUP error {{
               REQUIRED BYTE_ARRAY group (STRING);
               REQUIRED BYTE_ARRAY message (STRING);
               REQUIRED BOOLEAN crash;
             }}"
        ),
        Kept::Sessions => format!(
            "OPTIONAL BYTE_ARRAY session (STRING);
             OPTIONAL BYTE_ARRAY user (STRING);
             REQUIRED INT64 started_at (TIMESTAMP(MILLIS,true));
             REQUIRED INT64 ended_at (TIMESTAMP(MILLIS,true));
             REQUIRED INT64 events;
             REQUIRED BOOLEAN crashed;
             {facts}"
        ),
        Kept::SetAside => "REQUIRED INT64 received_at (TIMESTAMP(MILLIS,true));
             REQUIRED BYTE_ARRAY reason (STRING);
             REQUIRED BYTE_ARRAY detail (STRING);
             OPTIONAL BYTE_ARRAY id (STRING);
             REQUIRED BYTE_ARRAY body (STRING);"
            .to_owned(),
    };
    format!("message row {{ {columns} }}")
}

fn of_event(event: EventRecord) -> Vec<Cell> {
    let mut cells = vec![
        uuid::Uuid::from_bytes(event.id.0).to_string().into(),
        Cell::Int(event.occurred_at.0),
        Cell::Int(event.claimed_at.0),
        Cell::Int(event.received_at.0),
        event.name.into(),
        Cell::maybe(event.category),
        Cell::maybe(event.user.map(|UserHash(hash)| hex::encode(hash))),
        Cell::maybe(event.session.map(|SessionHash(hash)| hex::encode(hash))),
    ];
    cells.extend(of_facts(event.facts));
    cells.push(Cell::maybe(event.props));
    cells.extend(match event.error {
        Some(error) => [error.group.into(), error.message.into(), Cell::Truth(error.fatal)],
        None => [const { Cell::None }; 3],
    });
    cells
}

fn of_session(session: SessionRecord) -> Vec<Cell> {
    let mut cells = vec![
        Cell::maybe(session.session.map(|SessionHash(hash)| hex::encode(hash))),
        Cell::maybe(session.user.map(|UserHash(hash)| hex::encode(hash))),
        Cell::Int(session.started_at.0),
        Cell::Int(session.ended_at.0),
        Cell::Int(session.events),
        Cell::Truth(session.crashed),
    ];
    cells.extend(of_facts(session.facts));
    cells
}

fn of_aside(aside: AsideRecord) -> Vec<Cell> {
    vec![
        Cell::Int(aside.received_at.0),
        aside.reason.into(),
        aside.detail.into(),
        Cell::maybe(aside.id.map(|EventId(id)| uuid::Uuid::from_bytes(id).to_string())),
        aside.body.into(),
    ]
}

fn of_facts(mut facts: FactTexts) -> [Cell; Fact::COUNT] {
    Fact::ALL.map(|fact| {
        let place = facts.iter().position(|(name, _)| *name == fact.name());
        Cell::maybe(place.map(|place| facts.swap_remove(place).1))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, Row};

    use super::*;
    use crate::model::{EventError, Millis};

    fn event(number: u64) -> EventRecord {
        EventRecord {
            id: EventId(u128::from(number).to_be_bytes()),
            claimed_at: Millis(-5),
            occurred_at: Millis(1_800_000_000_000),
            received_at: Millis(1_800_000_000_001),
            name: format!("saved \"{number}\" ü\n"),
            category: None,
            user: number.is_multiple_of(2).then_some(UserHash([0xab; 16])),
            session: None,
            facts: vec![("system", "macos".to_owned()), ("version", "1.0".to_owned())],
            props: Some(r#"{"a":[1,2.50,1e400],"a":"x"}"#.to_owned()),
            error: (number == 1).then(|| EventError { group: "E".to_owned(), message: "m".to_owned(), fatal: true }),
        }
    }

    /// The rows of a file and how many groups they were in, with what was ready taken after every thousand.
    fn there_and_back(kind: Kept, rows: impl Iterator<Item = Record>) -> (Vec<Row>, usize) {
        let mut columns = Columns::new(kind).unwrap();
        let mut bytes = Vec::new();
        for (number, row) in rows.enumerate() {
            columns.add(row).unwrap();
            if number % 1_000 == 0 {
                bytes.extend(columns.ready().unwrap());
            }
        }
        bytes.extend(columns.finish().unwrap());
        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let rows = reader.get_row_iter(None).unwrap().collect::<Result<_, _>>().unwrap();
        (rows, reader.num_row_groups())
    }

    /// A field by its path.
    fn field(row: &Row, path: &str) -> Field {
        let (name, rest) = path.split_once('.').unwrap_or((path, ""));
        let (_, found) = row.get_column_iter().find(|(known, _)| *known == name).unwrap();
        match found {
            Field::Group(inner) if !rest.is_empty() => field(inner, rest),
            found => found.clone(),
        }
    }

    #[test]
    fn events_come_back_as_they_went_in_groups_that_fit_into_memory() {
        let (rows, groups) = there_and_back(Kept::Events, (0..25_000).map(|number| Record::Event(event(number))));
        assert_eq!((rows.len(), groups), (25_000, 3));
        for (number, row) in (0..).zip(&rows) {
            let text = |text: &str| Field::Str(text.to_owned());
            assert_eq!(field(row, "id"), text(&uuid::Uuid::from_u128(number).to_string()));
            assert_eq!(field(row, "name"), text(&format!("saved \"{number}\" ü\n")));
            assert_eq!(field(row, "claimed_at"), Field::TimestampMillis(-5));
            assert_eq!(field(row, "received_at"), Field::TimestampMillis(1_800_000_000_001));
            let user = if number % 2 == 0 { text(&"ab".repeat(16)) } else { Field::Null };
            assert_eq!(field(row, "user"), user);
            assert_eq!((field(row, "category"), field(row, "session")), (Field::Null, Field::Null));
            assert_eq!((field(row, "facts.version"), field(row, "facts.system")), (text("1.0"), text("macos")));
            assert_eq!(field(row, "facts.build"), Field::Null);
            assert_eq!(field(row, "properties"), text(r#"{"a":[1,2.50,1e400],"a":"x"}"#));
            if number == 1 {
                assert_eq!((field(row, "error.group"), field(row, "error.message")), (text("E"), text("m")));
                assert_eq!(field(row, "error.crash"), Field::Bool(true));
            } else {
                assert_eq!(field(row, "error"), Field::Null);
            }
        }
        let long = |number| Record::Event(EventRecord { props: Some("x".repeat(3 << 20)), ..event(number) });
        assert_eq!(there_and_back(Kept::Events, (0..7).map(long)).1, 3, "groups of long rows are short");
    }

    #[test]
    fn sessions_and_what_was_set_aside_come_back_as_they_went() {
        let session = SessionRecord {
            session: Some(SessionHash([1; 16])),
            user: None,
            facts: Vec::new(),
            started_at: Millis(1),
            ended_at: Millis(2),
            events: 3,
            crashed: true,
        };
        let (rows, _) = there_and_back(Kept::Sessions, [Record::Session(session)].into_iter());
        assert_eq!(field(&rows[0], "session"), Field::Str("01".repeat(16)));
        assert_eq!((field(&rows[0], "user"), field(&rows[0], "facts.version")), (Field::Null, Field::Null));
        assert_eq!((field(&rows[0], "events"), field(&rows[0], "crashed")), (Field::Long(3), Field::Bool(true)));
        let aside = AsideRecord {
            received_at: Millis(4),
            reason: "r".to_owned(),
            detail: "d".to_owned(),
            id: None,
            body: "{".to_owned(),
        };
        let (rows, _) = there_and_back(Kept::SetAside, [Record::SetAside(aside)].into_iter());
        assert_eq!((field(&rows[0], "received_at"), field(&rows[0], "id")), (Field::TimestampMillis(4), Field::Null));
        assert_eq!(field(&rows[0], "body"), Field::Str("{".to_owned()));
    }
}
