//! The verbs `token create`, `token list` and `token revoke`.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;

use super::{app, key, open, table};
use crate::auth::api_token;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{ApiToken, ApiTokenId, Millis, TokenScope};
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token for the read API, and show it this once.
    Create {
        /// Short name or UUID of the app that it may read.
        #[arg(required_unless_present = "all_apps")]
        app: Option<String>,
        /// Let it read all apps, those to come included.
        #[arg(long, conflicts_with = "app")]
        all_apps: bool,
        /// What to call it.
        #[arg(long, default_value = "default")]
        name: String,
        /// How long it works, such as 12h or 90d [default: until it is revoked].
        #[arg(long, value_name = "TIME", value_parser = key::duration)]
        expires: Option<Duration>,
    },
    /// List the tokens that can read an app, or all.
    List {
        /// Short name or UUID of the app.
        app: Option<String>,
    },
    /// Let a token stop working at once, for good.
    Revoke {
        /// Number of the token, as `token list` shows it.
        token: i64,
    },
}

/// Runs the verb on the configured database.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    let store = open::store(config)?;
    table::print(&answer(&*store, verb, &Clock::system())?)
}

fn answer(store: &dyn Store, verb: &Verb, clock: &Clock) -> anyhow::Result<String> {
    match verb {
        Verb::Create { app, all_apps: _, name, expires } => create(store, (app.as_deref(), name), *expires, clock),
        Verb::List { app } => list(store, app.as_deref(), clock.now()),
        Verb::Revoke { token } => {
            let found = store.api_tokens(None)?.into_iter().find(|found| found.id == ApiTokenId(*token));
            let found = found.with_context(|| format!("there is no token {token}; `tallybox token list` shows all"))?;
            if found.revoked_at.is_some() {
                bail!("token {token} was revoked already");
            }
            store.revoke_api_token(found.id, clock.now())?;
            Ok(format!("Token {} ({}) does not work any more.\n", found.id, found.name))
        }
    }
}

fn create(
    store: &dyn Store,
    (app, name): (Option<&str>, &str),
    expires: Option<Duration>,
    clock: &Clock,
) -> anyhow::Result<String> {
    let app = app.map(|app| app::find(store, app)).transpose()?;
    let ends = expires.map(|life| clock.now().plus(i64::try_from(life.as_millis()).unwrap_or(i64::MAX)));
    let scopes = [TokenScope::Read].into_iter().collect();
    let issued = api_token::issue(app.as_ref().map(|app| app.id), &app::display_name(name)?, scopes, ends);
    let made = store.create_api_token(&issued.new, clock.now())?;
    let values = table::labelled(&[
        ("app", app.map_or_else(|| "all".to_owned(), |app| app.slug.to_string())),
        ("allows", made.scopes.to_string()),
        ("ends", made.expires_at.map_or_else(|| "when it is revoked".to_owned(), table::time)),
        ("number", made.id.to_string()),
        ("token", issued.token),
    ]);
    Ok(format!("{values}\nThe token is shown only this once. Whoever has it can read what pages show of the app.\n"))
}

fn list(store: &dyn Store, name: Option<&str>, now: Millis) -> anyhow::Result<String> {
    let apps = store.apps()?;
    let wanted = name.map(|name| app::find(store, name)).transpose()?.map(|app| app.id);
    let row = |token: ApiToken| {
        let app = |id| apps.iter().find(|app| app.id == id).map(|app| app.slug.to_string()).unwrap_or_default();
        [
            token.id.to_string(),
            token.app.map_or_else(|| "all".to_owned(), app),
            state(&token, now),
            token.name,
            token.hint,
            token.scopes.to_string(),
            table::time(token.created_at),
            token.last_used_at.map_or_else(|| "never".to_owned(), table::time),
        ]
    };
    let rows = store.api_tokens(wanted)?.into_iter().map(row).collect();
    Ok(table::columns(["TOKEN", "APP", "STATE", "NAME", "BEGINS", "ALLOWS", "MADE", "LAST USED"], rows))
}

fn state(token: &ApiToken, now: Millis) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked {}", table::time(at)),
        (None, Some(at)) if at <= now => format!("ended {}", table::time(at)),
        (None, Some(at)) => format!("until {}", table::time(at)),
        (None, None) => "active".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::token;
    use crate::model::{By, NewApp, Salt, Slug, Zone};
    use crate::store::sqlite::{Options, SqliteStore};

    const NOW: Millis = Millis(1_800_000_000_000);

    fn store() -> (tempfile::TempDir, SqliteStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap();
        for slug in ["rocket", "other"] {
            let new = NewApp {
                organization: None,
                uuid: uuid::Uuid::new_v4(),
                slug: Slug::parse(slug).unwrap(),
                slug_fixed: true,
                name: slug.to_owned(),
                zone: Zone::utc(),
                salt: Salt([0; 32]),
                strict: false,
            };
            store.create_app(&new, &By::command_line(NOW)).unwrap();
        }
        (dir, store)
    }

    fn create(app: Option<&str>, expires: Option<u64>) -> Verb {
        Verb::Create {
            app: app.map(str::to_owned),
            all_apps: app.is_none(),
            name: " ci ".to_owned(),
            expires: expires.map(Duration::from_secs),
        }
    }

    fn value(told: &str, label: &str) -> String {
        let line = told.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("{label} in {told}"));
        line.split_whitespace().last().unwrap().to_owned()
    }

    #[test]
    fn a_made_token_works_until_it_ends_or_is_revoked() {
        let (_dir, store) = store();
        let clock = Clock::manual(NOW);
        let works = |told: &str, seconds: i64| {
            let hash = token::hash(&value(told, "token"));
            store.find_api_token(&hash, NOW.plus(seconds * Millis::SECOND)).unwrap().is_some()
        };
        let own = answer(&store, &create(Some("rocket"), Some(60)), &clock).unwrap();
        let all = answer(&store, &create(None, None), &clock).unwrap();
        assert!(works(&own, 59) && !works(&own, 60) && works(&all, 1_000_000));
        let list = |app: Option<&str>| answer(&store, &Verb::List { app: app.map(str::to_owned) }, &clock).unwrap();
        for (app, lines) in [(None, 3), (Some("rocket"), 3), (Some("other"), 2)] {
            assert_eq!(list(app).lines().count(), lines, "{}", list(app));
            assert!(!list(app).contains(&value(&all, "token")));
        }
        let revoke = Verb::Revoke { token: value(&all, "number").parse().unwrap() };
        answer(&store, &revoke, &clock).unwrap();
        assert!(!works(&all, 0));
        assert!(answer(&store, &revoke, &clock).unwrap_err().to_string().contains("revoked already"));
        assert!(list(None).contains("revoked 2027-01-15 08:00") && list(None).contains("until 2027-01-15 08:01"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (_dir, store) = store();
        let ask = |verb: &Verb| answer(&store, verb, &Clock::manual(NOW)).unwrap_err().to_string();
        assert!(ask(&create(Some("nope"), None)).contains("there is no app nope"));
        assert!(ask(&Verb::List { app: Some("nope".to_owned()) }).contains("there is no app nope"));
        assert!(ask(&Verb::Revoke { token: 99 }).contains("there is no token 99"));
    }
}
