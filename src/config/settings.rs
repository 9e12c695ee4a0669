//! The table of settings: one declaration gives a setting its flag, variable, file key, default, help and check.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::layers::{self, Surroundings, Values};
use super::place::Place;
use super::read::{self, Database, ErrorShape, LogFormat, LogLevel, Synchronous, Tenant};
use super::{Shown, Source};
use crate::model::{GroupRole, RecordFormat};

/// How a setting is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value.
    Plain,
    /// On or off; its flag may stand alone.
    Switch,
    /// Several values, separated by commas or as a list in the file.
    List,
    /// Never shown and never on the command line; may be read from a file that `*_file` names.
    Secret,
    /// Shown without its password, and refused on the command line if it holds one; may be read from a file that
    /// `*_file` names.
    Url,
    /// Plain, for tests: left out of the help.
    Hidden,
}

/// What holds where nobody set a value.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// This value.
    Text(&'static str),
    /// No value.
    Nothing,
    /// Worked out from other settings and the environment; in words for the help.
    Derived(fn(&Surroundings<'_>) -> String, &'static str),
}

/// The declaration of one setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Key in the file, in lower case with underscores.
    pub key: &'static str,
    /// How it is given.
    pub kind: Kind,
    /// What stands for its value in the help.
    pub value_name: &'static str,
    /// A second variable that is read when ours is not set.
    pub alias: Option<&'static str>,
    /// What holds otherwise.
    pub fallback: Fallback,
    help: &'static str,
}

impl Setting {
    /// What it does, in a sentence or two.
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }

    /// Its variable, such as `TALLYBOX_DATA_DIR`.
    pub fn variable(&self) -> String {
        format!("TALLYBOX_{}", self.key.to_ascii_uppercase())
    }

    /// What the command line gives: the key, the key of the file that holds the value, or either.
    pub fn flag_keys(&self) -> Vec<String> {
        match self.kind {
            Kind::Plain | Kind::Switch | Kind::List | Kind::Hidden => vec![self.key.to_owned()],
            Kind::Secret => vec![self.file_key()],
            Kind::Url => vec![self.key.to_owned(), self.file_key()],
        }
    }

    /// A flag without dashes by its key, such as `data-dir` for `data_dir`.
    pub fn flag(flag_key: &str) -> String {
        flag_key.replace('_', "-")
    }

    /// Whether the value may stand in a file of its own.
    pub fn may_be_in_a_file(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Url)
    }

    /// The key under which a file that holds the value is named.
    pub fn file_key(&self) -> String {
        format!("{}_file", self.key)
    }
}

