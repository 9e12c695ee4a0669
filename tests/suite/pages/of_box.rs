//! The pages about the box, and events that were set aside, as who may see them sees them.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{hidden, lint};
use crate::harness::backend::{on_both_backends, on_postgres_alone};
use crate::harness::http::Request;
use crate::harness::kit;
use crate::harness::{Backend, Database, Server, poll};

on_both_backends! {
    status_tells_how_the_box_is_and_what_it_turned_away,
    settings_tell_where_each_value_comes_from,
    events_set_aside_are_tried_again_and_discarded_on_their_page,
}

mod nodes {
    super::on_postgres_alone! { nodes_of_one_database_know_of_each_other }

    fn nodes_of_one_database_know_of_each_other() {
        super::nodes_of_one_database_know_of_each_other();
    }
}

fn status_tells_how_the_box_is_and_what_it_turned_away(backend: Backend) {
    let server = Server::with().backend(backend).setting("TALLYBOX_SLOW_QUERY_MS", 1).start();
    let app = server.app("Known");
    server.accept(&app, &[kit::event("seen"), kit::event("seen")]);
    let mut broken = kit::event("seen");
    broken["timestamp"] = json!("never");
    server.send(&app.sdk(&kit::batch(&[broken]))).expect(200);
    server.send(&app.sdk(b"{")).expect(400);
    let mut stranger = app.clone();
    stranger.secret.push('x');
    server.send(&stranger.sdk(b"{}")).expect(401);

    let cookie = server.sign_in();
    let page = server.page("/box", &cookie).expect(200);
    lint(&page);
    let text = page.text();
    // The tests' own PostgreSQL does not wait for its disk, and that is told.
    let (engine, verdict, findings) = match backend {
        Backend::Sqlite => ("SQLite 3.", "All is well", 0),
        Backend::Postgres => ("PostgreSQL ", "one thing deserves a look", 1),
    };
    for part in
        [verdict, engine, "No valid key", "The request cannot be read", "Not a valid event", "this one", "Known"]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let told = server.page("/box.json", &cookie).expect(200);
    assert_eq!(told.header("content-type"), Some("application/json"));
    let told = told.json();
    assert_eq!(told["findings"].as_array().unwrap().len(), findings, "{}", told["findings"]);
    assert_eq!(told["verdict"], if findings == 0 { "well" } else { "look" });
    assert_eq!(
        told["events"],
        json!({
            "received": 3, "stored": 2, "duplicate": 0, "set_aside": 1, "dropped": 0, "refused": 0, "discarded": 0,
        })
    );
    assert_eq!(told["set_aside"][0]["app"], app.slug.as_str());
    let refused = told["refused"].as_array().unwrap();
    assert_eq!(refused.iter().map(|one| one["count"].as_u64().unwrap()).sum::<u64>(), 2, "{refused:?}");
    assert!(refused.iter().all(|one| one["samples"][0]["protocol"] == "telemetry-kit"), "{refused:?}");
    let database = &told["database"];
    assert!(database["engine"].as_str().unwrap().starts_with(engine) && database["schema"].as_u64() > Some(0));
    assert!(told["uptime_seconds"].is_u64() && told["listening"] == server.address().to_string(), "{told}");
    // No statement is told with its values.
    let slow = told["database"]["slowest"].as_array().unwrap();
    assert!(slow.iter().all(|query| !query["what"].as_str().unwrap().contains("seen\"")), "{slow:?}");

    for role in ["viewer", "admin", "owner"] {
        let member = server.sign_in_as(role);
        for path in ["/box", "/box.json", "/box/settings"] {
            server.page(path, &member).expect(403);
        }
    }
}

fn settings_tell_where_each_value_comes_from(backend: Backend) {
    let mut server =
        Server::with().backend(backend).setting("TALLYBOX_METRICS_TOKEN", "secret-enough-for-a-test").start();
    let cookie = server.sign_in();
    server.stop();
    fs::write(server.data().join("tallybox.toml"), "retention_days = 400\nmax_event_bytes = 70000\n").unwrap();
    server.set("TALLYBOX_MAX_EVENT_BYTES", "80000");
    server.restart();
    let page = server.page("/box/settings", &cookie).expect(200);
    lint(&page);
    let text = page.text();
    let row = |key: &str| {
        let row = text.split("<li class=\"setting\">").find(|row| row.contains(&format!("<code>{key}</code>")));
        row.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
    };
    for (key, parts) in [
        (
            "max_event_bytes",
            &["<code>80000</code>", "environment variable TALLYBOX_MAX_EVENT_BYTES", "default: 65536"][..],
        ),
        ("retention_days", &["<code>400</code>", "tallybox.toml, line 1"]),
        ("log_level", &["<code>info</code>", ">default<", "TALLYBOX_LOG_LEVEL"]),
        ("metrics_token", &["secret,</span> set", "environment variable TALLYBOX_METRICS_TOKEN"]),
        ("setup_token", &["secret,</span> not set", ">default<"]),
    ] {
        let row = row(key);
        assert!(parts.iter().all(|part| row.contains(part)), "{key}: {row}");
    }
    assert!(!text.contains("secret-enough-for-a-test"));
    if let Database::Postgres(database) = server.database() {
        let url = database.url();
        let password = url.split_once("//").and_then(|(_, rest)| rest.split_once('@')?.0.split_once(':'));
        assert!(password.is_none_or(|(_, password)| !text.contains(password)), "the password of the database is shown");
    }
    assert!(!text.contains("synchronous"), "a setting for drills is shown");
}

