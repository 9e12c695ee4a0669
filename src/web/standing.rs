//! What the pages about versions share: statuses in colour, the way between the pages, environments to choose from.

use crate::model::{EnvironmentId, Judged, Millis, VersionStatus, VersionsPage};
use crate::query::{Preset, Range};

use super::extract::AppVisit;
use super::form::Fields;
use super::frame::Tab;
use super::state::WebState;

/// Ranges to choose from.
pub const RANGES: [Preset; 4] = [Preset::Days7, Preset::Days28, Preset::Days90, Preset::Year];

/// A status in colour.
pub struct Standing {
    /// In words.
    pub label: &'static str,
    /// `badge`, with its colour.
    pub class: &'static str,
    /// What the developer has to say.
    pub notes: Option<String>,
    /// Whether a rule has set it, and nobody.
    pub by_rule: bool,
}

/// A status to choose.
pub struct Choice {
    /// For the form.
    pub value: &'static str,
    /// In words.
    pub label: &'static str,
    /// Whether it is the one that holds.
    pub current: bool,
}

/// The environments of an app, all together being the first choice.
pub struct Environments {
    /// Those that are chosen.
    pub ids: Vec<EnvironmentId>,
    /// The short name of the one that is chosen; empty for all.
    pub chosen: String,
}

/// A status as pages show it.
pub fn standing(judged: &Judged) -> Standing {
    let class = match judged.status {
        VersionStatus::Supported => "badge",
        VersionStatus::UpdateAvailable => "badge info",
        VersionStatus::UpdateRecommended => "badge warn",
        VersionStatus::UpdateRequired | VersionStatus::Disabled => "badge bad",
    };
    Standing {
        label: judged.status.label(),
        class,
        notes: judged.notes.clone(),
        by_rule: judged.status != VersionStatus::Supported && !judged.is_by_hand(),
    }
}

/// All statuses, to choose from.
pub fn choices(current: VersionStatus) -> Vec<Choice> {
    let choice =
        |status: VersionStatus| Choice { value: status.as_str(), label: status.label(), current: status == current };
    VersionStatus::ALL.into_iter().map(choice).collect()
}

/// The pages about versions; `current` is the end of the path of the one that is shown, empty for one beside them.
pub fn pages(state: &WebState, on: &AppVisit, current: &str) -> Vec<Tab> {
    let tab = |(label, path): (&str, &str)| Tab {
        label: label.to_owned(),
        href: state.site.link(&format!("/apps/{}/{path}", on.app.slug)),
        current: path == current,
    };
    [("All versions", "versions"), ("Rules", "rules")].into_iter().map(tab).collect()
}

/// The range of an address that names none.
const USUAL: Preset = Preset::Days28;

/// The range that an address names, by default that of four weeks.
pub fn range(on: &AppVisit, fields: &Fields, now: Millis) -> Range {
    let preset = RANGES.into_iter().find(|preset| preset.name() == fields.get("range")).unwrap_or(USUAL);
    Range::of(preset, &on.app.zone, now)
}

/// The name of a range for addresses, empty for the one that needs none.
pub fn range_name(preset: Preset) -> &'static str {
    if preset == USUAL { "" } else { preset.name() }
}

/// Ranges to choose from; `href` makes the address for the name of one.
pub fn ranges(current: Preset, href: impl Fn(&str) -> String) -> Vec<Tab> {
    let tab = |one: Preset| Tab { label: one.label().to_owned(), href: href(range_name(one)), current: one == current };
    RANGES.into_iter().map(tab).collect()
}

/// The text of a field, `None` where it is blank.
pub fn given(fields: &Fields, name: &str) -> Option<String> {
    // Browsers send line breaks as two characters, which would count twice.
    let text = fields.get(name).replace("\r\n", "\n");
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Environments {
    /// The one that an address names, else all.
    pub fn of(on: &AppVisit, fields: &Fields) -> Self {
        let all = || on.app.environments.iter().map(|environment| environment.id).collect();
        match on.app.environment(fields.get("environment")) {
            Some(one) => Self { ids: vec![one.id], chosen: one.slug.to_string() },
            None => Self { ids: all(), chosen: String::new() },
        }
    }

    /// To choose from; `href` makes the address for a short name, or for all.
    pub fn tabs(&self, on: &AppVisit, href: impl Fn(&str) -> String) -> Vec<Tab> {
        let names = on.app.environments.iter().map(|environment| environment.slug.as_str());
        let tab = |name: &str| Tab {
            label: if name.is_empty() { "All".to_owned() } else { name.to_owned() },
            href: href(name),
            current: *name == self.chosen,
        };
        std::iter::once("").chain(names).map(tab).collect()
    }

    /// What the store is asked for, as far as pages agree on it; sessions are counted from an instant on.
    pub fn wanted(&self, on: &AppVisit, since: Millis) -> VersionsPage {
        VersionsPage { app: on.app.id, environments: self.ids.clone(), since, search: None, after: None, limit: 0 }
    }
}

/// A query string of the pairs that have a value; empty where none has.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    match text.finish() {
        query if query.is_empty() => query,
        query => format!("?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_rule_asks_for_is_marked_so() {
        for (status, status_at, by_rule) in [
            (VersionStatus::Supported, None, false),
            (VersionStatus::UpdateRequired, None, true),
            (VersionStatus::UpdateRequired, Some(Millis(1)), false),
        ] {
            assert_eq!(standing(&Judged { status, notes: None, status_at }).by_rule, by_rule);
        }
    }

    #[test]
    fn blank_values_stay_out_of_addresses_and_forms() {
        assert_eq!(query(&[("search", ""), ("after", "1.0 b&")]), "?after=1.0+b%26");
        assert_eq!(query(&[("search", "")]), "");
        let fields = Fields::parse(b"a=+%0D%0A+&b=x%0D%0Ay+");
        assert_eq!((given(&fields, "a"), given(&fields, "b")), (None, Some("x\ny".to_owned())));
    }
}
