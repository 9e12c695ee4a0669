//! The story as a whole: what it conserves and what it shows.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::model::Fact;

fn plan() -> Plan {
    Plan { until: Millis(1_790_000_000_000), days: 120, users: 900, events: 60_000, seed: 11 }
}

fn names(parcel: &Parcel) -> impl Iterator<Item = &'static str> {
    parcel.events.iter().filter_map(|said| match said {
        Said::Event { name, .. } => Some(*name),
        Said::Unusable { .. } => None,
    })
}

/// All that makes a request what it is, as text.
fn told(plan: Plan) -> Vec<String> {
    Story::of(plan).map(|parcel| format!("{parcel:?}")).collect()
}

#[test]
fn a_plan_gives_the_same_story_again_and_a_seed_its_own() {
    let small = Plan { users: 60, events: 2_000, days: 30, ..plan() };
    assert_eq!(told(small), told(small));
    assert_ne!(told(small), told(Plan { seed: 12, ..small }));
}

#[test]
fn a_story_has_about_as_many_events_as_were_asked_for() {
    for (users, events) in [(900, 60_000), (900, 200_000), (5_000, 60_000)] {
        let sent: usize = Story::of(Plan { users, events, ..plan() }).map(|parcel| parcel.events.len()).sum();
        let ratio = sent as f64 / events as f64;
        assert!((0.88..1.12).contains(&ratio), "{sent} of {events} for {users}");
    }
}

#[test]
fn nothing_arrives_before_it_happened_or_after_the_end() {
    let range = plan().range();
    let mut last_day = 0;
    for parcel in Story::of(plan()) {
        let day = parcel.received_at.0.div_euclid(Millis::DAY);
        assert!(day >= last_day && parcel.received_at <= range.to, "{parcel:?}");
        last_day = day;
        let ahead = parcel.sent_at.map_or(0, |sent_at| sent_at.since(parcel.received_at));
        for said in &parcel.events {
            let Said::Event { claimed_at, .. } = said else { continue };
            let at = claimed_at.plus(-ahead);
            let wrong = parcel.sent_at.is_none() && matches!(parcel.sender, Sender::Program { .. });
            assert!(wrong || (at >= range.from.plus(-1_000) && at <= range.to.plus(1_000)), "{parcel:?}");
        }
    }
}

#[test]
fn the_way_to_a_plan_loses_people_and_more_on_some_systems() {
    let mut reached: HashMap<(&str, &str), HashSet<String>> = HashMap::new();
    for parcel in Story::of(plan()) {
        let (system, user) = match &parcel.sender {
            Sender::Program { user, facts, .. } => {
                let system =
                    ["windows", "macos", "linux"].into_iter().find(|name| facts.get(Fact::System) == Some(name));
                (system.expect("a known one"), user.clone())
            }
            Sender::Phone(phone) => (phone.platform.as_str(), phone.install_id.clone()),
        };
        for name in names(&parcel) {
            reached.entry((system, name)).or_default().insert(user.clone());
        }
    }
    let count = |system, name| reached.get(&(system, name)).map_or(0, HashSet::len);
    for system in ["windows", "macos", "linux", "IOS", "ANDROID"] {
        let steps = ["app_opened", "note_created", "note_shared", "plan_paid"].map(|name| count(system, name));
        assert!(steps.is_sorted_by(|more, fewer| more > fewer), "{system}: {steps:?}");
    }
    let paying = |system| count(system, "plan_paid") as f64 / count(system, "app_opened") as f64;
    assert!(paying("macos") > 1.5 * paying("windows"), "{} {}", paying("macos"), paying("windows"));
}

#[test]
fn the_bad_release_crashes_and_the_fix_does_not() {
    let story = Story::of(plan());
    let bad = story.versions().find(|(_, bad)| *bad).map(|(version, _)| version.to_owned()).expect("one is bad");
    let (mut visits, mut crashes) = ([0.0; 2], [0.0; 2]);
    for parcel in story {
        let Sender::Program { facts, .. } = &parcel.sender else { continue };
        let which = usize::from(facts.get(Fact::Version) == Some(&bad));
        visits[which] += names(&parcel).filter(|name| *name == "app_opened").count() as f64;
        crashes[which] += names(&parcel).filter(|name| *name == "crash").count() as f64;
    }
    assert!(visits[1] > 100.0, "{visits:?}");
    let [usual, bad] = [crashes[0] / visits[0], crashes[1] / visits[1]];
    assert!(usual < 0.01 && bad > 0.08, "{usual} {bad}");
}

#[test]
fn some_parcels_come_late_twice_or_with_a_wrong_clock() {
    let (mut late, mut wrong, mut unusable, mut seen, mut again, mut all) = (0, 0, 0, HashSet::new(), 0, 0);
    for parcel in Story::of(plan()) {
        all += 1;
        wrong += usize::from(parcel.sent_at.is_some_and(|at| at.since(parcel.received_at).abs() > Millis::MINUTE));
        for said in &parcel.events {
            match said {
                Said::Event { id, claimed_at, name, .. } => {
                    again += usize::from(!seen.insert(*id));
                    late += usize::from(parcel.received_at.since(*claimed_at) > Millis::DAY);
                    unusable += usize::from(name.is_empty());
                }
                Said::Unusable { .. } => unusable += 1,
            }
        }
    }
    assert!(
        all > 5_000 && late > 100 && wrong > 20 && unusable > 5 && again > 100,
        "{all} {late} {wrong} {unusable} {again}"
    );
}
