//! The verbs `key create`, `key list`, `key rotate` and `key revoke`.

use std::io::BufRead;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;

use super::{app, open, table};
use crate::auth::ingest_key::{self, IssuedKey};
use crate::auth::seal::MasterKey;
use crate::auth::token;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{App, By, Environment, IngestKey, IngestKeyId, KeyKind, Millis};
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a key for an app, and show its token and secret this once.
    Create {
        /// Short name or UUID of the app.
        app: String,
        /// Environment into which it sends [default: the app's first, production].
        #[arg(long, value_name = "ENVIRONMENT")]
        env: Option<String>,
        /// What to call it.
        #[arg(long, default_value = "default")]
        name: String,
        /// Make a key without a secret, which may stand in an app: for Teardown's clients.
        #[arg(long, conflicts_with = "import")]
        public: bool,
        /// Take token and secret of another server over: one line `TOKEN SECRET` on standard input.
        #[arg(long)]
        import: bool,
    },
    /// List the keys of an app, or of all.
    List {
        /// Short name or UUID of the app.
        app: Option<String>,
    },
    /// Make a successor of a key, and let the old one stop later.
    Rotate {
        /// Number of the key, as `key list` shows it.
        key: i64,
        /// How long both work, such as 90m, 24h or 7d.
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
        overlap: Duration,
    },
    /// Let a key stop working at once, for good.
    Revoke {
        /// Number of the key, as `key list` shows it.
        key: i64,
    },
}

/// Runs the verb on the configured database.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    let store = open::store(config)?;
    let bench = Bench { store: &*store, master: &|| open::master_key(config), clock: Clock::system() };
    table::print(&bench.answer(verb, &mut std::io::stdin().lock())?)
}

/// What the verbs work with.
struct Bench<'a> {
    store: &'a dyn Store,
    master: &'a dyn Fn() -> anyhow::Result<MasterKey>,
    clock: Clock,
}

impl Bench<'_> {
    fn answer(&self, verb: &Verb, input: &mut dyn BufRead) -> anyhow::Result<String> {
        match verb {
            Verb::Create { app, env, name, public, import } => {
                let app = app::find(self.store, app)?;
                let environment = environment(&app, env.as_deref())?;
                let name = app::display_name(name)?;
                let issued = match (public, import) {
                    (true, _) => ingest_key::issue_public(environment.id, &name),
                    (false, true) => {
                        let (token, secret) = read_pair(input)?;
                        ingest_key::import(&(self.master)()?, environment.id, &name, &token, &secret)?
                    }
                    (false, false) => ingest_key::issue(&(self.master)()?, environment.id, &name),
                };
                self.keep(&app, &issued)
            }
            Verb::List { app } => self.list(app.as_deref()),
            Verb::Rotate { key, overlap } => self.rotate(*key, *overlap),
            Verb::Revoke { key } => {
                let key = self.active(*key)?;
                self.store.revoke_key(key.id, &self.by())?;
                Ok(format!("Key {} ({}) does not work any more.\n", key.id, key.name))
            }
        }
    }

    /// Stores a key and tells of it.
    fn keep(&self, app: &App, issued: &IssuedKey) -> anyhow::Result<String> {
        let key = self.store.create_key(&issued.new, &self.by())?;
        Ok(tell(app, &key, issued))
    }

    fn by(&self) -> By {
        By::command_line(self.clock.now())
    }

    fn list(&self, name: Option<&str>) -> anyhow::Result<String> {
        let (apps, now) = (self.store.apps()?, self.clock.now());
        let wanted = name.map(|name| app::find(self.store, name)).transpose()?.map(|app| app.id);
        let row = |key: IngestKey| {
            let app = apps.iter().find(|app| app.id == key.app).map(|app| app.slug.to_string());
            let state = match key.revoked_at {
                None => "active".to_owned(),
                Some(at) if at > now => format!("until {}", table::time(at)),
                Some(at) => format!("revoked {}", table::time(at)),
            };
            // Only the hour is kept.
            let used = key.last_used_at.map_or_else(|| "never".to_owned(), hour);
            [
                key.id.to_string(),
                app.unwrap_or_default(),
                key.environment.slug.to_string(),
                key.kind.as_str().to_owned(),
                key.name,
                key.hint,
                table::time(key.created_at),
                used,
                state,
            ]
        };
        let rows = self.store.keys(wanted)?.into_iter().map(row).collect();
        Ok(table::columns(["KEY", "APP", "ENVIRONMENT", "KIND", "NAME", "TOKEN", "MADE", "LAST USED", "STATE"], rows))
    }

    fn rotate(&self, key: i64, overlap: Duration) -> anyhow::Result<String> {
        let old = self.active(key)?;
        let apps = self.store.apps()?;
        let app = apps.iter().find(|app| app.id == old.app).context("the app of that key is gone")?;
        let issued = match old.kind {
            KeyKind::Public => ingest_key::issue_public(old.environment.id, &old.name),
            KeyKind::Secret | KeyKind::Either => ingest_key::issue(&(self.master)()?, old.environment.id, &old.name),
        };
        let overlap = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
        let end = self.clock.now().plus(overlap);
        let made = self.store.rotate_key(old.id, &issued.new, end, &self.by())?;
        let told = tell(app, &made, &issued);
        Ok(format!("{told}Key {} works until {} UTC.\n", old.id, table::time(end)))
    }

    /// The key of that number, unless it stopped working.
    fn active(&self, key: i64) -> anyhow::Result<IngestKey> {
        let found = self.store.keys(None)?.into_iter().find(|found| found.id == IngestKeyId(key));
        let found = found.with_context(|| format!("there is no key {key}; `tallybox key list` shows all"))?;
        if found.revoked_at.is_some_and(|at| at <= self.clock.now()) {
            bail!("key {key} was revoked already");
        }
        Ok(found)
    }
}

