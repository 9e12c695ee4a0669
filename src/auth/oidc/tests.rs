//! Whole journeys, to a provider that says what a test wants.

use std::sync::{Mutex, PoisonError};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::model::Role;

const NOW: Millis = Millis(1_800_000_000_000);
/// Private and public half, of RFC 8037, appendix A, and of RFC 8032, 7.1.
const KEYS: [(&str, &str); 2] = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"),
];

/// What the provider says, and what it was asked.
struct Says {
    issuer: String,
    key: usize,
    claims: Value,
    userinfo: Value,
    asked: Vec<String>,
}

/// A provider in this process.
struct Fake {
    url: String,
    says: Arc<Mutex<Says>>,
}

impl Fake {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (issuer, asked) = (url.clone(), Vec::new());
        let says = Says { issuer, key: 0, claims: json!({}), userinfo: json!({}), asked };
        let says = Arc::new(Mutex::new(says));
        let fake = Self { url: url.clone(), says: says.clone() };
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 16_384];
                let read = stream.read(&mut head).await.unwrap();
                let request = String::from_utf8_lossy(&head[..read]).into_owned();
                let body = answer(&url, &mut says.lock().unwrap_or_else(PoisonError::into_inner), &request);
                let reply =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        fake
    }

    fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn asked(&self, path: &str) -> usize {
        let says = self.says.lock().unwrap_or_else(PoisonError::into_inner);
        says.asked.iter().filter(|asked| asked.contains(path)).count()
    }
}

fn answer(url: &str, says: &mut Says, request: &str) -> String {
    says.asked.push(request.to_owned());
    let told = match request.split(' ').nth(1).unwrap_or_default() {
        "/.well-known/openid-configuration" => json!({
            "issuer": says.issuer, "authorization_endpoint": format!("{url}/auth?tenant=1"),
            "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/keys"),
            "userinfo_endpoint": format!("{url}/me"), "authorization_response_iss_parameter_supported": true,
        }),
        "/keys" => {
            let key = |kid: usize| json!({ "kty": "OKP", "crv": "Ed25519", "kid": format!("{kid}"), "x": KEYS[kid].1 });
            json!({ "keys": [key(says.key)] })
        }
        "/token" => json!({ "access_token": "at", "id_token": signed(says) }),
        _ => says.userinfo.clone(),
    };
    told.to_string()
}

fn signed(says: &Says) -> String {
    let header = Header { kid: Some(says.key.to_string()), ..Header::new(Algorithm::EdDSA) };
    let der = hex::decode(format!("302e020100300506032b657004220420{}", KEYS[says.key].0)).unwrap();
    encode(&header, &says.claims, &EncodingKey::from_ed_der(&der)).unwrap()
}

fn oidc(fake: &Fake, clock: &Clock) -> Oidc {
    let rule = |group: &str, role| GroupRole { group: group.to_owned(), organization: None, role };
    let options = OidcOptions {
        issuer: fake.url.clone(),
        client_id: "box & co".to_owned(),
        client_secret: Some(SecretString::from("can:ary")),
        name: "Fake".to_owned(),
        scopes: "openid profile".to_owned(),
        groups_claim: "groups".to_owned(),
        groups: vec![rule("staff", Role::Viewer), rule("admins", Role::Admin)],
    };
    Oidc::new(options, MasterKey::generate(), clock.clone())
}

/// A value of the address that a browser is sent to.
fn value(departure: &Departure, name: &str) -> String {
    let (_, query) = departure.location.split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).unwrap().1.into_owned()
}

/// Lets the provider vouch for Ada in the answer to a departure.
fn vouch(fake: &Fake, departure: &Departure, more: Value) {
    let nonce = value(departure, "nonce");
    let mut claims = json!({
        "iss": fake.url, "sub": "7", "aud": "box & co", "nonce": nonce, "exp": NOW.seconds() + 60,
        "preferred_username": "ada", "groups": ["staff"],
    });
    let more = more.as_object().unwrap().clone();
    more.into_iter().for_each(|(name, value)| claims[name] = value);
    fake.says(|says| says.claims = claims);
}

async fn arrive(oidc: &Oidc, departure: &Departure, issuer: &str) -> Result<Arrival, OidcError> {
    let state = value(departure, "state");
    oidc.arrive(&Answer { sealed: &departure.sealed, state: &state, code: "c", issuer: Some(issuer) }).await
}

#[tokio::test]
async fn a_journey_leads_out_and_back() {
    let (fake, clock) = (Fake::start().await, Clock::manual(NOW));
    let oidc = oidc(&fake, &clock);
    let departure = oidc.depart(Errand::SignIn, "https://box.example/login/oidc/back", "/apps/x").await.unwrap();
    assert!(departure.location.starts_with(&format!("{}/auth?tenant=1&response_type=code&", fake.url)));
    assert_eq!(value(&departure, "client_id"), "box & co");
    assert_eq!(value(&departure, "code_challenge_method"), "S256");
    assert!(!departure.location.contains("prompt"));
    vouch(&fake, &departure, json!({}));
    let arrival = arrive(&oidc, &departure, &fake.url).await.unwrap();
    assert_eq!((arrival.errand, arrival.next.as_str()), (Errand::SignIn, "/apps/x"));
    let Person { issuer, subject, name, roles, signed_in_at } = arrival.person;
    assert_eq!((issuer, subject.as_str(), name.as_str(), signed_in_at), (fake.url.clone(), "7", "ada", None));
    assert_eq!(roles, [OrganizationRole { organization: None, role: Role::Viewer }]);
    fake.says(|says| {
        let exchange = says.asked.iter().find(|asked| asked.starts_with("POST /token")).unwrap();
        // `box+%26+co:can%3Aary`, as RFC 6749, 2.3.1, has it.
        assert!(exchange.contains("authorization: Basic Ym94KyUyNitjbzpjYW4lM0Fhcnk="), "{exchange}");
        assert!(exchange.contains("code_verifier=") && !exchange.contains("client_secret"), "{exchange}");
    });
    assert_eq!((fake.asked("/.well-known"), fake.asked("/keys"), fake.asked("/me")), (1, 1, 0), "fetched once");
}

