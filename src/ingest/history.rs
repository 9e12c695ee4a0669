//! Events of other products' files: what they claim, as it would have been taken when it happened.

use super::normalize;
use super::{Claim, Request, Scope};
use crate::model::{Limits, Millis, RawEvent, RawPerson};
use crate::store::{Draft, Entry};

/// Takes events of the past into one environment. They count as of when they happened, as if they had come then: of the
/// limits of an app its age of events holds, and not its rates and quotas.
pub struct History {
    scope: Scope,
    limits: Limits,
    now: Millis,
    oldest: Millis,
}

/// What becomes of an event of the past.
#[derive(Debug)]
pub enum Past {
    /// It can be written.
    Draft(Box<Draft>),
    /// It would be deleted at once, or was deleted by age already.
    TooOld,
    /// Of somebody who is banned, or otherwise not to be kept by the app's rules.
    LeftOut,
    /// It is beyond today's bounds; which, in words.
    Unusable(String),
}

impl History {
    /// As of `now`, within the app's rules of its scope.
    pub fn new(scope: Scope, limits: Limits, now: Millis) -> Self {
        let oldest = scope.rules.oldest(scope.environment, now, limits.age);
        Self { scope, limits, now, oldest }
    }

    /// An event; one without a time is unusable.
    pub fn event(&self, raw: RawEvent<'_>) -> Past {
        let Some(claimed) = raw.claimed_at else { return Past::Unusable("there is no time".to_owned()) };
        let (_, at) = normalize::times(Some(claimed), 0, self.now);
        if at < self.oldest {
            return Past::TooOld;
        }
        if let Some((_, detail)) = normalize::refuse(&raw, &self.limits) {
            return Past::Unusable(detail);
        }
        let request = Request { claims: vec![Claim::Event(raw)], ..Request::new(self.scope.clone(), at) };
        let (draft, _) = normalize::draft(request, &self.limits);
        if let Some(Entry::SetAside(aside)) = draft.entries.first() {
            return Past::Unusable(aside.detail.clone());
        }
        let counts = matches!(draft.entries.first(), Some(Entry::Event(_)));
        if counts { Past::Draft(Box::new(draft)) } else { Past::LeftOut }
    }

    /// What was told of somebody.
    pub fn person(&self, at: Millis, person: RawPerson<'_>) -> Draft {
        let request = Request { people: vec![person], ..Request::new(self.scope.clone(), at.min(self.now)) };
        normalize::draft(request, &self.limits).0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::model::{App, AppId, EnvironmentId, EventId, Organization, OrganizationId, Rules, Salt, Slug, Zone};

    const NOW: Millis = Millis(1_800_000_000_000);

    fn history(days: i64) -> History {
        let organization = Organization {
            id: OrganizationId(1),
            uuid: Uuid::nil(),
            slug: Slug::from_name("acme"),
            name: "Acme".into(),
        };
        let app = App {
            id: AppId(1),
            organization,
            uuid: Uuid::nil(),
            slug: Slug::from_name("app"),
            name: "App".into(),
            zone: Arc::new(Zone::utc()),
            strict: false,
            salt: Salt([0; 32]),
            created_at: NOW,
            first_event_at: None,
            archived_at: None,
            environments: Vec::new(),
        };
        let (app, rules) = (Arc::new(app), Arc::new(Rules::default()));
        let scope = Scope { app, environment: EnvironmentId(1), key: None, rules, country: None };
        History::new(scope, Limits { age: days * Millis::DAY, ..Limits::default() }, NOW)
    }

    fn raw(at: Option<Millis>, name: &str) -> RawEvent<'_> {
        RawEvent { id: Some(EventId([1; 16])), claimed_at: at, name: name.into(), ..RawEvent::default() }
    }

    #[test]
    fn the_past_counts_as_of_when_it_was_within_the_age_that_is_kept() {
        let history = history(30);
        let at = NOW.plus(-29 * Millis::DAY);
        let Past::Draft(draft) = history.event(raw(Some(at), "a")) else { panic!("it is not too old") };
        let [Entry::Event(event)] = &draft.entries[..] else { panic!("{draft:?}") };
        assert_eq!((draft.received_at, event.occurred_at(), event.claimed_at()), (at, at, at));
        assert!(matches!(history.event(raw(Some(NOW.plus(-31 * Millis::DAY)), "a")), Past::TooOld));
        assert!(matches!(history.event(raw(None, "a")), Past::Unusable(_)));
        assert!(matches!(history.event(raw(Some(at), "")), Past::Unusable(_)));
        // Of a time to come it is not known when it was.
        let Past::Draft(draft) = history.event(raw(Some(NOW.plus(Millis::DAY)), "a")) else { panic!("it is kept") };
        assert_eq!(draft.received_at, NOW);
    }
}
