//! Sessions in lists, one whole and many together, against a naive list of the same.

use std::collections::{BTreeMap, BTreeSet};

use super::recount::Noise;
use super::*;

on_both_backends! {
    sessions_are_listed_filtered_and_counted,
    sessions_that_begin_together_are_listed_once_each,
    a_session_has_all_its_events_in_order_whatever_the_clocks,
    a_derived_session_is_found_by_any_name_it_had,
    sessions_of_another_environment_are_not_there,
}

/// A session as the naive count has it.
#[derive(Clone, Debug)]
struct Naive {
    from: i64,
    to: i64,
    events: i64,
    crashed: bool,
    version: &'static str,
}

impl Bench {
    /// All pages of a list, four rows each.
    fn listed(&self, scope: &Scope, filters: &SessionFilters) -> Vec<SessionRow> {
        let range = TimeRange { from: NOW.plus(-10 * Millis::DAY), to: NOW.plus(Millis::DAY) };
        let (environment, filters) = (scope.environment, filters.clone());
        let mut page = SessionsPage { environment, range, filters, after: None, limit: 4 };
        let mut rows = Vec::new();
        loop {
            let list = self.store.sessions(&page).unwrap();
            assert!(list.rows.len() <= 4 && (list.next.is_none() || list.rows.len() == 4));
            rows.extend(list.rows);
            let Some(next) = list.next else { return rows };
            page.after = Some(Cursor::number(&next.to_string()).unwrap());
        }
    }

    /// A session with all pages of its events, three each.
    fn whole(&self, environment: EnvironmentId, name: SessionName) -> Option<(SessionRow, Vec<EventRow>)> {
        let mut page = SessionPage { environment, name, after: None, limit: 3 };
        let mut events = Vec::new();
        loop {
            let SessionDetail { session, events: found, next } = self.store.session(&page).unwrap()?;
            assert!(found.len() <= 3);
            events.extend(found);
            let Some(next) = next else { return Some((session, events)) };
            page.after = Some(Cursor::number(&next.to_string()).unwrap());
        }
    }

    fn told(&self, scope: &Scope, period: Period, filters: SessionFilters) -> SessionsTold {
        let ask = Ask::Sessions(SessionsAsk { period, filters });
        match self.store.report(&Query { environment: scope.environment, ask }).unwrap() {
            Report::Sessions(told) => told,
            other => panic!("{other:?}"),
        }
    }
}

fn facts(keep: Keep, version: Option<&str>) -> Filters {
    Filters::none().with(Dimension::Fact(Fact::Version), keep, version.map(Into::into))
}

fn sessions_are_listed_filtered_and_counted(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let mut noise = Noise(5);
    let mut naive: BTreeMap<String, Naive> = BTreeMap::new();
    let mut sent = Vec::new();
    for _ in 0..400 {
        let number = noise.below(60);
        let session = format!("s{number}");
        let base = NOW.plus(-(number as i64 % 7 + 1) * Millis::DAY);
        let at = base.plus(noise.below([5_000, 400_000, 9_000_000][number as usize % 3]) as i64);
        let name = if noise.below(90) == 0 { "crash" } else { "click" };
        let version = ["1.0", "1.1", "2.0"][number as usize % 3];
        let own =
            naive.entry(session.clone()).or_insert(Naive { from: at.0, to: at.0, events: 0, crashed: false, version });
        (own.from, own.to) = (own.from.min(at.0), own.to.max(at.0));
        own.events += 1;
        own.crashed |= name == "crash";
        let user = (number > 3).then(|| format!("u{}", number % 9));
        sent.push(Sent { at, session: Some(session), user, version, ..Sent::new(name) });
    }
    for batch in sent.chunks(23) {
        bench.send(&scope, batch).unwrap();
    }
    type Keeps = fn(&Naive) -> bool;
    let none = SessionFilters::default;
    let rows: [(SessionFilters, Keeps); 9] = [
        (none(), |_| true),
        (SessionFilters { crashed: Some(true), ..none() }, |s| s.crashed),
        (SessionFilters { crashed: Some(false), ..none() }, |s| !s.crashed),
        (SessionFilters { from_events: Some(7), ..none() }, |s| s.events >= 7),
        (SessionFilters { from_length: Some(60_000), ..none() }, |s| s.to - s.from >= 60_000),
        (SessionFilters { below_length: Some(60_000), from_events: Some(2), ..none() }, |s| {
            s.to - s.from < 60_000 && s.events >= 2
        }),
        (SessionFilters { facts: facts(Keep::Is, Some("1.1")), ..none() }, |s| s.version == "1.1"),
        (SessionFilters { facts: facts(Keep::IsNot, Some("1.1")), ..none() }, |s| s.version != "1.1"),
        (SessionFilters { facts: facts(Keep::Is, Some("9.9")), ..none() }, |_| false),
    ];
    let whole = period(&app.zone, NOW.plus(-10 * Millis::DAY), NOW.plus(Millis::DAY));
    for (filters, keeps) in rows {
        let mut expected: Vec<_> = naive.values().filter(|session| keeps(session)).collect();
        expected.sort_by_key(|session| -session.from);
        let listed = bench.listed(&scope, &filters);
        let facts = |row: &SessionRow| (row.started_at.0, row.ended_at.0, row.events, row.crashed, row.version.clone());
        let found: Vec<_> = listed.iter().map(facts).collect();
        let wanted: Vec<_> =
            expected.iter().map(|s| (s.from, s.to, s.events, s.crashed, Some(s.version.to_owned()))).collect();
        assert_eq!(found, wanted, "{filters:?}");
        let told = bench.told(&scope, whole, filters.clone());
        let crashed = expected.iter().filter(|session| session.crashed).count() as i64;
        let events: i64 = expected.iter().map(|session| session.events).sum();
        assert_eq!(
            (told.counts.sessions, told.counts.crashed_sessions, told.counts.events, told.lengths.iter().sum::<i64>()),
            (expected.len() as i64, crashed, events, expected.len() as i64),
            "{filters:?}"
        );
        let mut lengths: Vec<i64> = expected.iter().map(|session| session.to - session.from).collect();
        lengths.sort_unstable();
        if let Some(middle) = lengths.get((lengths.len().saturating_sub(1)) / 2) {
            let median = told.counts.median_length.unwrap();
            assert!((median - middle).abs() as f64 <= *middle as f64 * 0.04 + 1.0, "{median} for {middle}");
        } else {
            assert_eq!(told.counts.median_length, None);
        }
    }
    // The same sessions, from the summaries and from their rows.
    let all = bench.told(&scope, whole, SessionFilters { from_events: Some(1), ..none() });
    assert_eq!(bench.told(&scope, whole, none()), all);
}

