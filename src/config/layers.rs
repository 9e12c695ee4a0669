//! Gathers the texts of all settings: flag over environment over file over default.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::settings::{Fallback, SETTINGS, Setting};
use super::{Shown, Source, Sources, read, remote};

/// One value before its check.
#[derive(Debug)]
struct Given {
    text: String,
    source: Source,
}

/// One value for each setting.
#[derive(Debug, Default)]
pub struct Values(BTreeMap<&'static str, Given>);

/// What a derived default may look at: settings declared before it, and the environment.
#[derive(Debug)]
pub struct Surroundings<'a> {
    values: &'a Values,
    variables: &'a BTreeMap<String, String>,
    root: bool,
}

impl Values {
    /// The checked form of one value; what is wrong with it goes to `problems`.
    pub(super) fn read<T>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
        problems: &mut Vec<String>,
    ) -> Option<T> {
        // A value that could not even be gathered was reported then.
        let given = self.0.get(key)?;
        read(&given.text).map_err(|problem| problems.push(format!("{}: {key} {problem}", given.source))).ok()
    }

    /// All of them, as they may be shown.
    pub(super) fn shown(&self) -> Vec<Shown> {
        let show = |setting: &Setting| self.0.get(setting.key).map(|given| setting.shown(&given.text, &given.source));
        SETTINGS.iter().filter_map(show).collect()
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", |given| &given.text)
    }
}

/// Reads all layers. A setting whose value cannot be told is left out, with a problem.
pub(super) fn gather(sources: &Sources, problems: &mut Vec<String>) -> Values {
    let variables = variables(sources, problems);
    let flags: BTreeMap<String, Given> = (sources.flags.iter())
        .map(|(key, text)| {
            let source = Source::Flag(format!("--{}", key.replace('_', "-")));
            (key.clone(), Given { text: text.clone(), source })
        })
        .collect();
    let environment = from_environment(&variables);
    let named = sources.file.clone().or_else(|| variables.get("TALLYBOX_CONFIG").map(PathBuf::from));
    let path = named.or_else(|| usual_file(sources, &flags, &environment, &variables));
    let file = path.map(|path| from_file(&path, problems)).unwrap_or_default();

    let mut values = Values::default();
    for setting in SETTINGS {
        let mut decided = None;
        for layer in [&flags, &environment, &file] {
            decided = decided.or_else(|| in_layer(setting, layer, problems));
        }
        let given = decided.unwrap_or_else(|| {
            let around = Surroundings { values: &values, variables: &variables, root: sources.root };
            Some(default(setting, &around))
        });
        if let Some(given) = given {
            values.0.insert(setting.key, given);
        }
    }
    values
}

/// The usual place for data: `$STATE_DIRECTORY` (systemd), for root `/var/lib/tallybox`, else the XDG data directory.
pub(super) fn data_dir(around: &Surroundings<'_>) -> String {
    let variable = |name: &str| around.variables.get(name).filter(|text| !text.is_empty());
    if let Some(list) = variable("STATE_DIRECTORY") {
        return list.split(':').next().unwrap_or_default().to_owned();
    }
    if around.root {
        return "/var/lib/tallybox".to_owned();
    }
    match (variable("XDG_DATA_HOME"), variable("HOME")) {
        (Some(data), _) => format!("{data}/tallybox"),
        (None, Some(home)) => format!("{home}/.local/share/tallybox"),
        (None, None) => "tallybox-data".to_owned(),
    }
}

/// The SQLite file in the data directory.
pub(super) fn database_url(around: &Surroundings<'_>) -> String {
    format!("sqlite:{}", Path::new(around.values.text("data_dir")).join("tallybox.db").display())
}

/// As long as events.
pub(super) fn retention_days(around: &Surroundings<'_>) -> String {
    around.values.text("retention_days").to_owned()
}

/// Where Amazon's S3 is in the region.
pub(super) fn s3_endpoint(around: &Surroundings<'_>) -> String {
    format!("https://s3.{}.amazonaws.com", around.values.text("s3_region"))
}

/// The path of the public address.
pub(super) fn base_path(around: &Surroundings<'_>) -> String {
    // A wrong address is reported by its own check.
    let path = read::public_url(around.values.text("public_url")).ok().and_then(|url| {
        let (_, rest) = url.split_once("://")?;
        rest.find('/').map(|at| rest[at..].to_owned())
    });
    path.unwrap_or_default()
}

/// The environment as text, and complaints about names that look like ours but are not.
fn variables(sources: &Sources, problems: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in &sources.variables {
        let Some(name) = name.to_str() else { continue };
        let ours = name.starts_with("TALLYBOX_");
        if ours && !known_variables().any(|known| known == name) {
            problems.push(format!("variable {name}: no such setting{}", hint(name, known_variables())));
        }
        match value.to_str() {
            Some(value) => _ = variables.insert(name.to_owned(), value.to_owned()),
            None if ours => problems.push(format!("variable {name}: not valid UTF-8")),
            None => {}
        }
    }
    variables
}

fn known_variables() -> impl Iterator<Item = String> {
    let files = SETTINGS.iter().filter(|setting| setting.may_be_in_a_file());
    let files = files.map(|setting| format!("{}_FILE", setting.variable()));
    SETTINGS
        .iter()
        .map(Setting::variable)
        .chain(files)
        .chain(["TALLYBOX_CONFIG"].into_iter().chain(remote::VARIABLES).map(str::to_owned))
}

