//! The storage contract, held over every backend.

mod answers;
mod aside;
mod columns;
mod errors;
mod filtered;
mod identify;
mod journeys;
mod lengths;
mod links;
mod listed;
mod live;
mod nodes;
mod props;
mod pruning;
mod rebuild;
mod recount;
mod rights;
mod roster;
mod sessions;
mod settled;
mod sign_in;
mod totals;
mod versions;
mod visitors;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tallybox::clock::Clock;
use tallybox::ingest::{Claim, Intake, QueueSize, Request, Scope, Writer};
use tallybox::model::*;
use tallybox::store::postgres::{PostgresOptions, PostgresStore};
use tallybox::store::sqlite::{Options, SqliteStore};
use tallybox::store::{Nonce, Recount, Store, StoreError, SummaryDifference, SummaryTable, Uniting};
use tokio::runtime::Runtime;

use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Database};

on_both_backends! {
    duplicate_event_counts_once,
    environments_are_apart,
    a_nonce_works_once_and_a_replay_writes_nothing,
    a_nonce_is_remembered_for_as_long_as_its_time_is_accepted,
    a_key_revoked_elsewhere_is_refused_at_the_next_commit,
    malformed_events_are_kept_aside_with_their_reason_and_bounded,
    values_beyond_the_cap_count_as_other,
    sessions_are_derived_from_pauses_where_an_sdk_names_none,
    derived_sessions_are_the_same_in_one_commit_as_in_several,
    the_first_event_is_told_by_its_hour_not_by_its_midnight,
    clocks_far_ahead_do_not_hide_the_newest_events,
    a_hundred_takers_of_one_setup_link_make_one_member,
    a_setup_token_dies_after_its_time,
    an_api_token_is_found_until_its_end,
    a_newer_or_changed_schema_is_refused,
    credentials_are_found_by_token_and_by_every_path,
    an_event_older_than_events_are_kept_is_set_aside,
    a_request_larger_than_the_queue_is_taken_when_the_queue_is_empty,
}

/// 2026-04-10 12:00 UTC.
const NOW: Millis = Millis(1_775_822_400_000);

struct Bench {
    /// Deleted with it.
    _home: tempfile::TempDir,
    store: Arc<dyn Store>,
    database: Database,
    intake: Option<Intake>,
    writer: Option<Writer>,
    limits: Arc<Limits>,
    /// Of requests alone: the store blocks, and is never called from a task.
    runtime: Runtime,
}

impl Bench {
    fn new(backend: Backend) -> Self {
        Self::with(backend, Limits::default())
    }

    fn with(backend: Backend, limits: Limits) -> Self {
        let home = tempfile::tempdir().unwrap();
        let database = Database::create(backend, home.path());
        let (store, limits) = (open(&database).unwrap(), Arc::new(limits));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut bench = Self { _home: home, store, database, intake: None, writer: None, limits, runtime };
        bench.start();
        bench
    }

    fn start(&mut self) {
        let (intake, writer) =
            Intake::start(self.store.clone(), self.limits.clone(), Clock::manual(NOW), QueueSize::default()).unwrap();
        (self.intake, self.writer) = (Some(intake), Some(writer));
    }

    /// Stops the writer and opens the database anew.
    fn reopen(&mut self) {
        self.intake = None;
        self.writer.take().unwrap().join();
        self.store = open(&self.database).unwrap();
        self.start();
    }

    /// The same, with everything kept for so many days only.
    fn reopen_keeping(&mut self, days: u32) {
        self.intake = None;
        self.writer.take().unwrap().join();
        self.store = open_keeping(&self.database, days).unwrap();
        self.start();
    }

    /// Settles all that can be, so many hours from now.
    fn settle(&self, hours: i64) {
        for _ in 0..1_000 {
            if self.store.settle(NOW.plus(hours * Millis::HOUR)).unwrap().is_empty() {
                return;
            }
        }
        panic!("it is never done");
    }

