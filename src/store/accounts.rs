//! The part of the storage contract that is about organizations, members, the ways in, and who did what.

use super::backend::Backend;
use super::{Result, audit, members, organizations};
use crate::model::{
    Accepting, AuditLine, AuditPage, AuditRow, By, Invitation, Member, MemberId, Millis, NewInvitation, NewMember,
    NewOrganization, Organization, OrganizationId, OrganizationRow, Role,
};

/// Who is who. Like all of the store, its methods block.
pub trait Accounts {
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

    /// Who did what, newest first.
    fn audit(&self, page: &AuditPage) -> Result<Vec<AuditRow>>;

    /// Writes down what changes nothing here: a failed sign-in, an export.
    fn record(&self, line: &AuditLine) -> Result<()>;
}

impl<B: Backend> Accounts for B {
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

    fn audit(&self, page: &AuditPage) -> Result<Vec<AuditRow>> {
        self.look(|db| audit::page(db, page))
    }

    fn record(&self, line: &AuditLine) -> Result<()> {
        self.change(|db| audit::record(db, line))
    }
}
