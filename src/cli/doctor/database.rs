//! The database: engine, schema, log, damage; what time it was when it was written last; jobs and retention; over
//! PostgreSQL, how the server is set up.

use super::super::open;
use super::Ground;
use super::finding::{Finding, length, mebibytes};
use super::upkeep;
use crate::config::Config;
use crate::model::{Millis, Zone};
use crate::store::StoreError;
use crate::store::look::{Depth, Look, ServerFacts};
use crate::store::sqlite::engine_version;

/// How far clocks may differ.
const SKEW: i64 = 2 * Millis::MINUTE;
/// A log that is longer has not been written back for long.
const LOG_LOOK: u64 = 128 << 20;
/// One that is longer slows every page.
const LOG_WRONG: u64 = 1 << 30;
/// Connections that a server keeps for its administrators.
const RESERVED: i64 = 3;
/// Connections of a node beside its pool: two for commits, one to look after the server.
const BESIDE: i64 = 3;

/// All of it.
pub fn all(ground: &Ground<'_>, deep: bool) -> Vec<Finding> {
    let look = match open::look(ground.config) {
        Ok(Some(look)) => look,
        Ok(None) => return vec![Finding::ok("schema", "There is no database yet; the first start makes it.")],
        Err(error) => return vec![away(ground.config, &error)],
    };
    let mut findings = Vec::new();
    let found = match ground.config.database_path() {
        Some(_) => of_file(ground, &look, deep),
        None => look.server().map(|facts| of_server(ground, &facts)),
    };
    let checks: [Result<Vec<Finding>, StoreError>; 5] = [
        found,
        schema(&look).map(|one| vec![one]),
        last_write(ground, &look).map(|one| vec![one]),
        zones(&look),
        upkeep::of_database(ground, &look),
    ];
    for check in checks {
        findings.extend(check.unwrap_or_else(|error| vec![away(ground.config, &error)]));
    }
    findings
}

/// The database cannot be looked at.
fn away(config: &Config, error: &StoreError) -> Finding {
    match (error, config.database_path()) {
        (StoreError::Corrupt(_), _) | (StoreError::Unexpected(_), Some(_)) => damaged(&error.to_string()),
        (_, Some(path)) => {
            let fix = format!("ls -l {}: the user of the server must be able to read and write it", path.display());
            Finding::problem("schema", format!("The database cannot be read: {error}."), fix)
        }
        (_, None) => {
            let fix = "pg_isready, and psql with database_url: host, name, password and pg_hba.conf must fit";
            Finding::problem("postgres", format!("PostgreSQL cannot be used: {error}."), fix)
        }
    }
}

fn damaged(what: &str) -> Finding {
    let fix = "stop the server, keep the damaged file, and put the newest backup in its place: tallybox restore FOLDER";
    Finding::problem("damage", format!("The database is damaged: {what}."), fix)
}

fn schema(look: &Look) -> Result<Finding, StoreError> {
    let schema = look.schema()?;
    let newest = schema.applied.last().map_or(0, |(number, _, _)| *number);
    Ok(match (&schema.refused, schema.pending.len()) {
        (Some(why), _) => {
            Finding::problem("schema", format!("This version cannot work with it: {why}."), "tallybox version")
        }
        (None, 0) if newest > schema.known => {
            let text = format!("The schema is {newest}; this version knows {}, and can work with it.", schema.known);
            Finding::warning("schema", text, "upgrade this program, too")
        }
        (None, 0) => Finding::ok("schema", format!("The schema is {newest}, which is up to date.")),
        (None, more) => {
            let text = format!("The schema lacks {more} migrations, which the next start runs.");
            Finding::warning("schema", text, "tallybox migrate dry-run, then restart the server")
        }
    })
}

/// What was written last cannot be later than now.
fn last_write(ground: &Ground<'_>, look: &Look) -> Result<Finding, StoreError> {
    const CHECK: &str = "last-write";
    Ok(match look.last_write()? {
        Some(at) if at.since(ground.now) > SKEW => {
            let text = format!("The clock is {} behind what the box has written last.", length(at.since(ground.now)));
            Finding::problem(
                CHECK,
                text,
                "timedatectl set-ntp true; or the clock was ahead then, and has been put right",
            )
        }
        Some(at) => Finding::ok(CHECK, format!("The box has written something {} ago.", length(ground.now.since(at)))),
        None => Finding::ok(CHECK, "The box has written nothing yet."),
    })
}

fn zones(look: &Look) -> Result<Vec<Finding>, StoreError> {
    let unknown = look.zones()?.into_iter().filter(|(_, zone)| Zone::find(zone).is_none());
    let tell = |(app, zone): (String, String)| {
        let text = format!("The time zone {zone} of the app {app} is not known: its days are counted as in UTC.");
        Finding::problem("time-zones", text, "choose another zone in the settings of the app")
    };
    Ok(unknown.map(tell).collect())
}

