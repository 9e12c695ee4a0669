//! The verbs `member …`: who may sign in, for an owner who is locked out, too.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, bail};
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use zeroize::Zeroizing;

use super::{open, org, table};
use crate::auth::{login, password};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{By, Member, NewMember, OrganizationRow, Role};
use crate::store::{Store, StoreError};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a member; the password is asked for, or read as one line where standard input is no terminal.
    Create {
        /// What they sign in with, such as an e-mail address.
        name: String,
        /// What they may do [default: owner for the first member, else viewer].
        #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)))]
        role: Option<String>,
        /// Short name of their organization [default: the first].
        #[arg(long, value_name = "ORGANIZATION")]
        org: Option<String>,
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
    /// Give a member a role in an organization, or take them out of it.
    Role {
        /// What they sign in with.
        name: String,
        /// What they may do there; `none` takes them out.
        #[arg(value_parser = PossibleValuesParser::new(["owner", "admin", "viewer", NONE]))]
        role: String,
        /// Short name of the organization [default: the first].
        #[arg(long, value_name = "ORGANIZATION")]
        org: Option<String>,
    },
    /// Shut a member out: signed out everywhere, and no way in any more.
    Disable {
        /// What they sign in with.
        name: String,
    },
    /// Let a member sign in again.
    Enable {
        /// What they sign in with.
        name: String,
    },
    /// Forget a member for good; what they did stays in the account.
    Delete {
        /// What they sign in with.
        name: String,
    },
    /// Give the box to another member: who owns it may do everything in every organization.
    OwnBox {
        /// What they sign in with.
        name: String,
    },
    /// List all members.
    List,
}

/// The word for no role.
const NONE: &str = "none";

/// Runs the verb on the configured database.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    let store = open::store(config)?;
    table::print(&answer(&*store, verb, &Clock::system(), &ask)?)
}

/// The member of that name.
pub fn find(store: &dyn Store, name: &str) -> anyhow::Result<Member> {
    let name = name.trim();
    let member = store.find_member(name)?;
    member.with_context(|| format!("there is no member {name}; `tallybox member list` shows all"))
}

fn answer(
    store: &dyn Store,
    verb: &Verb,
    clock: &Clock,
    ask: &dyn Fn() -> anyhow::Result<Zeroizing<String>>,
) -> anyhow::Result<String> {
    let by = By::command_line(clock.now());
    match verb {
        Verb::Create { name, role, org } => {
            let name = login::check_name(name).context("a name has 1 to 254 characters")?;
            if store.find_member(&name)?.is_some() {
                bail!("there is a member {name} already; `tallybox member passwd` sets a new password");
            }
            // A box must not end up with nobody who can administer it.
            let fallback = if store.has_members()? { Role::Viewer } else { Role::Owner };
            let role = role.as_deref().and_then(Role::parse).unwrap_or(fallback);
            let organization = org.as_deref().map(|slug| org::find(store, slug)).transpose()?.map(|found| found.id);
            let new = NewMember { password_hash: chosen(&name, ask)?, name, organization, role };
            let member = store.create_member(&new, &by)?;
            let what = if member.owns_box { "owner of the box" } else { role.as_str() };
            Ok(format!("{} can sign in now, as {what}.\n", member.name))
        }
        Verb::Passwd { name } => {
            let member = find(store, name)?;
            store.set_password(member.id, &chosen(&member.name, ask)?, None, &by)?;
            Ok(format!("{} has a new password, and is signed out everywhere.\n", member.name))
        }
        Verb::Reset2fa { name } => reset(store, name, &by),
        Verb::Role { name, role, org } => {
            let member = find(store, name)?;
            let organization = org::named(store, org.as_deref())?;
            let wanted = Role::parse(role);
            match store.set_role(member.id, organization.id, wanted, &by) {
                Err(StoreError::LastOwner) => bail!("{} would have no owner any more", organization.name),
                done => done?,
            }
            Ok(match wanted {
                Some(role) => format!("{} is {} of {} now.\n", member.name, role.as_str(), organization.name),
                None => format!("{} does not belong to {} any more.\n", member.name, organization.name),
            })
        }
        Verb::Disable { name } => {
            let member = find(store, name)?;
            not_the_owner(&member, store.disable_member(member.id, &by))?;
            Ok(format!("{} is signed out everywhere, and cannot sign in.\n", member.name))
        }
        Verb::Enable { name } => {
            let member = find(store, name)?;
            store.enable_member(member.id, &by)?;
            Ok(format!("{} can sign in again.\n", member.name))
        }
        Verb::Delete { name } => {
            let member = find(store, name)?;
            not_the_owner(&member, store.delete_member(member.id, &by))?;
            Ok(format!("{} is gone.\n", member.name))
        }
        Verb::OwnBox { name } => {
            let member = find(store, name)?;
            store.hand_over_box(member.id, &by)?;
            Ok(format!("The box belongs to {} now.\n", member.name))
        }
        Verb::List => list(store),
    }
}

