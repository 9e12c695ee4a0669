//! One person or device of an app, found by whatever is known of them.

use uuid::Uuid;

use super::super::sql::{Cell, Row, Sql};
use super::super::{Result, links};
use crate::model::{EnvironmentId, FindPeople, Found, FoundBy, Subject, UserHash, Who};

/// Most that are found by a beginning or an e-mail address in an environment.
const MOST: i64 = 20;

/// Least hexadecimal digits of a beginning.
const DIGITS: usize = 8;

/// Longest text that is looked for, in characters.
const LONGEST: usize = 1_000;

const PROFILE: &str = "SELECT hash, coalesce(name, email, identifier) FROM profiles ";
const DEVICE: &str = "SELECT uuid, name FROM devices ";

/// Everybody who is found, each once in every environment.
pub(in crate::store) fn find(db: &dyn Sql, ask: &FindPeople) -> Result<Vec<Found>> {
    let text: String = ask.text.trim().chars().filter(|c| *c != '\0').take(LONGEST).collect();
    let mut found = Vec::new();
    if text.is_empty() {
        return Ok(found);
    }
    for environment in &ask.environments {
        let mut search = Search { db, environment: *environment, found: Vec::new() };
        search.by_id(ask.hash)?;
        search.by_profile(&text)?;
        search.by_device(&text)?;
        if let Some(range) = beginning(&text) {
            search.by_beginning(range)?;
        }
        found.append(&mut search.found);
    }
    Ok(found)
}

struct Search<'a> {
    db: &'a dyn Sql,
    environment: EnvironmentId,
    found: Vec<Found>,
}

impl Search<'_> {
    fn add(&mut self, who: Who, by: FoundBy, label: Option<String>) {
        let subject = Subject { environment: self.environment, who };
        if !self.found.iter().any(|found| found.subject == subject) {
            self.found.push(Found { subject, by, label: label.filter(|label| !label.is_empty()) });
        }
    }

    /// A user, with what an app tells of them.
    fn add_user(&mut self, hash: UserHash, by: FoundBy) -> Result<()> {
        let hash = links::root(self.db, self.environment, hash)?;
        let sql = [PROFILE, "WHERE env_id = $1 AND hash = $2 ORDER BY id DESC LIMIT 1"].concat();
        let told = self.db.row(&sql, &[self.environment.0.into(), (&hash.0).into()])?;
        self.add(Who::User(hash), by, told.and_then(|row| row.some_text(1)));
        Ok(())
    }

    fn by_id(&mut self, hash: UserHash) -> Result<()> {
        let sql = "SELECT 1 FROM users WHERE env_id = $1 AND hash = $2 \
                   UNION ALL SELECT 1 FROM links WHERE env_id = $1 AND hash = $2";
        match self.db.row(sql, &[self.environment.0.into(), Cell::Uuid(hash.0)])? {
            Some(_) => self.add_user(hash, FoundBy::UserId),
            None => Ok(()),
        }
    }

    fn by_profile(&mut self, text: &str) -> Result<()> {
        let own = self.environment.0;
        let sql = [PROFILE, "WHERE env_id = $1 AND (identifier = $2 OR lower(email) = $3) ORDER BY id DESC LIMIT $4"];
        let lower = text.to_ascii_lowercase();
        let rows = self.db.rows(&sql.concat(), &[own.into(), text.into(), lower.as_str().into(), MOST.into()])?;
        self.add_profiles(&rows)?;
        if let Ok(id) = Uuid::try_parse(text) {
            let sql = [PROFILE, "WHERE env_id = $1 AND uuid = $2"].concat();
            let rows = self.db.rows(&sql, &[own.into(), id.as_bytes().into()])?;
            self.add_profiles(&rows)?;
        }
        Ok(())
    }

    fn add_profiles(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            if let Some(hash) = row.array(0) {
                let hash = links::root(self.db, self.environment, UserHash(hash))?;
                self.add(Who::User(hash), FoundBy::Profile, row.some_text(1));
            }
        }
        Ok(())
    }

    fn by_device(&mut self, text: &str) -> Result<()> {
        let own = self.environment.0;
        let sql = [DEVICE, "WHERE env_id = $1 AND install_id = $2"].concat();
        let mut rows = self.db.rows(&sql, &[own.into(), text.into()])?;
        if let Ok(id) = Uuid::try_parse(text) {
            let sql = [DEVICE, "WHERE env_id = $1 AND uuid = $2"].concat();
            rows.extend(self.db.rows(&sql, &[own.into(), id.as_bytes().into()])?);
        }
        self.add_devices(&rows);
        Ok(())
    }

    fn add_devices(&mut self, rows: &[Row]) {
        for row in rows {
            if let Some(id) = row.array(0) {
                self.add(Who::Device(Uuid::from_bytes(id)), FoundBy::Device, row.some_text(1));
            }
        }
    }

    fn by_beginning(&mut self, (first, last): ([u8; 16], [u8; 16])) -> Result<()> {
        let own = self.environment.0;
        for table in ["users", "links"] {
            let sql = format!(
                "SELECT hash FROM {table} WHERE env_id = $1 AND hash >= $2 AND hash <= $3 ORDER BY hash LIMIT $4"
            );
            let users = self.db.rows(&sql, &[own.into(), Cell::Uuid(first), Cell::Uuid(last), MOST.into()])?;
            for row in &users {
                if let Some(hash) = row.array(0) {
                    self.add_user(UserHash(hash), FoundBy::Pseudonym)?;
                }
            }
        }
        let range = [own.into(), (&first).into(), (&last).into(), MOST.into()];
        for column in ["hash", "uuid"] {
            let sql = format!("{PROFILE} WHERE env_id = $1 AND {column} >= $2 AND {column} <= $3 LIMIT $4");
            let rows = self.db.rows(&sql, &range)?;
            self.add_profiles(&rows)?;
        }
        let sql = [DEVICE, "WHERE env_id = $1 AND uuid >= $2 AND uuid <= $3 LIMIT $4"].concat();
        let rows = self.db.rows(&sql, &range)?;
        self.add_devices(&rows);
        Ok(())
    }
}

/// First and last of what begins with those digits; `None` for a text that is no such beginning.
fn beginning(text: &str) -> Option<([u8; 16], [u8; 16])> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if !(DIGITS..=32).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |with: &str| {
        let mut bytes = [0; 16];
        let text = [digits.as_str(), &with.repeat(32 - digits.len())].concat();
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
    };
    filled("0").zip(filled("f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_have_eight_digits_or_more() {
        for (text, fits) in [
            ("3f2a9b01", true),
            ("3f2a9b01-6c0a", true),
            ("3f2a9b0", false),
            ("user-123", false),
            ("a".repeat(33).as_str(), false),
        ] {
            assert_eq!(beginning(text).is_some(), fits, "{text}");
        }
    }
}
