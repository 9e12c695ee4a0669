//! Who is banned from an app and what its clients are ordered to do, held against each event on its way in.

use super::normalize::bounded;
use super::privacy::Pseudonyms;
use super::{Claim, Scope};
use crate::model::{EventId, Fact, Limits, Millis, Order, RawEvent, RawPerson, Withheld};
use crate::store::Entry;

/// What one request's events are held against.
pub(super) struct Etiquette<'a> {
    scope: &'a Scope,
    now: Millis,
    /// What holds for whoever does not tell a version.
    of_all: Order,
    /// What holds for the version of the event before: neighbours in a batch have the same.
    last: Option<(Option<&'a str>, Order)>,
}

impl<'a> Etiquette<'a> {
    pub(super) fn new(scope: &'a Scope, now: Millis) -> Self {
        let of_all = scope.rules.orders.for_version(scope.environment, None, now);
        Self { scope, now, of_all, last: None }
    }

    /// What counts in place of an event that is not kept, whatever it says.
    pub(super) fn keeps_out(
        &mut self,
        claim: &'a Claim<'a>,
        limits: &Limits,
        pseudonyms: &mut Pseudonyms<'a>,
    ) -> Option<Entry> {
        match claim {
            Claim::Event(raw) if self.is_banned(raw, pseudonyms) => Some(Entry::Banned),
            Claim::Event(raw) => self.withholds(raw, limits, pseudonyms).map(Entry::Withheld),
            // Nobody knows the name of one that could not be read, or its version.
            Claim::Unusable { id, sent, .. } => {
                let user = sent.as_ref().and_then(|sent| sent.user.as_deref());
                let session = sent.as_ref().and_then(|sent| sent.session.as_deref());
                self.of_all.withholds(None, || pick((user, session), *id, pseudonyms)).map(Entry::Withheld)
            }
            Claim::Banned => Some(Entry::Banned),
        }
    }

    /// Whether nothing is to be learnt of somebody: while all are to be quiet, and of those who are not in the sample.
    pub(super) fn passes_over(&self, raw: &'a RawPerson<'a>, pseudonyms: &mut Pseudonyms<'a>) -> bool {
        self.of_all.withholds(None, || pick((raw.user.as_deref(), None), None, pseudonyms)).is_some()
    }

    fn is_banned(&self, raw: &'a RawEvent<'a>, pseudonyms: &mut Pseudonyms<'a>) -> bool {
        let banned = &self.scope.rules.banned.users;
        let user = raw.whose().filter(|_| !banned.is_empty());
        user.is_some_and(|user| banned.contains(&pseudonyms.user(user)))
    }

    fn withholds(
        &mut self,
        raw: &'a RawEvent<'a>,
        limits: &Limits,
        pseudonyms: &mut Pseudonyms<'a>,
    ) -> Option<Withheld> {
        if self.scope.rules.orders.is_empty() {
            return None;
        }
        let name = bounded(&raw.name, limits.name_bytes);
        let ids = (raw.whose(), raw.session.as_deref());
        self.order(raw.facts.get(Fact::Version)).withholds(Some(&name), || pick(ids, raw.id, pseudonyms))
    }

    /// What holds for a version.
    fn order(&mut self, version: Option<&'a str>) -> &Order {
        if self.last.as_ref().is_none_or(|(last, _)| *last != version) {
            let order = self.scope.rules.orders.for_version(self.scope.environment, version, self.now);
            self.last = Some((version, order));
        }
        self.last.as_ref().map_or(&self.of_all, |(_, order)| order)
    }
}

/// What decides whether something is in a sample: the user as events count them, else the session, else the event, so that
/// a repeat of it is judged as the first was.
fn pick<'a>(
    (user, session): (Option<&'a str>, Option<&'a str>),
    id: Option<EventId>,
    pseudonyms: &mut Pseudonyms<'a>,
) -> [u8; 16] {
    let filled = |id: &&str| !id.is_empty();
    match (user.filter(filled), session.filter(filled)) {
        (Some(user), _) => pseudonyms.user(user).0,
        (None, Some(session)) => pseudonyms.session(session).0,
        (None, None) => pseudonyms.event(id.unwrap_or_else(EventId::random)),
    }
}

#[cfg(test)]
mod tests;
