//! The verbs `app …`.

use anyhow::{Context, bail};
use clap::Subcommand;
use uuid::Uuid;

use super::{keeping, open, org, table};
use crate::auth::token;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{App, AppChange, By, NewApp, Salt, Slug, Zone};
use crate::store::{Store, StoreError};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an app with environments production, staging and development.
    Create {
        /// Display name, 1 to 100 characters.
        name: String,
        /// Short name in addresses [default: made from the name].
        #[arg(long)]
        slug: Option<String>,
        /// Time zone in which its days are counted, such as Europe/Berlin.
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        timezone: String,
        /// Public id, to take over that of another server [default: a fresh one].
        #[arg(long)]
        uuid: Option<Uuid>,
        /// Tell clients of unusable events (207 or 400) instead of taking them in charge, to test a client.
        #[arg(long)]
        strict: bool,
        /// Short name of the organization that it belongs to [default: the first].
        #[arg(long, value_name = "ORGANIZATION")]
        org: Option<String>,
    },
    /// Give an app another display name.
    Rename {
        /// Short name or UUID of the app.
        app: String,
        /// The new name, 1 to 100 characters.
        name: String,
    },
    /// Stop an app from taking anything more; nothing is lost, and it can be restored.
    Archive {
        /// Short name or UUID of the app.
        app: String,
    },
    /// Let an archived app take events again.
    Restore {
        /// Short name or UUID of the app.
        app: String,
    },
    /// Delete an archived app for good, with all its data.
    Delete {
        /// Short name or UUID of the app.
        app: String,
        /// Say its short name once more, as the page asks for it.
        #[arg(long, value_name = "SHORT NAME")]
        confirm: String,
    },
    /// Show or choose for how long events, sessions and what was set aside are kept.
    Retention(keeping::Args),
    /// List all apps.
    List,
}

/// Runs the verb on the configured database.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    let store = open::store(config)?;
    table::print(&answer(&*store, verb, &Clock::system())?)
}

/// The app of that short name or UUID.
pub fn find(store: &dyn Store, name: &str) -> anyhow::Result<App> {
    store.find_app(name)?.with_context(|| format!("there is no app {name}; `tallybox app list` shows all"))
}

/// A display name without blanks around it.
pub fn display_name(text: &str) -> anyhow::Result<String> {
    let text = text.trim();
    if !(1..=100).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        bail!("a name has 1 to 100 characters");
    }
    Ok(text.to_owned())
}

fn answer(store: &dyn Store, verb: &Verb, clock: &Clock) -> anyhow::Result<String> {
    let by = By::command_line(clock.now());
    match verb {
        Verb::Create { name, slug, timezone, uuid, strict, org } => {
            let fixed = slug.as_deref().map(|text| {
                Slug::parse(text).with_context(|| format!("`{text}` is no short name: 1 to 64 of A-Z a-z 0-9 _ -"))
            });
            let name = display_name(name)?;
            let new = NewApp {
                organization: org.as_deref().map(|slug| org::find(store, slug)).transpose()?.map(|found| found.id),
                uuid: uuid.unwrap_or_else(Uuid::new_v4),
                slug_fixed: fixed.is_some(),
                slug: fixed.transpose()?.unwrap_or_else(|| Slug::from_name(&name)),
                name,
                zone: Zone::find(timezone).with_context(|| format!("there is no time zone {timezone}"))?,
                salt: Salt(token::random()),
                strict: *strict,
            };
            let app = store.create_app(&new, &by)?;
            let values = table::labelled(&[
                ("name", app.name.clone()),
                ("short name", app.slug.to_string()),
                ("app", app.uuid.to_string()),
                ("organization", app.organization.uuid.to_string()),
                ("time zone", app.zone.name().to_owned()),
            ]);
            Ok(format!("{values}\nNext: tallybox key create {}\n", app.slug))
        }
        Verb::Rename { app, name } => {
            let (found, name) = (find(store, app)?, display_name(name)?);
            store.change_app(found.id, &AppChange::Name(name.clone()), &by)?;
            Ok(format!("{} is called {name} now.\n", found.slug))
        }
        Verb::Archive { app } => {
            let found = find(store, app)?;
            store.change_app(found.id, &AppChange::Archive, &by)?;
            Ok(format!("{} takes nothing more; `tallybox app restore {}` lets it again.\n", found.name, found.slug))
        }
        Verb::Restore { app } => {
            let found = find(store, app)?;
            store.change_app(found.id, &AppChange::Restore, &by)?;
            Ok(format!("{} takes events again.\n", found.name))
        }
        Verb::Delete { app, confirm } => {
            let found = find(store, app)?;
            if confirm != found.slug.as_str() {
                bail!("to delete {} for good, say --confirm {}", found.name, found.slug);
            }
            match store.change_app(found.id, &AppChange::Delete, &by) {
                Err(StoreError::InUse(_)) => bail!("archive it first: tallybox app archive {}", found.slug),
                done => done?,
            }
            Ok(format!("{} is gone; a running server removes its data in the background.\n", found.name))
        }
        Verb::Retention(args) => keeping::answer(store, args, by.at),
        Verb::List => {
            let rows = store.apps()?.into_iter().map(row).collect();
            Ok(table::columns(["SHORT NAME", "NAME", "APP", "TIME ZONE", "MADE", "FIRST EVENT", ""], rows))
        }
    }
}

