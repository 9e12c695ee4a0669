//! PostgreSQL's own programs, which copy its databases and put copies back. Passwords go by their environment.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use super::BackupError;
use crate::config::PostgresUrl;
use crate::store::postgres::PostgresOptions;
use crate::store::postgres::backup::Snapshot;

const DUMP: &str = "pg_dump";
const RESTORE: &str = "pg_restore";
/// How much of what a program complains about is told.
const COMPLAINT: usize = 2_000;

/// Copies one state of a database into a file.
pub(super) fn dump(options: &PostgresOptions, snapshot: &Snapshot, to: &Path) -> Result<(), BackupError> {
    let target = Target::of(options)?;
    let mut command = target.command(DUMP);
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--no-password"]);
    command.arg(format!("--snapshot={}", snapshot.name())).arg("--file").arg(to).arg("--dbname").arg(&target.url);
    run(&mut command, DUMP)
}

/// Puts a copy into a database that is empty: all of it or nothing.
pub(super) fn restore(options: &PostgresOptions, from: &Path) -> Result<(), BackupError> {
    let target = Target::of(options)?;
    let mut command = target.command(RESTORE);
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-password"]);
    command.arg("--dbname").arg(&target.url).arg(from);
    run(&mut command, RESTORE)
}

/// Reads a copy to its last row, without a server: the rows of each table.
pub(super) fn count(copy: &Path) -> Result<BTreeMap<String, i64>, BackupError> {
    run(plain(RESTORE).arg("--list").arg(copy).stdout(Stdio::null()), RESTORE)?;
    let mut command = plain(RESTORE);
    command.args(["--data-only", "--file=-"]).arg(copy).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| absent(RESTORE, &error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // What it complains about is read beside, so that neither waits for the other.
    let complaint = std::thread::spawn(move || stderr.map(complaint).unwrap_or_default());
    let counted = rows(BufReader::new(stdout.expect("its output is a pipe")));
    let ended = child.wait().map_err(|error| absent(RESTORE, &error))?;
    let complaint = complaint.join().unwrap_or_default();
    if !ended.success() {
        return Err(BackupError::Damaged(explained(RESTORE, &complaint)));
    }
    counted.map_err(|error| BackupError::Tool(format!("{RESTORE} cannot be read: {error}")))
}

/// How one does by hand what cannot be done here.
pub(super) fn by_hand() -> &'static str {
    "install the programs of PostgreSQL's clients (Debian: postgresql-client), or run where they are: pg_dump \
     --format=custom --file=box.dump DATABASE_URL, and pg_restore --single-transaction --no-owner --dbname=DATABASE_URL \
     box.dump into an empty database"
}

/// A database as the programs are told of it.
struct Target {
    url: String,
    password: Option<SecretString>,
}

impl Target {
    fn of(options: &PostgresOptions) -> Result<Self, BackupError> {
        let text = options.url.expose_secret();
        let url = PostgresUrl::split(text).map_err(|why| BackupError::Tool(format!("database_url {why}")))?;
        let decoded = |text: &str| SecretString::from(percent_decode_str(text).decode_utf8_lossy().into_owned());
        let parameter = url.parameters.iter().find(|(key, _)| *key == "password").map(|(_, value)| *value);
        let password = options.password.clone().or_else(|| url.password.or(parameter).map(decoded));
        let open = PostgresUrl {
            password: None,
            parameters: url.parameters.into_iter().filter(|(key, _)| *key != "password").collect(),
            ..url
        };
        Ok(Self { url: open.to_string(), password })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = plain(program);
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password.expose_secret());
        }
        command
    }
}

