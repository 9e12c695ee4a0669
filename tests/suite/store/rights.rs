//! People's rights: everything about one person and nothing of others, and no trace of them after an erasure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::thread;

use super::identify::claim;
use super::*;
use crate::moving::look;

on_both_backends! {
    a_file_holds_everything_of_one_person_and_nothing_of_others,
    an_erasure_leaves_no_row_that_names_them,
    neighbours_and_summaries_stay_as_they_are,
    a_person_who_comes_again_is_somebody_new,
    an_erasure_goes_on_where_another_worker_was_killed,
    two_nodes_erase_once,
    events_come_in_beside_an_erasure,
    a_device_goes_with_what_happened_on_it_and_its_user_stays,
    a_device_of_nobody_goes_with_them,
    a_shared_device_stays_with_the_others,
    a_person_is_found_by_all_that_is_known_of_them,
    a_deleted_app_goes_as_a_whole,
    a_changed_time_zone_hides_nothing,
    a_long_list_of_events_is_read_page_by_page,
}

const USER: &str = "canary-user-1";
const NAME: &str = "Carla Canaria";
const MAIL: &str = "carla@canary.example";
const INSTALL: &str = "canary-install-1";

impl Bench {
    fn says(&self, scope: &Scope, name: &str, user: Option<&str>, session: Option<&str>, at: i64, props: &str) {
        let props = serde_json::value::RawValue::from_string(props.to_owned()).unwrap();
        let claim = Claim::Event(RawEvent {
            id: Some(EventId::random()),
            claimed_at: Some(NOW.plus(-at)),
            name: name.into(),
            user: user.map(Into::into),
            session: session.map(Into::into),
            props: Some(Cow::Borrowed(&props)),
            ..RawEvent::default()
        });
        self.request(scope, vec![claim], None).unwrap();
    }

    fn hash(&self, scope: &Scope, user: &str) -> UserHash {
        tallybox::ingest::user_hash(&scope.app.salt, user)
    }

