//! How members sign in besides a name and a password: second factors, and providers that vouch for people.

use super::{By, Member, MemberId, Millis, Role};

/// How somebody was signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By name and password.
    Password,
    /// And by a code of their authenticator app.
    Code,
    /// And by a recovery code.
    RecoveryCode,
    /// By a provider that vouches for them.
    Provider,
    /// By a trusted proxy that names them.
    Proxy,
    /// By a link that made them a member.
    Link,
}

impl Way {
    const ALL: [Self; 6] = [Self::Password, Self::Code, Self::RecoveryCode, Self::Provider, Self::Proxy, Self::Link];

    /// As written in the database and shown on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Code => "password and code",
            Self::RecoveryCode => "password and recovery code",
            Self::Provider => "provider",
            Self::Proxy => "proxy",
            Self::Link => "link",
        }
    }

    /// The way of that name; a password for what is unknown.
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|way| way.as_str() == text).unwrap_or(Self::Password)
    }
}

/// A browser that is to be signed in.
#[derive(Clone, Debug)]
pub struct NewLogin {
    /// SHA-256 of the cookie's token.
    pub token_hash: [u8; 32],
    /// Who.
    pub member: MemberId,
    /// How.
    pub way: Way,
    /// When they proved who they are, see [`Login::proved_at`](super::Login::proved_at).
    pub proved_at: Millis,
    /// When and from where.
    pub by: By,
}

/// Which logins of a member are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// That of this hash.
    One([u8; 32]),
    /// All but that of this hash.
    Others([u8; 32]),
    /// All.
    All,
}

/// What is known of a member's authenticator app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoFactor {
    /// The secret, sealed.
    pub sealed_secret: Vec<u8>,
    /// Codes of this step and before are used up.
    pub last_step: i64,
    /// Since when it is asked for; `None` while it is only being set up.
    pub confirmed_at: Option<Millis>,
    /// Recovery codes that are left.
    pub recovery_codes: i64,
}

/// The end of setting up an authenticator app.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// Whose.
    pub member: MemberId,
    /// The step of the code that confirmed it.
    pub step: i64,
    /// Hashes of the recovery codes.
    pub recovery_codes: Vec<[u8; 32]>,
    /// The login that goes on; all others end.
    pub keep: [u8; 32],
}

/// Who somebody is at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// Who they are there, for ever.
    pub subject: String,
}

/// Somebody for whom a provider vouches, and what their groups give them.
#[derive(Clone, Debug)]
pub struct Vouched {
    /// Who they are there.
    pub identity: Identity,
    /// What they are called, for a first sign-in.
    pub name: String,
    /// Their roles.
    pub roles: Vec<OrganizationRole>,
    /// The organizations whose roles follow the groups: there, whoever has none of `roles` has none.
    pub ruled: Vec<Option<String>>,
}

/// What became of them.
#[derive(Clone, Debug)]
pub enum Admission {
    /// They may sign in.
    In(Member),
    /// None of their groups gives a role: they are signed out everywhere.
    NoRole,
    /// They are a member who may not sign in.
    Disabled,
}

/// What a group at a provider may do here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRole {
    /// As the provider calls it.
    pub group: String,
    /// Short name of the organization; `None` for the box's first.
    pub organization: Option<String>,
    /// What its people may do there.
    pub role: Role,
}

/// A role in one organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationRole {
    /// Short name of the organization; `None` for the box's first.
    pub organization: Option<String>,
    /// What may be done there.
    pub role: Role,
}

impl OrganizationRole {
    /// What somebody in these groups may do: in each organization the strongest role that one of them gives.
    pub fn of_groups(rules: &[GroupRole], groups: &[&str]) -> Vec<Self> {
        let mut roles: Vec<Self> = Vec::new();
        for rule in rules.iter().filter(|rule| groups.contains(&rule.group.as_str())) {
            match roles.iter_mut().find(|known| known.organization == rule.organization) {
                Some(known) => known.role = stronger(known.role, rule.role),
                None => roles.push(Self { organization: rule.organization.clone(), role: rule.role }),
            }
        }
        roles
    }
}

fn stronger(one: Role, other: Role) -> Role {
    Role::ALL.into_iter().find(|role| [one, other].contains(role)).unwrap_or(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_role_of_each_organization_counts() {
        let rule = |group: &str, organization: Option<&str>, role| GroupRole {
            group: group.to_owned(),
            organization: organization.map(str::to_owned),
            role,
        };
        let rules = [
            rule("staff", None, Role::Viewer),
            rule("admins", None, Role::Admin),
            rule("staff", Some("lab"), Role::Owner),
            rule("guests", Some("lab"), Role::Viewer),
        ];
        let roles = |groups: &[&str]| {
            let roles = OrganizationRole::of_groups(&rules, groups);
            roles.into_iter().map(|of| (of.organization, of.role)).collect::<Vec<_>>()
        };
        let lab = || Some("lab".to_owned());
        assert_eq!(roles(&["admins", "staff"]), [(None, Role::Admin), (lab(), Role::Owner)]);
        assert_eq!(roles(&["guests", "staff"]), [(None, Role::Viewer), (lab(), Role::Owner)]);
        assert_eq!(roles(&["guests"]), [(lab(), Role::Viewer)]);
        assert_eq!(roles(&["Staff", ""]), []);
    }
}
