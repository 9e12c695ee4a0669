//! Retention and funnels as pages, forms and files.

use super::*;
use crate::harness::kit::Credentials;

on_both_backends! {
    before_the_first_event_it_is_said_what_would_be_there,
    retention_shows_who_came_back,
    a_funnel_shows_who_went_on_and_where_the_others_stayed,
    the_form_of_a_funnel_grows_by_a_row_and_says_what_is_wrong,
    funnels_are_saved_renamed_and_deleted_by_those_who_may,
    funnels_of_another_environment_are_not_there,
}

/// Users `u0`, `u1`, …: all open, the first three save, the first one shares; each thing once, in this order.
fn seed(server: &Server, app: &Credentials) {
    let mut events = Vec::new();
    for (name, users) in [("opened", 5), ("saved <b>", 3), ("shared", 1)] {
        for user in 0..users {
            let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(200 - 30 * events.len() as i64 / 2);
            let mut event = kit::event_of(uuid::Uuid::new_v4(), at, name);
            event["user_id"] = format!("u{user}").into();
            event["session_id"] = format!("s{user}").into();
            events.push(event);
        }
    }
    server.accept(app, &events);
}

fn words(page: &Reply) -> String {
    let text = page.text();
    let inner: String = text.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
    inner.replace("&#60;", "<").replace("&#62;", ">").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn before_the_first_event_it_is_said_what_would_be_there(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Lonely");
    let cookie = server.sign_in();
    for environment in ["", "/development"] {
        for (page, told) in [
            ("retention", "Nobody has come to"),
            ("funnels", "How many get to the end?"),
            ("funnel", "aiting for the first event"),
        ] {
            let page = server.page(&format!("/apps/{}{environment}/{page}", app.slug), &cookie).expect(200);
            assert!(words(&page).contains(told), "{}", page.text());
            lint(&page);
        }
        for file in ["retention.csv", "retention.json", "funnel.csv", "funnel.json"] {
            server.page(&format!("/apps/{}{environment}/{file}", app.slug), &cookie).expect(200);
        }
    }
}

fn retention_shows_who_came_back(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Faithful");
    seed(&server, &app);
    let cookie = server.sign_in();
    let at = |query: &str| server.page(&format!("/apps/{}/retention{query}", app.slug), &cookie).expect(200);
    for (query, users, share) in [
        ("", 5, "100%"),
        ("?cohort=day", 5, "100%"),
        ("?cohort=month&back=shared", 5, "20%"),
        ("?born=saved+%3Cb%3E&back=shared", 3, "33%"),
        ("?version=1.2.3", 5, "100%"),
    ] {
        let page = at(query);
        lint(&page);
        let table = page.text().split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap().to_owned();
        assert!(table.contains(&format!("<td>{users}</td>")) && table.contains(share), "{query}: {table}");
        assert!(table.contains(" open\""), "the last cell is not over: {table}");
    }
    let page = at("?born=saved+%3Cb%3E&version=9&cohort=day");
    assert!(words(&page).contains("Nobody came in this time"), "{}", page.text());
    assert!(page.text().contains("value=\"saved &#60;b&#62;\""), "{}", page.text());
    lint(&at("?cohort=century&born=%00&range=never"));

    let file = server.page(&format!("/apps/{}/retention.csv?cohort=day&back=shared", app.slug), &cookie).expect(200);
    let lines: Vec<_> = file.text().lines().map(str::to_owned).collect();
    assert_eq!((lines[0].as_str(), lines.len()), ("cohort,size,interval,users,share,unfinished", 1 + 14 * 15 / 2));
    assert!(lines.last().unwrap().ends_with(",5,0,1,0.2,1"), "{lines:?}");
    let file = server.page(&format!("/apps/{}/retention.json", app.slug), &cookie).expect(200).json();
    assert_eq!(file.as_array().unwrap().last().unwrap()["users"], 5);
}

fn a_funnel_shows_who_went_on_and_where_the_others_stayed(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Steps");
    seed(&server, &app);
    let cookie = server.sign_in();
    let path = format!("/apps/{}/funnel?step=opened&step=saved+%3Cb%3E&step=shared&window=1h", app.slug);
    let page = server.page(&path, &cookie).expect(200);
    lint(&page);
    let words = words(&page);
    for told in [
        "20% of the 5 users who did “opened” got to “shared” within 1 hour.",
        "60% went on",
        "2 (40%) did not",
        "33% went on",
        "saved <b>",
    ] {
        assert!(words.contains(told), "no “{told}” in {words}");
    }
    let split = server.page(&format!("{path}&split=version"), &cookie).expect(200);
    assert!(split.text().contains("1.2.3"), "{}", split.text());
    let filtered = server.page(&format!("{path}&version=9"), &cookie).expect(200);
    assert!(filtered.text().contains("Nobody did “opened” in this range."), "{}", filtered.text());
    let narrowed = server.page(&format!("{path}&2.version%21=1.2.3"), &cookie).expect(200);
    assert!(narrowed.text().contains("Version is not 1.2.3"), "{}", narrowed.text());

    let file = server.page(&path.replace("/funnel?", "/funnel.csv?"), &cookie).expect(200).text();
    let lines: Vec<_> = file.lines().collect();
    assert_eq!(lines[0], "step,event,value,users,share_of_first,share_of_previous,median_ms");
    assert!(lines[1].starts_with("1,opened,,5,1,,") && lines[2].starts_with("2,saved <b>,,3,0.6,0.6,"), "{file}");
    let file = server.page(&format!("{path}&split=version").replace("/funnel?", "/funnel.json?"), &cookie);
    let rows = file.expect(200).json();
    assert_eq!((rows.as_array().unwrap().len(), &rows[5]["value"], &rows[5]["users"]), (6, &"1.2.3".into(), &1.into()));
}

fn the_form_of_a_funnel_grows_by_a_row_and_says_what_is_wrong(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Forms");
    seed(&server, &app);
    let cookie = server.sign_in();
    let rows = |page: &Reply| page.text().matches("name=\"step\"").count();
    let base = format!("/apps/{}", app.slug);
    let empty = server.page(&format!("{base}/funnels"), &cookie).expect(200);
    assert_eq!(rows(&empty), 3);
    assert!(empty.text().contains("Try opened → saved"), "{}", empty.text());
    assert!(empty.text().contains("<option value=\"shared\">"), "events to choose from");
    for (query, wanted) in [("step=opened&step=&rows=4", 4), ("step=a&step=b&rows=99", 8), ("rows=x", 3)] {
        let page = server.page(&format!("{base}/funnels?{query}"), &cookie).expect(200);
        lint(&page);
        assert_eq!((rows(&page), page.text().contains("Add a step")), (wanted, wanted < 8), "{query}");
    }
    for (query, told) in [
        ("", "two steps at least"),
        ("step=opened", "two steps at least"),
        ("step=a&step=b&window=1y", "ninety days at the most"),
        (&"step=a&".repeat(9), "eight steps at the most"),
        ("step=a&step=b&split=total", "tell users apart by"),
    ] {
        let page = server.page(&format!("{base}/funnel?{query}"), &cookie).expect(400);
        lint(&page);
        assert!(page.text().contains(told), "{query}: {}", page.text());
        assert!(server.page(&format!("{base}/funnel.csv?{query}"), &cookie).expect(400).text().contains(told));
    }
    let kept = server.page(&format!("{base}/funnel?step=a&step=b&2.version%21=1&2.system=linux"), &cookie).expect(200);
    assert_eq!(hidden(&kept.text(), "2.version!"), "1");
    assert!(kept.text().contains("name=\"where\" value=\"system\""), "{}", kept.text());
}

fn funnels_are_saved_renamed_and_deleted_by_those_who_may(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Kept");
    seed(&server, &app);
    let cookie = server.sign_in();
    let base = format!("/apps/{}", app.slug);
    let shown = server.page(&format!("{base}/funnel?range=90d&step=opened&step=shared&version=1.2.3"), &cookie);
    let shown = shown.expect(200).text();
    let (csrf, query) = (hidden(&shown, "csrf"), hidden(&shown, "query").replace("&#38;", "&"));
    let post = |fields: &[(&str, &str)]| {
        let all: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
        server.send(&Request::form(&format!("{base}/funnels"), &all).header("cookie", &cookie))
    };
    let place = |reply: Reply| reply.expect(303).header("location").unwrap().to_owned();
    let saved = place(post(&[("act", "save"), ("name", " To <share> "), ("query", &query)]));
    let id = saved.split_once("id=").unwrap().1.to_owned();
    let list = server.page(&format!("{base}/funnels"), &cookie).expect(200);
    lint(&list);
    assert!(list.text().contains("To &#60;share&#62;") && list.text().contains("opened → shared"), "{}", list.text());
    let page = server.page(&saved, &cookie).expect(200);
    assert!(
        words(&page).contains("20% of the 5 users") && page.text().contains("Shown as it is kept"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("<b>1.2.3</b>"), "its filter stands above: {}", page.text());
    let other = server.page(&format!("{saved}&step=opened&step=saved+%3Cb%3E"), &cookie).expect(200);
    assert!(other.text().contains("differs from what is kept"), "{}", other.text());

    let same = place(post(&[("act", "save"), ("name", "To <share>"), ("query", "step=opened&step=opened")]));
    assert_eq!(same, saved);
    place(post(&[("act", "save"), ("id", &id), ("name", "Renamed"), ("query", "step=opened&step=shared")]));
    place(post(&[("act", "save"), ("name", "Second"), ("query", "step=a&step=b")]));
    for (id, name, query, status) in [
        (id.as_str(), "Second", "step=a&step=b", 422),
        ("", " ", "step=a&step=b", 422),
        ("", &"n".repeat(81), "step=a&step=b", 422),
        ("", "One", "step=a", 400),
        ("", "One", "step=a&step=b&window=never", 400),
        ("nonsense", "One", "step=a&step=b", 400),
        ("00000000-0000-4000-8000-000000000000", "One", "step=a&step=b", 404),
    ] {
        let refused = post(&[("act", "save"), ("id", id), ("name", name), ("query", query)]).expect(status);
        lint(&refused);
    }
    post(&[("act", "burn"), ("id", &id)]).expect(400);
    let forged = [("csrf", "x"), ("act", "delete"), ("id", &id)];
    server.send(&Request::form(&format!("{base}/funnels"), &forged).header("cookie", &cookie)).expect(403);
    assert_eq!(server.sql("SELECT name FROM funnels ORDER BY name").trim(), "Renamed\nSecond");

    server.run_with(&["member", "create", "viewer@example.org", "--role", "viewer"], &format!("{PASSWORD}\n"));
    let form = Request::form("/login", &[("name", "viewer@example.org"), ("password", PASSWORD)]);
    let viewer = server.send(&form).expect(303).cookie().unwrap();
    let looked = server.page(&saved, &viewer).expect(200).text();
    assert!(looked.contains("Renamed") && !looked.contains("name=\"act\""), "{looked}");
    let fields = [("csrf", hidden(&looked, "csrf")), ("act", "delete".to_owned()), ("id", id.clone())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.send(&Request::form(&format!("{base}/funnels"), &fields).header("cookie", &viewer)).expect(403);

    assert_eq!(place(post(&[("act", "delete"), ("id", &id)])), format!("{base}/funnels"));
    server.page(&saved, &cookie).expect(404);
    server.page(&format!("{base}/funnel?id=nonsense"), &cookie).expect(404);
    assert_eq!(server.sql("SELECT name FROM funnels").trim(), "Second");
}

fn funnels_of_another_environment_are_not_there(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Apart");
    seed(&server, &app);
    let cookie = server.sign_in();
    let csrf = hidden(&server.page("/apps", &cookie).text(), "csrf");
    let path = format!("/apps/{}/staging/funnels", app.slug);
    let fields = [("csrf", csrf.as_str()), ("act", "save"), ("name", "Staged"), ("query", "step=a&step=b")];
    let saved = server.send(&Request::form(&path, &fields).header("cookie", &cookie)).expect(303);
    let saved = saved.header("location").unwrap().to_owned();
    assert!(saved.starts_with(&format!("/apps/{}/staging/funnel?id=", app.slug)), "{saved}");
    assert!(server.page(&path, &cookie).expect(200).text().contains("Staged"));
    let own = server.page(&format!("/apps/{}/funnels", app.slug), &cookie).expect(200);
    assert!(!own.text().contains("Staged"), "{}", own.text());
    server.page(&saved.replace("/staging", ""), &cookie).expect(404);
}
