//! How members sign in besides a name and a password: second factors, and providers that vouch for people.

use super::Role;

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
