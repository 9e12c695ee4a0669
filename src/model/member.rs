//! Who may sign in, to which organizations they belong, and the ways in for others.

use super::{MemberId, Millis, Organization, OrganizationId, Slug, Way};

/// What a member may do in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything: members, invitations, and deleting apps for good, too.
    Owner,
    /// Changing apps, keys, rules and limits.
    Admin,
    /// Looking.
    Viewer,
}

impl Role {
    /// Every role, strongest first.
    pub const ALL: [Self; 3] = [Self::Owner, Self::Admin, Self::Viewer];

    /// As written in the database and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether apps, keys and what belongs to them may be changed.
    pub fn may_administer(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }

    /// Whether members may be invited and changed, and apps deleted for good.
    pub fn may_own(self) -> bool {
        matches!(self, Self::Owner)
    }
}

/// An organization that a member belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Which.
    pub organization: OrganizationId,
    /// As what.
    pub role: Role,
}

/// A person who can sign in here.
#[derive(Clone, Debug)]
pub struct Member {
    /// Row.
    pub id: MemberId,
    /// What they sign in with: an e-mail address or any name, compared without case.
    pub name: String,
    /// Argon2id, PHC form.
    pub password_hash: String,
    /// Whether the box is theirs: they may do everything, in every organization. One member is that.
    pub owns_box: bool,
    /// Where they belong.
    pub memberships: Vec<Membership>,
    /// When they were made.
    pub created_at: Millis,
    /// Since when they cannot sign in.
    pub disabled_at: Option<Millis>,
}

impl Member {
    /// What they may do in an organization; `None` where it is not to exist for them.
    pub fn role_in(&self, organization: OrganizationId) -> Option<Role> {
        if self.owns_box {
            return Some(Role::Owner);
        }
        self.memberships.iter().find(|one| one.organization == organization).map(|one| one.role)
    }

    /// Whether they may administer anything at all.
    pub fn administers_any(&self) -> bool {
        self.owns_box || self.memberships.iter().any(|one| one.role.may_administer())
    }
}

/// A member to be made. The first of a box owns it.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Sign-in name, 1 to 254 characters.
    pub name: String,
    /// Argon2id, PHC form.
    pub password_hash: String,
    /// Where they belong; the box's first organization where none is named.
    pub organization: Option<OrganizationId>,
    /// What they may do there.
    pub role: Role,
}

/// A signed-in browser; its cookie's token is stored only as a hash.
#[derive(Clone, Debug)]
pub struct Login {
    /// SHA-256 of the cookie's token.
    pub token_hash: [u8; 32],
    /// Who signed in.
    pub member: Member,
    /// When.
    pub created_at: Millis,
    /// Last request, to the minute.
    pub seen_at: Millis,
    /// How.
    pub way: Way,
    /// What the browser calls itself, such as `Firefox on Linux`.
    pub place: String,
    /// When the member last proved who they are; zero for never.
    pub proved_at: Millis,
}

/// An organization to be made.
#[derive(Clone, Debug)]
pub struct NewOrganization {
    /// Short name in addresses; a taken one is a conflict.
    pub slug: Slug,
    /// Display name, 1 to 100 characters.
    pub name: String,
}

/// An organization, as the box's owner sees it in a list.
#[derive(Clone, Debug)]
pub struct OrganizationRow {
    /// Which.
    pub organization: Organization,
    /// When it was made.
    pub created_at: Millis,
    /// Apps that are not deleted.
    pub apps: i64,
    /// Who belongs to it.
    pub members: i64,
}

/// A way in for somebody, by a link that holds a token.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// Into which organization.
    pub organization: OrganizationId,
    /// As what.
    pub role: Role,
    /// Whom it is for, at most 100 characters.
    pub note: String,
    /// Until when it works.
    pub expires_at: Millis,
}

/// An invitation that nobody has accepted yet.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Row.
    pub id: i64,
    /// Into which organization.
    pub organization: OrganizationId,
    /// As what.
    pub role: Role,
    /// Whom it is for.
    pub note: String,
    /// Who made it, by the name they had.
    pub invited_by: String,
    /// When.
    pub created_at: Millis,
    /// Until when it works.
    pub expires_at: Millis,
}

impl Invitation {
    /// Most that an organization may have open.
    pub const MOST: i64 = 200;
}

/// Who accepts an invitation.
#[derive(Clone, Debug)]
pub enum Accepting {
    /// Somebody new: sign-in name and password hash.
    New(String, String),
    /// A member who is signed in.
    Member(MemberId),
}

/// A change of an app's own row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppChange {
    /// Another display name, 1 to 100 characters.
    Name(String),
    /// Another calendar, by the zone's IANA name.
    Zone(String),
    /// Another answer to unusable events, see [`App::strict`](super::App::strict).
    Strict(bool),
    /// It takes nothing more, and can be restored.
    Archive,
    /// It takes events again.
    Restore,
    /// It is gone for everybody at once, and its data goes behind. An archived one only.
    Delete,
}
