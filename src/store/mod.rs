//! The storage contract: one synchronous trait, called from blocking threads, with a backend for each database.
//! What every backend must keep is written here and held by one suite (`tests/suite/store.rs`).

mod audit;
mod backend;
mod commit;
mod directory;
mod funnels;
mod identify;
mod intern;
mod members;
pub mod migrate;
pub mod moving;
mod organizations;
mod people;
pub mod postgres;
mod recount;
mod report;
mod roster;
mod scan;
mod sign_in;
mod sign_ins;
mod slow;
mod sql;
pub mod sqlite;
mod tokens;
mod versions;

use crate::model::{
    Accepting, AppChange, AuditLine, AuditPage, By, Invitation, NewInvitation, NewOrganization, Organization,
    OrganizationId, OrganizationRow, Role,
};
use crate::model::{ApiToken, ApiTokenId, NewApiToken};
use crate::model::{
    App, AppId, AuditRow, EnvironmentId, Event, EventList, EventsPage, Identify, IngestKey, IngestKeyId, KeyLookup,
    KeyRing, KnownDevice, KnownSession, Limits, Member, MemberId, Millis, NewApp, NewIngestKey, NewMember, Outcome,
    Query, Receipt, Report, SaveFunnel, SavedFunnel, SetAside, SetAsideRow, SetRule, SetStatus, VersionChange,
    VersionDetail, VersionPolicy, VersionRule, Versions, VersionsPage,
};
use crate::model::{DeviceList, DevicesPage, Person, Timeline, TimelinePage, UserHash, UserList, UsersPage};
use crate::model::{SessionDetail, SessionList, SessionPage, SessionsPage};

pub use recount::{Recount, SummaryDifference, SummaryTable};
pub use sign_ins::SignIns;

/// Statements and commits that take this long are told in the log, where nothing else is set.
pub const SLOW: std::time::Duration = std::time::Duration::from_millis(500);

/// What a queued request asks to be written, all or nothing.
#[derive(Debug)]
pub struct Draft {
    /// When its request arrived.
    pub received_at: Millis,
    /// The app it belongs to.
    pub app: std::sync::Arc<App>,
    /// The key it was accepted with, where its protocol wants one.
    pub key: Option<IngestKeyId>,
    /// Into which environment its events go.
    pub environment: EnvironmentId,
    /// The request's nonce, if its protocol has one.
    pub nonce: Option<Nonce>,
    /// In the request's order.
    pub entries: Vec<Entry>,
    /// What an installation says of itself, where it does.
    pub identify: Option<Box<Identify>>,
    /// The row of a device whose user has signed out.
    pub sign_out: Option<i64>,
}

/// One event of a [`Draft`].
#[derive(Debug)]
pub enum Entry {
    /// To be stored if it is new.
    Event(Event),
    /// To be kept aside.
    SetAside(SetAside),
    /// To be counted only.
    Dropped,
}

/// A value that may be used once while requests of its time are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce {
    /// The request's own time, in seconds since 1970.
    pub at: i64,
    /// The value.
    pub value: [u8; 16],
}

/// What became of one [`Draft`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Written; one outcome for each entry, in order.
    Receipt(Receipt),
    /// Its nonce was used before: nothing was written.
    Replayed,
    /// Its key was revoked before the commit: nothing was written.
    KeyRevoked,
}

impl Committed {
    /// The outcomes, where there are any.
    pub fn outcomes(&self) -> &[Outcome] {
        match self {
            Self::Receipt(receipt) => &receipt.outcomes,
            Self::Replayed | Self::KeyRevoked => &[],
        }
    }
}

