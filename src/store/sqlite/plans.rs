//! How SQLite goes about the statements of the scan: by which index it finds the events.

use std::cell::RefCell;
use std::ops::ControlFlow;

use super::*;
use crate::model::{Dimension, EnvironmentId, EventsPage, Fact, Filters, Keep, Millis, TimeRange};
use crate::store::report;
use crate::store::scan::{Beside, Key, Of, Scope, Sieve, fact_sets, scan, scan_listed, scan_unlisted};
use crate::store::settled::{self, Tell, Wanted};
use crate::store::sql::{Cell, Line, Row};

/// Notes the plan of each statement before it runs it.
struct Planner<'a> {
    db: &'a dyn Sql,
    plans: RefCell<Vec<String>>,
}

impl Planner<'_> {
    fn note(&self, sql: &str, params: &[Cell]) -> Result<()> {
        let steps = self.db.rows(&["EXPLAIN QUERY PLAN ", sql].concat(), params)?;
        self.plans.borrow_mut().push(steps.iter().map(|row| row.text(3) + "\n").collect());
        Ok(())
    }
}

impl Sql for Planner<'_> {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        self.note(sql, params)?;
        self.db.rows(sql, params)
    }

    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
        self.note(sql, params)?;
        self.db.stream(sql, params, visit)
    }

    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        self.db.run(sql, params)
    }
}

fn plans(read: impl Fn(&dyn Sql) -> Result<()>) -> String {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("test.db"), Options::default()).unwrap();
    let app = "PRAGMA foreign_keys = OFF;
               INSERT INTO environments (id, app_id, slug) VALUES (1, 1, 'production');
               INSERT INTO strings (app_id, kind, text) VALUES (1, 'event', 'opened'), (1, 'error', 'Torn');
               INSERT INTO facts (id, app_id, digest) VALUES (1, 1, x'00');
               WITH RECURSIVE n (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM n WHERE at < 999)
               INSERT INTO events (env_id, claimed_at, event_id, skew, delay, name_id, facts_id)
               SELECT 1, at, randomblob(16), 0, 0, 1, 1 FROM n;
               INSERT INTO rollup_hours (env_id, dimension, bucket, value, events, sessions, users, day_users, new_users)
               VALUES (1, 0, 0, 0, 1000, 0, 0, 0, 0)";
    store.writer.lock().conn.execute_batch(app).unwrap();
    store
        .read(|db| {
            let planner = Planner { db, plans: RefCell::default() };
            read(&planner)?;
            Ok(planner.plans.into_inner().concat())
        })
        .unwrap()
}

#[test]
fn a_scan_goes_by_time_and_by_the_index_of_wrong_clocks() {
    let filters = |dimension, value: Option<&str>| Filters::none().with(dimension, Keep::Is, value.map(Into::into));
    let facts = Dimension::Fact(Fact::Version);
    for (filters, near) in [
        (Filters::none(), "events_once"),
        (filters(Dimension::Event, Some("opened")), "events_once"),
        (filters(facts, None), "events_once"),
        (filters(Dimension::Error, Some("Torn")), "events_errors"),
        (filters(Dimension::Prop("plan".into()), None), "events_once"),
    ] {
        let range = TimeRange { from: Millis(0), to: Millis(10_000) };
        let plans = plans(|db| {
            let sieve = Sieve::of(db, EnvironmentId(1), &filters)?;
            scan(db, EnvironmentId(1), range, &sieve, &mut |_| ControlFlow::Continue(()))
        });
        let near = format!("SEARCH events USING INDEX {near} (env_id=? AND claimed_at>? AND claimed_at<?)");
        let far = "SEARCH events USING INDEX events_skewed (env_id=? AND <expr>>? AND <expr><?)";
        assert!(plans.contains(&near) && plans.contains(far), "{filters:?}\n{plans}");
    }
}

#[test]
fn sets_of_facts_are_read_in_the_order_of_their_rows() {
    let plans = plans(|db| fact_sets(db, EnvironmentId(1), &[Fact::Version], &mut |_, _| ()));
    assert!(plans.contains("SEARCH f USING INDEX facts_app (app_id=?)") && !plans.contains("B-TREE"), "{plans}");
}

