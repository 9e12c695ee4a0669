//! The account of who did what, when and from where.

use super::{AppId, Millis, OrganizationId};

/// Who does something, when and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// When.
    pub at: Millis,
    /// The name that they sign in with.
    pub member: String,
    /// From where, in words such as `Firefox on Linux`; never an address.
    pub place: String,
}

impl By {
    /// Whoever has a shell on the machine, at that moment.
    pub fn command_line(at: Millis) -> Self {
        Self { at, member: "operator".to_owned(), place: "command line".to_owned() }
    }
}

/// What a line is about, and so who may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerning {
    /// The box as a whole: for who owns it.
    Box,
    /// An organization: for its owners and admins, too.
    Organization(OrganizationId),
    /// An app: for whoever sees the app, too.
    App(AppId),
}

/// A line to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Who, when and from where.
    pub by: By,
    /// What it is about.
    pub of: Concerning,
    /// What was done, for programs: `noun.verb`, such as `key.revoked`.
    pub action: &'static str,
    /// To what.
    pub subject: String,
    /// From what to what, in words.
    pub detail: String,
}

/// A line, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Grows from line to line.
    pub id: i64,
    /// When.
    pub at: Millis,
    /// Who, by the name they had.
    pub member: String,
    /// From where, in words.
    pub place: String,
    /// What was done, for programs: `version.status`, `key.revoked`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// From what to what, in words.
    pub detail: String,
    /// Name of the app that it is about, while that is there.
    pub app: Option<String>,
}

/// Which lines are read, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// What they are about: [`Concerning::Box`] is all of them, an organization its own and those of its apps.
    pub of: Concerning,
    /// Only actions that begin so, such as `key.`; empty for all.
    pub action: String,
    /// Only of that member; empty for all.
    pub member: String,
    /// Lines before that one.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}
