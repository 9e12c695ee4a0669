//! How a telemetry-kit request proves whose it is: headers, path, signature and time.

use axum::http::HeaderMap;
use uuid::Uuid;

use crate::auth::ingest_key::{IngestKeys, Ring};
use crate::auth::signature::{self, SignedText};
use crate::auth::token;
use crate::ingest::{Nonce, Scope};
use crate::model::{App, KeyLookup, Millis, Refusal, Slug};

/// Furthest that a client's clock may be from ours, in seconds, either way. The guide says ten minutes.
const WINDOW: u64 = 600;
/// Signs nothing: its work makes an unknown credential take as long as a wrong signature.
const DUMMY: &[u8; 44] = &[b'x'; 44];

/// The two segments of `/v1/ingest/{first}/{second}`: an organization and one of its apps, each as UUID or short name;
/// or an app, and anything (the guide's ids in the published parameters).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPath {
    /// As in the address, percent-decoded.
    pub first: String,
    /// As in the address, percent-decoded.
    pub second: String,
}

impl AppPath {
    /// Whether both are UUIDs: all that the published SDK can send.
    pub fn has_uuids(&self) -> bool {
        Uuid::try_parse(&self.first).is_ok() && Uuid::try_parse(&self.second).is_ok()
    }

    /// UUIDs in their usual spelling. What cannot be a name is left out, so that junk is neither looked up nor kept.
    fn lookup(&self) -> Option<KeyLookup> {
        Some(KeyLookup::Path(name(&self.first)?, name(&self.second).unwrap_or_default()))
    }

    fn names(&self, app: &App) -> bool {
        let owner = &app.organization;
        names(&self.first, owner.uuid, &owner.slug) && names(&self.second, app.uuid, &app.slug)
            || names(&self.first, app.uuid, &app.slug)
    }
}

/// What a request's headers say about its credential. Nothing in it is proved.
#[derive(Debug)]
pub struct Claims<'a> {
    signature: Option<[u8; 32]>,
    timestamp: &'a str,
    at: i64,
    nonce: Option<(&'a str, Uuid)>,
    token: Option<&'a str>,
}

/// What a request has proved.
#[derive(Debug)]
pub struct Proven {
    /// On whose behalf it comes.
    pub scope: Scope,
    /// The client's time when it sent, to the second.
    pub sent_at: Millis,
    /// To be used once, in the form that has one.
    pub nonce: Option<Nonce>,
}

impl<'a> Claims<'a> {
    /// Reads the headers, values trimmed.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`] without signature or timestamp; [`Refusal::Malformed`] for a timestamp that is not 1 to
    /// 12 digits or a nonce that is not a hyphenated UUID.
    pub fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let signature = value(headers, "x-signature").ok_or(Refusal::Unauthorized)?;
        let timestamp = value(headers, "x-timestamp").ok_or(Refusal::Unauthorized)?;
        let at =
            seconds(timestamp).ok_or_else(|| malformed("X-Timestamp is not a time in whole seconds since 1970"))?;
        // This is what keeps the two signed texts apart: no such UUID can be the beginning of a JSON body.
        let nonce = value(headers, "x-nonce").map(|text| match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 => Ok((text, uuid)),
            Ok(_) | Err(_) => Err(malformed("X-Nonce is not a UUID of 36 characters")),
        });
        let token = value(headers, "authorization").and_then(bearer);
        Ok(Self { signature: signature::parse(signature), timestamp, at, nonce: nonce.transpose()?, token })
    }

    /// Finds the key that signed `body`, then checks the place and the time.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`] whatever is wrong with the credential; with a right one, [`Refusal::Forbidden`] for
    /// another app's path or an archived app, [`Refusal::ClockSkew`] more than 600 seconds from `now`; [`Refusal::StorageDown`] where
    /// the store cannot be asked.
    pub async fn prove(
        &self,
        keys: &IngestKeys,
        path: Option<&AppPath>,
        body: &[u8],
        now: Millis,
    ) -> Result<Proven, Refusal> {
        let signed = SignedText { timestamp: self.timestamp, nonce: self.nonce.map(|(text, _)| text), body };
        let signer = |ring: Option<&Ring>| self.signer(ring, &signed, now);
        let scope = match self.lookup(path) {
            Some(lookup) => keys.find(&lookup, signer).await?,
            None => signer(None),
        };
        let scope = scope.ok_or(Refusal::Unauthorized)?;
        if path.is_some_and(|path| !path.names(&scope.app)) {
            return Err(Refusal::Forbidden("the token belongs to another app than the path names".to_owned()));
        }
        scope.app.check_open()?;
        if self.at.abs_diff(now.seconds()) > WINDOW {
            return Err(Refusal::ClockSkew(now.seconds()));
        }
        Ok(Proven {
            scope,
            sent_at: Millis(self.at * Millis::SECOND),
            nonce: self.nonce.map(|(_, uuid)| Nonce { at: self.at, value: *uuid.as_bytes() }),
        })
    }

    /// Whose key, of those that work, made the signature.
    fn signer(&self, ring: Option<&Ring>, signed: &SignedText<'_>, now: Millis) -> Option<Scope> {
        let claimed = self.signature.unwrap_or_default();
        let Some(ring) = ring.filter(|ring| ring.active(now).next().is_some()) else {
            std::hint::black_box(signed.verify(DUMMY, &claimed));
            return None;
        };
        let key = ring.active(now).find(|key| signed.verify(&key.secret, &claimed));
        let key = key.filter(|_| self.signature.is_some())?;
        Some(Scope { app: ring.app.clone(), environment: key.environment, key: Some(key.id), country: None })
    }

    /// A token names its app, wherever one is sent. Without one the path does, but only in the form with a nonce:
    /// the other would have neither a token nor protection from replay.
    fn lookup(&self, path: Option<&AppPath>) -> Option<KeyLookup> {
        match (self.token, self.nonce, path) {
            (Some(token), _, _) => Some(KeyLookup::Token(token::hash(token))),
            (None, Some(_), Some(path)) => path.lookup(),
            (None, None, _) | (None, _, None) => None,
        }
    }
}