fn sessions_that_begin_together_are_listed_once_each(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let of = |session: Option<String>, user: String| Sent { session, user: Some(user), ..Sent::new("opened") };
    let named = (0..7).map(|n| of(Some(format!("s{n}")), format!("u{n}")));
    let derived = (0..7).map(|n| of(None, format!("v{n}")));
    bench.send(&scope, &named.chain(derived).collect::<Vec<_>>()).unwrap();
    let rows = bench.listed(&scope, &SessionFilters::default());
    let names: BTreeSet<_> = rows.iter().map(|row| row.name.unwrap().to_string()).collect();
    assert_eq!((rows.len(), names.len()), (14, 14), "{names:?}");
    for row in rows {
        let (session, events) = bench.whole(scope.environment, row.name.unwrap()).unwrap();
        assert_eq!((session, events.len()), (row, 1));
    }
}

fn a_session_has_all_its_events_in_order_whatever_the_clocks(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let mut expected = Vec::new();
    for number in 0..40_i64 {
        // Three hours apart at times, so that several stretches are looked through; some in the same instant.
        let at = NOW.plus(-5 * Millis::DAY + number / 2 * 3 * Millis::HOUR);
        let ahead = [0, 5 * Millis::MINUTE, -3 * Millis::HOUR, 400 * Millis::DAY][number as usize % 4];
        let event = Sent { at: at.plus(ahead), ..Sent::new(&format!("e{number}")) };
        expected.push((at, event.id));
        let other = Sent { at, session: Some("another".to_owned()), ..Sent::new("other") };
        for (event, ahead) in [(event, ahead), (other, 0)] {
            let (scope, claims) = (scope.clone(), vec![event.claim()]);
            // The client's clock says so much more than ours.
            let sent_at = Some(NOW.plus(ahead));
            let request =
                Request { scope, received_at: NOW, sent_at, nonce: None, claims, people: Vec::new(), sign_out: None };
            bench.accept(request).unwrap();
        }
    }
    expected.sort_by_key(|(at, id)| (*at, id.0));
    let rows = bench.listed(&scope, &SessionFilters { from_events: Some(1), ..SessionFilters::default() });
    assert_eq!(rows.len(), 2, "{rows:?}");
    let whole: Vec<_> = rows.iter().map(|row| bench.whole(scope.environment, row.name.unwrap()).unwrap().1).collect();
    let own = whole.iter().find(|events| events[0].name != "other").unwrap();
    let found: Vec<_> = own.iter().map(|event| (event.occurred_at, event.id)).collect();
    assert_eq!(found, expected);
}

fn a_derived_session_is_found_by_any_name_it_had(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let at = |minutes: i64| Sent { at: NOW.plus(-minutes * Millis::MINUTE), session: None, ..Sent::new("derived") };
    bench.send(&scope, &[at(300), at(100), at(80)]).unwrap();
    let rows = bench.listed(&scope, &SessionFilters::default());
    let [late, early] = &rows[..] else { panic!("{rows:?}") };
    let was = late.name.unwrap();
    bench.send(&scope, &[at(120)]).unwrap();
    let (session, events) = bench.whole(scope.environment, was).unwrap();
    assert_eq!((session.started_at, session.events, events.len()), (NOW.plus(-120 * Millis::MINUTE), 3, 3));
    assert_ne!(session.name, Some(was));
    assert_eq!(bench.whole(scope.environment, session.name.unwrap()).unwrap().1.len(), 3);
    assert_eq!(bench.whole(scope.environment, early.name.unwrap()).unwrap().1.len(), 1);
    let user = session.user.unwrap();
    for nobody in [
        SessionName::Derived(user, NOW.plus(-200 * Millis::MINUTE)),
        SessionName::Derived(user, NOW.plus(-400 * Millis::MINUTE)),
        SessionName::Derived(UserHash([3; 16]), NOW.plus(-100 * Millis::MINUTE)),
        SessionName::Named(SessionHash(user.0)),
    ] {
        assert_eq!(bench.whole(scope.environment, nobody), None, "{nobody}");
    }
}

fn sessions_of_another_environment_are_not_there(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let (production, development) = (bench.scope(&app, 0), bench.scope(&app, 2));
    let derived = Sent { session: None, user: Some("ben".to_owned()), ..Sent::new("b") };
    bench.send(&production, &[Sent::new("a"), derived]).unwrap();
    assert_eq!(bench.listed(&development, &SessionFilters::default()), []);
    let rows = bench.listed(&production, &SessionFilters::default());
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(bench.whole(development.environment, row.name.unwrap()), None);
    }
}
