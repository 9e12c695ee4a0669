//! Names that turn out to be one person's: whatever the order, all of it counts for one.

use std::collections::{BTreeMap, HashMap};
use std::thread;

use super::recount::{Noise, compare};
use super::*;
use crate::harness::{Server, poll};
use crate::moving::look;

on_both_backends! {
    names_of_one_person_count_as_one_whatever_the_order,
    chains_and_circles_come_to_one_name,
    a_shared_device_keeps_its_history_with_the_first,
    whoever_is_known_becomes_another_only_where_that_is_meant,
    what_is_set_once_fills_what_is_empty,
    after_every_step_the_summaries_are_what_lies_beneath,
    what_is_told_of_a_person_is_shown_found_and_erased,
    an_erasure_in_the_middle_leaves_nothing,
    a_link_in_the_middle_of_another_loses_nothing,
    twenty_who_sign_in_at_once_are_one_person,
    a_linked_app_goes_as_a_whole,
    a_killed_server_goes_on_where_it_was,
}

/// One event, under a name, with what its user was called before, where it tells that.
#[derive(Clone, Debug)]
struct Told {
    sent: Sent,
    earlier: Option<String>,
}

impl Told {
    fn claim(&self) -> Claim<'_> {
        match self.sent.claim() {
            Claim::Event(raw) => Claim::Event(RawEvent { anonymous: self.earlier.as_deref().map(Into::into), ..raw }),
            other => other,
        }
    }
}

/// Where names lead, as plainly as that can be said: the first link of a name stays.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    fn of(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn link(&mut self, from: &str, into: &str) {
        let into = self.of(into);
        if self.0.contains_key(from) || into == from {
            return;
        }
        for root in self.0.values_mut().filter(|root| *root == from) {
            root.clone_from(&into);
        }
        self.0.insert(from.to_owned(), into);
    }
}

impl Bench {
    fn name_both(&self, scope: &Scope, events: &[Told]) {
        self.request(scope, events.iter().map(Told::claim).collect(), None).unwrap();
    }

    fn people(&self, scope: &Scope, people: Vec<RawPerson<'_>>) {
        self.accept(Request { people, ..Request::new(scope.clone(), NOW) }).unwrap();
    }

    pub(super) fn link(&self, scope: &Scope, from: &str, into: &str) {
        let person = RawPerson { user: Some(into.into()), anonymous: Some(from.into()), ..RawPerson::default() };
        self.people(scope, vec![person]);
    }

    fn does(&self, scope: &Scope, user: &str, session: &str, ago: i64) {
        let sent = Sent {
            user: Some(user.to_owned()),
            session: Some(session.to_owned()),
            at: NOW.plus(-ago),
            ..Sent::new("open")
        };
        self.send(scope, &[sent]).unwrap();
    }

    /// So often within one hour.
    fn does_often(&self, scope: &Scope, user: &str, times: i64) {
        let sent = |number: i64| Sent {
            id: EventId::random(),
            user: Some(user.to_owned()),
            session: Some(format!("{user}-{}", number / 50)),
            at: NOW.plus(-100 * Millis::HOUR + number),
            ..Sent::new("open")
        };
        let all: Vec<_> = (0..times).map(sent).collect();
        for batch in all.chunks(400) {
            self.send(scope, batch).unwrap();
        }
    }

    /// Does what is due for names; how many steps that took.
    fn unite(&self) -> usize {
        for step in 0..10_000 {
            if self.store.unite(NOW).unwrap() == Uniting::Idle {
                return step;
            }
        }
        panic!("it is never done");
    }

    fn unlike(&self, scope: &Scope) -> Vec<SummaryDifference> {
        unlike(&*self.store, scope)
    }

    fn name(&self, scope: &Scope, name: &str) -> UserHash {
        tallybox::ingest::user_hash(&scope.app.salt, name)
    }

