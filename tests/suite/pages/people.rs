//! Pages of users, of their devices, and of one person.

use std::collections::BTreeSet;

use super::*;
use crate::harness::kit::Credentials;

on_both_backends! {
    empty_lists_say_what_would_be_in_them,
    a_person_is_found_with_devices_and_events,
    names_and_addresses_stand_on_the_pages_of_people_alone,
    people_of_another_app_or_environment_are_not_there,
    long_lists_go_on_behind_a_cursor,
    senseless_addresses_show_the_first_page,
}

const NAME: &str = "Ana <b>Lopez</b>";
const EMAIL: &str = "ana@example.com";
const TOKEN: &str = "ExponentPushToken[canary]";

impl Server {
    /// Pseudonyms of an app's users, in the order of their first events.
    fn pseudonyms(&self, app: &Credentials) -> Vec<String> {
        let hex = self.database().hex("u.hash");
        let sql = format!(
            "SELECT {hex} FROM users u JOIN environments e ON e.id = u.env_id JOIN apps a ON a.id = e.app_id \
             WHERE a.slug = '{}' ORDER BY u.first_at",
            app.slug
        );
        self.sql(&sql).lines().map(str::to_lowercase).collect()
    }

    /// Tells of a user of an app's first environment, who has a device.
    fn tell(&self, app: &Credentials, pseudonym: &str) {
        let bytes = |bytes: &[u8]| self.database().bytes(bytes);
        let [profile, device] = [(); 2].map(|()| bytes(uuid::Uuid::new_v4().as_bytes()));
        let hash = bytes(&hex::decode(pseudonym).unwrap());
        let environment = format!(
            "(SELECT min(e.id) FROM environments e JOIN apps a ON a.id = e.app_id WHERE a.slug = '{}')",
            app.slug
        );
        self.database().alter(&format!(
            "INSERT INTO profiles (env_id, uuid, hash, identifier, email, name, created_at, updated_at) \
             VALUES ({environment}, {profile}, {hash}, 'customer-77', '{EMAIL}', '{NAME}', 1, 1); \
             INSERT INTO devices (env_id, install_id, uuid, profile_id, platform, system_name, system_version, name, \
             kind, brand, created_at, seen_at) SELECT {environment}, 'f00d-install-of-ana', {device}, max(id), 'IOS', \
             'iOS', '18.1', 'Telephone of Ana', 'phone', 'Apple', 1775822400000, 1775822400000 FROM profiles; \
             INSERT INTO push_tokens (env_id, platform, token, device_id, profile_id, active, created_at, updated_at) \
             SELECT {environment}, 'EXPO', '{TOKEN}', max(id), 1, 1, 1, 1 FROM devices"
        ));
    }
}

fn event_of(user: &str, kind: &str) -> serde_json::Value {
    let mut event = kit::event(kind);
    event["user_id"] = user.into();
    event["session_id"] = format!("session of {user}").into();
    event
}

/// Addresses of the links that begin with a path, without those that lead elsewhere on the same page.
fn links(page: &Reply, path: &str) -> Vec<String> {
    let text = page.text().replace("&#38;", "&").replace("&amp;", "&");
    let links = text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned());
    links.filter(|link| link.starts_with(path)).collect()
}

fn empty_lists_say_what_would_be_in_them(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Lonely");
    let cookie = server.sign_in();
    for environment in ["", "/production", "/development"] {
        for (page, words) in [("users", "No user in "), ("devices", "one installation of the app")] {
            let path = format!("/apps/{}{environment}/{page}", app.slug);
            let page = server.page(&path, &cookie).expect(200);
            assert!(page.text().contains(words), "{path}: {}", page.text());
            lint(&page);
        }
    }
    server.accept(&app, &[kit::event("hello")]);
    let page = |page: &str| server.page(&format!("/apps/{}/{page}", app.slug), &cookie).expect(200).text();
    assert!(page("users").contains(&format!("User {}", &server.pseudonyms(&app)[0][..8])), "{}", page("users"));
    assert!(page("devices").contains("telemetry-kit"), "{}", page("devices"));
    for missing in ["users?q=nobody+of+that+name", "devices?after=00000000000000000000000000000000.5"] {
        assert!(page(missing).contains("Nothing found"), "{}", page(missing));
    }
}

