//! Orders against requests that are made up: what is kept and what is not is everything, and people are in or out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use super::super::{Request, normalize};
use super::*;
use crate::model::{
    App, AppId, EnvironmentId, OrderId, Orders, Organization, OrganizationId, Quiet, Reason, Rules, Salt, Share, Slug,
    StandingOrder, VersionScope, Zone,
};
use crate::store::Draft;

const NOW: Millis = Millis(1_800_000_000_000);
const HERE: EnvironmentId = EnvironmentId(1);
const VERSIONS: [Option<&str>; 4] = [None, Some("1.0.0"), Some("1.5.0-rc.1"), Some("2.0.0")];
const NAMES: [&str; 4] = ["opened", "saved", "shared", "größe"];

fn scope(orders: Vec<StandingOrder>) -> Scope {
    let slug = Slug::parse("app").unwrap();
    let organization =
        Organization { id: OrganizationId(1), uuid: Uuid::nil(), slug: slug.clone(), name: "One".to_owned() };
    let app = App {
        id: AppId(1),
        organization,
        uuid: Uuid::nil(),
        slug,
        name: "App".to_owned(),
        zone: Arc::new(Zone::utc()),
        strict: false,
        salt: Salt([7; 32]),
        created_at: NOW,
        first_event_at: None,
        archived_at: None,
        environments: Vec::new(),
    };
    let rules = Arc::new(Rules { orders: Orders(orders), ..Rules::default() });
    Scope { app: Arc::new(app), environment: HERE, key: None, rules, country: None }
}

fn standing(versions: VersionScope, order: Order) -> StandingOrder {
    StandingOrder { id: OrderId(1), environment: None, versions, order, since: NOW, member: String::new() }
}

fn event(name: &str, user: &str, session: &str, version: Option<&str>) -> Claim<'static> {
    let mut raw = RawEvent {
        id: Some(EventId::random()),
        name: name.to_owned().into(),
        user: Some(user.to_owned().into()),
        session: Some(session.to_owned().into()),
        ..RawEvent::default()
    };
    raw.facts.set(Fact::Version, version.map(str::to_owned));
    Claim::Event(raw)
}

fn draft(scope: &Scope, claims: Vec<Claim<'_>>) -> Draft {
    normalize::draft(Request { claims, ..Request::new(scope.clone(), NOW) }, &Limits::default()).0
}

/// A row of numbers that look random, the same in every run.
fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    }
}

fn any_order(random: &mut impl FnMut(usize) -> usize) -> StandingOrder {
    let versions = match random(3) {
        0 => VersionScope::All,
        1 => VersionScope::Below("1.5.0".to_owned()),
        _ => VersionScope::Exactly("2.0.0".to_owned()),
    };
    let order = Order {
        sampling: (random(2) == 0).then(|| Share::of(u16::try_from(1 + random(9_998)).unwrap())).flatten(),
        names: (random(3) == 0).then(|| Arc::new(NAMES[random(4)..].iter().map(|name| (*name).to_owned()).collect())),
        flush_interval: None,
        quiet: match random(10) {
            0 => Some(Quiet::Stopped),
            1 => Some(Quiet::Paused(None)),
            2 => Some(Quiet::Paused(Some(NOW.plus(random(2) as i64)))),
            _ => None,
        },
    };
    standing(versions, order)
}

