//! The verb `audit`: who did what.

use clap::Args as Arguments;

use super::{app, open, org, table};
use crate::config::Config;
use crate::model::{AuditPage, AuditRow, Concerning};
use crate::store::Store;

/// Which lines are shown.
#[derive(Debug, Arguments)]
pub struct Args {
    /// Only what is about that app, by short name or UUID.
    #[arg(long, conflicts_with = "org")]
    app: Option<String>,
    /// Only what is about that organization, by short name.
    #[arg(long, value_name = "ORGANIZATION")]
    org: Option<String>,
    /// Only actions that begin so, such as `key.`.
    #[arg(long, default_value = "")]
    action: String,
    /// Only what that member did.
    #[arg(long, default_value = "")]
    member: String,
    /// How many lines, the newest.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// Runs the verb on the configured database.
pub fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let store = open::store(config)?;
    table::print(&answer(&*store, args)?)
}

fn answer(store: &dyn Store, args: &Args) -> anyhow::Result<String> {
    let of = match (&args.app, &args.org) {
        (Some(name), _) => Concerning::App(app::find(store, name)?.id),
        (None, Some(slug)) => Concerning::Organization(org::find(store, slug)?.id),
        (None, None) => Concerning::Box,
    };
    let (action, member) = (args.action.clone(), args.member.clone());
    let rows = store.audit(&AuditPage { of, action, member, before: None, limit: args.limit })?;
    let row = |row: AuditRow| {
        [table::time(row.at), row.member, row.action, row.subject, row.app.unwrap_or_default(), row.detail, row.place]
    };
    let rows = rows.into_iter().map(row).collect();
    Ok(table::columns(["WHEN", "WHO", "WHAT", "TO", "APP", "HOW", "FROM"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{By, Millis, NewOrganization, Slug};
    use crate::store::Accounts;
    use crate::store::sqlite::{Options, SqliteStore};

    #[test]
    fn the_account_is_told_newest_first_and_by_what_it_is_about() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap();
        for (slug, minute) in [("one", 0), ("two", 1)] {
            let by = By::command_line(Millis(1_800_000_000_000 + minute * Millis::MINUTE));
            let new = NewOrganization { slug: Slug::parse(slug).unwrap(), name: slug.to_uppercase() };
            store.create_organization(&new, &by).unwrap();
        }
        let args = |org: Option<&str>, action: &str, limit| Args {
            app: None,
            org: org.map(str::to_owned),
            action: action.to_owned(),
            member: String::new(),
            limit,
        };
        let ask = |args| answer(&store, &args).unwrap();
        let all = ask(args(None, "", 50));
        let lines: Vec<_> = all.lines().collect();
        assert!(lines[1].starts_with("2027-01-15 08:01  operator  organization.made  TWO"), "{all}");
        assert!(lines[2].contains("ONE") && lines.len() == 3, "{all}");
        assert_eq!(ask(args(Some("one"), "", 50)).lines().count(), 2);
        assert_eq!(ask(args(None, "", 1)).lines().count(), 2);
        assert_eq!(ask(args(None, "key.", 50)).lines().count(), 1);
        assert_eq!(ask(args(None, "organization.", 50)).lines().count(), 3);
    }
}
