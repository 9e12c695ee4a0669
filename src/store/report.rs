//! Questions as SQL, written once for every backend.

use super::sql::{Cell, Row, Sql};
use super::{Result, versions};
use crate::model::{
    AppId, Ask, Breakdown, BreakdownRow, Dimension, EnvironmentId, EventId, EventRow, EventsPage, Metric, Millis,
    Period, Query, Reason, Report, SetAsideRow, UserHash,
};
use crate::rollup::Bucket;

/// Events with what [`event_row`] reads of them, and their session.
pub(super) const EVENTS: &str = "SELECT e.event_id, e.claimed_at + e.skew, e.claimed_at + e.skew + e.delay, n.text, \
     c.text, u.hash, v.text, s.text, e.props, e.session_id \
     FROM events e JOIN strings n ON n.id = e.name_id JOIN facts f ON f.id = e.facts_id \
     LEFT JOIN strings c ON c.id = e.category_id LEFT JOIN users u ON u.id = e.user_id \
     LEFT JOIN strings v ON v.id = f.version LEFT JOIN strings s ON s.id = f.system ";

/// Answers a question.
pub fn answer(db: &dyn Sql, query: &Query) -> Result<Report> {
    let environment = query.environment;
    match &query.ask {
        Ask::Series(metrics, periods) => series(db, environment, metrics, periods).map(Report::Series),
        Ask::Breakdown(dimension, period, limit) => {
            breakdown(db, environment, *dimension, period, *limit).map(Report::Breakdown)
        }
        Ask::Adoption(version, periods) => versions::sessions(db, environment, version, periods).map(Report::Series),
        Ask::AdoptionUsers(version, period) => {
            let counts = versions::users(db, environment, version, period)?;
            Ok(Report::Series(counts.into_iter().map(|count| vec![count]).collect()))
        }
        Ask::Since => {
            // A user's day is counted at its midnight, where no event may be.
            let sql = "SELECT min(bucket) FROM rollup_hours WHERE env_id = $1 AND dimension = 0 \
                       AND (events > 0 OR sessions > 0)";
            let first = db.value(sql, &[environment.0.into()])?.some_int();
            Ok(Report::Since(first.map(|bucket| Bucket(bucket).start())))
        }
    }
}

/// A page of raw events by the time they occurred. Events whose client's clock was ahead by more than ten minutes
/// have claimed times after the page's end, so they are looked for on their own; where the page has no end, after the
/// hour of the latest event, or a clock that is years ahead would hide all others for as long.
pub fn events(db: &dyn Sql, page: &EventsPage) -> Result<Vec<EventRow>> {
    const AHEAD: i64 = 10 * Millis::MINUTE;
    const NEWEST_FIRST: &str = "ORDER BY e.claimed_at DESC, e.event_id DESC";
    const OLDEST_FIRST: &str = "ORDER BY e.claimed_at, e.event_id";
    // Without an end all that is ahead is wanted, its latest first; with one, what is left of it is at its beginning.
    let (before, ahead) = match page.before {
        Some(before) => (before.0, OLDEST_FIRST),
        None => (latest(db, page.environment)?.plus(Millis::HOUR).0, NEWEST_FIRST),
    };
    let mut found = Vec::new();
    for (order, low, high) in
        [(NEWEST_FIRST, i64::MIN, before.saturating_add(AHEAD)), (ahead, before.saturating_add(AHEAD), i64::MAX)]
    {
        let sql = [
            EVENTS,
            "WHERE e.env_id = $1 AND e.claimed_at >= $2 AND e.claimed_at < $3 AND e.claimed_at + e.skew < $4 ",
            if page.name.is_some() { "AND n.text = $5 " } else { "" },
            order,
            if page.name.is_some() { " LIMIT $6" } else { " LIMIT $5" },
        ]
        .concat();
        let mut params: Vec<Cell> = vec![page.environment.0.into(), low.into(), high.into(), before.into()];
        params.extend(page.name.as_deref().map(Cell::from));
        params.push(i64::from(page.limit).into());
        found.extend(db.rows(&sql, &params)?.iter().map(event_row));
    }
    found.sort_by_key(|row| std::cmp::Reverse((row.occurred_at, row.id)));
    found.truncate(page.limit as usize);
    Ok(found)
}

