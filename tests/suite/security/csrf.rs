//! Forms that others make a member's browser send: every route that changes something, in every way that a browser can.

use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, Server};
use crate::pages::hidden;
use crate::routes::{Route, routes};

on_both_backends! {
    no_form_from_elsewhere_changes_anything,
    nothing_changes_by_being_looked_at,
}

/// What the database looks like where somebody could have changed it.
fn state(server: &Server) -> String {
    ["apps", "ingest_keys", "members", "logins", "funnels", "version_rules", "audit", "set_aside"]
        .map(|table| server.sql(&format!("SELECT count(*) FROM {table}")).trim().to_owned())
        .join(" ")
}

fn no_form_from_elsewhere_changes_anything(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Forged");
    let cookie = server.sign_in();
    let page = server.page("/apps", &cookie).expect(200).text();
    let mine = hidden(&page, "csrf");
    let elsewhere = server.sign_in();
    let other = hidden(&server.page("/apps", &elsewhere).expect(200).text(), "csrf");
    assert_ne!(mine, other, "two logins of one member have the same proof");
    let url = server.url();
    let host = url.trim_start_matches("http://").to_owned();
    let forms: Vec<_> = routes(&server, &app).into_iter().filter(Route::is_form).collect();
    assert!(forms.len() > 8, "only {} forms", forms.len());
    let before = state(&server);
    for route in &forms {
        let send = |csrf: Option<&str>, headers: &[(&str, &str)]| {
            let fields: Vec<_> = csrf.iter().map(|csrf| ("csrf", *csrf)).collect();
            let bare = Request::form(&route.path, &fields).without("sec-fetch-site").header("cookie", &cookie);
            let request = headers.iter().fold(bare, |request, (name, value)| request.header(name, value));
            server.send(&request).status
        };
        let foreign: &[&[(&str, &str)]] = &[
            &[],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "")],
            &[("sec-fetch-site", "nonsense")],
            &[("origin", "http://evil.example")],
            &[("origin", "https://127.0.0.1")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("sec-fetch-site", "cross-site"), ("origin", &url)],
            &[("referer", &url)],
            &[("origin", "http://evil.example"), ("x-forwarded-host", "evil.example")],
            &[("origin", "http://evil.example"), ("x-forwarded-host", &host), ("referer", &url)],
            &[("sec-fetch-site", "cross-site"), ("content-type", "text/plain")],
            &[("sec-fetch-site", "cross-site"), ("x-http-method-override", "GET")],
        ];
        for headers in foreign {
            assert_eq!(send(Some(&mine), headers), 403, "{} with {headers:?}", route.path);
        }
        // From a page of ours, but not of this login.
        if matches!(route.access.as_str(), "public" | "setup-token") {
            continue;
        }
        let cut = &mine[..mine.len() - 1];
        for csrf in [None, Some(""), Some(other.as_str()), Some(cut), Some("0"), Some("%00")] {
            assert_eq!(send(csrf, &[("sec-fetch-site", "same-origin")]), 403, "{} with {csrf:?}", route.path);
        }
        // The proof counts in the form alone, not in the address, a header or a cookie.
        let places = Request::form(&format!("{}?csrf={mine}", route.path), &[])
            .header("cookie", &format!("{cookie}; csrf={mine}"))
            .header("x-csrf-token", &mine);
        assert_eq!(server.send(&places).status, 403, "{} with the proof elsewhere", route.path);
        // Bodies that no form of ours sends.
        for (kind, body) in [
            ("application/json", format!("{{\"csrf\":\"{mine}\"}}")),
            ("text/plain", format!("x=1\r\ncsrf%3D{mine}")),
            (
                "multipart/form-data; boundary=x",
                format!("--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{mine}\r\n--x--"),
            ),
        ] {
            let request = Request::post(&route.path, body).header("content-type", kind);
            let request = request.header("cookie", &cookie).header("sec-fetch-site", "same-origin");
            assert_eq!(server.send(&request).status, 403, "{} as {kind}", route.path);
        }
    }
    assert_eq!(state(&server), before);
}

fn nothing_changes_by_being_looked_at(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Seen");
    let cookie = server.sign_in();
    let all = routes(&server, &app);
    let csrf = hidden(&server.page("/apps", &cookie).expect(200).text(), "csrf");
    let before = state(&server);
    for route in all {
        let join = if route.path.contains('?') { '&' } else { '?' };
        let path = format!("{}{join}csrf={csrf}&_method=POST&act=save&name=x&sure=yes&until=99", route.path);
        for method in ["GET", "HEAD"] {
            let method = if route.path.contains("/stream") { "HEAD" } else { method };
            let request = Request { method, ..Request::get(&path) }.header("x-http-method-override", "POST");
            server.send(&request.header("cookie", &cookie));
        }
    }
    assert_eq!(state(&server), before);
}
