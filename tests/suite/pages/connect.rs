//! Which lines to change for each SDK: on the page of new keys, and on one that can be read again.

use std::time::Duration;

use tallybox::model::{GuidePart, SdkGuide};
use tallybox::protocol::Choice;

use super::*;
use crate::harness::kit::Credentials;
use crate::harness::poll;
use crate::teardown::client;

on_both_backends! {
    a_new_app_gets_a_key_of_each_kind_and_every_sdk_its_lines,
    a_new_key_comes_with_the_lines_of_the_sdks_that_it_is_for,
    what_has_come_of_each_sdk_is_told,
}

/// How long what has come may take to be told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every SDK that a page of the documentation tells of.
fn sdks() -> Vec<SdkGuide> {
    Choice::default().guides().unwrap().into_iter().flat_map(|guide| guide.sdks).collect()
}

fn signs(sdk: &SdkGuide) -> bool {
    sdk.parts.iter().any(|part| matches!(part, GuidePart::Code(code) if code.contains("YOUR_SECRET")))
}

/// The tab of an SDK, as far as it is told apart from others.
fn tab(sdk: &SdkGuide) -> String {
    format!(">{}<span class=\"tick\"", sdk.title)
}

/// What a page shows as a credential.
#[track_caller]
fn shown(page: &str, label: &str) -> String {
    let start = format!("<dt>{label}</dt><dd><code data-copy>");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no {label} in {page}"));
    rest.split('<').next().unwrap().to_owned()
}

fn post(server: &Server, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let csrf = hidden(&server.page("/apps", cookie).expect(200).text(), "csrf");
    let fields: Vec<_> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
    server.send(&Request::form(path, &fields).header("cookie", cookie))
}

fn a_new_app_gets_a_key_of_each_kind_and_every_sdk_its_lines(backend: Backend) {
    let server = Server::over(backend);
    let cookie = server.sign_in();
    let reply = post(&server, &cookie, "/apps/new", &[("name", "Red <b>"), ("zone", "UTC")]).expect(200);
    lint(&reply);
    let page = reply.text();
    for sdk in sdks() {
        assert!(page.contains(&tab(&sdk)), "no {} in {page}", sdk.title);
    }
    for left in ["YOUR_", "box.example", "<b>"] {
        assert!(!page.contains(left), "{left} is left in {page}");
    }
    let (public, address) = (shown(&page, "Public key"), server.url());
    let aptabase = format!("A-SH-{}", public.strip_prefix("tkp_").expect("a public key").to_uppercase());
    assert_eq!(shown(&page, "The same for Aptabase"), aptabase);
    let app = Credentials {
        organization: shown(&page, "Organization id"),
        app: shown(&page, "App id"),
        slug: "red-b".to_owned(),
        token: shown(&page, "Token"),
        secret: shown(&page, "Secret"),
    };
    for line in [
        format!("ingestUrl: &#34;{address}&#34;"),
        format!("api_key: &#34;{public}&#34;"),
        format!(".secret(&#34;{}&#34;)", app.secret),
        ".service_name(&#34;red-b&#34;)?".to_owned(),
        "environment_slug: &#34;production&#34;".to_owned(),
    ] {
        assert!(page.contains(&line), "no {line} in {page}");
    }
    server.accept(&app, &[kit::event("signed")]);
    let mut installed = client::Client::new(&server, &app);
    installed.key = public;
    installed.refresh();
    installed.track(&[client::event("public", None)]).unwrap();
    let keys = server.page("/apps/red-b/keys", &cookie).expect(200).text();
    assert!(keys.contains("First public key") && keys.contains("First secret key"), "{keys}");
}

fn a_new_key_comes_with_the_lines_of_the_sdks_that_it_is_for(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Keyed");
    let cookie = server.sign_in();
    for kind in ["secret", "public"] {
        let fields = [("name", kind), ("environment", "staging"), ("kind", kind)];
        let page = post(&server, &cookie, &format!("/apps/{}/keys", app.slug), &fields).expect(200).text();
        let sdks = sdks();
        for sdk in &sdks {
            // Two protocols may have an SDK of the same name.
            let fits = sdks.iter().any(|other| other.title == sdk.title && signs(other) == (kind == "secret"));
            assert_eq!(page.contains(&tab(sdk)), fits, "{kind}: {}", sdk.title);
        }
        assert!(!page.contains("YOUR_"), "{page}");
        assert_eq!(page.contains("environment_slug: &#34;staging&#34;"), kind == "public", "{page}");
    }
}

fn what_has_come_of_each_sdk_is_told(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ticked");
    let cookie = server.sign_in();
    let look = || {
        let page = server.page(&format!("/apps/{}/connect", app.slug), &cookie).expect(200);
        lint(&page);
        page.text().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (works, waits) = ("<strong>It works.</strong>", "Waiting for the first event of this SDK.");
    let before = look();
    assert!(before.contains("No event of any of these SDKs has come") && before.contains("YOUR_SECRET"), "{before}");
    assert_eq!((before.matches(works).count(), before.matches(waits).count()), (0, sdks().len()), "{before}");

    server.accept(&app, &[kit::event("opened")]);
    // What was counted holds for half a second.
    let wait = |told: &str| poll::until(PATIENCE, told, || Some(look()).filter(|page| page.contains(told)));
    let after = wait(&format!("{works} 1 event of this SDK in the last four weeks, in production."));
    assert_eq!((after.matches(works).count(), after.matches(waits).count()), (1, sdks().len() - 1), "{after}");
    let ticked =
        "checked> <label for=\"sdk-0-1\">Rust<span class=\"tick\" data-live=\"tick-0-1\"><span aria-hidden=\"true\">✓";
    assert!(after.contains(ticked), "{after}");

    let other = Credentials::parse(&server.run(&["key", "create", &app.slug, "--env", "development"]));
    server.accept(&other, &[kit::event("tried"), kit::event("tried")]);
    let after =
        wait("<strong>telemetry-kit · Rust</strong>: 3 events in the last four weeks, in production and development");
    assert!(after.contains("Create a key"), "{after}");

    let mut installed = client::Client::new(&server, &app);
    installed.refresh();
    installed.track(&[client::event("public", None)]).unwrap();
    wait("<strong>Teardown · React Native</strong>: 1 event in the last four weeks, in production");
    server.member("looker", "viewer", "default");
    let page = server.page(&format!("/apps/{}/connect", app.slug), &server.sign_in_with("looker")).expect(200).text();
    assert!(page.contains("It works.") && !page.contains("Create a key"), "{page}");
}