    fn app(&self, zone: &str) -> App {
        let app = NewApp {
            organization: None,
            uuid: uuid::Uuid::new_v4(),
            slug: Slug::from_name("Test app"),
            slug_fixed: false,
            name: "Test app".to_owned(),
            zone: Zone::find(zone).unwrap(),
            salt: Salt([9; 32]),
            strict: false,
        };
        self.store.create_app(&app, &By::command_line(NOW)).unwrap()
    }

    fn scope(&self, app: &App, environment: usize) -> Scope {
        let environment = app.environments[environment].id;
        let token_hash: [u8; 32] = std::array::from_fn(|_| rand_byte());
        let key = NewIngestKey {
            environment,
            kind: KeyKind::Secret,
            name: "k".into(),
            hint: "tk_".into(),
            token_hash,
            sealed_secret: vec![1, 2, 3],
        };
        let key = self.store.create_key(&key, &By::command_line(NOW)).unwrap().id;
        Scope { app: Arc::new(app.clone()), environment, key: Some(key), rules: Arc::default(), country: None }
    }

    fn send(&self, scope: &Scope, events: &[Sent]) -> Result<Receipt, Refusal> {
        self.request(scope, events.iter().map(Sent::claim).collect(), None)
    }

    fn request(&self, scope: &Scope, claims: Vec<Claim<'_>>, nonce: Option<Nonce>) -> Result<Receipt, Refusal> {
        self.accept(Request {
            scope: scope.clone(),
            received_at: NOW,
            sent_at: None,
            nonce,
            claims,
            people: Vec::new(),
            sign_out: None,
        })
    }

    fn accept(&self, request: Request<'_>) -> Result<Receipt, Refusal> {
        self.runtime.block_on(self.intake.as_ref().unwrap().accept(request))
    }

    fn series(&self, scope: &Scope, metric: Metric, periods: &[Period]) -> Vec<i64> {
        let query =
            Query { environment: scope.environment, ask: Ask::Series(vec![metric], periods.to_vec(), Filters::none()) };
        self.store.report(&query).unwrap().counts().remove(0)
    }

    fn breakdown(&self, scope: &Scope, dimension: Dimension, period: Period) -> Breakdown {
        let (metrics, filters) = (vec![Metric::Events], Filters::none());
        let ask = BreakdownAsk { dimension, metrics, period, filters, limit: 100 };
        let query = Query { environment: scope.environment, ask: Ask::Breakdown(ask) };
        match self.store.report(&query).unwrap() {
            Report::Breakdown(breakdown) => breakdown,
            other => panic!("{other:?}"),
        }
    }
}

/// Opens a database as any process would.
pub fn open(database: &Database) -> tallybox::store::Result<Arc<dyn Store>> {
    open_keeping(database, 0)
}

fn open_keeping(database: &Database, days: u32) -> tallybox::store::Result<Arc<dyn Store>> {
    let keeps = Keeps { events: days, sessions: days, set_aside: days };
    match database {
        Database::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path, Options { keeps, ..Options::default() })?)),
        Database::Postgres(database) => {
            let options = PostgresOptions { keeps, ..PostgresOptions::new(database.url().into()) };
            let store = PostgresStore::open(&options)?;
            store.wait(Duration::from_secs(30))?;
            Ok(Arc::new(store))
        }
    }
}

fn rand_byte() -> u8 {
    uuid::Uuid::new_v4().as_bytes()[0]
}

/// One event as a test sends it.
#[derive(Clone, Debug)]
struct Sent {
    id: EventId,
    at: Millis,
    name: String,
    user: Option<String>,
    session: Option<String>,
    version: &'static str,
    props: Option<Box<serde_json::value::RawValue>>,
    crashes: bool,
}

impl Sent {
    fn new(name: &str) -> Self {
        Self {
            id: EventId::random(),
            at: NOW.plus(-Millis::MINUTE),
            name: name.to_owned(),
            user: Some("ada".to_owned()),
            session: Some("s1".to_owned()),
            version: "1.0",
            props: None,
            crashes: false,
        }
    }

