//! What a database lends to be a [`Store`]: everything above its statements is written once, here and beside.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Keeps;
use super::Salt;
use super::slow::{SlowLog, Watched};
use super::sql::Sql;
use super::{Answers, AppChange, By};
use super::{ApiToken, ApiTokenId, Concerning, NewApiToken};
use super::{
    App, AppId, Committed, Draft, EnvironmentId, EventList, EventsPage, IngestKey, IngestKeyId, KeyLookup, KeyRing,
    KnownDevice, KnownSession, Limits, Millis, NewApp, NewIngestKey, Query, Report, Result, SaveFunnel, SavedFunnel,
    SetRule, SetStatus, Store, StoreStatus, VersionChange, VersionDetail, VersionPolicy, VersionRule, Versions,
    VersionsPage,
};
use super::{AppLimits, Ban, BanId, NewBan, Rules, Tier, TierEnd, TierId, WantedTier};
use super::{AsideCount, AsideList, AsidePage, AsideStretch, KeptAside, Node};
use super::{Backlog, Recount, SummaryDifference, Uniting};
use super::{DeviceList, DevicesPage, Person, Timeline, TimelinePage, UserHash, UserList, UsersPage};
use super::{SessionDetail, SessionList, SessionPage, SessionsPage};
use super::{
    answers, aside, directory, funnels, identify, limits, links, nodes, organizations, recount, report, roster,
    settled, tokens, versions, visitors,
};