/// Events kept aside for an app, newest first, and how many there are.
pub fn set_aside(db: &dyn Sql, app: AppId, limit: u32) -> Result<(Vec<SetAsideRow>, u64)> {
    let count = db.value("SELECT count(*) FROM set_aside WHERE app_id = $1", &[app.0.into()])?.int();
    let sql = "SELECT received_at, reason, detail, body FROM set_aside WHERE app_id = $1 ORDER BY id DESC LIMIT $2";
    let read = |row: &Row| SetAsideRow {
        received_at: Millis(row.int(0)),
        reason: Reason::parse(&row.text(1)).unwrap_or(Reason::Invalid),
        detail: row.text(2),
        body: row.text(3),
    };
    let rows = db.rows(sql, &[app.0.into(), i64::from(limit).into()])?;
    Ok((rows.iter().map(read).collect(), u64::try_from(count).unwrap_or(0)))
}

/// The bucket of the latest event.
fn latest(db: &dyn Sql, environment: EnvironmentId) -> Result<Millis> {
    let sql = "SELECT max(bucket) FROM rollup_hours WHERE env_id = $1 AND dimension = 0 AND events > 0";
    Ok(Bucket(db.value(sql, &[environment.0.into()])?.int()).start())
}

/// From a row of [`EVENTS`].
pub(super) fn event_row(row: &Row) -> EventRow {
    EventRow {
        id: EventId(row.array(0).unwrap_or_default()),
        occurred_at: Millis(row.int(1)),
        received_at: Millis(row.int(2)),
        name: row.text(3),
        category: row.some_text(4),
        user: row.array(5).map(UserHash),
        version: row.some_text(6),
        system: row.some_text(7),
        props: row.some_text(8),
    }
}

fn series(db: &dyn Sql, environment: EnvironmentId, metrics: &[Metric], periods: &[Period]) -> Result<Vec<Vec<i64>>> {
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
    rows: Vec<Row>,
}

impl Totals {
    fn read(db: &dyn Sql, environment: EnvironmentId, periods: &[Period]) -> Result<Self> {
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
        let first = self.rows.partition_point(|row| row.int(5) < from);
        self.rows[first..].iter().take_while(|row| row.int(5) < to).map(|row| row.int(column)).sum()
    }
}

/// Different users of a period: exact, since each user-day knows its hours.
fn users(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<i64> {
    let (first_day, last_day) = (period.first.day, period.last_day());
    let environment = Cell::Int(environment.0);
    let last_whole_day = if period.next.hour == 0 { last_day } else { last_day - 1 };
    if period.first.hour == 0 && latest_day(db, &environment)? <= i64::from(last_whole_day) {
        // Where nobody was seen after the period, whoever was last seen in it was in it, and nobody else. One walk over
        // the users is faster than one over their days; the sign keeps it off the index, which lacks the day.
        let sql = "SELECT count(*) FROM users WHERE last_day >= $1 AND +env_id = $2";
        return Ok(db.value(sql, &[Cell::Int(first_day.into()), environment])?.int());
    }
    let all = (1_i64 << 25) - 1;
    let mut from_first = all & !((1 << period.first.hour) - 1);
    let mut until_last = if period.next.hour == 0 { all } else { (1 << period.next.hour) - 1 };
    if first_day == last_day {
        from_first &= until_last;
        until_last = from_first;
    }
    let count = db.value(
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
    Ok(count.int())
}

/// The last local day on which anybody was seen: one step into the table, however many users there are.
fn latest_day(db: &dyn Sql, environment: &Cell) -> Result<i64> {
    let sql = "SELECT max(day) FROM user_days WHERE env_id = $1";
    Ok(db.value(sql, std::slice::from_ref(environment))?.some_int().unwrap_or(i64::MIN))
}

/// Whole UTC days come from the day table, the hours around them from the hour table.
fn breakdown(
    db: &dyn Sql,
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
        "SELECT value, CAST(sum(events) AS BIGINT) FROM ( \
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
    let total = rows.iter().map(|row| row.int(1)).sum();
    rows.retain(|row| row.int(1) > 0);
    rows.sort_by_key(|row| (std::cmp::Reverse(row.int(1)), row.int(0)));
    rows.truncate(limit as usize);
    let rows = rows
        .iter()
        .map(|row| Ok(BreakdownRow { value: text(db, row.int(0))?, events: row.int(1) }))
        .collect::<Result<_>>()?;
    Ok(Breakdown { rows, total })
}

/// The text of an interned value, none for zero.
fn text(db: &dyn Sql, id: i64) -> Result<Option<String>> {
    if id == 0 {
        return Ok(None);
    }
    Ok(db.row("SELECT text FROM strings WHERE id = $1", &[id.into()])?.and_then(|row| row.some_text(0)))
}

fn bucket(at: Millis) -> Cell {
    Cell::Int(Bucket::at_or_after(at).0)
}