    fn claim(&self) -> Claim<'_> {
        let mut facts = RawFacts::default();
        facts.set(Fact::Version, Some(self.version));
        Claim::Event(RawEvent {
            id: Some(self.id),
            claimed_at: Some(self.at),
            name: self.name.as_str().into(),
            user: self.user.as_deref().map(Into::into),
            session: self.session.as_deref().map(Into::into),
            props: self.props.as_deref().map(Cow::Borrowed),
            error: self.crashes.then(|| RawError { kind: Some("Torn".into()), fatal: true, ..RawError::default() }),
            facts,
            ..RawEvent::default()
        })
    }
}

fn period(zone: &Zone, from: Millis, to: Millis) -> Period {
    Period { range: TimeRange { from, to }, first: zone.local(from), next: zone.local(to) }
}

fn day(zone: &Zone, day: i32) -> Period {
    period(zone, zone.midnight(day), zone.midnight(day + 1))
}

fn today(zone: &Zone) -> Period {
    day(zone, zone.local(NOW).day)
}

fn duplicate_event_counts_once(backend: Backend) {
    let mut bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let event = Sent::new("opened");
    let twice = bench.send(&scope, &[event.clone(), event.clone()]).unwrap();
    assert_eq!(twice.outcomes, [Outcome::Stored, Outcome::Duplicate]);
    bench.reopen();
    let again = bench.send(&scope, &[event]).unwrap();
    assert_eq!(again.outcomes, [Outcome::Duplicate]);
    let today = today(&app.zone);
    for metric in [Metric::Events, Metric::Users, Metric::NewUsers, Metric::Sessions] {
        assert_eq!(bench.series(&scope, metric, &[today]), [1], "{metric:?}");
    }
    let page =
        EventsPage { environment: scope.environment, filters: Filters::none(), since: None, after: None, limit: 10 };
    assert_eq!(bench.store.events(&page).unwrap().rows.len(), 1);
}

fn environments_are_apart(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let (production, development) = (bench.scope(&app, 0), bench.scope(&app, 2));
    bench.send(&production, &[Sent::new("a"), Sent::new("a")]).unwrap();
    bench.send(&development, &[Sent::new("b")]).unwrap();
    let today = today(&app.zone);
    assert_eq!(bench.series(&production, Metric::Events, &[today]), [2]);
    assert_eq!(bench.series(&development, Metric::Events, &[today]), [1]);
    assert_eq!(bench.breakdown(&development, Dimension::Event, today).rows[0].value.as_deref(), Some("b"));
}

fn a_nonce_works_once_and_a_replay_writes_nothing(backend: Backend) {
    let mut bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let nonce = Some(Nonce { at: NOW.seconds(), value: [5; 16] });
    let (first, second) = (Sent::new("a"), Sent::new("b"));
    bench.request(&scope, vec![first.claim()], nonce).unwrap();
    assert_eq!(bench.request(&scope, vec![second.claim()], nonce), Err(Refusal::Replayed));
    bench.reopen();
    assert_eq!(bench.request(&scope, vec![second.claim()], nonce), Err(Refusal::Replayed));
    assert_eq!(bench.series(&scope, Metric::Events, &[today(&app.zone)]), [1]);
}

fn a_nonce_is_remembered_for_as_long_as_its_time_is_accepted(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    // Stamped nine minutes ahead, a request stays valid for nineteen.
    let nonce = Some(Nonce { at: NOW.seconds() + 540, value: [5; 16] });
    bench.request(&scope, vec![Sent::new("a").claim()], nonce).unwrap();
    for minutes in [11, 18] {
        bench.store.tend(NOW.plus(minutes * Millis::MINUTE)).unwrap();
        let again = bench.request(&scope, vec![Sent::new("b").claim()], nonce);
        assert_eq!(again, Err(Refusal::Replayed), "after {minutes} minutes");
    }
    bench.store.tend(NOW.plus(31 * Millis::MINUTE)).unwrap();
    bench.request(&scope, vec![Sent::new("c").claim()], nonce).unwrap();
}

fn a_key_revoked_elsewhere_is_refused_at_the_next_commit(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    bench.send(&scope, &[Sent::new("a")]).unwrap();
    let other_process = open(&bench.database).unwrap();
    let before = bench.store.directory_version().unwrap();
    other_process.revoke_key(scope.key.unwrap(), &By::command_line(NOW)).unwrap();
    assert!(bench.store.directory_version().unwrap() > before);
    assert_eq!(bench.send(&scope, &[Sent::new("b")]), Err(Refusal::Unauthorized));
    assert_eq!(bench.series(&scope, Metric::Events, &[today(&app.zone)]), [1]);
}

