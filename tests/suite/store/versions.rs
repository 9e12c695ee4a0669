//! Versions, statuses, rules and their account, over both databases.

mod nodes;

use super::*;

on_both_backends! {
    versions_are_known_from_what_is_counted_and_from_what_is_set,
    versions_are_searched_and_paged_in_their_order,
    a_status_takes_along_the_builds_that_have_another,
    a_build_is_set_alone,
    a_version_that_only_events_know_can_be_judged,
    a_rule_sets_what_is_lower_and_takes_it_back,
    a_rule_for_one_platform_judges_its_builds_alone,
    a_policy_holds_what_was_set_and_where_to_go,
    adoption_is_the_share_of_sessions_and_of_users,
    what_cannot_be_set_changes_nothing,
}

impl Bench {
    /// A version with its builds, as installations would have named them.
    fn named(&self, app: &App, version: &str, builds: &[(i64, Platform)]) {
        let id = self.database.count("SELECT coalesce(max(id), 0) + 1 FROM versions");
        let VersionNumber { major, minor, patch } = VersionNumber::of(version);
        let bytes = |number: i64| match &self.database {
            Database::Sqlite(_) => format!("X'{number:032x}'"),
            Database::Postgres(_) => format!("'\\x{number:032x}'"),
        };
        let mut sql = format!(
            "INSERT INTO versions (id, app_id, uuid, name, major, minor, patch, status, created_at) VALUES \
             ({id}, {}, {}, '{version}', {major}, {minor}, {patch}, 'SUPPORTED', {});",
            app.id,
            bytes(id),
            NOW.0
        );
        for (at, (number, platform)) in builds.iter().enumerate() {
            let build = id * 100 + at as i64;
            sql += &format!(
                "INSERT INTO builds (id, version_id, uuid, number, platform, status, created_at) VALUES \
                 ({build}, {id}, {}, {number}, '{}', 'SUPPORTED', {});",
                bytes(build),
                platform.as_str(),
                NOW.0
            );
        }
        self.database.alter(&sql);
    }

    /// The account of the app: its newest lines, or those before one. That it was made is left out.
    fn account(&self, app: &App, before: Option<i64>, limit: u32) -> Vec<AuditRow> {
        let (of, action, member) = (Concerning::App(app.id), String::new(), String::new());
        let mut rows = self.store.audit(&AuditPage { of, action, member, before, limit }).unwrap();
        rows.retain(|row| !["app.made", "key.made"].contains(&row.action.as_str()));
        rows
    }

    fn sessions_of(&self, scope: &Scope, version: &'static str, users: &[&str], at: Millis) {
        for user in users {
            let (session, user) = (Some(format!("{user} {version} {}", at.0)), Some((*user).to_owned()));
            self.send(scope, &[Sent { version, user, session, at, ..Sent::new("opened") }]).unwrap();
        }
    }

    fn set(&self, app: &App, version: &str, status: VersionStatus, notes: Option<&str>) -> Vec<VersionChange> {
        self.store.set_version_status(&status_of(app, version, None, status, notes)).unwrap()
    }

    fn rule(&self, app: &App, platform: Option<Platform>, required: Option<&str>) -> Vec<VersionChange> {
        self.store.set_version_rule(&rule_of(app, platform, required)).unwrap()
    }

    fn found(&self, app: &App, version: &str) -> VersionDetail {
        self.store.version(&page_of(app), version).unwrap().unwrap_or_else(|| panic!("no {version}"))
    }

    /// Status of each version and, behind a slash, of each build.
    fn statuses(&self, app: &App) -> Vec<String> {
        let all = self.store.versions(&page_of(app)).unwrap().rows;
        let of = |one: KnownVersion| {
            let builds = self.found(app, &one.name).builds;
            let builds = builds.iter().map(|b| format!("/{}{}", b.platform.as_str(), b.judged.status.as_str()));
            format!("{} {}{}", one.name, one.judged.status.as_str(), builds.collect::<String>())
        };
        all.into_iter().map(of).collect()
    }
}

fn page_of(app: &App) -> VersionsPage {
    VersionsPage {
        app: app.id,
        environments: app.environments.iter().map(|environment| environment.id).collect(),
        since: NOW.plus(-7 * Millis::DAY),
        search: None,
        after: None,
        limit: 100,
    }
}

