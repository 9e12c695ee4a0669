//! Devices, users and what a person did, against a naive list of the same.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use uuid::Uuid;

use super::identify::claim;
use super::recount::Noise;
use super::*;

on_both_backends! {
    devices_are_searched_sorted_and_paged,
    users_are_searched_sorted_and_paged,
    a_search_that_finds_too_many_users_says_so,
    a_timeline_has_every_event_of_its_user_once_and_in_order,
    clocks_that_are_wrong_hide_nothing_from_a_timeline,
    sessions_of_devices_stand_in_the_timeline_with_and_without_events,
    a_person_is_known_in_one_environment_alone,
    a_push_token_is_told_by_its_beginning_alone,
}

/// A device with its profile, as identify would have written them.
#[derive(Clone)]
struct Phone {
    id: Uuid,
    install_id: String,
    platform: &'static str,
    system: (&'static str, &'static str),
    name: String,
    brand: &'static str,
    created_at: i64,
    seen_at: i64,
}

impl Phone {
    fn new(number: i64) -> Self {
        Self {
            id: Uuid::new_v4(),
            install_id: format!("install-{number}"),
            platform: "IOS",
            system: ("iOS", "18.1"),
            name: format!("Phone {number}"),
            brand: "Apple",
            created_at: NOW.0 - number * 1_000,
            seen_at: NOW.0,
        }
    }
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

impl Bench {
    fn put_device(&self, environment: EnvironmentId, profile: Option<i64>, phone: &Phone) {
        let texts =
            [phone.platform, phone.system.0, phone.system.1, &phone.name, "phone", phone.brand].map(text).join(", ");
        self.database.alter(&format!(
            "INSERT INTO devices (env_id, install_id, uuid, profile_id, platform, system_name, system_version, name, kind, \
             brand, created_at, seen_at) VALUES ({environment}, {}, {}, {}, {texts}, {}, {})",
            text(&phone.install_id),
            self.database.bytes(phone.id.as_bytes()),
            profile.map_or("NULL".to_owned(), |row| row.to_string()),
            phone.created_at,
            phone.seen_at,
        ));
    }

    /// Tells of a user; the row.
    fn put_profile(&self, environment: EnvironmentId, user: UserHash, told: [Option<&str>; 3]) -> (i64, Uuid) {
        let id = Uuid::new_v4();
        let told = told.map(|told| told.map_or("NULL".to_owned(), text)).join(", ");
        let (uuid, hash) = (self.database.bytes(id.as_bytes()), self.database.bytes(&user.0));
        self.database.alter(&format!(
            "INSERT INTO profiles (env_id, uuid, hash, identifier, email, name, created_at, updated_at) \
             VALUES ({environment}, {uuid}, {hash}, {told}, 1, 1)"
        ));
        (self.database.count("SELECT max(id) FROM profiles"), id)
    }

    fn devices(&self, environment: EnvironmentId, search: &str, sort: DeviceSort) -> Vec<DeviceRow> {
        let mut page = DevicesPage { environment, search: search.to_owned(), sort, after: None, limit: 4 };
        let mut rows = Vec::new();
        loop {
            let list = self.store.devices(&page).unwrap();
            assert!(list.rows.len() <= 4 && (list.next.is_none() || list.rows.len() == 4));
            rows.extend(list.rows);
            let Some(next) = list.next else { return rows };
            page.after = Some(sort.cursor(&next.to_string()).unwrap());
        }
    }

    fn users(&self, environment: EnvironmentId, search: &str, sort: UserSort) -> Vec<UserRow> {
        let mut page = UsersPage { environment, search: search.to_owned(), sort, after: None, limit: 4 };
        let mut rows = Vec::new();
        loop {
            let list = self.store.users(&page).unwrap();
            assert!(!list.cut && list.rows.len() <= 4 && (list.next.is_none() || list.rows.len() == 4));
            rows.extend(list.rows);
            let Some(next) = list.next else { return rows };
            page.after = Some(Cursor::number(&next.to_string()).unwrap());
        }
    }

