//! The storage contract: one synchronous trait, called from blocking threads, with a backend for each database.
//! What every backend must keep is written here and held by one suite (`tests/suite/store.rs`).

mod accounts;
mod answers;
mod aside;
mod audit;
mod backend;
mod commit;
pub mod contents;
mod directory;
mod draft;
mod duties;
mod erasing;
mod etiquette;
mod funnels;
mod identify;
mod intern;
mod jobs;
mod keepers;
mod keeping;
mod limits;
mod links;
pub mod look;
mod members;
pub mod migrate;
pub mod moving;
mod nodes;
mod organizations;
mod people;
pub mod postgres;
mod records;
mod recount;
mod remembered;
mod report;
mod rights;
mod roster;
mod scan;
mod sealing;
mod settled;
mod sign_in;
mod sign_ins;
mod slow;
mod sql;
pub mod sqlite;
mod tokens;
mod versions;
mod visitors;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::model::Salt;
use crate::model::{Answers, LookupCounts, TraceId};
use crate::model::{ApiToken, ApiTokenId, Concerning, NewApiToken};
use crate::model::{
    App, AppId, EnvironmentId, EventList, EventsPage, IngestKey, IngestKeyId, KeyLookup, KeyRing, KnownDevice,
    KnownSession, Limits, Millis, NewApp, NewIngestKey, Query, Report, SaveFunnel, SavedFunnel, SetRule, SetStatus,
    VersionChange, VersionDetail, VersionPolicy, VersionRule, Versions, VersionsPage,
};
use crate::model::{AppChange, By, Keeps};
use crate::model::{AppLimits, Ban, BanId, NewBan, Rules, Tier, TierEnd, TierId, WantedTier};
use crate::model::{AsideCount, AsideList, AsidePage, AsideStretch, KeptAside, Node};
use crate::model::{DeviceList, DevicesPage, Person, Timeline, TimelinePage, UserHash, UserList, UsersPage};
use crate::model::{SessionDetail, SessionList, SessionPage, SessionsPage};

pub use accounts::Accounts;
pub use draft::{Committed, Draft, Entry, Nonce};
pub use duties::Duties;
pub use erasing::Erasing;
pub use etiquette::Etiquette;
pub use keepers::Keepers;
pub use links::Uniting;
pub use recount::{Recount, SummaryDifference, SummaryTable};
pub use sealing::Sealing;
pub use settled::Backlog;
pub use sign_ins::SignIns;

/// Statements and commits that take this long are told in the log, where nothing else is set.
pub const SLOW: std::time::Duration = std::time::Duration::from_millis(500);

/// Figures about the database itself, for health, the status page and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Backend and engine version, such as `SQLite 3.53.2`.
    pub engine: String,
    /// Schema version: the number of the last migration.
    pub schema: i64,
    /// The newest that this program knows.
    pub schema_known: i64,
    /// Bytes of the database file.
    pub bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Connections, by what they are for.
    pub pools: Vec<PoolStatus>,
    /// Statements and commits that took long, since the start.
    pub slow: u64,
    /// The last of them, newest first.
    pub slow_queries: Vec<SlowQuery>,
    /// Whether reports are read from a replica; `None` where there is none.
    pub replica: Option<bool>,
    /// Events outside of all monthly partitions, where there are partitions; up to 100,000 are counted.
    pub outside_partitions: Option<u64>,
    /// Bytes free where the database lies; `None` where that cannot be known.
    pub free_bytes: Option<u64>,
    /// Bytes that are kept free: below them no events are taken.
    pub floor_bytes: Option<u64>,
    /// Size of the file that is given up in need, where it lies there.
    pub ballast_bytes: Option<u64>,
    /// Whether writes are refused, and why.
    pub read_only: Option<String>,
    /// What is remembered between commits, and how that does.
    pub caches: Vec<(&'static str, LookupCounts)>,
    /// What deserves a second look, one sentence each.
    pub notes: Vec<String>,
}

/// One statement or commit that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowQuery {
    /// When it ended.
    pub at: Millis,
    /// How long it took.
    pub took: std::time::Duration,
    /// The statement, without its values.
    pub what: String,
    /// The trace of the request that it was for, where it was for one.
    pub trace: Option<TraceId>,
}