fn ada() -> By {
    By { at: NOW, member: "ada".to_owned(), place: "Firefox on Linux".to_owned() }
}

fn status_of(
    app: &App,
    version: &str,
    build: Option<(i64, Platform)>,
    status: VersionStatus,
    notes: Option<&str>,
) -> SetStatus {
    let (version, notes) = (version.to_owned(), notes.map(str::to_owned));
    SetStatus { app: app.id, version, build, status, notes, by: ada() }
}

fn rule_of(app: &App, platform: Option<Platform>, required: Option<&str>) -> SetRule {
    let rule = VersionRule {
        platform,
        required: required.map(str::to_owned),
        recommended: None,
        notes: required.map(|_| "too old".to_owned()),
        store_url: None,
        updated_at: NOW,
    };
    SetRule { app: app.id, rule, by: ada() }
}

fn names(list: &Versions) -> Vec<&str> {
    list.rows.iter().map(|row| row.name.as_str()).collect()
}

fn versions_are_known_from_what_is_counted_and_from_what_is_set(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("Asia/Kolkata");
    let (production, development) = (bench.scope(&app, 0), bench.scope(&app, 1));
    let days_ago = |days: i64| NOW.plus(-days * Millis::DAY);
    bench.sessions_of(&production, "1.0", &["ada"], days_ago(40));
    bench.sessions_of(&production, "1.0", &["ada"], days_ago(2));
    bench.sessions_of(&development, "1.0", &["ada", "ben"], days_ago(1));
    bench.sessions_of(&production, "10.0", &["ada", "ben"], days_ago(1));
    bench.sessions_of(&production, "2.0", &["ada"], days_ago(1));
    bench.sessions_of(&production, OTHER, &["cap"], days_ago(1)); // those beyond a cap
    bench.named(&app, "4.0", &[(7, Platform::Ios), (7, Platform::Android)]);
    bench.named(&app, OTHER, &[(0, Platform::Ios)]);
    let list = bench.store.versions(&page_of(&app)).unwrap();
    assert_eq!(names(&list), ["10.0", "4.0", "2.0", "1.0"]);
    assert_eq!((list.known, list.found, list.more), (4, 4, false));
    assert_eq!(list.sessions, 7, "with those beyond the cap, without what is older");
    let [_, named, _, old] = &list.rows[..] else { panic!("{list:?}") };
    assert_eq!((named.seen, named.created_at, named.builds), (None, Some(NOW), 2));
    assert_eq!((old.sessions, old.events, old.created_at), (3, 3, None));
    assert_eq!(old.judged, Judged::SUPPORTED);
    let (first, last) = old.seen.unwrap();
    for (bucket, at) in [(first, days_ago(40)), (last, days_ago(1))] {
        assert!((0..Millis::HOUR).contains(&at.since(bucket)), "{bucket:?} is not the hour of {at:?}");
    }
    let alone = VersionsPage { environments: vec![development.environment], ..page_of(&app) };
    let list = bench.store.versions(&alone).unwrap();
    assert_eq!(names(&list), ["4.0", "1.0"]);
    assert_eq!((list.rows[1].sessions, list.sessions), (2, 2));
    let other = App { id: AppId(app.id.0 + 1), ..app };
    assert_eq!(bench.store.version(&page_of(&other), "1.0").unwrap(), None);
}

fn versions_are_searched_and_paged_in_their_order(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let all = ["2.0", "10.0", "nightly", "2.0-beta", "1.9.9", "v3", "Ärger 1"];
    for version in all {
        bench.named(&app, version, &[]);
    }
    let sorted = ["10.0", "v3", "2.0", "2.0-beta", "1.9.9", "nightly", "Ärger 1"];
    let mut page = VersionsPage { limit: 3, ..page_of(&app) };
    let mut seen = Vec::new();
    loop {
        let list = bench.store.versions(&page).unwrap();
        assert_eq!((list.found, list.known), (7, 7));
        seen.extend(list.rows.iter().map(|row| row.name.clone()));
        page.after = list.rows.last().map(|row| row.name.clone());
        if !list.more {
            break;
        }
    }
    assert_eq!(seen, sorted);
    for (search, expected) in
        [("BETA", vec!["2.0-beta"]), ("ä", vec!["Ärger 1"]), ("%", vec![]), ("2.", vec!["2.0", "2.0-beta"])]
    {
        let list = bench.store.versions(&VersionsPage { search: Some(search.to_owned()), ..page_of(&app) }).unwrap();
        assert_eq!(names(&list), expected, "{search}");
        assert_eq!((list.found, list.known), (expected.len(), 7));
    }
}

