//! The verb `sbom`: what the program is made of, in the form of CycloneDX.

use std::io::Read;

use flate2::read::ZlibDecoder;
use serde_json::{Map, Value, json};

use super::table;
use crate::store::sqlite;

/// What `build.rs` has written down: a line for each crate, the program first.
const BILL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bill.z"));

/// Prints the list. It is the same for every copy of a build.
pub fn run() -> anyhow::Result<()> {
    let mut bill = String::new();
    ZlibDecoder::new(BILL).read_to_string(&mut bill)?;
    table::print(&format!("{:#}\n", document(&bill)))
}

fn document(bill: &str) -> Value {
    let lines: Vec<Vec<&str>> = bill.lines().map(|line| line.split('\t').collect()).collect();
    let name = |line: &[&str]| format!("pkg:cargo/{}@{}", line[0], line[1].replace('+', "%2B"));
    let uses = |line: &Vec<&str>| {
        let used = line[4].split_whitespace().filter_map(|number| lines.get(number.parse::<usize>().ok()?));
        let mut used: Vec<_> = used.map(|line| name(line)).collect();
        // It is written in C, and no crate of its own.
        used.extend((line[0] == "libsqlite3-sys").then(engine_name));
        json!({ "ref": name(line), "dependsOn": used })
    };
    let component = |(number, line): (usize, &Vec<&str>)| {
        let [crate_name, version, licence, hash, _] = line[..] else { unreachable!("build.rs writes five columns") };
        let mut told = Map::new();
        let mut tell = |key: &str, value: Value| _ = told.insert(key.to_owned(), value);
        tell("type", json!(if number == 0 { "application" } else { "library" }));
        tell("bom-ref", json!(name(line)));
        tell("name", json!(crate_name));
        tell("version", json!(version));
        if !hash.is_empty() {
            tell("hashes", json!([{ "alg": "SHA-256", "content": hash }]));
        }
        if !licence.is_empty() {
            tell("licenses", json!([{ "expression": licence }]));
        }
        tell("purl", json!(name(line)));
        Value::Object(told)
    };
    let mut components: Vec<_> = lines.iter().enumerate().map(component).collect();
    let program = components.remove(0);
    components.push(engine());
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": program },
        "components": components,
        "dependencies": lines.iter().map(uses).collect::<Vec<_>>(),
    })
}

fn engine_name() -> String {
    format!("pkg:generic/sqlite@{}", sqlite::engine_version())
}

/// The database, whose own number is the one that its advisories go by.
fn engine() -> Value {
    let version = sqlite::engine_version();
    json!({
        "type": "library",
        "bom-ref": engine_name(),
        "name": "sqlite",
        "version": version,
        "cpe": format!("cpe:2.3:a:sqlite:sqlite:{version}:*:*:*:*:*:*:*"),
        "purl": engine_name(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_takes_little_room() {
        assert!((1_000..28_000).contains(&BILL.len()), "{}", BILL.len());
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let told = document("box\t1.0.0\tMIT\t\t1\nlibsqlite3-sys\t0.1.0+x\t\tab\t\n");
        assert_eq!(told["metadata"]["component"]["type"], "application");
        assert!(told["metadata"]["component"].get("hashes").is_none());
        let [one, engine] = &told["components"].as_array().unwrap()[..] else { panic!("{told}") };
        assert_eq!((&one["hashes"][0]["content"], one.get("licenses")), (&json!("ab"), None));
        assert_eq!(told["dependencies"][0]["dependsOn"], json!(["pkg:cargo/libsqlite3-sys@0.1.0%2Bx"]));
        assert_eq!(told["dependencies"][1]["dependsOn"], json!([engine["bom-ref"]]));
    }
}