    fn known(&self, scope: &Scope, name: &str) -> Option<Person> {
        self.store.person(scope.environment, self.name(scope, name)).unwrap()
    }

    /// Rows that refer to users who are not there.
    fn orphans(&self) -> i64 {
        let of = |table: &str| {
            let sql = format!(
                "SELECT count(*) FROM {table} t WHERE t.user_id IS NOT NULL \
                 AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = t.user_id)"
            );
            self.database.count(&sql)
        };
        ["events", "user_days", "sessions"].map(of).iter().sum()
    }
}

/// What the summaries say that does not lie beneath.
fn unlike(store: &dyn Store, scope: &Scope) -> Vec<SummaryDifference> {
    let Some((first, last)) = store.summary_days(scope.environment).unwrap() else { return Vec::new() };
    let asked = |day| Recount { environment: scope.environment, zone: scope.app.zone.clone(), day };
    (first..=last).flat_map(|day| store.recount(&asked(day)).unwrap()).collect()
}

/// Events and links in any order, on both sides of the links, late and repeated, over steps that were taken or not, restarts
/// and settled days: as if every event had been sent under the last name.
fn names_of_one_person_count_as_one_whatever_the_order(backend: Backend) {
    for (seed, zone, days_ago) in [(1, "Europe/Zurich", 14), (2, "Asia/Kolkata", 9), (3, "America/St_Johns", 35)] {
        let mut noise = Noise(seed);
        let mut bench = Bench::new(backend);
        let app = bench.app(zone);
        let scope = bench.scope(&app, 0);
        let start = NOW.plus(-days_ago * Millis::DAY);
        let mut events = Vec::new();
        for _ in 0..900 {
            let user = noise.below(40);
            let sent = Sent {
                at: start.plus(noise.below(6 * 24 * 60) as i64 * Millis::MINUTE),
                name: format!("e{}", noise.below(5)),
                user: (user > 0).then(|| format!("u{user}")),
                session: Some(format!("s{user}-{}", noise.below(4))),
                ..Sent::new("")
            };
            let earlier = (noise.below(12) == 0).then(|| format!("u{}", 1 + noise.below(40)));
            events.push(Told { earlier: earlier.filter(|_| user > 0), sent });
        }
        let mut arrivals = events.clone();
        for _ in 0..150 {
            arrivals.push(events[noise.below(900) as usize].clone());
        }
        for i in (1..arrivals.len()).rev() {
            arrivals.swap(i, noise.below(i as u64 + 1) as usize);
        }
        let mut names = Names::default();
        for (number, batch) in arrivals.chunks(29).enumerate() {
            bench.name_both(&scope, batch);
            for told in batch {
                if let (Some(user), Some(earlier)) = (&told.sent.user, &told.earlier) {
                    names.link(earlier, user);
                }
            }
            for _ in 0..noise.below(6) {
                bench.store.unite(NOW).unwrap();
            }
            match number % 12 {
                3 => bench.reopen(),
                7 => bench.settle(number as i64),
                11 => assert_eq!(bench.unlike(&scope), [], "after {number} in {zone}"),
                _ => {}
            }
        }
        bench.unite();
        let known: Vec<_> = events
            .iter()
            .map(|told| Sent { user: told.sent.user.as_ref().map(|user| names.of(user)), ..told.sent.clone() })
            .collect();
        compare(&bench, &scope, &app.zone, &known, start);
        bench.settle(100);
        compare(&bench, &scope, &app.zone, &known, start);
        assert_eq!(bench.unlike(&scope), [], "{zone}");
        assert_eq!(bench.orphans(), 0);
        let mut counts: BTreeMap<UserHash, i64> = BTreeMap::new();
        for user in known.iter().filter_map(|sent| sent.user.as_deref()) {
            *counts.entry(bench.name(&scope, user)).or_default() += 1;
        }
        let hash = bench.database.hex("u.hash");
        let sql = format!("SELECT {hash}, count(*) FROM events e JOIN users u ON u.id = e.user_id GROUP BY {hash}");
        let found: BTreeMap<_, _> = bench
            .database
            .sql(&sql)
            .lines()
            .map(|line| line.split_once('|').unwrap())
            .map(|(hash, count)| (UserHash::parse(&hash.to_lowercase()).unwrap(), count.parse::<i64>().unwrap()))
            .collect();
        assert_eq!(found, counts, "{zone}");
        assert_eq!(bench.database.count("SELECT count(*) FROM users"), counts.len() as i64);
        for day in (NOW.plus(-40 * Millis::DAY).0 / Millis::DAY)..(NOW.0 / Millis::DAY) {
            assert!(bench.store.settled_holds(scope.environment, day).unwrap(), "{day} in {zone}");
        }
    }
}

