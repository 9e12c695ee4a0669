//! What surrounds every page: title, assets, who is signed in, the navigation of an app.

use super::assets;
use super::extract::{AppVisit, Place, Visit, environment_path};
use super::pages::{APP_TABS, BY_ENVIRONMENT};
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
    /// The app that the page is about.
    pub app: Option<AppFrame>,
}

/// The signed-in member.
pub struct SignedInAs {
    /// Sign-in name.
    pub name: String,
    /// Value for forms.
    pub csrf: String,
    /// Whether apps and keys may be changed.
    pub administers: bool,
}

/// Navigation of an app.
pub struct AppFrame {
    /// Its name.
    pub name: String,
    /// Path of its overview.
    pub path: String,
    /// Its environments, where the page is about one.
    pub environments: Vec<Tab>,
    /// Label of the page.
    pub page: &'static str,
    /// Its pages.
    pub groups: Vec<Group>,
}

/// Pages of an app that stand together.
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
            app: None,
        }
    }

    /// For a member.
    pub fn member(state: &WebState, visit: &Visit, title: &str) -> Self {
        let member = SignedInAs {
            name: visit.member.name.clone(),
            csrf: visit.csrf.clone(),
            administers: visit.member.role.may_administer(),
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
        let app = AppFrame {
            name: on.app.name.clone(),
            path: state.site.link(&format!("/apps/{}", on.app.slug)),
            environments: environments.collect(),
            page,
            groups: groups.collect(),
        };
        Self { app: Some(app), ..Self::member(state, &on.visit, &title) }
    }
}
