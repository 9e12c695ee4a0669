//! What a request tells of people: which names are one person's, and what an app says of its users.

use std::collections::HashSet;

use super::normalize::bounded;
use super::privacy::Pseudonyms;
use crate::model::{Banned, Earlier, Limits, Link, Millis, RawPerson, Told, UserHash};

/// Longest address or name that is kept, in bytes; longer ones are cut with a mark.
const TEXT: usize = 255;

/// Collects what one request tells; each pair of names once.
pub(super) struct Acquaintance<'b> {
    banned: &'b Banned,
    at: Millis,
    seen: HashSet<(UserHash, UserHash, Earlier)>,
    pub(super) links: Vec<Link>,
    pub(super) people: Vec<Told>,
}

impl<'b> Acquaintance<'b> {
    pub(super) fn new(banned: &'b Banned, at: Millis) -> Self {
        Self { banned, at, seen: HashSet::new(), links: Vec::new(), people: Vec::new() }
    }

    /// That whoever was called the first is called the second now. Of somebody banned nothing is learnt.
    pub(super) fn link(&mut self, from: UserHash, into: UserHash, earlier: Earlier) {
        let banned = |hash| self.banned.users.contains(&hash);
        if !banned(from) && !banned(into) && self.seen.insert((from, into, earlier)) {
            self.links.push(Link { from, into, at: self.at, earlier });
        }
    }

    /// What a call says that is no event. A person without an identifier, or with one that is too long, is nobody.
    pub(super) fn tell<'a>(&mut self, raw: &'a RawPerson<'a>, limits: &Limits, pseudonyms: &mut Pseudonyms<'a>) {
        let fits = |id: &&str| !id.is_empty() && id.len() <= limits.identifier_bytes;
        if let Some((anonymous, user)) = raw.linked().filter(|(anonymous, user)| fits(anonymous) && fits(user)) {
            let from = pseudonyms.other_user(anonymous);
            self.link(from, pseudonyms.user(user), raw.earlier);
        }
        let Some(identifier) = raw.user.as_deref().filter(fits) else { return };
        let texts = [&raw.email, &raw.name, &raw.email_once, &raw.name_once].map(|text| {
            let text = text.as_deref().filter(|text| !text.is_empty());
            text.map(|text| bounded(text, TEXT).into_owned())
        });
        let user = pseudonyms.user(identifier);
        if texts.iter().any(Option::is_some) && !self.banned.users.contains(&user) {
            let [email, name, email_once, name_once] = texts;
            let identifier = bounded(identifier, TEXT).into_owned();
            self.people.push(Told { user, identifier, email, name, email_once, name_once });
        }
    }

    /// Rough size of it in the queue, in bytes.
    pub(super) fn weight(&self) -> usize {
        let texts = |told: &Told| {
            let all = [&told.email, &told.name, &told.email_once, &told.name_once];
            all.into_iter().flatten().map(String::len).sum::<usize>()
        };
        let people: usize =
            self.people.iter().map(|told| size_of::<Told>() + told.identifier.len() + texts(told)).sum();
        people + self.links.len() * size_of::<Link>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_of_names_is_told_once_and_nothing_of_the_banned() {
        let banned = Banned { users: [UserHash([9; 16])].into(), ..Banned::default() };
        let mut told = Acquaintance::new(&banned, Millis(7));
        for (from, into) in [(1, 2), (1, 2), (3, 2), (9, 2), (1, 9)] {
            told.link(UserHash([from; 16]), UserHash([into; 16]), Earlier::Anyone);
        }
        let pairs: Vec<_> = told.links.iter().map(|link| (link.from.0[0], link.into.0[0], link.at)).collect();
        assert_eq!(pairs, [(1, 2, Millis(7)), (3, 2, Millis(7))]);
    }

    #[test]
    fn people_are_kept_where_something_is_said_of_them() {
        let limits = Limits::default();
        let long = "x".repeat(limits.identifier_bytes + 1);
        for (user, anonymous, email, people, links) in [
            ("ada", "anon", "ada@example.org", 1, 1),
            ("ada", "", "", 0, 0),
            ("ada", "ada", "ada@example.org", 1, 0),
            ("", "anon", "ada@example.org", 0, 0),
            ("undefined", "anon", "", 0, 0),
            ("ada", " NULL", "", 0, 0),
            ("undefined behaviour", "anon", "", 0, 1),
            (&*long, "anon", "ada@example.org", 0, 0),
            ("ada", &*long, "ada@example.org", 1, 0),
        ] {
            let raw = RawPerson {
                user: Some(user.into()),
                anonymous: Some(anonymous.into()),
                email: Some(email.into()),
                ..RawPerson::default()
            };
            let banned = Banned::default();
            let mut told = Acquaintance::new(&banned, Millis(0));
            told.tell(&raw, &limits, &mut Pseudonyms::none());
            assert_eq!((told.people.len(), told.links.len()), (people, links), "{user:.9} {anonymous:.9}");
        }
    }
}
