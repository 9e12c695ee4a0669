//! Kinds of credentials, each refused where another belongs.

use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, Server};
use crate::teardown::client::{Client, event};

on_both_backends! {
    each_kind_is_refused_where_another_belongs_and_told_so,
    keys_of_earlier_versions_work_as_either_kind,
    public_keys_are_made_rotated_and_revoked_on_their_page,
}

fn each_kind_is_refused_where_another_belongs_and_told_so(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Kinds");
    let public = server.public_key(&app.slug);
    let told = server.run(&["token", "create", &app.slug]);
    let token = told.lines().find_map(|line| line.strip_prefix("token")).unwrap().trim().to_owned();
    assert!(app.token.starts_with("tks_") && public.starts_with("tkp_") && token.starts_with("tka_"));
    let body = kit::batch(&[kit::event("a")]);

    let guide = |token: &str| {
        let bearer = Credentials { token: token.to_owned(), ..app.clone() };
        server.send(&bearer.guide_form(&body, kit::now()))
    };
    guide(&app.token).expect(200);
    let last = if app.token.ends_with('0') { "1" } else { "0" };
    let mistyped = [&app.token[..app.token.len() - 1], last].concat();
    for (wrong, said) in [(public.as_str(), "public key"), (&token, "read API"), (&mistyped, "mistyped")] {
        let refused = guide(wrong).expect(401).json();
        assert_eq!(refused["error"], "unauthorized");
        assert!(refused["message"].as_str().unwrap().contains(said), "{refused}");
    }
    // Unsigned requests are refused however strict the app is.
    let unsigned = Request::post(&app.path(), body).header("authorization", &format!("Bearer {public}"));
    assert!(server.send(&unsigned).expect(401).text().contains("public key"));

    let mut client = Client::new(&server, &app);
    client.refresh();
    for (wrong, said) in [(&app.token, "secret key"), (&token, "read API"), (&format!("{public}0"), "mistyped")] {
        let mut wrongly = client.clone();
        wrongly.key.clone_from(wrong);
        let refused = wrongly.try_identify(None).unwrap_err();
        assert_eq!(refused.status, 401);
        assert!(refused.text.contains(said), "{refused:?}");
        assert_eq!(wrongly.track(&[event("a", None)]).unwrap_err().status, 401);
    }

    for key in [&app.token, &public] {
        let request = Request::get("/api/v1/apps").header("authorization", &format!("Bearer {key}"));
        let refused = server.send(&request).expect(401).json();
        assert_eq!(refused["error"]["code"], "invalid_token");
        assert!(refused["error"]["message"].as_str().unwrap().contains("sending events"), "{refused}");
    }
    for credential in [&app.token, &public, &token] {
        let page = server.page("/apps", &format!("tallybox={credential}"));
        assert_eq!(page.status, 303, "no key is a cookie");
    }
}

fn keys_of_earlier_versions_work_as_either_kind(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Old");
    let imported = "tk_00112233445566778899aabbccddeeff its-secret-of-old\n";
    let told = server.run_with(&["key", "create", &app.slug, "--import"], imported);
    let old = Credentials::parse(&told);
    server.accept(&old, &[kit::event("a")]);
    server.send(&old.guide_form(&kit::batch(&[kit::event("b")]), kit::now())).expect(200);
    let mut client = Client::new(&server, &old);
    client.key.clone_from(&old.token);
    client.refresh();
    client.track(&[event("c", None)]).unwrap();
    assert_eq!(server.count("SELECT count(*) FROM events"), 3);
    assert!(server.run(&["key", "list"]).contains("either"));
    // A key that was there before the migration is one of those.
    let columns = "environment_id, name, hint, token_hash, sealed_secret, created_at";
    server.database().alter(&format!(
        "INSERT INTO ingest_keys ({columns}) SELECT environment_id, 'older', 'tk_', {}, sealed_secret, created_at \
         FROM ingest_keys WHERE id = 1",
        server.database().bytes(&[9; 32])
    ));
    assert_eq!(server.sql("SELECT kind FROM ingest_keys WHERE name = 'older'").trim(), "either");
}

fn public_keys_are_made_rotated_and_revoked_on_their_page(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Paged");
    let (cookie, path) = (server.sign_in(), format!("/apps/{}/keys", app.slug));
    let post = |path: &str, fields: &[(&str, &str)]| super::post(&server, &cookie, path, fields);
    let key_of = |page: &str| {
        let at = page.find("data-copy>tkp_").unwrap_or_else(|| panic!("no key in {page}")) + "data-copy>".len();
        page[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    };
    let made = post(&path, &[("name", "phones"), ("environment", "production"), ("kind", "public")]).expect(200).text();
    assert!(!made.contains("Secret</dt>") && made.contains("ingestUrl"), "{made}");
    let mut client = Client::new(&server, &app);
    client.key = key_of(&made);
    client.refresh();
    let id = server.sql("SELECT id FROM ingest_keys WHERE name = 'phones'").trim().to_owned();
    let rotated = post(&format!("{path}/{id}/rotate"), &[("overlap", "7")]).expect(200).text();
    let mut next = client.clone();
    next.key = key_of(&rotated);
    assert_ne!(next.key, client.key);
    client.refresh();
    next.refresh();
    post(&format!("{path}/{id}/revoke"), &[]).expect(303);
    assert_eq!(client.try_identify(None).unwrap_err().status, 401);
    next.refresh();
    let page = server.page(&path, &cookie).expect(200).text();
    assert!(page.contains(">public<") && page.contains(">secret<") && page.contains("revoked"), "{page}");
    assert!(!page.contains(&next.key));
    let account = server.sql("SELECT action, subject FROM audit WHERE action LIKE 'key.%' ORDER BY id");
    let own: Vec<_> = account.lines().filter(|line| line.ends_with("|phones")).collect();
    assert_eq!(own, ["key.made|phones", "key.rotated|phones", "key.revoked|phones"]);
    let refused = post(&path, &[("name", "x"), ("environment", "production"), ("kind", "odd")]);
    assert!((400..500).contains(&refused.status), "{}", refused.status);
    assert_eq!(server.count("SELECT count(*) FROM ingest_keys WHERE name = 'x'"), 0);
}
