//! The layers of ARCHITECTURE.md, held: which module may name which, and where each technology may appear.

mod source;

use source::Source;

/// Top modules, each with the others that it may name. `cli` and `main` put everything together.
const MAY_NAME: [(&str, &[&str]); 20] = [
    ("model", &[]),
    ("clock", &["model"]),
    ("config", &["model"]),
    ("logging", &["model", "config", "clock"]),
    ("trail", &["model", "clock"]),
    ("calls", &[]),
    ("rollup", &["model"]),
    ("demo", &["model"]),
    ("depot", &["model", "config", "clock", "calls"]),
    ("foreign", &["model"]),
    ("store", &["model", "config", "clock", "trail", "rollup"]),
    ("ingest", &["model", "config", "clock", "trail", "rollup", "store"]),
    ("query", &["model", "config", "clock", "trail", "rollup", "store"]),
    ("auth", &["model", "config", "clock", "trail", "calls", "rollup", "store"]),
    ("http", &["model", "config", "clock", "trail", "auth", "ingest"]),
    ("protocol", &["model", "clock", "auth", "ingest", "http"]),
    ("web", &["model", "config", "clock", "trail", "store", "auth", "ingest", "query", "http"]),
    ("backup", &["model", "config", "clock", "store", "depot"]),
    ("pruning", &["model", "clock", "store", "depot"]),
    ("jobs", &["model", "config", "clock", "rollup", "store", "auth", "ingest", "query", "backup", "depot", "pruning"]),
];

/// Names, and the only paths whose files may say them. Deadlines of connections follow the runtime's own timer, which
/// is no reading of the time of day.
const ONLY_IN: [(&str, &[&str]); 19] = [
    ("axum", &["http/", "protocol/", "web/", "cli/serve"]),
    ("hyper", &["http/", "cli/serve", "cli/client", "calls", "depot/bucket/"]),
    ("rusqlite", &["store/sqlite/"]),
    ("tokio_postgres", &["store/postgres/"]),
    ("deadpool", &["store/postgres/"]),
    ("rustls", &["store/postgres/", "cli/client", "calls", "depot/bucket/"]),
    ("parquet", &["pruning/"]),
    ("r2d2", &["store/sqlite/"]),
    ("r2d2_sqlite", &["store/sqlite/"]),
    ("anyhow", &["cli/", "main.rs"]),
    ("clap", &["cli/", "config", "main.rs"]),
    ("env::var", &["config"]),
    ("env::var_os", &["config"]),
    ("env::vars", &["config"]),
    ("env::vars_os", &["config"]),
    ("SystemTime", &["clock"]),
    ("Timestamp::now", &["clock"]),
    ("Zoned::now", &["clock"]),
    ("Instant::now", &["clock", "http/"]),
];

