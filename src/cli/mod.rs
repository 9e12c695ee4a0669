//! The command line: reads flags, loads the configuration and runs one verb.

pub mod datadir;
pub mod open;
pub mod serve;

mod app;
mod audit;
mod backup;
mod client;
mod config;
mod demo;
mod doctor;
mod erase;
mod etiquette;
mod healthcheck;
mod install;
mod jobs;
mod keeping;
mod key;
mod manual;
mod member;
mod migrate;
mod moving;
mod org;
mod progress;
mod prune;
mod query;
mod rebuild;
mod records;
mod rekey;
mod routes;
mod sbom;
mod supervisor;
mod table;
mod tail;
mod token;
mod upgrade;
mod version;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Styles;
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, Fallback, Kind, SETTINGS, Setting, Sources};

/// Takes telemetry from apps and shows what it says: one binary, one file of data.
#[derive(Debug, Parser)]
#[command(name = "tallybox", version, styles = Styles::plain(), max_term_width = 110)]
struct Cli {
    /// File with settings in TOML [default: tallybox.toml in the data directory, else /etc/tallybox.toml].
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, help_heading = "Settings")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the server; this is also what happens without any verb.
    Serve,
    /// Make, archive, delete and list apps.
    #[command(subcommand)]
    App(app::Verb),
    /// Make, list, rotate and revoke the keys that SDKs prove themselves with.
    #[command(subcommand)]
    Key(key::Verb),
    /// Make, list and revoke the tokens that programs read counts and events with.
    #[command(subcommand)]
    Token(token::Verb),
    /// Make, rename, delete and list organizations, which own apps.
    #[command(subcommand)]
    Org(org::Verb),
    /// Make members, give them roles and passwords, shut them out and list them.
    #[command(subcommand)]
    Member(member::Verb),
    /// Order the clients of an app to send less, some events only, or nothing for a while; list and lift such orders.
    #[command(subcommand)]
    Etiquette(etiquette::Verb),
    /// Show who did what.
    Audit(audit::Args),
    /// Ask a running server for counts, over HTTP and with a token.
    Query(query::Args),
    /// Follow the events of a running server as they come, over HTTP and with a token.
    Tail(tail::Args),
    /// Show the settings with where each came from, or check them.
    #[command(subcommand)]
    Config(config::Verb),
    /// Seal every secret anew under the first master key, so that older ones may go.
    Rekey,
    /// Copy everything that the box keeps, beside a running server, and check the copy.
    Backup(backup::Backup),
    /// Check a backup to the last byte.
    Verify(backup::Verify),
    /// Put a backup to where a database is to be, which must be empty.
    Restore(backup::Which),
    /// Copy everything into another database, SQLite or PostgreSQL, while the server goes on.
    Move(moving::Args),
    /// Make an app with a year of made-up people, releases and errors, to see what the pages show.
    Demo(demo::Args),
    /// Count the summaries anew from events, sessions and users, and tell what differs.
    Rebuild(rebuild::Args),
    /// Delete what is older than it is kept, or tell what that is. A running server does it by itself.
    Prune(prune::Args),
    /// Write an app's events to files, one for each day; sessions and what was set aside where asked for.
    Export(records::Export),
    /// Take events out of such files, each once: of another app as new ones, of the same one back to where they were. Or out
    /// of the exports of other products.
    Import(records::Import),
    /// Erase one person or device of an app for good.
    Erase(erase::EraseArgs),
    /// Write everything about one person or device of an app to a file, as JSON.
    ExportPerson(erase::ExportArgs),
    /// Look whether all is well with the box and what it stands on, and say what to do: exit code 0 well, 1 warnings,
    /// 2 problems.
    Doctor(doctor::Args),
    /// Show how far the schema of the database is, bring it up to date, or try that on a copy.
    #[command(subcommand)]
    Migrate(migrate::Verb),
    /// Try on a copy of a database or backup what this version would make of it.
    Upgrade(upgrade::Args),
    /// List the jobs of the background with how they went and when they are due, or do one of them now.
    Jobs(jobs::Args),
    /// List everything that the server answers.
    Routes(routes::Args),
    /// Ask the running server whether it is well: exit code 0 if it is, 1 if not.
    Healthcheck,
    /// Make this program a service of the machine, under systemd: copy it, write its units and settings, start it.
    InstallService(install::Args),
    /// Print the manual, as a page for `man`.
    Man,
    /// Print what makes a shell complete verbs and flags.
    Completions(manual::Args),
    /// Print what the program is made of: every crate with version, licence and hash, as CycloneDX in JSON.
    Sbom,
    /// Print the versions of this program and of SQLite.
    Version(version::Args),
}

