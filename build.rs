//! Writes down what the program is made of, for the verb `sbom` and, in a section of its own, for scanners that read
//! programs without running them.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Where crates come from that come from the registry.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A crate of the program.
struct Part {
    name: String,
    version: String,
    licence: String,
    /// Numbers of those that it uses itself.
    uses: Vec<usize>,
}

fn main() {
    for file in ["build.rs", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let parts = parts();
    let out = PathBuf::from(variable("OUT_DIR"));
    write(&out.join("bill.z"), &bill(&parts, &locked()));
    write(&out.join("audit.z"), &audit(&parts));
    // `R` keeps it, although nothing in the program names it.
    let source = format!(".section .dep-v0,\"aR\",%progbits\n.incbin \"{}\"\n", out.join("audit.z").display());
    let file = out.join("audit.s");
    fs::write(&file, source).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    for object in cc::Build::new().file(&file).compile_intermediates() {
        println!("cargo::rustc-link-arg-bins={}", object.display());
    }
    if can_unpack() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the C library that is linked into the program can start one whose own addresses are written as bits, which takes a
/// fortieth of the room: glibc 2.36 and later.
fn can_unpack() -> bool {
    let is_own = variable("HOST") == variable("TARGET") && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    let told = Command::new("getconf").arg("GNU_LIBC_VERSION").output().map(|told| told.stdout).unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    let version = told.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let version = version.and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    is_own && version.is_some_and(|version| version >= (2, 36))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|why| panic!("{name}: {why}"))
}

/// What is linked into the program for this target with these features, the program first, as cargo itself tells it.
fn parts() -> Vec<Part> {
    let mut command = Command::new(variable("CARGO"));
    command.args(["tree", "--locked", "--edges=normal,no-proc-macro", "--prefix=depth", "--format=\t{p}\t{l}"]);
    command.args(["--target", &variable("TARGET"), "--features", &variable("CARGO_CFG_FEATURE")]);
    let told = command.current_dir(variable("CARGO_MANIFEST_DIR")).output().expect("cargo runs its own scripts");
    let (tree, why) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "{command:?}: {why}");
    let (mut parts, mut known, mut above) = (Vec::<Part>::new(), BTreeMap::new(), Vec::<usize>::new());
    for line in tree.lines() {
        let columns: Vec<_> = line.trim_end_matches(" (*)").split('\t').collect();
        let [depth, about, licence] = columns[..] else { panic!("{line}") };
        let depth: usize = depth.parse().unwrap_or_else(|why| panic!("{line}: {why}"));
        let mut words = about.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let key = (name.to_owned(), version.trim_start_matches('v').to_owned());
        let number = *known.entry(key.clone()).or_insert_with(|| {
            parts.push(Part { name: key.0, version: key.1, licence: licence.replace('/', " OR "), uses: Vec::new() });
            parts.len() - 1
        });
        above.truncate(depth);
        if let Some(user) = above.last().map(|user| &mut parts[*user])
            && !user.uses.contains(&number)
        {
            user.uses.push(number);
        }
        above.push(number);
    }
    parts
}

/// The hashes of what was downloaded, by name and version.
fn locked() -> BTreeMap<(String, String), String> {
    let lock = fs::read_to_string("Cargo.lock").expect("cargo has locked the versions");
    let value = |entry: &str, key: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
        line.map(str::to_owned)
    };
    let entries = lock.split("[[package]]").filter(|entry| value(entry, "source").as_deref() == Some(REGISTRY));
    entries
        .filter_map(|entry| Some(((value(entry, "name")?, value(entry, "version")?), value(entry, "checksum")?)))
        .collect()
}

/// A line for each: name, version, licence, SHA-256, the numbers of those that it uses.
fn bill(parts: &[Part], locked: &BTreeMap<(String, String), String>) -> String {
    parts.iter().fold(String::new(), |mut text, part| {
        let hash = locked.get(&(part.name.clone(), part.version.clone())).map_or("", String::as_str);
        let uses: Vec<_> = part.uses.iter().map(usize::to_string).collect();
        let Part { name, version, licence, .. } = part;
        writeln!(text, "{name}\t{version}\t{licence}\t{hash}\t{}", uses.join(" ")).expect("a text takes all");
        text
    })
}

/// The same as scanners look for it: the JSON of cargo-auditable. No name in it has to be escaped.
fn audit(parts: &[Part]) -> String {
    let package = |(number, part): (usize, &Part)| {
        let Part { name, version, .. } = part;
        let (source, root) = if number == 0 { ("local", ",\"root\":true") } else { ("crates.io", "") };
        format!(
            "{{\"name\":\"{name}\",\"version\":\"{version}\",\"source\":\"{source}\",\"dependencies\":{:?}{root}}}",
            part.uses
        )
    };
    let packages: Vec<_> = parts.iter().enumerate().map(package).collect();
    format!("{{\"packages\":[{}]}}", packages.join(","))
}

fn write(path: &PathBuf, text: &str) {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    let packed = packed.write_all(text.as_bytes()).and_then(|()| packed.finish());
    packed.and_then(|packed| fs::write(path, packed)).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
}
