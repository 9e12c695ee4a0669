//! Who an event is of, and what it tells of them.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::json;
use super::super::properties::{Known, Properties};
use super::Event;
use crate::model::{Earlier, RawPerson};
use crate::protocol::json::{Filled, Members, pass};

/// Longest `distinct_id`, in characters and in bytes; longer ones are cut.
const ID_CHARACTERS: usize = 200;
const ID_BYTES: usize = 255;

/// Ids that programs send by mistake: nobody in particular.
const NOBODY: [&str; 20] = [
    "anonymous",
    "guest",
    "null",
    "undefined",
    "none",
    "nan",
    "0",
    "true",
    "false",
    "[object object]",
    "distinct_id",
    "distinctid",
    "id",
    "email",
    "user",
    "system",
    "backend",
    "not_authenticated",
    "anonymous-user",
    "00000000-0000-0000-0000-000000000000",
];

/// Events that tell what somebody was called before.
const LINKS: [&str; 3] = ["$identify", "$create_alias", "$merge_dangerously"];

/// What stands for a user whom the box is to tell apart by itself, for a day.
const COOKIELESS: &str = "$posthog_cookieless";

/// SDKs of servers, for those that do not say so.
const SERVERS: [&str; 9] = [
    "posthog-node",
    "posthog-python",
    "posthog-go",
    "posthog-php",
    "posthog-ruby",
    "posthog-java",
    "posthog-elixir",
    "posthog-dotnet",
    "posthog-server",
];

/// Who an event is of: nobody, where neither is there.
pub(super) struct Who<'a> {
    /// Known by this id.
    pub(super) user: Option<Cow<'a, str>>,
    /// Not known yet, and called this.
    pub(super) anonymous: Option<Cow<'a, str>>,
    /// To be told apart by address and agent.
    pub(super) cookieless: bool,
}

/// What a person is called, and how to reach them.
#[derive(Default)]
struct Traits<'a> {
    email: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
}

impl<'de> Members<'de> for Traits<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "email" => self.email = Some(map.next_value()?),
            "name" => self.name = Some(map.next_value()?),
            _ => pass(map)?,
        }
        Ok(())
    }
}

impl<'a> Event<'a> {
    /// What its client calls its user and its session, as far as that can be read.
    pub fn names(&self) -> [Option<Cow<'a, str>>; 2] {
        let known = &self.properties.known;
        let user = [self.distinct_id, known.distinct_id].into_iter().flatten().find_map(json::any).map(cut);
        [user.filter(|user| !is_nobody(user)), Known::text(self.session.or(known.session))]
    }

    /// Who it is of, by an id that was cut.
    pub(super) fn who(&self, id: Cow<'a, str>, server: bool) -> Who<'a> {
        let known = &self.properties.known;
        let cookieless = [self.options.cookieless, known.cookieless].into_iter().any(Known::is) || id == COOKIELESS;
        if cookieless || is_nobody(&id) {
            return Who { user: None, anonymous: None, cookieless };
        }
        let personless = self.options.person.or(known.person).and_then(json::flag) == Some(false);
        // A server that names nobody is given a new id for each event.
        if server && personless && Uuid::try_parse(&id).is_ok() {
            return Who { user: None, anonymous: None, cookieless };
        }
        let unknown = match known.identified.and_then(json::flag) {
            Some(identified) => !identified,
            None => personless && known.device_id.and_then(json::any).is_some_and(|device| device == id),
        };
        if unknown {
            Who { user: None, anonymous: Some(id), cookieless }
        } else {
            Who { user: Some(id), anonymous: None, cookieless }
        }
    }

    /// What it tells of its user: who they were before, and how to reach them.
    pub(super) fn person(&self, name: &str, who: &Who<'a>) -> Option<Box<RawPerson<'a>>> {
        let Properties { known, rest } = &self.properties;
        let tells = [self.set, known.set, self.set_once, known.set_once].iter().any(Option::is_some);
        if !tells && !LINKS.contains(&name) {
            return None;
        }
        let id = who.user.clone().or_else(|| who.anonymous.clone())?;
        let other = |other: Option<&'a RawValue>| other.and_then(json::any).map(cut).filter(|other| !is_nobody(other));
        let (user, anonymous) = match name {
            "$identify" => (id, other(known.anonymous)),
            // Which of the two is the earlier name is not said, and clients differ in it.
            "$create_alias" | "$merge_dangerously" => match other(rest.get("alias")) {
                Some(alias) if is_uuid(&id) && !is_uuid(&alias) => (alias, Some(id)),
                alias => (id, alias),
            },
            _ => (id, None),
        };
        // Somebody who was identified is made somebody else by one call alone.
        let earlier = if name == "$merge_dangerously" { Earlier::Anyone } else { Earlier::Unknown };
        let (email, name) = traits([self.set, known.set]);
        let (email_once, name_once) = traits([self.set_once, known.set_once]);
        let person = RawPerson { user: Some(user), anonymous, email, name, email_once, name_once, earlier };
        person.tells().then(|| Box::new(person))
    }

    /// Whether a server sent it on behalf of somebody else.
    pub(super) fn is_of_server(&self) -> bool {
        let known = &self.properties.known;
        known
            .server
            .and_then(json::flag)
            .unwrap_or_else(|| Known::text(known.lib).is_some_and(|lib| SERVERS.contains(&&*lib)))
    }
}

/// Address and name out of the first of two objects that has them.
fn traits<'a>(objects: [Option<&'a RawValue>; 2]) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let (mut email, mut name) = (None, None);
    for object in objects.into_iter().flatten() {
        let Ok(Filled::<Traits<'_>> { members, .. }) = serde_json::from_str(object.get()) else { continue };
        email = email.or_else(|| Known::text(members.email));
        name = name.or_else(|| Known::text(members.name));
    }
    (email, name)
}

/// An id, cut to what is kept of one.
pub(super) fn cut(id: Cow<'_, str>) -> Cow<'_, str> {
    if id.len() <= ID_CHARACTERS {
        return id;
    }
    let end = id.char_indices().nth(ID_CHARACTERS).map_or(id.len(), |(at, _)| at);
    let end = id.floor_char_boundary(end.min(ID_BYTES));
    match id {
        Cow::Borrowed(id) => Cow::Borrowed(&id[..end]),
        Cow::Owned(id) => Cow::Owned(id[..end].to_owned()),
    }
}

fn is_nobody(id: &str) -> bool {
    let id = id.trim();
    id.is_empty() || NOBODY.iter().any(|nobody| id.eq_ignore_ascii_case(nobody))
}

fn is_uuid(id: &str) -> bool {
    Uuid::try_parse(id).is_ok()
}
