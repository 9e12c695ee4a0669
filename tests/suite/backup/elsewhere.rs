//! Backups in S3-compatible storage, and encrypted ones: of no use to who finds them, opened by the program `age`.

use super::*;
use crate::harness::storage::{BUCKET, Storage};

fn key(server: &Server, name: &str) -> PathBuf {
    let file = server.home().join(name);
    let told = server.run(&["backup", "--make-key", text(&file)]);
    assert!(told.contains("backup_key_file") && !told.contains("AGE-SECRET"), "{told}");
    file
}

fn recipient(key: &Path) -> String {
    let text = fs::read_to_string(key).unwrap();
    text.lines().next().unwrap().strip_prefix("# public key: ").unwrap().to_owned()
}

/// What the verb says where it fails.
#[track_caller]
fn refused(server: &Server, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let output = server.command(arguments).envs(settings.iter().copied()).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} says nothing");
    String::from_utf8(output.stderr).unwrap()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_encrypted_backup_in_a_bucket_comes_back_with_its_key_alone() {
    let storage = Storage::start();
    let maker = Server::with().prepare();
    let (key, other) = (key(&maker, "backup.key"), key(&maker, "other.key"));
    let place = format!("s3://{BUCKET}/boxes/one");
    let server = Server::with()
        .storage(&storage)
        .setting("TALLYBOX_BACKUP_DIR", &place)
        .setting("TALLYBOX_BACKUP_KEY_FILE", text(&key))
        .start();
    let app = server.app("Kept");
    server.accept(&app, &[kit::event("opened"), kit::event("saved")]);
    until(PATIENCE, "backup", || server.get("/metrics").text().contains("tallybox_backup_failed 0").then_some(()));
    server.run(&["backup"]);
    let shelf = storage.files().join("boxes/one");
    assert_eq!(files(&shelf).len(), 2, "one of the schedule, one by hand");
    let listed = server.run(&["backup", "--list"]);
    let newest = listed.lines().nth(1).unwrap().split_whitespace().last().unwrap().to_owned();
    let name = newest.rsplit('/').next().unwrap();
    assert_eq!(newest, format!("{place}/{name}"), "{listed}");
    assert_eq!(files(&shelf.join(name)), ["manifest.json", "tallybox.db.age"]);

    // Verified and tried out from there; opened by the program of the format.
    for arguments in [&["verify"][..], &["verify", name], &["verify", &newest], &["verify", "--drill"]] {
        assert!(server.run(arguments).contains("whole"), "{arguments:?}");
    }
    let sealed = shelf.join(name).join("tallybox.db.age");
    let opened = Command::new("age").args(["--decrypt", "--identity", text(&key), text(&sealed)]).output();
    let opened = opened.expect("age is there: tests/run installs it");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(shelf.join(name).join("manifest.json")).unwrap()).unwrap();
    assert_eq!(
        manifest["sha256"],
        hex::encode(Sha256::digest(&opened.stdout)),
        "{}",
        String::from_utf8_lossy(&opened.stderr)
    );
    assert_eq!(manifest["encrypted"]["recipient"], recipient(&key));

    let there = tempfile::tempdir().unwrap();
    let restore = ["restore", &newest, "--data-dir", text(there.path())];
    let said = refused(&server, &restore, &[("TALLYBOX_BACKUP_KEY_FILE", text(&other))]);
    assert!(said.contains(&recipient(&key)) && said.contains(&recipient(&other)), "{said}");
    let keyless = Server::with().storage(&storage).prepare();
    let said = refused(&keyless, &restore, &[]);
    assert!(said.contains(&recipient(&key)) && said.contains("backup_key_file"), "{said}");
    assert!(!there.path().join("tallybox.db").exists());
    server.run(&restore);
    let restored = there.path().join("tallybox.db");
    let events = Command::new("sqlite3").arg(&restored).arg("SELECT count(*) FROM events").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&events.stdout).trim(), "2");
    assert_eq!(leftovers(there.path()) + leftovers(server.data()), 0);

    // One bit, anywhere.
    let whole = fs::read(&sealed).unwrap();
    for at in [10, 200, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 16;
        fs::write(&sealed, flipped).unwrap();
        let said = refused(&server, &["verify", name], &[]);
        assert!(said.contains("the backup is damaged"), "{said}");
    }
    let said = refused(&server, &["jobs", "run", "drill"], &[]);
    assert!(said.contains("could not be tried out: the backup is damaged"), "{said}");
}

#[test]
fn an_upload_that_died_is_no_backup_and_goes_a_day_later() {
    let storage = Storage::start();
    let server = Server::with().storage(&storage).prepare();
    let place = format!("s3://{BUCKET}");
    server.run(&["app", "list"]);
    let died = |name: &str| {
        fs::create_dir(storage.files().join(name)).unwrap();
        fs::write(storage.files().join(name).join("tallybox.db"), "half").unwrap();
    };
    died("tallybox-20200101T000000000Z");
    died("tallybox-29990101T000000000Z");
    died("somebody-elses");
    assert_eq!(server.run(&["backup", &place, "--list"]).lines().count(), 1, "it is shown");
    server.run(&["backup", &place, "--prune"]);
    let half = |name: &str| storage.files().join(name).join("tallybox.db").exists();
    let left = ["tallybox-20200101T000000000Z", "tallybox-29990101T000000000Z", "somebody-elses"].map(half);
    assert_eq!(left, [false, true, true]);
    assert_eq!(server.run(&["backup", &place, "--list"]).lines().count(), 2);
    let keyless = Server::with().prepare();
    let said = refused(&keyless, &["backup", &place, "--list"], &[]);
    assert!(said.contains("set s3_access_key"), "{said}");
}

#[test]
fn an_encrypted_backup_leaves_nothing_in_plain_in_its_folder() {
    let maker = Server::with().prepare();
    let key = key(&maker, "backup.key");
    let shelf = tempfile::tempdir().unwrap();
    let server = Server::with().setting("TALLYBOX_BACKUP_KEY_FILE", text(&key)).prepare();
    server.run(&["app", "list"]);
    server.run(&["backup", text(shelf.path())]);
    let folder = only(shelf.path());
    assert_eq!(files(&folder), ["manifest.json", "tallybox.db.age"]);
    assert!(server.run(&["verify", text(&folder)]).contains("The backup is whole."));
    let said = refused(&maker, &["verify", text(&folder)], &[]);
    assert!(said.contains("backup_key"), "{said}");
    let said = refused(&maker, &["verify", text(&folder)], &[("TALLYBOX_BACKUP_KEY", "AGE-SECRET-KEY-1QQQQ")]);
    assert!(said.contains("backup_key is no key"), "{said}");
    assert_eq!(leftovers(server.data()) + leftovers(shelf.path()), 0);
}
