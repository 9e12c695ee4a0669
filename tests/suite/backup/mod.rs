//! Backups: made beside a running server, checked, restored into an empty place and nowhere else.

mod elsewhere;
mod postgres;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::harness::kit;
use crate::harness::poll::until;
use crate::harness::{Backend, Server};

const PATIENCE: Duration = Duration::from_secs(30);

/// The one folder in there whose name begins so.
#[track_caller]
fn only(folder: &Path) -> PathBuf {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<_> = names.filter(|path| path.is_dir()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

/// Folders of work that was not tidied up.
fn leftovers(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".partial-")).count()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_is_made_beside_a_running_server_and_brings_everything_back() {
    let server = Server::start();
    let app = server.app("Kept");
    let taken = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            (0..30).for_each(|_| server.accept(&app, &[kit::event("opened"), kit::event("saved")]));
            60
        });
        until(PATIENCE, "ten events", || (server.count("SELECT count(*) FROM events") > 10).then_some(()));
        let told = server.run(&["backup"]);
        assert!(told.contains("master.key"), "{told}");
        sender.join().unwrap()
    });
    assert_eq!(server.count("SELECT count(*) FROM events"), taken);
    let folder = only(&server.data().join("backups"));
    assert!(server.run(&["verify", text(&folder)]).contains("The backup is whole."));
    assert!(server.run(&["backup", "--list"]).contains(text(&folder)));
    server.accept(&app, &[kit::event("behind the backup")]);

    let there = tempfile::tempdir().unwrap();
    let told = server.run(&["restore", text(&folder), "--data-dir", text(there.path())]);
    let restored = there.path().join("tallybox.db");
    let count = |sql: &str| {
        let output = Command::new("sqlite3").arg(&restored).arg(sql).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<i64>().unwrap()
    };
    let events = count("SELECT count(*) FROM events");
    assert!((10..=taken).contains(&events), "{events}");
    assert!(told.lines().any(|line| line.split_whitespace().eq(["events", &events.to_string()])), "{told}");
    assert_eq!(count("SELECT sum(events) FROM rollup_days WHERE dimension = 0"), events, "it is one state");
    let again = server.try_run(&["restore", text(&folder), "--data-dir", text(there.path())], "");
    assert!(!again.status.success(), "it was restored over a database");
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
}

#[test]
fn a_backup_that_was_touched_is_told_and_not_restored() {
    let server = Server::start();
    let app = server.app("Kept");
    server.accept(&app, &[kit::event("opened")]);
    server.run(&["backup"]);
    let folder = only(&server.data().join("backups"));
    let (copy, manifest) = (folder.join("tallybox.db"), folder.join("manifest.json"));
    let (bytes, said) = (fs::read(&copy).unwrap(), fs::read_to_string(&manifest).unwrap());
    let there = tempfile::tempdir().unwrap();
    let refused = |what: &str| {
        for verb in [&["verify", text(&folder)][..], &["restore", text(&folder), "--data-dir", text(there.path())]] {
            let output = server.try_run(verb, "");
            assert!(!output.status.success(), "{what}: {verb:?} says nothing");
        }
        assert!(!there.path().join("tallybox.db").exists(), "{what}");
    };
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&copy, flipped).unwrap();
    refused("a bit of the copy");
    fs::write(&copy, &bytes[..bytes.len() - 4_096]).unwrap();
    refused("the end of the copy");
    fs::write(&copy, &bytes).unwrap();
    fs::write(&manifest, said.replace("\"events\": 1", "\"events\": 2")).unwrap();
    refused("a number of the manifest");
    fs::write(&manifest, "{}").unwrap();
    refused("the manifest");
    fs::write(&manifest, said).unwrap();
    server.run(&["verify", text(&folder)]);
}

#[test]
fn a_server_with_a_folder_for_backups_makes_one_by_itself() {
    let place = tempfile::tempdir().unwrap();
    // What a backup that was killed has left.
    fs::create_dir(place.path().join(".partial-tallybox-x")).unwrap();
    let server = Server::with().setting("TALLYBOX_BACKUP_DIR", text(place.path())).start();
    let made = || server.get("/metrics").text().contains("tallybox_backup_failed 0").then_some(());
    until(PATIENCE, "backup", made);
    let folder = only(place.path());
    server.run(&["verify", text(&folder)]);
    let tried = server.run(&["verify", "--drill"]);
    assert!(tried.contains("was tried out in"), "{tried}");
    let told = server.run(&["jobs", "run", "drill"]);
    assert!(told.contains("can be restored") && told.contains("all as copied"), "{told}");
    assert_eq!(leftovers(server.data()), 0);
    let mode =
        |path: &Path| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777;
    assert_eq!(mode(&folder), 0o700, "others can look into it");
}

#[test]
fn a_database_is_kept_as_it_was_before_its_schema_changes() {
    let home = tempfile::tempdir().unwrap();
    let database = home.path().join("tallybox.db");
    let mut script = "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, \
                      applied_at TEXT NOT NULL DEFAULT (datetime('now'))) STRICT;\n"
        .to_owned();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut files: Vec<_> = fs::read_dir(migrations).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for (file, number) in files.iter().take(5).zip(1..) {
        let sql = fs::read_to_string(file).unwrap();
        let (name, hash) = (file.file_name().unwrap().to_str().unwrap(), hex::encode(Sha256::digest(&sql)));
        script.push_str(&format!(
            "{sql}\nINSERT INTO migrations (number, name, sha256) VALUES ({number}, '{name}', '{hash}');\n"
        ));
    }
    let made = Command::new("sqlite3").arg(&database).arg(script).status().unwrap();
    assert!(made.success());
    let server = Server::with().data_dir(home.path()).start();
    let folder = only(&only(&home.path().join("backups")));
    let manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["schema"], 5);
    assert!(server.count("SELECT max(number) FROM migrations") > 5);
}
