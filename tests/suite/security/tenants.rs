//! Two organizations on one box: whatever one knows of the other's ids, on its own pages they name nothing.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, Server};
use crate::pages::hidden;
use crate::teardown::client;

on_both_backends! {
    ids_of_others_name_nothing_on_ones_own_pages,
    forms_with_ids_of_others_change_nothing,
    a_token_of_one_app_reads_no_other,
}

/// In everything that the other organization stores.
const MARK: &str = "zebra";

/// Two apps, each of an organization of its own, and the cookie of who owns the first alone.
struct Two {
    server: Server,
    ours: Credentials,
    theirs: Credentials,
    cookie: String,
    csrf: String,
}

fn two(backend: Backend) -> Two {
    let server = Server::over(backend);
    let ours = server.app("Ours");
    let theirs = server.second_organization("Theirs");
    fill(&server, &ours, "horse");
    fill(&server, &theirs, MARK);
    let cookie = server.sign_in_as("owner");
    let csrf = hidden(&server.page("/apps", &cookie).expect(200).text(), "csrf");
    Two { server, ours, theirs, cookie, csrf }
}

/// Something in every list.
fn fill(server: &Server, app: &Credentials, mark: &str) {
    let mut events = Vec::new();
    for n in 0..60 {
        let mut event = kit::event(&format!("{mark} event"));
        event["user_id"] = json!(format!("{mark} user {n}"));
        event["session_id"] = json!(format!("{mark} session {n}"));
        event["service"]["version"] = json!(format!("{mark}-1.{n}"));
        event["event"]["data"] = json!({ "note": format!("{mark} property") });
        events.push(event);
    }
    let mut torn = kit::event("error");
    torn["event"]["data"] =
        json!({ "type": format!("{mark} error"), "message": format!("{mark} message"), "fatal": true });
    events.push(torn);
    server.accept(app, &events);
    for n in 0..30 {
        let mut broken = kit::event("x");
        broken["timestamp"] = json!("never");
        broken["event"]["data"] = json!({ "note": format!("{mark} broken {n}") });
        server.send(&app.sdk(&kit::batch(&[broken]))).expect(200);
    }
    let mut installed = client::Client::new(server, app);
    installed.device["hardware"]["device_name"] = json!(format!("{mark} telephone"));
    installed.log_in(&json!({ "user_id": format!("{mark} person"), "name": format!("{mark} name") }));
}

/// What the other organization's pages link to: everything that stands behind their paths and question marks.
fn addresses(two: &Two) -> BTreeSet<String> {
    let owner = two.server.sign_in_with("owner@theirs");
    let home = format!("/apps/{}", two.theirs.slug);
    let mut found = BTreeSet::new();
    for page in [
        "",
        "/events",
        "/explorer",
        "/users",
        "/devices",
        "/sessions",
        "/errors",
        "/versions",
        "/set-aside",
        "/changes",
        "/keys",
        "/breakdown?dimension=version",
    ] {
        let text = two.server.page(&format!("{home}{page}"), &owner).expect(200).text();
        let links = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let links = links.map(|link| link.replace("&#38;", "&").replace("&amp;", "&"));
        found.extend(links.filter_map(|link| Some(link.strip_prefix(&home)?.to_owned())));
    }
    // Those without an id of theirs are on every page.
    found.retain(|link| link.contains('?') || link.contains("/users/"));
    // A few of each kind do.
    let mut kinds = std::collections::BTreeMap::<_, usize>::new();
    found.retain(|link| {
        let (path, query) = link.split_once('?').unwrap_or((&link[..7], ""));
        let names: Vec<_> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
        let count = kinds.entry((path.to_owned(), names.join(" "))).or_default();
        *count += 1;
        *count <= 4
    });
    found
}

fn ids_of_others_name_nothing_on_ones_own_pages(backend: Backend) {
    let two = two(backend);
    let found = addresses(&two);
    for part in
        ["/users/", "/session?id=", "/error?", "group=", "/version?name=", "name=zebra+event", "before=", "after="]
    {
        assert!(found.iter().any(|link| link.contains(part)), "no link with {part} in {found:#?}");
    }
    let home = format!("/apps/{}", two.ours.slug);
    let mut seen = BTreeSet::new();
    for link in &found {
        let reply = two.server.page(&format!("{home}{link}"), &two.cookie);
        assert!(matches!(reply.status, 200 | 303 | 400 | 404), "{link}: {}", reply.status);
        seen.insert(reply.status);
        // The address itself comes back, in fields and titles; what stands behind it must not.
        let text = reply.text();
        for secret in ["zebra property", "zebra message", "zebra broken", "zebra telephone", "zebra name"] {
            let asked = link.replace('+', " ").contains(secret);
            assert!(asked || !text.contains(secret), "{link} tells {secret}");
        }
        // Theirs under our name, ours under their name.
        let theirs = two.server.page(&format!("/apps/{}{link}", two.theirs.slug), &two.cookie);
        assert_eq!(theirs.status, 404, "{link} of theirs");
    }
    assert!(seen.contains(&404) && seen.contains(&200), "{seen:?}");
    for (name, of) in [(two.theirs.slug.as_str(), "short name"), (two.theirs.app.as_str(), "UUID")] {
        let missing = two.server.page("/apps/no-such-app", &two.cookie).expect(404);
        let foreign = two.server.page(&format!("/apps/{name}"), &two.cookie).expect(404);
        let plain = |reply: &crate::harness::http::Reply| reply.text().len();
        assert_eq!(plain(&missing), plain(&foreign), "by its {of} it can be told from one that is not there");
    }
}