fn a_status_takes_along_the_builds_that_have_another(backend: Backend) {
    use VersionStatus::{Supported, UpdateRequired};
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let (old, new) = ((7, Platform::Ios), (8, Platform::Ios));
    bench.named(&app, "1.0", &[old, new, (7, Platform::Android)]);
    bench.store.set_version_status(&status_of(&app, "1.0", Some(old), UpdateRequired, Some("own"))).unwrap();
    let directory = bench.store.directory_version().unwrap();
    let changes = bench.set(&app, "1.0", UpdateRequired, Some("crashes"));
    let of = |build| VersionChange { app: app.id, version: "1.0".into(), build, from: Supported, to: UpdateRequired };
    assert_eq!(changes, [of(None), of(Some(new)), of(Some((7, Platform::Android)))]);
    assert!(bench.store.directory_version().unwrap() > directory);
    let found = bench.found(&app, "1.0");
    assert_eq!(
        found.version.judged,
        Judged { status: UpdateRequired, notes: Some("crashes".to_owned()), status_at: Some(NOW) }
    );
    let notes: Vec<_> = found.builds.iter().map(|build| (build.number, build.judged.notes.as_deref())).collect();
    assert_eq!(notes, [(8, None), (7, None), (7, Some("own"))], "the build that had it already is not touched");

    let told = bench.account(&app, None, 10);
    let told: Vec<_> =
        told.iter().map(|row| (row.action.as_str(), row.subject.as_str(), row.detail.as_str())).collect();
    assert_eq!(told[0], ("version.status", "1.0", "Supported → Update required; notes “crashes”; 2 builds with it"));
    assert_eq!(told[1].0, "build.status");
    assert_eq!(bench.set(&app, "1.0", UpdateRequired, Some("crashes")), []);
    assert_eq!(bench.account(&app, None, 10).len(), 2, "nothing was changed, so nothing is told");
    assert_eq!(bench.set(&app, "1.0", UpdateRequired, None), []);
    let newest = bench.account(&app, None, 1).remove(0);
    assert_eq!((newest.member.as_str(), newest.detail.as_str(), newest.at), ("ada", "notes removed", NOW));
    assert_eq!(bench.account(&app, Some(newest.id), 10).len(), 2);
}

fn a_build_is_set_alone(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    bench.named(&app, "1.0", &[(7, Platform::Ios), (7, Platform::Android)]);
    let set = |number, platform| {
        let set = status_of(&app, "1.0", Some((number, platform)), VersionStatus::Disabled, None);
        bench.store.set_version_status(&set)
    };
    assert_eq!(set(7, Platform::Ios).unwrap().len(), 1);
    assert_eq!(bench.statuses(&app), ["1.0 SUPPORTED/ANDROIDSUPPORTED/IOSDISABLED"]);
    for (number, platform) in [(8, Platform::Ios), (7, Platform::Web)] {
        assert!(matches!(set(number, platform), Err(StoreError::NotFound("build"))));
    }
}

fn a_version_that_only_events_know_can_be_judged(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    bench.sessions_of(&bench.scope(&app, 0), "1.0", &["ada"], NOW);
    assert_eq!(bench.set(&app, "1.0", VersionStatus::UpdateAvailable, None).len(), 1);
    let found = bench.found(&app, "1.0").version;
    assert_eq!((found.judged.status, found.sessions), (VersionStatus::UpdateAvailable, 1));
    assert_eq!(found.created_at, Some(NOW));
    let unknown = status_of(&app, "1.1", None, VersionStatus::Disabled, None);
    assert!(matches!(bench.store.set_version_status(&unknown), Err(StoreError::NotFound("version"))));
    let others = SetStatus { version: OTHER.to_owned(), ..unknown };
    assert!(matches!(bench.store.set_version_status(&others), Err(StoreError::NotFound("version"))));
    assert_eq!(bench.database.count("SELECT count(*) FROM versions"), 1);
    assert_eq!(bench.account(&app, None, 10).len(), 1);
}

