//! Organizations, members and invitations, apps as wholes, and the account of who did what.

use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::kit;
use crate::harness::{Backend, MEMBER, PASSWORD, Server};
use crate::pages::{hidden, lint};

on_both_backends! {
    an_invitation_lets_one_new_member_in,
    a_member_of_another_organization_joins_with_a_click,
    an_invitation_that_is_withdrawn_lets_nobody_in,
    of_many_who_accept_at_once_one_comes_in,
    roles_hold_from_the_next_request_on,
    an_organization_keeps_an_owner,
    organizations_see_nothing_of_each_other,
    whoever_is_shut_out_is_out_at_once,
    the_box_can_be_given_away,
    an_archived_app_takes_nothing_until_it_is_restored,
    a_deleted_app_is_gone_for_everybody,
    an_app_is_renamed_and_counts_in_another_zone,
    what_is_wrong_with_a_form_is_said,
    what_members_do_is_written_down_without_addresses,
}

/// Sends a form of a signed-in member.
fn post(server: &Server, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let csrf = hidden(&server.page("/apps", cookie).expect(200).text(), "csrf");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    server.send(&Request::form(path, &fields).header("cookie", cookie))
}

/// Invites somebody into the first organization; the token of the link.
fn invite(server: &Server, cookie: &str, role: &str) -> String {
    let fields = [("act", "invite"), ("note", "Grace"), ("role", role)];
    let page = post(server, cookie, "/organizations/default/invitations", &fields).expect(200);
    lint(&page);
    let page = page.text();
    let at = page.find("/invitation?token=").expect("the link is shown") + "/invitation?token=".len();
    page[at..at + 64].to_owned()
}

fn accept(server: &Server, token: &str, name: &str) -> Reply {
    server.send(&Request::form("/invitation", &[("token", token), ("name", name), ("password", PASSWORD)]))
}

fn id_of(server: &Server, name: &str) -> String {
    server.sql(&format!("SELECT id FROM members WHERE name = '{name}'")).trim().to_owned()
}

fn an_invitation_lets_one_new_member_in(backend: Backend) {
    let server = Server::over(backend);
    server.app("Ours");
    let owner = server.sign_in();
    let token = invite(&server, &owner, "admin");
    assert!(server.page("/organizations/default", &owner).text().contains("Grace"), "it is listed");
    let form = server.get(&format!("/invitation?token={token}")).expect(200);
    lint(&form);
    assert!(form.text().contains("Join Default") && form.text().contains("as admin"), "{}", form.text());
    for (name, password, status) in [("", PASSWORD, 422), ("grace", "short", 422), (MEMBER, PASSWORD, 409)] {
        let fields = [("token", token.as_str()), ("name", name), ("password", password)];
        server.send(&Request::form("/invitation", &fields)).expect(status);
    }
    let grace = accept(&server, &token, "grace").expect(303).cookie().unwrap();
    assert!(server.page("/apps", &grace).expect(200).text().contains("Ours"));
    server.page("/apps/ours/settings", &grace).expect(200);
    server.page("/organizations/default/settings", &grace).expect(403);
    accept(&server, &token, "eve").expect(403);
    server.get(&format!("/invitation?token={token}")).expect(403);
    assert_eq!(server.count("SELECT count(*) FROM members"), 2);
    assert_eq!(server.count("SELECT count(*) FROM invitations"), 0);
    assert!(!server.log().contains(&token), "the token is in the log");
}

fn a_member_of_another_organization_joins_with_a_click(backend: Backend) {
    let server = Server::over(backend);
    server.app("Ours");
    server.second_organization("Theirs");
    let (owner, other) = (server.sign_in(), server.sign_in_with("viewer@theirs"));
    let token = invite(&server, &owner, "viewer");
    let path = format!("/invitation?token={token}");
    let form = server.page(&path, &other).expect(200);
    assert!(form.text().contains("Join as viewer@theirs"), "{}", form.text());
    let foreign = [("token", token.as_str()), ("as", "member"), ("csrf", "0")];
    server.send(&Request::form("/invitation", &foreign).header("cookie", &other)).expect(403);
    post(&server, &other, "/invitation", &[("token", &token), ("as", "member")]).expect(303);
    let apps = server.page("/apps", &other).expect(200).text();
    assert!(apps.contains("Ours") && apps.contains("theirs-app"), "{apps}");
    post(&server, &other, "/invitation", &[("token", &token), ("as", "member")]).expect(403);
    // A weaker invitation takes nothing away.
    let weaker = invite(&server, &owner, "viewer");
    post(&server, &owner, "/invitation", &[("token", &weaker), ("as", "member")]).expect(303);
    server.page("/organizations/default/settings", &owner).expect(200);
}

