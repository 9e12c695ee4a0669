//! The settings file that an installation leaves where there is none: every setting, explained and left as it is.

use crate::config::{Fallback, Kind, SETTINGS, Setting};

/// Widest comment, in characters.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Settings of Tallybox. Everything here may be left out; `tallybox config show` tells what holds, and from where.
# After a change: systemctl restart tallybox
# Under systemd the socket decides about host and port: after a change of these run `tallybox install-service` again.
#
# Everybody on this machine may read this file. A secret goes into a file of its own that root alone may read, and
# systemd hands it over. For the master key, `systemctl edit tallybox` and write:
#   [Service]
#   LoadCredential=master_key:/etc/tallybox-master-key
#   Environment=TALLYBOX_MASTER_KEY_FILE=%d/master_key
";

/// The text of the file, in which these settings hold: keys, and what their flags gave.
pub fn file(given: &[(String, String)]) -> String {
    let mut text = HEAD.to_owned();
    for setting in SETTINGS.iter().filter(|setting| setting.kind != Kind::Hidden) {
        text.push('\n');
        wrap(setting.help(), &mut text);
        let lines: Vec<_> = given.iter().filter(|(key, _)| setting.flag_keys().contains(key)).collect();
        for (key, value) in &lines {
            text.push_str(&format!("{key} = {}\n", written(setting, value)));
        }
        if lines.is_empty() {
            text.push_str(&left_out(setting));
        }
    }
    text
}

fn left_out(setting: &Setting) -> String {
    let key = setting.key;
    match (setting.kind, setting.fallback) {
        (Kind::Secret, _) => format!("#{}_file = \"/path/to/file\"\n", key),
        (_, Fallback::Text(value)) => format!("#{key} = {}\n", written(setting, value)),
        (_, Fallback::Derived(_, words)) => format!("#{key} = \"\" # {words}\n"),
        (_, Fallback::Nothing) => format!("#{key} = \"\"\n"),
    }
}

/// A value as TOML has it.
fn written(setting: &Setting, value: &str) -> String {
    let bare = setting.kind == Kind::Switch || value.parse::<u64>().is_ok_and(|number| number.to_string() == value);
    if bare { value.to_owned() } else { toml::Value::from(value).to_string() }
}

fn wrap(sentence: &str, text: &mut String) {
    let mut line = "#".to_owned();
    for word in sentence.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Source, Sources};

    fn load(text: &str) -> Config {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tallybox.toml");
        std::fs::write(&path, text).unwrap();
        let variables = vec![("HOME".into(), "/h".into())];
        Config::load(&Sources { variables, ..Sources::of_process(Vec::new(), Some(path)) }).unwrap()
    }

    #[test]
    fn nothing_is_set_and_everything_is_named() {
        let text = file(&[]);
        assert!(load(&text).shown().iter().all(|shown| shown.source == Source::Default), "{text}");
        for setting in SETTINGS {
            let named = text.lines().any(|line| line.starts_with(&format!("#{}", setting.key)));
            assert_eq!(named, setting.kind != Kind::Hidden, "{}", setting.key);
        }
        assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
    }

    #[test]
    fn defaults_hold_when_they_are_uncommented() {
        let uncomment = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') && !rest.contains("_file = ") && !rest.contains("= \"\"") => {
                rest.to_owned()
            }
            _ => line.to_owned(),
        };
        let text: String = file(&[]).lines().map(|line| uncomment(line) + "\n").collect();
        let (set, left) = (load(&text), load(""));
        assert!(set.shown().iter().filter(|shown| shown.source != Source::Default).count() > 30, "{text}");
        for (set, left) in set.shown().iter().zip(left.shown()) {
            assert_eq!((set.key, &set.value), (left.key, &left.value));
        }
    }

    #[test]
    fn what_was_given_as_flags_is_set() {
        let given = [("port", "8080"), ("public_url", "https://a.example/\"x\""), ("respect_dnt", "false")];
        let text = file(&given.map(|(key, value)| (key.to_owned(), value.to_owned())));
        for line in ["port = 8080", "respect_dnt = false", "public_url = 'https://a.example/\"x\"'"] {
            assert!(text.lines().any(|there| there == line), "{line}: {text}");
        }
    }
}