macro_rules! settings {
    ($(
        $(#[doc = $help:literal])+
        $name:ident : $type:ty {
            kind: $kind:ident, value: $value:literal, alias: $alias:expr, default: $fallback:expr, read: $read:expr $(,)?
        }
    )+) => {
        /// The settings of one run, checked. Fields bear the keys of the file.
        #[derive(Clone, Debug)]
        pub struct Config {
            $( $(#[doc = $help])+ pub $name: $type, )+
            pub(super) shown: Vec<Shown>,
        }

        /// Every setting, in the order of the help.
        pub const SETTINGS: &[Setting] = &[$(
            Setting {
                key: stringify!($name),
                kind: Kind::$kind,
                value_name: $value,
                alias: $alias,
                fallback: $fallback,
                help: concat!($($help),+),
            },
        )+];

        impl Config {
            /// The checked form of all values; `None` where one was wrong, which `problems` then tells.
            pub(super) fn typed(values: &Values, problems: &mut Vec<String>) -> Option<Self> {
                $( let $name = values.read(stringify!($name), $read, problems); )+
                Some(Self { $( $name: $name?, )+ shown: values.shown() })
            }
        }
    };
}

settings! {
    /// Address to listen on; `0.0.0.0` or `::` for all.
    host: IpAddr { kind: Plain, value: "ADDRESS", alias: Some("HOST"), default: Fallback::Text("127.0.0.1"), read: read::host }
    /// Port to listen on; 0 takes a free one.
    port: u16 { kind: Plain, value: "PORT", alias: Some("PORT"), default: Fallback::Text("3000"), read: read::port }
    /// Directory of everything the box keeps.
    data_dir: PathBuf {
        kind: Plain, value: "DIR", alias: None,
        default: Fallback::Derived(layers::data_dir, "$STATE_DIRECTORY, or the platform's usual place"), read: read::path,
    }
    /// Where the events are kept: `sqlite:PATH`, a path, or `postgres://USER@HOST/DATABASE`.
    database_url: Database {
        kind: Url, value: "URL", alias: Some("DATABASE_URL"),
        default: Fallback::Derived(layers::database_url, "tallybox.db in the data directory"), read: read::database,
    }
    /// Password for PostgreSQL; it goes before one in `database_url`.
    database_password: Option<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::secret),
    }
    /// URL of a PostgreSQL standby that reports are read from while it keeps up.
    read_replica_url: Option<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::postgres_url),
    }
    /// How far behind the standby may be for reports to be read from it, in milliseconds.
    read_replica_max_lag_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("5000"), read: read::millis(1..=3_600_000),
    }
    /// Most connections to PostgreSQL, and as many again to a standby; 10 to 20 are right for nearly everybody.
    database_pool_max: usize { kind: Plain, value: "COUNT", alias: None, default: Fallback::Text("10"), read: read::number(1..=200) }
    /// Idle connections to PostgreSQL that are kept however long they idle.
    database_pool_min: usize { kind: Plain, value: "COUNT", alias: None, default: Fallback::Text("1"), read: read::number(0..=200) }
    /// Longest wait for a connection to PostgreSQL, in milliseconds; then the client is asked to come back.
    database_acquire_timeout_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("2000"), read: read::millis(10..=60_000),
    }
    /// How long a connection to PostgreSQL beyond `database_pool_min` may idle before it is closed, in milliseconds.
    database_idle_timeout_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("300000"), read: read::millis(1_000..=86_400_000),
    }
    /// Statements and commits that take this long are told in the log, in milliseconds.
    slow_query_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("500"), read: read::millis(1..=3_600_000),
    }
    /// Requests that take this long are told in the log with where their time went, in milliseconds.
    slow_request_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("1000"), read: read::millis(1..=3_600_000),
    }
    /// Days for which events are kept, by when they occurred; 0 keeps them for ever. Summaries stay, and apps may choose otherwise.
    retention_days: usize { kind: Plain, value: "DAYS", alias: None, default: Fallback::Text("90"), read: read::number(0..=36_500) }
    /// Days for which sessions are kept, by when they ended: never less than `retention_days`; 0 keeps them for ever.
    retention_session_days: usize {
        kind: Plain, value: "DAYS", alias: None,
        default: Fallback::Derived(layers::retention_days, "as retention_days"), read: read::number(0..=36_500),
    }
    /// Days for which events that were set aside are kept; 0 keeps them until there are too many.
    retention_set_aside_days: usize {
        kind: Plain, value: "DAYS", alias: None,
        default: Fallback::Derived(layers::retention_days, "as retention_days"), read: read::number(0..=36_500),
    }
    /// The address under which people and apps reach the box, such as `https://stats.example.org`.
    public_url: Option<String> {
        kind: Plain, value: "URL", alias: None, default: Fallback::Nothing, read: read::optional(read::public_url),
    }
    /// Path under which every page and endpoint lies, such as `/stats`; empty for none.
    base_path: String {
        kind: Plain, value: "PATH", alias: None,
        default: Fallback::Derived(layers::base_path, "the path of public_url"), read: read::base_path,
    }
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses and networks.
    trusted_proxies: Vec<String> {
        kind: List, value: "NETWORKS", alias: None, default: Fallback::Nothing, read: read::networks,
    }
    /// Header in which a proxy of `trusted_proxies` names the member who is signed in there, such as `Remote-User`.
    trusted_user_header: Option<String> {
        kind: Plain, value: "NAME", alias: None, default: Fallback::Nothing, read: read::optional(read::user_header),
    }
    /// Provider of OpenID Connect at which members may sign in, as it names itself, such as `https://id.example.org`.
    oidc_issuer: Option<String> {
        kind: Plain, value: "URL", alias: None, default: Fallback::Nothing, read: read::optional(read::issuer),
    }
    /// Who the box is to that provider.
    oidc_client_id: Option<String> {
        kind: Plain, value: "ID", alias: None, default: Fallback::Nothing, read: read::optional(read::label),
    }
    /// What proves it; left out where the provider takes PKCE alone.
    oidc_client_secret: Option<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::secret),
    }
    /// What the provider is called on the sign-in page.
    oidc_name: String { kind: Plain, value: "TEXT", alias: None, default: Fallback::Text("OpenID"), read: read::label }
    /// What the provider's groups may do: `GROUP=ROLE` in the first organization, or `GROUP=ORGANIZATION/ROLE`.
    oidc_groups: Vec<GroupRole> {
        kind: List, value: "ROLES", alias: None, default: Fallback::Nothing, read: read::group_roles,
    }
    /// Claim of the provider that lists somebody's groups.
    oidc_groups_claim: String { kind: Plain, value: "NAME", alias: None, default: Fallback::Text("groups"), read: read::label }
    /// What the provider is asked for, divided by blanks; `openid` must be among it.
    oidc_scopes: String {
        kind: Plain, value: "SCOPES", alias: None, default: Fallback::Text("openid profile email"), read: read::scopes,
    }
    /// Least severity that is logged: error, warn, info, debug or trace.
    log_level: LogLevel {
        kind: Plain, value: "LEVEL", alias: Some("LOG_LEVEL"), default: Fallback::Text("info"), read: read::log_level,
    }
    /// Form of log lines: text or json.
    log_format: LogFormat { kind: Plain, value: "FORMAT", alias: None, default: Fallback::Text("text"), read: read::log_format }
    /// Directory for daily log files besides standard error; 14 are kept.
    log_dir: Option<PathBuf> {
        kind: Plain, value: "DIR", alias: None, default: Fallback::Nothing, read: read::optional(read::path),
    }
    /// Database in MaxMind's format that tells the country of an address; without one no country is known.
    country_database: Option<PathBuf> {
        kind: Plain, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::path),
    }
    /// Key that seals the secrets of ingest keys and authenticator apps: 32 bytes as 64 hex digits or 44 characters of base64. Older ones may stand behind it until `tallybox rekey` has run. Without it one is made in the data directory.
    master_key: Option<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::master_key),
    }
    /// Set-up token for a first run without a person, at least 22 characters.
    setup_token: Option<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::token),
    }
    /// Token with which other machines may read `/metrics` (`Authorization: Bearer TOKEN`), at least 22 characters.
    metrics_token: Option<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::token),
    }
    /// Where a collector takes metrics as OTLP over HTTP, such as `http://127.0.0.1:4318/v1/metrics`; without one none are sent.
    otlp_metrics_url: Option<String> {
        kind: Plain, value: "URL", alias: None, default: Fallback::Nothing, read: read::optional(read::collector),
    }
    /// How often metrics are sent there, in milliseconds.
    otlp_metrics_period_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("60000"), read: read::millis(100..=86_400_000),
    }
    /// Headers that are sent with them: `NAME=VALUE`, separated by commas. With any, a collector on another machine needs https.
    otlp_headers: Vec<(String, SecretString)> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::headers,
    }
    /// Percentage of requests that is to be answered without a fault of the box (5xx), over 30 days.
    objective_availability: f64 { kind: Plain, value: "PERCENT", alias: None, default: Fallback::Text("99.9"), read: read::percent }
    /// Percentage of requests that is to be answered in time, over 30 days.
    objective_latency: f64 { kind: Plain, value: "PERCENT", alias: None, default: Fallback::Text("99"), read: read::percent }
    /// Within how many milliseconds an SDK's request is answered in time, without what its client takes to send it.
    objective_ingest_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("500"), read: read::millis(1..=3_600_000),
    }
    /// Within how many milliseconds a page is answered in time.
    objective_pages_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("1000"), read: read::millis(1..=3_600_000),
    }
    /// Largest request body, before and after decompression.
    max_body_bytes: usize { kind: Plain, value: "SIZE", alias: None, default: Fallback::Text("33554432"), read: read::size(1 << 10) }
    /// Largest single event; a larger one is set aside.
    max_event_bytes: usize { kind: Plain, value: "SIZE", alias: None, default: Fallback::Text("65536"), read: read::size(1 << 10) }
    /// Most bytes of events that may wait for a commit; beyond it clients are asked to come back.
    queue_bytes: usize { kind: Plain, value: "SIZE", alias: None, default: Fallback::Text("33554432"), read: read::size(1 << 10) }
    /// Most requests that may wait for a commit.
    queue_requests: usize { kind: Plain, value: "COUNT", alias: None, default: Fallback::Text("4096"), read: read::count }
    /// Most connections at the same time.
    max_connections: usize { kind: Plain, value: "COUNT", alias: None, default: Fallback::Text("16384"), read: read::count }
    /// Space kept free on the disk: below it the box stops taking events. 0 means 64 MiB or 2 percent, whichever is more.
    disk_floor_bytes: u64 { kind: Plain, value: "SIZE", alias: None, default: Fallback::Text("0"), read: read::size_u64 }
    /// Size of the file that is given up when the disk is full, so that the box can still tidy up.
    disk_ballast_bytes: u64 { kind: Plain, value: "SIZE", alias: None, default: Fallback::Text("16777216"), read: read::size_u64 }
    /// Where backups go, of which the server then makes one a day: a folder, best on another disk, or `s3://BUCKET/PREFIX`.
    backup_dir: Option<Place> {
        kind: Plain, value: "PLACE", alias: None, default: Fallback::Nothing, read: read::optional(Place::parse),
    }
    /// Key that encrypts backups and opens them again, as `tallybox backup --make-key` or `age-keygen` makes one.
    backup_key: Option<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::backup_key),
    }
    /// Where what is too old is laid down before it is deleted: a folder, or s3://BUCKET/PREFIX. Without one it is only deleted.
    archive_dir: Option<Place> {
        kind: Plain, value: "PLACE", alias: None, default: Fallback::Nothing, read: read::optional(Place::parse),
    }
    /// How it is laid down there: as `ndjson`, which `tallybox import` reads, or as `parquet`, where that is built in.
    archive_format: RecordFormat {
        kind: Plain, value: "FORMAT", alias: None, default: Fallback::Text("ndjson"), read: RecordFormat::parse,
    }
    /// Region of S3-compatible storage; services without regions take `us-east-1` or `auto`.
    s3_region: String { kind: Plain, value: "NAME", alias: None, default: Fallback::Text("us-east-1"), read: read::region }
    /// Address of S3-compatible storage, for places that begin with `s3://`.
    s3_endpoint: String {
        kind: Plain, value: "URL", alias: None,
        default: Fallback::Derived(layers::s3_endpoint, "Amazon S3 in s3_region"), read: read::public_url,
    }
    /// Access key for that storage: one that may read, write, list and delete in the bucket, and nothing else.
    s3_access_key: Option<String> { kind: Plain, value: "KEY", alias: None, default: Fallback::Nothing, read: read::optional(read::label) }
    /// Secret key for that storage.
    s3_secret_key: Option<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::optional(read::secret),
    }
    /// Make a backup before the schema of a database is changed by a newer version.
    backup_before_migration: bool { kind: Switch, value: "BOOL", alias: None, default: Fallback::Text("true"), read: read::switch }
    /// Keep data on a network file system in spite of the danger to it.
    allow_network_fs: bool { kind: Switch, value: "BOOL", alias: None, default: Fallback::Text("false"), read: read::switch }
    /// Take no events from clients that send DNT: 1 or Sec-GPC: 1.
    respect_dnt: bool { kind: Switch, value: "BOOL", alias: None, default: Fallback::Text("true"), read: read::switch }
    /// Web pages that may send events from a browser: origins such as `https://example.org`, or `*` for all.
    cors_origins: Vec<String> {
        kind: List, value: "ORIGINS", alias: None, default: Fallback::Nothing, read: read::origins,
    }
    /// How telemetry-kit clients are told of refusals: by-path, flat (as the published SDK reads them) or nested.
    telemetry_kit_errors: ErrorShape {
        kind: Plain, value: "SHAPE", alias: None, default: Fallback::Text("by-path"), read: read::error_shape,
    }
    /// Protocols that are spoken: `all`, NAME, or -NAME for all but one; NAME=/PATH puts one under that path as well.
    protocols: Vec<String> {
        kind: List, value: "NAMES", alias: None, default: Fallback::Text("all"), read: read::protocols,
    }
    /// The one app of all Teardown clients, as APP or ORGANIZATION/APP, short names or ids: no key is asked for then.
    teardown_tenant: Option<Tenant> {
        kind: Plain, value: "APP", alias: None, default: Fallback::Nothing, read: read::optional(read::tenant),
    }
    /// Web pages that may use the Teardown protocol from a browser: origins such as `https://example.org`, or `*` for all.
    teardown_cors_origins: Vec<String> {
        kind: List, value: "ORIGINS", alias: None, default: Fallback::Text("*"), read: read::origins,
    }
    /// How long a member stays signed in without a visit, in milliseconds.
    login_idle_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("43200000"), read: read::millis(60_000..=7_776_000_000),
    }
    /// How long a member stays signed in at the most, in milliseconds.
    login_max_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("604800000"), read: read::millis(60_000..=7_776_000_000),
    }
    /// Secrets of the tokens that Teardown devices are given, at least 22 characters each: the first signs, all verify. Without one it is made in the data directory.
    session_secrets: Vec<SecretString> {
        kind: Secret, value: "FILE", alias: None, default: Fallback::Nothing, read: read::tokens,
    }
    /// How long such a token is valid, in milliseconds.
    session_token_expiry_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("900000"), read: read::millis(1_000..=2_592_000_000),
    }
    /// How long a session of a Teardown device lasts, in milliseconds.
    session_ttl_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("900000"), read: read::millis(1_000..=2_592_000_000),
    }
    /// How far an identify moves the end of its session, from then, in milliseconds.
    session_reuse_extend_ms: Duration {
        kind: Plain, value: "MS", alias: None, default: Fallback::Text("900000"), read: read::millis(0..=2_592_000_000),
    }
    /// Teardown batches with more events than this are told in the log and counted.
    teardown_high_volume: usize { kind: Plain, value: "COUNT", alias: None, default: Fallback::Text("50"), read: read::number(0..=100) }
    /// Take Teardown events of devices that are not known, without the device, instead of refusing them.
    teardown_lenient_devices: bool { kind: Switch, value: "BOOL", alias: None, default: Fallback::Text("false"), read: read::switch }
    /// What health checks name as the build, such as a commit.
    teardown_build_id: Option<String> {
        kind: Plain, value: "TEXT", alias: None, default: Fallback::Nothing, read: read::optional(read::label),
    }
    /// What health checks name as the service, such as a region.
    teardown_service_id: Option<String> {
        kind: Plain, value: "TEXT", alias: None, default: Fallback::Nothing, read: read::optional(read::label),
    }
    /// SQLite's synchronous mode: full, or normal to show in a drill what it loses.
    synchronous: Synchronous { kind: Hidden, value: "MODE", alias: None, default: Fallback::Text("full"), read: read::synchronous }
}

impl Setting {
    /// A value as it may be shown.
    pub(super) fn shown(&self, text: &str, source: &Source) -> Shown {
        let value = match (text.is_empty(), self.kind) {
            (true, _) => "(not set)".to_owned(),
            (false, Kind::Secret) => "(hidden)".to_owned(),
            (false, Kind::Url) => read::database_shown(text),
            (false, Kind::Plain | Kind::Switch | Kind::List | Kind::Hidden) => text.to_owned(),
        };
        Shown { key: self.key, value, source: source.clone() }
    }
}