fn events_set_aside_are_tried_again_and_discarded_on_their_page(backend: Backend) {
    let mut server = Server::over(backend);
    let app = server.app("Strict");
    let large = |n: usize| {
        let mut event = kit::event("large");
        event["user_id"] = json!(format!("user {}", n % 3));
        event["event"]["data"] = json!({ "text": "x".repeat(70_000), "n": n });
        event
    };
    let broken = |_| {
        let mut event = kit::event("broken");
        event["timestamp"] = json!("never");
        event
    };
    server.send(&app.sdk(&kit::batch(&(0..12).map(large).collect::<Vec<_>>()))).expect(200);
    server.send(&app.sdk(&kit::batch(&(0..30).map(broken).collect::<Vec<_>>()))).expect(200);
    server.stop();
    server.set("TALLYBOX_MAX_EVENT_BYTES", "80000");
    server.restart();

    let path = format!("/apps/{}/set-aside", app.slug);
    let cookie = server.sign_in_as("admin");
    let page = |query: &str| {
        let page = server.page(&format!("{path}{query}"), &cookie).expect(200);
        lint(&page);
        page.text()
    };
    let first = page("");
    for part in [">All 42<", ">Not a valid event 30<", ">Too large 12<", "Try 42 again", "Older"] {
        assert!(first.contains(part), "no {part} in {first}");
    }
    let (csrf, until) = (hidden(&first, "csrf"), hidden(&first, "until"));
    let post = |act: &str, fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        server.send(&Request::form(&format!("{path}/{act}"), &fields).header("cookie", &cookie))
    };
    let follow = |reply: crate::harness::http::Reply| {
        let place = reply.expect(303).header("location").unwrap().to_owned();
        let page = server.page(&place, &cookie).expect(200);
        lint(&page);
        page.text()
    };
    let events = || server.count("SELECT count(*) FROM events");
    // One by its number, and the same a second time.
    let one = server.sql("SELECT min(id) FROM set_aside WHERE reason = 'too_large'").trim().to_owned();
    assert!(follow(post("retry", &[("id", &one)])).contains("1 event now counted"));
    assert!(follow(post("retry", &[("id", &one)])).contains("0 events now counted"));
    assert_eq!(events(), 1);
    // All: what can be used now leaves, the rest stays.
    let told = follow(post("retry", &[("until", &until)]));
    assert!(told.contains("11 events now counted, 30 still of no use"), "{told}");
    assert!(told.contains(">All 30<") && !told.contains("Too large"), "{told}");
    assert_eq!((events(), server.count("SELECT count(*) FROM users")), (12, 3));
    // Discarding all wants to be meant.
    post("discard", &[("until", &until)]).expect(400);
    post("discard", &[("sure", "yes")]).expect(400);
    post("discard", &[("until", &until), ("sure", "yes"), ("reason", "nonsense")]).expect(400);
    let one = server.sql("SELECT max(id) FROM set_aside").trim().to_owned();
    assert!(follow(post("discard", &[("id", &one)])).contains("Discarded: 1 event."));
    let told = follow(post("discard", &[("until", &until), ("sure", "yes"), ("reason", "invalid")]));
    assert!(told.contains("Discarded: 29 events.") && told.contains("nothing here any more"), "{told}");
    assert!(page("").contains("Nothing set aside"));
    let account = server.page(&format!("/apps/{}/changes", app.slug), &cookie).expect(200).text();
    assert!(
        account.contains("Discarded, set aside:")
            && account.contains("Tried again, set aside:")
            && account.contains("29 events"),
        "{account}"
    );
    let conserved = server.page("/box.json", &server.sign_in()).expect(200).json();
    let events = &conserved["events"];
    assert_eq!((&events["received"], &events["stored"], &events["discarded"]), (&json!(12), &json!(12), &json!(30)));

    // What is archived takes nothing, not even that.
    server.send(&app.sdk(&kit::batch(&[broken(0)]))).expect(200);
    server.run(&["app", "archive", &app.slug]);
    let until = server.sql("SELECT max(id) FROM set_aside").trim().to_owned();
    assert!(!page("").contains("/retry\""), "trying again is offered for an archived app");
    assert!(follow(post("retry", &[("until", &until)])).contains("takes nothing until it is restored"));
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 1);

    let viewer = server.sign_in_as("viewer");
    let seen = server.page(&path, &viewer).expect(200).text();
    assert!(!seen.contains("/discard"), "a viewer is offered to discard");
}

fn nodes_of_one_database_know_of_each_other() {
    let one = Server::over(Backend::Postgres);
    let Database::Postgres(database) = one.database() else { unreachable!("it was made over PostgreSQL") };
    let mut other = Server::with().database(database.at(database.port())).start_fresh();
    let cookie = one.sign_in();
    let nodes = |server: &Server, cookie: &str| -> Vec<Value> {
        server.page("/box.json", cookie).expect(200).json()["nodes"].as_array().unwrap().clone()
    };
    let limit = Duration::from_secs(60);
    let both = poll::until(limit, "two nodes", || Some(nodes(&one, &cookie)).filter(|nodes| nodes.len() == 2));
    assert!(both.iter().all(|node| node["version"] == env!("CARGO_PKG_VERSION")), "{both:?}");
    // The login of one node works on the other. A node that has begun before the database was there tells of itself later.
    poll::until(limit, "two nodes on the other", || (nodes(&other, &cookie).len() == 2).then_some(()));
    assert!(other.stop().success());
    assert_eq!(nodes(&one, &cookie).len(), 1, "a node that has stopped in order is there no longer");
}