fn a_rule_sets_what_is_lower_and_takes_it_back(backend: Backend) {
    use VersionStatus::{Disabled, Supported, UpdateAvailable};
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    bench.sessions_of(&bench.scope(&app, 0), "0.9", &["ada"], NOW); // without a row
    for version in ["1.0", "1.5", "1.9", "2.0"] {
        bench.named(&app, version, &[(1, Platform::Ios)]);
    }
    bench.set(&app, "1.0", Disabled, None);
    bench.set(&app, "1.5", UpdateAvailable, None);
    bench.named(&app, OTHER, &[]);
    let changed = bench.rule(&app, None, Some("2.0"));
    let changed: Vec<_> = changed.iter().map(|change| (change.version.as_str(), change.from)).collect();
    assert_eq!(changed, [("1.5", UpdateAvailable), ("1.9", Supported)]);
    assert_eq!(
        bench.statuses(&app),
        [
            "2.0 SUPPORTED/IOSSUPPORTED",
            "1.9 UPDATE_REQUIRED/IOSSUPPORTED",
            "1.5 UPDATE_REQUIRED/IOSUPDATE_AVAILABLE",
            "1.0 DISABLED/IOSDISABLED",
            "0.9 UPDATE_REQUIRED",
        ]
    );
    assert_eq!(bench.found(&app, "1.9").version.judged.notes.as_deref(), Some("too old"));
    // Set free by hand, it stays so while the rule asks for no more.
    bench.set(&app, "1.9", Supported, None);
    assert_eq!(bench.rule(&app, None, Some("2.0")), [], "the same rule again");
    let newest = bench.account(&app, None, 1).remove(0);
    assert_eq!(newest.action, "version.status", "the same rule again is nothing to tell");
    assert_eq!(bench.rule(&app, None, Some("1.9")), []);
    assert_eq!(bench.rule(&app, None, Some("1.2")).len(), 1);
    assert_eq!(bench.found(&app, "1.5").version.judged, Judged::SUPPORTED);
    assert_eq!(bench.rule(&app, None, None), []);
    assert_eq!(bench.store.version_rules(app.id).unwrap(), []);
    assert_eq!(bench.found(&app, "0.9").version.judged, Judged::SUPPORTED);
    let told = bench.account(&app, None, 1).remove(0);
    assert_eq!(told.detail, "required: “1.2” → nothing; notes: “too old” → nothing");
    assert_eq!((told.action.as_str(), told.subject.as_str()), ("version.rule", "all platforms"));
}

fn a_rule_for_one_platform_judges_its_builds_alone(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    bench.named(&app, "1.0", &[(1, Platform::Ios), (1, Platform::Android)]);
    bench.named(&app, "2.0", &[(2, Platform::Ios)]);
    let changed = bench.rule(&app, Some(Platform::Ios), Some("2.0"));
    assert_eq!(changed.iter().map(|change| change.build).collect::<Vec<_>>(), [Some((1, Platform::Ios))]);
    let judged = ["2.0 SUPPORTED/IOSSUPPORTED", "1.0 SUPPORTED/ANDROIDSUPPORTED/IOSUPDATE_REQUIRED"];
    assert_eq!(bench.statuses(&app), judged);
    bench.rule(&app, None, Some("0.1"));
    let rules = bench.store.version_rules(app.id).unwrap();
    assert_eq!(rules.iter().map(|rule| rule.platform).collect::<Vec<_>>(), [None, Some(Platform::Ios)]);
    assert_eq!(bench.rule(&app, Some(Platform::Ios), None).len(), 1);
    assert_eq!(bench.statuses(&app)[1], "1.0 SUPPORTED/ANDROIDSUPPORTED/IOSSUPPORTED");
}

