//! Answers by hour: what is counted adds up, and hours of which no budget is any more are forgotten.

use tallybox::model::{Answers, BUDGET_HOURS, Traffic};

use super::*;

on_both_backends! { answers_of_an_hour_add_up_and_old_hours_go }

fn answers_of_an_hour_add_up_and_old_hours_go(backend: Backend) {
    let bench = Bench::new(backend);
    let of = |hour, traffic, (requests, failed, slow)| Answers { hour, traffic, requests, failed, slow };
    let now = 500_000;
    let old = of(now - BUDGET_HOURS - 30, Traffic::Pages, (9, 9, 9));
    bench.store.count_answers(&[old]).unwrap();
    assert_eq!(bench.store.answers(0).unwrap(), [old]);
    for _ in 0..2 {
        let counted = [of(now, Traffic::Pages, (3, 0, 1)), of(now, Traffic::Ingest, (10, 2, 0))];
        bench.store.count_answers(&counted).unwrap();
    }
    bench.store.count_answers(&[of(now - 1, Traffic::Ingest, (1, 0, 0))]).unwrap();
    bench.store.count_answers(&[]).unwrap();
    let (before, ingest) = (of(now - 1, Traffic::Ingest, (1, 0, 0)), of(now, Traffic::Ingest, (20, 4, 0)));
    let pages = of(now, Traffic::Pages, (6, 0, 2));
    assert_eq!(bench.store.answers(0).unwrap(), [before, ingest, pages]);
    assert_eq!(bench.store.answers(now).unwrap(), [ingest, pages]);
}
