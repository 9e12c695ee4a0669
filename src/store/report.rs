//! Questions as SQL, written once for every backend. Parameters are numbered `$1`, `$2`, … in the order in which they
//! first appear, which SQLite and PostgreSQL read alike.

use super::Result;
use crate::model::{
    Ask, Breakdown, BreakdownRow, Dimension, EnvironmentId, EventId, EventRow, EventsPage, Metric, Millis, Period,
    Query, Report, UserHash,
};
use crate::rollup::Bucket;

/// A value of a row, or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// SQL null.
    Null,
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Cell {
    /// The integer, zero for anything else.
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            Self::Null | Self::Text(_) | Self::Bytes(_) => 0,
        }
    }

    fn some_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Null | Self::Text(_) | Self::Bytes(_) => None,
        }
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Null | Self::Int(_) | Self::Bytes(_) => None,
        }
    }

    fn hash(&self) -> Option<[u8; 16]> {
        match self {
            Self::Bytes(bytes) => bytes.as_slice().try_into().ok(),
            Self::Null | Self::Int(_) | Self::Text(_) => None,
        }
    }
}

/// What a backend lends to questions: a connection that reads.
pub trait Rows {
    /// All rows of a statement.
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Vec<Cell>>>;
}

/// Answers a question.
pub fn answer(db: &impl Rows, query: &Query) -> Result<Report> {
    let environment = query.environment;
    match &query.ask {
        Ask::Series(metrics, periods) => series(db, environment, metrics, periods).map(Report::Series),
        Ask::Breakdown(dimension, period, limit) => {
            breakdown(db, environment, *dimension, period, *limit).map(Report::Breakdown)
        }
        Ask::Since => {
            // A user's day is counted at its midnight, where no event may be.
            let sql = "SELECT min(bucket) FROM rollup_hours WHERE env_id = $1 AND dimension = 0 AND events > 0";
            let rows = db.rows(sql, &[Cell::Int(environment.0)])?;
            let first = rows.first().and_then(|row| row.first()).and_then(Cell::some_int);
            Ok(Report::Since(first.map(|bucket| Bucket(bucket).start())))
        }
    }
}

/// A page of raw events by the time they occurred. Events whose client's clock was ahead by more than ten minutes
/// have claimed times after the page's end, so they are looked for on their own; where the page has no end, after the
/// hour of the latest event, or a clock that is years ahead would hide all others for as long.
pub fn events(db: &impl Rows, page: &EventsPage) -> Result<Vec<EventRow>> {
    const AHEAD: i64 = 10 * Millis::MINUTE;
    // Without an end all that is ahead is wanted, its latest first; with one, what is left of it is at its beginning.
    let (before, ahead) = match page.before {
        Some(before) => (before.0, "ASC"),
        None => (latest(db, page.environment)?.plus(Millis::HOUR).0, "DESC"),
    };
    let mut found = Vec::new();
    for (order, low, high) in
        [("DESC", i64::MIN, before.saturating_add(AHEAD)), (ahead, before.saturating_add(AHEAD), i64::MAX)]
    {
        let sql = [
            "SELECT e.event_id, e.claimed_at + e.skew, e.claimed_at + e.skew + e.delay, n.text, c.text, u.hash, \
             v.text, s.text, e.props \
             FROM events e JOIN strings n ON n.id = e.name_id JOIN facts f ON f.id = e.facts_id \
             LEFT JOIN strings c ON c.id = e.category_id LEFT JOIN users u ON u.id = e.user_id \
             LEFT JOIN strings v ON v.id = f.version LEFT JOIN strings s ON s.id = f.system \
             WHERE e.env_id = $1 AND e.claimed_at >= $2 AND e.claimed_at < $3 AND e.claimed_at + e.skew < $4 \
             AND ($5 IS NULL OR n.text = $5) ORDER BY e.claimed_at ",
            order,
            " LIMIT $6",
        ]
        .concat();
        let name = page.name.clone().map_or(Cell::Null, Cell::Text);
        let params = [
            Cell::Int(page.environment.0),
            Cell::Int(low),
            Cell::Int(high),
            Cell::Int(before),
            name,
            Cell::Int(i64::from(page.limit)),
        ];
        found.extend(db.rows(&sql, &params)?.iter().map(|row| event_row(row)));
    }
    found.sort_by_key(|row| std::cmp::Reverse(row.occurred_at));
    found.truncate(page.limit as usize);
    Ok(found)
}

