//! Goal R12: backups made under load hold everything that was acknowledged before they began, and nothing that was never
//! sent. And a disk that has no room for one.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use uuid::Uuid;

use super::disk::{Disk, can_mount, fill};
use super::ledger::State;
use super::load::{Load, Shape};
use super::oracle;
use crate::harness::kit;
use crate::harness::{Database, Server, alone};

const BACKUPS: u64 = 2;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn backups_under_load_hold_all_that_was_acknowledged_before() {
    let _alone = alone();
    let server = Server::start();
    let credentials = server.app("Drill");
    let mut load = Load::new(0x7a11_0012, server.home(), &credentials, Shape { events: 20, padding: 200 });
    let shelf = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    let tally = load.run(server.address(), |progress| {
        for number in 1..=BACKUPS {
            progress.await_acked(3_000 * number);
            let before: HashSet<Uuid> = acked(&progress.states()).collect();
            let (place, begun) = (shelf.path().join(number.to_string()), Instant::now());
            server.run(&["backup", text(&place)]);
            println!("backup {number}: {:?}", begun.elapsed());
            // What is sent behind its end cannot be in it.
            made.push((place, before, progress.states()));
        }
    });
    assert!(tally.refusals.is_empty() && tally.unanswered == 0, "a backup was noticed: {:?}", tally.refusals.first());
    let rate = tally.acked as f64 / tally.elapsed.as_secs_f64();
    println!("{} events, {rate:.0} events/s, slowest answer {:?}", tally.acked, tally.slowest);
    for (place, before, sent) in made {
        let folder = fs::read_dir(&place).unwrap().next().unwrap().unwrap().path();
        let there = tempfile::tempdir().unwrap();
        server.run(&["restore", text(&folder), "--data-dir", text(there.path())]);
        let restored = Database::Sqlite(there.path().join("tallybox.db"));
        let ids = restored.sql("SELECT hex(event_id) FROM events");
        let ids: HashSet<Uuid> = ids.lines().map(|line| Uuid::try_parse(line).unwrap()).collect();
        let (missing, strange) =
            (before.difference(&ids).count(), ids.iter().filter(|id| !sent.contains_key(id)).count());
        assert_eq!((missing, strange), (0, 0), "missing and never sent, of {}", ids.len());
        assert_eq!(oracle::contradictions(&restored), Vec::<String>::new());
    }
}

fn acked(states: &std::collections::HashMap<Uuid, State>) -> impl Iterator<Item = Uuid> {
    states.iter().filter(|(_, state)| **state == State::Acked).map(|(id, _)| *id)
}

#[test]
fn a_disk_without_room_for_a_backup_keeps_the_old_ones_and_the_server_goes_on() {
    if !can_mount("full disk of backups") {
        return;
    }
    let disk = Disk::memory(32);
    let (shelf, junk) = (disk.path().join("backups"), disk.path().join("junk"));
    let server = Server::start();
    let credentials = server.app("Drill");
    let key = server.home().join("backup.key");
    server.run(&["backup", "--make-key", text(&key)]);
    server.accept(&credentials, &[kit::event("opened")]);
    server.run(&["backup", text(&shelf)]);
    let old = fs::read_dir(&shelf).unwrap().next().unwrap().unwrap().path();
    // Plain, where room is looked for before; sealed, where the disk fills up on the way.
    let sealed = key.to_str().unwrap();
    for (settings, said) in [
        (&[][..], "there is too little room"),
        (&[("TALLYBOX_BACKUP_KEY_FILE", sealed)][..], "No space left on device"),
    ] {
        fill(&junk, 64 << 10);
        let output = server.command(&["backup", text(&shelf)]).envs(settings.iter().copied()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(said), "{told}");
        let left: Vec<_> = fs::read_dir(&shelf).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left == std::slice::from_ref(&old), "half a backup stays: {left:?}");
        server.accept(&credentials, &[kit::event("meanwhile")]);
    }
    assert!(server.run(&["verify", text(&old)]).contains("The backup is whole."));
    fs::remove_file(&junk).unwrap();
    server.run(&["backup", text(&shelf)]);
    assert_eq!(fs::read_dir(&shelf).unwrap().count(), 2);
}
