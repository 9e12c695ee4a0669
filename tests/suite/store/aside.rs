//! Events that were set aside, tried again: under other rules, twice at once, by several nodes, and for nothing.

use std::borrow::Cow;
use std::sync::Barrier;

use serde_json::value::RawValue;

use super::*;
use crate::harness::backend::on_both_backends;

on_both_backends! {
    what_the_rules_allow_now_is_counted_once_with_its_user_and_session,
    what_no_rule_allows_stays_with_its_new_reason,
    an_event_that_was_sent_again_meanwhile_is_not_counted_twice,
    however_many_try_at_once_each_event_is_stored_once,
    a_text_is_read_again_by_its_protocol_and_without_its_names,
    they_are_listed_by_reason_and_page_and_discarded,
}

const LARGE: &str = r#"{"note":"longer than the first rules allow","email":"ada@example.org"}"#;

fn small() -> Limits {
    Limits { event_bytes: 20, ..Limits::default() }
}

fn everything(app: &App) -> AsideStretch {
    AsideStretch { filter: filter(app, None), after: 0, until: i64::MAX, limit: 1_000 }
}

fn filter(app: &App, reason: Option<Reason>) -> AsideFilter {
    AsideFilter { app: app.id, reason, id: None }
}

/// Sends events whose properties are too large for [`small`].
fn send_large(bench: &Bench, scope: &Scope, events: &[Sent]) {
    let props = RawValue::from_string(LARGE.to_owned()).unwrap();
    let claims = events.iter().map(|sent| match sent.claim() {
        Claim::Event(raw) => Claim::Event(RawEvent { props: Some(Cow::Borrowed(&props)), ..raw }),
        other => other,
    });
    let receipt = bench.request(scope, claims.collect(), None).unwrap();
    assert_eq!(receipt.set_aside(), events.len());
}

impl Bench {
    fn allow(&mut self, limits: Limits) {
        self.limits = Arc::new(limits);
        self.reopen();
    }

    fn again(&self, app: &App, kept: &[KeptAside]) -> Tried {
        let app = Arc::new(app.clone());
        self.runtime.block_on(self.intake.as_ref().unwrap().again((&app, &Rules::default()), kept, NOW)).unwrap()
    }

    fn kept(&self, app: &App) -> Vec<KeptAside> {
        self.store.kept_aside(&everything(app)).unwrap()
    }

    fn outcomes(&self, outcome: &str) -> i64 {
        self.database.count(&format!("SELECT coalesce(sum(events), 0) FROM intake_days WHERE outcome = '{outcome}'"))
    }
}

fn what_the_rules_allow_now_is_counted_once_with_its_user_and_session(backend: Backend) {
    let mut bench = Bench::with(backend, small());
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let late = Sent { at: NOW.plus(-3 * Millis::HOUR), ..Sent::new("late") };
    bench.send(&scope, &[Sent::new("first")]).unwrap();
    send_large(&bench, &scope, &[late.clone(), Sent::new("second")]);
    bench.allow(Limits::default());

    let kept = bench.kept(&app);
    assert_eq!(kept.len(), 2);
    assert!(!kept.iter().any(|kept| kept.again.as_deref().unwrap().contains("ada")), "it names somebody: {kept:?}");
    assert_eq!(bench.again(&app, &kept), Tried { stored: 2, ..Tried::default() });
    assert_eq!(bench.again(&app, &kept), Tried { gone: 2, ..Tried::default() }, "the same click a second time");
    assert_eq!(bench.kept(&app), []);

    let series = |metric| bench.series(&scope, metric, &[today(&app.zone)]);
    assert_eq!((series(Metric::Events), series(Metric::Users), series(Metric::Sessions)), (vec![3], vec![1], vec![1]));
    let page =
        EventsPage { environment: scope.environment, filters: Filters::none(), since: None, after: None, limit: 9 };
    let found = bench.store.events(&page).unwrap().rows;
    let found = found.iter().find(|row| row.name == "late").unwrap();
    assert_eq!((found.id, found.occurred_at, found.version.as_deref()), (late.id, late.at, Some("1.0")));
    assert!(found.props.as_deref().unwrap().contains("(hidden)"));
    // It was counted as set aside when it came, and as stored when it was.
    assert_eq!((bench.outcomes("stored"), bench.outcomes("set_aside"), bench.outcomes("duplicate")), (3, 2, 0));
}

