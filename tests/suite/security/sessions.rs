//! Logins that somebody plants, steals, keeps or mixes up.

use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, MEMBER, PASSWORD, Server};
use crate::pages::hidden;

on_both_backends! {
    a_planted_login_never_works_and_each_sign_in_makes_a_new_one,
    a_login_ends_for_all_who_hold_its_cookie,
    a_new_password_ends_every_other_login,
    over_tls_the_cookie_is_bound_to_this_host,
}

fn signed_in(server: &Server, cookie: &str) -> bool {
    let reply = server.page("/apps", cookie);
    assert!(matches!(reply.status, 200 | 303), "{}", reply.status);
    reply.status == 200
}

fn a_planted_login_never_works_and_each_sign_in_makes_a_new_one(backend: Backend) {
    let server = Server::over(backend);
    let first = server.sign_in();
    let token = first.split_once('=').unwrap().1.to_owned();
    assert!(token.len() >= 43, "{} characters are fewer than 256 bits", token.len());
    for planted in [
        "tallybox=planted".to_owned(),
        "tallybox=".to_owned(),
        format!("tallybox={}", "A".repeat(43)),
        format!("tallybox={token}x"),
    ] {
        assert!(!signed_in(&server, &planted), "{planted}");
        let form = Request::form("/login", &[("name", MEMBER), ("password", PASSWORD)]);
        let given = server.send(&form.header("cookie", &planted)).expect(303).cookie().unwrap();
        assert_ne!(given, planted);
        assert!(signed_in(&server, &given) && !signed_in(&server, &planted), "{planted}");
    }
    // Signing in with a good login in hand makes another, too.
    let form = Request::form("/login", &[("name", MEMBER), ("password", PASSWORD)]).header("cookie", &first);
    assert_ne!(server.send(&form).expect(303).cookie().unwrap(), first);
    // Neither its hash nor a login in another place counts.
    let hash = server.sql(&format!("SELECT {} FROM logins LIMIT 1", server.database().hex("token_hash")));
    assert!(!signed_in(&server, &format!("tallybox={}", hash.trim())));
    assert!(!signed_in(&server, &format!("tallybox={}", hash.trim().to_lowercase())));
    let by_address = server.get(&format!("/apps?tallybox={token}")).status;
    let by_header = server.send(&Request::get("/apps").header("authorization", &format!("Bearer {token}"))).status;
    assert_eq!((by_address, by_header), (303, 303));
    let secure = server.send(&Request::get("/apps").header("cookie", &format!("__Host-tallybox={token}")));
    assert_eq!(secure.status, 303, "the name for TLS counts without it");
}

fn a_login_ends_for_all_who_hold_its_cookie(backend: Backend) {
    let server = Server::over(backend);
    let (one, other) = (server.sign_in(), server.sign_in());
    let csrf = |cookie: &str| hidden(&server.page("/apps", cookie).expect(200).text(), "csrf");
    let (mine, theirs) = (csrf(&one), csrf(&other));
    let out =
        |cookie: &str, csrf: &str| server.send(&Request::form("/logout", &[("csrf", csrf)]).header("cookie", cookie));
    out(&one, &theirs).expect(403);
    assert!(signed_in(&server, &one));
    let reply = out(&one, &mine).expect(303);
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(!signed_in(&server, &one), "the cookie works after signing out");
    assert!(signed_in(&server, &other), "signing out here ended a login elsewhere");
    assert_eq!(server.count("SELECT count(*) FROM logins"), 1);
}

fn a_new_password_ends_every_other_login(backend: Backend) {
    let server = Server::over(backend);
    let stolen = server.sign_in();
    assert!(signed_in(&server, &stolen));
    server.run_with(&["member", "passwd", MEMBER], "another quiet harbour at noon\n");
    assert!(!signed_in(&server, &stolen), "a login outlives its password");
    let old = Request::form("/login", &[("name", MEMBER), ("password", PASSWORD)]);
    assert!(server.send(&old).cookie().is_none(), "the old password still works");
}

fn over_tls_the_cookie_is_bound_to_this_host(backend: Backend) {
    let server = Server::with().backend(backend).setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1/32").start();
    let form = Request::form("/login", &[("name", MEMBER), ("password", PASSWORD)]);
    let through =
        |request: Request| request.header("x-forwarded-proto", "https").header("x-forwarded-for", "203.0.113.9");
    let reply = server.send(&through(form)).expect(303);
    let cookie = reply.header("set-cookie").unwrap();
    for part in ["__Host-tallybox=", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    let sent = reply.cookie().unwrap();
    server.send(&through(Request::get("/apps")).header("cookie", &sent)).expect(200);
    assert_eq!(server.page("/apps", &sent).status, 303, "the cookie for TLS counts without it");
}
