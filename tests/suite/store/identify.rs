//! Identify as the store keeps it: one version, device, user and session of each, however many ask at once.

use std::sync::Barrier;

use tallybox::model::{Created, Identified, Platform, PushPlatform, RawIdentify, RawPush, SessionTimes, VersionStatus};
use uuid::Uuid;

use super::*;

on_both_backends! {
    an_install_keeps_its_ids_and_is_counted,
    whoever_is_not_named_stays_who_they_were,
    two_installs_of_one_person_share_the_user_and_not_the_device,
    a_session_goes_on_until_it_ends_or_the_build_or_the_user_changes,
    signing_out_ends_the_session_and_leaves_the_user,
    an_address_for_messages_belongs_to_one_device,
    a_status_is_told_to_the_next_who_asks,
    first_identifies_at_once_agree,
    a_revoked_key_identifies_nobody,
    events_find_their_device_and_session,
    versions_beyond_the_cap_are_one,
}

pub mod nodes {
    crate::harness::backend::on_postgres_alone! { first_identifies_on_two_nodes_agree }

    fn first_identifies_on_two_nodes_agree() {
        let bench = super::Bench::new(super::Backend::Postgres);
        let scope = bench.scope(&bench.app("UTC"), 0);
        let stores: Vec<_> = (0..2).map(|_| super::open(&bench.database).unwrap()).collect();
        super::identify_at_once(&bench, &scope, &stores);
    }
}

const MINUTE: i64 = Millis::MINUTE;

pub fn claim(install: &str) -> RawIdentify<'_> {
    RawIdentify {
        install_id: install,
        platform: Platform::Ios,
        system_name: "iOS",
        system_version: "18.1",
        version: "1.2.3",
        build: 45,
        device_name: "a telephone",
        device_kind: "phone",
        device_brand: "Apple",
        ota: None,
        push: None,
        identifier: None,
        email: None,
        name: None,
        session: None,
        sdk_name: Some("@teardown/sdk"),
        sdk_version: Some("0.0.2"),
    }
}

impl Bench {
    pub fn identify(&self, scope: &Scope, at: i64, raw: &RawIdentify<'_>) -> Identified {
        self.try_identify(scope, at, raw).unwrap()
    }

    fn try_identify(&self, scope: &Scope, at: i64, raw: &RawIdentify<'_>) -> Result<Identified, Refusal> {
        let intake = self.intake.as_ref().unwrap();
        self.runtime.block_on(intake.identify(scope.clone(), NOW.plus(at), SessionTimes::default(), raw))
    }

    fn sign_out(&self, scope: &Scope, device: i64) {
        let request = Request {
            scope: scope.clone(),
            received_at: NOW,
            sent_at: None,
            nonce: None,
            claims: Vec::new(),
            people: Vec::new(),
            sign_out: Some(device),
        };
        self.accept(request).unwrap();
    }

    fn rows(&self, table: &str) -> i64 {
        self.database.count(&format!("SELECT count(*) FROM {table}"))
    }
}

fn ids(identified: &Identified) -> (Uuid, Uuid, Uuid) {
    (identified.device, identified.user, identified.session)
}

fn an_install_keeps_its_ids_and_is_counted(backend: Backend) {
    let mut bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let first = bench.identify(&scope, 0, &claim("a"));
    assert!(first.created.device && first.created.user && first.created.session);
    assert_eq!(first.version.status, VersionStatus::Supported);
    assert_eq!(first.version.update, None);
    assert_eq!((first.issued_at, first.token_expires_at), (NOW.seconds(), NOW.seconds() + 900));
    bench.reopen();
    let again = bench.identify(&scope, MINUTE, &claim("a"));
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(again.created, Created::default());
    bench.identify(&scope, 2 * MINUTE, &claim("b"));
    let today = today(&scope.app.zone);
    for (metric, count) in [(Metric::Users, 2), (Metric::Sessions, 2), (Metric::NewUsers, 2), (Metric::Events, 0)] {
        assert_eq!(bench.series(&scope, metric, &[today]), [count], "{metric:?}");
    }
    let tables = ["versions", "builds", "devices", "profiles", "device_sessions", "sessions", "users"];
    assert_eq!(tables.map(|table| bench.rows(table)), [1, 1, 2, 2, 2, 2, 2]);
    assert_eq!(bench.database.count("SELECT count(*) FROM apps WHERE first_session_at IS NOT NULL"), 1);
}

