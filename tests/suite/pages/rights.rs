//! People's rights on pages and on the command line, and what an app collects.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::harness::kit::Credentials;
use crate::harness::poll;

on_both_backends! {
    a_person_is_found_exported_and_erased,
    viewers_and_other_organizations_erase_nobody,
    a_large_erasure_goes_on_behind_its_page,
    the_verbs_export_and_erase_beside_the_server,
    what_an_app_collects_is_told_without_values,
    what_an_app_collects_is_private_until_it_is_made_public,
}

const USER: &str = "canary-person-7";
const VALUE: &str = "canary-value-of-a-property";

impl Server {
    fn tells(&self, app: &Credentials, user: &str, count: usize) {
        let mut events = Vec::new();
        for number in 0..count {
            let mut event = kit::event("command");
            event["user_id"] = user.into();
            event["session_id"] = format!("session of {user}").into();
            event["event"]["data"] = serde_json::json!({ "note": VALUE, "of": user, "number": number, "fine": true });
            events.push(event);
        }
        for part in events.chunks(500) {
            self.accept(app, part);
        }
    }

    fn act(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = hidden(&self.page("/apps", cookie).text(), "csrf");
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        self.send(&Request::form(path, &fields).header("cookie", cookie))
    }

    /// The address and the pseudonym of the one person who is found.
    #[track_caller]
    fn finds(&self, app: &Credentials, cookie: &str, text: &str) -> Option<(String, String)> {
        let page = self.act(&format!("/apps/{}/people", app.slug), cookie, &[("who", text)]).expect(200);
        lint(&page);
        let text = page.text().replace("&#38;", "&");
        let at = text.find("/people/one?user=")?;
        let begin = text[..at].rfind('"')? + 1;
        let address = text[begin..].split('"').next()?.to_owned();
        let user = address.split("user=").nth(1)?.to_owned();
        Some((address, user))
    }
}

/// Waits until nothing is being erased any more.
fn settled(server: &Server) {
    poll::until(Duration::from_secs(60), "end of all erasures", || {
        (server.count("SELECT count(*) FROM erasures WHERE ended_at IS NULL") == 0).then_some(())
    });
}

fn a_person_is_found_exported_and_erased(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Rightful");
    let cookie = server.sign_in();
    server.tells(&app, USER, 5);
    server.tells(&app, "somebody-else", 3);
    let people = format!("/apps/{}/people", app.slug);
    let empty = server.page(&people, &cookie).expect(200);
    assert!(empty.text().contains("Nobody has been erased"), "{}", empty.text());
    lint(&empty);
    assert_eq!(server.finds(&app, &cookie, "nobody-of-that-name"), None);
    let (address, user) = server.finds(&app, &cookie, USER).unwrap();
    assert!(!server.log().contains(USER), "a search is in no log");
    let page = server.page(&address, &cookie).expect(200);
    assert!(page.text().contains(&user[..8]) && page.text().contains("Backups"), "{}", page.text());
    lint(&page);
    let own = server.page(&format!("/apps/{}/users/{user}", app.slug), &cookie).expect(200);
    assert!(own.text().contains("/people/one?user="), "{}", own.text());

    let file = server.act(&format!("{people}/file"), &cookie, &[("user", &user)]).expect(200);
    let name = file.header("content-disposition").unwrap_or_default();
    assert!(name.contains("attachment") && name.contains(&user[..8]), "{name}");
    let told: Value = file.json();
    assert_eq!((told["format"].as_str(), told["app"].as_str()), (Some("tallybox-person/1"), Some(app.slug.as_str())));
    let person = &told["people"][0];
    assert_eq!(person["environment"], "production");
    assert_eq!(person["users"][0]["pseudonym"], user.as_str());
    assert_eq!(person["events"].as_array().unwrap().len(), 5, "{told}");
    assert_eq!(
        (&person["events"][0]["properties"]["note"], &person["events"][0]["facts"]["system"]),
        (&VALUE.into(), &"linux".into())
    );
    assert!(!file.text().contains("somebody-else"));

    let erase = format!("{people}/erase");
    let wrong = server.act(&erase, &cookie, &[("user", &user), ("confirm", "yes")]);
    assert_eq!(wrong.status, 422, "{}", wrong.text());
    assert_eq!(server.count("SELECT count(*) FROM erasures"), 0);
    let asked = server.act(&erase, &cookie, &[("user", &user), ("confirm", &user[..8]), ("names", USER)]);
    assert_eq!(asked.status, 303, "{}", asked.text());
    settled(&server);
    let receipt = server.page(asked.header("location").unwrap(), &cookie).expect(200);
    assert!(receipt.text().contains("<h1>Erased</h1>") && !receipt.text().contains(&user[..8]), "{}", receipt.text());
    lint(&receipt);
    server.page(&address, &cookie).expect(404);
    server.page(&format!("/apps/{}/users/{user}", app.slug), &cookie).expect(404);
    assert_eq!(server.count("SELECT count(*) FROM events"), 3);
    let listed = server.page(&people, &cookie).expect(200).text();
    assert!(listed.contains("Person in production"), "{listed}");
    let changes = server.page(&format!("/apps/{}/changes", app.slug), &cookie).expect(200).text();
    for words in ["Person exported:", "Erasure of person", "Person erased:", "events 5"] {
        assert!(changes.contains(words), "{words}: {changes}");
    }
    assert!(!changes.contains(&user[..8]), "an account of who did what names nobody");
}

