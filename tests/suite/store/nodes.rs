//! Several nodes over one PostgreSQL database, writing at the same time.

use std::sync::Barrier;

use super::recount::{Noise, compare};
use super::*;
use crate::harness::backend::on_postgres_alone;

on_postgres_alone! {
    nodes_count_what_they_are_sent_together_once,
    a_nonce_works_on_one_node_alone,
    caps_hold_over_all_nodes,
}

const NODES: usize = 3;

/// One node: a store and a pipeline of its own.
struct Node {
    store: Arc<dyn Store>,
    intake: Intake,
    writer: Writer,
}

impl Node {
    fn beside(bench: &Bench) -> Self {
        let store = open(&bench.database).unwrap();
        let clock = Clock::manual(NOW);
        let (intake, writer) = Intake::start(store.clone(), bench.limits.clone(), clock, QueueSize::default()).unwrap();
        Self { store, intake, writer }
    }

    fn send(&self, scope: &Scope, events: &[Sent], nonce: Option<Nonce>) -> Result<Receipt, Refusal> {
        let claims = events.iter().map(Sent::claim).collect();
        let request = Request {
            scope: scope.clone(),
            received_at: NOW,
            sent_at: None,
            nonce,
            claims,
            people: Vec::new(),
            sign_out: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.intake.accept(request))
    }
}

/// Runs `work` for each node, all at once.
fn together<T: Send>(bench: &Bench, work: impl Fn(&Node, usize) -> T + Sync) -> Vec<T> {
    let nodes: Vec<_> = (0..NODES).map(|_| Node::beside(bench)).collect();
    let start = Barrier::new(NODES);
    let done = std::thread::scope(|scope| {
        let (work, start) = (&work, &start);
        let threads: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(number, node)| {
                scope.spawn(move || {
                    start.wait();
                    work(node, number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for Node { store, intake, writer } in nodes {
        drop(intake);
        writer.join();
        drop(store);
    }
    done
}

/// Every node is sent all events, in an order of its own and in pieces of its own, with the same users and sessions
/// in all of them.
fn nodes_count_what_they_are_sent_together_once() {
    let bench = Bench::new(Backend::Postgres);
    let app = bench.app("Europe/Zurich");
    let scope = bench.scope(&app, 0);
    let start = NOW.plus(-14 * Millis::DAY);
    let mut noise = Noise(5);
    let events: Vec<_> = (0..1_200)
        .map(|_| {
            let user = noise.below(30);
            Sent {
                at: start.plus(noise.below(6 * 24 * 60) as i64 * Millis::MINUTE),
                name: format!("e{}", noise.below(40)),
                user: (user > 0).then(|| format!("u{user}")),
                session: Some(format!("s{user}-{}", noise.below(6))),
                version: ["1.0", "1.1", "2.0"][noise.below(3) as usize],
                ..Sent::new("")
            }
        })
        .collect();
    let stored: usize = together(&bench, |node, number| {
        let mut noise = Noise(100 + number as u64);
        let mut mine = events.clone();
        for i in (1..mine.len()).rev() {
            mine.swap(i, noise.below(i as u64 + 1) as usize);
        }
        let answers = mine.chunks(17 + number).map(|batch| node.send(&scope, batch, None).unwrap());
        answers
            .map(|receipt| receipt.outcomes.iter().filter(|outcome| **outcome == Outcome::Stored).count())
            .sum::<usize>()
    })
    .into_iter()
    .sum::<usize>();
    assert_eq!(stored, events.len());
    compare(&bench, &scope, &app.zone, &events, start);
    // Arrivals are counted too, by what became of them.
    let sql = "SELECT outcome, events FROM intake_days ORDER BY outcome";
    assert_eq!(bench.database.sql(sql).trim(), "duplicate|2400\nstored|1200");
}

fn a_nonce_works_on_one_node_alone() {
    let bench = Bench::new(Backend::Postgres);
    let scope = bench.scope(&bench.app("UTC"), 0);
    for round in 0..20_u8 {
        let nonce = Some(Nonce { at: NOW.seconds(), value: [round; 16] });
        let answers = together_quickly(&bench, &scope, nonce);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(Refusal::Replayed))), "{answers:?}");
    }
    assert_eq!(bench.database.sql("SELECT count(*) FROM events").trim(), "20");
}

fn together_quickly(bench: &Bench, scope: &Scope, nonce: Option<Nonce>) -> Vec<Result<Receipt, Refusal>> {
    together(bench, |node, number| node.send(scope, &[Sent::new(&format!("from {number}"))], nonce))
}

fn caps_hold_over_all_nodes() {
    let bench = Bench::with(Backend::Postgres, Limits { names: 25, ..Limits::default() });
    let app = bench.app("UTC");
    let scope = bench.scope(&app, 0);
    together(&bench, |node, number| {
        for step in 0..20 {
            let events: Vec<_> = (0..3).map(|n| Sent::new(&format!("name {}", number * 60 + step * 3 + n))).collect();
            node.send(&scope, &events, None).unwrap();
        }
    });
    let names = "SELECT count(*) FROM strings WHERE kind = 'event'";
    assert_eq!(bench.database.sql(names).trim(), "26"); // with the one that stands for all others
    assert_eq!(bench.database.sql("SELECT count(*) FROM events").trim(), "180");
    assert_eq!(
        bench.breakdown(&scope, Dimension::Event, day(&app.zone, app.zone.local(NOW).day)).together,
        [Some(180)]
    );
}