fn whoever_is_not_named_stays_who_they_were(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let nobody = bench.identify(&scope, 0, &claim("a"));
    let named = RawIdentify { identifier: Some("user-1"), email: Some("ana@example.com"), ..claim("a") };
    assert_eq!(ids(&bench.identify(&scope, 1, &named)), ids(&nobody), "the same user, now with a name");
    assert_eq!(ids(&bench.identify(&scope, 2, &claim("a"))), ids(&nobody));
    let told = RawIdentify { name: Some("Ana"), ..claim("a") };
    bench.identify(&scope, 3, &told);
    let row = bench.database.sql("SELECT identifier, email, name FROM profiles");
    assert_eq!(row.trim(), "user-1|ana@example.com|Ana");
    // Another person on the same device is another user; the first one stays.
    let other = bench.identify(&scope, 4, &RawIdentify { identifier: Some("user-2"), ..claim("a") });
    assert_eq!(other.device, nobody.device);
    assert!(other.user != nobody.user && other.created.user && other.session != nobody.session);
    assert_eq!(bench.rows("profiles"), 2);
}

fn two_installs_of_one_person_share_the_user_and_not_the_device(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let named = RawIdentify { identifier: Some("user-1"), ..claim("a") };
    let first = bench.identify(&scope, 0, &named);
    let nobody = bench.identify(&scope, 1, &claim("b"));
    assert_ne!(nobody.user, first.user);
    let second = bench.identify(&scope, 2, &RawIdentify { identifier: Some("user-1"), ..claim("b") });
    assert_eq!((second.user, second.device), (first.user, nobody.device));
    assert_eq!(bench.rows("profiles"), 1, "somebody without a name and without a device is gone");
    let elsewhere = Scope { environment: bench.app("UTC").environments[0].id, ..scope };
    assert_ne!(bench.identify(&elsewhere, 3, &named).user, first.user);
}

fn a_session_goes_on_until_it_ends_or_the_build_or_the_user_changes(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let first = bench.identify(&scope, 0, &claim("a"));
    let later = bench.identify(&scope, 14 * MINUTE, &claim("a"));
    assert_eq!(later.session, first.session);
    assert_eq!(later.issued_at, first.issued_at + 14 * 60, "its token would have expired before");
    assert_eq!(bench.identify(&scope, 28 * MINUTE, &claim("a")).session, first.session);
    let over = bench.identify(&scope, 44 * MINUTE, &claim("a"));
    assert!(over.created.session && over.session != first.session);
    let updated = bench.identify(&scope, 45 * MINUTE, &RawIdentify { build: 46, ..claim("a") });
    assert_ne!(updated.session, over.session);
    // The one that the client names, if it goes on; not that of another device.
    let back = bench.identify(&scope, 46 * MINUTE, &RawIdentify { session: Some(over.session), ..claim("a") });
    assert_eq!(back.session, over.session);
    let foreign = bench.identify(&scope, 46 * MINUTE, &RawIdentify { session: Some(over.session), ..claim("b") });
    assert_ne!(foreign.session, over.session);
    // Somebody without a name who is given one stays the same user, and so in the session.
    let named = RawIdentify { build: 46, identifier: Some("u"), ..claim("a") };
    let named = bench.identify(&scope, 47 * MINUTE, &named);
    assert_eq!((named.session, named.user), (updated.session, updated.user));
    // One that was left for another build is history, though its time is not over.
    let returned = bench.identify(&scope, 48 * MINUTE, &RawIdentify { identifier: Some("u"), ..claim("a") });
    assert!(returned.created.session && returned.session != over.session);
}

