//! Every command of every runbook, as it is written, against a real server; only places and the port are others, and two
//! small programs stand where systemd's would.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::http::{Connection, Reply, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{PROGRAM, poll, postgres};

/// Where things are in the runbooks, and where they are here.
const PLACES: [(&str, &str); 5] = [
    ("/var/lib/tallybox", "data"),
    ("/var/backups", "backups"),
    ("/etc/tallybox", "etc/tallybox"),
    ("/usr/local/bin", "bin"),
    ("/srv/tallybox", "srv"),
];

/// Starts and stops the one service, and returns once it is ready or gone.
const SYSTEMCTL: &str = r#"#!/bin/bash
[ "$2" = tallybox ] || { echo "no service $2" >&2; exit 5; }
stop() { [ -e "$HOME/pid" ] && kill "$(cat "$HOME/pid")" && while kill -0 "$(cat "$HOME/pid")" 2>/dev/null; do sleep 0.05; done; rm -f "$HOME/pid"; }
start() {
  setsid tallybox serve </dev/null >>"$HOME/journal" 2>&1 &
  echo $! >"$HOME/pid"
  for _ in $(seq 600); do
    curl -s -o /dev/null --fail "http://127.0.0.1:$PORT_OF_THE_BOX/health/ready" && return 0
    kill -0 "$(cat "$HOME/pid")" 2>/dev/null || break
    sleep 0.05
  done
  tail -n 5 "$HOME/journal" >&2
  return 1
}
case "$1" in
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  *) echo "no such verb: $1" >&2; exit 1 ;;
esac
"#;

const JOURNALCTL: &str = "#!/bin/bash\ncase \"$1\" in --vacuum-size=*) ;; *) cat \"$HOME/journal\" ;; esac\n";

/// A machine with a box on it that runs as a service.
struct Machine {
    home: TempDir,
    port: u16,
}