fn a_policy_holds_what_was_set_and_where_to_go(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    let to = |version: &str, build| Destination { version: version.to_owned(), build };
    assert_eq!(bench.store.version_policy("no-such-app").unwrap(), None);
    assert_eq!(bench.store.version_policy(app.slug.as_str()).unwrap(), Some(VersionPolicy::default()));
    bench.named(&app, "1.0", &[(1, Platform::Ios)]);
    bench.named(&app, "2.0-rc", &[(30, Platform::Ios)]);
    bench.named(&app, "2.0", &[(20, Platform::Ios), (21, Platform::Ios), (20, Platform::Android)]);
    bench.named(&app, "3.0", &[(40, Platform::Android)]);
    bench.named(&app, "9.0", &[]);
    bench.named(&app, OTHER, &[(0, Platform::Ios)]);
    bench.database.alter(&format!("UPDATE versions SET major = 99 WHERE name = '{OTHER}'"));
    let policy = || bench.store.version_policy(&app.uuid.to_string()).unwrap().unwrap();
    let mut newest = policy().newest;
    newest.sort_by_key(|(platform, _)| platform.as_str());
    assert_eq!(newest, [(Platform::Android, to("3.0", Some(40))), (Platform::Ios, to("2.0", Some(21)))]);
    assert_eq!((policy().versions.len(), policy().newest_anywhere), (0, None));
    let off = status_of(&app, "2.0", Some((21, Platform::Ios)), VersionStatus::Disabled, None);
    bench.store.set_version_status(&off).unwrap();
    bench.set(&app, "3.0", VersionStatus::Disabled, None);
    bench.set(&app, "9.0", VersionStatus::Supported, Some("tested"));
    let policy = policy();
    let mut newest = policy.newest;
    newest.sort_by_key(|(platform, _)| platform.as_str());
    assert_eq!(newest, [(Platform::Android, to("2.0", Some(20))), (Platform::Ios, to("2.0", Some(20)))]);
    assert_eq!(policy.newest_anywhere, Some(to("9.0", None)));
    assert_eq!(policy.versions["3.0"].status, VersionStatus::Disabled);
    assert_eq!(policy.builds["2.0"].len(), 1);
}

fn adoption_is_the_share_of_sessions_and_of_users(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("America/St_Johns");
    let scope = bench.scope(&app, 0);
    let today = app.zone.local(NOW).day;
    let at = |day: i32| app.zone.midnight(day).plus(9 * Millis::HOUR);
    bench.sessions_of(&scope, "1.0", &["ada", "ben", "cat"], at(today - 2));
    bench.sessions_of(&scope, "1.0", &["ben", "cat"], at(today - 1));
    bench.sessions_of(&scope, "2.0", &["ada", "dan"], at(today - 1));
    let nobody = Sent { user: None, session: Some("nobody".to_owned()), at: at(today - 1), ..Sent::new("opened") };
    bench.send(&scope, &[Sent { version: "3.0", ..nobody }]).unwrap();
    bench.database.alter("UPDATE sessions SET id = id + 5000000000"); // after very many others
    let periods: Vec<_> = (today - 2..today).map(|at| day(&app.zone, at)).collect();
    let whole = period(&app.zone, periods[0].range.from, periods[1].range.to);
    let ask = |ask| bench.store.report(&Query { environment: scope.environment, ask }).unwrap().counts();
    for (version, sessions, users) in [("1.0", [3, 2], 3), ("2.0", [0, 2], 2), ("3.0", [0, 1], 0), ("4.0", [0, 0], 0)] {
        assert_eq!(ask(Ask::Adoption(version.to_owned(), periods.clone())), [sessions, [3, 5]], "{version}");
        assert_eq!(ask(Ask::AdoptionUsers(version.to_owned(), whole)), [[users], [4]], "{version}");
        assert_eq!(ask(Ask::AdoptionUsers(version.to_owned(), periods[0])), [[sessions[0]], [3]], "{version}");
    }
}

fn what_cannot_be_set_changes_nothing(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("UTC");
    bench.named(&app, "1.0", &[(1, Platform::Ios)]);
    let long = "x".repeat(501);
    let status = status_of(&app, "1.0", None, VersionStatus::Disabled, Some(&long));
    assert!(matches!(bench.store.set_version_status(&status), Err(StoreError::Unexpected(_))));
    let rule = rule_of(&app, None, Some("none"));
    assert!(matches!(bench.store.set_version_rule(&rule), Err(StoreError::Unexpected(_))));
    assert_eq!(bench.statuses(&app), ["1.0 SUPPORTED/IOSSUPPORTED"]);
    assert_eq!(bench.account(&app, None, 10), []);
}