/// Connections of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// What they are for.
    pub name: &'static str,
    /// Most that there may be.
    pub max: u32,
    /// Those that are open.
    pub open: u32,
    /// Those of them that are in use.
    pub active: u32,
    /// Callers that wait for one.
    pub waiting: u32,
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room left, or less than the floor that is kept free.
    #[error("no space left for the database")]
    Full,
    /// The database cannot be reached or written now.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Reading or writing the disk failed: what was not acknowledged may be lost.
    #[error("the disk failed: {0}")]
    Io(String),
    /// The database is damaged.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// A report took longer than it may.
    #[error("the query took too long")]
    Interrupted,
    /// A report would take more memory than it may: it has to be asked for a shorter range or of fewer events.
    #[error("there is too much to count")]
    TooMuch,
    /// The name or id is taken; which, in words.
    #[error("{0} already exists")]
    Exists(&'static str),
    /// What was named is not there; which, in words.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// There are as many as there may be; of what, in words.
    #[error("no room for one more {0}")]
    NoRoom(&'static str),
    /// What is to go is still in use; what, in words.
    #[error("the {0} is still in use")]
    InUse(&'static str),
    /// Nobody would be left who may do everything.
    #[error("nobody would be left to own it")]
    LastOwner,
    /// What was to be done is in other hands by now: nothing was changed.
    #[error("somebody else has taken this over")]
    TakenOver,
    /// A one-time token is unknown, used or too old.
    #[error("the token is not valid any more")]
    TokenSpent,
    /// The schema is newer than this binary, or a migration was changed after it ran.
    #[error("{0}")]
    Schema(String),
    /// A defect: the database said something that we did not expect.
    #[error("unexpected database error: {0}")]
    Unexpected(String),
}

/// Short for a result of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Everything that is kept. All methods block; none may be called from an async task.
pub trait Store: Accounts + Duties + Erasing + Etiquette + Keepers + Sealing + SignIns + Send + Sync + 'static {
    /// Writes all drafts in one durable transaction and says what became of each. After `Ok`, what is
    /// [`Outcome::Stored`] survives a power cut. After `Err`, nothing was written.
    ///
    /// An event is a duplicate if its environment holds one of the same id and claimed time. Sessions, user-days and
    /// summaries change in the same transaction, and only for events newly stored.
    fn commit(&self, drafts: &[Draft], limits: &Limits) -> Result<Vec<Committed>>;

    /// A number that changes with every commit to an environment; `None` where others may commit unseen.
    fn commits(&self, environment: EnvironmentId) -> Option<u64>;

    /// How many commits it does well to run at once.
    fn writers(&self) -> usize;

    /// Housekeeping between commits: checkpoints, expired nonces and logins. Cheap when there is nothing to do.
    fn tend(&self, now: Millis) -> Result<()>;

    /// Housekeeping beside commits, which it does not hold up for longer than a commit takes: works off some of what is
    /// over and not settled yet, and says what is left. Nodes may do it at the same time.
    fn settle(&self, now: Millis) -> Result<Backlog>;

    /// Housekeeping beside commits: does one small step for names that turned out to be one person's, of which something is
    /// stored under the earlier one. Nodes may do it at the same time.
    fn unite(&self, now: Millis) -> Result<Uniting>;

    /// Answers a question from the summaries where they can, from raw rows where they cannot.
    fn report(&self, query: &Query) -> Result<Report>;

    /// First and last UTC day since 1970 of which an environment may have summaries; none where it has none.
    fn summary_days(&self, environment: EnvironmentId) -> Result<Option<(i64, i64)>>;

    /// Counts the summaries of a day anew from events, sessions, users and their days: the rows that differ.
    /// On days whose summaries count somebody who is erased, what is stored may be more.
    fn recount(&self, asked: &Recount) -> Result<Vec<SummaryDifference>>;

    /// The same, and puts what was counted in place of what was stored, in one transaction.
    fn mend(&self, asked: &Recount) -> Result<Vec<SummaryDifference>>;

    /// Whether what is settled of a UTC day, counted since 1970, is what its events say; also where nothing is.
    fn settled_holds(&self, environment: EnvironmentId, day: i64) -> Result<bool>;

    /// Raw events by the time they occurred, newest first, those of one millisecond by their ids. Looking is limited in
    /// time: a page may be short, or empty, and go on.
    fn events(&self, page: &EventsPage) -> Result<EventList>;

    /// Events kept aside for an app, by page.
    fn set_aside(&self, page: &AsidePage) -> Result<AsideList>;

    /// A stretch of them, with what it takes to try them again.
    fn kept_aside(&self, stretch: &AsideStretch) -> Result<Vec<KeptAside>>;

    /// Forgets those of a stretch, and writes down who did it, and what was meant in words; their numbers.
    fn discard_aside(&self, stretch: &AsideStretch, by: &By, what: &str) -> Result<Vec<i64>>;

    /// How many events are kept aside, by app and reason, the reasons of most events first; 100 at the most.
    fn aside_counts(&self) -> Result<Vec<AsideCount>>;

    /// Devices, by page.
    fn devices(&self, page: &DevicesPage) -> Result<DeviceList>;

    /// Users, by page.
    fn users(&self, page: &UsersPage) -> Result<UserList>;

    /// What is known of a user; `None` where the environment has none of that pseudonym.
    fn person(&self, environment: EnvironmentId, user: UserHash) -> Result<Option<Person>>;

    /// What a user did, newest first, whatever their clocks. Looking is limited in time: a page may be short and go on.
    fn timeline(&self, page: &TimelinePage) -> Result<Timeline>;

    /// Sessions, by page.
    fn sessions(&self, page: &SessionsPage) -> Result<SessionList>;

    /// One session with a stretch of its events; `None` where the environment has none of that name. Looking is limited
    /// in time: a page may be short and go on.
    fn session(&self, page: &SessionPage) -> Result<Option<SessionDetail>>;

    /// All apps, by name.
    fn apps(&self) -> Result<Vec<App>>;

    /// The app of that short name or UUID.
    fn find_app(&self, name: &str) -> Result<Option<App>>;

    /// Makes an app with its environments in the box's organization. [`StoreError::Exists`] where a fixed slug or the
    /// UUID is taken.
    fn create_app(&self, app: &NewApp, by: &By) -> Result<App>;

    /// Changes an app's own row. [`StoreError::InUse`] where one is to be deleted that is not archived.
    fn change_app(&self, app: AppId, change: &AppChange, by: &By) -> Result<()>;

    /// Makes a key. [`StoreError::Exists`] where its token is known already.
    fn create_key(&self, key: &NewIngestKey, by: &By) -> Result<IngestKey>;

    /// Makes a successor of a key, which works until `ends`, or until an end that is nearer.
    fn rotate_key(&self, old: IngestKeyId, new: &NewIngestKey, ends: Millis, by: &By) -> Result<IngestKey>;

    /// Keys of an app, or of all, revoked ones included, newest first.
    fn keys(&self, app: Option<AppId>) -> Result<Vec<IngestKey>>;

    /// Lets a key stop working; it never starts again.
    fn revoke_key(&self, key: IngestKeyId, by: &By) -> Result<()>;

    /// The app and active keys that a request's credential names, `None` where it names nothing active.
    fn key_ring(&self, lookup: &KeyLookup, now: Millis) -> Result<Option<KeyRing>>;

    /// All tiers, in the order in which they were made.
    fn tiers(&self) -> Result<Vec<Tier>>;

    /// Makes or changes a tier. [`StoreError::Exists`] where another has its name.
    fn save_tier(&self, wanted: &WantedTier, by: &By) -> Result<Tier>;

    /// Makes a tier that of all apps for which none was chosen.
    fn set_usual_tier(&self, tier: TierId, by: &By) -> Result<()>;

    /// Deletes a tier, unless apps are in it.
    fn delete_tier(&self, tier: TierId, by: &By) -> Result<TierEnd>;

    /// What is set for an app.
    fn app_limits(&self, app: AppId) -> Result<AppLimits>;

    /// Sets it.
    fn set_app_limits(&self, app: AppId, limits: &AppLimits, by: &By) -> Result<()>;

    /// Whoever is banned from an app, newest first.
    fn bans(&self, app: AppId) -> Result<Vec<Ban>>;

    /// Bans somebody. [`StoreError::Exists`] where they are banned already, [`StoreError::NoRoom`] where a thousand are.
    fn ban(&self, ban: &NewBan, by: &By) -> Result<()>;

    /// Lifts a ban of that app.
    fn lift_ban(&self, app: AppId, ban: BanId, by: &By) -> Result<()>;

    /// Web origins that some app lists.
    fn listed_origins(&self) -> Result<Vec<String>>;

    /// Events that all nodes have taken on that UTC day, by app: those that quotas are held against.
    fn taken_on(&self, day: i64) -> Result<Vec<(AppId, u64)>>;

    /// The salt of an app's visitors on that UTC day, the same on all nodes; `fresh` where there was none. It is forgotten
    /// once the day after is over.
    fn visitor_salt(&self, app: AppId, day: i64, fresh: &Salt) -> Result<Salt>;

    /// What became of an app's events that arrived on that UTC day, by outcome.
    fn intake(&self, app: AppId, day: i64) -> Result<Vec<(String, u64)>>;

    /// Makes a token of the read API. [`StoreError::Exists`] where it is known already.
    fn create_api_token(&self, token: &NewApiToken, by: &By) -> Result<ApiToken>;

    /// Tokens of the box, of an organization, or those that can read an app; revoked ones included, newest first.
    fn api_tokens(&self, of: Concerning) -> Result<Vec<ApiToken>>;

    /// Lets a token stop working; it never starts again.
    fn revoke_api_token(&self, token: ApiTokenId, by: &By) -> Result<()>;

    /// The token of that hash, where it works at `now`; the hour of its last use is noted.
    fn find_api_token(&self, token_hash: &[u8; 32], now: Millis) -> Result<Option<ApiToken>>;

    /// The device that calls itself so, or has that public id.
    fn find_device(&self, environment: EnvironmentId, named: &str) -> Result<Option<KnownDevice>>;

    /// The device session of that public id, which may be over.
    fn find_session(&self, environment: EnvironmentId, id: uuid::Uuid) -> Result<Option<KnownSession>>;

    /// A number that grows with every change to apps, environments, keys, limits and what members ask of versions, by
    /// this process or another.
    fn directory_version(&self) -> Result<i64>;

    /// A page of an app's versions: those that installations named, that somebody judged, or that events and sessions
    /// were counted under.
    fn versions(&self, page: &VersionsPage) -> Result<Versions>;

    /// One version with its builds, whatever the page's search and bounds; `None` where the app has none of that name.
    fn version(&self, page: &VersionsPage, name: &str) -> Result<Option<VersionDetail>>;

    /// Sets the status and notes of a version, and the status of its builds that have another; or those of one build.
    /// Says what changed in truth, and keeps a line of who did it. [`StoreError::NotFound`] where no such version or
    /// build is known.
    fn set_version_status(&self, set: &SetStatus) -> Result<Vec<VersionChange>>;

    /// Puts a rule in place of the one of its platform, and moves what it judges: what a rule has set follows it, what
    /// somebody has set gives way where the rule newly asks for more. Says what changed in truth, and keeps a line of
    /// who did it.
    fn set_version_rule(&self, set: &SetRule) -> Result<Vec<VersionChange>>;

    /// What a request to an app is held against.
    fn app_rules(&self, app: AppId) -> Result<Rules>;

    /// The rules of an app, that of all platforms first.
    fn version_rules(&self, app: AppId) -> Result<Vec<VersionRule>>;

    /// All that it takes to answer version checks of the app of that short name or UUID; `None` where there is none.
    /// Whatever a member changes in it makes the directory's version grow.
    fn version_policy(&self, app: &str) -> Result<Option<VersionPolicy>>;

    /// The funnels that an environment keeps, by name.
    fn funnels(&self, environment: EnvironmentId) -> Result<Vec<SavedFunnel>>;

    /// Keeps a funnel: in place of the one of the same name where none is meant by its id. [`StoreError::Exists`] where
    /// another than the one that is meant has the name, [`StoreError::NotFound`] where that is not there,
    /// [`StoreError::NoRoom`] where there are [`SaveFunnel::MOST`].
    fn save_funnel(&self, save: &SaveFunnel) -> Result<SavedFunnel>;

    /// Forgets a funnel; an unknown one is no error.
    fn delete_funnel(&self, environment: EnvironmentId, id: uuid::Uuid, by: &By) -> Result<()>;

    /// Notes that a node is there. Does nothing where only one can be.
    fn beat(&self, node: &Node) -> Result<()>;

    /// Forgets a node that stops.
    fn leave(&self, node: &Node) -> Result<()>;

    /// The nodes that have spoken of late; none where only one can be.
    fn nodes(&self) -> Result<Vec<Node>>;

    /// Adds to what was counted of each hour, by all processes, and forgets hours of which no budget is any more.
    fn count_answers(&self, counted: &[Answers]) -> Result<()>;

    /// What was counted, from that hour on.
    fn answers(&self, since: i64) -> Result<Vec<Answers>>;

    /// Figures about the database.
    fn status(&self) -> Result<StoreStatus>;

    /// Whether a write would succeed now: the readiness probe. It writes and rolls back.
    fn probe(&self) -> Result<()>;

    /// Looks at every page for damage, beside commits; what came of it, in words. Where some is found nothing is written
    /// any more until a restart. Once `ended` is set it is given up, as [`StoreError::Interrupted`].
    fn check(&self, ended: &Arc<AtomicBool>) -> Result<&'static str>;
}
