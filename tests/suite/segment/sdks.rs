//! The published SDKs themselves, unchanged.

use super::{key_of, people, set_aside};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Server, sdk};

on_both_backends! { the_sdk_for_node_delivers_everything_once }

/// How many of the events that a script reports are there with all that they had.
fn whole(server: &Server, name: &str) -> usize {
    let rows = server.sql(&format!(
        "SELECT e.props FROM events e JOIN facts f ON f.id = e.facts_id JOIN strings s ON s.id = f.sdk \
         JOIN strings n ON n.id = e.name_id WHERE n.text = 'Order Completed' AND s.text LIKE '{name}/%'"
    ));
    let told = |n: usize| {
        let (title, nested) = (format!("Grüße, 世界 🎉 {n}"), r#"{"a":null,"b\"\\":[true,1.5]}"#);
        format!(r#"{{"n":{n},"title":"{title}","nested":{{"deep":[{n},{nested}]}}}}"#)
    };
    let mut rows: Vec<&str> = rows.lines().collect();
    let all = rows.len();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), all, "some of {name} are there twice");
    (0..all).filter(|n| rows.binary_search(&&*told(*n)).is_ok()).count()
}

fn the_sdk_for_node_delivers_everything_once(backend: Backend) {
    let server = Server::over(backend);
    let key = key_of(&server, "Noded");
    sdk::node("segment.mjs", &server, &key, &[("COUNT", "1000")]);
    assert_eq!((whole(&server, "@segment/analytics-node"), set_aside(&server)), (1_000, 0));
    assert_eq!(server.count("SELECT count(*) FROM events"), 1_000, "who somebody is is no event");
    let ana = "u-0|ana@example.com|Ana Ünïcode\n".to_owned();
    assert_eq!(people::told(&server), (ana, 2, 2), "a-0 is u-0, a-1 is u-1");
    assert_eq!(server.count("SELECT count(*) FROM facts WHERE system IS NOT NULL OR locale IS NOT NULL"), 0);
}

#[test]
fn rudderstacks_sdk_for_node_delivers_everything_once() {
    let server = Server::start();
    for gzip in ["1", "0"] {
        let key = key_of(&server, &format!("Ruddered {gzip}"));
        let before = whole_of_all(&server);
        sdk::node("rudderstack.mjs", &server, &key, &[("COUNT", "1000"), ("GZIP", gzip)]);
        assert_eq!((whole_of_all(&server) - before, set_aside(&server)), (1_000, 0));
        if before == 0 {
            assert_eq!(whole(&server, "analytics-node"), 1_000);
        }
    }
}

fn whole_of_all(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM events")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_browsers_delivers_everything_once_from_another_origin() {
    let server = Server::start();
    let key = key_of(&server, "Browsed");
    let complaints = sdk::browser("segment.mjs", &server, &key, &[("COUNT", "50")]).await;
    assert_eq!(complaints, [] as [String; 0]);
    let rows = server.sql(
        "SELECT n.text, s.text, y.text, l.text, count(DISTINCT e.props), count(*) FROM events e \
         JOIN strings n ON n.id = e.name_id JOIN facts f ON f.id = e.facts_id JOIN strings s ON s.id = f.sdk \
         JOIN strings y ON y.id = f.system JOIN strings l ON l.id = f.locale GROUP BY 1, 2, 3, 4 ORDER BY 1",
    );
    let expected = "$pageview|analytics.js/npm:next-1.84.3|linux|en-US|1|2\n\
                    Order Completed|analytics.js/npm:next-1.84.3|linux|en-US|100|100\n";
    assert_eq!((rows.as_str(), set_aside(&server)), (expected, 0));
    let props = server.sql("SELECT props FROM events WHERE props LIKE '%\"n\":7,%batching%'");
    assert!(
        props.contains(r#""title":"Grüße, 世界 🎉 7","nested":{"deep":[7,{"a":null}]},"page_path":"/""#),
        "{props}"
    );
}