/// From the beginning of an hour to its end, in universal time.
fn hour(from: Millis) -> String {
    let end = from.plus(Millis::HOUR).timestamp().strftime("%H:%M").to_string();
    format!("{}-{end}", table::time(from))
}

/// Everything that a client needs.
fn tell(app: &App, key: &IngestKey, issued: &IssuedKey) -> String {
    let mut values = vec![
        ("organization", app.organization.uuid.to_string()),
        ("app", app.uuid.to_string()),
        ("short name", app.slug.to_string()),
        ("environment", key.environment.slug.to_string()),
        ("key", key.id.to_string()),
        ("kind", key.kind.as_str().to_owned()),
        ("token", issued.token.clone()),
    ];
    let once = if key.kind == KeyKind::Public {
        values.extend(token::as_aptabase(&issued.token).map(|spelling| ("for Aptabase", spelling)));
        "The token is shown only this once; Aptabase's SDKs take it in their own spelling. It may stand in your app: it can \
         send events and do nothing else."
    } else {
        values.push(("secret", issued.secret.clone()));
        "Token and secret are shown only this once: keep them where your build can read them."
    };
    format!("{}\n{once}\n", table::labelled(&values))
}

fn environment<'a>(app: &'a App, name: Option<&str>) -> anyhow::Result<&'a Environment> {
    let found = name.map_or(app.environments.first(), |name| app.environment(name));
    found.with_context(|| {
        let all: Vec<&str> = app.environments.iter().map(|environment| environment.slug.as_str()).collect();
        format!("{} has no environment {}; it has {}", app.slug, name.unwrap_or_default(), all.join(", "))
    })
}

/// `TOKEN SECRET` from one line. They stay out of errors.
fn read_pair(input: &mut dyn BufRead) -> anyhow::Result<(String, String)> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        [token, secret] => Ok((token.to_owned(), secret.to_owned())),
        _ => bail!("standard input must give one line: the token, a blank, the secret"),
    }
}

