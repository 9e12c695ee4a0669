//! Which tokens are believed: those of the right key, for us, of now.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const NOW: Millis = Millis(1_800_000_000_000);
const ISSUER: &str = "https://id.example.org";
/// That of RFC 8037, appendix A, and another.
const PRIVATE: [&str; 2] = [
    "302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "302e020100300506032b6570042204204ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
];
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn keys() -> Keys {
    let set = json!({ "keys": [
        { "kty": "oct", "kid": "a", "k": "c2VjcmV0" },
        { "kty": "odd", "kid": "a" },
        { "kty": "OKP", "crv": "Ed25519", "kid": "enc", "use": "enc", "x": PUBLIC },
        { "kty": "OKP", "crv": "Ed25519", "kid": "a", "use": "sig", "alg": "EdDSA", "x": PUBLIC },
    ]});
    Keys::read(&serde_json::to_vec(&set).unwrap()).unwrap()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "ada", "aud": "box", "nonce": "n", "iat": 1_800_000_000, "exp": 1_800_000_060 })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn signed(claims: &Value, kid: Option<&str>, private: &str) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
    encode(&header, claims, &EncodingKey::from_ed_der(&hex::decode(private).unwrap())).unwrap()
}

fn verify(token: &str) -> Result<Map<String, Value>, Fault> {
    keys().verify(token, &Expected { issuer: ISSUER, client: "box", nonce: "n", now: NOW })
}

#[test]
fn a_good_token_says_who_it_is() {
    for kid in [Some("a"), None] {
        assert_eq!(verify(&signed(&claims(), kid, PRIVATE[0])).unwrap()["sub"], "ada");
    }
    for claims in [
        with("aud", json!(["box"])),
        with("azp", json!("box")),
        with("exp", json!(1_799_999_941)),
        with("iat", json!(1_800_000_060)),
    ] {
        assert!(verify(&signed(&claims, None, PRIVATE[0])).is_ok(), "{claims}");
    }
}

#[test]
fn what_is_wrong_in_any_way_is_refused() {
    let mut rows = vec![
        with("iss", json!("https://evil.example.org")),
        with("aud", json!("another")),
        with("aud", json!(["box", "another"])),
        with("azp", json!("another")),
        with("nonce", json!("m")),
        with("exp", json!(1_799_999_940)),
        with("iat", json!(1_800_000_061)),
        with("nbf", json!(1_800_000_061)),
        with("sub", json!("")),
        with("sub", json!("x".repeat(256))),
        with("sub", json!(7)),
    ];
    for name in ["iss", "sub", "aud", "exp", "nonce"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        rows.push(claims);
    }
    for claims in rows {
        assert!(matches!(verify(&signed(&claims, None, PRIVATE[0])), Err(Fault::Bad(_))), "{claims}");
    }
}

#[test]
fn only_the_providers_public_keys_count() {
    assert!(matches!(verify(&signed(&claims(), Some("a"), PRIVATE[1])), Err(Fault::Bad(_))));
    for kid in ["b", "enc"] {
        assert_eq!(verify(&signed(&claims(), Some(kid), PRIVATE[0])), Err(Fault::UnknownKey), "{kid}");
    }
    // Signed with a secret that stands in the key set, with the public key taken for one, or with nothing.
    for secret in [&b"secret"[..], PUBLIC.as_bytes()] {
        let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
        let token = encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
        assert!(matches!(verify(&token), Err(Fault::Bad(_))));
    }
    let body = signed(&claims(), None, PRIVATE[0]);
    let body = body.split('.').nth(1).unwrap();
    for token in [format!("eyJhbGciOiJub25lIn0.{body}."), "x".to_owned(), String::new(), "a.b.c".to_owned()] {
        assert!(matches!(verify(&token), Err(Fault::Bad(_))), "{token}");
    }
    let long = signed(&with("pad", json!("x".repeat(LONGEST))), None, PRIVATE[0]);
    assert_eq!(verify(&long), Err(Fault::Bad("it is too long".to_owned())));
}

#[test]
fn a_key_set_that_is_none_is_told() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#] {
        assert!(Keys::read(text.as_bytes()).is_err(), "{text}");
    }
}