fn of_file(ground: &Ground<'_>, look: &Look, deep: bool) -> Result<Vec<Finding>, StoreError> {
    // This program would not have come so far with another engine.
    let mut findings = vec![Finding::ok("engine", format!("SQLite {} is inside this program.", engine_version()))];
    let Some(path) = ground.config.database_path() else { return Ok(findings) };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let bytes = std::fs::metadata(&log).map_or(0, |log| log.len());
    let text = format!("The write-ahead log has {}.", mebibytes(bytes));
    let fix = "restart the server; before, end programs that have held the file open for long: fuser -v tallybox.db";
    findings.push(match bytes {
        LOG_WRONG.. => Finding::problem("log", text, fix),
        LOG_LOOK.. => Finding::warning("log", text, fix),
        _ => Finding::ok("log", text),
    });
    let depth = if deep { Depth::Whole } else { Depth::Quick };
    findings.push(match look.damage(path, depth) {
        Ok(None) if deep => Finding::ok("damage", "All of the database was read, and nothing is damaged."),
        Ok(None) => Finding::ok("damage", "Nothing is damaged at a glance; --deep reads all of it."),
        Ok(Some(what)) => damaged(&what),
        Err(StoreError::Interrupted) => {
            let text = "The database is too large to be read at a glance.";
            Finding::warning("damage", text, "tallybox doctor --deep, when there is time")
        }
        Err(error) => damaged(&error.to_string()),
    });
    Ok(findings)
}

/// How a PostgreSQL server is set up.
fn of_server(ground: &Ground<'_>, facts: &ServerFacts) -> Vec<Finding> {
    const CHECK: &str = "postgres";
    let mut findings = vec![if facts.number >= 140_000 {
        Finding::ok("engine", format!("PostgreSQL {}.", facts.version))
    } else {
        let text = format!("PostgreSQL {} is no longer maintained.", facts.version);
        Finding::warning("engine", text, "upgrade the server to a version that is maintained")
    }];
    let system = |name: &str, value: &str| {
        format!("psql -c \"ALTER SYSTEM SET {name} = {value}\" && systemctl reload postgresql")
    };
    for (name, value) in [("fsync", &facts.fsync), ("full_page_writes", &facts.full_page_writes)] {
        if value == "off" {
            let text = format!("The server runs with {name} = off: what is acknowledged can be lost.");
            findings.push(Finding::problem(CHECK, text, system(name, "on")));
        }
    }
    if facts.synchronous_commit == "off" {
        let text = "synchronous_commit is off; the box sets it to on for its own commits.";
        findings.push(Finding::warning(CHECK, text, system("synchronous_commit", "on")));
    }
    if facts.is_standby {
        let text = "database_url leads to a standby, which takes no writes.";
        let fix = "name all servers in database_url, and the one that can write is found: postgres://USER@a,b/DATABASE";
        findings.push(Finding::problem(CHECK, text, fix));
    }
    if facts.standbys.0 > 0 && facts.standbys.1 == 0 {
        let text = "The standbys follow some time later: what was acknowledged in the last moments is lost when one takes over.";
        findings.push(Finding::warning(CHECK, text, system("synchronous_standby_names", "'*'")));
    }
    let nodes = facts.nodes.max(1);
    let wanted = nodes * (i64::try_from(ground.config.database_pool_max).unwrap_or(i64::MAX) + BESIDE);
    if wanted > facts.max_connections - RESERVED {
        let text = format!(
            "{nodes} nodes want up to {wanted} connections, and the server has {} for everybody.",
            facts.max_connections
        );
        let fix = format!("lower database_pool_max, or {}", system("max_connections", &(wanted + 20).to_string()));
        findings.push(Finding::warning(CHECK, text, fix));
    }
    let apart = facts.now.since(ground.now);
    if apart.abs() > SKEW {
        let text = format!("The clocks of this machine and of the database server are {} apart.", length(apart));
        findings.push(Finding::problem("clock", text, "timedatectl set-ntp true, on both"));
    }
    if !findings.iter().any(|finding| finding.check == CHECK) {
        findings.push(Finding::ok(CHECK, "The server is set up as it should be."));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    #[test]
    fn whatever_a_server_does_wrong_is_told_with_its_fix() {
        let sources =
            Sources { variables: vec![("HOME".into(), "/h".into())], ..Sources::of_process(Vec::new(), None) };
        let config = Config::load(&sources).unwrap();
        let now = Millis(1_800_000_000_000);
        let ground = Ground { config: &config, now, is_running: false };
        let well = ServerFacts {
            number: 150_004,
            version: "15.4".to_owned(),
            fsync: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            max_connections: 100,
            is_standby: false,
            now,
            standbys: (0, 1),
            nodes: 2,
        };
        let bad = |facts: ServerFacts| {
            of_server(&ground, &facts).into_iter().filter(|one| one.fix.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(bad(well.clone()), []);
        let off = || "off".to_owned();
        for (facts, words) in [
            (ServerFacts { number: 120_000, ..well.clone() }, "no longer maintained"),
            (ServerFacts { fsync: off(), ..well.clone() }, "fsync = off"),
            (ServerFacts { full_page_writes: off(), ..well.clone() }, "full_page_writes = off"),
            (ServerFacts { synchronous_commit: off(), ..well.clone() }, "synchronous_commit"),
            (ServerFacts { is_standby: true, ..well.clone() }, "standby"),
            (ServerFacts { standbys: (1, 0), ..well.clone() }, "some time later"),
            (ServerFacts { max_connections: 20, ..well.clone() }, "2 nodes want up to 26"),
            (ServerFacts { now: now.plus(Millis::HOUR), ..well }, "1 hour apart"),
        ] {
            let found = bad(facts);
            assert!(found.len() == 1 && found[0].text.contains(words), "{words}: {found:?}");
        }
    }
}