fn an_invitation_that_is_withdrawn_lets_nobody_in(backend: Backend) {
    let server = Server::over(backend);
    let owner = server.sign_in();
    let token = invite(&server, &owner, "owner");
    let id = server.sql("SELECT id FROM invitations").trim().to_owned();
    post(&server, &owner, "/organizations/default/invitations", &[("act", "withdraw"), ("id", &id)]).expect(303);
    accept(&server, &token, "grace").expect(403);
    let old = invite(&server, &owner, "owner");
    server.database().alter("UPDATE invitations SET expires_at = 1");
    accept(&server, &old, "grace").expect(403);
    assert_eq!(server.count("SELECT count(*) FROM members"), 1);
}

fn of_many_who_accept_at_once_one_comes_in(backend: Backend) {
    let server = Server::over(backend);
    let token = invite(&server, &server.sign_in(), "viewer");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let (server, token) = (&server, token.as_str());
        let all: Vec<_> =
            (0..6).map(|n| scope.spawn(move || accept(server, token, &format!("member {n}")).status)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let count = |status: u16| statuses.iter().filter(|one| **one == status).count();
    assert_eq!(count(303), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 303 | 403 | 429)), "{statuses:?}");
    assert_eq!(server.count("SELECT count(*) FROM members"), 2);
}

fn roles_hold_from_the_next_request_on(backend: Backend) {
    let server = Server::over(backend);
    server.app("Ours");
    let (owner, viewer) = (server.sign_in(), server.sign_in_as("viewer"));
    let id = id_of(&server, "viewer@default");
    let set = |role: &str| {
        let fields = [("act", "role"), ("member", id.as_str()), ("role", role)];
        post(&server, &owner, "/organizations/default/members", &fields).expect(303);
    };
    server.page("/apps/ours/settings", &viewer).expect(403);
    set("admin");
    server.page("/apps/ours/settings", &viewer).expect(200);
    post(&server, &viewer, "/organizations/default/members", &[("act", "role"), ("member", &id), ("role", "owner")])
        .expect(403);
    set("viewer");
    server.page("/apps/ours/settings", &viewer).expect(403);
    post(&server, &owner, "/organizations/default/members", &[("act", "remove"), ("member", &id)]).expect(303);
    server.page("/apps/ours", &viewer).expect(404);
    server.page("/organizations/default", &viewer).expect(404);
    let nothing = server.page("/organizations", &viewer).expect(200);
    assert!(nothing.text().contains("You belong to no organization"));
    lint(&nothing);
}

fn an_organization_keeps_an_owner(backend: Backend) {
    let server = Server::over(backend);
    server.second_organization("Theirs");
    let owner = server.sign_in_with("owner@theirs");
    let id = id_of(&server, "owner@theirs");
    for fields in [vec![("act", "remove")], vec![("act", "role"), ("role", "viewer")]] {
        let fields: Vec<_> = fields.into_iter().chain([("member", id.as_str())]).collect();
        let reply = post(&server, &owner, "/organizations/theirs/members", &fields).expect(409);
        assert!(reply.text().contains("Somebody has to own"), "{}", reply.text());
    }
    // Somebody who does not belong there cannot be changed from there.
    let outsider = id_of(&server, MEMBER);
    post(&server, &owner, "/organizations/theirs/members", &[("act", "remove"), ("member", &outsider)]).expect(404);
}

fn organizations_see_nothing_of_each_other(backend: Backend) {
    let server = Server::over(backend);
    let ours = server.app("Ours");
    server.accept(&ours, &[kit::event("seen")]);
    let theirs = server.second_organization("Theirs");
    server.accept(&theirs, &[kit::event("heard")]);
    server.sign_in_as("owner");
    let (us, them) = (server.sign_in_with("owner@default"), server.sign_in_with("owner@theirs"));
    for (cookie, own, other) in [(&us, "ours", "theirs-app"), (&them, "theirs-app", "ours")] {
        let apps = server.page("/apps", cookie).expect(200).text();
        assert!(apps.contains(&format!("/apps/{own}\"")) && !apps.contains(other), "{apps}");
        server.page(&format!("/apps/{own}"), cookie).expect(200);
        server.page(&format!("/apps/{other}"), cookie).expect(404);
        server.page(&format!("/api/v1/apps/{other}/query"), cookie).expect(404);
        server.page("/box/members", cookie).expect(403);
    }
    assert!(!server.page("/organizations", &them).text().contains("Default"));
    // A key, a person or a session of the one is not found on pages of the other.
    let key = server.sql("SELECT min(id) FROM ingest_keys").trim().to_owned();
    post(&server, &them, &format!("/apps/theirs-app/keys/{key}/revoke"), &[]).expect(404);
    let user = server.sql(&format!(
        "SELECT {} FROM users WHERE env_id = (SELECT min(id) FROM environments)",
        server.database().hex("hash")
    ));
    server.page(&format!("/apps/theirs-app/users/{}", user.trim()), &them).expect(404);
    server.accept(&ours, &[kit::event("still taken")]);
}