#[tokio::test]
async fn an_answer_of_another_state_or_provider_is_refused() {
    let (fake, clock) = (Fake::start().await, Clock::manual(NOW));
    let oidc = oidc(&fake, &clock);
    let departure = oidc.depart(Errand::SignIn, "r", "/").await.unwrap();
    let other = oidc.depart(Errand::SignIn, "r", "/").await.unwrap();
    vouch(&fake, &departure, json!({}));
    assert!(matches!(arrive(&oidc, &departure, "https://evil.example").await, Err(OidcError::Token(_))));
    let state = value(&departure, "state");
    let answer = Answer { sealed: &departure.sealed, state: &state, code: "c", issuer: None };
    assert!(matches!(oidc.arrive(&answer).await, Err(OidcError::Token(_))), "it says that it names itself");
    for (sealed, state) in [(&other.sealed[..], &state[..]), (&departure.sealed, ""), ("", &state)] {
        let answer = Answer { sealed, state, ..answer };
        assert!(matches!(oidc.arrive(&answer).await, Err(OidcError::Stale)));
    }
    assert!(oidc.next(&departure.sealed, &state).is_some() && oidc.next(&departure.sealed, "x").is_none());
    clock.set(NOW.plus(10 * Millis::MINUTE));
    assert!(matches!(arrive(&oidc, &departure, &fake.url).await, Err(OidcError::Stale)));
}

#[tokio::test]
async fn only_a_sign_in_of_now_is_a_proof() {
    let (fake, clock) = (Fake::start().await, Clock::manual(NOW));
    let oidc = oidc(&fake, &clock);
    for (auth_time, proves) in [
        (json!(NOW.seconds()), true),
        (json!(NOW.seconds() - 60), true),
        (json!(NOW.seconds() - 61), false),
        (json!(0), false),
        (Value::Null, false),
        (json!("now"), false),
    ] {
        let departure = oidc.depart(Errand::Prove, "r", "/").await.unwrap();
        assert_eq!(value(&departure, "prompt"), "login");
        vouch(&fake, &departure, json!({ "auth_time": auth_time }));
        let arrived = arrive(&oidc, &departure, &fake.url).await;
        assert_eq!(arrived.is_ok(), proves, "{auth_time}: {arrived:?}");
    }
}

#[tokio::test]
async fn groups_may_stand_in_the_userinfo_of_the_same_person() {
    let (fake, clock) = (Fake::start().await, Clock::manual(NOW));
    let oidc = oidc(&fake, &clock);
    for (userinfo, role) in [
        (json!({ "sub": "7", "groups": ["staff", "admins"] }), Some(Role::Admin)),
        (json!({ "sub": "7", "groups": "staff", "aud": "x" }), Some(Role::Viewer)),
        (json!({ "sub": "8", "groups": ["admins"] }), None),
        (json!({ "sub": "7", "groups": { "admins": true } }), None),
    ] {
        let departure = oidc.depart(Errand::SignIn, "r", "/").await.unwrap();
        vouch(&fake, &departure, json!({}));
        fake.says(|says| {
            says.claims.as_object_mut().unwrap().remove("groups");
            says.userinfo = userinfo;
        });
        let person = arrive(&oidc, &departure, &fake.url).await.unwrap().person;
        assert_eq!(person.roles.first().map(|own| own.role), role);
    }
}

#[tokio::test]
async fn a_new_key_is_fetched_at_most_once_a_minute() {
    let (fake, clock) = (Fake::start().await, Clock::manual(NOW));
    let oidc = oidc(&fake, &clock);
    let departure = oidc.depart(Errand::SignIn, "r", "/").await.unwrap();
    vouch(&fake, &departure, json!({}));
    arrive(&oidc, &departure, &fake.url).await.unwrap();
    fake.says(|says| says.key = 1);
    for _ in 0..3 {
        assert!(matches!(arrive(&oidc, &departure, &fake.url).await, Err(OidcError::Token(_))));
    }
    assert_eq!(fake.asked("GET /keys"), 1);
    clock.set(NOW.plus(Millis::MINUTE));
    arrive(&oidc, &departure, &fake.url).await.unwrap();
    assert_eq!(fake.asked("GET /keys"), 2);
}

#[tokio::test]
async fn a_provider_of_another_name_is_not_asked_further() {
    let (fake, clock) = (Fake::start().await, Clock::manual(NOW));
    fake.says(|says| says.issuer = "https://id.example.org".to_owned());
    let oidc = oidc(&fake, &clock);
    for _ in 0..3 {
        let Err(OidcError::Provider(said)) = oidc.depart(Errand::SignIn, "r", "/").await else { panic!("believed") };
        assert!(said.contains("calls itself https://id.example.org"), "{said}");
    }
    assert_eq!(fake.asked("/.well-known"), 1, "a failure is not repeated for everybody who asks");
    fake.says(|says| says.issuer = fake.url.clone());
    clock.set(NOW.plus(5 * Millis::SECOND));
    assert!(oidc.depart(Errand::SignIn, "r", "/").await.is_ok());
}