fn known_keys() -> impl Iterator<Item = String> {
    let files = SETTINGS.iter().filter(|setting| setting.may_be_in_a_file()).map(Setting::file_key);
    SETTINGS.iter().map(|setting| setting.key.to_owned()).chain(files)
}

/// The environment by setting key.
fn from_environment(variables: &BTreeMap<String, String>) -> BTreeMap<String, Given> {
    let mut layer = BTreeMap::new();
    let mut take = |key: String, name: &str| {
        let Some(text) = variables.get(name) else { return false };
        layer.insert(key, Given { text: text.clone(), source: Source::Variable(name.to_owned()) });
        true
    };
    for setting in SETTINGS {
        // Ours in either form goes before the alias in either form.
        for name in [Some(setting.variable()), setting.alias.map(str::to_owned)].into_iter().flatten() {
            let direct = take(setting.key.to_owned(), &name);
            let file = setting.may_be_in_a_file() && take(setting.file_key(), &format!("{name}_FILE"));
            if direct || file {
                break;
            }
        }
    }
    layer
}

/// The file that is read when none is named: in the data directory, else the system's, where one exists.
fn usual_file(
    sources: &Sources,
    flags: &BTreeMap<String, Given>,
    environment: &BTreeMap<String, Given>,
    variables: &BTreeMap<String, String>,
) -> Option<PathBuf> {
    let given = flags.get("data_dir").or_else(|| environment.get("data_dir"));
    let around = Surroundings { values: &Values::default(), variables, root: sources.root };
    let dir = given.map_or_else(|| data_dir(&around), |given| given.text.clone());
    [Path::new(&dir).join("tallybox.toml"), sources.system_file.clone()].into_iter().find(|path| path.exists())
}

/// A TOML file by setting key.
fn from_file(path: &Path, problems: &mut Vec<String>) -> BTreeMap<String, Given> {
    let mut layer = BTreeMap::new();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("{}: cannot be read: {error}", path.display()));
            return layer;
        }
    };
    let line_of = |at: usize| text.bytes().take(at).filter(|&b| b == b'\n').count() + 1;
    let table = match DeTable::parse(&text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            // Only the message: the whole error quotes the line, which may hold a secret.
            let line = error.span().map_or(1, |span| line_of(span.start));
            problems.push(format!("{} line {line}: {}", path.display(), error.message()));
            return layer;
        }
    };
    for (key, value) in &table {
        let source = Source::File { path: path.to_owned(), line: line_of(key.span().start) };
        let key = key.get_ref().to_string();
        if !known_keys().any(|known| known == key) {
            problems.push(format!("{source}: no such setting: {key}{}", hint(&key, known_keys())));
            continue;
        }
        match plain_text(value.get_ref()) {
            Some(text) => _ = layer.insert(key, Given { text, source }),
            None => {
                problems.push(format!("{source}: {key} must be a text, a number, true or false, or a list of texts"))
            }
        }
    }
    layer
}

/// A file's value as the text that a flag would give.
fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
            Some(texts?.join(","))
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// What one layer says of a setting: `None` nothing, `Some(None)` something unusable, which is reported.
fn in_layer(setting: &Setting, layer: &BTreeMap<String, Given>, problems: &mut Vec<String>) -> Option<Option<Given>> {
    let direct = layer.get(setting.key);
    let file = if setting.may_be_in_a_file() { layer.get(&setting.file_key()) } else { None };
    match (direct, file) {
        (None, None) => None,
        (Some(given), None) => Some(Some(Given { text: given.text.clone(), source: given.source.clone() })),
        (Some(_), Some(file)) => {
            problems.push(format!("{}: {} is given directly as well; give one of the two", file.source, setting.key));
            Some(None)
        }
        (None, Some(file)) => Some(own_file(setting, file, problems)),
    }
}

fn own_file(setting: &Setting, file: &Given, problems: &mut Vec<String>) -> Option<Given> {
    let (source, key) = (&file.source, setting.key);
    match fs::read_to_string(OsStr::new(&file.text)) {
        Ok(text) if text.trim().is_empty() => problems.push(format!("{source}: {} with the {key} is empty", file.text)),
        Ok(text) => return Some(Given { text: text.trim().to_owned(), source: source.clone() }),
        Err(error) => problems.push(format!("{source}: {} with the {key} cannot be read: {error}", file.text)),
    }
    None
}

fn default(setting: &Setting, around: &Surroundings<'_>) -> Given {
    let text = match setting.fallback {
        Fallback::Text(text) => text.to_owned(),
        Fallback::Nothing => String::new(),
        Fallback::Derived(derive, _) => derive(around),
    };
    Given { text, source: Source::Default }
}

/// `, did you mean x?` where a known name is near.
fn hint(name: &str, known: impl Iterator<Item = String>) -> String {
    let nearest = known.map(|known| (strsim::damerau_levenshtein(name, &known), known)).min();
    match nearest {
        Some((distance, known)) if distance <= known.len() / 3 => format!(", did you mean {known}?"),
        _ => String::new(),
    }
}
