//! The page of orders and its verbs: who may give and lift them, what is wrong, what is shown.

use super::{counted, kept, order, path, send};
use crate::harness::backend::on_both_backends;
use crate::harness::kit;
use crate::harness::{Backend, Server};
use crate::pages::lint;

on_both_backends! {
    orders_are_given_shown_changed_and_lifted,
    viewers_read_and_admins_order_in_their_own_apps,
    what_makes_no_sense_is_said_and_not_ordered,
    verbs_order_list_and_lift,
}

fn orders_are_given_shown_changed_and_lifted(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Shown");
    let (cookie, own) = (server.sign_in(), path(&app));
    let empty = server.page(&own, &cookie).expect(200);
    lint(&empty);
    assert!(empty.text().contains("Nothing is ordered") && empty.text().contains("Nothing was kept out"));
    let filled =
        [("versions", "below"), ("version", "2.0.0"), ("sending", "pause"), ("flush", "60"), ("sample", "2.50")];
    let preview: Vec<_> = filled.into_iter().chain([("act", "preview")]).collect();
    let reply = send(&server, &cookie, &own, &preview).expect(200);
    lint(&reply);
    let page = reply.text();
    for part in [
        "Not ordered yet: versions below 2.0.0, every environment",
        "paused until it is lifted",
        "a sample of 2.5%",
        "sent every 60 s",
        "Its events are answered as accepted",
        "It cannot be told how often to send.",
        "value=\"2.50\"",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert_eq!(server.count("SELECT count(*) FROM client_orders"), 0, "only looked at");
    order(&server, &app, &filled);
    order(&server, &app, &[("names", "<b>\na"), ("environment", "staging")]);
    let reply = server.page(&own, &cookie).expect(200);
    lint(&reply);
    let page = reply.text();
    for part in ["Versions below 2.0.0, every environment", ">quiet<", "All versions, staging", "only &#60;b&#62;, a"] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    // One for the same clients takes the place of the other.
    order(&server, &app, &[("versions", "below"), ("version", "2.0.0"), ("sending", "stop")]);
    assert_eq!(server.count("SELECT count(*) FROM client_orders"), 2);
    let id = server.sql("SELECT id FROM client_orders WHERE env_id IS NULL").trim().to_owned();
    let page = server.page(&format!("{own}?order={id}"), &cookie).expect(200).text();
    assert!(page.contains("value=\"2.0.0\"") && page.contains("value=\"stop\" selected"), "{page}");
    for unknown in ["999", "x", ""] {
        server.page(&format!("{own}?order={unknown}"), &cookie).expect(200);
    }
    server.accept(&app, &[kit::event("a")]);
    assert_eq!((kept(&server), counted(&server, "stopped")), (0, 1));
    for page in [&own, &format!("/apps/{}/limits", app.slug)] {
        let text = server.page(page, &cookie).expect(200).text();
        assert!(text.contains("While stopped"), "{page}: {text}");
    }
    for _ in 0..2 {
        send(&server, &cookie, &own, &[("act", "lift"), ("id", &id)]).expect(303);
    }
    server.accept(&app, &[kit::event("a")]);
    assert_eq!(kept(&server), 1);
    let account = server.page(&format!("/apps/{}/changes?action=etiquette.", app.slug), &cookie).expect(200).text();
    for part in ["Ordered:", "Order lifted:", "versions below 2.0.0 in every environment", "only &#60;b&#62;, a"] {
        assert!(account.contains(part), "no {part} in {account}");
    }
    let lines = server.sql("SELECT action FROM audit WHERE action LIKE 'etiquette.%' ORDER BY id");
    let given = "etiquette.ordered";
    assert_eq!(lines.split_whitespace().collect::<Vec<_>>(), [given, given, given, "etiquette.lifted"]);
}

fn viewers_read_and_admins_order_in_their_own_apps(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ruled");
    let (admin, viewer) = (server.sign_in_as("admin"), server.sign_in_as("viewer"));
    send(&server, &viewer, &path(&app), &[("sending", "stop")]).expect(403);
    send(&server, &admin, &path(&app), &[("sending", "stop")]).expect(303);
    for (cookie, may) in [(&viewer, false), (&admin, true)] {
        let page = server.page(&path(&app), cookie).expect(200);
        lint(&page);
        assert!(page.text().contains("stopped") && page.text().contains("by admin@default"), "{}", page.text());
        assert_eq!(page.text().contains("name=\"sending\""), may);
        assert_eq!(page.text().contains(">Lift<"), may);
    }
    let other = server.second_organization("Elsewhere");
    server.page(&path(&other), &admin).expect(404);
    send(&server, &admin, &path(&other), &[("sending", "stop")]).expect(404);
    // The order to one app's clients is no other's to lift.
    let id = server.sql("SELECT id FROM client_orders").trim().to_owned();
    let theirs = server.sign_in_with("admin@elsewhere");
    send(&server, &theirs, &path(&other), &[("act", "lift"), ("id", &id)]).expect(303);
    assert_eq!(server.count("SELECT count(*) FROM client_orders"), 1);
}

fn what_makes_no_sense_is_said_and_not_ordered(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Wrong");
    let (cookie, own) = (server.sign_in(), path(&app));
    let long = "x".repeat(201);
    for (filled, said) in [
        (&[][..], "Order something"),
        (&[("sample", "0")][..], "more than 0"),
        (&[("names", long.as_str())], "200 bytes"),
        (&[("flush", "86400")], "whole number"),
        (&[("sending", "pause"), ("until", "2001-01-01T00:00")], "over already"),
        (&[("sending", "stop"), ("versions", "below")], "below which version"),
        (&[("sending", "stop"), ("environment", "moon")], "no such environment"),
    ] {
        let reply = send(&server, &cookie, &own, filled).expect(422);
        lint(&reply);
        assert!(reply.text().contains(said) && reply.text().contains("role=\"alert\""), "{said}: {}", reply.text());
    }
    for filled in [&[("act", "nothing")][..], &[("act", "lift"), ("id", "x")]] {
        assert!((400..500).contains(&send(&server, &cookie, &own, filled).status), "{filled:?}");
    }
    assert_eq!(server.count("SELECT count(*) FROM client_orders"), 0);
    let version = |number: usize| format!("1.0.{number}");
    for number in 0..50 {
        order(&server, &app, &[("sending", "stop"), ("versions", "exactly"), ("version", &version(number))]);
    }
    let one_more = [("sending", "stop"), ("versions", "exactly"), ("version", "2.0.0")];
    assert!(send(&server, &cookie, &own, &one_more).expect(409).text().contains("Lift some first"));
    order(&server, &app, &[("sending", "pause"), ("versions", "exactly"), ("version", &version(7))]);
    assert_eq!(server.count("SELECT count(*) FROM client_orders"), 50);
}

fn verbs_order_list_and_lift(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Spoken");
    let slug = app.slug.as_str();
    assert_eq!(server.run(&["etiquette", "list"]), "nothing is ordered\n");
    let given = [
        "etiquette",
        "set",
        slug,
        "--env",
        "staging",
        "--below",
        "1.2",
        "--sample",
        "12.5",
        "--only",
        "a",
        "--only",
        "b",
    ];
    let told = server.run(&given);
    assert!(told.contains("to versions below 1.2 of spoken: a sample of 12.5%; only a, b."), "{told}");
    server.run(&["etiquette", "set", slug, "--stop"]);
    let list = server.run(&["etiquette", "list", slug]);
    for part in ["staging", "versions below 1.2", "all versions", "stopped", "operator"] {
        assert!(list.contains(part), "no {part} in {list}");
    }
    for (arguments, said) in [
        (&["etiquette", "set", slug][..], "say what to order"),
        (&["etiquette", "set", slug, "--stop", "--pause"], "cannot be used with"),
        (&["etiquette", "set", slug, "--below", "1", "--exactly", "1", "--stop"], "cannot be used with"),
        (&["etiquette", "set", slug, "--sample", "100"], "less than 100"),
        (&["etiquette", "set", slug, "--flush", "0"], "whole number"),
        (&["etiquette", "set", slug, "--env", "moon", "--stop"], "no environment moon"),
        (&["etiquette", "set", "nothing", "--stop"], "there is no app"),
        (&["etiquette", "lift", slug, "999"], "no order 999"),
    ] {
        let output = server.try_run(arguments, "");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(said), "{arguments:?}: {errors}");
    }
    let id = server.sql("SELECT id FROM client_orders WHERE quiet = 'stopped'").trim().to_owned();
    assert!(server.run(&["etiquette", "lift", slug, &id]).contains("is lifted"));
    assert_eq!(server.count("SELECT count(*) FROM client_orders"), 1);
}