    /// One person in all tables, beside a neighbour who did the same.
    fn seed(&self, scope: &Scope) {
        for (user, install, name, mail) in
            [(USER, INSTALL, NAME, MAIL), ("neighbour", "install-2", "Norbert Neighbour", "n@other.example")]
        {
            for hour in 0..30 {
                let session = format!("{user}-session-{}", hour / 3);
                let props = format!(r#"{{"note":"{user} did {hour}"}}"#);
                self.says(scope, "open", Some(user), Some(&session), hour * Millis::HOUR, &props);
            }
            self.says(scope, "save", Some(user), None, 40 * Millis::HOUR, r#"{"derived":1}"#);
            let props = format!(r#"{{"before":"sign-in of {user}"}}"#);
            self.says(scope, "open", None, Some(&format!("{user}-session-0")), Millis::MINUTE, &props);
            let error = format!(r#"{{"kind":"{user}Error","message":"{user} broke it"}}"#);
            self.says(scope, "error", Some(user), Some(&format!("{user}-session-0")), Millis::MINUTE, &error);
            let shared = format!(r#"{{"kind":"Shared","message":"it broke for {user}"}}"#);
            self.says(scope, "error", Some(user), Some(&format!("{user}-session-0")), Millis::MINUTE, &shared);
            let push = RawPush { platform: PushPlatform::Apns, token: Some(install) };
            let told = RawIdentify {
                identifier: Some(user),
                email: Some(mail),
                name: Some(name),
                device_name: name,
                push: Some(push),
                ..claim(install)
            };
            self.identify(scope, 0, &told);
            let body = serde_json::value::RawValue::from_string(format!(r#"{{"owner":"{mail}"}}"#)).unwrap();
            let unusable =
                Claim::Event(RawEvent { name: "".into(), props: Some(Cow::Borrowed(&body)), ..RawEvent::default() });
            self.request(scope, vec![unusable], None).unwrap();
        }
    }

    fn find(&self, scope: &Scope, text: &str) -> Vec<Found> {
        let environments = scope.app.environments.iter().map(|environment| environment.id).collect();
        let hash = self.hash(scope, text);
        self.store.find_people(&FindPeople { environments, text: text.to_owned(), hash }).unwrap()
    }

    /// Whoever an app calls so, and whom SDKs do.
    pub(super) fn subjects(&self, scope: &Scope, text: &str) -> Vec<Subject> {
        self.find(scope, text).into_iter().map(|found| found.subject).collect()
    }

    fn ask(&self, scope: &Scope, subject: Subject, names: &[&str]) -> Erasure {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let ask = AskErasure { app: scope.app.id, subject, names, by: By::command_line(NOW) };
        self.store.ask_erasure(&ask).unwrap()
    }

    pub(super) fn erase(&self, scope: &Scope, subject: Subject, names: &[&str]) -> Erasure {
        let asked = self.ask(scope, subject, names);
        finish(&*self.store, asked.id, "a worker", NOW)
    }

    /// Everything that is known of a person, as the file has it.
    fn file(&self, scope: &Scope, subject: Subject) -> BTreeMap<&'static str, Vec<FileRow>> {
        let mut lists: BTreeMap<&'static str, Vec<FileRow>> = BTreeMap::new();
        let mut at = FilePlace::begin(0);
        for _ in 0..1_000 {
            let part = self.store.file(&FileAsk { app: scope.app.id, subject, at }).unwrap();
            lists.entry(part.list).or_default().extend(part.rows);
            match part.next {
                Some(next) => at = next,
                None => return lists,
            }
        }
        panic!("the file has no end: {at:?}");
    }

    /// All rows, as text.
    fn dump(&self) -> Vec<(&'static str, Vec<String>)> {
        look::all(&self.database)
    }

    fn differences(&self, scope: &Scope) -> Vec<SummaryDifference> {
        let Some((first, last)) = self.store.summary_days(scope.environment).unwrap() else { return Vec::new() };
        let asked = |day| Recount { environment: scope.environment, zone: scope.app.zone.clone(), day };
        (first..=last).flat_map(|day| self.store.recount(&asked(day)).unwrap()).collect()
    }
}

/// Works on one erasure until it is done.
fn finish(store: &dyn Store, id: uuid::Uuid, worker: &str, now: Millis) -> Erasure {
    for _ in 0..10_000 {
        let work = WorkErasure { worker: worker.to_owned(), now, only: Some(id) };
        match store.work_erasure(&work).unwrap() {
            Some(erasure) if erasure.ended_at.is_some() => return erasure,
            Some(_) => {}
            None => return store.erasure(id).unwrap().unwrap(),
        }
    }
    panic!("it does not end: {:?}", store.erasure(id).unwrap());
}

/// Rows of a dump in which one of the texts stands, whatever the case.
fn naming(dump: &[(&'static str, Vec<String>)], texts: &[String]) -> Vec<String> {
    let holds = |row: &String| texts.iter().any(|text| row.to_lowercase().contains(&text.to_lowercase()));
    let rows = |(table, rows): &(&'static str, Vec<String>)| {
        rows.iter().filter(|row| holds(row)).map(|row| format!("{table}: {row}")).collect::<Vec<_>>()
    };
    dump.iter().flat_map(rows).collect()
}

/// All that names the person: what the SDK and the app call them, and what is stored for that.
fn names(bench: &Bench, scope: &Scope) -> Vec<String> {
    let ids = bench.database.sql(&format!(
        "SELECT {} FROM profiles WHERE email = '{MAIL}' UNION ALL SELECT {} FROM profiles WHERE email = '{MAIL}' \
         UNION ALL SELECT {} FROM devices WHERE install_id = '{INSTALL}'",
        bench.database.hex("hash"),
        bench.database.hex("uuid"),
        bench.database.hex("uuid")
    ));
    let mut names: Vec<_> = ids.lines().map(str::to_owned).collect();
    assert_eq!(names.len(), 3, "{ids}");
    names.extend([USER, NAME, MAIL, INSTALL].map(str::to_owned));
    names.push(bench.hash(scope, USER).to_string());
    names
}

fn a_file_holds_everything_of_one_person_and_nothing_of_others(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("Europe/Zurich"), 0);
    bench.seed(&scope);
    let [sent, told] = bench.subjects(&scope, USER)[..] else { panic!("{:?}", bench.find(&scope, USER)) };
    let file = bench.file(&scope, sent);
    let counts: Vec<_> = file.iter().map(|(list, rows)| (*list, rows.len())).collect();
    assert!(counts.contains(&("events", 34)), "{counts:?}");
    assert!(counts.contains(&("users", 1)) && counts.contains(&("profiles", 0)), "{counts:?}");
    assert!(file["sessions"].len() == 11 && file["days"].len() >= 2, "{counts:?}");
    let text = format!("{file:?}");
    for part in [format!("{USER} did 29"), format!("sign-in of {USER}"), format!("{USER} broke it")] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    let file = bench.file(&scope, told);
    let counts: Vec<_> = file.iter().map(|(list, rows)| (*list, rows.len())).collect();
    for list in ["profiles", "devices", "device_days", "device_sessions", "push_tokens", "set_aside", "sessions"] {
        assert!(counts.contains(&(list, 1)), "{list} in {counts:?}");
    }
    let text = format!("{text}{file:?}");
    for part in [NAME, MAIL, INSTALL, "Apple", "1.2.3"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for foreign in ["neighbour", "Norbert", "other.example", "install-2"] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
}

fn an_erasure_leaves_no_row_that_names_them(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("Europe/Zurich"), 0);
    bench.seed(&scope);
    let names = names(&bench, &scope);
    let before = naming(&bench.dump(), &names);
    for table in ["events", "users", "profiles", "devices", "push_tokens", "set_aside", "error_groups", "strings"] {
        assert!(before.iter().any(|row| row.starts_with(table)), "{table} does not name them in {before:#?}");
    }
    let mut counts = BTreeMap::new();
    for subject in bench.subjects(&scope, USER) {
        let erased = bench.erase(&scope, subject, &[USER]);
        for (table, rows) in erased.counts.0 {
            *counts.entry(table).or_insert(0) += rows;
        }
    }
    assert_eq!(naming(&bench.dump(), &names), Vec::<String>::new());
    assert_eq!((counts["events"], counts["sessions"], counts["set_aside"], counts["users"]), (34, 12, 1, 2));
    let open = "SELECT count(*) FROM erasures WHERE user_id IS NOT NULL OR profile_id IS NOT NULL OR ended_at IS NULL";
    assert_eq!(bench.database.count(open), 0);
    let orphans = "SELECT count(*) FROM events e WHERE e.session_id IS NOT NULL \
                   AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = e.session_id)";
    assert_eq!(bench.database.count(orphans), 0);
    let receipts = bench.database.sql("SELECT action, detail FROM audit ORDER BY id");
    assert!(receipts.contains("person.erased|") && receipts.contains("events 34"), "{receipts}");
}

fn neighbours_and_summaries_stay_as_they_are(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("Asia/Kolkata"), 0);
    bench.seed(&scope);
    assert_eq!(bench.differences(&scope), []);
    let neighbour = bench.subjects(&scope, "neighbour");
    let files: Vec<_> = neighbour.iter().map(|subject| bench.file(&scope, *subject)).collect();
    let summaries = |bench: &Bench| -> Vec<_> {
        let kept = |(table, _): &(&str, Vec<String>)| {
            matches!(*table, "rollup_hours" | "rollup_days" | "intake_days" | "facts" | "versions" | "builds")
        };
        bench.dump().into_iter().filter(kept).collect()
    };
    let before = summaries(&bench);
    for subject in bench.subjects(&scope, USER) {
        bench.erase(&scope, subject, &[USER]);
    }
    assert_eq!(summaries(&bench), before);
    let after: Vec<_> = neighbour.iter().map(|subject| bench.file(&scope, *subject)).collect();
    assert_eq!(after, files);
    assert_eq!(bench.differences(&scope), [], "days with erased people may count more than lies beneath");
    assert!(bench.store.erased_days(scope.environment).unwrap() >= 2);
    bench.database.alter("UPDATE rollup_hours SET events = 0 WHERE dimension = 0 AND value = 0");
    assert_ne!(bench.differences(&scope), [], "and never less");
}

fn a_person_who_comes_again_is_somebody_new(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.seed(&scope);
    let asked: Vec<_> =
        bench.subjects(&scope, USER).into_iter().map(|subject| bench.ask(&scope, subject, &[])).collect();
    assert_eq!(bench.find(&scope, USER), [], "nothing finds them from the first moment on");
    assert_eq!(bench.find(&scope, MAIL), []);
    // Before, between and after the steps: in the session that they were in, and on their device.
    let session = format!("{USER}-session-0");
    bench.says(&scope, "again", Some(USER), Some(&session), 0, r#"{"new":1}"#);
    let told = RawIdentify { identifier: Some(USER), ..claim(INSTALL) };
    let new = bench.identify(&scope, 1, &told);
    assert!(new.created.user, "{new:?}");
    for erasure in &asked {
        finish(&*bench.store, erasure.id, "a worker", NOW);
    }
    bench.says(&scope, "again", Some(USER), Some(&session), 0, r#"{"new":2}"#);
    assert_eq!(bench.identify(&scope, 2, &told).user, new.user);
    let [sent, told] = bench.subjects(&scope, USER)[..] else { panic!("{:?}", bench.find(&scope, USER)) };
    assert_eq!(bench.file(&scope, sent)["events"].len(), 2);
    assert_eq!(bench.file(&scope, told)["device_sessions"].len(), 1);
    let orphans = "SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = e.session_id) \
                   AND e.session_id IS NOT NULL";
    assert_eq!(bench.database.count(orphans), 0);
}

fn an_erasure_goes_on_where_another_worker_was_killed(backend: Backend) {
    let mut bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.seed(&scope);
    let names = names(&bench, &scope);
    let asked: Vec<_> =
        bench.subjects(&scope, USER).into_iter().map(|subject| bench.ask(&scope, subject, &[])).collect();
    for erasure in &asked {
        let mut now = NOW;
        // Each worker does one step and is gone; the next may come when it is taken for gone.
        for worker in 0..100 {
            let work = |worker: String| WorkErasure { worker, now, only: Some(erasure.id) };
            if bench.store.work_erasure(&work(format!("worker {worker}"))).unwrap().is_none() {
                break;
            }
            let other = bench.store.work_erasure(&work("too early".to_owned())).unwrap();
            assert!(other.is_none(), "{other:?}");
            now = now.plus(20 * Millis::SECOND);
            if worker == 2 {
                bench.reopen();
            }
        }
        let ended = bench.store.erasure(erasure.id).unwrap().unwrap();
        assert!(ended.ended_at.is_some(), "{ended:?}");
    }
    assert_eq!(naming(&bench.dump(), &names), Vec::<String>::new());
}

fn two_nodes_erase_once(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.seed(&scope);
    for hour in 0..1_500 {
        bench.says(&scope, "tick", Some(USER), Some("many"), hour * Millis::SECOND, r#"{"canary":1}"#);
    }
    let subject = bench.subjects(&scope, USER)[0];
    let asked = bench.ask(&scope, subject, &[]);
    let nodes: Vec<_> = (0..2).map(|_| open(&bench.database).unwrap()).collect();
    thread::scope(|threads| {
        for (number, node) in nodes.iter().enumerate() {
            threads.spawn(move || {
                for _ in 0..10_000 {
                    // Both under one name, as the pages and the job of a node are: only one step is taken all the same.
                    let worker = if number == 0 { "one" } else { "the same" }.replace("the same", "one");
                    let work = WorkErasure { worker, now: NOW, only: Some(asked.id) };
                    if node.work_erasure(&work).unwrap().is_none_or(|erasure| erasure.ended_at.is_some()) {
                        return;
                    }
                }
                panic!("it does not end");
            });
        }
    });
    let ended = bench.store.erasure(asked.id).unwrap().unwrap();
    assert_eq!((ended.counts.0["events"], ended.counts.0["users"]), (1_534, 1), "{ended:?}");
    assert_eq!(bench.database.count("SELECT count(*) FROM audit WHERE action = 'person.erased'"), 1);
}

fn events_come_in_beside_an_erasure(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.seed(&scope);
    let subjects = bench.subjects(&scope, USER);
    let asked: Vec<_> = subjects.into_iter().map(|subject| bench.ask(&scope, subject, &[])).collect();
    thread::scope(|threads| {
        let store = bench.store.clone();
        let worker = threads.spawn(move || {
            for erasure in asked {
                finish(&*store, erasure.id, "a worker", NOW);
            }
        });
        for number in 0..200 {
            let user = if number % 2 == 0 { USER } else { "neighbour" };
            let session = format!("{user}-session-{}", number % 10);
            bench.says(&scope, "beside", Some(user), Some(&session), number * Millis::MINUTE, r#"{"beside":1}"#);
        }
        worker.join().unwrap();
    });
    assert_eq!(bench.database.count("SELECT count(*) FROM events WHERE props LIKE '%beside%'"), 200);
    let hash = bench.hash(&scope, USER);
    let subject = Subject { environment: scope.environment, who: Who::User(hash) };
    assert_eq!(bench.file(&scope, subject)["events"].len(), 100);
    assert_eq!(bench.differences(&scope), []);
    for table in ["events", "user_days"] {
        let strays = format!(
            "SELECT count(*) FROM {table} t WHERE t.user_id IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = t.user_id)"
        );
        assert_eq!(bench.database.count(&strays), 0, "{table}");
    }
    let orphans = "SELECT count(*) FROM events e WHERE e.session_id IS NOT NULL \
                   AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = e.session_id)";
    assert_eq!(bench.database.count(orphans), 0);
}

fn a_device_goes_with_what_happened_on_it_and_its_user_stays(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.seed(&scope);
    let second = RawIdentify { identifier: Some(USER), ..claim("canary-install-9") };
    bench.identify(&scope, 0, &second);
    let [device] = bench.subjects(&scope, INSTALL)[..] else { panic!("{:?}", bench.find(&scope, INSTALL)) };
    let file = bench.file(&scope, device);
    assert_eq!((file["devices"].len(), file["device_sessions"].len(), file["profiles"].len()), (1, 1, 0));
    let erased = bench.erase(&scope, device, &[]);
    assert_eq!((erased.kind, erased.counts.0["devices"]), (ErasureKind::Device, 1));
    assert_eq!(naming(&bench.dump(), &[INSTALL.to_owned()]), Vec::<String>::new());
    assert_eq!(bench.subjects(&scope, MAIL).len(), 1, "who they are stays");
    assert_eq!(bench.subjects(&scope, "canary-install-9").len(), 1);
    assert_eq!(bench.differences(&scope), []);
}

fn a_device_of_nobody_goes_with_them(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.identify(&scope, 0, &claim(INSTALL));
    let [device] = bench.subjects(&scope, INSTALL)[..] else { panic!("{:?}", bench.find(&scope, INSTALL)) };
    bench.erase(&scope, device, &[]);
    let tables = ["devices", "profiles", "device_sessions", "device_days", "sessions", "users", "user_days"];
    assert_eq!(tables.map(|table| bench.database.count(&format!("SELECT count(*) FROM {table}"))), [0; 7]);
}

fn a_shared_device_stays_with_the_others(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let told = |user| RawIdentify { identifier: Some(user), device_name: NAME, ..claim("tablet-of-all") };
    bench.identify(&scope, 0, &told("the other"));
    bench.identify(&scope, 1, &told(USER));
    let [person] = bench.subjects(&scope, USER)[..] else { panic!("{:?}", bench.find(&scope, USER)) };
    bench.erase(&scope, person, &[]);
    assert_eq!(bench.subjects(&scope, "tablet-of-all").len(), 1);
    assert_eq!(bench.database.count("SELECT count(*) FROM device_sessions"), 1);
    assert_eq!(bench.database.count("SELECT count(*) FROM devices WHERE profile_id IS NULL AND name = ''"), 1);
}

fn a_person_is_found_by_all_that_is_known_of_them(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    bench.seed(&scope);
    bench.says(&bench.scope(&app, 2), "open", Some(USER), None, 0, "{}");
    let found = bench.find(&scope, USER);
    let by: Vec<_> = found.iter().map(|found| (found.subject.environment, found.by)).collect();
    let [production, .., development] = &app.environments[..] else { panic!() };
    assert_eq!(
        by,
        [(production.id, FoundBy::UserId), (production.id, FoundBy::Profile), (development.id, FoundBy::UserId)]
    );
    assert_eq!(found[1].label.as_deref(), Some(NAME));
    let hash = bench.hash(&scope, USER).to_string();
    for (text, by) in [
        (hash.as_str(), FoundBy::Pseudonym),
        (&hash[..8], FoundBy::Pseudonym),
        ("CARLA@canary.example", FoundBy::Profile),
        (INSTALL, FoundBy::Device),
    ] {
        let found = bench.find(&scope, &format!(" {text} "));
        assert!(found.first().is_some_and(|found| found.by == by), "{text}: {found:?}");
    }
    for text in ["", "canary", "nobody", &hash[..7], "%"] {
        assert_eq!(bench.find(&scope, text), [], "{text}");
    }
}

fn a_deleted_app_goes_as_a_whole(backend: Backend) {
    let bench = Bench::new(backend);
    let (doomed, other) = (bench.app("UTC"), bench.app("UTC"));
    let scopes = [bench.scope(&doomed, 0), bench.scope(&doomed, 1), bench.scope(&other, 0)];
    for scope in &scopes {
        bench.seed(scope);
    }
    let [person, ..] = bench.subjects(&scopes[0], USER)[..] else { panic!() };
    bench.ask(&scopes[0], person, &[]);
    let rows = |app: &App| -> Vec<_> {
        let own = |table: &str, column: &str| match column {
            "app_id" => format!("SELECT count(*) FROM {table} WHERE app_id = {}", app.id),
            column => format!(
                "SELECT count(*) FROM {table} WHERE abs({column}) IN ({})",
                app.environments.iter().map(|environment| environment.id.to_string()).collect::<Vec<_>>().join(", ")
            ),
        };
        owned(&bench.database)
            .into_iter()
            .filter(|(table, _)| !matches!(table.as_str(), "audit" | "erasures"))
            .map(|(table, column)| (bench.database.count(&own(&table, &column)), table))
            .collect()
    };
    let kept = rows(&other);
    assert!(rows(&doomed).iter().filter(|(rows, _)| *rows > 0).count() > 18, "{:?}", rows(&doomed));
    let deleted = format!("UPDATE apps SET deleted_at = {} WHERE id = {}", NOW.0, doomed.id);
    bench.database.alter(&deleted);
    let work = |at: i64| WorkErasure { worker: "a worker".to_owned(), now: NOW.plus(at), only: None };
    for _ in 0..10_000 {
        if bench.store.work_erasure(&work(Millis::MINUTE)).unwrap().is_none() {
            break;
        }
    }
    assert!(rows(&doomed).iter().all(|(rows, _)| *rows == 0), "{:?}", rows(&doomed));
    assert_eq!(rows(&other), kept);
    assert!(bench.store.find_app(&doomed.uuid.to_string()).unwrap().is_none());
    for table in ["builds", "apps", "environments"] {
        assert!(bench.database.count(&format!("SELECT count(*) FROM {table}")) > 0, "{table}");
    }
    let receipt = bench.database.sql("SELECT detail FROM audit WHERE action = 'app.erased'");
    assert!(receipt.contains("events ") && receipt.contains("apps 1"), "{receipt}");
}

fn a_changed_time_zone_hides_nothing(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("Pacific/Kiritimati");
    let scope = bench.scope(&app, 0);
    bench.seed(&scope);
    let names = names(&bench, &scope);
    let by = By::command_line(NOW);
    bench.store.change_app(app.id, &AppChange::Zone("Pacific/Pago_Pago".to_owned()), &by).unwrap();
    let app = bench.store.find_app(&app.uuid.to_string()).unwrap().unwrap();
    let scope = Scope { app: Arc::new(app), ..scope };
    bench.says(&scope, "open", Some(USER), None, 3 * Millis::HOUR, r#"{"after":1}"#);
    let subjects = bench.subjects(&scope, USER);
    let file = bench.file(&scope, subjects[0]);
    let ids: std::collections::BTreeSet<_> = file["events"].iter().map(|row| format!("{:?}", row[0])).collect();
    assert_eq!((file["events"].len(), ids.len()), (35, 35));
    for subject in subjects {
        bench.erase(&scope, subject, &[]);
    }
    assert_eq!(naming(&bench.dump(), &names), Vec::<String>::new());
    assert_eq!(bench.database.count("SELECT count(*) FROM events"), 34);
}

fn a_long_list_of_events_is_read_page_by_page(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let sent = |number: i64, user: Option<&str>| {
        let at = NOW.plus(-(number / 7) * Millis::SECOND);
        Sent { at, user: user.map(str::to_owned), ..Sent::new(&format!("event {number}")) }
    };
    for user in [Some("ada"), None] {
        let events: Vec<_> = (0..430).map(|number| sent(number, user)).collect();
        bench.send(&scope, &events).unwrap();
    }
    let [subject] = bench.subjects(&scope, "ada")[..] else { panic!() };
    let file = bench.file(&scope, subject);
    let ids: std::collections::BTreeSet<_> = file["events"].iter().map(|row| format!("{:?}", row[0])).collect();
    assert_eq!((file["events"].len(), ids.len()), (860, 860), "those of nobody in the same session included");
    let erased = bench.erase(&scope, subject, &[]);
    assert_eq!((erased.counts.0["events"], erased.counts.0["sessions"]), (860, 1));
}

/// Tables with a column that names an app or an environment. A new one has to be thought of where apps are erased.
fn owned(database: &Database) -> Vec<(String, String)> {
    let sql = match database {
        Database::Sqlite(_) => {
            "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' \
             AND c.name IN ('app_id', 'env_id', 'environment_id') ORDER BY 1, 2"
        }
        Database::Postgres(_) => {
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' \
             AND column_name IN ('app_id', 'env_id', 'environment_id') AND table_name NOT LIKE 'events_%' ORDER BY 1, 2"
        }
    };
    let rows = database.sql(sql);
    rows.lines().filter_map(|line| line.split_once('|')).map(|(t, c)| (t.to_owned(), c.to_owned())).collect()
}

/// What is removed cannot be read in the files any more, neither in the database nor in its log.
#[test]
fn erased_bytes_are_overwritten() {
    let bench = Bench::new(Backend::Sqlite);
    let scope = bench.scope(&bench.app("UTC"), 0);
    for round in 0..40 {
        for number in 0..25 {
            let (user, canary) = if number % 3 == 0 { (USER, "bright-yellow-bird") } else { ("neighbour", "sparrow") };
            let props = format!(r#"{{"note":"{canary} {}"}}"#, "x".repeat(round * 100));
            let session = format!("{user}-{round}");
            bench.says(&scope, "open", Some(user), Some(&session), i64::from(number) * Millis::HOUR, &props);
        }
    }
    bench.identify(
        &scope,
        0,
        &RawIdentify { identifier: Some(USER), email: Some(MAIL), name: Some(NAME), ..claim(INSTALL) },
    );
    let Database::Sqlite(path) = &bench.database else { panic!() };
    let log = path.with_extension("db-wal");
    let hash = bench.hash(&scope, USER).0;
    let canaries: [&[u8]; 5] = [b"bright-yellow-bird", MAIL.as_bytes(), NAME.as_bytes(), INSTALL.as_bytes(), &hash];
    let found = || {
        let files = [std::fs::read(path).unwrap(), std::fs::read(&log).unwrap_or_default()].concat();
        canaries.map(|canary| files.windows(canary.len()).filter(|window| *window == canary).count())
    };
    assert!(found().iter().all(|count| *count > 0), "{:?}", found());
    for subject in bench.subjects(&scope, USER) {
        bench.erase(&scope, subject, &[]);
    }
    assert_eq!(found(), [0; 5]);
}
