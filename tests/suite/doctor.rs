//! The verb `doctor`: every trouble is made for real, and named with its fix; nothing is changed by looking.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Backend, Server, kit, poll};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the doctor says, and what its process ended with.
#[track_caller]
fn ask(server: &Server, arguments: &[&str], settings: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let mut command = server.command(&[&["doctor", "--json"], arguments].concat());
    let output = command.envs(settings.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said} {:?}", output.stderr));
    let checks = told["checks"].as_array().unwrap().clone();
    let code = output.status.code().unwrap();
    assert_eq!(told["verdict"], ["ok", "warning", "problem"][usize::try_from(code).unwrap()], "{said}");
    (code, checks)
}

/// Insists on a finding of that check and level, with these words in it and in its fix.
#[track_caller]
fn finds(server: &Server, arguments: &[&str], settings: &[(&str, &str)], expected: [&str; 4]) {
    let (code, checks) = ask(server, arguments, settings);
    let [check, level, words, fix] = expected;
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let found = checks.iter().any(|one| {
        one["check"] == check
            && one["level"] == level
            && text(one, "text").contains(words)
            && text(one, "fix").contains(fix)
    });
    assert!(found, "{expected:?}: {checks:#?}");
    assert!(code >= if level == "problem" { 2 } else { 1 }, "{expected:?}: {code}");
}

/// Everything that lies there: names, lengths, permissions and contents.
fn contents(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, mode) = (entry.path(), entry.metadata().unwrap().permissions().mode());
        let bytes =
            if path.is_dir() { format!("{:?}", contents(&path)).into_bytes() } else { fs::read(&path).unwrap() };
        found.push((path.display().to_string(), mode, bytes));
    }
    found.sort();
    found
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Settings under which a disk that is nearly full does not matter.
const ROOMY: (&str, &str) = ("TALLYBOX_DISK_FLOOR_BYTES", "1000000");

#[test]
fn a_box_that_is_well_is_told_so_beside_its_server_and_without_it() {
    let backups = tempfile::tempdir().unwrap();
    let launch = Server::with().setting("TALLYBOX_BACKUP_DIR", backups.path().join("b").display());
    let mut server = launch.setting(ROOMY.0, ROOMY.1).start();
    server.accept(&server.app("Well"), &[kit::event("a")]);
    let done = "SELECT count(*) FROM jobs WHERE name = 'backup' AND result <> '' AND holder IS NULL";
    poll::until(PATIENCE, "backup", || (server.count(done) == 1).then_some(()));
    for deep in [&["--deep"][..], &[]] {
        assert_eq!(ask(&server, deep, &[]).0, 0, "{:#?}", ask(&server, deep, &[]).1);
    }
    let lines = server.run(&["doctor"]);
    assert!(lines.ends_with("All is well.\n") && lines.contains("is ready"), "{lines}");
    server.stop();
    let before = contents(server.data());
    assert_eq!(ask(&server, &["--deep"], &[]).0, 0, "{:#?}", ask(&server, &[], &[]).1);
    assert!(contents(server.data()) == before, "looking has changed something");
}