/// One kind of database.
pub(super) trait Backend: Send + Sync + 'static {
    /// As [`Store::writers`].
    const WRITERS: usize;
    /// Whether several processes may serve the same database.
    const SHARED: bool;
    /// Statements that keep commits of others waiting at the summaries until the end of a transaction.
    const HOLD_SUMMARIES: &'static [&'static str];

    /// Reads what the last write left, as this process sees it.
    fn read<T>(&self, read: impl FnOnce(&dyn Sql) -> Result<T>) -> Result<T>;
    /// Reads for a page: all its statements see one state, which may be a little old, and take a limited time.
    fn survey<T>(&self, read: impl Fn(&dyn Sql) -> Result<T>) -> Result<T>;
    /// Runs a change in a transaction of its own, again where it has to.
    fn write<T>(&self, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T>;
    /// As [`Backend::write`], and what is removed is overwritten; nothing that commits remember of people holds any more.
    fn erase<T>(&self, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T>;
    /// As [`Backend::write`], of a change that makes one of these users another: nothing that commits remember of them holds
    /// any more, nor any report of their environments.
    fn rewrite<T>(&self, users: &[(EnvironmentId, UserHash)], change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T>;
    /// Overwrites what the database keeps of its last changes; `false` where that has to be tried again later.
    fn cut_log(&self) -> Result<bool>;
    /// Believes reports that were remembered only as long as this number stays the same.
    fn believe(&self, mark: i64);
    /// As [`Store::commit`].
    fn commit(&self, drafts: &[Draft], limits: &Limits) -> Result<Vec<Committed>>;
    /// As [`Store::commits`].
    fn commits(&self, environment: EnvironmentId) -> Option<u64>;
    /// As [`Store::tend`].
    fn tend(&self, now: Millis) -> Result<()>;
    /// For how long things are kept where nothing else was chosen.
    fn keeps(&self) -> Keeps;
    /// As [`Keepers::remove_whole`](super::Keepers::remove_whole).
    fn drop_whole(&self, before: Millis) -> Result<u64>;
    /// As [`Keepers::give_back`](super::Keepers::give_back).
    fn give_back(&self) -> Result<bool>;
    /// As [`Store::status`].
    fn status(&self) -> Result<StoreStatus>;
    /// As [`Store::probe`].
    fn probe(&self) -> Result<()>;
    /// As [`Store::check`].
    fn check(&self, _ended: &Arc<AtomicBool>) -> Result<&'static str> {
        Ok("PostgreSQL looks after its own pages")
    }
    /// Who is told of what takes long.
    fn slow_log(&self) -> &SlowLog;

    /// The time by which nodes agree: that of the database's own clock, where it has one.
    fn now(_: &dyn Sql, own: Millis) -> Result<Millis> {
        Ok(own)
    }

    /// Lets no commit that goes on end before, nor a new one change summaries, until this transaction ends.
    fn hold_commits(db: &dyn Sql) -> Result<()> {
        Self::HOLD_SUMMARIES.iter().try_for_each(|statement| db.run(statement, &[]).map(drop))
    }

    /// [`Backend::read`], watched.
    fn look<T>(&self, read: impl FnOnce(&dyn Sql) -> Result<T>) -> Result<T> {
        self.read(|db| read(&Watched { db, log: self.slow_log() }))
    }

    /// [`Backend::survey`], watched.
    fn study<T>(&self, read: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        self.survey(|db| read(&Watched { db, log: self.slow_log() }))
    }

    /// [`Backend::write`], watched.
    fn change<T>(&self, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        self.write(|db| change(&Watched { db, log: self.slow_log() }))
    }
}

impl<B: Backend> Store for B {
    fn commit(&self, drafts: &[Draft], limits: &Limits) -> Result<Vec<Committed>> {
        self.slow_log().watch("a commit of events", || Backend::commit(self, drafts, limits))
    }

    fn commits(&self, environment: EnvironmentId) -> Option<u64> {
        Backend::commits(self, environment)
    }

    fn writers(&self) -> usize {
        B::WRITERS
    }

    fn tend(&self, now: Millis) -> Result<()> {
        Backend::tend(self, now)
    }

    fn settle(&self, now: Millis) -> Result<Backlog> {
        settled::settle(self, now)
    }

    fn unite(&self, now: Millis) -> Result<Uniting> {
        links::unite(self, now)
    }

    fn report(&self, query: &Query) -> Result<Report> {
        self.study(|db| report::answer(db, query))
    }

    fn summary_days(&self, environment: EnvironmentId) -> Result<Option<(i64, i64)>> {
        self.look(|db| recount::days(db, environment))
    }

    fn recount(&self, asked: &Recount) -> Result<Vec<SummaryDifference>> {
        self.study(|db| recount::differences(db, asked))
    }

    fn settled_holds(&self, environment: EnvironmentId, day: i64) -> Result<bool> {
        settled::holds(self, environment, day)
    }

    fn mend(&self, asked: &Recount) -> Result<Vec<SummaryDifference>> {
        self.change(|db| {
            B::hold_commits(db)?;
            let differences = recount::differences(db, asked)?;
            recount::mend(db, &differences)?;
            settled::discard(db, asked.environment, asked.day)?;
            Ok(differences)
        })
    }

    fn events(&self, page: &EventsPage) -> Result<EventList> {
        self.study(|db| report::events(db, page))
    }

    fn set_aside(&self, page: &AsidePage) -> Result<AsideList> {
        self.look(|db| aside::page(db, page))
    }

    fn kept_aside(&self, stretch: &AsideStretch) -> Result<Vec<KeptAside>> {
        self.look(|db| aside::kept(db, stretch))
    }

    fn discard_aside(&self, stretch: &AsideStretch, by: &By, what: &str) -> Result<Vec<i64>> {
        self.change(|db| aside::discard(db, stretch, by, what))
    }

    fn aside_counts(&self) -> Result<Vec<AsideCount>> {
        self.look(aside::counts)
    }

    fn devices(&self, page: &DevicesPage) -> Result<DeviceList> {
        self.study(|db| roster::devices(db, page))
    }

    fn users(&self, page: &UsersPage) -> Result<UserList> {
        self.study(|db| roster::users(db, page))
    }

    fn person(&self, environment: EnvironmentId, user: UserHash) -> Result<Option<Person>> {
        self.study(|db| roster::person(db, environment, user))
    }

    fn timeline(&self, page: &TimelinePage) -> Result<Timeline> {
        self.study(|db| roster::timeline(db, page))
    }

    fn sessions(&self, page: &SessionsPage) -> Result<SessionList> {
        self.study(|db| roster::sessions(db, page))
    }

    fn session(&self, page: &SessionPage) -> Result<Option<SessionDetail>> {
        self.study(|db| roster::session(db, page))
    }

    fn apps(&self) -> Result<Vec<App>> {
        self.look(directory::apps)
    }

    fn find_app(&self, name: &str) -> Result<Option<App>> {
        self.look(|db| directory::find_app(db, name))
    }

    fn create_app(&self, app: &NewApp, by: &By) -> Result<App> {
        self.change(|db| directory::create_app(db, app, by))
    }

    fn change_app(&self, app: AppId, change: &AppChange, by: &By) -> Result<()> {
        self.change(|db| organizations::change_app(db, app, change, by))
    }

    fn create_key(&self, key: &NewIngestKey, by: &By) -> Result<IngestKey> {
        self.change(|db| directory::create_key(db, key, by))
    }

    fn rotate_key(&self, old: IngestKeyId, new: &NewIngestKey, ends: Millis, by: &By) -> Result<IngestKey> {
        self.change(|db| directory::rotate_key(db, old, new, ends, by))
    }

    fn keys(&self, app: Option<AppId>) -> Result<Vec<IngestKey>> {
        self.look(|db| directory::keys(db, app))
    }

    fn revoke_key(&self, key: IngestKeyId, by: &By) -> Result<()> {
        self.change(|db| directory::revoke_key(db, key, by))
    }

    fn key_ring(&self, lookup: &KeyLookup, now: Millis) -> Result<Option<KeyRing>> {
        self.look(|db| directory::key_ring(db, lookup, now))
    }

    fn tiers(&self) -> Result<Vec<Tier>> {
        self.look(limits::tiers)
    }

    fn save_tier(&self, wanted: &WantedTier, by: &By) -> Result<Tier> {
        self.change(|db| limits::save_tier(db, wanted, by))
    }

    fn set_usual_tier(&self, tier: TierId, by: &By) -> Result<()> {
        self.change(|db| limits::set_usual_tier(db, tier, by))
    }

    fn delete_tier(&self, tier: TierId, by: &By) -> Result<TierEnd> {
        self.change(|db| limits::delete_tier(db, tier, by))
    }

    fn app_limits(&self, app: AppId) -> Result<AppLimits> {
        self.look(|db| limits::app_limits(db, app))
    }

    fn set_app_limits(&self, app: AppId, set: &AppLimits, by: &By) -> Result<()> {
        self.change(|db| limits::set_app_limits(db, app, set, by))
    }

    fn bans(&self, app: AppId) -> Result<Vec<Ban>> {
        self.look(|db| limits::bans(db, app))
    }

    fn ban(&self, ban: &NewBan, by: &By) -> Result<()> {
        self.change(|db| limits::ban(db, ban, by))
    }

    fn lift_ban(&self, app: AppId, ban: BanId, by: &By) -> Result<()> {
        self.change(|db| limits::lift_ban(db, app, ban, by))
    }

    fn listed_origins(&self) -> Result<Vec<String>> {
        self.look(limits::listed_origins)
    }

    fn taken_on(&self, day: i64) -> Result<Vec<(AppId, u64)>> {
        self.look(|db| limits::taken_on(db, day))
    }

    fn visitor_salt(&self, app: AppId, day: i64, fresh: &Salt) -> Result<Salt> {
        match self.look(|db| visitors::find(db, app, day))? {
            Some(salt) => Ok(salt),
            None => self.change(|db| visitors::agree(db, app, day, fresh)),
        }
    }

    fn intake(&self, app: AppId, day: i64) -> Result<Vec<(String, u64)>> {
        self.look(|db| limits::intake(db, app, day))
    }

    fn create_api_token(&self, token: &NewApiToken, by: &By) -> Result<ApiToken> {
        self.change(|db| tokens::create(db, token, by))
    }

    fn api_tokens(&self, of: Concerning) -> Result<Vec<ApiToken>> {
        self.look(|db| tokens::all(db, of))
    }

    fn revoke_api_token(&self, token: ApiTokenId, by: &By) -> Result<()> {
        self.change(|db| tokens::revoke(db, token, by))
    }

    fn find_api_token(&self, token_hash: &[u8; 32], now: Millis) -> Result<Option<ApiToken>> {
        let found = self.look(|db| tokens::find(db, token_hash, now))?;
        // Being unable to note the use, on a full disk say, must not keep anybody from reading.
        if let Some(token) = &found
            && token.last_used_at.is_none_or(|at| now.since(at) >= Millis::HOUR)
            && let Err(error) = self.change(|db| tokens::note_use(db, token.id, now))
        {
            tracing::warn!(%error, "the last use of an API token could not be noted");
        }
        Ok(found)
    }

    fn find_device(&self, environment: EnvironmentId, named: &str) -> Result<Option<KnownDevice>> {
        self.look(|db| identify::device(db, environment, named))
    }

    fn find_session(&self, environment: EnvironmentId, id: uuid::Uuid) -> Result<Option<KnownSession>> {
        self.look(|db| identify::session(db, environment, id))
    }

    fn directory_version(&self) -> Result<i64> {
        self.look(directory::version)
    }

    fn versions(&self, page: &VersionsPage) -> Result<Versions> {
        self.look(|db| versions::versions(db, page))
    }

    fn version(&self, page: &VersionsPage, name: &str) -> Result<Option<VersionDetail>> {
        self.look(|db| versions::version(db, page, name))
    }

    fn set_version_status(&self, set: &SetStatus) -> Result<Vec<VersionChange>> {
        self.change(|db| versions::set_status(db, set))
    }

    fn set_version_rule(&self, set: &SetRule) -> Result<Vec<VersionChange>> {
        self.change(|db| versions::set_rule(db, set))
    }

    fn app_rules(&self, app: AppId) -> Result<Rules> {
        self.look(|db| limits::rules(db, app))
    }

    fn version_rules(&self, app: AppId) -> Result<Vec<VersionRule>> {
        self.look(|db| versions::rules(db, app))
    }

    fn version_policy(&self, app: &str) -> Result<Option<VersionPolicy>> {
        self.look(|db| versions::policy(db, app))
    }

    fn funnels(&self, environment: EnvironmentId) -> Result<Vec<SavedFunnel>> {
        self.look(|db| funnels::all(db, environment))
    }

    fn save_funnel(&self, save: &SaveFunnel) -> Result<SavedFunnel> {
        self.change(|db| funnels::save(db, save))
    }

    fn delete_funnel(&self, environment: EnvironmentId, id: uuid::Uuid, by: &By) -> Result<()> {
        self.change(|db| funnels::delete(db, environment, id, by))
    }

    fn beat(&self, node: &Node) -> Result<()> {
        if B::SHARED { self.change(|db| nodes::beat(db, node)) } else { Ok(()) }
    }

    fn leave(&self, node: &Node) -> Result<()> {
        if B::SHARED { self.change(|db| nodes::leave(db, &node.id)) } else { Ok(()) }
    }

    fn count_answers(&self, counted: &[Answers]) -> Result<()> {
        self.change(|db| answers::count(db, counted))
    }

    fn answers(&self, since: i64) -> Result<Vec<Answers>> {
        self.look(|db| answers::since(db, since))
    }

    fn nodes(&self) -> Result<Vec<Node>> {
        if B::SHARED { self.look(nodes::all) } else { Ok(Vec::new()) }
    }

    fn status(&self) -> Result<StoreStatus> {
        Backend::status(self)
    }

    fn probe(&self) -> Result<()> {
        Backend::probe(self)
    }

    fn check(&self, ended: &Arc<AtomicBool>) -> Result<&'static str> {
        Backend::check(self, ended)
    }
}