fn whoever_is_shut_out_is_out_at_once(backend: Backend) {
    let server = Server::over(backend);
    let (owner, admin) = (server.sign_in(), server.sign_in_as("admin"));
    let id = id_of(&server, "admin@default");
    let act = |act: &str, confirm: &str| {
        post(&server, &owner, "/box/members", &[("act", act), ("member", &id), ("confirm", confirm)])
    };
    lint(&server.page("/box/members", &owner).expect(200));
    act("disable", "").expect(303);
    assert_eq!(server.page("/apps", &admin).status, 303, "the cookie still works");
    let form = Request::form("/login", &[("name", "admin@default"), ("password", PASSWORD)]);
    server.send(&form).expect(401);
    assert!(server.page("/box/members", &owner).text().contains("shut out"));
    act("enable", "").expect(303);
    server.sign_in_with("admin@default");
    act("delete", "somebody else").expect(422);
    act("delete", "admin@default").expect(303);
    server.send(&form).expect(401);
    let own = id_of(&server, MEMBER);
    let fields = [("act", "disable"), ("member", own.as_str())];
    assert!(post(&server, &owner, "/box/members", &fields).expect(409).text().contains("The box is theirs"));
}

fn the_box_can_be_given_away(backend: Backend) {
    let server = Server::over(backend);
    let (owner, next) = (server.sign_in(), server.sign_in_as("viewer"));
    let id = id_of(&server, "viewer@default");
    server.page("/box/members", &next).expect(403);
    let fields = [("act", "own"), ("member", id.as_str()), ("confirm", "viewer@default")];
    post(&server, &owner, "/box/members", &fields).expect(303);
    server.page("/box/members", &next).expect(200);
    server.page("/box/members", &owner).expect(403);
    assert_eq!(server.count("SELECT count(*) FROM members WHERE owner = 1"), 1);
}

fn an_archived_app_takes_nothing_until_it_is_restored(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ours");
    server.accept(&app, &[kit::event("before")]);
    let owner = server.sign_in();
    lint(&server.page("/apps/ours/settings", &owner).expect(200));
    post(&server, &owner, "/apps/ours/settings", &[("act", "archive")]).expect(303);
    let refused = server.send(&app.sdk(&kit::batch(&[kit::event("while")]))).expect(403);
    assert!(refused.text().contains("archived"), "{}", refused.text());
    let apps = server.page("/apps", &owner).expect(200);
    lint(&apps);
    assert!(apps.text().contains("Archived:"), "{}", apps.text());
    server.page("/apps/ours", &owner).expect(200);
    post(&server, &owner, "/apps/ours/settings", &[("act", "restore")]).expect(303);
    server.accept(&app, &[kit::event("after")]);
    assert_eq!(server.count("SELECT count(*) FROM events"), 2);
}

fn a_deleted_app_is_gone_for_everybody(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ours");
    server.accept(&app, &[kit::event("before")]);
    let token = server.run(&["token", "create", "ours"]);
    let token = token.split_whitespace().find(|word| word.starts_with("tka_")).unwrap().to_owned();
    let (owner, admin) = (server.sign_in(), server.sign_in_as("admin"));
    post(&server, &owner, "/apps/ours/delete", &[("confirm", "ours")]).expect(409);
    post(&server, &owner, "/apps/ours/settings", &[("act", "archive")]).expect(303);
    post(&server, &owner, "/apps/ours/delete", &[("confirm", "our")]).expect(422);
    post(&server, &admin, "/apps/ours/delete", &[("confirm", "ours")]).expect(403);
    post(&server, &owner, "/apps/ours/delete", &[("confirm", "ours")]).expect(303);
    server.page("/apps/ours", &owner).expect(404);
    assert!(!server.page("/apps", &owner).expect(200).text().contains("/apps/ours"));
    server.send(&app.sdk(&kit::batch(&[kit::event("after")]))).expect(401);
    assert_eq!(server.get("/v1/apps/ours/version-check?version=1.0").status, 404);
    let api = Request::get("/api/v1/apps/ours/query").header("authorization", &format!("Bearer {token}"));
    assert!(matches!(server.send(&api).status, 401 | 403 | 404));
    assert!(!server.run(&["app", "list"]).contains("ours"));
}