fn what_no_rule_allows_stays_with_its_new_reason(backend: Backend) {
    let mut bench = Bench::with(backend, small());
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let old = Sent { at: NOW.plus(-9 * Millis::DAY), ..Sent::new("old") };
    send_large(&bench, &scope, &[old]);
    bench.allow(Limits { age: 7 * Millis::DAY, ..Limits::default() });

    let kept = bench.kept(&app);
    assert_eq!(bench.again(&app, &kept), Tried { stayed: 1, ..Tried::default() });
    let page = AsidePage { filter: filter(&app, None), before: None, limit: 9 };
    let list = bench.store.set_aside(&page).unwrap();
    let [row] = &list.rows[..] else { panic!("{list:?}") };
    assert_eq!((row.reason, row.received_at, row.whole), (Reason::TooOld, NOW, true));
    assert!(row.detail.contains("7 days") && row.body.contains("longer than"), "{row:?}");
    assert_eq!((bench.outcomes("stored"), bench.outcomes("set_aside")), (0, 1));
    bench.allow(Limits::default());
    assert_eq!(bench.again(&app, &bench.kept(&app)), Tried { stored: 1, ..Tried::default() });
}

fn an_event_that_was_sent_again_meanwhile_is_not_counted_twice(backend: Backend) {
    let mut bench = Bench::with(backend, small());
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let event = Sent::new("opened");
    send_large(&bench, &scope, std::slice::from_ref(&event));
    bench.allow(Limits::default());
    bench.send(&scope, &[event]).unwrap();
    assert_eq!(bench.again(&app, &bench.kept(&app)), Tried { duplicates: 1, ..Tried::default() });
    assert_eq!((bench.kept(&app).len(), bench.series(&scope, Metric::Events, &[today(&app.zone)])), (0, vec![1]));
}

fn however_many_try_at_once_each_event_is_stored_once(backend: Backend) {
    let mut bench = Bench::with(backend, small());
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let events: Vec<_> = (0..40).map(|n| Sent { user: Some(format!("u{n}")), ..Sent::new("opened") }).collect();
    send_large(&bench, &scope, &events);
    bench.allow(Limits::default());
    let kept = bench.kept(&app);

    // Over PostgreSQL each is a node of its own; SQLite has one writer, whom several ask.
    let stores: Vec<_> = (0..3)
        .map(|_| match backend {
            Backend::Sqlite => bench.store.clone(),
            Backend::Postgres => open(&bench.database).unwrap(),
        })
        .collect();
    let start = Barrier::new(stores.len());
    let tried = std::thread::scope(|threads| {
        let tries = stores.iter().enumerate().map(|(at, store)| {
            let (start, kept, app, bench) = (&start, &kept, Arc::new(app.clone()), &bench);
            threads.spawn(move || {
                let clock = Clock::manual(NOW);
                let (intake, writer) =
                    Intake::start(store.clone(), bench.limits.clone(), clock, QueueSize::default()).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let mut order = kept.clone();
                order.rotate_left(at * 13);
                start.wait();
                let tried = runtime.block_on(intake.again((&app, &Rules::default()), &order, NOW)).unwrap();
                drop(intake);
                writer.join();
                tried
            })
        });
        let tries: Vec<_> = tries.collect();
        tries.into_iter().map(|tries| tries.join().unwrap()).collect::<Vec<_>>()
    });
    let total = |count: fn(&Tried) -> u64| tried.iter().map(count).sum::<u64>();
    assert_eq!((total(|t| t.stored), total(|t| t.gone), total(|t| t.duplicates)), (40, 80, 0), "{tried:?}");
    assert_eq!(bench.series(&scope, Metric::Events, &[today(&app.zone)]), [40]);
    assert_eq!((bench.kept(&app).len(), bench.outcomes("stored")), (0, 40));
}

