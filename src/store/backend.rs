//! What a database lends to be a [`Store`]: everything above its statements is written once, here and beside.

use super::slow::{SlowLog, Watched};
use super::sql::Sql;
use super::{
    Accepting, AppChange, AuditLine, AuditPage, By, Invitation, NewInvitation, NewOrganization, Organization,
    OrganizationId, OrganizationRow, Role,
};
use super::{ApiToken, ApiTokenId, NewApiToken};
use super::{
    App, AppId, AuditRow, Committed, Draft, EnvironmentId, EventList, EventsPage, IngestKey, IngestKeyId, KeyLookup,
    KeyRing, KnownDevice, KnownSession, Limits, Member, MemberId, Millis, NewApp, NewIngestKey, NewMember, Query,
    Report, Result, SaveFunnel, SavedFunnel, SetAsideRow, SetRule, SetStatus, Store, StoreStatus, VersionChange,
    VersionDetail, VersionPolicy, VersionRule, Versions, VersionsPage,
};
use super::{DeviceList, DevicesPage, Person, Timeline, TimelinePage, UserHash, UserList, UsersPage};
use super::{Recount, SummaryDifference};
use super::{SessionDetail, SessionList, SessionPage, SessionsPage};
use super::{audit, directory, funnels, identify, members, organizations, recount, report, roster, tokens, versions};

