//! The verb `install-service`, below a directory that stands for a machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use super::said;
use crate::harness::Server;

const PROGRAM: &str = "usr/local/bin/tallybox";
const SERVICE: &str = "etc/systemd/system/tallybox.service";
const SOCKET: &str = "etc/systemd/system/tallybox.socket";
const SETTINGS: &str = "etc/tallybox.toml";
const ENABLED: [&str; 2] = [
    "etc/systemd/system/multi-user.target.wants/tallybox.service",
    "etc/systemd/system/sockets.target.wants/tallybox.socket",
];

/// A machine that is a directory.
struct Machine(Server);

impl Machine {
    fn new() -> Self {
        Self(Server::with().prepare())
    }

    fn root(&self) -> std::path::PathBuf {
        let root = self.0.home().join("root");
        fs::create_dir_all(&root).unwrap();
        root
    }

    fn install(&self, more: &[&str]) -> Output {
        let root = self.root().display().to_string();
        self.0.try_run(&[&["install-service", "--root", &root], more].concat(), "")
    }

    #[track_caller]
    fn installed(&self, more: &[&str]) -> String {
        let output = self.install(more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, more: &[&str]) -> String {
        let output = self.install(more);
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// Every file, with its mode and size.
    fn files(&self) -> BTreeMap<String, (u32, u64)> {
        let mut files = BTreeMap::new();
        gather(&self.root(), &mut files);
        files
    }
}

fn gather(folder: &Path, files: &mut BTreeMap<String, (u32, u64)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, about) = (entry.path(), entry.metadata().unwrap());
        files.insert(path.display().to_string(), (about.permissions().mode() & 0o7777, about.len()));
        if about.is_dir() {
            gather(&path, files);
        }
    }
}

#[test]
fn a_machine_gets_the_service_once_and_can_be_rid_of_it() {
    let machine = Machine::new();
    let told = machine.installed(&["--dry-run"]);
    assert!(told.contains("would be written") && told.contains("Nothing was changed"), "{told}");
    assert!(machine.files().is_empty());
    let told = machine.installed(&["--port", "8080", "--public-url", "https://stats.example.org"]);
    assert!(told.contains("The box listens on 127.0.0.1:8080") && told.contains("journalctl -u tallybox"), "{told}");
    let root = machine.root();
    for (path, mode) in [(PROGRAM, 0o755), (SERVICE, 0o644), (SOCKET, 0o644), (SETTINGS, 0o644), ("etc/systemd", 0o755)]
    {
        assert_eq!(root.join(path).metadata().unwrap().permissions().mode() & 0o7777, mode, "{path}");
    }
    assert!(machine.read(SOCKET).contains("\nListenStream=127.0.0.1:8080\n"));
    assert!(machine.read(SETTINGS).contains("\nport = 8080\n") && machine.read(SETTINGS).contains("\n#host = "));
    assert!(ENABLED.iter().all(|link| root.join(link).symlink_metadata().is_ok()), "{:?}", machine.files());
    let version = said(Command::new(root.join(PROGRAM)).arg("version").env_clear());
    assert!(version.starts_with("tallybox "), "{version}");
    units_are_valid(&root);
    // Once more nothing happens, and settings that were changed stay.
    fs::write(root.join(SETTINGS), "port = 8080\nretention_days = 30\n").unwrap();
    let before = machine.files();
    let told = machine.installed(&[]);
    assert!(told.contains("unchanged") && !told.contains("written") && !told.contains("replaced"), "{told}");
    assert_eq!(machine.files(), before);
    // Another port in the settings moves the socket.
    fs::write(root.join(SETTINGS), "port = 9090\n").unwrap();
    assert!(machine.installed(&[]).contains("replaced"));
    assert!(machine.read(SOCKET).contains("\nListenStream=127.0.0.1:9090\n"));
    let told = machine.installed(&["--uninstall", "--dry-run"]);
    assert!(told.contains("would be removed") && root.join(PROGRAM).exists(), "{told}");
    let told = machine.installed(&["--uninstall"]);
    assert!(told.contains("removed") && told.contains("stay"), "{told}");
    assert!(![PROGRAM, SERVICE, SOCKET].iter().any(|path| root.join(path).exists()));
    assert!(!ENABLED.iter().any(|link| root.join(link).symlink_metadata().is_ok()), "{:?}", machine.files());
    assert!(root.join(SETTINGS).exists());
    assert!(machine.installed(&["--uninstall"]).contains("was not there"));
}

/// As systemd itself reads them.
fn units_are_valid(root: &Path) {
    // The targets that every machine has.
    let lib = root.join("usr/lib/systemd/system");
    fs::create_dir_all(&lib).unwrap();
    let targets = ["multi-user", "sockets", "network-online", "sysinit", "basic", "shutdown", "network", "-.slice"];
    for name in targets {
        let name = if name.contains('.') { name.to_owned() } else { format!("{name}.target") };
        fs::write(lib.join(name), "[Unit]\nDefaultDependencies=no\n").unwrap();
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=no", "--root"]).arg(root);
    let output = command.args(["tallybox.service", "tallybox.socket"]).output().expect("tests/run installs systemd");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("tallybox"), "{said}");
    fs::remove_dir_all(root.join("usr/lib")).unwrap();
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let machine = Machine::new();
    let root = machine.root();
    machine.installed(&[]);
    let unit = machine.read(SERVICE).replace("MemoryMax=512M", "MemoryMax=4G");
    fs::write(root.join(SERVICE), unit).unwrap();
    fs::remove_file(root.join(PROGRAM)).unwrap();
    fs::write(root.join(PROGRAM), "#!/bin/sh\n").unwrap();
    let before = machine.files();
    for verb in [&[][..], &["--uninstall"]] {
        let told = machine.refused(verb);
        for part in ["nothing was changed", "changed by somebody", "systemctl edit", "another program"] {
            assert!(told.contains(part), "{told}");
        }
        assert_eq!(machine.files(), before);
    }
}

#[test]
fn what_cannot_be_is_said() {
    let machine = Machine::new();
    fs::create_dir_all(machine.root().join("etc")).unwrap();
    fs::write(machine.root().join(SETTINGS), "port = 0\n").unwrap();
    assert!(machine.refused(&[]).contains("set port"));
    assert!(machine.refused(&["--port", "80"]).contains("leave the flags out"));
    fs::write(machine.root().join(SETTINGS), "port = \"many\"\n").unwrap();
    assert!(machine.refused(&[]).contains("tallybox.toml line 1: port"));
    assert!(machine.refused(&["--config", "/etc/other.toml"]).contains("leave --config out"));
    fs::remove_file(machine.root().join(SETTINGS)).unwrap();
    let packaged = machine.root().join("usr/lib/systemd/system");
    fs::create_dir_all(&packaged).unwrap();
    fs::write(packaged.join("tallybox.service"), "").unwrap();
    assert!(machine.refused(&[]).contains("a package has installed Tallybox"));
    let nowhere = machine.0.try_run(&["install-service", "--root", "/nowhere"], "");
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nowhere is no directory"));
    if rustix::process::geteuid().is_root() {
        let copy = tempfile::tempdir().unwrap();
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = copy.path().join("tallybox");
        fs::copy(crate::harness::PROGRAM, &program).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("install-service");
        let output = command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("only root can do this"), "{output:?}");
    }
}
