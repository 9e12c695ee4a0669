//! The verbs `app create` and `app list`.

use anyhow::{Context, bail};
use clap::Subcommand;
use uuid::Uuid;

use super::{open, table};
use crate::auth::token;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{App, NewApp, Salt, Slug, Zone};
use crate::store::Store;

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
    },
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
    match verb {
        Verb::Create { name, slug, timezone, uuid, strict } => {
            let fixed = slug.as_deref().map(|text| {
                Slug::parse(text).with_context(|| format!("`{text}` is no short name: 1 to 64 of A-Z a-z 0-9 _ -"))
            });
            let name = display_name(name)?;
            let new = NewApp {
                uuid: uuid.unwrap_or_else(Uuid::new_v4),
                slug_fixed: fixed.is_some(),
                slug: fixed.transpose()?.unwrap_or_else(|| Slug::from_name(&name)),
                name,
                zone: Zone::find(timezone).with_context(|| format!("there is no time zone {timezone}"))?,
                salt: Salt(token::random()),
                strict: *strict,
            };
            let app = store.create_app(&new, clock.now())?;
            let values = table::labelled(&[
                ("name", app.name.clone()),
                ("short name", app.slug.to_string()),
                ("app", app.uuid.to_string()),
                ("organization", app.organization.uuid.to_string()),
                ("time zone", app.zone.name().to_owned()),
            ]);
            Ok(format!("{values}\nNext: tallybox key create {}\n", app.slug))
        }
        Verb::List => {
            let rows = store.apps()?.into_iter().map(row).collect();
            Ok(table::columns(["SHORT NAME", "NAME", "APP", "TIME ZONE", "MADE", "FIRST EVENT"], rows))
        }
    }
}

fn row(app: App) -> [String; 6] {
    [
        app.slug.to_string(),
        app.name,
        app.uuid.to_string(),
        app.zone.name().to_owned(),
        table::time(app.created_at),
        app.first_event_at.map_or_else(|| "none yet".to_owned(), table::time),
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
}