fn chains_and_circles_come_to_one_name(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    for (at, user) in ["a", "b", "c", "d"].into_iter().enumerate() {
        bench.does(&scope, user, &format!("s-{user}"), (at as i64 + 1) * Millis::HOUR);
    }
    for (from, into) in [("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("c", "c"), ("a", "b"), ("c", "d"), ("d", "a")]
    {
        bench.link(&scope, from, into);
        assert_eq!(bench.unlike(&scope), [], "{from} to {into}");
    }
    bench.unite();
    assert_eq!(bench.unlike(&scope), []);
    assert_eq!(bench.database.count("SELECT count(*) FROM users"), 1);
    for name in ["a", "b", "c", "d"] {
        let person = bench.known(&scope, name).unwrap();
        assert_eq!((person.hash, person.earlier.len()), (bench.name(&scope, "d"), 3), "{name}");
        bench.does(&scope, name, "later", Millis::MINUTE);
    }
    assert_eq!(bench.database.count("SELECT count(*) FROM users"), 1);
    assert_eq!(bench.database.count("SELECT count(DISTINCT user_id) FROM sessions"), 1);
}

fn a_shared_device_keeps_its_history_with_the_first(backend: Backend) {
    let mut bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.does(&scope, "device", "s1", 5 * Millis::HOUR);
    bench.link(&scope, "device", "ada");
    bench.reopen();
    bench.does(&scope, "ada", "s2", 4 * Millis::HOUR);
    // Somebody else signs in where Ada did.
    let told = |user: &str| Told {
        sent: Sent { user: Some(user.to_owned()), session: Some(format!("s-{user}")), ..Sent::new("open") },
        earlier: Some("device".to_owned()),
    };
    bench.name_both(&scope, &[told("bob"), told("ada"), told("bob")]);
    bench.does(&scope, "device", "s3", Millis::MINUTE);
    bench.unite();
    let events = |name: &str| {
        let hash = bench.database.hex("u.hash");
        let own = bench.name(&scope, name).to_string().to_uppercase();
        let sql = format!("SELECT count(*) FROM events e JOIN users u ON u.id = e.user_id WHERE {hash} = '{own}'");
        bench.database.count(&sql)
    };
    assert_eq!((events("ada"), events("bob"), events("device")), (4, 2, 0));
    assert_eq!(bench.database.count("SELECT count(*) FROM users"), 2);
    assert_eq!(bench.unlike(&scope), []);
}

fn whoever_is_known_becomes_another_only_where_that_is_meant(backend: Backend) {
    let mut bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    for user in ["device", "ada", "bob"] {
        bench.does(&scope, user, user, Millis::HOUR);
    }
    let link = |from: &str, into: &str, earlier: Earlier| RawPerson {
        user: Some(into.to_owned().into()),
        anonymous: Some(from.to_owned().into()),
        earlier,
        ..RawPerson::default()
    };
    let users = |bench: &Bench| {
        bench.unite();
        assert_eq!(bench.unlike(&scope), []);
        bench.database.count("SELECT count(*) FROM users")
    };
    // Known by what the same commit has told.
    let both = vec![link("device", "ada", Earlier::Unknown), link("ada", "bob", Earlier::Unknown)];
    bench.people(&scope, both);
    assert_eq!(users(&bench), 2);
    bench.reopen();
    bench.people(&scope, vec![link("ada", "bob", Earlier::Unknown)]);
    assert_eq!(users(&bench), 2, "she is known");
    bench.people(&scope, vec![link("new", "ada", Earlier::Unknown), link("bob", "new-bob", Earlier::Unknown)]);
    assert_eq!(users(&bench), 2, "nobody's name led to his");
    let meant = vec![link("ada", "new-bob", Earlier::Unknown), link("ada", "new-bob", Earlier::Anyone)];
    bench.people(&scope, meant);
    assert_eq!(users(&bench), 1);
    let whose = bench.known(&scope, "device").unwrap();
    assert_eq!(whose.hash, bench.name(&scope, "new-bob"));
}

fn what_is_set_once_fills_what_is_empty(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    let texts = |set: [&str; 2], once: [&str; 2]| {
        let [email, name, email_once, name_once] =
            [set[0], set[1], once[0], once[1]].map(|text| Some(text.to_owned().into()));
        RawPerson { user: Some("ada".into()), email, name, email_once, name_once, ..RawPerson::default() }
    };
    for (told, email, name) in [
        (vec![texts(["", ""], ["first@example.org", ""])], Some("first@example.org"), None),
        (vec![texts(["", ""], ["second@example.org", "A"])], Some("first@example.org"), Some("A")),
        (vec![texts(["", "Ada"], ["", "B"]), texts(["", ""], ["", "C"])], Some("first@example.org"), Some("Ada")),
        (vec![texts(["ada@example.org", ""], ["third@example.org", ""])], Some("ada@example.org"), Some("Ada")),
    ] {
        bench.people(&scope, told);
        let found = bench.known(&scope, "ada").unwrap().profile.unwrap();
        assert_eq!((found.email.as_deref(), found.name.as_deref()), (email, name));
    }
}

/// Whoever is killed leaves what a step leaves: the store is opened anew after each.
fn after_every_step_the_summaries_are_what_lies_beneath(backend: Backend) {
    let mut bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("Europe/Zurich"), 0);
    // Long before it is known who they are, in more events of an hour than are given together, and beside the other name.
    let old: Vec<_> = (0..1_300)
        .map(|number| Sent {
            user: Some("visitor-7".to_owned()),
            session: (number % 3 > 0).then(|| format!("s{}", number / 100)),
            at: NOW.plus(-50 * Millis::DAY).plus(if number < 700 { number } else { number * Millis::HOUR }),
            ..Sent::new("open")
        })
        .collect();
    let new: Vec<_> = (0..60)
        .map(|number| Sent {
            user: Some("ada".to_owned()),
            session: Some("s-ada".to_owned()),
            at: NOW.plus(-number * 13 * Millis::HOUR),
            ..Sent::new("open")
        })
        .collect();
    for batch in old.chunks(400).chain(new.chunks(400)) {
        bench.send(&scope, batch).unwrap();
    }
    bench.settle(0);
    bench.link(&scope, "visitor-7", "ada");
    let mut steps = 0;
    while bench.store.unite(NOW).unwrap() != Uniting::Idle {
        steps += 1;
        assert_eq!(bench.unlike(&scope), [], "after {steps}");
        assert!(steps < 100);
        if steps % 2 == 0 {
            bench.reopen();
            bench.does(&scope, "visitor-7", "late", 49 * Millis::DAY);
        }
    }
    assert!(steps > 3, "{steps}");
    assert_eq!((bench.database.count("SELECT count(*) FROM users"), bench.orphans()), (1, 0));
    let seen = bench.known(&scope, "visitor-7").unwrap().seen.unwrap();
    assert_eq!(seen.first_at, NOW.plus(-50 * Millis::DAY));
    let days = bench.database.count("SELECT count(DISTINCT day) FROM user_days");
    assert_eq!(seen.days, days as u64);
    assert_eq!(bench.database.count("SELECT count(*) FROM user_days"), days);
}

const MAIL: &str = "carla@canary.example";

impl Bench {
    /// Somebody who was anonymous first, then told who they are.
    fn carla(&self, scope: &Scope) {
        for hour in 0..30 {
            self.does(scope, "anonymous-carla", &format!("anonymous-{}", hour / 4), (hour + 20) * Millis::HOUR);
            self.does(scope, "carla-1", &format!("known-{}", hour / 4), hour * Millis::HOUR);
            self.does(scope, "neighbour", &format!("neighbour-{}", hour / 4), hour * Millis::HOUR);
        }
        let person = RawPerson {
            user: Some("carla-1".into()),
            anonymous: Some("anonymous-carla".into()),
            email: Some(MAIL.into()),
            name: Some("Carla Canaria".into()),
            ..RawPerson::default()
        };
        self.people(scope, vec![person]);
    }

    fn subject(&self, scope: &Scope, name: &str) -> Subject {
        Subject { environment: scope.environment, who: Who::User(self.name(scope, name)) }
    }

    fn rows_naming(&self, scope: &Scope, names: &[&str]) -> Vec<String> {
        let hashes = names.iter().map(|name| self.name(scope, name).to_string());
        let texts: Vec<_> = hashes.chain(names.iter().map(|name| (*name).to_owned())).collect();
        let holds = |row: &String| texts.iter().any(|text| row.to_lowercase().contains(&text.to_lowercase()));
        look::all(&self.database).into_iter().flat_map(|(_, rows)| rows).filter(holds).collect()
    }
}

fn what_is_told_of_a_person_is_shown_found_and_erased(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.carla(&scope);
    bench.unite();
    // Of what was said once nothing is lost when less is said the next time.
    bench.people(
        &scope,
        vec![RawPerson { user: Some("carla-1".into()), name: Some("Carla".into()), ..RawPerson::default() }],
    );
    for name in ["carla-1", "anonymous-carla"] {
        let told = bench.known(&scope, name).unwrap().profile.unwrap();
        let texts = (told.identifier.as_deref(), told.email.as_deref(), told.name.as_deref());
        assert_eq!(texts, (Some("carla-1"), Some(MAIL), Some("Carla")), "{name}");
    }
    let environments = vec![scope.environment];
    for text in ["carla-1", "anonymous-carla", MAIL] {
        let find =
            FindPeople { environments: environments.clone(), text: text.to_owned(), hash: bench.name(&scope, text) };
        let found: Vec<_> = bench.store.find_people(&find).unwrap().into_iter().map(|found| found.subject).collect();
        assert_eq!(found, [bench.subject(&scope, "carla-1")], "{text}");
    }
    let mut at = Some(FilePlace::begin(0));
    let mut file = String::new();
    while let Some(place) = at {
        let ask = FileAsk { app: scope.app.id, subject: bench.subject(&scope, "anonymous-carla"), at: place };
        let part = bench.store.file(&ask).unwrap();
        file += &format!("{}: {:?}\n", part.list, part.rows);
        at = part.next;
    }
    let earlier = bench.name(&scope, "anonymous-carla").to_string();
    assert!(
        file.contains(MAIL) && file.contains("links: [[(\"earlier_pseudonym\"") && file.contains(&earlier),
        "{file}"
    );
    bench.erase(&scope, bench.subject(&scope, "carla-1"), &["carla-1"]);
    assert_eq!(bench.rows_naming(&scope, &["carla-1", "anonymous-carla", MAIL]), Vec::<String>::new());
    assert_eq!(bench.database.count("SELECT count(*) FROM events"), 30, "those of the neighbour");
    assert_eq!(bench.database.count("SELECT count(*) FROM links"), 0);
    assert_eq!(bench.unlike(&scope), []);
}

fn an_erasure_in_the_middle_leaves_nothing(backend: Backend) {
    for steps in 0..5 {
        let bench = Bench::new(backend);
        let scope = bench.scope(&bench.app("UTC"), 0);
        bench.carla(&scope);
        bench.does(&scope, "other-device", "other", 3 * Millis::HOUR);
        // More in an hour than is given together.
        bench.does_often(&scope, "other-device", 800);
        bench.link(&scope, "other-device", "carla-1");
        for _ in 0..steps {
            bench.store.unite(NOW).unwrap();
        }
        bench.erase(&scope, bench.subject(&scope, "anonymous-carla"), &[]);
        bench.unite();
        let names = ["carla-1", "anonymous-carla", "other-device", MAIL];
        assert_eq!(bench.rows_naming(&scope, &names), Vec::<String>::new(), "{steps}");
        for (table, rows) in [("events", 30), ("users", 1), ("links", 0), ("profiles", 0), ("sessions", 8)] {
            assert_eq!(bench.database.count(&format!("SELECT count(*) FROM {table}")), rows, "{table} after {steps}");
        }
        assert_eq!((bench.orphans(), bench.unlike(&scope)), (0, Vec::new()), "{steps}");
        // Whoever comes again under any of these names is somebody new.
        bench.does(&scope, "anonymous-carla", "again", Millis::MINUTE);
        assert_eq!(bench.known(&scope, "anonymous-carla").unwrap().earlier, []);
    }
}

fn a_link_in_the_middle_of_another_loses_nothing(backend: Backend) {
    for steps in 1..4 {
        let bench = Bench::new(backend);
        let scope = bench.scope(&bench.app("UTC"), 0);
        for user in ["a", "b", "c"] {
            bench.does_often(&scope, user, 1_100);
        }
        bench.link(&scope, "a", "b");
        for step in 0..steps {
            bench.store.unite(NOW).unwrap();
            assert_eq!(bench.unlike(&scope), [], "after {step}");
        }
        bench.link(&scope, "b", "c");
        bench.unite();
        assert_eq!((bench.orphans(), bench.unlike(&scope)), (0, Vec::new()), "{steps}");
        let users = "SELECT count(DISTINCT user_id) FROM";
        assert_eq!(
            ["users", "events", "sessions", "user_days"].map(|table| match table {
                "users" => bench.database.count("SELECT count(*) FROM users"),
                table => bench.database.count(&format!("{users} {table}")),
            }),
            [1; 4],
            "{steps}"
        );
    }
}

fn twenty_who_sign_in_at_once_are_one_person(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let stores: Vec<_> = match backend {
        // One after the other on the server: every second one is another node's.
        Backend::Postgres => (0..2).map(|_| open(&bench.database).unwrap()).collect(),
        Backend::Sqlite => vec![bench.store.clone()],
    };
    let pipes: Vec<_> = stores
        .iter()
        .map(|store| {
            Intake::start(store.clone(), bench.limits.clone(), Clock::manual(NOW), QueueSize::default()).unwrap()
        })
        .collect();
    thread::scope(|threads| {
        for number in 0..20 {
            let (intake, scope) = (pipes[number % pipes.len()].0.clone(), scope.clone());
            threads.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                for round in 0..6 {
                    let sent = |user: &str, event: &str| Sent {
                        user: Some(user.to_owned()),
                        session: Some(format!("s{number}")),
                        at: NOW.plus(-(round + 1) * Millis::HOUR),
                        ..Sent::new(event)
                    };
                    let device = format!("device-{number}");
                    let told = [
                        Told { sent: sent(&device, "before"), earlier: None },
                        Told { sent: sent("ada", "sign-in"), earlier: (round > 0).then(|| device.clone()) },
                        Told { sent: sent(&device, "after"), earlier: None },
                    ];
                    for one in &told {
                        let claims = vec![one.claim()];
                        let request = Request { claims, ..Request::new(scope.clone(), NOW) };
                        runtime.block_on(intake.accept(request)).unwrap();
                    }
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..200 {
                bench.store.unite(NOW).unwrap();
            }
        });
    });
    for (intake, writer) in pipes {
        drop(intake);
        writer.join();
    }
    bench.unite();
    assert_eq!(bench.database.count("SELECT count(*) FROM links"), 20);
    assert_eq!(bench.database.count("SELECT count(*) FROM users"), 1);
    assert_eq!(bench.database.count("SELECT count(*) FROM events WHERE user_id = (SELECT id FROM users)"), 360);
    assert_eq!((bench.orphans(), bench.unlike(&scope)), (0, Vec::new()));
    assert_eq!(bench.series(&scope, Metric::Users, &[today(&app.zone)]), [1]);
}

fn a_linked_app_goes_as_a_whole(backend: Backend) {
    let bench = Bench::new(backend);
    let scope = bench.scope(&bench.app("UTC"), 0);
    bench.carla(&scope);
    let by = By::command_line(NOW);
    bench.store.change_app(scope.app.id, &AppChange::Archive, &by).unwrap();
    bench.store.change_app(scope.app.id, &AppChange::Delete, &by).unwrap();
    let now = NOW.plus(Millis::MINUTE);
    for _ in 0..1_000 {
        let work = WorkErasure { worker: "a worker".to_owned(), now, only: None };
        if bench.store.work_erasure(&work).unwrap().is_none_or(|erasure| erasure.ended_at.is_some()) {
            break;
        }
    }
    for table in ["links", "users", "profiles", "events"] {
        assert_eq!(bench.database.count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

/// Killed as soon as it has moved something, again and again.
fn a_killed_server_goes_on_where_it_was(backend: Backend) {
    let mut server = Server::with().backend(backend).prepare();
    std::fs::create_dir_all(server.data()).unwrap();
    let mut bench = Bench::new(Backend::Sqlite);
    bench.intake = None;
    bench.writer.take().unwrap().join();
    bench.store = open(server.database()).unwrap();
    bench.start();
    let scope = bench.scope(&bench.app("Europe/Zurich"), 0);
    for hour in 0..40 {
        let sent = |user: &str, name: &str| Sent {
            user: Some(user.to_owned()),
            session: Some(format!("{user}-{hour}")),
            at: NOW.plus(-hour * Millis::HOUR),
            ..Sent::new(name)
        };
        let mut events = vec![sent("ada", "known")];
        events.extend((0..100).map(|_| sent("visitor-7", "before")));
        bench.send(&scope, &events).unwrap();
    }
    bench.link(&scope, "visitor-7", "ada");
    let ada = bench.name(&scope, "ada").to_string().to_uppercase();
    let hash = server.database().hex("u.hash");
    let given = format!("SELECT count(*) FROM events e JOIN users u ON u.id = e.user_id WHERE {hash} = '{ada}'");
    assert_eq!(server.database().count(&given), 40);
    let (mut seen, mut kills) = (40, 0);
    while seen < 4_040 && kills < 4 {
        server.restart();
        seen = poll::until(Duration::from_secs(60), "events that were moved", || {
            Some(server.database().count(&given)).filter(|now| *now > seen)
        });
        server.crash();
        kills += 1;
        assert_eq!(unlike(&*bench.store, &scope), [], "after {kills} kills and {seen} events");
    }
    server.restart();
    poll::until(Duration::from_secs(60), "one user", || {
        (server.database().count("SELECT count(*) FROM users") == 1).then_some(())
    });
    server.stop();
    assert_eq!(server.database().count(&given), 4_040);
    assert_eq!(server.database().count("SELECT count(DISTINCT user_id) FROM sessions"), 1);
    assert_eq!(unlike(&*bench.store, &scope), []);
}
