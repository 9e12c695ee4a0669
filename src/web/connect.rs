//! Which lines an app changes for each SDK, with what is known of it filled in, and whether that SDK's events have come.

use crate::auth::token;
use crate::model::{
    App, Breakdown, Dimension, Environment, Fact, Filters, Guide, GuidePart, Metric, SdkGuide, SdkMark, Span,
};
use crate::query::{Preset, Range};

use super::asking::{Asking, optional};
use super::error::PageError;
use super::format::grouped;
use super::state::WebState;

/// SDKs of an environment that are looked at: each version counts as one.
const SDKS: u32 = 1_000;

/// In the lines of an SDK that signs.
const SECRET: &str = "YOUR_SECRET";

/// What is filled in for the placeholders of the documentation. What is not known stays as it stands there.
pub struct Filling<'a> {
    /// The app.
    pub app: &'a App,
    /// The box's address, without a slash at its end.
    pub address: &'a str,
    /// The environment, by short name.
    pub environment: &'a str,
    /// A public key.
    pub public: Option<&'a str>,
    /// Token and secret of a secret key.
    pub signing: Option<(&'a str, &'a str)>,
}

/// For `parts/connect.html`: a tab for each protocol, and one for each of its SDKs.
pub struct Connect {
    /// Those that can be used with the keys at hand.
    pub doors: Vec<Door>,
    /// The page that tells what has come.
    pub here: String,
}

/// A protocol.
pub struct Door {
    /// Its number among all.
    pub number: usize,
    /// Its name.
    pub title: &'static str,
    /// Whether its tab is open at first.
    pub open: bool,
    /// Its SDKs.
    pub sdks: Vec<Sdk>,
}

/// An SDK.
pub struct Sdk {
    /// Its number among all of its protocol.
    pub number: usize,
    /// Its name.
    pub title: String,
    /// Whether its tab is open at first.
    pub open: bool,
    /// What to do.
    pub parts: Vec<GuidePart>,
    /// What has come from it.
    pub arrived: Option<Arrived>,
}

/// What has come from an SDK lately.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Whether the events name the SDK. Otherwise they name none, and may be another's.
    pub named: bool,
    /// As in: 3 events.
    pub events: String,
    /// The environments that have them.
    pub environments: String,
}

impl Door {
    /// Whether an event of any of its SDKs has come.
    pub fn arrived(&self) -> bool {
        self.sdks.iter().any(Sdk::works)
    }
}

impl Sdk {
    /// Whether an event of it has come that says so.
    pub fn works(&self) -> bool {
        self.arrived.as_ref().is_some_and(|arrived| arrived.named)
    }
}

impl Connect {
    /// The tabs of an app. Those are open at first from which something has come, or else the first.
    pub async fn new(state: &WebState, filling: &Filling<'_>) -> Result<Self, PageError> {
        let arrivals = arrivals(state, filling.app).await?;
        let guides = state.guides.iter().enumerate();
        let mut doors: Vec<Door> = guides.map(|(number, guide)| filling.door(number, guide, &arrivals)).collect();
        doors.retain(|door| !door.sdks.is_empty());
        let first = doors.iter().position(Door::arrived).unwrap_or(0);
        doors.iter_mut().enumerate().for_each(|(at, door)| door.open = at == first);
        let here = state.site.link(&format!("/apps/{}/connect", filling.app.slug));
        Ok(Self { doors, here })
    }

    /// What has come, SDK by SDK: its protocol, its name and how much.
    pub fn arrived(&self) -> impl Iterator<Item = (&str, &str, &Arrived)> {
        let sdks = self.doors.iter().flat_map(|door| door.sdks.iter().map(|sdk| (door.title, sdk)));
        let arrived = sdks.filter_map(|(door, sdk)| Some((door, sdk.title.as_str(), sdk.arrived.as_ref()?)));
        arrived.filter(|(_, _, arrived)| arrived.named)
    }

    /// What has come without the name of an SDK, where one of them is such.
    pub fn unnamed(&self) -> Option<&Arrived> {
        let mut sdks = self.doors.iter().flat_map(|door| &door.sdks);
        sdks.find_map(|sdk| sdk.arrived.as_ref().filter(|arrived| !arrived.named))
    }
}

