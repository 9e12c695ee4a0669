//! What is listed beside settled days: with it they hold, whatever comes and whoever dies.

use super::settled::{World, counted};
use super::*;

on_both_backends! {
    a_day_to_which_much_comes_is_settled_again_at_once_or_holds_no_longer,
    whoever_dies_at_a_day_that_holds_leaves_it_as_it_is,
    a_list_that_an_older_version_has_left_behind_counts_nothing,
}

fn a_day_to_which_much_comes_is_settled_again_at_once_or_holds_no_longer(backend: Backend) {
    let world = World::new(backend, "Europe/Zurich");
    let mut events = world.fill(4);
    world.bench.settle(0);
    let days = world.days(2);
    let many = |count: i64, ago: i64| -> Vec<Sent> {
        let at = |n: i64| NOW.plus(-ago * Millis::DAY + n);
        (0..count).map(|n| Sent { at: at(n), user: Some(format!("m{}", n % 9)), ..Sent::new("e1") }).collect()
    };
    let check = |events: &[Sent]| {
        for (from, to) in [(5, -1), (2, 1), (1, -1)] {
            let period = world.period(from, to);
            assert_eq!(world.looked(period).unwrap(), counted(events, period), "{from} to {to}");
        }
    };
    let mut send = |batch: Vec<Sent>| {
        world.bench.send(&world.scope, &batch).unwrap();
        events.extend(batch);
        check(&events);
    };
    let first = many(1_000, 2);
    send(first.clone());
    world.bench.send(&world.scope, &first).unwrap();
    send(Vec::new());
    assert_eq!((world.days(3), world.listed()), (1, 1_000), "repeated, they are no more");
    world.bench.settle(0);
    assert_eq!(world.listed(), 1_000, "and not so many yet");
    send(many(1, 2));
    world.bench.settle(0);
    assert_eq!((world.days(2), world.listed()), (days, 0));
    send(many(1, 1));
    assert_eq!(world.days(0), 0);
    let full = "UPDATE settled_days SET state = 3, late = 10004 WHERE events BETWEEN 64 AND 79";
    world.bench.database.alter(full);
    send(many(1, 3));
    assert_eq!(world.days(0), 1, "there is no room for more");
    world.bench.settle(0);
    world.bench.settle(2);
    assert_eq!((world.days(2), world.listed()), (days, 0));
    send(many(1_001, 1));
    assert_eq!((world.days(0), world.listed()), (1, 0), "so many at once");
    world.bench.settle(4);
    assert_eq!(world.days(2), days);
    send(Vec::new());
}

fn whoever_dies_at_a_day_that_holds_leaves_it_as_it_is(backend: Backend) {
    let world = World::new(backend, "UTC");
    let mut events = world.fill(6);
    world.bench.settle(0);
    let days = world.days(2);
    let late = |n: i64| Sent { at: NOW.plus(-n * 17 * Millis::HOUR), ..Sent::new("e2") };
    let mut send = |n: i64| {
        world.bench.send(&world.scope, &[late(n)]).unwrap();
        events.push(late(n));
        for (from, to) in [(6, -1), (3, 1)] {
            let period = world.period(from, to);
            assert_eq!(world.looked(period).unwrap(), counted(&events, period), "{from} to {to}");
        }
    };
    (0..7).for_each(&mut send);
    let listed = world.days(3);
    assert!(listed > 3 && world.listed() == 7);
    // It had begun to settle all of them again, and some were never made.
    let today = NOW.0.div_euclid(Millis::DAY);
    world.bench.database.alter(&format!(
        "UPDATE settled_days SET work = 7, at = {at}; \
         UPDATE settled_days SET state = 4, token = 7 WHERE day = {}; \
         INSERT INTO settled_events SELECT env_id, day, name_id, failed, 7, part, first_at, last_at, events, body \
         FROM settled_events",
        today - 3,
        at = NOW.0
    ));
    (7..9).for_each(&mut send);
    world.bench.settle(0);
    assert_eq!((world.days(4), world.listed()), (1, 9), "whoever it is may still be at it");
    world.bench.settle(2);
    assert_eq!((world.days(2), world.listed()), (days, 0));
    let others = "SELECT count(*) FROM settled_events WHERE token = 7";
    assert_eq!(world.bench.database.count(others), 0);
    send(9);
    assert!((0..8).all(|ago| world.bench.store.settled_holds(world.scope.environment, today - ago).unwrap()));
}

fn a_list_that_an_older_version_has_left_behind_counts_nothing(backend: Backend) {
    let world = World::new(backend, "UTC");
    let mut events = world.fill(4);
    world.bench.settle(0);
    world.bench.database.alter(
        "INSERT INTO settled_late (env_id, day, claimed, event, during) \
         SELECT env_id, claimed_at / 86400000, claimed_at, event_id, 0 FROM events; \
         UPDATE settled_days SET late = 7, work = 7",
    );
    let period = world.period(5, -1);
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
    let late: Vec<_> = (0..4).map(|ago| Sent { at: NOW.plus(-ago * Millis::DAY), ..Sent::new("e1") }).collect();
    world.bench.send(&world.scope, &late).unwrap();
    events.extend(late);
    assert_eq!(
        (world.days(3), world.bench.database.count("SELECT sum(late) FROM settled_days WHERE state = 3")),
        (4, 4)
    );
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
    world.bench.settle(2);
    assert_eq!(world.looked(period).unwrap(), counted(&events, period));
    if backend == Backend::Postgres {
        // Its commits say how many events have come, but not which.
        let (days, today) = (world.days(2), NOW.0.div_euclid(Millis::DAY));
        world.bench.database.alter(&format!(
            "SELECT commit_add_days(ARRAY[env_id], ARRAY[0::bigint], ARRAY[{}::bigint], ARRAY[0::bigint], ARRAY[1::bigint], {}) \
             FROM settled_days WHERE day = {today}",
            today * 96,
            ["ARRAY[0::bigint]"; 7].join(", ")
        ));
        assert_eq!((world.days(0), world.days(2)), (1, days - 1));
    }
}
