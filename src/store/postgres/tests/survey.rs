//! Reports that take too long.

use std::time::Duration;

use super::super::PostgresStore;
use super::{Cluster, patient};
use crate::store::StoreError;
use crate::store::backend::Backend;

#[test]
fn a_slow_report_is_interrupted_and_its_server_not_taken_for_silent() {
    let cluster = Cluster::start();
    let store = PostgresStore::open(&patient(cluster.url(""))).unwrap();
    store.wait(Duration::from_secs(30)).unwrap();
    // One slow statement, and two that are slow only together.
    for parts in [["60", "0"], ["2.5", "60"]] {
        let report = store.survey(|db| {
            for seconds in parts {
                db.rows(&format!("SELECT pg_sleep({seconds})::text"), &[])?;
            }
            Ok(())
        });
        assert!(matches!(report, Err(StoreError::Interrupted)), "{report:?}");
        assert_eq!(store.read(|db| db.value("SELECT 1", &[])).unwrap().int(), 1);
    }
}
