//! A box in the test's own process, over a real database and real sockets, whose clock stands until it is moved and
//! whose every id is chosen.

use std::net::SocketAddr;
use std::sync::Arc;

use tallybox::auth::ingest_key::{self, IngestKeys};
use tallybox::auth::login::{LoginTimes, Logins};
use tallybox::auth::seal::MasterKey;
use tallybox::auth::session_token::SessionTokens;
use tallybox::auth::token;
use tallybox::clock::Clock;
use tallybox::http::body::BodyLimits;
use tallybox::http::limit::{AddressLimiter, Allowance};
use tallybox::http::metrics::{IdentifyMetrics, RequestMetrics};
use tallybox::http::{self, ServerOptions};
use tallybox::ingest::{Intake, QueueSize, Roster};
use tallybox::model::{
    App, By, Guide, Limits, MemberId, Millis, NewApp, NewLogin, NewMember, Role, Salt, SessionTimes, Slug, Way, Zone,
};
use tallybox::protocol::teardown::{Origins, Teardown, Tenancy};
use tallybox::protocol::telemetry_kit::ErrorShape;
use tallybox::protocol::{self, Choice, Cors, Gate};
use tallybox::query::{Policies, Reports, VersionHooks};
use tallybox::store::Store;
use tallybox::web::{self, BoxParts, Keeping, MetricsParts, Site, WebParts, WebState};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::harness::http::Connection;
use crate::harness::kit::Credentials;
use crate::harness::{Backend, Database};
use crate::store::open;

const SIZE: usize = 32 << 20;

/// What pages tell of SDKs, so that they do not change with the documentation.
const GUIDE: &str = "## Lines to change\n### Some SDK\nGive it the address as `host`:\n```\nuse(\"https://box.example\", \
                     \"YOUR_KEY\")\n```\n<!-- sdk: telemetry-kit-rust/ -->\n### Another SDK\n```\nA-SH-YOUR_KEY\n```\n<!-- sdk: other -->\n";

/// See the head of this file. Its parts end with it, the server first.
pub struct Still {
    _runtime: Runtime,
    store: Arc<dyn Store>,
    clock: Clock,
    address: SocketAddr,
    member: MemberId,
    database: Database,
    _home: TempDir,
}

impl Still {
    /// An empty box with one member, at `now`.
    pub fn over(backend: Backend, limits: Limits, now: Millis) -> Self {
        let home = tempfile::tempdir().unwrap();
        let database = Database::create(backend, home.path());
        let (store, clock) = (open(&database).unwrap(), Clock::manual(now));
        let member =
            NewMember { name: "m".to_owned(), role: Role::Owner, organization: None, password_hash: "none".to_owned() };
        let member = store.create_member(&member, &By::command_line(now)).unwrap().id;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = runtime.block_on(serve(&store, limits, &clock));
        Self { _runtime: runtime, store, clock, address, member, database, _home: home }
    }

    /// Moves the clock.
    pub fn set(&self, now: Millis) {
        self.clock.set(now);
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap()
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// What is random in every box.
    pub fn organization(&self) -> String {
        self.store.apps().unwrap()[0].organization.uuid.to_string()
    }

    /// An app whose ids follow from its name.
    pub fn app(&self, name: &str, zone: &str) -> App {
        let app = NewApp {
            organization: None,
            uuid: Uuid::from_bytes(token::hash(name)[..16].try_into().unwrap()),
            slug: Slug::from_name(name),
            slug_fixed: true,
            name: name.to_owned(),
            zone: Zone::find(zone).unwrap(),
            salt: Salt(token::hash(name)),
            strict: false,
        };
        self.store.create_app(&app, &By::command_line(self.clock.now())).unwrap()
    }

    /// A key to one of an app's environments; token and secret follow from the names of both.
    pub fn key(&self, app: &App, environment: usize) -> Credentials {
        let environment = &app.environments[environment];
        let token = format!("tk_{}", hex::encode(token::hash(&format!("{} {}", app.slug, environment.slug))));
        let secret = format!("secret of {token}");
        let key = ingest_key::import(&master_key(), environment.id, "Fixed", &token, &secret).unwrap();
        self.store.create_key(&key.new, &By::command_line(self.clock.now())).unwrap();
        let (organization, id) = (app.organization.uuid.to_string(), app.uuid.to_string());
        Credentials { organization, app: id, slug: app.slug.to_string(), token, secret }
    }

    /// Signs the member in now; the value of the `Cookie` header.
    pub fn sign_in(&self, token: &str) -> String {
        let by = By { at: self.clock.now(), member: "still".to_owned(), place: String::new() };
        let (token_hash, proved_at) = (token::hash(token), by.at);
        let new = NewLogin { token_hash, member: self.member, way: Way::Password, proved_at, by };
        self.store.create_login(&new).unwrap();
        format!("tallybox={token}")
    }
}

fn master_key() -> MasterKey {
    MasterKey::from_text(&"7".repeat(64)).unwrap()
}

/// Puts a server together as `serve` does, but for its clock; its address.
async fn serve(store: &Arc<dyn Store>, limits: Limits, clock: &Clock) -> SocketAddr {
    let (intake, _writer) =
        Intake::start(store.clone(), Arc::new(limits), clock.clone(), QueueSize::default()).unwrap();
    let keys = IngestKeys::new(store.clone(), master_key(), clock.clone());
    let failures = Allowance { burst: 100, per: Millis::MINUTE };
    let identify = IdentifyMetrics::default();
    let gate = Gate {
        intake: intake.clone(),
        keys: keys.clone(),
        clock: clock.clone(),
        body: BodyLimits::new(SIZE, SIZE),
        failures: Arc::new(AddressLimiter::new(clock.clone(), failures)),
        respect_dnt: true,
        cors: Arc::new(Cors::from_list(&[])),
        outside: Arc::default(),
        telemetry_kit_errors: ErrorShape::ByPath,
        teardown: Arc::new(Teardown {
            tenancy: Tenancy::ByKey,
            origins: Arc::new(Origins::from_list(&[])),
            tokens: SessionTokens::new(["a secret of enough characters for a test"]).unwrap(),
            times: SessionTimes::default(),
            roster: Roster::new(store.clone(), clock.clone()),
            metrics: identify.clone(),
            high_volume: 50,
            lenient_devices: false,
            build_id: None,
            service_id: None,
        }),
    };
    let requests = RequestMetrics::default();
    let state = WebState::new(WebParts {
        store: store.clone(),
        reports: Reports::new(store.clone(), clock.clone()),
        logins: Logins::new(store.clone(), MasterKey::generate(), clock.clone(), LoginTimes::default()),
        oidc: None,
        keys,
        intake: intake.clone(),
        about: BoxParts::default(),
        clock: clock.clone(),
        site: Site { base_path: String::new(), public_url: Some("http://box.example.org".to_owned()) },
        keeping: Keeping { respects_dnt: true },
        draining: Arc::new(|| false),
        guides: vec![Guide::parse("Some protocol", GUIDE).unwrap()],
        policies: Policies::new(store.clone(), clock.clone(), VersionHooks::default()),
        metrics: MetricsParts { requests: requests.clone(), identify, ..MetricsParts::default() },
    });
    let options = ServerOptions::default();
    let router = protocol::router(gate, &Choice::default()).unwrap().merge(web::mount(state).into_router());
    let router = http::layers(router, clock.clone(), &options, requests);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { http::serve(listener, router, options, std::future::pending()).await.unwrap() });
    address
}