fn signing_out_ends_the_session_and_leaves_the_user(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let known = bench.identify(&scope, 0, &RawIdentify { identifier: Some("u"), ..claim("a") });
    let device = bench.store.find_device(scope.environment, "a").unwrap().unwrap();
    bench.sign_out(&scope, device.row);
    let after = bench.identify(&scope, 1, &claim("a"));
    assert_eq!(after.device, known.device);
    assert!(after.user != known.user && after.session != known.session);
    // Whoever has no name keeps their user.
    bench.sign_out(&scope, device.row);
    let nobody = bench.identify(&scope, 2, &claim("a"));
    assert!(nobody.user == after.user && nobody.session != after.session);
    let back = bench.identify(&scope, 3, &RawIdentify { identifier: Some("u"), ..claim("a") });
    assert_eq!(back.user, known.user);
    assert_eq!(bench.rows("profiles"), 1);
}

fn an_address_for_messages_belongs_to_one_device(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let push = |install: &'static str, token: Option<&'static str>| RawIdentify {
        push: Some(RawPush { platform: PushPlatform::Expo, token }),
        ..claim(install)
    };
    let active = || {
        let sql = "SELECT d.install_id, t.token FROM push_tokens t JOIN devices d ON d.id = t.device_id \
                   WHERE t.active = 1 ORDER BY 1, 2";
        bench.database.sql(sql).trim().replace('\n', " ")
    };
    for (install, token, expected) in [
        ("a", Some("x"), "a|x"),
        ("a", Some("x"), "a|x"),
        ("a", Some("y"), "a|y"),
        ("b", Some("y"), "b|y"),
        ("a", Some("x"), "a|x b|y"),
        ("b", None, "a|x"),
    ] {
        bench.identify(&scope, 0, &push(install, token));
        assert_eq!(active(), expected, "{install} {token:?}");
    }
    bench.identify(&scope, 0, &claim("a"));
    assert_eq!(active(), "a|x", "who says nothing changes nothing");
    assert_eq!(bench.rows("push_tokens"), 2);
}

fn a_status_is_told_to_the_next_who_asks(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.identify(&scope, 0, &claim("a"));
    bench.identify(&scope, 0, &RawIdentify { version: "1.3.0", build: 52, ..claim("b") });
    for status in VersionStatus::ALL {
        bench.database.alter(&format!(
            "UPDATE versions SET status = '{}', notes = 'because', status_at = 7 WHERE name = '1.2.3'",
            status.as_str()
        ));
        let told = bench.identify(&scope, 1, &claim("a")).version;
        assert_eq!(told.status, status);
        assert_eq!(told.update.is_some(), status.offers_update());
        if let Some(update) = told.update {
            assert_eq!((update.version.as_str(), update.build), ("1.3.0", 52));
            assert_eq!(update.notes.as_deref(), Some("because"));
        }
    }
    let app = scope.app.id.0;
    bench.database.alter(&format!(
        "INSERT INTO version_rules (app_id, platform, required, updated_at) VALUES ({app}, '', '1.1.0', 1)"
    ));
    let ancient = bench.identify(&scope, 2, &RawIdentify { version: "1.0.9", ..claim("c") });
    assert_eq!(ancient.version.status, VersionStatus::UpdateRequired, "the rule holds for whoever comes later");
}

fn first_identifies_at_once_agree(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    identify_at_once(&bench, &scope, std::slice::from_ref(&bench.store));
}

