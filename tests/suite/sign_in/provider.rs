//! OpenID Connect, at a real provider in a process of its own.

use super::{Browser, age_proofs, audited, location};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Reply;
use crate::harness::provider::{CLIENT, Provider, SECRET};
use crate::harness::{Backend, MEMBER, Server};

on_both_backends! {
    groups_at_the_provider_decide_who_gets_in_and_as_what,
    an_answer_counts_once_and_in_its_own_browser_alone,
    a_provider_that_is_away_or_another_lets_nobody_in,
}

/// A box that knows its provider, and the provider.
fn both(backend: Backend) -> (Server, Provider) {
    let mut server = Server::over(backend);
    let provider = Provider::start(&format!("{}/login/oidc/back", server.url()));
    let settings = [
        ("PUBLIC_URL", server.url()),
        ("OIDC_ISSUER", provider.issuer()),
        ("OIDC_CLIENT_ID", CLIENT.to_owned()),
        ("OIDC_CLIENT_SECRET", SECRET.to_owned()),
        ("OIDC_NAME", "the lab".to_owned()),
        ("OIDC_SCOPES", "openid".to_owned()),
        ("OIDC_GROUPS", "box admins=admin,staff=viewer,lab=theirs/owner".to_owned()),
    ];
    for (name, value) in settings {
        server.set(&format!("TALLYBOX_{name}"), &value);
    }
    server.stop();
    server.restart();
    (server, provider)
}

/// Goes to the provider, signs in there, and comes back; where the box leads then.
#[track_caller]
fn sign_in(browser: &mut Browser<'_>, provider: &Provider, user: &str) -> Reply {
    let out = browser.get("/login/oidc?next=/account");
    let back = provider.visit(location(&out), user);
    browser.get(back.split_once("/login").map(|(_, rest)| format!("/login{rest}")).unwrap().as_str())
}

fn roles(server: &Server, name: &str) -> String {
    let sql = format!(
        "SELECT o.slug, p.role FROM memberships p JOIN members m ON m.id = p.member_id \
         JOIN organizations o ON o.id = p.organization_id WHERE m.name = '{name}' ORDER BY 1"
    );
    server.sql(&sql).trim().replace('\n', " ")
}

fn groups_at_the_provider_decide_who_gets_in_and_as_what(backend: Backend) {
    let (server, provider) = both(backend);
    server.run(&["org", "create", "Theirs", "--slug", "theirs"]);
    provider.user("ada", &["staff", "lab", "others"]);
    provider.user("eve", &["others"]);
    assert!(server.get("/login").text().contains("Sign in with the lab"));
    let mut ada = Browser::new(&server, "Firefox/140 Linux");
    assert_eq!(location(&sign_in(&mut ada, &provider, "ada")), "/account");
    assert!(ada.is_in() && ada.cookie("tallybox-journey").is_none());
    assert_eq!(roles(&server, "ada"), "default|viewer theirs|owner");
    let page = ada.get("/account").text();
    assert!(page.contains("Through the lab") && !page.contains("name=\"new\""), "{page}");
    assert_eq!(audited(&server, "login.signed_in"), ["ada|Firefox on Linux|ada|provider"]);
    // Roles follow the groups, and the member stays the same.
    provider.regroup("ada", &["box admins"]);
    let mut again = Browser::new(&server, "curl/8");
    sign_in(&mut again, &provider, "ada").expect(303);
    // She was the only owner of the other organization, which is not left without one.
    assert_eq!(roles(&server, "ada"), "default|admin theirs|owner");
    server.member("boss", "owner", "theirs");
    sign_in(&mut again, &provider, "ada").expect(303);
    assert_eq!(roles(&server, "ada"), "default|admin");
    assert_eq!(server.count("SELECT count(*) FROM members WHERE name = 'ada'"), 1);
    // Without a group she is out, in every browser.
    provider.regroup("ada", &["others"]);
    let refused = sign_in(&mut again, &provider, "ada").expect(403).text();
    assert!(refused.contains("You have no role on this box") && refused.contains("ada"), "{refused}");
    assert!(!ada.is_in() && !again.is_in());
    assert_eq!(roles(&server, "ada"), "");
    let mut eve = Browser::new(&server, "curl/8");
    sign_in(&mut eve, &provider, "eve").expect(403);
    assert!(!eve.is_in());
    assert_eq!(server.count("SELECT count(*) FROM members WHERE name = 'eve'"), 0);
    // A name alone makes nobody the same: the owner has a password, and this is somebody else.
    provider.user(MEMBER, &["box admins"]);
    let taken = sign_in(&mut eve, &provider, MEMBER).expect(403).text();
    assert!(taken.contains("That name is taken") && !eve.is_in(), "{taken}");
    // Nor does a password of the provider's member exist here.
    provider.regroup("ada", &["staff"]);
    sign_in(&mut ada, &provider, "ada").expect(303);
    for password in ["", crate::harness::provider::PASSWORD] {
        eve.give_password("ada", password).expect(401);
    }
    server.run(&["member", "disable", "ada"]);
    assert!(!ada.is_in());
    assert!(sign_in(&mut ada, &provider, "ada").expect(403).text().contains("You may not sign in"));
    for secret in [SECRET, crate::harness::provider::PASSWORD] {
        assert!(!server.log().contains(secret), "a secret in the log");
    }
}

