//! What surrounds every page: title, assets, who is signed in, the navigation of an app.

use crate::model::Role;

use super::assets;
use super::extract::{AppVisit, OrganizationVisit, Place, Visit, environment_path};
use super::pages::{APP_TABS, BOX_TABS, BY_ENVIRONMENT, ORGANIZATION_TABS};
use super::state::WebState;

/// The page's surroundings, for `layout.html`.
pub struct Frame {
    /// Before every link of ours.
    pub base: String,
    /// In the browser's title bar.
    pub title: String,
    /// Style sheet.
    pub style: String,
    /// Script.
    pub script: String,
    /// Icon.
    pub icon: String,
    /// Who is signed in.
    pub member: Option<SignedInAs>,
    /// Whether to warn that the connection is readable.
    pub exposed: bool,
    /// What the page is about: an app, an organization, the box.
    pub house: Option<House>,
}

/// The signed-in member.
pub struct SignedInAs {
    /// Sign-in name.
    pub name: String,
    /// Value for forms.
    pub csrf: String,
    /// Whether there is an organization in which apps may be made.
    pub administers: bool,
    /// Whether the box is theirs.
    pub owns_box: bool,
}

/// Navigation of an app, an organization, or the box.
pub struct House {
    /// Its name.
    pub name: String,
    /// Address of its first page.
    pub path: String,
    /// Its environments, where the page is about one.
    pub environments: Vec<Tab>,
    /// Label of the page.
    pub page: &'static str,
    /// Its pages.
    pub groups: Vec<Group>,
}

/// Pages that stand together.
pub struct Group {
    /// Their heading.
    pub heading: &'static str,
    /// The pages.
    pub tabs: Vec<Tab>,
}

/// A link that may be the current one.
pub struct Tab {
    /// Its text.
    pub label: String,
    /// Where it leads, base path included.
    pub href: String,
    /// Whether it leads to where the reader is.
    pub current: bool,
}

impl Frame {
    /// For somebody who is not signed in.
    pub fn open(state: &WebState, place: &Place, title: &str) -> Self {
        let asset = |file| state.site.link(&format!("/assets/{}", assets::served_name(file)));
        Self {
            base: state.site.base_path.clone(),
            title: title.to_owned(),
            style: asset("style.css"),
            script: asset("app.js"),
            icon: asset("icon.svg"),
            member: None,
            exposed: place.exposed,
            house: None,
        }
    }

    /// For a member.
    pub fn member(state: &WebState, visit: &Visit, title: &str) -> Self {
        let member = SignedInAs {
            name: visit.member.name.clone(),
            csrf: visit.csrf.clone(),
            administers: visit.member.administers_any(),
            owns_box: visit.member.owns_box,
        };
        Self { member: Some(member), ..Self::open(state, &visit.place, title) }
    }

    /// For a page of an app; `suffix` is the page's own in [`APP_TABS`].
    pub fn app(state: &WebState, on: &AppVisit, suffix: &str) -> Self {
        let mut all = APP_TABS.iter().flat_map(|(_, tabs)| tabs.iter());
        let page = all.find(|(_, own)| *own == suffix).map_or("", |(label, _)| label);
        let title = format!("{page} · {}", on.app.name);
        let tab = |label: &str, href: String, current| Tab { label: label.to_owned(), href, current };
        let has_environments = BY_ENVIRONMENT.contains(&suffix);
        let environments = on.app.environments.iter().filter(|_| has_environments).map(|environment| {
            let href = state.site.link(&format!("{}{suffix}", environment_path(&on.app, environment)));
            tab(environment.slug.as_str(), href, environment.id == on.environment.id)
        });
        let groups = APP_TABS.iter().map(|(heading, tabs)| {
            let tabs = tabs.iter().map(|(label, own)| {
                let path = if BY_ENVIRONMENT.contains(own) { on.path() } else { format!("/apps/{}", on.app.slug) };
                tab(label, state.site.link(&format!("{path}{own}")), *own == suffix)
            });
            Group { heading, tabs: tabs.collect() }
        });
        let house = House {
            name: on.app.name.clone(),
            path: state.site.link(&format!("/apps/{}", on.app.slug)),
            environments: environments.collect(),
            page,
            groups: groups.collect(),
        };
        Self { house: Some(house), ..Self::member(state, &on.visit, &title) }
    }

    /// For a page of an organization; `suffix` is the page's own in [`ORGANIZATION_TABS`].
    pub fn organization(state: &WebState, on: &OrganizationVisit, suffix: &str) -> Self {
        let path = format!("/organizations/{}", on.organization.slug);
        let tabs = ORGANIZATION_TABS.iter().filter(|(_, _, least)| rank(*least) >= rank(on.role));
        let tabs = tabs.map(|(label, own, _)| (*label, *own)).collect();
        Self::in_house(state, &on.visit, (&on.organization.name, "Organization", &path, tabs), suffix)
    }

    /// For a page of the box; `suffix` is the page's own in [`BOX_TABS`].
    pub fn of_box(state: &WebState, visit: &Visit, suffix: &str) -> Self {
        Self::in_house(state, visit, ("This box", "Box", "/box", BOX_TABS.to_vec()), suffix)
    }

    fn in_house(
        state: &WebState,
        visit: &Visit,
        (name, heading, path, tabs): (&str, &'static str, &str, Vec<(&'static str, &'static str)>),
        suffix: &str,
    ) -> Self {
        let page = tabs.iter().find(|(_, own)| *own == suffix).map_or("", |(label, _)| *label);
        let tab = |(label, own): (&str, &str)| Tab {
            label: label.to_owned(),
            href: state.site.link(&format!("{path}{own}")),
            current: own == suffix,
        };
        let house = House {
            name: name.to_owned(),
            path: state.site.link(path),
            environments: Vec::new(),
            page,
            groups: vec![Group { heading, tabs: tabs.into_iter().map(tab).collect() }],
        };
        Self { house: Some(house), ..Self::member(state, visit, &format!("{page} · {name}")) }
    }
}

/// The place of a role among all, the strongest first.
fn rank(role: Role) -> usize {
    Role::ALL.iter().position(|one| *one == role).unwrap_or(Role::ALL.len())
}
