//! Goal S20, as far as it can be held without the list of advisories: where crates come from, how they are licensed,
//! how many there are. `cargo deny check` holds the rest by the same `deny.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{read, root, said};

/// Most crates in the program.
const MOST: usize = 350;

/// The crates of the program, and of what builds it.
fn release_tree() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let target = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    let mut command = Command::new(cargo);
    command.args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform"]);
    command.arg(format!("{target}-unknown-linux-gnu")).current_dir(root());
    let metadata: Value = serde_json::from_str(&said(&mut command)).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let by_id = |list: Vec<Value>| -> BTreeMap<String, Value> {
        list.into_iter().map(|one| (one["id"].as_str().unwrap().to_owned(), one)).collect()
    };
    let (packages, nodes) = (by_id(list(&metadata["packages"])), by_id(list(&metadata["resolve"]["nodes"])));
    let mut waiting = vec![metadata["resolve"]["root"].as_str().unwrap().to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        for next in list(&nodes[&id]["deps"]) {
            if list(&next["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev") {
                waiting.extend(Some(next["pkg"].as_str().unwrap().to_owned()).filter(|next| !seen.contains(next)));
            }
        }
        seen.insert(id);
    }
    seen.iter().map(|id| packages[id].clone()).filter(|one| one["name"] != "tallybox").collect()
}

fn policy() -> toml::Table {
    read("deny.toml").parse().unwrap()
}

fn texts(value: &toml::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_crate_comes_from_the_registry_and_there_are_not_too_many() {
    let tree = release_tree();
    println!("{} crates, {MOST} at the most", tree.len());
    assert!(tree.len() > 100 && tree.len() <= MOST, "{}", tree.len());
    let policy = policy();
    let known = texts(&policy["sources"]["allow-registry"]);
    assert_eq!((known.len(), &policy["sources"]["unknown-git"]), (1, &"deny".into()));
    for one in &tree {
        let source = one["source"].as_str().and_then(|source| source.strip_prefix("registry+"));
        assert!(source.is_some_and(|source| known.iter().any(|known| known == source)), "{} {source:?}", one["name"]);
    }
}

#[test]
fn every_licence_is_in_the_list() {
    let allowed: BTreeSet<String> = texts(&policy()["licenses"]["allow"]).into_iter().collect();
    for one in release_tree() {
        let licence = one["license"].as_str().unwrap_or_else(|| panic!("{} tells no licence", one["name"]));
        assert!(permits(licence, &allowed), "{}: {licence}", one["name"]);
    }
    for (licence, permitted) in
        [("GPL-3.0", false), ("MIT OR GPL-3.0", true), ("MIT AND GPL-3.0", false), ("(GPL-3.0 OR MIT) AND ISC", true)]
    {
        assert_eq!(permits(licence, &allowed), permitted, "{licence}");
    }
}

#[test]
fn exceptions_from_advisories_have_a_reason_and_a_last_day() {
    let policy = policy();
    let today = jiff::Zoned::now().date();
    for exception in policy["advisories"]["ignore"].as_array().unwrap() {
        let reason = exception.get("reason").and_then(toml::Value::as_str).unwrap_or_default();
        let day = reason.strip_prefix("until ").and_then(|rest| rest.get(..10)?.parse::<jiff::civil::Date>().ok());
        let left = day.map(|day| (day - today).get_days());
        assert!(left.is_some_and(|left| (0..=90).contains(&left)), "{exception}");
    }
}

#[test]
fn our_own_code_has_no_unsafe() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

/// Whether an expression of SPDX can be met with what is allowed.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    any(&mut words, allowed)
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = every(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= every(words, allowed);
    }
    met
}

fn every(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    match words.next() {
        Some("(") => {
            let met = any(words, allowed);
            words.next();
            met
        }
        Some(name) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().unwrap_or_default();
            allowed.contains(&format!("{name} WITH {exception}"))
        }
        Some(name) => allowed.contains(name),
        None => false,
    }
}