fn an_answer_counts_once_and_in_its_own_browser_alone(backend: Backend) {
    let (server, provider) = both(backend);
    provider.user("ada", &["staff"]);
    let mut ada = Browser::new(&server, "curl/8");
    let out = ada.get("/login/oidc?next=//evil.example/");
    let cookie = out.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Lax") && cookie.contains("Max-Age=600"), "{cookie}");
    let journey = ada.cookie("tallybox-journey").unwrap().to_owned();
    let back = provider.visit(location(&out), "ada");
    let back = format!("/login{}", back.split_once("/login").unwrap().1);
    // A victim who is led to the answer of somebody else is not signed in as them.
    let mut victim = Browser::new(&server, "curl/8");
    victim.get(&back).expect(403);
    victim.get("/login/oidc").expect(303);
    assert!(victim.get(&back).expect(403).text().contains("not begun in this browser") && !victim.is_in());
    let other = back.replace("state=", "state=x");
    ada.get(&other).expect(403);
    let refused = other.replace("code=", "error=access_denied&x=");
    assert!(ada.get(&refused).expect(403).text().contains("not begun"));
    assert_eq!(location(&ada.get(&back)), "/apps", "and not to where the address would have led");
    assert!(ada.is_in());
    // The code is spent, even for who still has the cookie.
    let mut replay = Browser::new(&server, "curl/8");
    replay.keep("tallybox-journey", &journey);
    replay.get(&back).expect(502);
    assert!(!replay.is_in());
    let denied = back.replace("code=", "error=access_denied%3Cscript%3E&x=");
    let told = replay.get(&denied).expect(403).text();
    assert!(told.contains("access_deniedscript") && !told.contains("<script>a"), "{told}");
    // It has no auth_time that shows a sign-in of now: no proof, so what is dangerous stays shut.
    age_proofs(&server);
    assert!(ada.get("/confirm?next=/account").text().contains("Go to the lab"));
    let out = ada.get("/confirm/oidc?next=/account");
    assert!(location(&out).contains("prompt=login&max_age=60"));
    let back = provider.visit(location(&out), "ada");
    let told = ada.get(&format!("/login{}", back.split_once("/login").unwrap().1)).expect(403).text();
    assert!(told.contains("could not be believed"), "{told}");
    assert!(server.log().contains("auth_time"), "{}", server.log());
}

fn a_provider_that_is_away_or_another_lets_nobody_in(backend: Backend) {
    let (mut server, provider) = both(backend);
    provider.user("ada", &["staff"]);
    server.set("TALLYBOX_OIDC_CLIENT_SECRET", "another");
    server.stop();
    server.restart();
    let mut ada = Browser::new(&server, "curl/8");
    sign_in(&mut ada, &provider, "ada").expect(502);
    assert!(!ada.is_in());
    let issuer = provider.issuer();
    drop(provider);
    server.stop();
    server.restart();
    let mut ada = Browser::new(&server, "curl/8");
    let told = ada.get("/login/oidc").expect(502).text();
    assert!(told.contains("does not answer as it should") && !told.contains(&issuer), "{told}");
    assert!(server.get("/login").expect(200).text().contains("name=\"password\""), "passwords go on");
}