/// Figures about the database itself, for health, the status page and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Backend and engine version, such as `SQLite 3.53.2`.
    pub engine: String,
    /// Schema version: the number of the last migration.
    pub schema: i64,
    /// Bytes of the database file.
    pub bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Connections, by what they are for.
    pub pools: Vec<PoolStatus>,
    /// Statements and commits that took long, since the start.
    pub slow: u64,
    /// Whether reports are read from a replica; `None` where there is none.
    pub replica: Option<bool>,
    /// Events outside of all monthly partitions, where there are partitions; up to 100,000 are counted.
    pub outside_partitions: Option<u64>,
    /// Bytes free where the database lies; `None` where that cannot be known.
    pub free_bytes: Option<u64>,
    /// Whether writes are refused, and why.
    pub read_only: Option<String>,
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
pub trait Store: SignIns + Send + Sync + 'static {
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

    /// Answers a question from the summaries where they can, from raw rows where they cannot.
    fn report(&self, query: &Query) -> Result<Report>;

    /// First and last UTC day since 1970 of which an environment may have summaries; none where it has none.
    fn summary_days(&self, environment: EnvironmentId) -> Result<Option<(i64, i64)>>;

    /// Counts the summaries of a day anew from events, sessions, users and their days: the rows that differ.
    fn recount(&self, asked: &Recount) -> Result<Vec<SummaryDifference>>;

    /// The same, and puts what was counted in place of what was stored, in one transaction.
    fn mend(&self, asked: &Recount) -> Result<Vec<SummaryDifference>>;

    /// Raw events by the time they occurred, newest first, those of one millisecond by their ids. Looking is limited in
    /// time: a page may be short, or empty, and go on.
    fn events(&self, page: &EventsPage) -> Result<EventList>;

    /// Events kept aside for an app, newest first, and how many there are.
    fn set_aside(&self, app: AppId, limit: u32) -> Result<(Vec<SetAsideRow>, u64)>;

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

    /// Organizations by name, with how much is in them.
    fn organizations(&self) -> Result<Vec<OrganizationRow>>;

    /// The organization of that short name.
    fn find_organization(&self, slug: &str) -> Result<Option<Organization>>;

    /// Makes an organization. [`StoreError::Exists`] where the short name is taken.
    fn create_organization(&self, new: &NewOrganization, by: &By) -> Result<Organization>;

    /// Gives an organization another display name.
    fn rename_organization(&self, organization: OrganizationId, name: &str, by: &By) -> Result<()>;

    /// Deletes an organization. [`StoreError::InUse`] while it has apps, and for the last one.
    fn delete_organization(&self, organization: OrganizationId, by: &By) -> Result<()>;

    /// Opens a way in. [`StoreError::NoRoom`] where [`Invitation::MOST`] are open.
    fn invite(&self, new: &NewInvitation, by: &By) -> Result<()>;

    /// The ways into an organization that work at `now`, newest first.
    fn invitations(&self, organization: OrganizationId, now: Millis) -> Result<Vec<Invitation>>;

    /// The way in of that token's hash, where it works at `now`, and into what it leads.
    fn find_invitation(&self, token_hash: &[u8; 32], now: Millis) -> Result<Option<(Invitation, Organization)>>;

    /// Closes a way in; one that is not open is no error.
    fn withdraw_invitation(&self, organization: OrganizationId, id: i64, by: &By) -> Result<()>;

    /// Goes in, and closes the way behind. However many try at once, one succeeds and the others get
    /// [`StoreError::TokenSpent`]; [`StoreError::Exists`] where the name is taken leaves it open.
    fn accept_invitation(&self, token_hash: &[u8; 32], who: &Accepting, by: &By) -> Result<Member>;

    /// Makes a key. [`StoreError::Exists`] where its token is known already.
    fn create_key(&self, key: &NewIngestKey, now: Millis) -> Result<IngestKey>;

    /// Keys of an app, or of all, revoked ones included, newest first.
    fn keys(&self, app: Option<AppId>) -> Result<Vec<IngestKey>>;

    /// Lets a key stop working at `at`, now or later; it never starts again.
    fn revoke_key(&self, key: IngestKeyId, at: Millis) -> Result<()>;

    /// The app and active keys that a request's credential names, `None` where it names nothing active.
    fn key_ring(&self, lookup: &KeyLookup, now: Millis) -> Result<Option<KeyRing>>;

    /// Makes a token of the read API. [`StoreError::Exists`] where it is known already.
    fn create_api_token(&self, token: &NewApiToken, now: Millis) -> Result<ApiToken>;

    /// Tokens of an app, or of all, revoked ones included, newest first. Those for all apps are in every list.
    fn api_tokens(&self, app: Option<AppId>) -> Result<Vec<ApiToken>>;

    /// Lets a token stop working at `at`; it never starts again.
    fn revoke_api_token(&self, token: ApiTokenId, at: Millis) -> Result<()>;

    /// The token of that hash, where it works at `now`; the hour of its last use is noted.
    fn find_api_token(&self, token_hash: &[u8; 32], now: Millis) -> Result<Option<ApiToken>>;

    /// The device that calls itself so, or has that public id.
    fn find_device(&self, environment: EnvironmentId, named: &str) -> Result<Option<KnownDevice>>;

    /// The device session of that public id, which may be over.
    fn find_session(&self, environment: EnvironmentId, id: uuid::Uuid) -> Result<Option<KnownSession>>;

    /// A number that grows with every change to apps, environments, keys and what members ask of versions, by this
    /// process or another.
    fn directory_version(&self) -> Result<i64>;

    /// Whether anybody can sign in yet.
    fn has_members(&self) -> Result<bool>;

    /// Keeps the hash of a set-up token until `expires`, in place of earlier ones. Does nothing once a member exists.
    fn put_setup_token(&self, hash: &[u8; 32], expires: Millis) -> Result<()>;

    /// Whether that hash is of a set-up token that can still be used.
    fn setup_token_valid(&self, hash: &[u8; 32], now: Millis) -> Result<bool>;

    /// Makes the first member with a set-up token, which is spent by it. However many try at once, one succeeds and
    /// the others get [`StoreError::TokenSpent`].
    fn complete_setup(&self, hash: &[u8; 32], member: &NewMember, by: &By) -> Result<Member>;

    /// Makes a member. [`StoreError::Exists`] where the name is taken.
    fn create_member(&self, member: &NewMember, by: &By) -> Result<Member>;

    /// The member of that name, without regard to case.
    fn find_member(&self, name: &str) -> Result<Option<Member>>;

    /// Members by name: all, or those who belong to an organization.
    fn members(&self, organization: Option<OrganizationId>) -> Result<Vec<Member>>;

    /// Gives a member a role in an organization, or none: then it does not exist for them any more.
    /// [`StoreError::LastOwner`] where that would leave it without an owner.
    fn set_role(&self, member: MemberId, organization: OrganizationId, role: Option<Role>, by: &By) -> Result<()>;

    /// Shuts a member out at once and everywhere. [`StoreError::LastOwner`] for who owns the box.
    fn disable_member(&self, member: MemberId, by: &By) -> Result<()>;

    /// Lets a member sign in again.
    fn enable_member(&self, member: MemberId, by: &By) -> Result<()>;

    /// Forgets a member. [`StoreError::LastOwner`] for who owns the box.
    fn delete_member(&self, member: MemberId, by: &By) -> Result<()>;

    /// Gives the box to another member.
    fn hand_over_box(&self, member: MemberId, by: &By) -> Result<()>;

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

    /// The rules of an app, that of all platforms first.
    fn version_rules(&self, app: AppId) -> Result<Vec<VersionRule>>;

    /// All that it takes to answer version checks of the app of that short name or UUID; `None` where there is none.
    /// Whatever a member changes in it makes the directory's version grow.
    fn version_policy(&self, app: &str) -> Result<Option<VersionPolicy>>;

    /// Who did what, newest first.
    fn audit(&self, page: &AuditPage) -> Result<Vec<AuditRow>>;

    /// Writes down what changes nothing here: a failed sign-in, an export.
    fn record(&self, line: &AuditLine) -> Result<()>;

    /// The funnels that an environment keeps, by name.
    fn funnels(&self, environment: EnvironmentId) -> Result<Vec<SavedFunnel>>;

    /// Keeps a funnel: in place of the one of the same name where none is meant by its id. [`StoreError::Exists`] where
    /// another than the one that is meant has the name, [`StoreError::NotFound`] where that is not there,
    /// [`StoreError::NoRoom`] where there are [`SaveFunnel::MOST`].
    fn save_funnel(&self, save: &SaveFunnel) -> Result<SavedFunnel>;

    /// Forgets a funnel; an unknown one is no error.
    fn delete_funnel(&self, environment: EnvironmentId, id: uuid::Uuid, by: &By) -> Result<()>;

    /// Figures about the database.
    fn status(&self) -> Result<StoreStatus>;

    /// Whether a write would succeed now: the readiness probe. It writes and rolls back.
    fn probe(&self) -> Result<()>;
}
