//! The verbs `org …`: organizations, which own apps and to which members belong.

use anyhow::{Context, bail};
use clap::Subcommand;

use super::{app, open, table};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{By, NewOrganization, Organization, OrganizationRow, Slug};
use crate::store::{Store, StoreError};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an organization.
    Create {
        /// Display name, 1 to 100 characters.
        name: String,
        /// Short name in addresses [default: made from the name].
        #[arg(long)]
        slug: Option<String>,
    },
    /// Give an organization another display name.
    Rename {
        /// Its short name.
        org: String,
        /// The new name, 1 to 100 characters.
        name: String,
    },
    /// Delete an organization that has no apps any more.
    Delete {
        /// Its short name.
        org: String,
    },
    /// List all organizations.
    List,
}

/// Runs the verb on the configured database.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    let store = open::store(config)?;
    table::print(&answer(&*store, verb, &By::command_line(Clock::system().now()))?)
}

/// The organization of that short name.
pub fn find(store: &dyn Store, slug: &str) -> anyhow::Result<Organization> {
    let found = store.find_organization(slug)?;
    found.with_context(|| format!("there is no organization {slug}; `tallybox org list` shows all"))
}

/// The organization of that short name; the first that was made where none is named.
pub fn named(store: &dyn Store, slug: Option<&str>) -> anyhow::Result<Organization> {
    match slug {
        Some(slug) => find(store, slug),
        None => {
            let first = store.organizations()?.into_iter().map(|row| row.organization).min_by_key(|one| one.id);
            first.context("there is no organization")
        }
    }
}

fn answer(store: &dyn Store, verb: &Verb, by: &By) -> anyhow::Result<String> {
    match verb {
        Verb::Create { name, slug } => {
            let name = app::display_name(name)?;
            let slug = match slug {
                Some(text) => Slug::parse(text)
                    .with_context(|| format!("`{text}` is no short name: 1 to 64 of A-Z a-z 0-9 _ -"))?,
                None => Slug::from_name(&name),
            };
            let made = store.create_organization(&NewOrganization { slug, name }, by)?;
            let slug = &made.slug;
            Ok(format!("{} is made, as {slug}.\nNext: tallybox app create NAME --org {slug}\n", made.name))
        }
        Verb::Rename { org, name } => {
            let (found, name) = (find(store, org)?, app::display_name(name)?);
            store.rename_organization(found.id, &name, by)?;
            Ok(format!("{} is called {name} now.\n", found.slug))
        }
        Verb::Delete { org } => {
            let found = find(store, org)?;
            match store.delete_organization(found.id, by) {
                Err(StoreError::InUse(_)) => bail!("{} still has apps, or is the only one", found.name),
                done => done?,
            }
            Ok(format!("{} is gone.\n", found.name))
        }
        Verb::List => {
            let row = |row: OrganizationRow| {
                let OrganizationRow { organization, created_at, apps, members } = row;
                let slug = organization.slug.to_string();
                [slug, organization.name, apps.to_string(), members.to_string(), table::time(created_at)]
            };
            let rows = store.organizations()?.into_iter().map(row).collect();
            Ok(table::columns(["SHORT NAME", "NAME", "APPS", "MEMBERS", "MADE"], rows))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;
    use crate::store::sqlite::{Options, SqliteStore};

    #[test]
    fn organizations_are_made_renamed_listed_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap();
        let by = By::command_line(Millis(1_800_000_000_000));
        let run = |verb| answer(&store, &verb, &by).map_err(|error| error.to_string());
        let create =
            |name: &str, slug: Option<&str>| Verb::Create { name: name.to_owned(), slug: slug.map(str::to_owned) };
        let made = run(create("Second Team", None)).unwrap();
        assert!(made.contains("as second-team.") && made.contains("--org second-team"), "{made}");
        assert!(run(create("Again", Some("second-team"))).unwrap_err().contains("already exists"));
        assert!(run(create("", None)).is_err());
        assert!(run(create("x", Some("a b"))).unwrap_err().contains("no short name"));
        let (org, name) = ("Second-Team".to_owned(), "Renamed".to_owned());
        run(Verb::Rename { org: org.clone(), name }).unwrap();
        let list = run(Verb::List).unwrap();
        assert!(list.contains("second-team  Renamed  0     0"), "{list}");
        run(Verb::Delete { org: org.clone() }).unwrap();
        assert!(run(Verb::Delete { org }).unwrap_err().contains("no organization"));
        assert!(run(Verb::Delete { org: "default".to_owned() }).unwrap_err().contains("only one"));
    }
}