fn viewers_and_other_organizations_erase_nobody(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Guarded");
    server.second_organization("Other");
    server.tells(&app, USER, 2);
    let owner = server.sign_in();
    let (address, user) = server.finds(&app, &owner, USER).unwrap();
    let fields = [("user", user.as_str()), ("confirm", &user[..8]), ("who", USER), ("audience", "everybody")];
    for (cookie, status) in [
        (server.sign_in_as("viewer"), 403),
        (server.sign_in_with("owner@other"), 404),
        (server.sign_in_with("admin@other"), 404),
    ] {
        for page in ["people", "people/file", "people/erase", "collects"] {
            let reply = server.act(&format!("/apps/{}/{page}", app.slug), &cookie, &fields);
            assert_eq!(reply.status, status, "{page}: {}", reply.text());
        }
        if status == 404 {
            server.page(&address, &cookie).expect(404);
        } else {
            let seen = server.page(&address, &cookie).expect(200).text();
            assert!(!seen.contains("Erase this person"), "{seen}");
        }
    }
    assert_eq!(server.count("SELECT count(*) FROM erasures"), 0);
    assert_eq!(server.count("SELECT count(*) FROM apps WHERE collects_public <> 0"), 0);
}

fn a_large_erasure_goes_on_behind_its_page(backend: Backend) {
    let mut server = Server::over(backend);
    let app = server.app("Large");
    server.tells(&app, USER, 6_000);
    server.tells(&app, "neighbour", 10);
    let cookie = server.sign_in();
    let (_, user) = server.finds(&app, &cookie, USER).unwrap();
    let erase = format!("/apps/{}/people/erase", app.slug);
    let asked = server.act(&erase, &cookie, &[("user", &user), ("confirm", &user[..8])]);
    let receipt = asked.header("location").unwrap().to_owned();
    // Whether it is done by now depends on the machine: the page tells either.
    let page = server.page(&receipt, &cookie).expect(200).text();
    assert!(page.contains("<h1>Erased</h1>") || page.contains("http-equiv=\"refresh\""), "{page}");
    server.crash();
    server.restart();
    settled(&server);
    assert_eq!(server.count("SELECT count(*) FROM events"), 10);
    let page = server.page(&receipt, &cookie).expect(200).text();
    assert!(page.contains("<h1>Erased</h1>") && page.contains("6,000"), "{page}");
}

