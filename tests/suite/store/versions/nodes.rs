//! Rules that change on one node while another hears of a version for the first time.

use super::*;
use crate::harness::backend::on_postgres_alone;
use crate::harness::poll;
use crate::store::identify::claim;

on_postgres_alone! {
    a_version_is_born_under_the_rules_that_are_being_set,
    a_version_that_is_being_born_is_moved_by_the_rules_after_it,
    known_versions_wait_for_no_rule,
}

const PATIENCE: Duration = Duration::from_secs(3);

/// The rules that are tried: for all platforms, and for that of [`claim`].
const PLATFORMS: [Option<Platform>; 2] = [None, Some(Platform::Ios)];

/// How many sessions wait for a lock that another one has.
fn waiting(bench: &Bench) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    bench.database.count(sql)
}

/// Sets a rule on one node and identifies on another. Whoever is first is held up before its commit, until the second
/// waits too or has come through.
fn one_after_the_other(table: &str, first: impl FnOnce() + Send, second: impl FnOnce() + Send, bench: &Bench) {
    let Database::Postgres(database) = &bench.database else { unreachable!("only PostgreSQL has nodes") };
    let held = database.hold(&format!("LOCK TABLE {table} IN SHARE MODE"));
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        poll::until(PATIENCE, "wait of the first", || (waiting(bench) == 1 || first.is_finished()).then_some(()));
        assert!(!first.is_finished(), "nothing holds it up");
        let second = scope.spawn(second);
        poll::until(PATIENCE, "wait of the second", || (waiting(bench) == 2 || second.is_finished()).then_some(()));
        drop(held);
    });
}

fn a_version_is_born_under_the_rules_that_are_being_set() {
    let bench = Bench::new(Backend::Postgres);
    let other = open(&bench.database).unwrap();
    for platform in PLATFORMS {
        let app = bench.app("UTC");
        let scope = bench.scope(&app, 0);
        let set = || _ = other.set_version_rule(&rule_of(&app, platform, Some("2.0"))).unwrap();
        let identify = || {
            let told = bench.identify(&scope, 0, &claim("a")).version.status;
            assert_eq!(told, VersionStatus::UpdateRequired, "{platform:?}");
        };
        one_after_the_other("audit", set, identify, &bench);
        assert_ruled(&bench, &app, platform);
    }
}

fn a_version_that_is_being_born_is_moved_by_the_rules_after_it() {
    let bench = Bench::new(Backend::Postgres);
    let other = open(&bench.database).unwrap();
    for platform in PLATFORMS {
        let app = bench.app("UTC");
        let scope = bench.scope(&app, 0);
        let identify = || {
            let told = bench.identify(&scope, 0, &claim("a")).version.status;
            assert_eq!(told, VersionStatus::Supported, "{platform:?}");
        };
        let set = || assert_eq!(other.set_version_rule(&rule_of(&app, platform, Some("2.0"))).unwrap().len(), 1);
        one_after_the_other("devices", identify, set, &bench);
        assert_ruled(&bench, &app, platform);
    }
}

fn known_versions_wait_for_no_rule() {
    let mut bench = Bench::new(Backend::Postgres);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    bench.identify(&scope, 0, &claim("a"));
    bench.reopen(); // forgets which rows there are
    let Database::Postgres(database) = &bench.database else { unreachable!("only PostgreSQL has nodes") };
    let held = database.hold("UPDATE directory SET version = version + 1");
    bench.identify(&scope, 1, &claim("a"));
    bench.identify(&scope, 1, &claim("b"));
    drop(held);
}

/// What the rule asks for stands on the version, or on its build, and is told.
fn assert_ruled(bench: &Bench, app: &App, platform: Option<Platform>) {
    let found = bench.found(app, "1.2.3");
    let ruled = if platform.is_some() { &found.builds[0].judged } else { &found.version.judged };
    assert_eq!(ruled.status, VersionStatus::UpdateRequired, "{platform:?}");
    let told = bench.identify(&bench.scope(app, 0), 1, &claim("b")).version.status;
    assert_eq!(told, VersionStatus::UpdateRequired, "{platform:?}");
}
