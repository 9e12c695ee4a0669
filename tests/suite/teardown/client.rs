//! A client built from the specification: it sends what the published one sends, and judges answers as that one does
//! (`teardown`, sections 1.1, 2, 5.3, 8 and 10.4).

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::http::{Connection, Reply, Request};
use crate::harness::kit::Credentials;
use crate::harness::{Server, poll};

/// An app on a device, as its developer configured it.
#[derive(Clone)]
pub struct Client {
    address: std::net::SocketAddr,
    pub base: String,
    pub organization: String,
    pub project: String,
    pub environment: String,
    pub key: String,
    pub device_id: String,
    pub device: Value,
    release: Release,
    state: State,
}

/// What the published client keeps across restarts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub session: Option<String>,
    pub user: Option<String>,
    /// What it shows when it starts without a network.
    pub status: Option<(String, Option<String>)>,
}

/// Which of the published releases.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// 2.0.24 to about 2.0.29.
    Old,
    /// About 2.0.30 to 2.0.40.
    Current,
}

/// A successful identify, as the app sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    pub session: String,
    pub device: String,
    pub user: String,
    pub token: String,
    /// As the app is told: `up_to_date`, ...
    pub status: String,
    pub notes: Option<String>,
}

/// A failure, as the app sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub status: u16,
    pub text: String,
}

impl Client {
    /// A fresh install of the app on a telephone.
    pub fn new(server: &Server, app: &Credentials) -> Self {
        Self {
            address: server.address(),
            base: String::new(),
            organization: app.organization.clone(),
            project: app.app.clone(),
            environment: "production".to_owned(),
            key: server.public_key(&app.slug),
            device_id: Uuid::new_v4().to_string(),
            device: json!({
                "os": { "platform": "IOS", "name": "iOS", "version": "18.1" },
                "application": { "version": "1.2.3", "build_number": 45 },
                "hardware": { "device_name": "Ana's phone", "device_type": "phone", "device_brand": "Apple" },
                "update": null
            }),
            release: Release::Current,
            state: State::default(),
        }
    }

    /// The same app on another server, such as another node.
    pub fn on(&self, server: &Server) -> Self {
        Self { address: server.address(), ..self.clone() }
    }

    pub fn of_release(self, release: Release) -> Self {
        Self { release, ..self }
    }

    /// A new install of the same app.
    pub fn reinstalled(&self) -> Self {
        self.installed_as(&Uuid::new_v4().to_string())
    }

    /// The install of that id, at its first start.
    pub fn installed_as(&self, device_id: &str) -> Self {
        Self { device_id: device_id.to_owned(), state: State::default(), ..self.clone() }
    }

    #[must_use]
    pub fn version(mut self, version: &str, build: i64) -> Self {
        self.device["application"] = json!({ "version": version, "build_number": build });
        self
    }

    /// What a restart finds.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A request with the five headers that every call has.
    pub fn request(&self, path: &str, body: &Value) -> Request {
        Request::post(&[self.base.trim_end_matches('/'), path].concat(), body.to_string())
            .header("content-type", "application/json")
            .header("accept", "*/*")
            .header("td-api-key", &self.key)
            .header("td-org-id", &self.organization)
            .header("td-project-id", &self.project)
            .header("td-environment-slug", &self.environment)
            .header("td-device-id", &self.device_id)
    }

    /// The body of an identify; `user` is absent for whoever is not named.
    pub fn identify_body(&self, user: Option<&Value>) -> Value {
        let mut body = json!({});
        if let Some(user) = user {
            body["user"] = user.clone();
        }
        body["device"] = self.device.clone();
        body
    }

    pub fn send(&self, request: &Request) -> Reply {
        Connection::open(self.address).unwrap().send(request).unwrap()
    }

