//! What the box is brought to a machine with: units, containers, proxies, packages, the manual.

mod compose;
mod deb;
mod install;
mod manual;
mod proxies;
mod sbom;
mod supervisor;
mod supply;
mod units;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of this repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What a program says on standard output, when it succeeds.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; tests/run installs it"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}
