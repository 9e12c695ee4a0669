//! Backups of PostgreSQL, by its own programs and against a real server.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::harness::postgres::Database;

/// A program in a folder of its own, which comes first on the PATH.
fn pretend(program: &str, script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(program);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[track_caller]
fn refused(server: &Server, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let output = server.command(arguments).envs(settings.iter().copied()).output().unwrap();
    assert!(!output.status.success(), "{arguments:?} says nothing");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_copy_of_postgres_is_scheduled_checked_and_put_back_into_an_empty_database() {
    let shelf = tempfile::tempdir().unwrap();
    let place = shelf.path().join("backups");
    let server = Server::with().backend(Backend::Postgres).setting("TALLYBOX_BACKUP_DIR", text(&place)).start();
    until(PATIENCE, "backup", || server.get("/metrics").text().contains("tallybox_backup_failed 0").then_some(()));
    let scheduled = only(&place);
    let app = server.app("Kept");
    server.accept(&app, &[kit::event("opened"), kit::event("saved"), kit::event("closed")]);
    server.run(&["backup"]);
    assert!(server.run(&["verify"]).contains("The backup is whole."));
    assert!(server.run(&["verify", text(&scheduled)]).contains("The backup is whole."));
    let told = server.run(&["jobs", "run", "drill"]);
    assert!(told.contains("all as copied"), "{told}");

    let other = Server::with().database(Database::shared()).setting("TALLYBOX_BACKUP_DIR", text(&place)).prepare();
    let told = other.run(&["restore"]);
    assert!(told.lines().any(|line| line.split_whitespace().eq(["events", "3"])), "{told}");
    for sql in ["SELECT count(*) FROM events", "SELECT sum(events) FROM rollup_days WHERE dimension = 0"] {
        assert_eq!(other.count(sql), server.count(sql), "{sql}");
    }
    assert_eq!(other.count("SELECT count(*) FROM events"), 3);
    assert!(refused(&other, &["restore"], &[]).contains("into an empty place only"));

    // A byte in the middle, which pg_restore itself might not notice.
    let newest = place.join(server.run(&["backup", "--list"]).lines().nth(1).unwrap().rsplit('/').next().unwrap());
    let dump = newest.join("tallybox.dump");
    let mut bytes = fs::read(&dump).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&dump, bytes).unwrap();
    assert!(refused(&server, &["verify"], &[]).contains("is not the file that was written"));
    let sqlite = Server::with().prepare();
    let said = refused(&sqlite, &["restore", text(&scheduled)], &[]);
    assert!(said.contains("the backup is of PostgreSQL") && said.contains("tallybox move"), "{said}");
}

#[test]
fn programs_that_are_not_there_or_too_old_are_told_of() {
    let server = Server::with().backend(Backend::Postgres).prepare();
    server.run(&["app", "list"]);
    let said = refused(&server, &["backup"], &[("PATH", "/nonexistent")]);
    for part in ["pg_dump is not on the PATH", "postgresql-client", "pg_dump --format=custom", "pg_restore"] {
        assert!(said.contains(part), "{said}");
    }
    let old = pretend(
        "pg_dump",
        "echo 'pg_dump: error: aborting because of server version mismatch' >&2\n\
         echo 'pg_dump: detail: server version: 99.1; pg_dump version: 9.6.24' >&2; exit 1",
    );
    let said = refused(&server, &["backup"], &[("PATH", text(old.path()))]);
    assert!(said.contains("older than the server") && said.contains("99.1") && said.contains("9.6.24"), "{said}");
    assert!(
        fs::read_dir(server.data().join("backups")).is_ok_and(|mut left| left.next().is_none()),
        "half a backup stays"
    );
}

#[test]
fn a_password_is_on_no_command_line() {
    let server = Server::with().backend(Backend::Postgres).prepare();
    server.run(&["app", "list"]);
    let seen = pretend("pg_dump", "echo \"arguments: $*\" >&2; echo \"password: $PGPASSWORD\" >&2; exit 1");
    let settings = [("PATH", text(seen.path())), ("TALLYBOX_DATABASE_PASSWORD", "canary-password")];
    let said = refused(&server, &["backup"], &settings);
    let line = |name: &str| said.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{said}"));
    assert!(line("arguments: ").contains("--snapshot=") && !line("arguments: ").contains("canary"), "{said}");
    assert!(line("password: ").ends_with("canary-password"), "{said}");
}
