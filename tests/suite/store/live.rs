//! What happens now, against a naive count.

use std::collections::{BTreeMap, BTreeSet};

use super::recount::Noise;
use super::*;

on_both_backends! { the_last_half_hour_equals_a_recount_by_minute }

fn the_last_half_hour_equals_a_recount_by_minute(backend: Backend) {
    let bench = Bench::new(backend);
    let app = bench.app("Asia/Kolkata");
    let scope = bench.scope(&app, 0);
    let mut noise = Noise(7);
    let mut sent = Vec::new();
    for _ in 0..500 {
        let user = noise.below(9);
        sent.push(Sent {
            // Up to forty minutes ago, some of it too long ago to be told.
            at: NOW.plus(-(noise.below(40 * 60) as i64) * Millis::SECOND),
            user: (user > 0).then(|| format!("u{user}")),
            version: ["1.0", "1.1"][noise.below(2) as usize],
            ..Sent::new(["opened", "saved", "error", "crash"][noise.below(4) as usize])
        });
    }
    for (number, batch) in sent.chunks(31).enumerate() {
        // Some clients' clocks are hours off.
        let ahead = [0, 0, 3 * Millis::HOUR, -20 * Millis::MINUTE][number % 4];
        let off: Vec<Sent> = batch.iter().map(|event| Sent { at: event.at.plus(ahead), ..event.clone() }).collect();
        let claims = off.iter().map(Sent::claim).collect();
        let sent_at = Some(NOW.plus(ahead));
        let request = Request {
            scope: scope.clone(),
            received_at: NOW,
            sent_at,
            nonce: None,
            claims,
            people: Vec::new(),
            sign_out: None,
        };
        bench.accept(request).unwrap();
    }
    let version = Filters::none().with(Dimension::Fact(Fact::Version), Keep::Is, Some("1.1".into()));
    let event = Filters::none().with(Dimension::Event, Keep::IsNot, Some("saved".into()));
    type Keeps = fn(&Sent) -> bool;
    let rows: [(Filters, Keeps); 3] =
        [(Filters::none(), |_| true), (version, |e| e.version == "1.1"), (event, |e| e.name != "saved")];
    for (filters, keeps) in rows {
        let ask = LiveAsk::at(NOW, filters.clone(), 3);
        let (begin, until) = (ask.begin(), ask.until);
        assert_eq!((begin, until), (NOW.plus(-29 * Millis::MINUTE), NOW.plus(Millis::MINUTE)));
        let query = Query { environment: scope.environment, ask: Ask::Live(ask) };
        let Report::Live(live) = bench.store.report(&query).unwrap() else { panic!("another report") };
        let within: Vec<_> = sent.iter().filter(|e| keeps(e) && e.at >= begin && e.at < until).collect();
        let mut minutes = [0; LIVE_MINUTES];
        let mut names: BTreeMap<&str, i64> = BTreeMap::new();
        for event in &within {
            minutes[(event.at.since(begin) / Millis::MINUTE) as usize] += 1;
            *names.entry(&event.name).or_default() += 1;
        }
        assert_eq!(live.minutes, minutes, "{filters:?}");
        assert!(!live.cut && within.len() > 50);
        let told = |minutes: i64| {
            let recent: Vec<_> = within.iter().filter(|e| e.at >= until.plus(-minutes * Millis::MINUTE)).collect();
            let users: BTreeSet<_> = recent.iter().filter_map(|e| e.user.as_deref()).collect();
            let errors = recent.iter().filter(|e| matches!(e.name.as_str(), "error" | "crash")).count() as i64;
            LiveCounts { events: recent.len() as i64, users: users.len() as i64, errors }
        };
        assert_eq!((live.whole, live.recent), (told(30), told(5)), "{filters:?}");
        let mut most: Vec<i64> = names.values().copied().collect();
        most.sort_unstable_by_key(|events| -events);
        most.truncate(3);
        let top: Vec<i64> = live.tops[0].rows.iter().map(|(_, events)| *events).collect();
        assert_eq!(top, most, "{filters:?}");
        assert_eq!(live.tops[0].values, names.len() as u64);
        for (name, events) in &live.tops[0].rows {
            assert_eq!(names[name.as_deref().unwrap()], *events);
        }
        let versions: i64 = live.tops[1].rows.iter().map(|(_, events)| events).sum();
        assert_eq!(versions, within.len() as i64);
        assert_eq!(live.tops[2].rows, [(None, within.len() as i64)]);
    }
}