fn malformed_events_are_kept_aside_with_their_reason_and_bounded(backend: Backend) {
    let bench = Bench::with(backend, Limits { set_aside_events: 3, ..Limits::default() });
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    for number in 0..5 {
        let body = format!("{{\"n\":{number}}}");
        let detail = format!("problem {number}");
        let claim = Claim::Unusable { reason: Reason::Invalid, detail, id: None, body: &body, sent: None };
        let good = Sent::new("good");
        let receipt = bench.request(&scope, vec![claim, good.claim()], None).unwrap();
        assert_eq!(receipt.outcomes, [Outcome::SetAside(Reason::Invalid, None), Outcome::Stored]);
    }
    let filter = AsideFilter { app: app.id, reason: None, id: None };
    let AsideList { rows, counts, .. } = bench.store.set_aside(&AsidePage { filter, before: None, limit: 10 }).unwrap();
    assert_eq!(counts, [(Reason::Invalid, 3)]);
    assert_eq!((rows[0].detail.as_str(), rows[0].body.as_str()), ("problem 4", "{\"n\":4}"));
}

fn values_beyond_the_cap_count_as_other(backend: Backend) {
    let bench = Bench::with(backend, Limits { names: 2, ..Limits::default() });
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    for name in ["a", "b", "c", "d", "a"] {
        bench.send(&scope, &[Sent::new(name)]).unwrap();
    }
    let rows = bench.breakdown(&scope, Dimension::Event, today(&app.zone)).rows;
    let rows: Vec<_> = rows.iter().map(|row| (row.value.as_deref().unwrap(), row.metrics[0].unwrap())).collect();
    assert_eq!(rows, [("a", 2), (OTHER, 2), ("b", 1)]);
}

fn sessions_are_derived_from_pauses_where_an_sdk_names_none(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let at = |minutes: i64| Sent {
        session: None,
        at: NOW.plus(-300 * Millis::MINUTE + minutes * Millis::MINUTE),
        ..Sent::new("a")
    };
    for (minutes, sessions) in [(0, 1), (29, 1), (58, 1), (120, 2), (95, 2), (240, 3)] {
        bench.send(&scope, &[at(minutes)]).unwrap();
        assert_eq!(bench.series(&scope, Metric::Sessions, &[today(&app.zone)]), [sessions], "at {minutes}");
    }
}

fn derived_sessions_are_the_same_in_one_commit_as_in_several(backend: Backend) {
    let minutes = [100, 75, 300, 50];
    for chunk in [1, minutes.len()] {
        let bench = Bench::new(backend);
        let app = bench.app("UTC");
        let scope = bench.scope(&app, 0);
        let events =
            minutes.map(|m| Sent { session: None, at: NOW.plus((m - 400) * Millis::MINUTE), ..Sent::new("a") });
        for part in events.chunks(chunk) {
            bench.send(&scope, part).unwrap();
        }
        assert_eq!(bench.series(&scope, Metric::Sessions, &[today(&app.zone)]), [2], "{chunk} at a time");
    }
}

fn the_first_event_is_told_by_its_hour_not_by_its_midnight(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    bench.send(&scope, &[Sent::new("a")]).unwrap();
    let query = Query { environment: scope.environment, ask: Ask::Since };
    assert_eq!(bench.store.report(&query).unwrap(), Report::Since(Some(NOW.plus(-Millis::HOUR))));
}