/// One kind of database.
pub(super) trait Backend: Send + Sync + 'static {
    /// As [`Store::writers`].
    const WRITERS: usize;
    /// Statements that keep commits of others waiting at the summaries until the end of a transaction.
    const HOLD_SUMMARIES: &'static [&'static str];

    /// Reads what the last write left, as this process sees it.
    fn read<T>(&self, read: impl FnOnce(&dyn Sql) -> Result<T>) -> Result<T>;
    /// Reads for a page: all its statements see one state, which may be a little old, and take a limited time.
    fn survey<T>(&self, read: impl Fn(&dyn Sql) -> Result<T>) -> Result<T>;
    /// Runs a change in a transaction of its own, again where it has to.
    fn write<T>(&self, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T>;
    /// As [`Store::commit`].
    fn commit(&self, drafts: &[Draft], limits: &Limits) -> Result<Vec<Committed>>;
    /// As [`Store::commits`].
    fn commits(&self, environment: EnvironmentId) -> Option<u64>;
    /// As [`Store::tend`].
    fn tend(&self, now: Millis) -> Result<()>;
    /// As [`Store::status`].
    fn status(&self) -> Result<StoreStatus>;
    /// As [`Store::probe`].
    fn probe(&self) -> Result<()>;
    /// Who is told of what takes long.
    fn slow_log(&self) -> &SlowLog;

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

    fn report(&self, query: &Query) -> Result<Report> {
        self.study(|db| report::answer(db, query))
    }

    fn summary_days(&self, environment: EnvironmentId) -> Result<Option<(i64, i64)>> {
        self.look(|db| recount::days(db, environment))
    }

    fn recount(&self, asked: &Recount) -> Result<Vec<SummaryDifference>> {
        self.study(|db| recount::differences(db, asked))
    }

    fn mend(&self, asked: &Recount) -> Result<Vec<SummaryDifference>> {
        self.change(|db| {
            for statement in B::HOLD_SUMMARIES {
                db.run(statement, &[])?;
            }
            let differences = recount::differences(db, asked)?;
            recount::mend(db, &differences)?;
            Ok(differences)
        })
    }

    fn events(&self, page: &EventsPage) -> Result<EventList> {
        self.study(|db| report::events(db, page))
    }

    fn set_aside(&self, app: AppId, limit: u32) -> Result<(Vec<SetAsideRow>, u64)> {
        self.look(|db| report::set_aside(db, app, limit))
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

    fn organizations(&self) -> Result<Vec<OrganizationRow>> {
        self.look(organizations::all)
    }

    fn find_organization(&self, slug: &str) -> Result<Option<Organization>> {
        self.look(|db| organizations::find(db, slug))
    }

    fn create_organization(&self, new: &NewOrganization, by: &By) -> Result<Organization> {
        self.change(|db| organizations::create(db, new, by))
    }

    fn rename_organization(&self, organization: OrganizationId, name: &str, by: &By) -> Result<()> {
        self.change(|db| organizations::rename(db, organization, name, by))
    }

    fn delete_organization(&self, organization: OrganizationId, by: &By) -> Result<()> {
        self.change(|db| organizations::delete(db, organization, by))
    }

    fn invite(&self, new: &NewInvitation, by: &By) -> Result<()> {
        self.change(|db| organizations::invite(db, new, by))
    }

    fn invitations(&self, organization: OrganizationId, now: Millis) -> Result<Vec<Invitation>> {
        self.look(|db| organizations::invitations(db, organization, now))
    }

    fn find_invitation(&self, token_hash: &[u8; 32], now: Millis) -> Result<Option<(Invitation, Organization)>> {
        self.look(|db| organizations::invitation(db, token_hash, now))
    }

    fn withdraw_invitation(&self, organization: OrganizationId, id: i64, by: &By) -> Result<()> {
        self.change(|db| organizations::withdraw(db, organization, id, by))
    }

    fn accept_invitation(&self, token_hash: &[u8; 32], who: &Accepting, by: &By) -> Result<Member> {
        self.change(|db| organizations::accept(db, token_hash, who, by))
    }

    fn create_key(&self, key: &NewIngestKey, now: Millis) -> Result<IngestKey> {
        self.change(|db| directory::create_key(db, key, now))
    }

    fn keys(&self, app: Option<AppId>) -> Result<Vec<IngestKey>> {
        self.look(|db| directory::keys(db, app))
    }

    fn revoke_key(&self, key: IngestKeyId, at: Millis) -> Result<()> {
        self.change(|db| directory::revoke_key(db, key, at))
    }

    fn key_ring(&self, lookup: &KeyLookup, now: Millis) -> Result<Option<KeyRing>> {
        self.look(|db| directory::key_ring(db, lookup, now))
    }

    fn create_api_token(&self, token: &NewApiToken, now: Millis) -> Result<ApiToken> {
        self.change(|db| tokens::create(db, token, now))
    }

    fn api_tokens(&self, app: Option<AppId>) -> Result<Vec<ApiToken>> {
        self.look(|db| tokens::all(db, app))
    }

    fn revoke_api_token(&self, token: ApiTokenId, at: Millis) -> Result<()> {
        self.change(|db| tokens::revoke(db, token, at))
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

    fn has_members(&self) -> Result<bool> {
        self.look(members::any)
    }

    fn put_setup_token(&self, hash: &[u8; 32], expires: Millis) -> Result<()> {
        self.change(|db| members::put_setup_token(db, hash, expires))
    }

    fn setup_token_valid(&self, hash: &[u8; 32], now: Millis) -> Result<bool> {
        self.look(|db| members::setup_token_valid(db, hash, now))
    }

    fn complete_setup(&self, hash: &[u8; 32], member: &NewMember, by: &By) -> Result<Member> {
        self.change(|db| members::complete_setup(db, hash, member, by))
    }

    fn create_member(&self, member: &NewMember, by: &By) -> Result<Member> {
        self.change(|db| members::create(db, member, by))
    }

    fn find_member(&self, name: &str) -> Result<Option<Member>> {
        self.look(|db| members::find(db, name))
    }

    fn members(&self, organization: Option<OrganizationId>) -> Result<Vec<Member>> {
        self.look(|db| members::all(db, organization))
    }

    fn set_role(&self, member: MemberId, organization: OrganizationId, role: Option<Role>, by: &By) -> Result<()> {
        self.change(|db| members::set_role(db, (member, organization), role, by))
    }

    fn disable_member(&self, member: MemberId, by: &By) -> Result<()> {
        self.change(|db| members::disable(db, member, by))
    }

    fn enable_member(&self, member: MemberId, by: &By) -> Result<()> {
        self.change(|db| members::enable(db, member, by))
    }

    fn delete_member(&self, member: MemberId, by: &By) -> Result<()> {
        self.change(|db| members::delete(db, member, by))
    }

    fn hand_over_box(&self, member: MemberId, by: &By) -> Result<()> {
        self.change(|db| members::hand_over(db, member, by))
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

    fn version_rules(&self, app: AppId) -> Result<Vec<VersionRule>> {
        self.look(|db| versions::rules(db, app))
    }

    fn version_policy(&self, app: &str) -> Result<Option<VersionPolicy>> {
        self.look(|db| versions::policy(db, app))
    }

    fn audit(&self, page: &AuditPage) -> Result<Vec<AuditRow>> {
        self.look(|db| audit::page(db, page))
    }

    fn record(&self, line: &AuditLine) -> Result<()> {
        self.change(|db| audit::record(db, line))
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

    fn status(&self) -> Result<StoreStatus> {
        Backend::status(self)
    }

    fn probe(&self) -> Result<()> {
        Backend::probe(self)
    }
}
