//! The session token: verified here without the box's own code, its secrets rotated while clients run.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::{Client, server_with_client};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Database, Server};

on_both_backends! {
    token_tells_who_is_in_the_session,
    secrets_are_rotated_with_nothing_refused,
    lifetimes_are_settings,
}

const OLD: &str = "vGm0nq0Jb1mJr3yqv8sT7wXo2cLk5uZpE9aHfD4iNxY=";
const NEW: &str = "Xo2cLk5uZpE9aHfD4iNxYvGm0nq0Jb1mJr3yqv8sT7w=";

/// What an app's own backend reads of a token with that secret, if that signed it.
fn verify(token: &str, secret: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(signed.as_bytes());
    let valid = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()) == signature;
    let (header, claims) = signed.split_once('.')?;
    assert_eq!(URL_SAFE_NO_PAD.decode(header).unwrap(), br#"{"alg":"HS256","typ":"JWT"}"#);
    valid.then(|| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap())
}

fn server_with(backend: Backend, secrets: &str) -> Server {
    Server::with().backend(backend).setting("TALLYBOX_SESSION_SECRETS", secrets).start()
}

fn token_tells_who_is_in_the_session(backend: Backend) {
    let server = server_with(backend, OLD);
    let app = server.app("Torn down");
    let mut client = Client::new(&server, &app);
    let identity = client.refresh();
    let claims = verify(&identity.token, OLD).expect("the secret is the one that was set");
    let names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["session_id", "device_id", "user_id", "project_id", "org_id", "environment", "iat", "exp"]);
    for (name, value) in [
        ("session_id", &identity.session),
        ("device_id", &identity.device),
        ("user_id", &identity.user),
        ("project_id", &app.app),
        ("org_id", &app.organization),
        ("environment", &"production".to_owned()),
    ] {
        assert_eq!(claims[name], value.as_str());
    }
    let (issued, expires) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert_eq!(expires - issued, 900);
    assert!((jiff::Timestamp::now().as_second() - issued).abs() < 60);
    assert!(!server.log().contains(&identity.token));
}

/// As the specification's section 7.5 has it: the new one behind, then in front, then alone.
fn secrets_are_rotated_with_nothing_refused(backend: Backend) {
    let mut server = server_with(backend, OLD);
    let app = server.app("Torn down");
    let mut client = Client::new(&server, &app);
    let first = client.refresh();
    for (secrets, signer, other) in
        [(format!("{OLD},{NEW}"), OLD, NEW), (format!("{NEW},{OLD}"), NEW, OLD), (NEW.to_owned(), NEW, OLD)]
    {
        server.stop();
        server.set("TALLYBOX_SESSION_SECRETS", &secrets);
        server.restart();
        let now = client.refresh();
        assert_eq!((&now.session, &now.device, &now.user), (&first.session, &first.device, &first.user));
        assert!(verify(&now.token, signer).is_some() && verify(&now.token, other).is_none(), "{secrets}");
        client.track(&[super::event("a", None)]).unwrap();
    }
}

fn lifetimes_are_settings(backend: Backend) {
    let server = Server::with()
        .backend(backend)
        .setting("TALLYBOX_SESSION_SECRETS", OLD)
        .setting("TALLYBOX_SESSION_TOKEN_EXPIRY_MS", 120_000)
        .setting("TALLYBOX_SESSION_TTL_MS", 3_600_000)
        .start();
    let app = server.app("Torn down");
    let claims = verify(&Client::new(&server, &app).refresh().token, OLD).unwrap();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
    let life = server.count("SELECT expires_at - started_at FROM device_sessions");
    assert_eq!(life, 3_600_000);
}

/// One server makes its secret, once; nodes of one database have to share theirs.
#[test]
fn missing_secret_is_made_beside_a_file_and_asked_for_beside_a_server() {
    let (mut server, _, mut client) = server_with_client(Backend::Sqlite);
    let secret = std::fs::read_to_string(server.data().join("session.secret")).unwrap();
    assert!(verify(&client.refresh().token, secret.trim()).is_some());
    server.stop();
    server.restart();
    assert!(verify(&client.refresh().token, secret.trim()).is_some());

    let database = Database::create(Backend::Postgres, server.home());
    let Database::Postgres(database) = &database else { panic!("it is one") };
    let mut command = server.command(&["serve"]);
    command.env("TALLYBOX_DATABASE_URL", database.url()).env("TALLYBOX_DATA_DIR", server.home().join("node"));
    let output = command.env("TALLYBOX_MASTER_KEY", "ab".repeat(32)).env("TALLYBOX_PORT", "0").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("there is no session secret"), "{said}");
    assert!(said.contains("openssl rand -base64 32") && said.contains("session_secrets"), "{said}");
}

#[test]
fn short_secrets_are_refused_without_being_told() {
    let server = Server::with().prepare();
    let secrets = format!("{OLD} canary-too-short");
    let output = server.command(&["config", "check"]).env("TALLYBOX_SESSION_SECRETS", &secrets).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("session_secrets") && !said.contains("canary"), "{said}");
    let output = server.command(&["config", "show"]).env("TALLYBOX_SESSION_SECRETS", OLD).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains(OLD) && said.contains("session_secrets"), "{said}");
}