#[test]
fn what_is_kept_and_what_is_not_is_everything() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 1..200 {
        let mut random = random(seed);
        let scope = scope((0..random(4)).map(|_| any_order(&mut random)).collect());
        let count = random(40);
        let claims: Vec<Claim<'_>> = (0..count)
            .map(|number| match random(8) {
                0 => Claim::Banned,
                1 => {
                    let detail = "no JSON".to_owned();
                    Claim::Unusable { reason: Reason::Invalid, detail, id: None, body: "{", sent: None }
                }
                _ => {
                    let (name, version) = (NAMES[random(4)], VERSIONS[random(4)]);
                    event(name, &format!("user {}", random(20)), &format!("session {number}"), version)
                }
            })
            .collect();
        let mut kept = 0;
        let mut not_kept = 0;
        for entry in &draft(&scope, claims).entries {
            let what = match entry {
                Entry::Event(_) | Entry::Restored(_) => "kept",
                Entry::SetAside(_) => "set aside",
                Entry::Banned => "banned",
                Entry::Withheld(why) => why.as_str(),
            };
            *seen.entry(what).or_default() += 1;
            *(if matches!(what, "kept" | "set aside") { &mut kept } else { &mut not_kept }) += 1;
        }
        assert_eq!(kept + not_kept, count, "seed {seed}");
    }
    for what in ["kept", "set aside", "banned", "sampled", "unlisted", "paused", "stopped"] {
        assert!(seen.get(what).is_some_and(|many| *many > 20), "{what}: {seen:?}");
    }
}

#[test]
fn a_person_is_wholly_in_or_out_and_so_is_a_session_of_nobody() {
    let scope = scope(vec![standing(VersionScope::All, Order { sampling: Share::of(3_000), ..Order::default() })]);
    for by_session in [false, true] {
        let mut are_in = HashSet::new();
        let mut are_out = HashSet::new();
        for batch in 0..20 {
            let ids: Vec<String> = (0..200).map(|number| format!("somebody {number}")).collect();
            let claim = |id: &String| match by_session {
                true => event("opened", "", id, None),
                false => event("opened", id, &format!("{id} {batch}"), Some("1.0.0")),
            };
            let entries = draft(&scope, ids.iter().map(claim).collect()).entries;
            for (id, entry) in ids.into_iter().zip(entries) {
                let kept = matches!(entry, Entry::Event(_));
                (if kept { &mut are_in } else { &mut are_out }).insert(id);
            }
        }
        assert!(are_in.is_disjoint(&are_out) && are_in.len() + are_out.len() == 200);
        assert!((30..90).contains(&are_in.len()), "{} of 200 are in a sample of 30%", are_in.len());
    }
}

#[test]
fn a_repeat_of_an_event_of_nobody_is_judged_as_the_first_was() {
    let scope = scope(vec![standing(VersionScope::All, Order { sampling: Share::of(5_000), ..Order::default() })]);
    let ids: Vec<EventId> = (0..100).map(|_| EventId::random()).collect();
    let claims = || {
        let raw = |id: &EventId| RawEvent { id: Some(*id), name: "a".into(), ..RawEvent::default() };
        ids.iter().map(|id| Claim::Event(raw(id))).collect::<Vec<_>>()
    };
    let kept = |draft: Draft| draft.entries.iter().map(|e| matches!(e, Entry::Event(_))).collect::<Vec<_>>();
    let first = kept(draft(&scope, claims()));
    assert_eq!(first, kept(draft(&scope, claims())));
    assert!((20..80).contains(&first.iter().filter(|kept| **kept).count()));
}

#[test]
fn orders_are_for_the_versions_that_they_name() {
    let stop = Order { quiet: Some(Quiet::Stopped), ..Order::default() };
    let scope = scope(vec![standing(VersionScope::Below("1.5.0".to_owned()), stop)]);
    let claims = VERSIONS.map(|version| event("opened", "ada", "s", version)).into();
    let entries = draft(&scope, claims).entries;
    let stopped: Vec<bool> = entries.iter().map(|e| matches!(e, Entry::Withheld(Withheld::Stopped))).collect();
    assert_eq!(stopped, [false, true, false, false]);
}

#[test]
fn nothing_is_learnt_of_people_while_all_are_quiet() {
    let ada = || RawPerson { user: Some("ada".into()), email: Some("ada@example.org".into()), ..RawPerson::default() };
    for (quiet, told) in [(None, 1), (Some(Quiet::Paused(Some(NOW))), 1), (Some(Quiet::Stopped), 0)] {
        let scope = scope(vec![standing(VersionScope::All, Order { quiet, ..Order::default() })]);
        let request = Request { people: vec![ada()], ..Request::new(scope, NOW) };
        assert_eq!(normalize::draft(request, &Limits::default()).0.people.len(), told, "{quiet:?}");
    }
}
