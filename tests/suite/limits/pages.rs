//! The pages of tiers, limits and tokens, and who may do what on them.

use super::post;
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, Server};
use crate::pages::lint;

on_both_backends! {
    tiers_are_made_changed_made_usual_and_deleted,
    a_tier_is_chosen_by_who_owns_the_box_alone,
    tokens_of_an_organization_read_its_apps_alone,
}

const TIERS: &str = "/box/tiers";

fn tier(server: &Server, name: &str) -> String {
    server.sql(&format!("SELECT id FROM tiers WHERE name = '{name}'")).trim().to_owned()
}

fn tiers_are_made_changed_made_usual_and_deleted(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Tiered");
    let cookie = server.sign_in();
    let post = |path: &str, fields: &[(&str, &str)]| post(&server, &cookie, path, fields);
    let reply = server.page(TIERS, &cookie).expect(200);
    lint(&reply);
    let page = reply.text();
    for word in ["Self-hosted", "Free", "Pro", "Business", "Enterprise", ">usual<", "33,333"] {
        assert!(page.contains(word), "{word} in {page}");
    }
    let save =
        |name: &str, key: &str, id: &str| post(TIERS, &[("act", "save"), ("id", id), ("name", name), ("key", key)]);
    save("Partners <b>", "1,000", "").expect(303);
    assert!(save("partners <B>", "5", "").expect(409).text().contains("Another tier"));
    for (name, key, said) in [("", "5", "1 to 40"), ("x", "0", "whole number"), ("x", "lots", "whole number")] {
        let again = save(name, key, "").expect(422).text();
        assert!(again.contains(said) && again.contains("role=\"alert\""), "{again}");
    }
    let id = tier(&server, "Partners <b>");
    save("Friends", "2000", &id).expect(303);
    assert_eq!(tier(&server, "Friends"), id);
    let own = format!("/apps/{}/limits", app.slug);
    let reply = server.page(&own, &cookie).expect(200);
    lint(&reply);
    let shown = reply.text();
    assert!(shown.contains("Tier: Self-hosted") && shown.contains("no limit"), "{shown}");
    post(TIERS, &[("act", "delete"), ("id", &tier(&server, "Self-hosted"))]).expect(409);
    post(TIERS, &[("act", "usual"), ("id", &id)]).expect(303);
    let shown = server.page(&own, &cookie).expect(200).text();
    assert!(shown.contains("Tier: Friends") && shown.contains("2,000"), "{shown}");
    let free = tier(&server, "Free");
    post(&own, &[("act", "tier"), ("tier", &free)]).expect(303);
    assert!(post(TIERS, &[("act", "delete"), ("id", &free)]).expect(409).text().contains("Apps are in that tier"));
    post(&own, &[("act", "tier"), ("tier", "")]).expect(303);
    post(TIERS, &[("act", "delete"), ("id", &free)]).expect(303);
    assert_eq!(tier(&server, "Free"), "");
    post(TIERS, &[("act", "delete"), ("id", "999")]).expect(404);
    let account = server.page("/box/changes", &cookie).expect(200).text();
    for word in ["Tier made", "Tier changed", "Usual tier", "Tier deleted", "Partners &#60;b&#62;"] {
        assert!(account.contains(word), "{word} in {account}");
    }
    let version = || server.count("SELECT version FROM directory");
    let before = version();
    save("Friends", "3000", &id).expect(303);
    assert!(version() > before, "other nodes see it");
}

fn a_tier_is_chosen_by_who_owns_the_box_alone(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ruled");
    let own = format!("/apps/{}/limits", app.slug);
    let (admin, viewer) = (server.sign_in_as("admin"), server.sign_in_as("viewer"));
    for (cookie, may) in [(&admin, true), (&viewer, false)] {
        server.page(TIERS, cookie).expect(403);
        post(&server, cookie, TIERS, &[("act", "save"), ("name", "Mine")]).expect(403);
        let reply = server.page(&own, cookie).expect(200);
        lint(&reply);
        let page = reply.text();
        assert!(!page.contains("name=\"tier\""), "{page}");
        assert_eq!(page.contains("name=\"networks\""), may, "{page}");
        post(&server, cookie, &own, &[("act", "tier"), ("tier", &tier(&server, "Enterprise"))]).expect(403);
        let lists = [("act", "lists"), ("networks", "127.0.0.0/8"), ("origins", "")];
        post(&server, cookie, &own, &lists).expect(if may { 303 } else { 403 });
        let ban = [("act", "ban"), ("kind", "user"), ("id", "x")];
        post(&server, cookie, &own, &ban).expect(if may { 303 } else { 403 });
    }
    let other = server.second_organization("Elsewhere");
    let foreign = format!("/apps/{}/limits", other.slug);
    server.page(&foreign, &admin).expect(404);
    post(&server, &admin, &foreign, &[("act", "ban"), ("kind", "user"), ("id", "x")]).expect(404);
    // The ban of one app is no other's to lift.
    let id = server.sql("SELECT id FROM bans").trim().to_owned();
    let theirs = server.sign_in_with("admin@elsewhere");
    post(&server, &theirs, &foreign, &[("act", "lift"), ("id", &id)]).expect(303);
    assert_eq!(server.count("SELECT count(*) FROM bans"), 1);
    assert_eq!(server.count("SELECT count(*) FROM app_limits WHERE tier_id IS NOT NULL"), 0);
    let account = server.page(&format!("/apps/{}/changes", app.slug), &admin).expect(200).text();
    assert!(account.contains("127.0.0.0/8") && account.contains("Banned"), "{account}");
}