impl Machine {
    /// One whose box has an owner, a token and the app "notes", and that app's key.
    fn new() -> (Self, Credentials) {
        let home = tempfile::tempdir().unwrap();
        for folder in ["data", "backups/tallybox", "etc", "bin"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::copy(PROGRAM, home.path().join("bin/tallybox")).unwrap();
        for (name, text) in [("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)] {
            let path = home.path().join("bin").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let at = |name: &str| home.path().join(name).display().to_string();
        let settings =
            format!("data_dir = {:?}\nport = {port}\nbackup_dir = {:?}\n", at("data"), at("backups/tallybox"));
        fs::write(home.path().join("etc/tallybox.toml"), settings).unwrap();
        let machine = Self { home, port };
        machine.run(
            "systemctl start tallybox\n\
             echo 'a quiet harbour at noon' | tallybox member create owner@example.org --role owner\n\
             tallybox app create Notes --slug notes",
        );
        let key = machine.key("tallybox key create notes");
        machine.run("tallybox token create notes");
        machine.accepts(&key);
        (machine, key)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.env_clear().env("PATH", path).env("HOME", self.home.path()).current_dir(self.home.path());
        command.env("TALLYBOX_CONFIG", self.path("etc/tallybox.toml")).env("PORT_OF_THE_BOX", self.port.to_string());
        command.args(["-euo", "pipefail", "-c", script]);
        command
    }

    /// Runs a script, which must go through to its end; what it said.
    #[track_caller]
    fn run(&self, script: &str) -> String {
        self.check(self.command(script).output().unwrap(), script)
    }

    #[track_caller]
    fn check(&self, output: Output, script: &str) -> String {
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        let journal = fs::read_to_string(self.path("journal")).unwrap_or_default();
        assert!(output.status.success(), "{script}\n\n{said}\n{journal}");
        said
    }

    /// Follows a runbook to its end; what was said.
    #[track_caller]
    fn follow(&self, runbook: &str, variables: &[(&str, &str)]) -> String {
        let mut script = commands(runbook);
        for (there, here) in PLACES {
            script = script.replace(there, self.path(here).to_str().unwrap());
        }
        let script = script.replace("127.0.0.1:3000", &format!("127.0.0.1:{}", self.port));
        let mut command = self.command(&script);
        command.envs(variables.iter().copied());
        self.check(command.output().unwrap(), &script)
    }

    #[track_caller]
    fn key(&self, verb: &str) -> Credentials {
        Credentials::parse(&self.run(verb))
    }

    #[track_caller]
    fn send(&self, request: &Request) -> Reply {
        Connection::open(([127, 0, 0, 1], self.port).into()).unwrap().send(request).unwrap()
    }

    #[track_caller]
    fn accepts(&self, key: &Credentials) {
        self.send(&key.sdk(&kit::batch(&[kit::event("opened")]))).expect(200);
    }

    fn signs_in(&self, name: &str, password: &str) -> bool {
        let form = Request::form("/login", &[("name", name), ("password", password), ("next", "/apps")]);
        self.send(&form).status == 303
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        _ = self.command("kill -9 \"$(cat \"$HOME/pid\")\"").output();
    }
}

/// All commands of a runbook, in their order.
fn commands(runbook: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks").join(runbook);
    let text = fs::read_to_string(&path).unwrap();
    let blocks: Vec<_> = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n")).collect();
    assert!(!blocks.is_empty(), "{runbook} has no commands");
    blocks.concat()
}

#[test]
fn every_runbook_is_listed_and_followed_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> = names.filter(|name| name != "README.md").collect();
    let followed = include_str!("runbooks.rs");
    for name in &names {
        assert!(followed.contains(&format!("follow({name:?}")), "{name} is not tried");
    }
    assert!(names.len() >= 8, "{names:?}");
}

#[test]
fn high_latency() {
    let (machine, _) = Machine::new();
    let said = machine.follow("high-latency.md", &[]);
    assert!(said.contains("tallybox_queue") && said.contains(" s\n"), "{said}");
}

#[test]
fn disk_full() {
    let (machine, key) = Machine::new();
    machine.follow("disk-full.md", &[]);
    assert!(machine.path("srv/tallybox.db").exists());
    machine.accepts(&key);
}

#[test]
fn lost_password() {
    let (machine, _) = Machine::new();
    machine.follow("lost-password.md", &[]);
    assert!(!machine.signs_in("owner@example.org", "a quiet harbour at noon"));
    assert!(machine.signs_in("owner@example.org", "a new quiet harbour at dawn"));
    assert!(machine.signs_in("second@example.org", "another quiet harbour at dusk"));
}

#[test]
fn lost_secret() {
    let (machine, key) = Machine::new();
    machine.follow("lost-secret.md", &[]);
    assert_eq!(machine.send(&key.sdk(&kit::batch(&[kit::event("opened")]))).status, 401);
    let made = machine.key("tallybox key create notes");
    // After a refusal the server looks for new keys once a second.
    let sent = || machine.send(&made.sdk(&kit::batch(&[kit::event("opened")]))).status == 200;
    poll::until(Duration::from_secs(20), "a key that works", || sent().then_some(()));
}

#[test]
fn restore() {
    let (machine, key) = Machine::new();
    machine.run("tallybox backup");
    machine.accepts(&key);
    fs::write(machine.path("data/tallybox.db-wal"), b"damaged").unwrap();
    machine.follow("restore.md", &[]);
    machine.accepts(&key);
}

#[test]
fn to_postgresql() {
    let (machine, key) = Machine::new();
    let database = postgres::Database::shared();
    machine.follow("to-postgresql.md", &[("POSTGRES_URL", &database.url())]);
    machine.accepts(&key);
    assert_eq!(database.sql("SELECT count(*) FROM events").trim(), "2");
}

#[test]
fn rotating_every_secret() {
    let (machine, key) = Machine::new();
    let master = || fs::read_to_string(machine.path("data/master.key")).unwrap();
    let before = master();
    let said = machine.follow("rotate-secrets.md", &[]);
    assert!(said.contains("sealed anew under the first master key"), "{said}");
    assert!(master() != before && master().lines().count() == 1);
    machine.accepts(&key);
}

#[test]
fn a_new_version() {
    let (machine, key) = Machine::new();
    machine.follow("deploy.md", &[("NEW_PROGRAM", PROGRAM)]);
    machine.accepts(&key);
}