fn plain(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn run(command: &mut Command, program: &str) -> Result<(), BackupError> {
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(|error| absent(program, &error))?;
    let complaint = child.stderr.take().map(complaint).unwrap_or_default();
    let ended = child.wait().map_err(|error| absent(program, &error))?;
    if ended.success() { Ok(()) } else { Err(BackupError::Tool(explained(program, &complaint))) }
}

fn absent(program: &str, error: &io::Error) -> BackupError {
    if error.kind() == io::ErrorKind::NotFound {
        return BackupError::Tool(format!("{program} is not on the PATH: {}", by_hand()));
    }
    BackupError::Tool(format!("{program} cannot be run: {error}"))
}

/// The beginning of what a program complains about; the rest is read and forgotten.
fn complaint(mut from: impl Read) -> String {
    let mut text = Vec::new();
    _ = from.by_ref().take(COMPLAINT as u64).read_to_end(&mut text);
    _ = io::copy(&mut from, &mut io::sink());
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// What it means, where that is known.
fn explained(program: &str, complaint: &str) -> String {
    let advice = if complaint.contains("server version mismatch") {
        let versions = complaint.lines().find(|line| line.contains("server version:")).unwrap_or_default();
        let versions = versions.split_once("detail: ").map_or(versions, |(_, versions)| versions);
        return format!(
            "{program} is older than the server, and refuses ({versions}): install the clients' programs of the \
             server's version (Debian: postgresql-client-VERSION), and let them come first on the PATH"
        );
    } else if complaint.contains("unsupported version") {
        "the copy was made by a newer pg_dump: install programs of at least its version. "
    } else if complaint.contains("invalid snapshot identifier") {
        "the connection goes through a pooler to several servers: let database_url name the server itself. "
    } else {
        ""
    };
    format!("{program} has failed: {advice}{complaint}")
}

/// Counts the rows in a script of COPY commands.
fn rows(mut script: impl BufRead) -> io::Result<BTreeMap<String, i64>> {
    let (mut tables, mut table, mut line) = (BTreeMap::new(), None, Vec::new());
    loop {
        line.clear();
        if script.read_until(b'\n', &mut line)? == 0 {
            return Ok(tables);
        }
        match &table {
            Some(name) if line == b"\\.\n" => {
                tables.entry(String::clone(name)).or_insert(0);
                table = None;
            }
            Some(name) => *tables.entry(String::clone(name)).or_insert(0) += 1,
            None => table = copied(&line),
        }
    }
}

/// The table of a line like `COPY public.events (id, ...) FROM stdin;`.
fn copied(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (name, rest) = line.strip_prefix("COPY ")?.split_once(" (")?;
    rest.ends_with(" FROM stdin;").then(|| name.rsplit('.').next().unwrap_or(name).trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_in_a_script() {
        let script =
            b"--\nSET x = 1;\nCOPY public.a (id, b) FROM stdin;\n1\tCOPY public.b (x) FROM stdin;\n2\t\\\\.\n\\.\n\n\
                       COPY public.\"b c\" (x) FROM stdin;\n\\.\n";
        let expected = BTreeMap::from([("a".to_owned(), 2), ("b c".to_owned(), 0)]);
        assert_eq!(rows(&script[..]).unwrap(), expected);
    }

    #[test]
    fn passwords_are_in_no_url_and_complaints_are_explained() {
        for (url, given, password) in [
            ("postgres://ada:can%40ry@db/box?sslmode=require", None, Some("can@ry")),
            ("postgres://ada@db/box?password=canary&sslmode=require", None, Some("canary")),
            ("postgres://ada:other@db/box?sslmode=require", Some("canary"), Some("canary")),
            ("postgres://ada@db/box?sslmode=require", None, None),
        ] {
            let options = PostgresOptions {
                password: given.map(SecretString::from),
                ..PostgresOptions::new(SecretString::from(url))
            };
            let target = Target::of(&options).unwrap();
            assert_eq!(target.url, "postgres://ada@db/box?sslmode=require");
            assert_eq!(target.password.as_ref().map(|password| password.expose_secret()), password);
        }
        let said = "pg_dump: error: aborting because of server version mismatch\n\
                    pg_dump: detail: server version: 17.2; pg_dump version: 15.8";
        let told = explained("pg_dump", said);
        assert!(told.contains("older than the server") && told.contains("(server version: 17.2; pg_dump"), "{told}");
    }
}