fn clocks_far_ahead_do_not_hide_the_newest_events(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let year_2099 = NOW.plus(73 * 365 * Millis::DAY);
    for n in 0..4 {
        bench.send(&scope, &[Sent { at: year_2099.plus(n), ..Sent::new("ahead") }]).unwrap();
    }
    let request = |name: &str, received_at: Millis| (Sent { at: received_at, ..Sent::new(name) }, received_at);
    for (event, received_at) in [request("b", NOW.plus(5)), request("c", NOW.plus(Millis::DAY))] {
        let claims = vec![event.claim()];
        let request = Request {
            scope: scope.clone(),
            received_at,
            sent_at: None,
            nonce: None,
            claims,
            people: Vec::new(),
            sign_out: None,
        };
        bench.accept(request).unwrap();
    }
    let page =
        EventsPage { environment: scope.environment, filters: Filters::none(), since: None, after: None, limit: 3 };
    let names: Vec<_> = bench.store.events(&page).unwrap().rows.into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["c", "b", "ahead"]);
}

fn a_hundred_takers_of_one_setup_link_make_one_member(backend: Backend) {
    let bench = Bench::new(backend);
    let hash = [7; 32];
    bench.store.put_setup_token(&hash, NOW.plus(Millis::HOUR)).unwrap();
    let results: Vec<_> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..100)
            .map(|n| {
                let store = bench.store.clone();
                scope.spawn(move || {
                    let member = NewMember {
                        name: format!("m{n}"),
                        role: Role::Owner,
                        organization: None,
                        password_hash: "x".to_owned(),
                    };
                    store.complete_setup(&hash, &member, &By::command_line(NOW))
                })
            })
            .collect();
        takers.into_iter().map(|taker| taker.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(StoreError::TokenSpent))));
    assert_eq!(bench.store.members(None).unwrap().len(), 1);
}

fn a_setup_token_dies_after_its_time(backend: Backend) {
    let bench = Bench::new(backend);
    let (hash, later) = ([7; 32], NOW.plus(Millis::HOUR));
    bench.store.put_setup_token(&hash, later).unwrap();
    assert!(bench.store.setup_token_valid(&hash, later.plus(-1)).unwrap());
    assert!(!bench.store.setup_token_valid(&hash, later).unwrap());
    let member =
        NewMember { name: "m".to_owned(), role: Role::Owner, organization: None, password_hash: "x".to_owned() };
    assert!(matches!(
        bench.store.complete_setup(&hash, &member, &By::command_line(later)),
        Err(StoreError::TokenSpent)
    ));
}

fn an_api_token_is_found_until_its_end(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scopes: Scopes = TokenScope::ALL.into_iter().collect();
    let new = |byte: u8, reach: TokenReach, expires_at: Option<Millis>| NewApiToken {
        reach,
        name: "t".to_owned(),
        hint: "tka_".to_owned(),
        token_hash: [byte; 32],
        scopes: scopes.clone(),
        expires_at,
    };
    let (later, by) = (NOW.plus(Millis::HOUR), |at| By::command_line(at));
    let (own, whole) = (TokenReach::App(app.id), TokenReach::Organization(app.organization.id));
    let make = |new: &NewApiToken| bench.store.create_api_token(new, &by(NOW));
    let one = make(&new(1, own, Some(later))).unwrap();
    let all = make(&new(2, whole, None)).unwrap();
    assert!(one.covers(&app) && all.covers(&app) && one.scopes == scopes);
    assert!(matches!(make(&new(1, whole, None)), Err(StoreError::Exists(_))));
    for nowhere in [TokenReach::App(AppId(99)), TokenReach::Organization(OrganizationId(99))] {
        assert!(matches!(make(&new(3, nowhere, None)), Err(StoreError::NotFound(_))));
    }
    let found = |byte: u8, at: Millis| bench.store.find_api_token(&[byte; 32], at).unwrap().map(|token| token.id);
    assert_eq!((found(1, later.plus(-1)), found(1, later), found(3, NOW)), (Some(one.id), None, None));
    // An end comes nearer, never later, and an end to come is no end yet.
    for (at, works_until) in [(later, later), (later.plus(5), later), (later.plus(-5), later.plus(-5))] {
        bench.store.revoke_api_token(all.id, &by(at)).unwrap();
        assert_eq!((found(2, works_until.plus(-1)), found(2, works_until)), (Some(all.id), None));
    }
    assert!(matches!(bench.store.revoke_api_token(ApiTokenId(99), &by(NOW)), Err(StoreError::NotFound(_))));
    let ids = |of| bench.store.api_tokens(of).unwrap().iter().map(|token| token.id).collect::<Vec<_>>();
    for (of, listed) in [
        (Concerning::Box, vec![all.id, one.id]),
        (Concerning::App(app.id), vec![all.id, one.id]),
        (Concerning::Organization(app.organization.id), vec![all.id, one.id]),
        (Concerning::App(AppId(99)), vec![]),
        (Concerning::Organization(OrganizationId(99)), vec![]),
    ] {
        assert_eq!(ids(of), listed, "{of:?}");
    }
}

