//! What is too old goes, on its own terms for each environment, and what was counted stays.

use tallybox::depot::Depot;
use tallybox::pruning::{self, Archive, Clearance, Guard, Parcel, Pruner, lay, manifests};

use super::recount::Noise;
use super::*;

on_both_backends! {
    summaries_are_the_same_before_and_after,
    each_environment_keeps_things_as_long_as_it_chose,
    what_is_brought_back_to_be_kept_longer_stays,
    an_event_of_before_what_is_gone_is_refused_however_long_events_are_kept,
    a_clock_that_jumps_deletes_nothing_until_somebody_confirms_it,
    the_first_deletion_is_asked_about,
    nothing_goes_that_is_not_in_the_archive,
}

const DAY: i64 = Millis::DAY;

impl Bench {
    /// Deletes all that may go so many days from now.
    fn prune(&self, days: i64) -> u64 {
        let mut pruner = Pruner::new(self.store.clone());
        let mut rows = 0;
        for _ in 0..1_000 {
            let done = pruner.step(NOW.plus(days * DAY)).unwrap();
            rows += done.removed.values().sum::<u64>();
            if !done.more {
                return rows;
            }
        }
        panic!("it is never done");
    }

    fn choose(&self, scope: &Scope, kinds: &[(Kept, Option<u32>)]) {
        let choice = Choice { app: scope.app.id, environments: vec![scope.environment], kinds: kinds.to_vec() };
        self.store.choose_keeping(&choice, &By::command_line(NOW)).unwrap();
    }

    fn many(&self, what: &str) -> i64 {
        self.database.count(&format!("SELECT count(*) FROM {what}"))
    }

