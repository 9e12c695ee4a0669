//! Goal R10: everybody who may be at a SQLite file is at it together, while eight clients send.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::load::{Load, Shape};
use super::oracle;
use crate::harness::{Server, alone};

const SEED: u64 = 0x7a11_0010;
/// How often each of the others has to come to its end.
const ROUNDS: u64 = 3;

#[test]
fn backups_the_doctor_other_programs_and_a_checkpointer_refuse_nobody_and_lose_nothing() {
    let _alone = alone();
    let server = Server::start();
    let credentials = server.app("Drill");
    let mut load = Load::new(SEED, server.home(), &credentials, Shape { events: 20, padding: 20 });
    let over = AtomicBool::new(false);
    let mut checkpoints = 0_u64;
    let backup = || _ = server.run(&["backup"]);
    let doctor = || {
        let output = server.command(&["doctor", "--json", "--deep"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let damage = told["checks"].as_array().unwrap().iter().find(|one| one["check"] == "damage");
        assert_eq!(damage.expect("it was looked for")["level"], "ok", "{told}");
    };
    let reader = || {
        let [events, days] =
            ["events", "rollup_days"].map(|name| server.count(&format!("SELECT count(*) FROM {name}")));
        assert!(events > 0 && days > 0, "{events} {days}");
    };
    let others: [&(dyn Fn() + Sync); 3] = [&backup, &doctor, &reader];
    let tally = load.run(server.address(), |progress| {
        progress.await_acked(200);
        checkpoints = std::thread::scope(|scope| {
            let checkpointer = scope.spawn(|| checkpoint(&server, &over));
            let others = others.map(|other| scope.spawn(move || (0..ROUNDS).for_each(|_| other())));
            let ended = others.map(std::thread::ScopedJoinHandle::join);
            over.store(true, Ordering::Relaxed);
            ended.into_iter().for_each(|ended| ended.unwrap());
            checkpointer.join().unwrap()
        });
    });
    println!(
        "{} events taken, {checkpoints} checkpoints from outside, slowest answer {:?}",
        tally.acked, tally.slowest
    );
    assert!(tally.refusals.is_empty() && tally.unanswered == 0, "{:?}, {}", tally.refusals, tally.unanswered);
    assert!(checkpoints > 0, "none came to its end");
    let findings = oracle::examine(server.database(), &load.ledger);
    findings.assert_sound();
    assert_eq!(findings.unknown, 0);
    assert_eq!(server.database().damage(), "");
    let backups = std::fs::read_dir(server.data().join("backups")).unwrap().count();
    assert_eq!(u64::try_from(backups).unwrap(), ROUNDS);
    let newest = std::fs::read_dir(server.data().join("backups")).unwrap().map(|entry| entry.unwrap().path()).max();
    server.run(&["verify", newest.unwrap().to_str().unwrap()]);
}

/// Writes the log back from outside, as programs do that know nothing better; how often it was whole. It is no program
/// that loses pages by this: see `check_engine`.
fn checkpoint(server: &Server, over: &AtomicBool) -> u64 {
    let conn = rusqlite::Connection::open(server.data().join("tallybox.db")).unwrap();
    conn.busy_timeout(Duration::from_secs(1)).unwrap();
    let mut whole = 0;
    while !over.load(Ordering::Relaxed) {
        for kind in ["PASSIVE", "TRUNCATE"] {
            // Told as busy where others read what it would take away: that is no fault of theirs.
            let busy = conn.query_row(&format!("PRAGMA wal_checkpoint({kind})"), [], |row| row.get::<_, i64>(0));
            whole += u64::from(busy == Ok(0));
        }
    }
    whole
}