/// A number with s, m, h or d behind it, up to ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let problem = || "a time is a number with s, m, h or d behind it, such as 24h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(problem)?;
    let unit = match unit {
        "s" => Millis::SECOND,
        "m" => Millis::MINUTE,
        "h" => Millis::HOUR,
        "d" => Millis::DAY,
        _ => return Err(problem()),
    };
    let ms = number.parse::<u32>().map_err(|_| problem()).map(|number| i64::from(number).saturating_mul(unit))?;
    if ms > 3_650 * Millis::DAY {
        return Err("at most ten years".to_owned());
    }
    Ok(Duration::from_millis(ms.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{By, KeyLookup, NewApp, Salt, Slug, Zone};
    use crate::store::sqlite::{Options, SqliteStore};

    const NOW: Millis = Millis(1_800_000_000_000);

    fn store() -> (tempfile::TempDir, SqliteStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap();
        let new = NewApp {
            organization: None,
            uuid: uuid::Uuid::from_u128(7),
            slug: Slug::parse("rocket").unwrap(),
            slug_fixed: true,
            name: "Rocket".to_owned(),
            zone: Zone::utc(),
            salt: Salt([0; 32]),
            strict: false,
        };
        store.create_app(&new, &By::command_line(NOW)).unwrap();
        (dir, store)
    }

    fn master() -> anyhow::Result<MasterKey> {
        MasterKey::from_text(&"ab".repeat(32)).context("64 hex digits")
    }

    fn create(env: Option<&str>, import: bool) -> Verb {
        Verb::Create {
            app: "rocket".to_owned(),
            env: env.map(str::to_owned),
            name: "ci".to_owned(),
            public: false,
            import,
        }
    }

    fn value(told: &str, label: &str) -> String {
        let line = told.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("{label} in {told}"));
        line.split_whitespace().last().unwrap().to_owned()
    }

    fn works(store: &SqliteStore, token: &str, now: Millis) -> bool {
        store.key_ring(&KeyLookup::Token(token::hash(token)), now).unwrap().is_some()
    }

    #[test]
    fn a_made_key_works_until_it_is_revoked() {
        let (_dir, store) = store();
        let bench = Bench { store: &store, master: &master, clock: Clock::manual(NOW) };
        let ask = |verb: &Verb| bench.answer(verb, &mut &b""[..]);
        let told = ask(&create(Some("development"), false)).unwrap();
        let token = value(&told, "token");
        assert!(works(&store, &token, NOW));
        assert_eq!(value(&told, "environment"), "development");
        let list = ask(&Verb::List { app: Some("rocket".to_owned()) }).unwrap();
        assert!(list.contains("active") && !list.contains(&token) && !list.contains(&value(&told, "secret")), "{list}");
        let key = value(&told, "key").parse().unwrap();
        ask(&Verb::Revoke { key }).unwrap();
        assert!(!works(&store, &token, NOW));
        assert!(ask(&Verb::Revoke { key }).unwrap_err().to_string().contains("revoked already"));
        assert!(ask(&Verb::Rotate { key, overlap: Duration::ZERO }).is_err());
        assert!(ask(&Verb::List { app: None }).unwrap().contains("revoked 2027-01-15 08:00"));
    }

    #[test]
    fn a_public_key_has_no_secret_and_no_need_of_the_master_key() {
        let (_dir, store) = store();
        let bench = Bench { store: &store, master: &|| bail!("there is none"), clock: Clock::manual(NOW) };
        let public =
            Verb::Create { app: "rocket".to_owned(), env: None, name: "app".to_owned(), public: true, import: false };
        let told = bench.answer(&public, &mut &b""[..]).unwrap();
        assert!(told.contains("may stand in your app") && !told.contains("secret"), "{told}");
        assert_eq!(token::from_aptabase(&value(&told, "for Aptabase")), Some(value(&told, "token")));
        assert_eq!(hour(Millis(1_800_000_000_000)), "2027-01-15 08:00-09:00");
        let rotate = Verb::Rotate { key: value(&told, "key").parse().unwrap(), overlap: Duration::ZERO };
        let next = bench.answer(&rotate, &mut &b""[..]).unwrap();
        assert!(value(&next, "token").starts_with("tkp_") && !works(&store, &value(&told, "token"), NOW));
    }

    #[test]
    fn both_keys_of_a_rotation_work_while_they_overlap() {
        let (_dir, store) = store();
        let bench = Bench { store: &store, master: &master, clock: Clock::manual(NOW) };
        let old = bench.answer(&create(None, false), &mut &b""[..]).unwrap();
        let rotate = Verb::Rotate { key: value(&old, "key").parse().unwrap(), overlap: Duration::from_secs(3_600) };
        let new = bench.answer(&rotate, &mut &b""[..]).unwrap();
        let (old, new) = (value(&old, "token"), value(&new, "token"));
        for (minutes, old_works) in [(0, true), (59, true), (60, false)] {
            let now = NOW.plus(minutes * Millis::MINUTE);
            assert_eq!((works(&store, &old, now), works(&store, &new, now)), (old_works, true), "{minutes}");
        }
    }

    #[test]
    fn a_key_of_another_server_is_taken_over_unchanged() {
        let (_dir, store) = store();
        let bench = Bench { store: &store, master: &master, clock: Clock::manual(NOW) };
        let told = bench.answer(&create(None, true), &mut &b"token-of-another-server its-secret\n"[..]).unwrap();
        assert_eq!(
            (value(&told, "token"), value(&told, "secret")),
            ("token-of-another-server".into(), "its-secret".into())
        );
        assert!(works(&store, "token-of-another-server", NOW));
        for line in [&b""[..], b"alone\n", b"one two three\n"] {
            assert!(bench.answer(&create(None, true), &mut &line[..]).unwrap_err().to_string().contains("one line"));
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (_dir, store) = store();
        let bench = Bench { store: &store, master: &master, clock: Clock::manual(NOW) };
        let ask = |verb: &Verb| bench.answer(verb, &mut &b""[..]).unwrap_err().to_string();
        assert!(ask(&Verb::List { app: Some("nope".to_owned()) }).contains("there is no app nope"));
        assert!(ask(&Verb::Revoke { key: 99 }).contains("there is no key 99"));
        assert!(ask(&create(Some("nightly"), false)).contains("it has production, staging, development"));
    }

    #[test]
    fn times_are_read_or_refused() {
        for (text, seconds) in [("0s", 0), ("90m", 5_400), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "h", "24", "-1h", "1.5h", "99999d", "1ä"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