fn an_app_is_renamed_and_counts_in_another_zone(backend: Backend) {
    let server = Server::over(backend);
    server.app("Ours");
    let admin = server.sign_in_as("admin");
    let save = |name: &str, zone: &str| {
        let fields = [("act", "save"), ("name", name), ("zone", zone), ("strict", "on")];
        post(&server, &admin, "/apps/ours/settings", &fields)
    };
    save("", "UTC").expect(422);
    save("Ours", "Mars/Base").expect(422);
    save("Renamed", "Europe/Berlin").expect(303);
    let page = server.page("/apps", &admin).expect(200).text();
    assert!(page.contains("Renamed") && page.contains("Europe/Berlin"), "{page}");
    assert_eq!(server.count("SELECT count(*) FROM apps WHERE strict = 1"), 1);
    let told = server.page("/apps/ours/changes", &admin).expect(200).text();
    for line in ["Ours → Renamed", "UTC → Europe/Berlin", "tells clients of unusable events"] {
        assert!(told.contains(line), "{line}: {told}");
    }
}

fn what_is_wrong_with_a_form_is_said(backend: Backend) {
    let server = Server::over(backend);
    let owner = server.sign_in();
    let long = "x".repeat(101);
    for (path, fields, status) in [
        ("/organizations", vec![("name", "")], 422),
        ("/organizations", vec![("name", long.as_str())], 422),
        ("/organizations", vec![("name", "Default")], 409),
        ("/organizations", vec![("name", "Second")], 303),
        ("/organizations/second/settings", vec![("act", "rename"), ("name", " ")], 422),
        ("/organizations/second/settings", vec![("act", "rename"), ("name", "Other")], 303),
        ("/organizations/second/settings", vec![("act", "delete"), ("confirm", "no")], 422),
        ("/organizations/second/settings", vec![("act", "delete"), ("confirm", "second")], 303),
        ("/organizations/default/settings", vec![("act", "delete"), ("confirm", "default")], 409),
        ("/organizations/default/settings", vec![("act", "explode")], 400),
        ("/organizations/default/members", vec![("act", "role"), ("member", "x")], 400),
        ("/organizations/default/members", vec![("act", "remove"), ("member", "999")], 404),
        ("/organizations/default/invitations", vec![("note", "x"), ("role", "king")], 400),
        ("/organizations/default/invitations", vec![("note", ""), ("role", "admin")], 422),
        ("/organizations/nowhere/members", vec![("act", "remove"), ("member", "1")], 404),
        ("/box/members", vec![("act", "explode"), ("member", "1")], 400),
    ] {
        let reply = post(&server, &owner, path, &fields);
        assert_eq!(reply.status, status, "{path} {fields:?}: {}", reply.text());
        if matches!(status, 409 | 422) {
            lint(&reply);
            assert!(reply.text().contains("role=\"alert\""), "{path} {fields:?}: {}", reply.text());
        }
    }
}

fn what_members_do_is_written_down_without_addresses(backend: Backend) {
    let server = Server::over(backend);
    server.app("Ours");
    server.second_organization("Theirs");
    let owner = server.sign_in();
    let csrf = hidden(&server.page("/apps", &owner).text(), "csrf");
    let form = Request::form("/apps/ours/settings", &[("csrf", &csrf), ("act", "archive")]);
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let form = form.header("cookie", &owner).header("x-forwarded-for", "203.0.113.77").header("user-agent", agent);
    server.send(&form).expect(303);
    for path in ["/apps/ours/changes", "/organizations/default/changes", "/box/changes"] {
        let page = server.page(path, &owner).expect(200);
        lint(&page);
        let page = page.text();
        assert!(page.contains("App archived:") && page.contains("Firefox on Linux"), "{path}: {page}");
        assert!(page.contains(MEMBER) && !page.contains("203.0.113.77"), "{path}");
    }
    assert!(!server.page("/organizations/default/changes", &owner).text().contains("theirs-app"));
    assert!(server.page("/box/changes", &owner).text().contains("theirs-app"));
    let narrowed = server.page("/box/changes?kind=member.", &owner).expect(200).text();
    assert!(narrowed.contains("owner@theirs") && !narrowed.contains("App archived:"), "{narrowed}");
    let told = server.run(&["audit", "--org", "default", "--action", "app."]);
    assert!(told.contains("app.archived") && told.contains("Firefox on Linux"), "{told}");
    assert_eq!(server.count("SELECT count(*) FROM audit WHERE place LIKE '%203.0%'"), 0);
}
