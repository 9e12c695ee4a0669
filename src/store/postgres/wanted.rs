//! What a commit reads and locks before it is worked out: everything that its drafts may touch, by key.

use hashbrown::HashMap;

use super::copy::EventKey;
use super::statement::Columns;
use crate::model::{EnvironmentId, UserHash};
use crate::store::identify::Greeted;
use crate::store::links::{Linked, Roots};
use crate::store::people::PAUSE;
use crate::store::{Draft, Entry};

/// Everything that drafts may touch, by key.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) keys: Vec<i64>,
    pub(super) nonces: Vec<(i64, i64, [u8; 16])>,
    pub(super) users: Vec<(i64, [u8; 16])>,
    pub(super) named: Vec<(i64, [u8; 16])>,
    /// With the local day.
    pub(super) hours: Vec<(i64, [u8; 16], i64)>,
    /// With the time at or before which the session begins.
    pub(super) derived: Vec<(i64, [u8; 16], i64)>,
    pub(super) events: Vec<EventKey>,
    /// Events that were set aside.
    pub(super) aside: Vec<i64>,
    /// What users are called in the drafts.
    pub(super) names: Vec<(i64, [u8; 16])>,
}

impl Wanted {
    pub(super) fn of(drafts: &[Draft], greeted: &[Option<Greeted>], (roots, linked): (&Roots, &[Linked])) -> Self {
        let mut wanted = Self::default();
        // Whoever is renamed by this commit is still found by the old name.
        let mut renamed: HashMap<(i64, UserHash), Vec<UserHash>> = HashMap::new();
        for link in linked {
            let environment = link.environment;
            wanted.users.extend([link.from, link.into].map(|hash| (environment.0, hash.0)));
            renamed.entry((environment.0, roots.guess(environment, link.from))).or_default().push(link.from);
        }
        let rows = |environment: EnvironmentId, name: UserHash| {
            let root = roots.guess(environment, name);
            let earlier = renamed.get(&(environment.0, root)).into_iter().flatten().copied();
            std::iter::once(root).chain(earlier).map(move |hash| (environment.0, hash.0))
        };
        for (draft, greeted) in drafts.iter().zip(greeted) {
            wanted.keys.extend(draft.key.map(|key| key.0));
            wanted.aside.extend(draft.again);
            if let Some(greeted) = greeted {
                let day = draft.app.zone.local(draft.received_at).day;
                for (environment, hash) in rows(draft.environment, greeted.user) {
                    wanted.users.push((environment, hash));
                    wanted.hours.push((environment, hash, day.into()));
                }
                wanted.named.push((draft.environment.0, greeted.session.0));
            }
            let told = draft.people.iter().map(|told| told.user);
            let names = told.chain(draft.links.iter().map(|link| link.from)).chain(greeted.iter().map(|one| one.user));
            wanted.names.extend(names.map(|name| (draft.environment.0, name.0)));
            wanted.nonces.extend(draft.nonce.map(|nonce| (nonce.at, draft.app.id.0, nonce.value)));
            for entry in &draft.entries {
                let (Entry::Event(event) | Entry::Restored(event)) = entry else { continue };
                let environment = draft.environment.0;
                wanted.events.push((environment, event.claimed_at().0, event.id().0));
                wanted.named.extend(event.session().map(|session| (environment, session.0)));
                let Some(user) = event.user() else { continue };
                let (at, derived) = (event.occurred_at(), event.session().is_none());
                let day = draft.app.zone.local(at).day;
                wanted.names.push((environment, user.0));
                for (environment, hash) in rows(draft.environment, user) {
                    wanted.users.push((environment, hash));
                    wanted.hours.push((environment, hash, day.into()));
                    wanted.derived.extend(derived.then_some((environment, hash, at.plus(PAUSE).0)));
                }
            }
        }
        sort(&mut wanted.keys);
        sort(&mut wanted.nonces);
        sort(&mut wanted.users);
        sort(&mut wanted.named);
        sort(&mut wanted.hours);
        sort(&mut wanted.derived);
        sort(&mut wanted.events);
        sort(&mut wanted.aside);
        sort(&mut wanted.names);
        wanted
    }

    /// In the order of the fields of a commit's book. Rows are locked in the order of their keys, as by every other node.
    pub(super) fn statements(&self) -> Vec<Columns> {
        let first = self.events.iter().map(|key| key.1).min().unwrap_or(0);
        let last = self.events.iter().map(|key| key.1).max().unwrap_or(0);
        vec![
            Columns::new("SELECT * FROM commit_keys($1)").ints(self.keys.iter().copied()),
            Columns::new("SELECT * FROM commit_nonces($1, $2, $3)")
                .ints(self.nonces.iter().map(|nonce| nonce.0))
                .ints(self.nonces.iter().map(|nonce| nonce.1))
                .uuids(self.nonces.iter().map(|nonce| nonce.2)),
            Columns::new("SELECT * FROM commit_users($1, $2)")
                .ints(self.users.iter().map(|user| user.0))
                .uuids(self.users.iter().map(|user| user.1)),
            Columns::new("SELECT * FROM commit_find_sessions($1, $2)")
                .ints(self.named.iter().map(|session| session.0))
                .uuids(self.named.iter().map(|session| session.1)),
            Columns::new("SELECT * FROM commit_find_days($1, $2, $3)")
                .ints(self.hours.iter().map(|hour| hour.0))
                .uuids(self.hours.iter().map(|hour| hour.1))
                .ints(self.hours.iter().map(|hour| hour.2)),
            Columns::new("SELECT * FROM commit_find_derived($1, $2, $3)")
                .ints(self.derived.iter().map(|session| session.0))
                .uuids(self.derived.iter().map(|session| session.1))
                .ints(self.derived.iter().map(|session| session.2)),
            Columns::new(
                "SELECT e.env_id::int8, e.claimed_at, e.event_id \
                 FROM unnest($1::int8[], $2::int8[], $3::uuid[]) AS n (env_id, claimed_at, event_id) \
                 JOIN events e ON e.env_id = n.env_id AND e.claimed_at = n.claimed_at AND e.event_id = n.event_id \
                 AND e.claimed_at BETWEEN $4 AND $5",
            )
            .ints(self.events.iter().map(|event| event.0))
            .ints(self.events.iter().map(|event| event.1))
            .uuids(self.events.iter().map(|event| event.2))
            .int(first)
            .int(last),
            // Nobody else tries or discards them meanwhile.
            Columns::new("SELECT id FROM set_aside WHERE id = ANY($1::int8[]) ORDER BY id FOR UPDATE")
                .ints(self.aside.iter().copied()),
            // Behind the users: who has waited for one of those sees what was linked meanwhile.
            Columns::new("SELECT * FROM commit_links($1, $2)")
                .ints(self.names.iter().map(|name| name.0))
                .uuids(self.names.iter().map(|name| name.1)),
        ]
    }
}

/// In order, each once.
pub(super) fn sort<T: Ord>(keys: &mut Vec<T>) {
    keys.sort_unstable();
    keys.dedup();
}