fn tokens_of_an_organization_read_its_apps_alone(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Own");
    let other = server.second_organization("Elsewhere");
    let path = "/organizations/default/tokens";
    let (admin, viewer) = (server.sign_in_as("admin"), server.sign_in_as("viewer"));
    server.page(path, &viewer).expect(403);
    let empty = server.page(path, &admin).expect(200);
    lint(&empty);
    assert!(empty.text().contains("No token"), "{}", empty.text());
    let make = |cookie: &str, name: &str, app: &str, life: &str| {
        post(&server, cookie, path, &[("act", "make"), ("name", name), ("app", app), ("life", life)])
    };
    make(&viewer, "x", "", "90").expect(403);
    assert!(make(&admin, "", "", "90").expect(422).text().contains("1 to 100"));
    assert!((400..500).contains(&make(&admin, "x", &other.slug, "90").status), "another organization's app");
    assert!((400..500).contains(&make(&admin, "x", "", "91").status));
    let mut tokens = Vec::new();
    for (name, of) in [("whole", ""), ("one", app.slug.as_str())] {
        let reply = make(&admin, name, of, "30").expect(200);
        lint(&reply);
        let page = reply.text();
        let at = page.find("tka_").unwrap();
        tokens.push(page[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>());
    }
    let read =
        |token: &str, path: &str| server.send(&Request::get(path).header("authorization", &format!("Bearer {token}")));
    for token in &tokens {
        let apps = read(token, "/api/v1/apps").expect(200).text();
        assert!(apps.contains("\"own\"") && !apps.contains("elsewhere"), "{apps}");
        read(token, &format!("/api/v1/apps/{}/query", app.slug)).expect(200);
        let foreign = read(token, &format!("/api/v1/apps/{}/query", other.slug));
        assert!(matches!(foreign.status, 403 | 404), "{}", foreign.status);
    }
    let list = server.page(path, &admin).expect(200).text();
    assert!(list.contains("whole") && list.contains("last used") && !list.contains(&tokens[0]), "{list}");
    server.page("/organizations/elsewhere/tokens", &admin).expect(404);
    let id = server.sql("SELECT id FROM api_tokens WHERE name = 'whole'").trim().to_owned();
    // Only through its own organization.
    let theirs = server.sign_in_with("owner@elsewhere");
    let revoke = [("act", "revoke"), ("id", id.as_str())];
    post(&server, &theirs, "/organizations/elsewhere/tokens", &revoke).expect(404);
    read(&tokens[0], "/api/v1/apps").expect(200);
    post(&server, &admin, path, &revoke).expect(303);
    read(&tokens[0], "/api/v1/apps").expect(401);
    read(&tokens[1], "/api/v1/apps").expect(200);
    let account = server.page("/organizations/default/changes", &admin).expect(200).text();
    assert!(account.contains("Token made") && account.contains("Token revoked"), "{account}");
    // The verb, for an organization of one's choice.
    let told = server.run(&["token", "create", "--all-apps", "--org", "elsewhere", "--name", "theirs"]);
    let token = told.lines().find_map(|line| line.strip_prefix("token")).unwrap().trim();
    let apps = read(token, "/api/v1/apps").expect(200).text();
    assert!(apps.contains("elsewhere-app") && !apps.contains("\"own\""), "{apps}");
    assert!(server.run(&["token", "list"]).contains("all of elsewhere"));
    assert!(!server.run(&["token", "list", &app.slug]).contains("theirs"));
}