/// The bucket of the latest event.
fn latest(db: &impl Rows, environment: EnvironmentId) -> Result<Millis> {
    let rows = db.rows(
        "SELECT max(bucket) FROM rollup_hours WHERE env_id = $1 AND dimension = 0 AND events > 0",
        &[Cell::Int(environment.0)],
    )?;
    Ok(Bucket(rows.first().and_then(|row| row.first()).map_or(0, Cell::int)).start())
}

fn event_row(row: &[Cell]) -> EventRow {
    EventRow {
        id: EventId(row[0].hash().unwrap_or_default()),
        occurred_at: Millis(row[1].int()),
        received_at: Millis(row[2].int()),
        name: row[3].text().unwrap_or_default(),
        category: row[4].text(),
        user: row[5].hash().map(UserHash),
        version: row[6].text(),
        system: row[7].text(),
        props: row[8].text(),
    }
}

fn series(db: &impl Rows, environment: EnvironmentId, metrics: &[Metric], periods: &[Period]) -> Result<Vec<Vec<i64>>> {
    let totals = Totals::read(db, environment, periods)?;
    metrics
        .iter()
        .map(|metric| {
            let count = |period: &Period| match metric {
                Metric::Events => Ok(totals.sum(period, 0)),
                Metric::Sessions => Ok(totals.sum(period, 1)),
                Metric::NewUsers => Ok(totals.sum(period, 4)),
                Metric::Users if period.is_hour() => Ok(totals.sum(period, 2)),
                Metric::Users if period.is_day() => Ok(totals.sum(period, 3)),
                Metric::Users => users(db, environment, period),
            };
            periods.iter().map(count).collect()
        })
        .collect()
}

/// The summary rows of an environment's total, ready to be summed over periods.
struct Totals {
    rows: Vec<Vec<Cell>>,
}

impl Totals {
    fn read(db: &impl Rows, environment: EnvironmentId, periods: &[Period]) -> Result<Self> {
        let from = periods.iter().map(|p| p.range.from).min().unwrap_or_default();
        let to = periods.iter().map(|p| p.range.to).max().unwrap_or_default();
        let rows = db.rows(
            "SELECT events, sessions, users, day_users, new_users, bucket FROM rollup_hours \
             WHERE env_id = $1 AND dimension = 0 AND bucket >= $2 AND bucket < $3 ORDER BY bucket",
            &[Cell::Int(environment.0), bucket(from), bucket(to)],
        )?;
        Ok(Self { rows })
    }

    fn sum(&self, period: &Period, column: usize) -> i64 {
        let from = Bucket::at_or_after(period.range.from).0;
        let to = Bucket::at_or_after(period.range.to).0;
        let first = self.rows.partition_point(|row| row[5].int() < from);
        self.rows[first..].iter().take_while(|row| row[5].int() < to).map(|row| row[column].int()).sum()
    }
}

