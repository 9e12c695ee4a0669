//! Events that were set aside: pages of them, stretches to be tried again or discarded, and how many there are.

use super::sql::{Cell, Row, Sql};
use super::{Result, audit};
use crate::model::{
    AppId, AsideCount, AsideFilter, AsideList, AsidePage, AsideRow, AsideStretch, By, Concerning, EnvironmentId,
    KeptAside, Millis, Reason,
};

/// Apps and reasons that are told apart in [`counts`].
const COUNTS: usize = 100;

pub(super) fn page(db: &dyn Sql, page: &AsidePage) -> Result<AsideList> {
    let mut condition = Condition::of(&page.filter);
    if let Some(before) = page.before {
        condition.and("id < ", before.into());
    }
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let sql = format!(
        "SELECT id, env_id, received_at, reason, detail, body, again IS NOT NULL FROM set_aside WHERE {} \
         ORDER BY id DESC LIMIT {}",
        condition.sql,
        limit.saturating_add(1)
    );
    let mut rows: Vec<_> = db.rows(&sql, &condition.params)?.iter().map(row).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let sql = "SELECT reason, count(*) FROM set_aside WHERE app_id = $1 GROUP BY reason";
    let counts = db.rows(sql, &[page.filter.app.0.into()])?;
    let mut counts: Vec<_> = counts.iter().map(|row| (reason(row, 0), count(row, 1))).collect();
    counts.sort_unstable_by_key(|(reason, _)| Reason::ALL.iter().position(|known| known == reason));
    Ok(AsideList { rows, more, counts })
}

pub(super) fn kept(db: &dyn Sql, stretch: &AsideStretch) -> Result<Vec<KeptAside>> {
    let condition = Condition::within(stretch);
    let sql =
        format!("SELECT id, env_id, again FROM set_aside WHERE {} ORDER BY id LIMIT {}", condition.sql, stretch.limit);
    let read =
        |row: &Row| KeptAside { id: row.int(0), environment: EnvironmentId(row.int(1)), again: row.some_text(2) };
    Ok(db.rows(&sql, &condition.params)?.iter().map(read).collect())
}

pub(super) fn discard(db: &dyn Sql, stretch: &AsideStretch, by: &By, what: &str) -> Result<Vec<i64>> {
    let condition = Condition::within(stretch);
    let sql = format!(
        "DELETE FROM set_aside WHERE id IN (SELECT id FROM set_aside WHERE {} ORDER BY id LIMIT {}) RETURNING id",
        condition.sql, stretch.limit
    );
    let gone: Vec<_> = db.rows(&sql, &condition.params)?.iter().map(|row| row.int(0)).collect();
    if !gone.is_empty() {
        let of = Concerning::App(stretch.filter.app);
        audit::note(db, by, of, ("set_aside.discarded", what, &events(gone.len())))?;
    }
    Ok(gone)
}

pub(super) fn counts(db: &dyn Sql) -> Result<Vec<AsideCount>> {
    let sql = "SELECT s.app_id, s.reason, n.events, s.detail, s.received_at FROM set_aside s JOIN \
               (SELECT max(id) AS id, count(*) AS events FROM set_aside GROUP BY app_id, reason) n ON n.id = s.id";
    let read = |row: &Row| AsideCount {
        app: AppId(row.int(0)),
        reason: reason(row, 1),
        events: count(row, 2),
        detail: row.text(3),
        newest: Millis(row.int(4)),
    };
    let mut counts: Vec<_> = db.rows(sql, &[])?.iter().map(read).collect();
    counts.sort_unstable_by_key(|count| (std::cmp::Reverse(count.events), count.app, count.reason.as_str()));
    counts.truncate(COUNTS);
    Ok(counts)
}

/// Conditions that all hold, with their parameters.
struct Condition {
    sql: String,
    params: Vec<Cell>,
}

impl Condition {
    fn of(filter: &AsideFilter) -> Self {
        let mut all = Self { sql: "app_id = $1".to_owned(), params: vec![filter.app.0.into()] };
        if let Some(reason) = filter.reason {
            all.and("reason = ", reason.as_str().into());
        }
        if let Some(id) = filter.id {
            all.and("id = ", id.into());
        }
        all
    }

    fn within(stretch: &AsideStretch) -> Self {
        let mut all = Self::of(&stretch.filter);
        all.and("id > ", stretch.after.into());
        all.and("id <= ", stretch.until.into());
        all
    }

    fn and(&mut self, test: &'static str, value: Cell) {
        self.params.push(value);
        self.sql.push_str(&format!(" AND {test}${}", self.params.len()));
    }
}

fn row(row: &Row) -> AsideRow {
    AsideRow {
        id: row.int(0),
        environment: EnvironmentId(row.int(1)),
        received_at: Millis(row.int(2)),
        reason: reason(row, 3),
        detail: row.text(4),
        body: row.text(5),
        whole: row.int(6) != 0,
    }
}

fn reason(row: &Row, column: usize) -> Reason {
    Reason::parse(&row.text(column)).unwrap_or(Reason::Invalid)
}

fn count(row: &Row, column: usize) -> u64 {
    u64::try_from(row.int(column)).unwrap_or(0)
}

fn events(count: usize) -> String {
    if count == 1 { "1 event".to_owned() } else { format!("{count} events") }
}