fn a_text_is_read_again_by_its_protocol_and_without_its_names(backend: Backend) {
    fn reader(text: &str) -> Claim<'_> {
        #[derive(serde::Deserialize)]
        struct Simple<'a> {
            name: &'a str,
            user_id: Option<&'a str>,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        let Simple { name, user_id, data } = serde_json::from_str(text).unwrap();
        let user = user_id.map(Into::into);
        Claim::Event(RawEvent { name: name.into(), user, props: Some(Cow::Borrowed(data)), ..RawEvent::default() })
    }
    let mut bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    bench.send(&scope, &[Sent { session: None, ..Sent::new("before") }]).unwrap();
    let body = r#"{"name":"later","user_id":"ada","data":{"n":1}}"#;
    let of = |protocol, user: Option<&'static str>| tallybox::ingest::Sent {
        protocol,
        user: user.map(Into::into),
        session: None,
    };
    let claim = |sent| Claim::Unusable { reason: Reason::Invalid, detail: "x".to_owned(), id: None, body, sent };
    let claims = vec![claim(Some(of("simple", Some("ada")))), claim(Some(of("unknown", None))), claim(None)];
    bench.request(&scope, claims, None).unwrap();

    let intake = bench.intake.take().unwrap();
    bench.intake = Some(intake.with_readers([("simple", reader as tallybox::ingest::Reader)]));
    let kept = bench.kept(&app);
    assert_eq!(kept.iter().map(|kept| kept.again.is_some()).collect::<Vec<_>>(), [true, true, false]);
    assert!(!bench.database.sql("SELECT again, body FROM set_aside").contains("ada"));
    assert_eq!(bench.again(&app, &kept), Tried { stored: 1, stayed: 2, ..Tried::default() });
    let series = |metric| bench.series(&scope, metric, &[today(&app.zone)]);
    assert_eq!((series(Metric::Events), series(Metric::Users)), (vec![2], vec![1]), "it is the same user");
}

fn they_are_listed_by_reason_and_page_and_discarded(backend: Backend) {
    let bench = Bench::with(backend, Limits { event_bytes: 20, age: Millis::DAY, ..Limits::default() });
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 1);
    let old: Vec<_> = (0..3).map(|_| Sent { at: NOW.plus(-2 * Millis::DAY), ..Sent::new("old") }).collect();
    bench.send(&scope, &old).unwrap();
    send_large(&bench, &scope, &[Sent::new("large"), Sent::new("large")]);

    let page =
        |reason, before, limit| bench.store.set_aside(&AsidePage { filter: filter(&app, reason), before, limit });
    let all = page(None, None, 3).unwrap();
    assert_eq!(all.counts, [(Reason::TooLarge, 2), (Reason::TooOld, 3)]);
    assert!(all.more && all.rows.iter().all(|row| row.environment == scope.environment));
    let rest = page(None, Some(all.rows[2].id), 3).unwrap();
    assert!(!rest.more && rest.rows.len() == 2 && rest.rows[0].id < all.rows[2].id);
    assert_eq!(page(Some(Reason::TooOld), None, 9).unwrap().rows.len(), 3);
    let counts = bench.store.aside_counts().unwrap();
    assert_eq!(
        counts.iter().map(|c| (c.app, c.reason, c.events)).collect::<Vec<_>>(),
        [(app.id, Reason::TooOld, 3), (app.id, Reason::TooLarge, 2)]
    );

    let by = By::command_line(NOW);
    let other = AsideFilter { app: AppId(app.id.0 + 1), reason: None, id: Some(all.rows[0].id) };
    let foreign = AsideStretch { filter: other, ..everything(&app) };
    assert_eq!(bench.store.discard_aside(&foreign, &by, "all").unwrap(), [0_i64; 0], "an event of another app");
    let large = AsideStretch { filter: filter(&app, Some(Reason::TooLarge)), limit: 1, ..everything(&app) };
    assert_eq!(bench.store.discard_aside(&large, &by, "all").unwrap().len(), 1);
    let until = AsideStretch { until: rest.rows[0].id, ..everything(&app) };
    assert_eq!(bench.store.discard_aside(&until, &by, "all").unwrap().len(), 2, "nothing newer than was seen");
    assert_eq!(page(None, None, 9).unwrap().rows.len(), 2);
    let told =
        bench.database.sql("SELECT action, subject, detail FROM audit WHERE action LIKE 'set_aside%' ORDER BY id");
    assert_eq!(told.trim(), "set_aside.discarded|all|1 event\nset_aside.discarded|all|2 events");
}
