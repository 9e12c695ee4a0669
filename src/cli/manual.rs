//! The verbs `man` and `completions`: the manual and what shells know, made from the same command line that is parsed.

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::table;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which shell.
    #[arg(value_parser = [Shell::Bash, Shell::Zsh, Shell::Fish].map(|shell| shell.to_string()))]
    shell: String,
}

/// Prints what makes a shell complete verbs and flags.
pub fn completions(args: &Args, mut command: Command) -> anyhow::Result<()> {
    let shell: Shell = args.shell.parse().map_err(anyhow::Error::msg)?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "tallybox", &mut script);
    table::print(&String::from_utf8(script)?)
}

/// Prints the whole manual as one page: every verb with what belongs to it alone, and the settings once.
pub fn man(command: Command) -> anyhow::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    let top = Man::new(without_settings(&command)).section("1").manual("Tallybox");
    top.render_title(&mut page)?;
    top.render_name_section(&mut page)?;
    top.render_synopsis_section(&mut page)?;
    top.render_description_section(&mut page)?;
    heading("VERBS").to_writer(&mut page)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        write_verb(verb, "tallybox", &mut page)?;
    }
    heading("OPTIONS").to_writer(&mut page)?;
    for setting in command.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set()) {
        entry(setting).to_writer(&mut page)?;
    }
    let mut end = heading("EXIT STATUS");
    end.text([roman("0 done, 1 failed, 2 not understood.")]);
    end.to_writer(&mut page)?;
    table::print(&String::from_utf8(page)?)
}

/// A verb under its full name, and those below it.
fn write_verb(verb: &Command, above: &str, page: &mut Vec<u8>) -> anyhow::Result<()> {
    let name = format!("{above} {}", verb.get_name());
    if verb.has_subcommands() {
        for part in verb.get_subcommands().filter(|part| part.get_name() != "help") {
            write_verb(part, &name, page)?;
        }
        return Ok(());
    }
    let own = without_settings(verb);
    let mut head = Roff::new();
    head.control("SS", [name.as_str()]);
    let about = verb.get_long_about().or(verb.get_about()).map(ToString::to_string).unwrap_or_default();
    head.text([roman(about)]);
    head.to_writer(page)?;
    for arg in own.get_arguments().filter(|arg| !arg.is_hide_set()) {
        entry(arg).to_writer(page)?;
    }
    Ok(())
}

fn heading(text: &str) -> Roff {
    let mut heading = Roff::new();
    heading.control("SH", [text]);
    heading
}

/// An argument with what it does.
fn entry(arg: &Arg) -> Roff {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = Some(default.join(" ")).filter(|text| !text.is_empty() && arg.get_action().takes_values());
    let default = default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
    let mut entry = Roff::new();
    entry.control("TP", []);
    entry.text([roman(usage(arg))]);
    entry.text([roman(format!("{help}{default}"))]);
    entry
}

/// An argument as it is typed.
fn usage(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    let values = if arg.get_action().takes_values() { values.join(" ") } else { String::new() };
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    match arg.get_long() {
        Some(long) => format!("{short}--{long} {values}").trim_end().to_owned(),
        None => values,
    }
}

/// The command with its own arguments alone; those that every verb has are told once.
fn without_settings(command: &Command) -> Command {
    let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !is_usual(arg));
    let mut told = bare(command.get_name()).args(own.cloned());
    if let Some(version) = command.get_version() {
        told = told.version(version.to_owned());
    }
    if let Some(about) = command.get_about() {
        told = told.about(about.clone());
    }
    told.subcommands(command.get_subcommands().map(|verb| bare(verb.get_name())))
}

/// A command to which nothing is added by itself.
fn bare(name: &str) -> Command {
    let bare = Command::new(name.to_owned()).disable_help_flag(true).disable_help_subcommand(true);
    bare.disable_version_flag(true)
}

/// What every command line has.
fn is_usual(arg: &Arg) -> bool {
    ["help", "version"].contains(&arg.get_id().as_str())
}