impl Filling<'_> {
    fn door(&self, number: usize, guide: &Guide, arrivals: &[(&Environment, Breakdown)]) -> Door {
        let sdks = guide.sdks.iter().enumerate().filter(|(_, sdk)| self.is_for(sdk));
        let mut sdks: Vec<Sdk> = sdks
            .map(|(number, sdk)| Sdk {
                number,
                title: sdk.title.clone(),
                open: false,
                parts: sdk.parts.iter().map(|part| self.fill_part(part)).collect(),
                arrived: arrived(sdk, arrivals),
            })
            .collect();
        let first = sdks.iter().position(Sdk::works).unwrap_or(0);
        sdks.iter_mut().enumerate().for_each(|(at, sdk)| sdk.open = at == first);
        Door { number, title: guide.protocol, open: false, sdks }
    }

    /// Whether the keys at hand are for that SDK. Where there are none, all are shown.
    fn is_for(&self, sdk: &SdkGuide) -> bool {
        let signs = sdk.parts.iter().any(|part| matches!(part, GuidePart::Code(code) if code.contains(SECRET)));
        let known = if signs { self.signing.is_some() } else { self.public.is_some() };
        known || (self.signing.is_none() && self.public.is_none())
    }

    fn fill_part(&self, part: &GuidePart) -> GuidePart {
        match part {
            GuidePart::Code(code) => GuidePart::Code(self.fill(code)),
            GuidePart::Text(spans) => GuidePart::Text(
                spans
                    .iter()
                    .map(|span| match span {
                        Span::Plain(words) => Span::Plain(words.clone()),
                        Span::Code(code) => Span::Code(self.fill(code)),
                    })
                    .collect(),
            ),
        }
    }

    /// Each placeholder replaced; what was filled in is not looked at again.
    fn fill(&self, text: &str) -> String {
        let values = self.values();
        let mut filled = String::with_capacity(text.len() * 2);
        let mut rest = text;
        let next = |rest: &str| {
            let found = values.iter().filter_map(|(name, value)| Some((rest.find(name)?, name.len(), value)));
            found.min_by_key(|(at, length, _)| (*at, std::cmp::Reverse(*length)))
        };
        while let Some((at, length, value)) = next(rest) {
            filled.push_str(&rest[..at]);
            filled.push_str(value);
            rest = &rest[at + length..];
        }
        filled.push_str(rest);
        filled
    }

    /// Placeholders, and what stands for them.
    fn values(&self) -> Vec<(&'static str, String)> {
        let host = self.address.split_once("://").map_or(self.address, |(_, host)| host);
        let aptabase = self.public.and_then(token::as_aptabase);
        let (token, secret) = self.signing.unzip();
        let given = |value: Option<&str>| value.map(str::to_owned);
        let values = [
            ("https://box.example", given(Some(self.address))),
            ("box.example", given(Some(host))),
            ("A-SH-YOUR_KEY", Some(aptabase.unwrap_or_else(|| "A-SH-YOUR_KEY".to_owned()))),
            ("YOUR_KEY", given(self.public)),
            ("YOUR_TOKEN", given(token)),
            (SECRET, given(secret)),
            ("YOUR_ORGANIZATION_ID", Some(self.app.organization.uuid.to_string())),
            ("YOUR_APP_ID", Some(self.app.uuid.to_string())),
            ("YOUR_ENVIRONMENT", given(Some(self.environment))),
            // telemetry-kit takes only lower case here; a short name's other characters are its own.
            ("my-app", Some(self.app.slug.as_str().to_ascii_lowercase())),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Which SDKs have sent events in the last four weeks, and how many, by environment. What takes too long to be counted
/// is left out.
pub async fn arrivals<'a>(state: &WebState, app: &'a App) -> Result<Vec<(&'a Environment, Breakdown)>, PageError> {
    let period = Range::of(Preset::Days28, &app.zone, state.clock.now()).whole;
    let mut found = Vec::new();
    for environment in &app.environments {
        let asking = Asking::new(state, environment.id, Filters::none());
        let list = asking.breakdown(Dimension::Fact(Fact::Sdk), &[Metric::Events], period, SDKS).await;
        found.extend(optional(list)?.map(|list| (environment, list)));
    }
    Ok(found)
}

fn arrived(sdk: &SdkGuide, arrivals: &[(&Environment, Breakdown)]) -> Option<Arrived> {
    let mut events = 0;
    let mut environments = Vec::new();
    for (environment, list) in arrivals {
        let rows = list.rows.iter().filter(|row| sdk.marks.iter().any(|mark| mark.is_of(row.value.as_deref())));
        let here: i64 = rows.filter_map(|row| *row.metrics.first()?).sum();
        if here > 0 {
            events += here;
            environments.push(environment.slug.as_str());
        }
    }
    (events > 0).then(|| Arrived {
        named: sdk.marks.iter().any(|mark| matches!(mark, SdkMark::Prefix(_))),
        events: if events == 1 { "1 event".to_owned() } else { format!("{} events", grouped(events)) },
        environments: environments.join(" and "),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{AppId, BreakdownRow, EnvironmentId, Millis, Organization, OrganizationId, Salt, Slug, Zone};

    fn app() -> App {
        App {
            id: AppId(1),
            organization: Organization {
                id: OrganizationId(1),
                uuid: Uuid::from_u128(2),
                slug: Slug::from_name("o"),
                name: "O".to_owned(),
            },
            uuid: Uuid::from_u128(3),
            slug: Slug::from_name("Blue"),
            name: "Blue".to_owned(),
            zone: Zone::utc().into(),
            strict: false,
            salt: Salt([0; 32]),
            created_at: Millis(0),
            first_event_at: None,
            archived_at: None,
            environments: Vec::new(),
        }
    }

    #[test]
    fn an_event_without_the_name_of_an_sdk_proves_none() {
        let environment = Environment { id: EnvironmentId(1), slug: Slug::from_name("staging") };
        let row =
            |value: Option<&str>, events| BreakdownRow { value: value.map(str::to_owned), metrics: vec![Some(events)] };
        let rows = vec![row(Some("one/1.0"), 1_200), row(None, 1), row(Some("one/2.0"), 34), row(Some("two/1"), 5)];
        let lists = [(&environment, Breakdown { rows, together: Vec::new(), values: 4 })];
        let of =
            |mark: SdkMark| arrived(&SdkGuide { title: String::new(), marks: vec![mark], parts: Vec::new() }, &lists);
        let told = |named, events: &str| {
            Some(Arrived { named, events: events.to_owned(), environments: "staging".to_owned() })
        };
        assert_eq!(of(SdkMark::Prefix("one/".to_owned())), told(true, "1,234 events"));
        assert_eq!(of(SdkMark::Prefix("three/".to_owned())), None);
        assert_eq!(of(SdkMark::Unsaid), told(false, "1 event"));
    }

    #[test]
    fn what_is_known_is_filled_in_once_and_the_rest_stays() {
        let app = app();
        let bare = Filling {
            app: &app,
            address: "https://box.example.com/my-app",
            environment: "staging",
            public: None,
            signing: None,
        };
        let keyed = Filling { public: Some("tkp_0aff"), signing: Some(("tks_1", "YOUR_KEY")), ..bare };
        for (filling, text, expected) in [
            (&bare, "at https://box.example/x", "at https://box.example.com/my-app/x"),
            (&bare, "box.example, box.example", "box.example.com/my-app, box.example.com/my-app"),
            (&bare, "YOUR_KEY A-SH-YOUR_KEY YOUR_SECRET", "YOUR_KEY A-SH-YOUR_KEY YOUR_SECRET"),
            (&bare, "YOUR_ENVIRONMENT of my-app", "staging of blue"),
            (&bare, "YOUR_APP_ID", "00000000-0000-0000-0000-000000000003"),
            (&keyed, "YOUR_KEY A-SH-YOUR_KEY", "tkp_0aff A-SH-0AFF"),
            (&keyed, "YOUR_TOKEN:YOUR_SECRET:é", "tks_1:YOUR_KEY:é"),
            (&keyed, "nothing", "nothing"),
        ] {
            assert_eq!(filling.fill(text), expected, "{text}");
        }
    }
}
