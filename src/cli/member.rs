//! The verbs `member create`, `member passwd` and `member list`.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, bail};
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use zeroize::Zeroizing;

use super::{open, table};
use crate::auth::{login, password};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{Member, NewMember, Role};
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a member; the password is asked for, or read as one line where standard input is no terminal.
    Create {
        /// What they sign in with, such as an e-mail address.
        name: String,
        /// What they may do [default: owner for the first member, else viewer].
        #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)))]
        role: Option<String>,
    },
    /// Set a new password and sign the member out everywhere; it is asked for as in `create`.
    Passwd {
        /// What they sign in with.
        name: String,
    },
    /// Forget a member's authenticator app and recovery codes, for when both are gone: the password is enough then.
    #[command(name = "reset-2fa")]
    Reset2fa {
        /// What they sign in with.
        name: String,
    },
    /// List all members.
    List,
}

/// Runs the verb on the configured database.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    let store = open::store(config)?;
    table::print(&answer(&*store, verb, &Clock::system(), &ask)?)
}

fn answer(
    store: &dyn Store,
    verb: &Verb,
    clock: &Clock,
    ask: &dyn Fn() -> anyhow::Result<Zeroizing<String>>,
) -> anyhow::Result<String> {
    match verb {
        Verb::Create { name, role } => {
            let name = login::check_name(name).context("a name has 1 to 254 characters")?;
            if store.find_member(&name)?.is_some() {
                bail!("there is a member {name} already; `tallybox member passwd` sets a new password");
            }
            // A box must not end up with nobody who can administer it.
            let fallback = if store.has_members()? { Role::Viewer } else { Role::Owner };
            let role = role.as_deref().and_then(Role::parse).unwrap_or(fallback);
            let new = NewMember { password_hash: chosen(&name, ask)?, name, role };
            let member = store.create_member(&new, clock.now())?;
            Ok(format!("{} can sign in now, as {}.\n", member.name, member.role.as_str()))
        }
        Verb::Passwd { name } => {
            let name = name.trim();
            let member = store.find_member(name)?;
            let member =
                member.with_context(|| format!("there is no member {name}; `tallybox member list` shows all"))?;
            store.set_password(member.id, &chosen(&member.name, ask)?, None)?;
            Ok(format!("{} has a new password, and is signed out everywhere.\n", member.name))
        }
        Verb::List => {
            let row = |member: Member| [member.name, member.role.as_str().to_owned(), table::time(member.created_at)];
            Ok(table::columns(["NAME", "ROLE", "MADE"], store.members()?.into_iter().map(row).collect()))
        }
    }
}

/// The hash of a password that was asked for and is good enough.
fn chosen(name: &str, ask: &dyn Fn() -> anyhow::Result<Zeroizing<String>>) -> anyhow::Result<String> {
    let chosen = ask()?;
    password::check(&chosen, name)?;
    Ok(password::hash(&chosen))
}

/// Twice from the terminal, unseen; or one line of standard input.
fn ask() -> anyhow::Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return read_line(&mut io::stdin().lock());
    }
    let first = Zeroizing::new(rpassword::prompt_password("Password: ")?);
    let second = Zeroizing::new(rpassword::prompt_password("Again: ")?);
    if first != second {
        bail!("the two passwords differ");
    }
    Ok(first)
}

fn read_line(input: &mut dyn BufRead) -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;
    use crate::store::sqlite::{Options, SqliteStore};

    fn create(name: &str, role: Option<&str>) -> Verb {
        Verb::Create { name: name.to_owned(), role: role.map(str::to_owned) }
    }

    #[test]
    fn members_are_made_listed_and_given_new_passwords() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap();
        let clock = Clock::manual(Millis(1_800_000_000_000));
        let with = |password: &'static str| move || Ok(Zeroizing::new(password.to_owned()));
        let run = |verb: &Verb, password| answer(&store, verb, &clock, &with(password)).map_err(|e| e.to_string());
        assert!(run(&create("ada", None), "short").unwrap_err().contains("at least 12"));
        assert_eq!(run(&create(" ada ", None), "plover zinc fathom").unwrap(), "ada can sign in now, as owner.\n");
        assert!(run(&create("bob", None), "plover zinc fathom").unwrap().contains("as viewer"));
        assert!(run(&create("cleo", Some("admin")), "plover zinc fathom").unwrap().contains("as admin"));
        assert!(run(&create("ADA", None), "plover zinc fathom").unwrap_err().contains("already"));
        assert!(run(&create("", None), "plover zinc fathom").is_err());
        run(&Verb::Passwd { name: "ada".to_owned() }, "another long secret").unwrap();
        let hash = store.find_member("ada").unwrap().unwrap().password_hash;
        assert_eq!(password::verify("another long secret", &hash), password::Verdict::Right);
        assert!(
            run(&Verb::Passwd { name: "dora".to_owned() }, "another long secret").unwrap_err().contains("no member")
        );
        assert_eq!(run(&Verb::List, "").unwrap().lines().count(), 4);
    }

    #[test]
    fn a_password_is_one_line_with_its_blanks() {
        for (input, line) in
            [("two words \n", "two words "), ("crlf\r\nmore\n", "crlf"), ("no end", "no end"), ("", "")]
        {
            assert_eq!(*read_line(&mut input.as_bytes()).unwrap(), line);
        }
    }
}