#[test]
fn every_trouble_is_named_with_its_fix() {
    let backups = tempfile::tempdir().unwrap();
    let folder = backups.path().join("b");
    let launch = Server::with().setting("TALLYBOX_BACKUP_DIR", folder.display());
    let mut server = launch.setting(ROOMY.0, ROOMY.1).start();
    server.accept(&server.app("Ill"), &[kit::event("a")]);
    let done = "SELECT count(*) FROM jobs WHERE name = 'backup' AND result <> '' AND holder IS NULL";
    poll::until(PATIENCE, "backup", || (server.count(done) == 1).then_some(()));

    // Beside a server.
    let direct = server.url();
    finds(&server, &["--url", &direct], &[], ["through", "problem", "/metrics can be read", "X-Forwarded-For"]);
    let base = format!("{direct}/elsewhere");
    finds(&server, &["--url", &base], &[], ["through", "problem", "answers 404", "packaging/"]);
    finds(&server, &["--url", "ftp://a"], &[], ["through", "problem", "begins with http://", "--url"]);
    // A client may say anything of when something happened, and nothing, which is kept as 0: what counts is when it did.
    server.database().alter("UPDATE events SET claimed_at = 0, skew = claimed_at + skew");
    let told = server.try_run(&["doctor"], "");
    assert!(!String::from_utf8_lossy(&told.stdout).contains("is still there"));
    server.database().alter("UPDATE events SET claimed_at = skew - 864000000, skew = 0");
    finds(
        &server,
        &[],
        &[("TALLYBOX_RETENTION_DAYS", "1")],
        ["retention", "warning", "10 days ago", "log of the server"],
    );
    server.stop();
    // While a server runs it does what is due.
    server.database().alter("UPDATE jobs SET next_at = 1 WHERE name = 'backup'");

    // Settings: those of the doctor's own process are enough.
    let open = ("TALLYBOX_HOST", "0.0.0.0");
    let https = ("TALLYBOX_PUBLIC_URL", "https://box.example.org");
    for (settings, expected) in [
        (&[("TALLYBOX_PORT", "x")][..], ["settings", "problem", "port", "config check"]),
        (&[("TALLYBOX_TEARDOWN_TENANT", "ill")], ["settings", "warning", "teardown_tenant", "docs/settings.md"]),
        (&[open], ["address", "warning", "beyond this machine", "public_url ="]),
        (&[open], ["cookies", "warning", "can be read on the way", "TLS"]),
        (&[("TALLYBOX_LOGIN_IDLE_MS", "700000000")], ["cookies", "warning", "longer", "login_idle_ms"]),
        (&[https], ["proxies", "warning", "share its address", "trusted_proxies ="]),
        (&[("TALLYBOX_TRUSTED_PROXIES", "0.0.0.0/0")], ["proxies", "problem", "trusts everybody", "127.0.0.1"]),
        (
            &[("TALLYBOX_DISK_FLOOR_BYTES", "900000000000000")],
            ["disk", "problem", "no events are taken", "retention_days"],
        ),
        (&[("TALLYBOX_DATA_DIR", "/nowhere/at/all")], ["permissions", "problem", "cannot be used", "mkdir"]),
    ] {
        finds(&server, &[], settings, expected);
    }

    // The data directory.
    let (data, key) = (server.data().to_owned(), server.data().join("master.key"));
    mode(&data, 0o755);
    finds(&server, &[], &[], ["permissions", "problem", "mode 755", "chmod 700"]);
    mode(&data, 0o700);
    mode(&key, 0o644);
    finds(&server, &[], &[], ["permissions", "problem", "master.key can be read", "chmod 600"]);
    mode(&key, 0o600);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&key, Some(12_345), None).unwrap();
        finds(&server, &[], &[], ["permissions", "problem", "belongs to another user", "chown --reference"]);
        std::os::unix::fs::chown(&key, Some(0), None).unwrap();
    }
    fs::rename(&key, data.join("elsewhere")).unwrap();
    finds(&server, &[], &[], ["secrets", "problem", "no master key", "put the copy"]);
    fs::rename(data.join("elsewhere"), &key).unwrap();
    let lock = File::open(data.join("tallybox.lock")).unwrap();
    lock.lock().unwrap();
    finds(&server, &[], &[], ["server", "problem", "does not answer", "restart"]);
    finds(&server, &[], &[], ["jobs", "warning", "backup is overdue", "tallybox jobs run backup"]);
    drop(lock);
    in_the_database(&server);
    of_backups(&server, &folder);

    // Nobody passes anything on, and somebody who does not say for whom.
    let port = server.address().port().to_string();
    let own = [("TALLYBOX_PORT", port.as_str())];
    finds(&server, &["--url", &direct], &own, ["through", "problem", "does not say for whom", "X-Forwarded-For"]);
    let taken = std::net::TcpListener::bind(server.address()).unwrap();
    finds(&server, &["--url", &direct], &own, ["through", "problem", "Nobody can listen", "ss -ltnp"]);
    drop(taken);

    let (database, mut bytes) = (data.join("tallybox.db"), fs::read(data.join("tallybox.db")).unwrap());
    let end = bytes.len();
    bytes[8 * 4_096..end.min(60 * 4_096)].fill(0);
    fs::write(&database, &bytes).unwrap();
    finds(&server, &[], &[], ["damage", "problem", "damaged", "tallybox restore"]);
    fs::write(&database, "this is no database, and never was one, whatever it may be called by whoever").unwrap();
    finds(&server, &[], &[], ["damage", "problem", "damaged", "tallybox restore"]);
}