    /// At every start, and at every return to the foreground.
    #[track_caller]
    pub fn refresh(&mut self) -> Identity {
        self.try_identify(None).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    #[track_caller]
    pub fn log_in(&mut self, user: &Value) -> Identity {
        self.try_identify(Some(user)).unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    pub fn try_identify(&mut self, user: Option<&Value>) -> Result<Identity, Failure> {
        let reply = self.send(&self.request("/v1/identify", &self.identify_body(user)));
        let identity = self.read_identify(&reply)?;
        self.state = State {
            session: Some(identity.session.clone()),
            user: Some(identity.user.clone()),
            status: survives(&reply.json()["data"]["version_info"])
                .then(|| (identity.status.clone(), identity.notes.clone())),
        };
        Ok(identity)
    }

    /// Events in one call.
    pub fn track(&self, events: &[Value]) -> Result<Reply, Failure> {
        self.track_in(events, None)
    }

    fn track_in(&self, events: &[Value], session: Option<&str>) -> Result<Reply, Failure> {
        let mut request = self.request("/v1/events", &json!({ "events": events }));
        if let Some(session) = session {
            request = request.header("td-session-id", session);
        }
        let reply = self.send(&request);
        if (200..300).contains(&reply.status) {
            // Any 2xx is a success; the body is not looked at.
            return Ok(reply);
        }
        assert!(
            !reply.body.is_empty(),
            "{}: the client counts this as a success, and the events are lost",
            reply.status
        );
        Err(self.failure(&reply))
    }

    /// The app's user signs out. Whatever is answered, session and user are forgotten, and with `All` the device's id.
    pub fn sign_out(&mut self, kind: SignOut) -> Result<Reply, Failure> {
        let State { session, user, .. } = std::mem::take(&mut self.state);
        let kind_text = match kind {
            SignOut::One => "sign_out",
            SignOut::All => "sign_out_all",
        };
        let mut properties = json!({ "sign_out_type": kind_text });
        for (key, value) in [("session_id", &session), ("user_id", &user)] {
            if let Some(value) = value {
                properties[key] = json!(value);
            }
        }
        let answer = self.track_in(&[event("user_signed_out", Some(properties))], session.as_deref());
        if kind == SignOut::All {
            self.device_id = Uuid::new_v4().to_string();
        }
        answer
    }

    fn read_identify(&self, reply: &Reply) -> Result<Identity, Failure> {
        if !(200..300).contains(&reply.status) {
            return Err(self.failure(reply));
        }
        let broken = |text: &str| Failure { status: reply.status, text: text.to_owned() };
        let body: Value = serde_json::from_slice(&reply.body).map_err(|_| broken("the answer is not JSON"))?;
        let data = &body["data"];
        let text = |key: &str| data[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let needed = |key: &str| text(key).ok_or_else(|| broken(key));
        let user = data["user_id"]["persona_id"].as_str().map(str::to_owned).or_else(|| text("user_id"));
        let version = &data["version_info"];
        let update = &version["update"];
        // Older servers nest it twice.
        let update = if update["update"].is_object() { &update["update"] } else { update };
        let status = match version["status"].as_str() {
            Some("UPDATE_AVAILABLE") => "update_available",
            Some("UPDATE_RECOMMENDED") => "update_recommended",
            Some("UPDATE_REQUIRED") => "update_required",
            Some("DISABLED") => "disabled",
            _ => "up_to_date",
        };
        let notes = update["release_notes"].as_str().filter(|_| status.starts_with("update_")).map(str::to_owned);
        Ok(Identity {
            session: needed("session_id")?,
            device: needed("device_id")?,
            user: user.ok_or_else(|| broken("user_id"))?,
            token: needed("token")?,
            status: status.to_owned(),
            notes,
        })
    }

    /// The text that the app is shown. Acceptance point 9 wants it to be a reason.
    fn failure(&self, reply: &Reply) -> Failure {
        assert!(!reply.body.is_empty(), "{}: an empty body", reply.status);
        let body: Value = reply.json();
        assert!(body.is_object(), "{}: {body}", reply.status);
        let told = match (self.release, reply.status) {
            (Release::Old, 422) => &body["message"],
            (Release::Old, _) => &body["error"]["message"],
            (Release::Current, 422) if body["summary"].is_string() => &body["summary"],
            (Release::Current, _) => &body["message"],
        };
        let text = told.as_str().filter(|text| !text.is_empty()).unwrap_or("Unknown error").to_owned();
        Failure { status: reply.status, text }
    }
}

/// Which of the two ways.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SignOut {
    One,
    All,
}

/// An event as the client writes one.
pub fn event(name: &str, properties: Option<Value>) -> Value {
    let mut event = json!({ "event_name": name, "event_type": "action" });
    if let Some(properties) = properties {
        event["properties"] = properties;
    }
    event["timestamp"] = json!(format!("{:.3}", Timestamp::now()));
    event
}

/// Whether the client can read back at its next start what it stores of an answer.
fn survives(version: &Value) -> bool {
    const KNOWN: [&str; 5] = ["UP_TO_DATE", "UPDATE_AVAILABLE", "UPDATE_RECOMMENDED", "UPDATE_REQUIRED", "DISABLED"];
    if version.is_null() {
        return true;
    }
    let update = &version["update"];
    let whole = || {
        ["version", "build", "update_id"].iter().all(|key| update[key].is_string())
            && update["effective_date"].as_str().is_some_and(|date| date.parse::<Timestamp>().is_ok())
            && update.as_object().is_some_and(|update| {
                update.get("release_notes").is_some_and(|notes| notes.is_null() || notes.is_string())
            })
    };
    version["status"].as_str().is_some_and(|status| KNOWN.contains(&status)) && (update.is_null() || whole())
}

/// Waits until a moment of the wall clock has passed, by asking the time.
pub fn wait_until(at: Timestamp) {
    poll::until(std::time::Duration::from_secs(30), "the moment", || (Timestamp::now() > at).then_some(()));
}
