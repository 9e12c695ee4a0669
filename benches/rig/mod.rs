//! A real server in a process of its own over any database, and what a load needs: credentials and signed requests.

mod identify;
pub mod measure;
pub mod process;
pub mod traffic;

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tallybox::auth::{ingest_key, seal::MasterKey, token};
use tallybox::model::{By, Millis, NewApp, NewLogin, NewMember, Role, Salt, Slug, Way, Zone};
use tallybox::store::Store;

use self::traffic::{Sender, YEAR_START};

/// The database under the server.
pub trait Backend {
    /// What the database itself can do here, with the rows of `senders` or with such as are no dearer.
    fn floor(&self, directory: &Path, senders: &[Sender]) -> Floor;

    /// On how many connections batches are sent.
    fn senders(&self) -> usize;

    /// A store over the empty database, for the time until the server starts. `directory` is the server's own.
    fn open(&self, directory: &Path) -> Box<dyn Store>;

    /// What the server's environment says of it.
    fn environment(&self) -> Vec<(&'static str, String)>;

    /// What was used so far besides the processor time of `server`, which is its process: names, and amounts that only
    /// grow.
    fn used(&self, server: u32) -> Vec<(&'static str, f64)>;

    /// Bytes of the database.
    fn size(&self, directory: &Path) -> f64;

    /// More to be told of the `events` events that were acknowledged, after all else is measured.
    fn account(&self, events: usize) -> Vec<(&'static str, f64)>;
}

/// Rows a second of a database without the box.
pub struct Floor {
    /// 2,000 rows a commit.
    pub grouped: f64,
    /// All in one commit, where that was measured.
    pub bulk: Option<f64>,
}

/// The file in which a server tells where it listens.
const ADDRESS: &str = "tallybox.addr";

/// A server with one app.
pub struct Rig {
    pub address: SocketAddr,
    pub directory: tempfile::TempDir,
    pub path: String,
    /// The cookie of a signed-in owner.
    pub cookie: String,
    /// The app's public key.
    pub token: String,
    /// Public id of the organization.
    pub organization: uuid::Uuid,
    /// Public id of the app.
    pub app: uuid::Uuid,
    secret: String,
    environment: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Rig {
    /// Prepares an app, a key and a login in the empty database that `open` opens, for a server with that environment.
    /// Its directory is the one that `open` is given.
    pub fn new(mut environment: Vec<(&'static str, String)>, open: impl FnOnce(&Path) -> Box<dyn Store>) -> Self {
        let private = std::fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().permissions(private).tempdir().expect("a temporary directory");
        let master_key = token::issue("");
        let Prepared { token, secret, organization, app, cookie } = prepare(&*open(directory.path()), &master_key);
        environment.push(("TALLYBOX_MASTER_KEY", master_key));
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment,
            directory,
            path: format!("/v1/ingest/{organization}/{app}"),
            cookie,
            token,
            organization,
            app,
            secret,
            process: None,
        }
    }

    /// Starts the release binary over the database; one that runs already is killed before.
    pub fn launch(&mut self) {
        self.kill();
        _ = std::fs::remove_file(self.directory.path().join(ADDRESS));
        self.process = Some(launch(self.directory.path(), &self.environment));
        self.address = self.wait_for_address();
    }

    /// A request head and body as the telemetry-kit SDK sends them, signed now, in the nonce form.
    pub fn signed(&self, body: &str) -> Vec<u8> {
        let timestamp = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_secs();
        let nonce = uuid::Uuid::new_v4();
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any key fits");
        mac.update(format!("{timestamp}:{nonce}:{body}").as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nx-signature: {signature}\r\n\
             x-timestamp: {timestamp}\r\nx-nonce: {nonce}\r\nx-sdk-version: telemetry-kit-rust/0.3.0\r\n\
             x-schema-version: 1.0.0\r\naccept: */*\r\ncontent-length: {}\r\n\r\n{body}",
            self.path,
            self.address,
            body.len()
        )
        .into_bytes()
    }

    /// The number of the server's process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it was launched").id()
    }

    fn wait_for_address(&self) -> SocketAddr {
        let file = self.directory.path().join(ADDRESS);
        for _ in 0..600 {
            if let Some(address) = std::fs::read_to_string(&file).ok().and_then(|text| text.parse().ok())
                && TcpStream::connect(address).is_ok()
            {
                return address;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not start");
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            _ = process.kill();
            _ = process.wait();
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What is there before the server starts.
struct Prepared {
    token: String,
    secret: String,
    organization: uuid::Uuid,
    app: uuid::Uuid,
    /// Of an owner.
    cookie: String,
}

fn prepare(store: &dyn Store, master_key: &str) -> Prepared {
    let app = NewApp {
        organization: None,
        uuid: uuid::Uuid::new_v4(),
        slug: Slug::from_name("bench"),
        slug_fixed: true,
        name: "Bench".to_owned(),
        zone: Zone::find("Europe/Zurich").expect("the zone exists"),
        salt: Salt(token::random()),
        strict: false,
    };
    let app = store.create_app(&app, &By::command_line(Millis(YEAR_START))).expect("the app is made");
    let master = MasterKey::from_text(master_key).expect("it is 64 hex digits");
    let issued = ingest_key::issue(&master, app.environments[0].id, "bench");
    store.create_key(&issued.new, &By::command_line(Millis(YEAR_START))).expect("the key is kept");
    let public = ingest_key::issue_public(app.environments[0].id, "bench");
    store.create_key(&public.new, &By::command_line(Millis(YEAR_START))).expect("the key is kept");
    let member =
        NewMember { name: "owner".to_owned(), role: Role::Owner, organization: None, password_hash: "-".to_owned() };
    let now = tallybox::clock::Clock::system().now();
    let member = store.create_member(&member, &By::command_line(now)).expect("the member is made");
    let login = token::issue("");
    let (token_hash, by) = (token::hash(&login), By::command_line(now));
    let new = NewLogin { token_hash, member: member.id, way: Way::Password, proved_at: now, by };
    store.create_login(&new).expect("the login is kept");
    Prepared {
        token: public.token,
        secret: issued.secret,
        organization: app.organization.uuid,
        app: app.uuid,
        cookie: format!("tallybox={login}"),
    }
}

fn launch(directory: &Path, environment: &[(&'static str, String)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tallybox"))
        .env_clear()
        .env("TALLYBOX_DATA_DIR", directory)
        .env("TALLYBOX_PORT", "0")
        .env("TALLYBOX_LOG_LEVEL", "warn")
        .env("TALLYBOX_DISK_BALLAST_BYTES", "0")
        // A made-up year is longer than events are usually kept.
        .env("TALLYBOX_RETENTION_DAYS", "0")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .spawn()
        .expect("the server starts")
}
