//! Rust files taken apart far enough to see which names and texts are in them.

use std::fs;
use std::path::{Path, PathBuf};

/// One file under `src/`, without its comments and without the tests at its foot.
pub struct Source {
    /// As in `store/sqlite/mod.rs`.
    pub path: String,
    /// The whole file.
    pub text: String,
    /// Its code, each string literal reduced to `""`.
    pub code: String,
    /// Its string literals, as written.
    pub strings: Vec<String>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let only_tests = path.ends_with("tests.rs");
        let product = text.split("#[cfg(test)]\nmod ").next().filter(|_| !only_tests).unwrap_or_default();
        let (code, strings) = take_apart(product);
        Self { path: path.to_owned(), text: text.to_owned(), code, strings }
    }

    /// Top module that it belongs to: `store` for `store/sqlite/mod.rs`, `clock` for `clock.rs`.
    pub fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// How many `super`s lead from its module to the top.
    pub fn depth(&self) -> usize {
        self.path.matches('/').count() + usize::from(!self.path.ends_with("/mod.rs"))
    }

    /// What follows each `prefix` that begins a path: one name, or the first names inside its braces.
    pub fn names_after(&self, prefix: &str) -> Vec<&str> {
        let begins = |at: usize| !self.code[..at].ends_with(|c| is_word(c) || c == ':');
        let starts = self.code.match_indices(prefix).filter(|(at, _)| begins(*at));
        let mut names = Vec::new();
        for (at, _) in starts {
            let rest = &self.code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => names.extend(first_names(group)),
                None => names.extend(first_word(rest)),
            }
        }
        names
    }

    /// Whether the code names `word`, as a whole word or path.
    pub fn says(&self, word: &str) -> bool {
        self.code
            .match_indices(word)
            .any(|(at, _)| !self.code[..at].ends_with(is_word) && !self.code[at + word.len()..].starts_with(is_word))
    }
}

/// Every file of the library, in the order of their names.
pub fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    paths.iter().map(|path| Source::new(&name(path), &fs::read_to_string(path).unwrap())).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn first_word(text: &str) -> Option<&str> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

/// `a`, `b`, `c` of `a, b::x, c::{d, e}}`.
fn first_names(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.extend(first_word(group[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

/// Code without comments, and the string literals.
fn take_apart(text: &str) -> (String, Vec<String>) {
    let (mut code, mut strings, mut rest) = (String::new(), Vec::new(), text);
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if let Some((literal, after)) = string_literal(rest, code.ends_with(is_word)) {
            strings.push(literal.to_owned());
            code.push_str("\"\"");
            rest = after;
        } else if let Some(after) = quote_literal(rest) {
            code.push_str("' '");
            rest = after;
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    (code, strings)
}

/// The literal that begins here, plain or raw, and what follows it.
fn string_literal(text: &str, in_word: bool) -> Option<(&str, &str)> {
    if let (Some(raw), false) = (text.strip_prefix('r'), in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if let Some(body) = raw[hashes..].strip_prefix('"') {
            return body.split_once(&format!("\"{}", "#".repeat(hashes)));
        }
    }
    let body = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = body.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&body[..end], &body[end + 1..]))
}

/// What follows the character literal that begins here; a lifetime is none.
fn quote_literal(text: &str) -> Option<&str> {
    let body = text.strip_prefix('\'')?;
    let escape = usize::from(body.starts_with('\\'));
    let first = body[escape..].chars().next()?;
    let after = &body[escape + first.len_utf8()..];
    after.strip_prefix('\'').or_else(|| (escape == 1).then(|| after.split_once('\'').map(|(_, rest)| rest)).flatten())
}