/// Different users of a period: exact, since each user-day knows its hours.
fn users(db: &impl Rows, environment: EnvironmentId, period: &Period) -> Result<i64> {
    let (first_day, last_day) = (period.first.day, period.last_day());
    let environment = Cell::Int(environment.0);
    let last_whole_day = if period.next.hour == 0 { last_day } else { last_day - 1 };
    if period.first.hour == 0 && latest_day(db, &environment)? <= i64::from(last_whole_day) {
        // Where nobody was seen after the period, whoever was last seen in it was in it, and nobody else. One walk over
        // the users is faster than one over their days; the sign keeps it off the index, which lacks the day.
        let rows = db.rows(
            "SELECT count(*) FROM users WHERE last_day >= $1 AND +env_id = $2",
            &[Cell::Int(first_day.into()), environment],
        )?;
        return Ok(rows.first().and_then(|row| row.first()).map_or(0, Cell::int));
    }
    let all = (1_i64 << 25) - 1;
    let mut from_first = all & !((1 << period.first.hour) - 1);
    let mut until_last = if period.next.hour == 0 { all } else { (1 << period.next.hour) - 1 };
    if first_day == last_day {
        from_first &= until_last;
        until_last = from_first;
    }
    let rows = db.rows(
        "SELECT count(DISTINCT user_id) FROM user_days WHERE env_id = $1 AND day >= $2 AND day <= $3 \
         AND (day > $2 OR hours & $4 <> 0) AND (day < $3 OR hours & $5 <> 0)",
        &[
            environment,
            Cell::Int(first_day.into()),
            Cell::Int(last_day.into()),
            Cell::Int(from_first),
            Cell::Int(until_last),
        ],
    )?;
    Ok(rows.first().and_then(|row| row.first()).map_or(0, Cell::int))
}

/// The last local day on which anybody was seen: one step into the table, however many users there are.
fn latest_day(db: &impl Rows, environment: &Cell) -> Result<i64> {
    let sql = "SELECT max(day) FROM user_days WHERE env_id = $1";
    let rows = db.rows(sql, std::slice::from_ref(environment))?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Cell::some_int).unwrap_or(i64::MIN))
}

/// Whole UTC days come from the day table, the hours around them from the hour table.
fn breakdown(
    db: &impl Rows,
    environment: EnvironmentId,
    dimension: Dimension,
    period: &Period,
    limit: u32,
) -> Result<Breakdown> {
    let Some(code) = dimension.code() else { return Ok(Breakdown::default()) };
    let from = Bucket::at_or_after(period.range.from);
    let to = Bucket::at_or_after(period.range.to);
    let first_day = Bucket(from.0 + Bucket::PER_DAY - 1).day();
    let (day_from, day_to) = if first_day < to.day() { (first_day, to.day()) } else { (to, to) };
    let mut rows = db.rows(
        "SELECT value, sum(events) FROM ( \
         SELECT value, events FROM rollup_days WHERE env_id = $1 AND dimension = $2 AND bucket >= $3 AND bucket < $4 \
         UNION ALL SELECT value, events FROM rollup_hours \
         WHERE env_id = $1 AND dimension = $2 AND bucket >= $5 AND bucket < $3 \
         UNION ALL SELECT value, events FROM rollup_hours \
         WHERE env_id = $1 AND dimension = $2 AND bucket >= $4 AND bucket < $6) AS parts GROUP BY value",
        &[
            Cell::Int(environment.0),
            Cell::Int(code),
            Cell::Int(day_from.0),
            Cell::Int(day_to.0),
            Cell::Int(from.0),
            Cell::Int(to.0),
        ],
    )?;
    let total = rows.iter().map(|row| row[1].int()).sum();
    rows.retain(|row| row[1].int() > 0);
    rows.sort_by_key(|row| (std::cmp::Reverse(row[1].int()), row[0].int()));
    rows.truncate(limit as usize);
    let rows = rows
        .iter()
        .map(|row| Ok(BreakdownRow { value: text(db, row[0].int())?, events: row[1].int() }))
        .collect::<Result<_>>()?;
    Ok(Breakdown { rows, total })
}

/// The text of an interned value, none for zero.
fn text(db: &impl Rows, id: i64) -> Result<Option<String>> {
    if id == 0 {
        return Ok(None);
    }
    let rows = db.rows("SELECT text FROM strings WHERE id = $1", &[Cell::Int(id)])?;
    Ok(rows.first().and_then(|row| row.first()).and_then(Cell::text))
}

fn bucket(at: Millis) -> Cell {
    Cell::Int(Bucket::at_or_after(at).0)
}