/// Twenty installations of a new version, and eight times one installation, all at once and spread over `stores`.
fn identify_at_once(bench: &Bench, scope: &Scope, stores: &[Arc<dyn Store>]) {
    let pipelines: Vec<_> = stores
        .iter()
        .map(|store| {
            Intake::start(store.clone(), bench.limits.clone(), Clock::manual(NOW), QueueSize::default()).unwrap()
        })
        .collect();
    let installs: Vec<_> = (0..28).map(|n| if n < 20 { format!("install-{n}") } else { "one".to_owned() }).collect();
    let start = Barrier::new(installs.len());
    let answers: Vec<_> = std::thread::scope(|threads| {
        let each = installs.iter().enumerate().map(|(n, install)| {
            let (intake, start) = (pipelines[n % pipelines.len()].0.clone(), &start);
            threads.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                start.wait();
                let claim = RawIdentify { version: "9.9.9", ..claim(install) };
                runtime.block_on(intake.identify(scope.clone(), NOW, SessionTimes::default(), &claim)).unwrap()
            })
        });
        each.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (intake, writer) in pipelines {
        drop(intake);
        writer.join();
    }
    assert!(answers[20..].windows(2).all(|two| (two[0].device, two[0].user) == (two[1].device, two[1].user)));
    let devices: std::collections::HashSet<_> = answers.iter().map(|answer| answer.device).collect();
    assert_eq!(devices.len(), 21);
    assert_eq!(["versions", "builds", "devices", "profiles"].map(|table| bench.rows(table)), [1, 1, 21, 21]);
}

fn a_revoked_key_identifies_nobody(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.store.revoke_key(scope.key.unwrap(), &By::command_line(NOW)).unwrap();
    assert_eq!(bench.try_identify(&scope, 0, &claim("a")), Err(Refusal::Unauthorized));
    assert_eq!(["versions", "devices", "users"].map(|table| bench.rows(table)), [0, 0, 0]);
    let without_key = Scope { key: None, ..scope };
    bench.identify(&without_key, 0, &claim("a"));
}

fn events_find_their_device_and_session(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let told = bench.identify(&scope, 0, &claim("a"));
    for name in ["a", &told.device.to_string()] {
        let device = bench.store.find_device(scope.environment, name).unwrap().unwrap();
        assert_eq!((device.id, device.user, device.session), (told.device, Some(told.user), Some(told.session)));
        assert_eq!((device.about.version.as_str(), device.about.build), ("1.2.3", 45));
        assert_eq!(device.about.sdk.as_deref(), Some("@teardown/sdk@0.0.2"));
    }
    let session = bench.store.find_session(scope.environment, told.session).unwrap().unwrap();
    assert_eq!((session.id, session.user), (told.session, Some(told.user)));
    let elsewhere = bench.app("UTC").environments[0].id;
    assert_eq!(bench.store.find_device(elsewhere, "a").unwrap(), None);
    assert_eq!(bench.store.find_session(elsewhere, told.session).unwrap(), None);
    assert_eq!(bench.store.find_device(scope.environment, "nobody").unwrap(), None);
    // An event of that device counts for the same user and session.
    let mut raw = RawEvent { name: "opened".into(), ..RawEvent::default() };
    (raw.user, raw.session) = (Some(told.user.to_string().into()), Some(told.session.to_string().into()));
    bench.request(&scope, vec![Claim::Event(raw)], None).unwrap();
    let today = today(&scope.app.zone);
    for metric in [Metric::Users, Metric::Sessions, Metric::Events] {
        assert_eq!(bench.series(&scope, metric, &[today]), [1], "{metric:?}");
    }
}

fn versions_beyond_the_cap_are_one(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let (app, cap) = (scope.app.id.0, Fact::Version.cardinality());
    bench.identify(&scope, 0, &claim("a"));
    // All but one of the others that there may be, at once.
    let id = if backend == Backend::Sqlite { "randomblob(16)" } else { "uuid_send(gen_random_uuid())" };
    bench.database.alter(&format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {cap} - 1) \
         INSERT INTO versions (app_id, uuid, name, major, minor, patch, status, created_at) \
         SELECT {app}, {id}, '0.0.' || n, 0, 0, n, 'SUPPORTED', 1 FROM n"
    ));
    for version in ["8.0.0", "8.0.1", "8.0.2"] {
        bench.identify(&scope, 1, &RawIdentify { version, ..claim("a") });
    }
    assert_eq!(bench.rows("versions"), i64::from(cap) + 1);
    assert_eq!(
        bench
            .database
            .count("SELECT count(*) FROM builds b JOIN versions v ON v.id = b.version_id WHERE v.name = '(other)'"),
        1
    );
}
