//! How jobs are told: on the status page, at `/metrics`, by the verb.

use serde_json::Value;

use super::*;
use crate::harness::Server;

on_both_backends! {
    jobs_are_told_and_done_when_somebody_wants_them_done,
}

fn jobs_are_told_and_done_when_somebody_wants_them_done(backend: Backend) {
    let server = Server::over(backend);
    let cookie = server.sign_in();
    let json = || server.page("/box.json", &cookie).expect(200).json()["jobs"].as_array().unwrap().clone();
    let told = poll::until(PATIENCE, "jobs", || {
        let told = json();
        told.iter().filter(|job| job["off"].is_null()).all(|job| job["ended_at"].is_string()).then_some(told)
    });
    let of = |told: &[Value], name: &str| told.iter().find(|job| job["name"] == name).unwrap().clone();
    let settle = of(&told, "settle");
    assert_eq!((&settle["result"], &settle["failures"]), (&"all that is over is settled".into(), &0.into()));
    assert_eq!((&settle["overdue"], &settle["scope"]), (&false.into(), &"every_node".into()));
    assert!(of(&told, "backup")["off"].as_str().unwrap().contains("backup_dir"));
    let page = server.page("/box", &cookie).expect(200).text();
    for part in ["Jobs", "all that is over is settled", "every minute on every node", "backup_dir", "off"] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    let figures = server.get("/metrics").text();
    for figure in ["tallybox_job_failures{job=\"settle\"} 0", "tallybox_job_overdue{job=\"erase\"} 0"] {
        assert!(figures.contains(figure), "no {figure} in {figures}");
    }

    assert_eq!(server.run(&["jobs", "run", "settle"]).trim(), "all that is over is settled");
    let refused = |job: &str, why: &str| {
        let output = server.try_run(&["jobs", "run", job], "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    refused("backup", "backup_dir");
    refused("nonsense", "settle, erase");
    let line = |name: &str| {
        let list = server.run(&["jobs"]);
        list.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {list}")).to_owned()
    };
    assert!(line("settle").contains("all that is over is settled") && !line("settle").contains("overdue"));
    assert!(line("backup").contains("never done"));
    server.database().alter("UPDATE jobs SET next_at = 1, failures = 3 WHERE name = 'settle'");
    assert!(line("settle").contains("overdue") && line("settle").contains("failed 3 times: all"), "{}", line("settle"));
}

#[test]
fn a_run_that_was_missed_is_caught_up_after_a_start() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("backups");
    let mut server = Server::with().setting("TALLYBOX_BACKUP_DIR", folder.display()).start();
    let copies = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
    let done = |fence: i64| {
        let ended = format!("SELECT count(*) FROM jobs WHERE name = 'backup' AND fence = {fence} AND holder IS NULL");
        poll::until(PATIENCE, "backup", || (server.count(&ended) == 1).then_some(()));
    };
    done(1);
    assert_eq!(copies(), 1);
    let told = server.run(&["jobs", "run", "backup"]);
    assert!(told.starts_with("the newest is of ") && copies() == 1, "{told}");
    server.stop();
    std::fs::remove_dir_all(&folder).unwrap();
    server.database().alter("UPDATE jobs SET next_at = 1 WHERE name = 'backup'");
    server.restart();
    poll::until(PATIENCE, "backup that was missed", || (copies() == 1).then_some(()));
}
