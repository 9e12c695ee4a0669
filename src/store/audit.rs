//! The account of who did what, written once for every backend. Lines are added and read, never changed.

use super::Result;
use super::sql::{Cell, Row, Sql};
use crate::model::{AuditLine, AuditPage, AuditRow, By, Concerning, Millis};

/// Longest text of a line, in bytes: what strangers can put into it is bounded before it gets here, too.
const TEXT: usize = 2_000;

/// Writes a line, in the transaction of what it tells of.
pub(super) fn note(db: &dyn Sql, by: &By, of: Concerning, (action, subject, detail): (&str, &str, &str)) -> Result<()> {
    let (organization, app) = match of {
        Concerning::Box => (Cell::Null, Cell::Null),
        Concerning::Organization(organization) => (organization.0.into(), Cell::Null),
        Concerning::App(app) => {
            (db.value("SELECT organization_id FROM apps WHERE id = $1", &[app.0.into()])?, app.0.into())
        }
    };
    db.run(
        "INSERT INTO audit (at, organization_id, app_id, member, place, action, subject, detail) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        &[
            by.at.0.into(),
            organization,
            app,
            cut(&by.member).into(),
            cut(&by.place).into(),
            action.into(),
            cut(subject).into(),
            cut(detail).into(),
        ],
    )?;
    Ok(())
}

/// Writes a line about something that changes nothing else.
pub(super) fn record(db: &dyn Sql, line: &AuditLine) -> Result<()> {
    note(db, &line.by, line.of, (line.action, &line.subject, &line.detail))
}

/// A page of the account, newest first.
pub(super) fn page(db: &dyn Sql, page: &AuditPage) -> Result<Vec<AuditRow>> {
    let mut params: Vec<Cell> = vec![page.before.unwrap_or(i64::MAX).into()];
    let mut conditions = String::new();
    let mut also = |condition: &str, value: Cell| {
        params.push(value);
        conditions.push_str(&format!(" AND {condition} ${}", params.len()));
    };
    match page.of {
        Concerning::Box => {}
        Concerning::Organization(organization) => also("u.organization_id =", organization.0.into()),
        Concerning::App(app) => also("u.app_id =", app.0.into()),
    }
    if !page.action.is_empty() {
        let begins: String = page.action.chars().filter(|c| c.is_ascii_lowercase() || "._".contains(*c)).collect();
        also("u.action LIKE", Cell::Text(begins + "%"));
    }
    if !page.member.is_empty() {
        also("lower(u.member) =", Cell::Text(page.member.to_ascii_lowercase()));
    }
    params.push(i64::from(page.limit).into());
    let sql = format!(
        "SELECT u.id, u.at, u.member, u.place, u.action, u.subject, u.detail, a.name FROM audit u \
         LEFT JOIN apps a ON a.id = u.app_id AND a.deleted_at IS NULL WHERE u.id < $1{conditions} \
         ORDER BY u.id DESC LIMIT ${}",
        params.len()
    );
    let read = |row: &Row| AuditRow {
        id: row.int(0),
        at: Millis(row.int(1)),
        member: row.text(2),
        place: row.text(3),
        action: row.text(4),
        subject: row.text(5),
        detail: row.text(6),
        app: row.some_text(7),
    };
    Ok(db.rows(&sql, &params)?.iter().map(read).collect())
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT)]
}