fn row(app: App) -> [String; 7] {
    [
        app.slug.to_string(),
        app.name,
        app.uuid.to_string(),
        app.zone.name().to_owned(),
        table::time(app.created_at),
        app.first_event_at.map_or_else(|| "none yet".to_owned(), table::time),
        app.archived_at.map_or_else(String::new, |_| "archived".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;
    use crate::store::sqlite::{Options, SqliteStore};

    fn create(name: &str, slug: Option<&str>, timezone: &str) -> Verb {
        Verb::Create {
            name: name.to_owned(),
            slug: slug.map(str::to_owned),
            timezone: timezone.to_owned(),
            uuid: None,
            strict: false,
            org: None,
        }
    }

    #[test]
    fn apps_are_made_and_listed() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap();
        let clock = Clock::manual(Millis(1_800_000_000_000));
        let ask = |verb: &Verb| answer(&store, verb, &clock);
        assert!(
            ask(&create(" My App ", None, "Europe/Berlin")).unwrap().contains("Next: tallybox key create my-app\n")
        );
        assert!(ask(&create("My App", None, "UTC")).unwrap().contains("my-app-2"));
        assert!(ask(&create("Other", Some("my-app"), "UTC")).unwrap_err().to_string().contains("already exists"));
        for (name, slug, zone) in
            [("", None, "UTC"), ("a\nb", None, "UTC"), ("a", Some("a b"), "UTC"), ("a", None, "Mars/Base")]
        {
            assert!(ask(&create(name, slug, zone)).is_err(), "{name:?} {slug:?} {zone}");
        }
        let list = ask(&Verb::List).unwrap();
        assert_eq!(list.lines().count(), 3, "{list}");
        assert!(list.contains("Europe/Berlin  2027-01-15 08:00  none yet"), "{list}");
    }

    #[test]
    fn apps_are_archived_restored_and_deleted_only_when_archived_and_named_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap();
        let clock = Clock::manual(Millis(1_800_000_000_000));
        let ask = |verb: Verb| answer(&store, &verb, &clock).map_err(|error| error.to_string());
        let app = || "gone".to_owned();
        ask(create("Gone", None, "UTC")).unwrap();
        ask(Verb::Rename { app: app(), name: "Going".to_owned() }).unwrap();
        let delete = |confirm: &str| Verb::Delete { app: app(), confirm: confirm.to_owned() };
        assert!(ask(delete("gone")).unwrap_err().contains("archive it first"));
        ask(Verb::Archive { app: app() }).unwrap();
        assert!(ask(Verb::List).unwrap().contains("archived"));
        ask(Verb::Restore { app: app() }).unwrap();
        assert!(!ask(Verb::List).unwrap().contains("archived"));
        ask(Verb::Archive { app: app() }).unwrap();
        assert!(ask(delete("other")).unwrap_err().contains("--confirm gone"));
        ask(delete("gone")).unwrap();
        assert_eq!(ask(Verb::List).unwrap().lines().count(), 1);
        assert!(ask(create("Gone", None, "UTC")).unwrap().contains("gone-2"), "its short name is not free yet");
    }
}