fn reset(store: &dyn Store, name: &str, by: &By) -> anyhow::Result<String> {
    let member = find(store, name)?;
    Ok(match store.drop_two_factor(member.id, by)? {
        true => format!("{} signs in by password alone now.\n", member.name),
        false => format!("{} has no two-factor sign-in.\n", member.name),
    })
}

fn list(store: &dyn Store) -> anyhow::Result<String> {
    let organizations = store.organizations()?;
    let row = |member: Member| {
        let state = if member.disabled_at.is_some() { "disabled" } else { "" };
        [member.name.clone(), places(&member, &organizations), table::time(member.created_at), state.to_owned()]
    };
    Ok(table::columns(["NAME", "ROLE", "MADE", ""], store.members(None)?.into_iter().map(row).collect()))
}

/// What a member is, and where.
fn places(member: &Member, organizations: &[OrganizationRow]) -> String {
    let mut places: Vec<_> = member.owns_box.then(|| "owns the box".to_owned()).into_iter().collect();
    for place in &member.memberships {
        let slug = organizations.iter().map(|row| &row.organization).find(|one| one.id == place.organization);
        places.push(format!("{} of {}", place.role.as_str(), slug.map_or("?", |one| one.slug.as_str())));
    }
    if places.is_empty() { "belongs nowhere".to_owned() } else { places.join(", ") }
}

fn not_the_owner(member: &Member, done: Result<(), StoreError>) -> anyhow::Result<()> {
    match done {
        Err(StoreError::LastOwner) => {
            bail!("{} owns the box; `tallybox member own-box` gives it to somebody else first", member.name)
        }
        done => Ok(done?),
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
    use crate::store::Accounts;
    use crate::store::sqlite::{Options, SqliteStore};

    fn create(name: &str, role: Option<&str>) -> Verb {
        Verb::Create { name: name.to_owned(), role: role.map(str::to_owned), org: None }
    }

    fn store() -> (tempfile::TempDir, SqliteStore, Clock) {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("box.db"), Options::default()).unwrap();
        (dir, store, Clock::manual(Millis(1_800_000_000_000)))
    }

    #[test]
    fn members_are_made_listed_and_given_new_passwords() {
        let (_dir, store, clock) = store();
        let with = |password: &'static str| move || Ok(Zeroizing::new(password.to_owned()));
        let run = |verb: &Verb, password| answer(&store, verb, &clock, &with(password)).map_err(|e| e.to_string());
        assert!(run(&create("ada", None), "short").unwrap_err().contains("at least 12"));
        assert_eq!(
            run(&create(" ada ", None), "plover zinc fathom").unwrap(),
            "ada can sign in now, as owner of the box.\n"
        );
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
    fn members_get_roles_are_shut_out_and_let_in_and_the_box_has_always_one_owner() {
        let (_dir, store, clock) = store();
        let run = |verb: Verb| {
            let secret = || Ok(Zeroizing::new("plover zinc fathom".to_owned()));
            answer(&store, &verb, &clock, &secret).map_err(|e| e.to_string())
        };
        let (ada, bob) = ("ada".to_owned(), "bob".to_owned());
        run(create("ada", None)).unwrap();
        run(create("bob", None)).unwrap();
        let role = |name: &String, role: &str| Verb::Role { name: name.clone(), role: role.to_owned(), org: None };
        assert!(run(role(&ada, "viewer")).unwrap_err().contains("no owner"));
        assert_eq!(run(role(&bob, "owner")).unwrap(), "bob is owner of Default now.\n");
        assert_eq!(run(role(&ada, "none")).unwrap(), "ada does not belong to Default any more.\n");
        assert!(run(Verb::Disable { name: ada.clone() }).unwrap_err().contains("own-box"));
        assert!(run(Verb::Delete { name: ada.clone() }).unwrap_err().contains("own-box"));
        run(Verb::Disable { name: bob.clone() }).unwrap();
        assert!(run(Verb::List).unwrap().contains("owner of default  2027-01-15 08:00  disabled"));
        assert!(run(Verb::OwnBox { name: bob.clone() }).is_err(), "nobody who is shut out can own the box");
        run(Verb::Enable { name: bob.clone() }).unwrap();
        run(Verb::OwnBox { name: bob }).unwrap();
        run(Verb::Delete { name: ada }).unwrap();
        let list = run(Verb::List).unwrap();
        assert!(list.contains("bob") && list.contains("owns the box, owner of default") && !list.contains("ada"));
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