fn a_person_is_found_with_devices_and_events(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Known");
    server.accept(&app, &[event_of("ana", "opened_<i>"), event_of("ana", "closed")]);
    let hash = server.pseudonyms(&app).remove(0);
    server.tell(&app, &hash);
    server.accept(&app, &[event_of("ben", "of_somebody_else")]);
    server.run_with(&["member", "create", "viewer@example.org", "--role", "viewer"], &format!("{PASSWORD}\n"));
    let form = Request::form("/login", &[("name", "viewer@example.org"), ("password", PASSWORD)]);
    let cookie = server.send(&form).expect(303).cookie().unwrap();
    let path = format!("/apps/{}", app.slug);
    let person = format!("{path}/users/{hash}");
    for found in [
        "users?q=LOPEZ",
        "users?q=ana%40example",
        "users?q=customer-7&sort=first",
        "devices?q=telephone",
        "devices?q=F00D&sort=platform",
    ] {
        let page = server.page(&format!("{path}/{found}"), &cookie).expect(200);
        assert_eq!(links(&page, &format!("{path}/users/")), [person.as_str()], "{found}: {}", page.text());
        assert!(page.text().contains("Ana &#60;b&#62;Lopez") && !page.text().contains(NAME), "{}", page.text());
        lint(&page);
    }
    let page = server.page(&person, &cookie).expect(200);
    let text = page.text();
    for part in [
        "Ana &#60;b&#62;Lopez",
        EMAIL,
        "customer-77",
        "Telephone of Ana",
        "iOS 18.1",
        "opened_&#60;i",
        "closed",
        "Today",
        "2 events",
        "1.2.3",
        "EXPO",
        "Exponent…",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    for other in ["of_somebody_else", "canary", "PushToken"] {
        assert!(!text.contains(other), "{other} in {text}");
    }
    lint(&page);
    // From an event to whoever it is of.
    assert!(links(&server.page(&path, &cookie), &person).contains(&person));
}

fn names_and_addresses_stand_on_the_pages_of_people_alone(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Discreet");
    server.accept(&app, &[event_of("ana", "opened")]);
    server.tell(&app, &server.pseudonyms(&app)[0]);
    let cookie = server.sign_in();
    let path = format!("/apps/{}", app.slug);
    let others = ["/apps", &path, &format!("{path}/keys"), &format!("{path}/set-aside"), "/metrics", "/health"];
    for other in others {
        let text = server.page(other, &cookie).expect(200).text();
        for told in ["Lopez", EMAIL, "customer-77", "Telephone of Ana"] {
            assert!(!text.contains(told), "{told} is on {other}");
        }
    }
    assert!(server.page(&format!("{path}/users"), &cookie).text().contains(EMAIL));
    for told in ["Lopez", EMAIL, "customer-77", "Telephone of Ana", TOKEN] {
        assert!(!server.log().contains(told), "{told} is in the log");
    }
}

fn people_of_another_app_or_environment_are_not_there(backend: Backend) {
    let server = Server::over(backend);
    let (app, other) = (server.app("Mine"), server.app("Other"));
    server.accept(&app, &[event_of("ana", "opened")]);
    server.accept(&other, &[event_of("ben", "of_somebody_else")]);
    let [hash, stranger] = [&app, &other].map(|app| server.pseudonyms(app).remove(0));
    server.tell(&app, &hash);
    let cookie = server.sign_in();
    let path = format!("/apps/{}", app.slug);
    for found in [format!("{path}/users/{hash}"), format!("{path}/production/users/{}", hash.to_uppercase())] {
        server.page(&found, &cookie).expect(200);
    }
    for nobody in [
        format!("{path}/development/users/{hash}"),
        format!("/apps/{}/users/{hash}", other.slug),
        format!("{path}/users/{stranger}"),
        format!("{path}/users/{}", "0".repeat(32)),
        format!("{path}/users/{}", &hash[..31]),
        format!("{path}/users/someone"),
        format!("{path}/nowhere/users"),
    ] {
        let page = server.page(&nobody, &cookie).expect(404);
        assert!(!page.text().contains("Lopez"), "{nobody}");
        lint(&page);
    }
    for list in [
        format!("{path}/development/users?q=ana"),
        format!("{path}/development/devices?q=ana"),
        format!("/apps/{}/devices", other.slug),
    ] {
        let page = server.page(&list, &cookie).expect(200).text();
        assert!(!page.contains("Lopez") && !page.contains("Telephone"), "{list}: {page}");
    }
    // The way to the other pages keeps the environment.
    let page = server.page(&format!("{path}/development/users"), &cookie);
    for link in [
        format!("{path}/development"),
        format!("{path}/development/devices"),
        format!("{path}/users"),
        format!("{path}/keys"),
    ] {
        assert!(links(&page, &link).contains(&link), "no {link} in {}", page.text());
    }
}

fn long_lists_go_on_behind_a_cursor(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Popular");
    let events: Vec<_> = (0..63).map(|n| event_of(&format!("user {n}"), "e")).collect();
    server.accept(&app, &events);
    let mine: Vec<_> = (0..70).map(|n| event_of("user 7", &format!("mine_{n}_"))).collect();
    server.accept(&app, &mine);
    let cookie = server.sign_in();
    let path = format!("/apps/{}/users", app.slug);
    for sort in ["seen", "first"] {
        let mut seen = BTreeSet::new();
        let mut next = Some(format!("{path}?sort={sort}&q="));
        let mut pages = 0;
        while let Some(address) = next {
            let page = server.page(&address, &cookie).expect(200);
            lint(&page);
            pages += 1;
            let people = links(&page, &format!("{path}/"));
            assert!(people.len() <= 50 && people.into_iter().all(|person| seen.insert(person)), "{address}");
            next = links(&page, &format!("{path}?")).into_iter().find(|link| link.contains("after="));
            assert!(pages <= 2, "{address} goes on");
        }
        assert_eq!((pages, seen.len()), (2, 63), "{sort}");
    }
    let person = links(&server.page(&format!("/apps/{}", app.slug), &cookie), &format!("{path}/")).remove(0);
    let first = server.page(&person, &cookie).expect(200);
    let older = links(&first, &format!("{person}?before=")).remove(0);
    let second = server.page(&older, &cookie).expect(200);
    lint(&second);
    assert!(links(&second, &format!("{person}?")).is_empty(), "there is nothing older");
    let told = |page: &Reply| (0..70).filter(|n| page.text().contains(&format!("mine_{n}_"))).collect::<BTreeSet<_>>();
    let (first, second) = (told(&first), told(&second));
    assert!(first.len() == 50 && first.is_disjoint(&second), "{first:?} {second:?}");
    assert_eq!(first.len() + second.len(), 70);
}

fn senseless_addresses_show_the_first_page(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Robust");
    server.accept(&app, &[event_of("ana", "opened")]);
    let hash = server.pseudonyms(&app).remove(0);
    server.tell(&app, &hash);
    let cookie = server.sign_in();
    let id = "0".repeat(32);
    for address in [
        "users?sort=shoe+size&after=x".to_owned(),
        format!("users?after={id}.text"),
        "users?q=%00".to_owned(),
        "devices?sort=name&after=5".to_owned(),
        format!("devices?sort=name&after={id}.%00"),
        format!("devices?sort=first&after={id}.a"),
        format!("users/{hash}?before=yesterday"),
        "users?q=%FF%FE".to_owned(),
    ] {
        let page = server.page(&format!("/apps/{}/{address}", app.slug), &cookie).expect(200);
        let found = page.text().contains("Lopez") || page.text().contains("Nothing found");
        assert!(found, "{address}: {}", page.text());
        lint(&page);
    }
}
