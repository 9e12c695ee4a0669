//! The summaries against what lies beneath them, as `tallybox rebuild` counts it.

use super::recount::Noise;
use super::*;

on_both_backends! {
    summaries_are_what_lies_beneath_them,
    a_damaged_summary_is_told_and_mended,
}

/// Late, repeated and reordered events of many kinds, in a zone of half hours: nothing differs on any day.
fn summaries_are_what_lies_beneath_them(backend: Backend) {
    let mut noise = Noise(7);
    let mut bench = Bench::new(backend);
    let app = bench.app("Asia/Kolkata");
    let scope = bench.scope(&app, 0);
    let mut events: Vec<_> = (0..800).map(|_| event(&mut noise)).collect();
    events.extend_from_within(..200);
    for i in (1..events.len()).rev() {
        events.swap(i, noise.below(i as u64 + 1) as usize);
    }
    for (number, batch) in events.chunks(61).enumerate() {
        bench.send(&scope, batch).unwrap();
        if number == 5 {
            bench.reopen();
        }
    }
    assert_eq!(all(&bench, &scope, &app), []);
}

fn a_damaged_summary_is_told_and_mended(backend: Backend) {
    let mut noise = Noise(8);
    let bench = Bench::new(backend);
    let app = bench.app("Europe/Zurich");
    let scope = bench.scope(&app, 0);
    let events: Vec<_> = (0..100).map(|_| event(&mut noise)).collect();
    bench.send(&scope, &events).unwrap();
    let rows = bench.database.count("SELECT count(*) FROM rollup_hours");
    bench.database.alter(
        "UPDATE rollup_hours SET events = events + 3 WHERE dimension = 0 AND value = 0 AND bucket = \
         (SELECT min(bucket) FROM rollup_hours WHERE dimension = 0); DELETE FROM rollup_days WHERE dimension = 2",
    );
    let told = all(&bench, &scope, &app);
    let hours: Vec<_> = told.iter().filter(|row| row.table == SummaryTable::Hours).collect();
    let [hour] = hours[..] else { panic!("{told:?}") };
    assert_eq!(hour.stored.events, hour.counted.events + 3);
    assert!(told.len() > 1, "the missing rows of the days are told as well");
    let mended: usize =
        days(&bench, &scope).map(|day| bench.store.mend(&asked(&scope, &app, day)).unwrap().len()).sum();
    assert_eq!(mended, told.len());
    assert_eq!(all(&bench, &scope, &app), []);
    assert_eq!(bench.database.count("SELECT count(*) FROM rollup_hours"), rows);
}

fn event(noise: &mut Noise) -> Sent {
    let user = noise.below(30);
    Sent {
        at: NOW.plus(-(noise.below(5 * 24 * 60) as i64) * Millis::MINUTE),
        name: ["opened", "saved", "error", "crash"][noise.below(4) as usize].to_owned(),
        user: (user > 0).then(|| format!("u{user}")),
        session: (noise.below(3) > 0).then(|| format!("s{user}-{}", noise.below(5))),
        version: ["1.0", "1.1", "2.0"][noise.below(3) as usize],
        ..Sent::new("")
    }
}

fn days(bench: &Bench, scope: &Scope) -> std::ops::RangeInclusive<i64> {
    let (first, last) = bench.store.summary_days(scope.environment).unwrap().unwrap();
    first..=last
}

fn asked(scope: &Scope, app: &App, day: i64) -> Recount {
    Recount { environment: scope.environment, zone: app.zone.clone(), day }
}

fn all(bench: &Bench, scope: &Scope, app: &App) -> Vec<SummaryDifference> {
    days(bench, scope).flat_map(|day| bench.store.recount(&asked(scope, app, day)).unwrap()).collect()
}