/// Beginnings of SQL statements; only the store writes any.
const SQL: [&str; 8] =
    ["SELECT ", "INSERT INTO ", "INSERT OR ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "PRAGMA ", "VACUUM"];

/// Folders whose files are of one kind and never name each other.
const SIBLINGS: [&str; 4] = ["protocol/", "web/pages/", "web/api/", "jobs/"];

/// What files of one kind share, and may name.
const SHARED: [&str; 7] = ["admission", "event_id", "json", "moment", "open_to_browsers", "public", "unity"];

/// Longest file, in lines.
const LONGEST: usize = 500;

#[test]
fn modules_name_only_layers_below_them() {
    assert_none(layer_faults);
}

#[test]
fn each_technology_stays_in_its_place() {
    assert_none(place_faults);
}

#[test]
fn files_of_one_kind_never_name_each_other() {
    assert_none(sibling_faults);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    assert_none(form_faults);
}

#[test]
fn the_rules_see_what_they_forbid() {
    type Rule = fn(&Source) -> Vec<String>;
    let rows: [(Rule, &str, &str, usize); 26] = [
        (layer_faults, "model/app.rs", "use crate::store::Store;", 1),
        (layer_faults, "query/mod.rs", "use crate::{model::App, ingest::{Intake, Scope}, auth};", 2),
        (layer_faults, "protocol/x.rs", "fn f(s: &crate::store::StoreError) {}", 1),
        (layer_faults, "web/pages/x.rs", "use crate::protocol;", 1),
        (layer_faults, "web/pages/x.rs", "use super::super::super::protocol;", 1),
        (layer_faults, "web/pages/x.rs", "// crate::protocol\nlet s = \"crate::protocol\";", 0),
        (layer_faults, "web/pages/x.rs", "use crate::web::state::Web;\nuse crate::http::Routes;", 0),
        (layer_faults, "rollup.rs", "pub fn f() {}\n#[cfg(test)]\nmod tests { use crate::store::Store; }", 0),
        (layer_faults, "novelty/mod.rs", "", 1),
        (place_faults, "ingest/mod.rs", "use axum::Router;", 1),
        (place_faults, "store/mod.rs", "fn f(e: rusqlite::Error) {}", 1),
        (place_faults, "store/sqlite/mod.rs", "use rusqlite::{Connection};", 0),
        (place_faults, "web/x.rs", "let q = \"SELECT 1 FROM x\";", 1),
        (place_faults, "web/x.rs", "let q = r#\"DELETE FROM x\"#; let c = '\"';", 1),
        (place_faults, "web/x.rs", "let q = \"Update the client\";", 0),
        (place_faults, "auth/x.rs", "use std::{env, fs};\nfn f() { env::var(\"X\"); }", 1),
        (place_faults, "auth/x.rs", "let t = std::time::Instant::now();", 1),
        (sibling_faults, "protocol/x.rs", "use super::y::Wire;", 1),
        (sibling_faults, "protocol/x.rs", "use super::Gate;\nuse crate::protocol::Adapter;", 0),
        (sibling_faults, "protocol/x/proof.rs", "use super::wire::Batch;\nuse super::super::Gate;", 0),
        (sibling_faults, "protocol/x/proof.rs", "use super::super::y::Wire;", 1),
        (sibling_faults, "protocol/x/mod.rs", "mod wire;\nuse super::y;\nuse crate::protocol::x::wire;", 1),
        (sibling_faults, "web/pages/x.rs", "use super::super::state::WebState;\nuse super::y;", 1),
        (form_faults, "auth/x.rs", "use std::fs;", 1),
        (form_faults, "auth/x.rs", "//! A key.\n#[allow(dead_code)]\nfn f() {}", 1),
        (form_faults, "auth/x.rs", "//! A key.\n\"#[allow(x)]\"", 0),
    ];
    for (rule, path, text, faults) in rows {
        let found = rule(&Source::new(path, text));
        assert_eq!(found.len(), faults, "{path}: {text}: {found:?}");
    }
    assert_eq!(form_faults(&Source::new("auth/x.rs", &format!("//! A key.{}", "\n".repeat(501)))).len(), 1);
}

#[track_caller]
fn assert_none(rule: fn(&Source) -> Vec<String>) {
    let sources = source::all();
    assert!(sources.len() > 20, "only {} files found", sources.len());
    let faults: Vec<String> =
        sources.iter().flat_map(|s| rule(s).into_iter().map(|f| format!("src/{}: {f}", s.path))).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn layer_faults(source: &Source) -> Vec<String> {
    let module = source.module();
    if ["cli", "main", "lib"].contains(&module) {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
        return vec![format!("no layer is known for {module}")];
    };
    let mut named = source.names_after("crate::");
    // Enough `super`s lead to the top as well.
    let depth = source.depth();
    named.extend(source.names_after(&"super::".repeat(depth)).into_iter().filter(|name| is_module(name)));
    named.retain(|name| *name != module && !allowed.contains(name));
    named.into_iter().map(|name| format!("names {name}")).collect()
}

fn is_module(name: &str) -> bool {
    name == "cli" || MAY_NAME.iter().any(|(module, _)| *module == name)
}

fn place_faults(source: &Source) -> Vec<String> {
    let allowed = |places: &[&str]| places.iter().any(|place| source.path.starts_with(place));
    let mut faults: Vec<_> = ONLY_IN
        .iter()
        .filter(|(name, places)| source.says(name) && !allowed(places))
        .map(|(name, _)| format!("says {name}"))
        .collect();
    if source.module() != "store" {
        let statements = source.strings.iter().filter(|text| SQL.iter().any(|begin| text.contains(begin)));
        faults.extend(statements.map(|text| format!("holds SQL: {text:?}")));
    }
    faults
}

fn sibling_faults(source: &Source) -> Vec<String> {
    let Some(folder) = SIBLINGS.iter().find(|folder| source.path.starts_with(**folder)) else { return Vec::new() };
    let own = source.path[folder.len()..].split(['/', '.']).next().unwrap_or_default();
    if own == "mod" {
        return Vec::new();
    }
    let from_top = format!("crate::{}", folder.replace('/', "::"));
    let mut named = source.names_after(&"super::".repeat(source.depth() - folder.matches('/').count()));
    named.extend(source.names_after(&from_top));
    // Types are capitalised and belong to the folder's own mod.rs; modules are not.
    named.retain(|name| {
        !["super", own].contains(name) && !SHARED.contains(name) && name.starts_with(|c: char| c.is_ascii_lowercase())
    });
    named.into_iter().map(|name| format!("names its sibling {name}")).collect()
}

fn form_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.text.starts_with("//! ") && source.path != "main.rs" {
        faults.push("does not say what it is".to_owned());
    }
    let lines = source.text.lines().count();
    if lines > LONGEST {
        faults.push(format!("has {lines} lines"));
    }
    if source.code.contains("#[allow(") || source.code.contains("#![allow(") {
        faults.push("allows where it should expect".to_owned());
    }
    faults
}