fn forms_with_ids_of_others_change_nothing(backend: Backend) {
    let two = two(backend);
    let Two { server, ours, theirs, cookie, csrf } = &two;
    let home = format!("/apps/{}", ours.slug);
    let number = |sql: &str| server.sql(sql).trim().to_owned();
    let app = number(&format!("SELECT id FROM apps WHERE slug = '{}'", theirs.slug));
    let key = number(&format!(
        "SELECT min(k.id) FROM ingest_keys k JOIN environments e ON e.id = k.environment_id WHERE e.app_id = {app}"
    ));
    let aside = number(&format!("SELECT max(id) FROM set_aside WHERE app_id = {app}"));
    let owner = server.sign_in_with("owner@theirs");
    let proof = hidden(&server.page("/apps", &owner).expect(200).text(), "csrf");
    let save = [("act", "save"), ("name", "zebra funnel"), ("query", "step=a&step=b&window=7d"), ("csrf", &proof)];
    server.send(&Request::form(&format!("/apps/{}/funnels", theirs.slug), &save).header("cookie", &owner)).expect(303);
    let funnel = hex_to_uuid(&number(&format!("SELECT {} FROM funnels", server.database().hex("uuid"))));
    let state = || {
        [
            "SELECT count(*) FROM ingest_keys WHERE revoked_at IS NULL",
            "SELECT count(*) FROM funnels",
            "SELECT count(*) FROM set_aside",
            "SELECT count(*) FROM events",
        ]
        .map(|sql| server.count(sql))
    };
    let before = state();
    let post = |path: &str, fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        let reply = server.send(&Request::form(path, &fields).header("cookie", cookie));
        assert!(!reply.text().contains("zebra funnel"), "{path} tells of it");
        reply.status
    };
    assert_eq!(post(&format!("{home}/keys/{key}/revoke"), &[]), 404);
    assert_eq!(post(&format!("{home}/keys/{key}/rotate"), &[("overlap", "7")]), 404);
    for act in ["delete", "save", "rename"] {
        post(
            &format!("{home}/funnels"),
            &[("act", act), ("id", &funnel), ("name", "mine"), ("query", "step=a&step=b&window=7d")],
        );
    }
    for act in ["retry", "discard"] {
        assert_eq!(post(&format!("{home}/set-aside/{act}"), &[("id", &aside)]), 303);
        assert_eq!(post(&format!("/apps/{}/set-aside/{act}", theirs.slug), &[("id", &aside)]), 404);
        assert_eq!(post(&format!("/apps/{}/set-aside/{act}", theirs.slug), &[("until", &aside), ("sure", "yes")]), 404);
    }
    assert_eq!(server.page(&format!("{home}/funnel?id={funnel}"), cookie).text().matches("zebra").count(), 0);
    for path in ["keys", "version", "rules", "funnels"] {
        assert_eq!(post(&format!("/apps/{}/{path}", theirs.slug), &[("name", "mine")]), 404, "{path}");
    }
    let after = state();
    assert_eq!(before, after);
    server.accept(theirs, &[kit::event("their key still works")]);
}

fn a_token_of_one_app_reads_no_other(backend: Backend) {
    let two = two(backend);
    let made = two.server.run(&["token", "create", &two.ours.slug]);
    let token = made.split_whitespace().find(|word| word.starts_with("tka_") && word.len() > 36).unwrap().to_owned();
    let get = |path: &str| two.server.send(&Request::get(path).header("authorization", &format!("Bearer {token}")));
    let ours = get(&format!("/api/v1/apps/{}/events", two.ours.slug));
    assert_eq!(ours.status, 200, "{}", ours.text());
    for name in [&two.theirs.slug, &two.theirs.app, &"no-such-app".to_owned()] {
        for resource in ["", "/events", "/users", "/funnels", "/query", "/retention"] {
            let reply = get(&format!("/api/v1/apps/{name}{resource}"));
            assert!(matches!(reply.status, 401 | 403 | 404 | 405), "{name}{resource}: {}", reply.status);
            assert!(!reply.text().contains(MARK), "{}", reply.text());
        }
    }
    let cursor = get(&format!("/api/v1/apps/{}/events?limit=5", two.ours.slug));
    assert!(!cursor.text().contains(MARK));
    assert!(!get("/api/v1/apps").text().contains(&two.theirs.slug), "the list of apps tells of theirs");
}

fn hex_to_uuid(hex: &str) -> String {
    uuid::Uuid::parse_str(hex.trim()).unwrap().to_string()
}
