//! Goal R4: the disk fills up and gets room again, while eight clients send.

use std::fs;
use std::time::{Duration, Instant};

use super::disk::{Disk, can_mount, fill};
use super::load::{Load, Shape};
use super::oracle;
use crate::harness::kit::{self, Credentials};
use crate::harness::{Server, alone, poll};

const CYCLES: usize = 3;
/// What the events of one cycle may take.
const ROOM: u64 = 7 << 20;

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    if !can_mount("full disk") {
        return;
    }
    let _alone = alone();
    let disk = Disk::memory(32);
    let junk = disk.path().join("junk");
    let mut server = Server::with()
        .data_dir(&disk.path().join("box"))
        .setting("TALLYBOX_DISK_FLOOR_BYTES", 2 << 20)
        .setting("TALLYBOX_DISK_BALLAST_BYTES", 1 << 20)
        .start();
    let credentials = server.app("Drill");
    let mut load = Load::new(0x7a11_0004, server.home(), &credentials, Shape { events: 10, padding: 2_000 });
    for cycle in 1..=CYCLES {
        fill(&junk, ROOM);
        let address = server.address();
        let tally = load.run(address, |progress| {
            progress.await_acked(20);
            await_refusal(&server, &credentials);
            server.turns(503, Instant::now(), "the first refusal of a full disk");
        });
        assert!(tally.acked > 0, "cycle {cycle} stored nothing");
        for refusal in &tally.refusals {
            assert_eq!((refusal.status, refusal.json()["error"].as_str()), (503, Some("storage_full")));
            assert!(refusal.header("retry-after").is_some(), "{:?}", refusal.headers);
        }
        fill(&junk, 0);
        assert_reads_work(&server, &credentials);
        server.crash();
        fill(&junk, 0);
        server.launch();
        assert_reads_work(&server, &credentials);
        await_refusal(&server, &credentials);
        fs::remove_file(&junk).unwrap();
        let begun = Instant::now();
        server.turns(200, begun, "room on the disk");
        poll::until(Duration::from_secs(10), "acceptance after space came back", || {
            let body = kit::batch(&[kit::event("after")]);
            (server.send(&credentials.sdk(&body)).status == 200).then_some(())
        });
        println!("cycle {cycle}: {} acked, accepting again after {:?}", tally.acked, begun.elapsed());
        assert!(begun.elapsed() <= Duration::from_secs(5), "{:?}", begun.elapsed());
        load.settle(server.address());
    }
    assert!(server.stop().success());
    let findings = oracle::examine(server.database(), &load.ledger);
    assert_eq!(findings.lost.len() + findings.repeated.len(), 0, "{findings:?}");
    assert!(findings.contradictions.is_empty(), "{:?}", findings.contradictions);
}

/// Sends until the answer is the refusal that a full disk is meant to give.
fn await_refusal(server: &Server, credentials: &Credentials) {
    poll::until(Duration::from_secs(20), "refusal", || {
        let reply = server.send(&credentials.sdk(&kit::batch(&[kit::event("probe")])));
        (reply.status == 503 && reply.json()["error"] == "storage_full").then_some(())
    });
}

fn assert_reads_work(server: &Server, credentials: &Credentials) {
    let cookie = server.sign_in();
    let overview = server.page(&format!("/apps/{}", credentials.slug), &cookie);
    assert_eq!(overview.status, 200, "{}", overview.text());
    assert_eq!(server.get("/health/live").status, 200);
    server.await_status("/health/ready", 503); // it looks at the store once a second
}