/// Runs the command line of this process. Exit codes: 0 done, 1 failed, 2 not understood.
pub fn main() -> ExitCode {
    datadir::protect_process();
    let (cli, flags) = match parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    match run(cli, flags) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, flags: Vec<(String, String)>) -> anyhow::Result<ExitCode> {
    let sources = Sources::of_process(flags, cli.config);
    let load = || Config::load(&sources);
    match cli.verb.unwrap_or(Verb::Serve) {
        Verb::Serve => serve::run(load()?),
        Verb::App(verb) => app::run(&load()?, &verb),
        Verb::Key(verb) => key::run(&load()?, &verb),
        Verb::Token(verb) => token::run(&load()?, &verb),
        Verb::Org(verb) => org::run(&load()?, &verb),
        Verb::Member(verb) => member::run(&load()?, &verb),
        Verb::Etiquette(verb) => etiquette::run(&load()?, &verb),
        Verb::Audit(args) => audit::run(&load()?, &args),
        Verb::Query(args) => query::run(&args),
        Verb::Tail(args) => tail::run(&args),
        Verb::Config(verb) => config::run(&load()?, &verb),
        Verb::Rekey => rekey::run(&load()?),
        Verb::Backup(args) => backup::run(&load()?, &args),
        Verb::Verify(args) => backup::verify(&load()?, &args),
        Verb::Restore(args) => backup::restore(&load()?, &args),
        Verb::Move(args) => moving::run(&load()?, &args),
        Verb::Demo(args) => demo::run(&load()?, &args),
        Verb::Rebuild(args) => rebuild::run(&load()?, &args),
        Verb::Prune(args) => prune::run(&load()?, &args),
        Verb::Export(args) => records::export(&load()?, &args),
        Verb::Import(args) => records::import(&load()?, &args),
        Verb::Erase(args) => erase::erase(&load()?, &args),
        Verb::ExportPerson(args) => erase::export(&load()?, &args),
        Verb::Doctor(args) => return doctor::run(load(), &args),
        Verb::Migrate(verb) => migrate::run(&load()?, &verb),
        Verb::Upgrade(args) => upgrade::run(&load()?, &args),
        Verb::Jobs(args) => jobs::run(&load()?, &args),
        Verb::Routes(args) => routes::run(&load()?, &args),
        Verb::Healthcheck => healthcheck::run(&load()?),
        Verb::InstallService(args) => install::run(&args, sources),
        Verb::Man => manual::man(command()),
        Verb::Completions(args) => manual::completions(&args, command()),
        Verb::Sbom => sbom::run(),
        Verb::Version(args) => version::run(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The verb, and the settings given as flags by one of [`Setting::flag_keys`].
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(Cli, Vec<(String, String)>), clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let given = |key: String| matches.get_one::<String>(&key).cloned().map(|text| (key, text));
    Ok((cli, SETTINGS.iter().flat_map(Setting::flag_keys).filter_map(given).collect()))
}

/// The whole command line, with the flags of each setting, before or behind the verb.
fn command() -> Command {
    let flags = SETTINGS.iter().flat_map(|setting| setting.flag_keys().into_iter().map(|key| flag(setting, key)));
    Cli::command().args(flags)
}

fn flag(setting: &Setting, key: String) -> Arg {
    let (value_name, help) =
        if key == setting.key { (setting.value_name, help(setting)) } else { ("FILE", help_of_file(setting)) };
    let arg = Arg::new(key.clone())
        .long(Setting::flag(&key))
        .value_name(value_name)
        .help(help)
        .help_heading("Settings")
        .global(true)
        .action(ArgAction::Set)
        // A verb's own help stays short; `--help` tells all.
        .hide_short_help(true)
        .hide(setting.kind == Kind::Hidden);
    match setting.kind {
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::Plain | Kind::List | Kind::Secret | Kind::Url | Kind::Hidden => arg,
    }
}

/// The sentence of the setting, its variable and its default.
fn help(setting: &Setting) -> String {
    let (sentence, variable) = (setting.help(), setting.variable());
    let variable = setting.alias.map_or(variable.clone(), |alias| format!("{variable} or {alias}"));
    match setting.fallback {
        Fallback::Text(text) => format!("{sentence} [variable: {variable}] [default: {text}]"),
        Fallback::Derived(_, words) => format!("{sentence} [variable: {variable}] [default: {words}]"),
        Fallback::Nothing => format!("{sentence} [variable: {variable}]"),
    }
}

/// The same of the flag that names a file with the setting's value.
fn help_of_file(setting: &Setting) -> String {
    let variable = setting.variable();
    match setting.kind {
        Kind::Secret => format!("File with this secret: {} [variable: {variable} or {variable}_FILE]", setting.help()),
        Kind::Url | Kind::Plain | Kind::Switch | Kind::List | Kind::Hidden => {
            format!("File with the {}, so that a password may stand in it. [variable: {variable}_FILE]", setting.key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Vec<(String, String)> {
        parse(line.split(' ').map(OsString::from)).unwrap().1
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_behind_the_verb() {
        let port = vec![("port".to_owned(), "1".to_owned())];
        for line in
            ["tallybox --port 1", "tallybox serve --port 1", "tallybox --port=1 key list", "tallybox key list --port 1"]
        {
            assert_eq!(flags(line), port, "{line}");
        }
        let (cli, flags) = parse(["tallybox", "config", "show", "--config", "x.toml"].map(OsString::from)).unwrap();
        assert_eq!((cli.config, flags.len()), (Some("x.toml".into()), 0));
    }

    #[test]
    fn switches_may_stand_alone_or_say_no() {
        let rows = [
            ("tallybox --allow-network-fs", "allow_network_fs", "true"),
            ("tallybox --respect-dnt=false serve", "respect_dnt", "false"),
        ];
        for (line, key, text) in rows {
            assert_eq!(flags(line), [(key.to_owned(), text.to_owned())]);
        }
    }

    #[test]
    fn secrets_are_never_taken_from_the_command_line() {
        for line in [
            "tallybox --setup-token x",
            "tallybox --master-key x",
            "tallybox --backup-key x",
            "tallybox --s3-secret-key x",
            "tallybox --database-password x",
            "tallybox --read-replica-url postgres://db",
            "tallybox member create ada --password x",
            "tallybox key create app --secret x",
            "tallybox query events --token x",
            "tallybox tail --token x",
        ] {
            assert!(parse(line.split(' ').map(OsString::from)).is_err(), "{line}");
        }
        assert_eq!(flags("tallybox --setup-token-file /x"), [("setup_token_file".to_owned(), "/x".to_owned())]);
    }

    #[test]
    fn the_help_names_every_setting_but_hidden_ones() {
        let help = command().render_long_help().to_string();
        for setting in SETTINGS {
            let flags = setting.flag_keys();
            let mut words = help.split(|c: char| !(c.is_alphanumeric() || c == '-'));
            let mut named = |key: &String| words.any(|word| word == format!("--{}", Setting::flag(key)));
            let named = flags.iter().all(&mut named) && help.contains(&setting.variable());
            assert_eq!(named, setting.kind != Kind::Hidden, "{}", setting.key);
        }
    }
}