#[test]
fn what_is_listed_beside_a_settled_day_is_found_by_its_key() {
    let range = TimeRange { from: Millis(0), to: Millis(10_000) };
    let sieve = Sieve::default();
    let scope = Scope { environment: EnvironmentId(1), range, sieve: &sieve };
    let listed =
        plans(|db| scan_listed(db, scope, (&[0, 1], Beside::Props), &mut |_| ControlFlow::Continue(())).map(|_| ()));
    let list = "SEARCH l USING PRIMARY KEY (env_id=? AND day=?)";
    let row = "SEARCH e USING INDEX events_once (env_id=? AND claimed_at=? AND event_id=?)";
    assert!(listed.contains(list) && listed.contains(row), "{listed}");
    let others =
        plans(|db| scan_unlisted(db, (EnvironmentId(1), range), (0, Some(7)), &mut |_| ControlFlow::Continue(())));
    let list = "SEARCH l USING PRIMARY KEY (env_id=? AND day=? AND claimed=? AND event=?)";
    let near = "SEARCH events USING INDEX events_once (env_id=? AND claimed_at>? AND claimed_at<?)";
    assert!(others.contains(list) && others.contains(near), "{others}");
}

#[test]
fn what_a_day_comes_to_is_found_by_its_key() {
    let range = TimeRange { from: Millis(0), to: Millis(10 * Millis::DAY) };
    let (sieve, key) = (Sieve::default(), Key::of(&"plan".into()));
    let scope = Scope { environment: EnvironmentId(1), range, sieve: &sieve };
    let told = |of: Of<'_>| {
        let wanted = Wanted { of, tell: Tell::People, takes: &|_| true };
        plans(|db| settled::told(db, scope, wanted, &mut |_, _| ControlFlow::Continue(())).map(|_| ()))
    };
    let days = "SEARCH d USING PRIMARY KEY (env_id=? AND day>? AND day<?)";
    let row = |alias: &str| {
        format!(
            "SEARCH {alias} USING INDEX settled_columns_part (env_id=? AND day=? AND token=? AND prop=? AND part=?)"
        )
    };
    for (of, bodies) in [(Of::Prop(&key), &["a", "o", "p", "w"][..]), (Of::Fact(Fact::Version), &["o", "p"])] {
        let plans = told(of);
        assert!(plans.contains(days) && bodies.iter().all(|alias| plans.contains(&row(alias))), "{plans}");
    }
}

#[test]
fn what_a_day_comes_to_by_every_property_is_found_without_its_columns() {
    let range = TimeRange { from: Millis(5), to: Millis(10 * Millis::DAY) };
    let sieve = Sieve::default();
    let scope = Scope { environment: EnvironmentId(1), range, sieve: &sieve };
    let plans = plans(|db| settled::every(db, scope, &mut |_, _, _| ControlFlow::Continue(())).map(|_| ()));
    for step in [
        "SEARCH d USING PRIMARY KEY (env_id=? AND day>? AND day<?)",
        "SEARCH c USING INDEX settled_columns_part (env_id=? AND day=? AND token=?)",
        "SEARCH e USING INDEX settled_events_part (env_id=? AND day=?)",
    ] {
        assert!(plans.contains(step), "{step} in {plans}");
    }
}

#[test]
fn lengths_of_sessions_of_a_day_are_found_by_their_fact() {
    let range = TimeRange { from: Millis(0), to: Millis(10 * Millis::DAY) };
    let by: (Fact, &dyn Fn(TimeRange) -> bool) = (Fact::Version, &|_| true);
    let plans = plans(|db| settled::lengths(db, (EnvironmentId(1), range), by, &mut |_, _| {}).map(|_| ()));
    let days = "SEARCH d USING PRIMARY KEY (env_id=? AND day>? AND day<?)";
    let row = "SEARCH l USING INDEX settled_lengths_fact (env_id=? AND day=? AND fact=?)";
    assert!(plans.contains(days) && plans.contains(row), "{plans}");
}

#[test]
fn events_of_a_page_are_found_by_their_key() {
    let page =
        EventsPage { environment: EnvironmentId(1), filters: Filters::none(), since: None, after: None, limit: 50 };
    let plans = plans(|db| {
        let list = report::events(db, &page)?;
        assert_eq!(list.rows.len(), 50);
        Ok(())
    });
    let found = "SEARCH e USING INDEX events_once (env_id=? AND claimed_at=? AND event_id=?)";
    assert!(plans.contains(found) && !plans.contains("SCAN e"), "{plans}");
}