fn the_verbs_export_and_erase_beside_the_server(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Shell");
    server.tells(&app, USER, 4);
    server.tells(&app, "neighbour", 2);
    let file = server.home().join("person.json");
    let path = file.to_str().unwrap();
    let nobody = server.try_run(&["erase", "--app", &app.slug, "--user", "nobody", "--yes"], "");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("nobody is found"), "{nobody:?}");
    let unsure = server.try_run(&["erase", "--app", &app.slug, "--user", USER], "no\n");
    assert!(!unsure.status.success(), "{unsure:?}");
    assert_eq!(server.count("SELECT count(*) FROM events"), 6);
    server.run(&["export-person", "--app", &app.slug, "--user", USER, path]);
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(told["people"][0]["events"].as_array().unwrap().len(), 4);
    let again = server.try_run(&["export-person", "--app", &app.slug, "--user", USER, path], "");
    assert!(!again.status.success(), "a file that is there is not overwritten");
    let before = server.home().join("before.json");
    let verb = ["erase", "--app", &app.slug, "--user", USER, "--export", before.to_str().unwrap()];
    let told = server.run_with(&verb, "erase\n");
    assert!(told.contains("Erased in production: events 4"), "{told}");
    assert!(std::fs::read_to_string(before).unwrap().contains(VALUE));
    assert_eq!(server.count("SELECT count(*) FROM events"), 2);
    // The server has not kept anything of them in mind.
    server.tells(&app, USER, 1);
    let strays = "SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = e.user_id) \
                  OR NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = e.session_id)";
    assert_eq!(server.count(strays), 0);
    assert_eq!(server.count("SELECT count(*) FROM users"), 2);
    let rebuilt = server.run(&["rebuild", "--app", &app.slug]);
    assert!(rebuilt.contains("days with erased people 1") && rebuilt.contains("all summaries are"), "{rebuilt}");
}

fn what_an_app_collects_is_told_without_values(backend: Backend) {
    let server = Server::with().setting("TALLYBOX_RETENTION_DAYS", 400).backend(backend).start();
    let app = server.app("Curious");
    let cookie = server.sign_in();
    let path = format!("/apps/{}/collects", app.slug);
    let other = server.app("Idle");
    let idle = server.page(&format!("/apps/{}/collects", other.slug), &cookie).expect(200);
    assert!(idle.text().contains("None has come") && idle.text().contains("None was sent"), "{}", idle.text());
    lint(&idle);
    server.tells(&app, USER, 3);
    let page = server.page(&path, &cookie).expect(200);
    lint(&page);
    let text = page.text();
    for words in ["command", "note", "number", "yes or no", "keyed hash", "Not stored", "400 days", "Architecture"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for value in [VALUE, USER, "1.2.3", "linux", "x86_64"] {
        assert!(!text.contains(value), "{value}: {text}");
    }
}

fn what_an_app_collects_is_private_until_it_is_made_public(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Discreet");
    server.tells(&app, USER, 1);
    let cookie = server.sign_in();
    let (inside, outside) = (format!("/apps/{}/collects", app.slug), format!("/collects/{}", app.slug));
    let missing = server.get("/collects/no-such-app").expect(404).text();
    let same = |text: &str| text.replace(|c: char| c.is_ascii_hexdigit() || c == '-', "");
    assert_eq!(same(&server.get(&outside).expect(404).text()), same(&missing));
    assert_eq!(server.page(&outside, &cookie).status, 303);
    assert_eq!(server.act(&inside, &cookie, &[("audience", "everybody")]).status, 303);
    let public = server.get(&outside).expect(200);
    assert!(public.text().contains("What Discreet collects") && !public.text().contains("csrf"), "{}", public.text());
    assert_eq!(public.header("cache-control"), Some("public, max-age=300"));
    lint(&public);
    for value in [VALUE, USER] {
        assert!(!public.text().contains(value), "{value}");
    }
    assert_eq!(server.act(&inside, &cookie, &[("audience", "members")]).status, 303);
    server.get(&outside).expect(404);
    assert_eq!(server.act(&inside, &cookie, &[("audience", "all")]).status, 400);
    assert_eq!(server.count("SELECT count(*) FROM audit WHERE action = 'app.collects'"), 2);
}
