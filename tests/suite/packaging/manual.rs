//! The manual and the completions, which come from the command line itself, against what `--help` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Command, Stdio};

use super::said;
use crate::docs::verbs;
use crate::harness::Server;

/// Flags that a verb's own help tells, and below them those of the settings.
struct Help {
    own: BTreeSet<String>,
    settings: BTreeSet<String>,
}

fn helps() -> BTreeMap<String, Help> {
    let server = Server::with().prepare();
    let help = |verb: &String| {
        let text = server.run(&verb.split(' ').chain(["--help"]).collect::<Vec<_>>());
        let (own, settings) = text.split_once("\nSettings:\n").unwrap_or((&text, ""));
        Help { own: flags(own), settings: flags(settings) }
    };
    verbs().into_iter().map(|verb| (verb.clone(), help(&verb))).collect()
}

/// What stands at the beginning of a line as a flag, and is not the end of a sentence about one.
fn flags(help: &str) -> BTreeSet<String> {
    let words = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let long = words.filter_map(|line| line.split([' ', ',', '=', '[']).find(|word| word.starts_with("--")));
    long.filter(|word| !word.contains(['`', '.'])).map(str::to_owned).collect()
}

#[test]
fn the_manual_has_every_verb_and_flag() {
    let server = Server::with().prepare();
    let page = server.run(&["man"]);
    let file = server.home().join("tallybox.1");
    fs::write(&file, &page).unwrap();
    let complaints = Command::new("mandoc").args(["-T", "lint", "-W", "error"]).arg(&file).output();
    let complaints = complaints.expect("tests/run installs mandoc");
    assert!(complaints.status.success(), "{}", String::from_utf8_lossy(&complaints.stdout));
    // As it is read, so that what the formatter swallows is missed. Bold is a letter, a step back and the letter again.
    let read = said(Command::new("mandoc").args(["-T", "utf8", "-O", "width=200"]).arg(&file));
    let mut plain = String::new();
    for letter in read.chars() {
        if letter == '\u{8}' { _ = plain.pop() } else { plain.push(letter) }
    }
    let plain = plain.replace('\u{2010}', "-");
    let (_, told) = plain.split_once("\nVERBS\n").expect("a section for verbs");
    let (told, settings) = told.split_once("\nOPTIONS\n").expect("a section for settings");
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let mut last = "";
    for line in told.lines() {
        match line.strip_prefix("   tallybox ").filter(|_| !line.starts_with("    ")) {
            Some(verb) => last = verb.trim(),
            None => sections.entry(last).or_default().push_str(&format!("{line}\n")),
        }
    }
    let helps = helps();
    assert_eq!(
        sections.keys().filter(|verb| !verb.is_empty()).copied().collect::<BTreeSet<_>>(),
        helps.keys().map(String::as_str).collect()
    );
    for (verb, help) in &helps {
        let mut own = flags(&sections[verb.as_str()]);
        own.insert("--help".to_owned());
        assert_eq!(own, help.own, "{verb}");
        assert_eq!(flags(settings), help.settings, "{verb}");
    }
}

/// Asks bash what it would offer behind each verb, on lines of their own.
const ASK: &str = r#"
source "$1"; shift
for verb in "$@"; do
  COMP_WORDS=(tallybox $verb --); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
  _tallybox tallybox -- "${COMP_WORDS[COMP_CWORD - 1]}"
  printf '%s:' "$verb"; printf ' %s' "${COMPREPLY[@]}"; printf '\n'
done
COMP_WORDS=(tallybox key ''); COMP_CWORD=2; COMPREPLY=(); _tallybox tallybox '' key
printf 'key:'; printf ' %s' "${COMPREPLY[@]}"; printf '\n'
complete -p tallybox
"#;

#[test]
fn bash_completes_every_verb_and_flag() {
    let server = Server::with().prepare();
    let script = server.home().join("completions");
    fs::write(&script, server.run(&["completions", "bash"])).unwrap();
    let helps = helps();
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-c", ASK, "ask"]).arg(&script).args(helps.keys()).stdin(Stdio::null());
    let told = said(&mut command);
    let offered: BTreeMap<&str, BTreeSet<String>> = (told.lines())
        .filter_map(|line| line.split_once(':'))
        .map(|(verb, words)| (verb, words.split_whitespace().map(str::to_owned).collect()))
        .collect();
    for (verb, help) in &helps {
        let wanted: BTreeSet<_> = help.own.union(&help.settings).cloned().collect();
        let hidden = |flag: &String| *flag == "--synchronous";
        let offered: BTreeSet<_> = offered[verb.as_str()].iter().filter(|flag| !hidden(flag)).cloned().collect();
        assert_eq!(offered, wanted, "{verb}");
    }
    assert!(["create", "list", "rotate", "revoke"].iter().all(|verb| offered["key"].contains(*verb)), "{offered:?}");
    let registered = told.lines().last().unwrap_or_default();
    assert!(registered.starts_with("complete ") && registered.ends_with(" -F _tallybox tallybox"), "{registered}");
}

#[test]
fn other_shells_are_told_every_verb_and_flag() {
    let server = Server::with().prepare();
    let helps = helps();
    for shell in ["zsh", "fish"] {
        let script = server.run(&["completions", shell]);
        for (verb, help) in &helps {
            let last = verb.rsplit(' ').next().unwrap_or_default();
            assert!(script.contains(last), "{shell}: {verb}");
            for flag in &help.own {
                let named = if shell == "fish" { flag.replacen("--", "-l ", 1) } else { flag.clone() };
                assert!(script.contains(&named), "{shell}: {verb} {named}");
            }
        }
    }
    assert!(!server.try_run(&["completions", "tcsh"], "").status.success());
}