    fn hash_of(&self, scope: &Scope, user: &str) -> UserHash {
        let before = self.users(scope.environment, "", UserSort::LastSeen);
        self.send(scope, &[Sent { user: Some(user.to_owned()), session: None, ..Sent::new("hash") }]).unwrap();
        let after = self.users(scope.environment, "", UserSort::LastSeen);
        after.iter().find(|row| !before.iter().any(|old| old.hash == row.hash)).expect("a new user").hash
    }

    fn timeline(&self, scope: &Scope, user: UserHash, limit: u32) -> Vec<(TimelineItem, Option<SessionRow>)> {
        let (environment, zone) = (scope.environment, scope.app.zone.clone());
        let mut page = TimelinePage { environment, zone, user, before: None, limit };
        let mut items = Vec::new();
        loop {
            let Timeline { items: found, sessions, next } = self.store.timeline(&page).unwrap();
            assert!(found.len() <= limit as usize);
            items.extend(found.into_iter().map(|item| {
                let session = item.session.map(|place| sessions[place].clone());
                (item, session)
            }));
            let Some(next) = next else { return items };
            page.before = Some(Cursor::number(&next.to_string()).unwrap());
        }
    }
}

fn devices_are_searched_sorted_and_paged(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let [own, other] = [0, 1].map(|at| app.environments[at].id);
    let names =
        ["", "ana's phone", "Ana's tablet", "100% mine", "100 % mine", "under_score", "underXscore", "Ötzi", "a\\b"];
    let mut phones: Vec<Phone> = (0..23).map(Phone::new).collect();
    for (number, phone) in phones.iter_mut().enumerate() {
        phone.seen_at = NOW.0 - (number as i64 * 7 % 5) * 1_000;
        phone.created_at = NOW.0 - (number as i64 * 11 % 7) * 1_000;
        if let Some(name) = names.get(number) {
            (phone.name, phone.platform, phone.system) = ((*name).to_owned(), "GAME_CONSOLE", ("Orbis", "9"));
            phone.brand = "Sony";
        }
        bench.put_device(own, None, phone);
    }
    bench.put_device(other, None, &Phone::new(99));
    let folded = |phone: &Phone| phone.name.to_ascii_lowercase();
    let sorted = |sort: DeviceSort| -> Vec<Uuid> {
        let mut phones = phones.clone();
        match sort {
            DeviceSort::LastSeen => phones.sort_by_key(|phone| Reverse((phone.seen_at, *phone.id.as_bytes()))),
            DeviceSort::FirstSeen => phones.sort_by_key(|phone| Reverse((phone.created_at, *phone.id.as_bytes()))),
            DeviceSort::Name => phones.sort_by_key(|phone| (folded(phone), *phone.id.as_bytes())),
            DeviceSort::Platform => phones.sort_by_key(|phone| (phone.platform, folded(phone), *phone.id.as_bytes())),
        }
        phones.iter().map(|phone| phone.id).collect()
    };
    for sort in DeviceSort::ALL {
        let found: Vec<_> = bench.devices(own, "", sort).iter().map(|row| row.id).collect();
        assert_eq!(found, sorted(sort), "{sort:?}");
    }
    for (search, expected) in [
        ("ANA", 2),
        ("100%", 1),
        ("under_", 1),
        (r"a\b", 1),
        ("Ötzi", 1),
        ("sony", 9),
        ("game_console", 9),
        ("orbis 9", 9),
        ("install-1", 11),
        ("nstall-1", 0),
        (" iOS 18 ", 14),
        ("phone 2", 3),
        ("%", 2),
        ("_", 9),
        ("nothing\0", 0),
    ] {
        for sort in DeviceSort::ALL {
            let found = bench.devices(own, search, sort);
            let different: BTreeSet<_> = found.iter().map(|row| row.id).collect();
            assert_eq!((found.len(), different.len()), (expected, expected), "{search} by {sort:?}");
        }
    }
    let all = bench.devices(own, "Ana's tablet", DeviceSort::Name);
    let phone = &phones[2];
    let expected = DeviceRow {
        id: phone.id,
        install_id: phone.install_id.clone(),
        platform: "GAME_CONSOLE".to_owned(),
        system_name: "Orbis".to_owned(),
        system_version: "9".to_owned(),
        name: phone.name.clone(),
        kind: "phone".to_owned(),
        brand: "Sony".to_owned(),
        created_at: Millis(phone.created_at),
        seen_at: Millis(phone.seen_at),
        user: None,
        version: None,
    };
    assert_eq!(all, [expected]);
}

fn users_are_searched_sorted_and_paged(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("Asia/Kolkata");
    let (scope, other) = (bench.scope(&app, 0), bench.scope(&app, 1));
    let mut noise = Noise(7);
    let mut events = Vec::new();
    for _ in 0..150 {
        let at = NOW.plus(-(noise.below(20 * 24) as i64) * Millis::HOUR - Millis::HOUR);
        events.push(Sent { user: Some(format!("u{}", noise.below(30))), at, session: None, ..Sent::new("e") });
    }
    bench.send(&scope, &events).unwrap();
    bench.send(&other, &[Sent { user: Some("elsewhere".to_owned()), ..Sent::new("e") }]).unwrap();
    let mut expected: Vec<_> = (0..30)
        .filter_map(|user| {
            let times = events.iter().filter(|event| event.user == Some(format!("u{user}"))).map(|event| event.at);
            Some((times.clone().min()?, app.zone.local(times.max()?).day))
        })
        .collect();
    let told = |sort| {
        bench.users(scope.environment, "", sort).iter().map(|row| (row.first_at, row.last_day)).collect::<Vec<_>>()
    };
    expected.sort_by_key(|(first, _)| Reverse(*first));
    assert_eq!(told(UserSort::FirstSeen), expected);
    expected.sort_by_key(|(_, last)| Reverse(*last));
    let days = |users: &[(Millis, i32)]| users.iter().map(|(_, last)| *last).collect::<Vec<_>>();
    assert_eq!(days(&told(UserSort::LastSeen)), days(&expected));
    let all: BTreeSet<_> =
        bench.users(scope.environment, "", UserSort::LastSeen).iter().map(|row| row.hash.0).collect();
    assert_eq!(all.len(), expected.len(), "no user is in two pages");

    let users: Vec<UserHash> = all.into_iter().map(UserHash).collect();
    for (number, user) in users.iter().enumerate().skip(10) {
        let (identifier, email) = (format!("User-{number}"), format!("person{number}@Example.com"));
        let name = (number % 2 == 0).then_some("Ana Lopez");
        bench.put_profile(scope.environment, *user, [Some(&identifier), Some(&email), name]);
    }
    let (_, public) = bench.put_profile(scope.environment, users[0], [None, None, None]);
    bench.put_profile(other.environment, users[1], [Some("User-1"), Some("person1@example.com"), None]);
    let count = users.len();
    let pseudonym = users[3].to_string();
    for (search, expected) in [
        ("user-", count - 10),
        ("user-12", 1),
        ("person13@example.COM", 1),
        ("lopez", (10..count).filter(|number| number % 2 == 0).count()),
        ("person1@", 0),
        (&pseudonym[..8], 1),
        (&pseudonym.to_uppercase(), 1),
        (&pseudonym[..3], 0),
        (&public.to_string(), 1),
        (&public.to_string()[..13], 1),
        ("%", 0),
    ] {
        for sort in UserSort::ALL {
            let found = bench.users(scope.environment, search, sort);
            assert_eq!(found.len(), expected, "{search}");
            let keys =
                found.iter().map(|row| if sort == UserSort::LastSeen { row.last_day.into() } else { row.first_at.0 });
            assert!(keys.is_sorted_by_key(Reverse), "{search} by {sort:?}");
        }
    }
    let found = &bench.users(scope.environment, "user-12", UserSort::LastSeen)[0];
    let profile = found.profile.clone().unwrap();
    assert_eq!(
        (found.hash, profile.email.as_deref(), profile.name.as_deref()),
        (users[12], Some("person12@Example.com"), Some("Ana Lopez"))
    );
}

fn a_search_that_finds_too_many_users_says_so(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let names: Vec<String> = (0..1_001).map(|n| format!("u{n}")).collect();
    let events: Vec<_> =
        names.iter().map(|name| Sent { user: Some(name.clone()), session: None, ..Sent::new("e") }).collect();
    bench.send(&scope, &events).unwrap();
    bench.database.alter(&match bench.database {
        Database::Sqlite(_) => "INSERT INTO profiles (env_id, uuid, hash, identifier, created_at, updated_at) \
             SELECT env_id, randomblob(16), hash, 'known-' || id, 1, 1 FROM users"
            .to_owned(),
        Database::Postgres(_) => "INSERT INTO profiles (env_id, uuid, hash, identifier, created_at, updated_at) \
             SELECT env_id, uuid_send(gen_random_uuid()), uuid_send(hash), 'known-' || id, 1, 1 FROM users"
            .to_owned(),
    });
    let search = |search: &str| {
        let (environment, sort) = (scope.environment, UserSort::LastSeen);
        bench.store.users(&UsersPage { environment, search: search.to_owned(), sort, after: None, limit: 50 }).unwrap()
    };
    let list = search("known-");
    assert!(list.cut && list.rows.len() == 50 && list.next.is_some());
    assert!(!search("").cut);
}

/// The places of the events with the name `e`.
fn places(items: &[(TimelineItem, Option<SessionRow>)]) -> Vec<(Millis, [u8; 16])> {
    let told = items.iter().filter(|(item, _)| item.event.as_ref().is_some_and(|event| event.name == "e"));
    told.map(|(item, _)| (item.at, item.id)).collect()
}

/// What [`Bench::timeline`] should give: time by our clock and id, newest first.
fn expected(events: &[(Sent, Millis)], user: &str) -> Vec<(Millis, [u8; 16])> {
    let own = events.iter().filter(|(event, _)| event.user.as_deref() == Some(user));
    let mut own: Vec<_> = own.map(|(event, at)| (*at, event.id.0)).collect();
    own.sort_unstable_by_key(|place| Reverse(*place));
    own
}

fn a_timeline_has_every_event_of_its_user_once_and_in_order(backend: Backend) {
    for (seed, zone) in [(3, "Europe/Zurich"), (4, "Australia/Lord_Howe"), (5, "America/St_Johns")] {
        let bench = Bench::new(backend);
        let app = bench.app(zone);
        let scope = bench.scope(&app, 0);
        let mut noise = Noise(seed);
        let users = ["ada", "ben", "cy"].map(|user| (user, bench.hash_of(&scope, user)));
        let mut events: Vec<(Sent, Millis)> = Vec::new();
        for _ in 0..400 {
            // Days with change of clocks in all three zones, and some that are older than what is read together.
            let back = if noise.below(10) == 0 { 500 * Millis::DAY } else { 0 };
            let at = NOW.plus(-back - noise.below(40 * 24 * 60) as i64 * Millis::MINUTE - Millis::MINUTE);
            let user = users[noise.below(3) as usize].0;
            let session = (noise.below(3) > 0).then(|| format!("{user}-{}", noise.below(20)));
            events.push((Sent { at, user: Some(user.to_owned()), session, ..Sent::new("e") }, at));
        }
        let sent: Vec<_> = events.iter().map(|(event, _)| event.clone()).collect();
        bench.send(&scope, &sent).unwrap();
        for (user, hash) in users {
            for limit in [7, 50, 1_000] {
                let items = bench.timeline(&scope, hash, limit);
                assert_eq!(places(&items), expected(&events, user), "{user} in {zone}, {limit} at a time");
                let inside = |(item, session): &(TimelineItem, Option<SessionRow>)| {
                    session.as_ref().is_some_and(|session| session.started_at <= item.at && item.at <= session.ended_at)
                };
                assert!(items.iter().all(inside));
            }
        }
    }
}

fn clocks_that_are_wrong_hide_nothing_from_a_timeline(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let hash = bench.hash_of(&scope, "ada");
    // Others are there before and after, so that a clock has to be off by years to be off from all events.
    let others = [0, 1, 2, 3, 4, 5, 6].map(|day| NOW.plus(-day * Millis::DAY - Millis::MINUTE));
    bench.send(&scope, &others.map(|at| Sent { at, user: Some("ben".to_owned()), ..Sent::new("e") })).unwrap();
    let received_at = NOW.plus(-3 * Millis::DAY);
    let mut events = Vec::new();
    // Clocks behind and ahead: minutes, a zone, days and years, and one that was never set; all in the same hours.
    for (number, offset) in [
        0,
        9 * Millis::MINUTE,
        20 * Millis::MINUTE,
        -9 * Millis::HOUR,
        14 * Millis::HOUR,
        3 * Millis::DAY,
        -40 * Millis::DAY,
        9_000 * Millis::DAY,
        -800 * Millis::DAY,
    ]
    .into_iter()
    .enumerate()
    {
        for step in 0..5 {
            let at = received_at.plus(-(number as i64) * Millis::SECOND - step * 41 * Millis::MINUTE - Millis::MINUTE);
            let event = Sent { at: at.plus(-offset), user: Some("ada".to_owned()), ..Sent::new("e") };
            let sent_at = Some(received_at.plus(-offset));
            let request = Request {
                scope: scope.clone(),
                received_at,
                sent_at,
                nonce: None,
                claims: vec![event.claim()],
                people: Vec::new(),
                sign_out: None,
            };
            bench.accept(request).unwrap();
            events.push((event, at));
        }
    }
    for limit in [3, 1_000] {
        assert_eq!(places(&bench.timeline(&scope, hash, limit)), expected(&events, "ada"), "{limit} at a time");
    }
}

fn sessions_of_devices_stand_in_the_timeline_with_and_without_events(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let ada = RawIdentify { identifier: Some("ada"), ..claim("a") };
    let quiet = bench.identify(&scope, -3 * Millis::DAY, &ada);
    let loud = bench.identify(&scope, -2 * Millis::HOUR, &RawIdentify { version: "1.3.0", build: 52, ..ada.clone() });
    assert_eq!((quiet.user, quiet.device), (loud.user, loud.device));
    let (user, session) = (Some(loud.user.to_string()), Some(loud.session.to_string()));
    let at = NOW.plus(-Millis::HOUR);
    bench.send(&scope, &[Sent { at, user, session, ..Sent::new("e") }]).unwrap();
    // Somebody else with the same telephone.
    let ben = bench.identify(&scope, -Millis::MINUTE, &RawIdentify { identifier: Some("ben"), ..claim("a") });
    let users = bench.users(scope.environment, "", UserSort::LastSeen);
    let hash_of = |id| users.iter().find(|row| row.profile.as_ref().is_some_and(|told| told.id == id)).unwrap().hash;
    let (ada, ben) = (hash_of(loud.user), hash_of(ben.user));
    for limit in [1, 2, 10] {
        let items = bench.timeline(&scope, ada, limit);
        let told: Vec<_> = items
            .iter()
            .map(|(item, session)| {
                let session = session.clone().unwrap();
                let name = item.event.as_ref().map(|event| event.name.as_str());
                (item.at, name, session.events, session.version, session.build)
            })
            .collect();
        let of = |version: &str, build: &str| (Some(version.to_owned()), Some(build.to_owned()));
        let (late, early) = (of("1.3.0", "52"), of("1.2.3", "45"));
        let expected = [
            (at, Some("e"), 1, late.0.clone(), late.1.clone()),
            (NOW.plus(-2 * Millis::HOUR), None, 1, late.0, late.1),
            (NOW.plus(-3 * Millis::DAY), None, 0, early.0, early.1),
        ];
        assert_eq!(told, expected, "{limit} at a time");
        for (_, session) in items {
            let SessionRow { device, system, system_version, .. } = session.unwrap();
            let told = [device, system, system_version].map(Option::unwrap);
            assert_eq!(told, ["a telephone", "ios", "18.1"]);
        }
        assert_eq!(bench.timeline(&scope, ben, limit).len(), 1);
    }
    let person = |hash| bench.store.person(scope.environment, hash).unwrap().unwrap();
    let (ada, ben) = (person(ada), person(ben));
    assert_eq!((ada.sessions, ada.devices.len(), ada.seen.unwrap().days), (2, 0, 2));
    assert_eq!((ben.sessions, ben.devices.len()), (1, 1));
    assert_eq!(ben.devices[0].version, Some(("1.2.3".to_owned(), 45)), "of the newest session on the device");
}

fn a_person_is_known_in_one_environment_alone(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    let hash = bench.hash_of(&scope, "ada");
    let days = [1, 5, 500].map(|days| NOW.plus(-days * Millis::DAY));
    let events = days.map(|at| Sent { at, user: Some("ada".to_owned()), ..Sent::new("e") });
    bench.send(&scope, &events).unwrap();
    let person = bench.store.person(scope.environment, hash).unwrap().unwrap();
    let last_day = app.zone.local(NOW).day;
    assert_eq!(person.seen, Some(Seen { first_at: days[2], last_day, days: 4 }));
    assert_eq!((person.profile, person.devices, person.sessions), (None, vec![], 0));
    let other = app.environments[1].id;
    assert_eq!(bench.store.person(other, hash).unwrap(), None);
    assert_eq!(bench.store.person(scope.environment, UserHash([1; 16])).unwrap(), None);
    let page = TimelinePage { environment: other, zone: app.zone.clone(), user: hash, before: None, limit: 5 };
    assert_eq!(bench.store.timeline(&page).unwrap(), Timeline::default());
    // Known to the app before anything has happened.
    bench.put_profile(other, UserHash([2; 16]), [Some("early"), None, None]);
    let early = bench.store.person(other, UserHash([2; 16])).unwrap().unwrap();
    assert_eq!((early.seen, early.profile.unwrap().identifier.as_deref()), (None, Some("early")));
    assert_eq!(bench.store.person(scope.environment, UserHash([2; 16])).unwrap(), None);
}

fn a_push_token_is_told_by_its_beginning_alone(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let environment = app.environments[0].id;
    let (profile, _) = bench.put_profile(environment, UserHash([2; 16]), [Some("user-1"), None, None]);
    let phone = Phone::new(1);
    bench.put_device(environment, Some(profile), &phone);
    for (token, active) in [("ExponentPushToken[secret]", 1), ("short", 0)] {
        bench.database.alter(&format!(
            "INSERT INTO push_tokens (env_id, platform, token, device_id, profile_id, active, created_at, updated_at) \
             SELECT {environment}, 'EXPO', {}, max(id), {profile}, {active}, 1, 1 FROM devices",
            text(token)
        ));
    }
    let person = bench.store.person(environment, UserHash([2; 16])).unwrap().unwrap();
    let push =
        |hint: &str, active| PushRow { device: phone.id, platform: "EXPO".to_owned(), hint: hint.to_owned(), active };
    assert_eq!(person.push, [push("Exponent", true), push("short", false)]);
}
