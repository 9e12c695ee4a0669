//! The verbs `config show`, `config check` and `config example`.

use clap::Subcommand;

use super::install::settings;
use super::{open, table};
use crate::config::{Config, ConfigError};
use crate::store::postgres::PostgresOptions;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print every setting with where it came from; secrets are hidden.
    Show,
    /// Say what is wrong with the settings: exit code 0 if nothing is.
    Check,
    /// Print a settings file in which every setting is explained and none is set.
    Example,
}

/// Runs the verb on a configuration that was loaded, so holds no error.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Show => table::print(&show(config)),
        Verb::Example => table::print(&settings::file(&[])),
        Verb::Check => {
            let problems = open::postgres_options(config).as_ref().map(PostgresOptions::problems).unwrap_or_default();
            if !problems.is_empty() {
                return Err(ConfigError { problems }.into());
            }
            let warnings: String = config.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect();
            table::print(&format!("{warnings}The configuration is valid.\n"))
        }
    }
}

fn show(config: &Config) -> String {
    let row = |shown: &crate::config::Shown| [shown.key.to_owned(), shown.value.clone(), shown.source.to_string()];
    table::columns(["SETTING", "VALUE", "FROM"], config.shown().iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SETTINGS, Sources};

    #[test]
    fn every_setting_is_shown_and_secrets_are_not() {
        let token = "canary-0123456789-0123456789";
        let variables = vec![("TALLYBOX_SETUP_TOKEN".into(), token.into()), ("HOME".into(), "/h".into())];
        let sources = Sources { variables, root: false, ..Sources::of_process(Vec::new(), None) };
        let shown = show(&Config::load(&sources).unwrap());
        assert!(shown.contains("(hidden)") && shown.contains("variable TALLYBOX_SETUP_TOKEN"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(shown.lines().count(), SETTINGS.len() + 1);
    }
}