    /// All that is counted, as text.
    fn summaries(&self) -> String {
        ["rollup_hours", "rollup_days"]
            .map(|table| self.database.sql(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3, 4")))
            .concat()
            + &self.database.sql("SELECT * FROM intake_days ORDER BY 1, 2, 3")
            + &self.database.sql("SELECT env_id, day, user_id, hours, crashes FROM user_days ORDER BY 1, 2, 3")
    }
}

/// Of many days, with sessions that last over midnight, clocks that are off, and somebody who is nobody.
fn history(noise: &mut Noise, days: u64, events: usize) -> Vec<Sent> {
    let event = |_| {
        let user = noise.below(25);
        let at = NOW.plus(-((noise.below(days * 24 * 60)) as i64) * Millis::MINUTE);
        Sent {
            at,
            name: ["opened", "saved", "error", "crash"][noise.below(4) as usize].to_owned(),
            user: (user > 0).then(|| format!("u{user}")),
            session: (noise.below(4) > 0).then(|| format!("s{user}-{}", at.0 / (3 * DAY))),
            version: ["1.0", "2.0"][noise.below(2) as usize],
            ..Sent::new("")
        }
    };
    (0..events).map(event).collect()
}

fn summaries_are_the_same_before_and_after(backend: Backend) {
    let mut noise = Noise(11);
    let bench = Bench::new(backend);
    let app = bench.app("Asia/Kolkata");
    let scope = bench.scope(&app, 0);
    for batch in history(&mut noise, 100, 3_000).chunks(300) {
        bench.send(&scope, batch).unwrap();
    }
    // A client whose clock is a month behind, and one that is years ahead.
    let wrong = [-30, 2_000].map(|days| Sent { at: NOW.plus(days * DAY), ..Sent::new("wrong") });
    let claims = wrong.iter().map(Sent::claim).collect();
    let sent_at = Some(NOW.plus(-30 * DAY));
    let scope_of = scope.clone();
    bench
        .accept(Request {
            scope: scope_of,
            received_at: NOW,
            sent_at,
            nonce: None,
            claims,
            people: Vec::new(),
            sign_out: None,
        })
        .unwrap();
    bench.settle(0);
    let before = bench.summaries();
    let (events, sessions) = (bench.many("events"), bench.many("sessions"));
    for environment in [1, 2] {
        bench.choose(&bench.scope(&app, environment), &[(Kept::Events, Some(20))]);
    }
    bench.choose(&scope, &[(Kept::Events, Some(30)), (Kept::Sessions, Some(50))]);

    let found = pruning::counted(&*bench.store, NOW.plus(1), &mut |_| {}).unwrap();
    assert_eq!(found, [], "nothing goes within a minute of a choice");
    let later = NOW.plus(2 * DAY);
    let found = pruning::counted(&*bench.store, later, &mut |_| {}).unwrap();
    assert_eq!(found.iter().map(|found| found.keeping.kind).collect::<Vec<_>>(), [Kept::Events, Kept::Sessions]);
    let told: u64 = found.iter().map(|found| found.rows).sum();
    let pruned = bench.prune(2);
    // Of months that go as a whole nobody counts the rows.
    assert!(pruned == told || (backend == Backend::Postgres && pruned < told), "{pruned} of {told}");
    assert_eq!(bench.prune(2), 0);
    assert_eq!(bench.many("events"), events - found[0].rows as i64);
    assert_eq!(bench.many("sessions"), sessions - found[1].rows as i64);
    assert!(found[0].rows > 1_500 && found[1].rows > 100, "{found:?}");
    let edge = |days: i64| (later.0 - days * DAY - Millis::HOUR).div_euclid(DAY) * DAY;
    assert_eq!(bench.many(&format!("events WHERE claimed_at + skew < {}", edge(30))), 0);
    assert_eq!(bench.many(&format!("sessions WHERE ended_at < {}", edge(50))), 0);
    assert_eq!(bench.many(&format!("settled_days WHERE day * {DAY} < {}", edge(30))), 0);
    assert_eq!(bench.summaries(), before);
    let (first, last) = bench.store.summary_days(scope.environment).unwrap().unwrap();
    for day in first..=last {
        let asked = Recount { environment: scope.environment, zone: app.zone.clone(), day };
        assert_eq!(bench.store.recount(&asked).unwrap(), [], "{day}");
        assert_eq!(bench.store.mend(&asked).unwrap(), []);
    }
    bench.settle(72);
    assert_eq!(bench.summaries(), before);
    if backend == Backend::Postgres {
        // Whole months go as such: none is left that nobody has anything in.
        let month = "pg_class WHERE relname ~ '^events_2026_0[1-2]$' AND relkind = 'r'";
        assert_eq!(bench.many(month), 0);
    }
}

fn each_environment_keeps_things_as_long_as_it_chose(backend: Backend) {
    let mut bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scopes = [0, 1, 2].map(|environment| bench.scope(&app, environment));
    let ages = [5_i64, 15, 45];
    for scope in &scopes {
        let event =
            |days: &i64| Sent { at: NOW.plus(-days * DAY), session: Some(format!("s{days}")), ..Sent::new("e") };
        let events: Vec<_> = ages.iter().map(event).collect();
        bench.send(scope, &events).unwrap();
        let claim = Claim::Unusable { reason: Reason::Invalid, detail: "odd".into(), id: None, body: "{}", sent: None };
        bench.request(scope, vec![claim], None).unwrap();
    }
    bench.reopen_keeping(30);
    bench.choose(&scopes[1], &[(Kept::Events, Some(10)), (Kept::Sessions, Some(1)), (Kept::SetAside, Some(1))]);
    bench.choose(&scopes[2], &Kept::ALL.map(|kind| (kind, Some(0))));
    let kept = bench.store.keeping().unwrap();
    let days = |scope: &Scope| -> Vec<_> {
        kept.iter().filter(|kept| kept.environment == scope.environment).map(|kept| kept.days).collect()
    };
    assert_eq!(scopes.each_ref().map(days), [vec![30, 30, 30], vec![10, 10, 1], vec![0, 0, 0]]);
    bench.prune(3);
    let left =
        |what: &str| scopes.each_ref().map(|scope| bench.many(&format!("{what} WHERE env_id = {}", scope.environment)));
    assert_eq!((left("events"), left("sessions"), left("set_aside")), ([2, 1, 3], [2, 1, 3], [1, 0, 1]));
    assert_eq!(bench.series(&scopes[1], Metric::Events, &[period(&app.zone, NOW.plus(-60 * DAY), NOW)]), [3]);
    let told = bench.database.sql("SELECT action, subject, detail FROM audit WHERE action = 'keeping.set' ORDER BY id");
    assert!(told.contains("events 10 days; sessions 1 days; set-aside 1 days"), "{told}");
    assert!(told.contains("events for ever"), "{told}");
}

fn what_is_brought_back_to_be_kept_longer_stays(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let old = Sent { at: NOW.plus(-45 * DAY), ..Sent::new("e") };
    bench.send(&scope, &[old]).unwrap();
    bench.choose(&scope, &[(Kept::Events, Some(30))]);
    let day = NOW.plus(-45 * DAY).0.div_euclid(DAY);
    // As if it had gone and come back.
    bench.store.let_go((scope.environment, Kept::Events), day + 2).unwrap();
    bench.choose(&scope, &[(Kept::Events, Some(60))]);
    bench.prune(1);
    assert_eq!(bench.many("events"), 1);
    bench.store.take_back(scope.environment, day).unwrap();
    let gone = bench.store.keeping().unwrap().iter().map(|kept| kept.gone_before).max();
    assert_eq!(gone, Some(day));
    assert_eq!(bench.prune(30), 1, "sessions are kept for ever here");
}

fn an_event_of_before_what_is_gone_is_refused_however_long_events_are_kept(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let of = |days: i64| Sent { at: NOW.plus(-days * DAY), ..Sent::new("e") };
    let event = of(40);
    let with_rules = || Scope { rules: Arc::new(bench.store.app_rules(app.id).unwrap()), ..scope.clone() };
    bench.send(&with_rules(), std::slice::from_ref(&event)).unwrap();
    bench.choose(&scope, &[(Kept::Events, Some(30))]);
    let outcomes = |event: Sent| bench.send(&with_rules(), &[event]).unwrap().outcomes;
    assert!(matches!(outcomes(of(31))[..], [Outcome::SetAside(Reason::TooOld, _)]));
    assert_eq!(outcomes(of(29)), [Outcome::Stored]);
    bench.prune(1);
    bench.choose(&scope, &[(Kept::Events, Some(0))]);
    // It was here, and a repeat would count anew.
    assert!(matches!(outcomes(event)[..], [Outcome::SetAside(Reason::TooOld, _)]));
    assert_eq!(outcomes(of(28)), [Outcome::Stored]);
}

/// Goal R17, in small.
fn a_clock_that_jumps_deletes_nothing_until_somebody_confirms_it(backend: Backend) {
    let mut bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let events: Vec<_> = (0..30).map(|days| Sent { at: NOW.plus(-days * DAY), ..Sent::new("e") }).collect();
    bench.send(&scope, &events).unwrap();
    bench.reopen_keeping(30);
    let mut guard = Guard::default();
    let mut pruner = Pruner::new(bench.store.clone());
    let mut at = |jump: i64| match guard.ask(&*bench.store, NOW.plus(jump)).unwrap() {
        Clearance::By(at) => pruner.step(at).unwrap().rows(Kept::Events) as i64,
        Clearance::Held(held) => {
            assert!(held.told().contains("ahead"), "{held:?}");
            -1
        }
    };
    let hour = Millis::HOUR;
    assert_eq!(at(0), 0);
    for (jump, deleted) in [
        (hour, 0),
        (-hour, 0),
        (-25 * hour, 0),
        (0, 0),
        (-DAY, 0),
        (10 * 1_000, 0),
        (10 * 1_000, 0), // it stands
        (400 * DAY, -1),
        (26 * hour, -1),
        (0, 0),
    ] {
        assert_eq!(at(jump), deleted, "{jump}");
    }
    assert_eq!(bench.many("events"), 30);
    // Hour by hour without any time passing: a day's worth, and no more.
    let steps: Vec<_> = (1..60).map(|hours| at(hours * hour)).collect();
    assert!(steps.iter().filter(|deleted| **deleted > 0).sum::<i64>() <= 1, "{steps:?}");
    assert_eq!(steps.last(), Some(&-1));
    assert_eq!(at(400 * DAY), -1);
    assert!(bench.many("events") >= 29);
    bench.store.confirm_clock(NOW.plus(400 * DAY), &By::command_line(NOW)).unwrap();
    assert!(at(400 * DAY) >= 0);
    assert_eq!(bench.many("events"), 0);
    assert!(bench.database.sql("SELECT action FROM audit ORDER BY id DESC").contains("clock.confirmed"));
}

fn the_first_deletion_is_asked_about(backend: Backend) {
    let mut bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    bench.send(&scope, &[Sent { at: NOW.plus(-200 * DAY), ..Sent::new("e") }]).unwrap();
    bench.reopen_keeping(90);
    let ask = || Guard::default().ask(&*bench.store, NOW).unwrap();
    assert!(matches!(ask(), Clearance::Held(Held::First(110..=112))), "{:?}", ask());
    bench.store.confirm_clock(NOW, &By::command_line(NOW)).unwrap();
    assert_eq!(ask(), Clearance::By(NOW));
    assert_eq!(bench.prune(0), 2);
}

fn in_lines(place: &std::path::Path) -> Archive {
    Archive { depot: Depot::folder(place), format: RecordFormat::Ndjson }
}

fn nothing_goes_that_is_not_in_the_archive(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    for batch in history(&mut Noise(5), 40, 600).chunks(200) {
        bench.send(&scope, batch).unwrap();
    }
    bench.choose(&scope, &[(Kept::Events, Some(10)), (Kept::Sessions, Some(10))]);
    let away = tempfile::tempdir().unwrap();
    let blocked = away.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let prune = |place: &std::path::Path| {
        let mut pruner = Pruner::new(bench.store.clone()).with_archive(Some(in_lines(place)));
        loop {
            match pruner.step(NOW.plus(DAY)) {
                Ok(done) if done.more => {}
                done => return done.map(|_| ()),
            }
        }
    };
    let (events, sessions) = (bench.many("events"), bench.many("sessions"));
    let failed = prune(&blocked.join("archive")).unwrap_err();
    assert!(failed.to_string().contains("the archive"), "{failed}");
    assert_eq!((bench.many("events"), bench.many("sessions")), (events, sessions));

    // As if it had died behind the first day's file: that day is laid down once more, and is there once.
    let archive = away.path().join("archive");
    let oldest = bench.store.oldest((scope.environment, Kept::Events), NOW).unwrap().unwrap();
    let from = Millis(oldest.0.div_euclid(DAY) * DAY);
    let range = TimeRange { from, to: from.plus(DAY) };
    let parcel = Parcel { app: &app, environment: &app.environments[0], kind: Kept::Events, range };
    let first = lay(&*bench.store, &in_lines(&archive), parcel).unwrap();
    prune(&archive).unwrap();
    let laid = manifests(&Depot::folder(&archive)).unwrap();
    let rows = |kind: Kept| laid.iter().filter(|one| one.kept() == Some(kind)).map(|one| one.rows as i64).sum::<i64>();
    assert_eq!(rows(Kept::Events), events - bench.many("events"));
    assert_eq!(rows(Kept::Sessions), sessions - bench.many("sessions"));
    assert!(rows(Kept::Events) > 200 && rows(Kept::Sessions) > 50, "{laid:?}");
    assert!(laid.contains(&first.unwrap()), "the same rows give the same file");
}
