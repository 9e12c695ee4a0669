//! Goal S20: what the program says it is made of, by its verb and to those who read it without running it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::process::Command;

use flate2::read::ZlibDecoder;
use serde_json::Value;

use super::{read, said};
use crate::harness::{PROGRAM, Server};

/// Most bytes that the list for scanners may take in the program.
const MOST: usize = 12_000;

/// A crate: its name, its version, and the hash of what was downloaded.
type Part = (String, String, String);

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// All crates that `Cargo.lock` names, the program's own left out.
fn locked() -> BTreeSet<Part> {
    let lock: toml::Table = read("Cargo.lock").parse().unwrap();
    let told = |one: &toml::Value, key: &str| one.get(key).map(|text| text.as_str().unwrap().to_owned());
    let entries = lock["package"].as_array().unwrap().iter();
    entries.filter_map(|one| Some((told(one, "name")?, told(one, "version")?, told(one, "checksum")?))).collect()
}

/// Names of what the program uses itself, and of what only its tests or its building use.
fn direct() -> (BTreeSet<String>, BTreeSet<String>) {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let of = |section: &str| -> BTreeMap<String, toml::Value> {
        manifest[section].as_table().unwrap().clone().into_iter().collect()
    };
    let own = of("dependencies").into_iter().filter(|(_, about)| about.get("optional").is_none());
    let own: BTreeSet<_> = own.map(|(name, _)| name).collect();
    let other = of("dev-dependencies").into_keys().chain(of("build-dependencies").into_keys());
    (own.clone(), other.filter(|name| !own.contains(name)).collect())
}

#[test]
fn the_program_tells_what_it_is_made_of() {
    let told: Value = serde_json::from_str(&Server::with().prepare().run(&["sbom"])).unwrap();
    assert_eq!((&told["bomFormat"], &told["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let program = &told["metadata"]["component"];
    assert_eq!((&program["type"], &program["name"]), (&"application".into(), &"tallybox".into()));
    assert_eq!(program["version"], env!("CARGO_PKG_VERSION"));
    let components = told["components"].as_array().unwrap();
    let (engine, crates): (Vec<_>, Vec<_>) = components.iter().partition(|one| one["name"] == "sqlite");
    assert_eq!(engine.len(), 1);
    assert!(text(&engine[0]["cpe"]).contains(&text(&engine[0]["version"])));
    let mut parts = BTreeSet::new();
    for one in &crates {
        assert_eq!(one["type"], "library");
        assert!(!text(&one["licenses"][0]["expression"]).contains('/'), "{one}");
        assert_eq!(one["hashes"][0]["alg"], "SHA-256");
        let (name, version) = (text(&one["name"]), text(&one["version"]));
        assert_eq!(text(&one["purl"]), format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")));
        parts.insert((name, version, text(&one["hashes"][0]["content"])));
    }
    assert_eq!(parts.len(), crates.len(), "something stands there twice");
    let strange: Vec<_> = parts.difference(&locked()).cloned().collect();
    assert!(strange.is_empty(), "not as it is locked: {strange:?}");
    let names: BTreeSet<_> = parts.iter().map(|(name, ..)| name.clone()).collect();
    let (own, other) = direct();
    assert_eq!(own.difference(&names).collect::<Vec<_>>(), Vec::<&String>::new(), "left out");
    assert_eq!(other.intersection(&names).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the program");
    // Whatever is named is there, and everything is reached from the program.
    let known: BTreeSet<_> = components.iter().chain([program]).map(|one| text(&one["bom-ref"])).collect();
    let uses: BTreeMap<_, _> =
        told["dependencies"].as_array().unwrap().iter().map(|one| (text(&one["ref"]), one)).collect();
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![text(&program["bom-ref"])]);
    while let Some(next) = waiting.pop() {
        let used = uses.get(&next).map(|one| one["dependsOn"].as_array().unwrap().iter().map(text));
        waiting.extend(used.into_iter().flatten().filter(|used| !seen.contains(used)));
        seen.insert(next);
    }
    assert_eq!(seen, known);
}

#[test]
fn scanners_find_the_same_in_the_program_itself() {
    let home = tempfile::tempdir().unwrap();
    let section = home.path().join("section");
    let mut dump = Command::new("objcopy");
    dump.arg("--dump-section").arg(format!(".dep-v0={}", section.display())).arg(PROGRAM).arg(home.path().join("copy"));
    said(&mut dump);
    let packed = fs::read(&section).unwrap();
    let mut json = String::new();
    ZlibDecoder::new(&packed[..]).read_to_string(&mut json).unwrap();
    let told: Value = serde_json::from_str(&json).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let roots: Vec<_> = packages.iter().filter(|one| one["root"] == true).collect();
    assert_eq!((roots.len(), &roots[0]["name"], &roots[0]["source"]), (1, &"tallybox".into(), &"local".into()));
    for one in packages {
        assert!(["local", "crates.io"].contains(&one["source"].as_str().unwrap()), "{one}");
        let used = one["dependencies"].as_array().unwrap().iter();
        assert!(used.map(|number| number.as_u64().unwrap()).all(|number| (number as usize) < packages.len()), "{one}");
    }
    let bill: Value = serde_json::from_str(&Server::with().prepare().run(&["sbom"])).unwrap();
    let named = |list: &Value| -> BTreeSet<_> {
        list.as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one["version"]))).collect()
    };
    let mut parts = named(&bill["components"]);
    parts.retain(|(name, _)| name != "sqlite");
    parts.insert(("tallybox".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    assert_eq!(named(&told["packages"]), parts);
    println!("{} crates in {} bytes, {MOST} at the most", parts.len(), packed.len());
    assert!(packed.len() < MOST, "{}", packed.len());
}