fn in_the_database(server: &Server) {
    let database = server.database();
    let newest = server.count("SELECT max(number) FROM migrations");
    let add = |lowest: &str| {
        let next = newest + 1;
        database.alter(&format!(
            "INSERT INTO migrations (number, name, sha256, lowest) VALUES ({next}, 'x', 'x', {lowest})"
        ));
    };
    let take_back = || database.alter(&format!("DELETE FROM migrations WHERE number > {newest}"));
    add("NULL");
    finds(server, &[], &[], ["schema", "problem", "start the newer binary", "tallybox version"]);
    take_back();
    add(&newest.to_string());
    finds(server, &[], &[], ["schema", "warning", "can work with it", "upgrade"]);
    take_back();
    let last = server.sql(&format!("SELECT number, name, sha256 FROM migrations WHERE number = {newest}"));
    database.alter(&format!("DELETE FROM migrations WHERE number = {newest}"));
    finds(server, &[], &[], ["schema", "warning", "lacks 1 migrations", "dry-run"]);
    let values: Vec<_> = last.trim().split('|').map(|value| format!("'{value}'")).collect();
    database.alter(&format!("INSERT INTO migrations (number, name, sha256) VALUES ({})", values.join(", ")));
    for (change, back, expected) in [
        (
            "UPDATE jobs SET ended_at = ended_at + 36000000",
            "UPDATE jobs SET ended_at = ended_at - 36000000",
            ["last-write", "problem", "hours behind", "timedatectl"],
        ),
        (
            "UPDATE apps SET zone = 'Mars/Base'",
            "UPDATE apps SET zone = 'UTC'",
            ["time-zones", "problem", "Mars/Base", "settings"],
        ),
        (
            "UPDATE jobs SET failures = 3, result = 'no luck' WHERE name = 'settle'",
            "UPDATE jobs SET failures = 0",
            ["jobs", "warning", "3 times in a row: no luck", "tallybox jobs run settle"],
        ),
    ] {
        database.alter(change);
        finds(server, &[], &[], expected);
        database.alter(back);
    }
    let log = server.data().join("tallybox.db-wal");
    let made = File::create(&log).unwrap();
    mode(&log, 0o600);
    for (bytes, level) in [(200 << 20, "warning"), (2 << 30, "problem")] {
        made.set_len(bytes).unwrap();
        finds(server, &[], &[], ["log", level, "write-ahead log has", "restart the server"]);
    }
    fs::remove_file(&log).unwrap();
    _ = fs::remove_file(server.data().join("tallybox.db-shm"));
}

fn of_backups(server: &Server, folder: &Path) {
    let copy = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    // Its name tells when it was made.
    let ago = jiff::Timestamp::now().checked_sub(jiff::Span::new().hours(5 * 24 + 1)).unwrap();
    let old = copy.with_file_name(ago.strftime("tallybox-%Y%m%dT%H%M%S000Z").to_string());
    fs::rename(&copy, &old).unwrap();
    finds(server, &[], &[], ["backups", "problem", "5 days old", "tallybox jobs run backup"]);
    fs::remove_dir_all(&old).unwrap();
    finds(server, &[], &[], ["backups", "warning", "no backup", "tallybox jobs run backup"]);
    fs::remove_dir(folder).unwrap();
    fs::write(folder, "").unwrap();
    finds(server, &[], &[], ["backups", "problem", "cannot be looked for", "mend backup_dir"]);
}

#[test]
fn a_postgres_server_is_looked_at_and_every_check_is_documented() {
    let server = Server::over(Backend::Postgres);
    // The tests' own server does not wait for its disk.
    finds(&server, &[], &[], ["postgres", "problem", "fsync = off", "ALTER SYSTEM SET fsync = on"]);
    server.database().alter(
        "INSERT INTO nodes (id, name, version, started_at, seen_at) SELECT n::text, 'made up', 'x', s, s \
         FROM generate_series(1, 999) n, (SELECT (extract(epoch FROM now()) * 1000)::bigint AS s) t",
    );
    finds(&server, &[], &[], ["postgres", "warning", "connections, and the server has", "database_pool_max"]);
    server.database().alter("DELETE FROM nodes WHERE name = 'made up'");
    let gone = [("TALLYBOX_DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")];
    finds(&server, &[], &gone, ["postgres", "problem", "cannot be used", "pg_isready"]);

    let (_, over_postgres) = ask(&server, &["--url", &server.url()], &[]);
    let file = Server::start();
    let (_, over_sqlite) = ask(&file, &[], &[]);
    let all = over_postgres.iter().chain(&over_sqlite).map(|one| one["check"].as_str().unwrap().to_owned());
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md")).unwrap();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = cells.map(str::to_owned).collect();
    assert_eq!(all.collect::<BTreeSet<_>>(), documented);

    let empty = Server::with().prepare();
    assert_eq!(ask(&empty, &[], &[]).0, 2, "there is no data directory yet");
}