fn a_newer_or_changed_schema_is_refused(backend: Backend) {
    for change in [
        "INSERT INTO migrations (number, name, sha256) VALUES (9999, 'from-the-future.sql', 'x')",
        "UPDATE migrations SET sha256 = 'edited' WHERE number = 1",
    ] {
        let bench = Bench::new(backend);
        bench.database.alter(change);
        assert!(matches!(open(&bench.database), Err(StoreError::Schema(_))), "{change}");
    }
}

fn credentials_are_found_by_token_and_by_every_path(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let hash = [3; 32];
    let new = NewIngestKey {
        environment: app.environments[0].id,
        kind: KeyKind::Secret,
        name: "k".into(),
        hint: "h".into(),
        token_hash: hash,
        sealed_secret: vec![],
    };
    let key = bench.store.create_key(&new, &By::command_line(NOW)).unwrap();
    let (org, name) = (app.organization.uuid.to_string(), app.uuid.to_string());
    let path = |a: &str, b: &str| KeyLookup::Path(a.to_owned(), b.to_owned());
    let lookups = [
        KeyLookup::Token(hash),
        path(&org, &name),
        path("default", "test-app"),
        path(&org.to_uppercase(), "test-app"),
        path("test-app", "whatever-service"),
        path(&name, "whatever-service"),
    ];
    for lookup in &lookups {
        let ring = bench.store.key_ring(lookup, NOW).unwrap().unwrap_or_else(|| panic!("{lookup:?}"));
        assert_eq!((ring.app.id, ring.keys[0].id), (app.id, key.id), "{lookup:?}");
    }
    for lookup in [KeyLookup::Token([4; 32]), path(&org, "nothing"), path("default", "default")] {
        assert!(bench.store.key_ring(&lookup, NOW).unwrap().is_none(), "{lookup:?}");
    }
    bench.store.revoke_key(key.id, &By::command_line(NOW.plus(1_000))).unwrap();
    assert!(bench.store.key_ring(&lookups[0], NOW).unwrap().is_some());
    for lookup in &lookups {
        assert!(bench.store.key_ring(lookup, NOW.plus(1_000)).unwrap().is_none(), "{lookup:?}");
    }
}

fn a_request_larger_than_the_queue_is_taken_when_the_queue_is_empty(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let size = QueueSize { requests: 4, bytes: 100 };
    let (intake, _writer) = Intake::start(bench.store.clone(), bench.limits.clone(), Clock::manual(NOW), size).unwrap();
    let event = Sent::new("a");
    let request = Request {
        scope,
        received_at: NOW,
        sent_at: None,
        nonce: None,
        claims: vec![event.claim(), event.claim()],
        people: Vec::new(),
        sign_out: None,
    };
    let receipt = bench.runtime.block_on(intake.accept(request)).unwrap();
    assert_eq!(receipt.outcomes, [Outcome::Stored, Outcome::Duplicate]);
}

/// PostgreSQL's months are judged by the machine's clock, which has left [`NOW`] far behind.
fn an_event_older_than_events_are_kept_is_set_aside(backend: Backend) {
    let bench = Bench::with(backend, Limits { age: 30 * Millis::DAY, ..Limits::default() });
    let scope = bench.scope(&bench.app("UTC"), 0);
    let of = |days: i64| Sent { at: NOW.plus(-days * Millis::DAY), ..Sent::new("e") };
    let receipt = bench.send(&scope, &[of(29), of(31)]).unwrap();
    assert!(
        matches!(receipt.outcomes[..], [Outcome::Stored, Outcome::SetAside(Reason::TooOld, Some(_))]),
        "{receipt:?}"
    );
}