fn malformed(problem: &str) -> Refusal {
    Refusal::Malformed(problem.to_owned())
}

/// A header's value without the white space around it; one that is no ASCII text reads as empty.
fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default().trim())
}

fn seconds(text: &str) -> Option<i64> {
    let plain = (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// The token of `Bearer <token>`. Other schemes are none of ours: a proxy may have added them.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A path segment as it is looked up: a UUID in its usual spelling, or a short name.
fn name(segment: &str) -> Option<String> {
    match Uuid::try_parse(segment) {
        Ok(uuid) => Some(uuid.hyphenated().to_string()),
        Err(_) => Slug::parse(segment).map(|slug| slug.as_str().to_owned()),
    }
}

fn names(segment: &str, uuid: Uuid, slug: &Slug) -> bool {
    segment == slug.as_str() || Uuid::try_parse(segment) == Ok(uuid)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::auth::ingest_key::tests::{Shelf, sealed};
    use crate::auth::ingest_key::{self, IssuedKey};
    use crate::auth::seal::MasterKey;
    use crate::clock::Clock;
    use crate::model::{EnvironmentId, IngestKeyId};

    const NOW: Millis = Millis(1_700_000_000_900);
    const BODY: &[u8] = br#"{"events":[]}"#;
    const NONCE: &str = "7f9c24e8-3b1a-4c55-9d0e-6a2f1b8c4d3e";

    /// A directory with two keys of one app.
    struct Bench {
        keys: IngestKeys,
        old: IssuedKey,
        new: IssuedKey,
    }

    fn bench() -> Bench {
        let master = MasterKey::generate();
        let new = ingest_key::issue(&master, EnvironmentId(2), "new");
        let old = ingest_key::issue(&master, EnvironmentId(1), "old");
        let shelf = Shelf::with([sealed(2, &new, None), sealed(1, &old, Some(NOW.plus(Millis::HOUR)))]);
        Bench { keys: IngestKeys::over(shelf, master, Clock::manual(NOW)), old, new }
    }

    /// A request's credential, as a client makes it.
    #[derive(Clone, Default)]
    struct Sent<'a> {
        secret: &'a str,
        token: Option<&'a str>,
        nonce: Option<&'a str>,
        at: i64,
    }

    impl Sent<'_> {
        fn headers(&self) -> HeaderMap {
            let timestamp = (NOW.seconds() + self.at).to_string();
            let signed = SignedText { timestamp: &timestamp, nonce: self.nonce, body: BODY };
            let signature = hex::encode(signed.sign(self.secret.as_bytes()));
            let bearer = self.token.map(|token| format!("Bearer {token}"));
            let all = [
                ("x-signature", Some(signature.as_str())),
                ("x-timestamp", Some(&timestamp)),
                ("x-nonce", self.nonce),
                ("authorization", bearer.as_deref()),
            ];
            headers(&all)
        }
    }

    fn headers(all: &[(&'static str, Option<&str>)]) -> HeaderMap {
        let set = all.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        set.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn path(first: &str, second: &str) -> AppPath {
        AppPath { first: first.to_owned(), second: second.to_owned() }
    }

    async fn prove(bench: &Bench, headers: &HeaderMap, path: Option<&AppPath>, body: &[u8]) -> Result<Proven, Refusal> {
        Claims::read(headers)?.prove(&bench.keys, path, body, NOW).await
    }

    #[tokio::test]
    async fn both_forms_are_accepted_with_the_same_credential() {
        let bench = bench();
        let (secret, token) = (bench.new.secret.as_str(), Some(bench.new.token.as_str()));
        let here = path("acme", "rocket");
        for (sent, path) in [
            (Sent { secret, nonce: Some(NONCE), ..Sent::default() }, Some(&here)),
            (Sent { secret, token, ..Sent::default() }, Some(&here)),
            (Sent { secret, token, ..Sent::default() }, None),
            (Sent { secret, token, nonce: Some(NONCE), ..Sent::default() }, None),
        ] {
            let proven = prove(&bench, &sent.headers(), path, BODY).await.unwrap();
            assert_eq!((proven.scope.key, proven.scope.environment), (Some(IngestKeyId(2)), EnvironmentId(2)));
            assert_eq!(proven.sent_at, Millis(1_700_000_000_000));
            let nonce =
                sent.nonce.map(|text| Nonce { at: 1_700_000_000, value: *text.parse::<Uuid>().unwrap().as_bytes() });
            assert_eq!(proven.nonce, nonce);
        }
        assert_eq!(bench.keys.stats().lookups(), 4, "one look-up a request");
    }

    #[tokio::test]
    async fn every_active_key_of_the_app_signs_and_selects_its_environment() {
        let bench = bench();
        let sent = Sent { secret: &bench.old.secret, nonce: Some(NONCE), ..Sent::default() };
        let proven = prove(&bench, &sent.headers(), Some(&path("acme", "rocket")), BODY).await.unwrap();
        assert_eq!((proven.scope.key, proven.scope.environment), (Some(IngestKeyId(1)), EnvironmentId(1)));
    }

    #[tokio::test]
    async fn paths_name_their_app_by_uuid_or_short_name() {
        let bench = bench();
        let (org, app) = (Uuid::from_u128(1).to_string(), Uuid::from_u128(2).to_string());
        let braced = format!("{{{}}}", app.to_uppercase());
        for (first, second, found) in [
            (org.as_str(), app.as_str(), true),
            ("acme", "rocket", true),
            (&org, "rocket", true),
            ("acme", &braced, true),
            (&org.replace('-', ""), &app, true),
            ("rocket", "anything at all/..", true),
            (&app, "my-cli", true),
            ("acme", "other", false),
            ("other", "rocket", false),
            ("", "", false),
            ("no name!", "rocket", false),
        ] {
            let path = path(first, second);
            let by_path = Sent { secret: &bench.new.secret, nonce: Some(NONCE), ..Sent::default() };
            let by_path = prove(&bench, &by_path.headers(), Some(&path), BODY).await;
            let by_token = Sent { secret: &bench.new.secret, token: Some(&bench.new.token), ..Sent::default() };
            let by_token = prove(&bench, &by_token.headers(), Some(&path), BODY).await;
            if found {
                assert!(by_path.is_ok() && by_token.is_ok(), "{first}/{second}");
            } else {
                assert_eq!(by_path.unwrap_err(), Refusal::Unauthorized, "{first}/{second}");
                assert!(matches!(by_token.unwrap_err(), Refusal::Forbidden(_)), "{first}/{second}");
            }
        }
    }

    #[tokio::test]
    async fn wrong_credentials_share_one_refusal() {
        let bench = bench();
        let here = path("acme", "rocket");
        let good = Sent { secret: &bench.new.secret, nonce: Some(NONCE), ..Sent::default() };
        let other_body = prove(&bench, &good.headers(), Some(&here), b"{}").await;
        assert_eq!(other_body.unwrap_err(), Refusal::Unauthorized);
        for (sent, path) in [
            (Sent { secret: "wrong", ..good.clone() }, Some(&here)),
            (Sent { token: Some("tk_wrong"), ..good.clone() }, Some(&here)),
            (Sent { token: Some(""), ..good.clone() }, Some(&here)),
            (Sent { token: Some(&bench.old.token), ..good.clone() }, Some(&here)),
            (Sent { secret: "", token: Some(&bench.new.token), nonce: None, at: 0 }, Some(&here)),
            (Sent { nonce: None, ..good.clone() }, Some(&here)),
            (good.clone(), None),
            (Sent { at: 9_999, secret: "wrong", ..good.clone() }, Some(&here)),
        ] {
            let refusal = prove(&bench, &sent.headers(), path, BODY).await.unwrap_err();
            assert_eq!(refusal, Refusal::Unauthorized, "{:?} {:?} {:?}", sent.token, sent.nonce, path);
        }
        let mut unsigned = good.headers();
        unsigned.insert("x-signature", HeaderValue::from_static("not hex"));
        assert_eq!(prove(&bench, &unsigned, Some(&here), BODY).await.unwrap_err(), Refusal::Unauthorized);
    }

    #[tokio::test]
    async fn clock_may_be_ten_minutes_off_either_way() {
        let bench = bench();
        let here = path("acme", "rocket");
        for (at, fits) in [(0, true), (599, true), (-599, true), (600, true), (-600, true), (601, false), (-601, false)]
        {
            let sent = Sent { secret: &bench.new.secret, nonce: Some(NONCE), at, token: None };
            let proven = prove(&bench, &sent.headers(), Some(&here), BODY).await;
            assert_eq!(proven.is_ok(), fits, "{at}");
            assert!(fits || proven.unwrap_err() == Refusal::ClockSkew(1_700_000_000), "{at}");
        }
    }

    #[tokio::test]
    async fn neither_form_can_be_turned_into_the_other() {
        let bench = bench();
        let here = path("acme", "rocket");
        // A captured guide-form request, the front of its body moved into the nonce header: the signature fits.
        let guide = Sent { secret: &bench.new.secret, token: Some(&bench.new.token), ..Sent::default() }.headers();
        let (front, rest) = BODY.split_at(r#"{"events""#.len());
        let mut split = guide.clone();
        split.insert("x-nonce", HeaderValue::from_bytes(front).unwrap());
        assert!(matches!(prove(&bench, &split, Some(&here), &rest[1..]).await, Err(Refusal::Malformed(_))));
        // A captured nonce-form request, its nonce put in front of the body: the signature fits, the batch does not.
        let mut stripped = Sent { secret: &bench.new.secret, nonce: Some(NONCE), ..Sent::default() }.headers();
        stripped.remove("x-nonce");
        let joined = [NONCE.as_bytes(), b":", BODY].concat();
        assert_eq!(prove(&bench, &stripped, Some(&here), &joined).await.unwrap_err(), Refusal::Unauthorized);
        stripped.insert("authorization", format!("bearer {}", bench.new.token).parse().unwrap());
        assert!(prove(&bench, &stripped, Some(&here), &joined).await.is_ok(), "the form is what keeps it out");
        for envelope in [super::super::wire::Envelope::Object, super::super::wire::Envelope::ObjectOrArray] {
            assert!(super::super::wire::decode(&joined, envelope, 9).is_err());
        }
    }

    #[test]
    fn headers_are_checked_before_any_look_up() {
        let signature = &"0".repeat(64);
        let read = |timestamp, nonce, signature| {
            let all = [("x-timestamp", timestamp), ("x-nonce", nonce), ("x-signature", signature)];
            Claims::read(&headers(&all)).map(|claims| claims.at)
        };
        assert_eq!(read(Some(" 1700000000 "), Some(NONCE), Some(signature)), Ok(1_700_000_000));
        assert_eq!(read(Some("0"), None, Some("junk")), Ok(0));
        for (timestamp, signature) in [(None, Some(signature.as_str())), (Some("1700000000"), None), (None, None)] {
            assert_eq!(read(timestamp, None, signature), Err(Refusal::Unauthorized));
        }
        for timestamp in ["", "+1700000000", "-1", "1700000000.5", "1e9", "1234567890123", "17 00", "١"] {
            let refusal = Claims::read(&{
                let mut all = headers(&[("x-signature", Some(signature))]);
                all.insert("x-timestamp", HeaderValue::from_bytes(timestamp.as_bytes()).unwrap());
                all
            })
            .unwrap_err();
            assert!(matches!(refusal, Refusal::Malformed(_)), "{timestamp}");
        }
        for nonce in ["", "x", &NONCE.replace('-', ""), &format!("{{{NONCE}}}"), &NONCE.replace('7', "g")] {
            assert!(matches!(read(Some("1"), Some(nonce), Some(signature)), Err(Refusal::Malformed(_))), "{nonce}");
        }
    }
}
