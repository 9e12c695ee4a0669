//! Figures as the real Prometheus reads them, and the dashboard and rules that go with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::traffic;
use crate::harness::prometheus::{Prometheus, promtool};
use crate::harness::{Server, poll};

fn packaged(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)).unwrap()
}

/// Every query of the dashboard, with the title of its panel.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&packaged("grafana.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| (text(&panel["title"]), text(&target["expr"])))
    });
    targets.collect()
}

/// What a query groups by.
fn groups(query: &str) -> BTreeSet<&str> {
    let lists = query.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    lists.flat_map(|list| list.split(',').map(str::trim)).collect()
}

#[test]
fn prometheus_reads_every_figure_and_every_query_of_the_dashboard_finds_some() {
    let mut server = Server::with().setting("TALLYBOX_SLOW_REQUEST_MS", 1).prepare();
    server.set("TALLYBOX_BACKUP_DIR", server.home().join("backups").to_str().unwrap());
    server.restart();
    let verb = ["member", "create", crate::harness::MEMBER, "--role", "owner"];
    server.run_with(&verb, &format!("{}\n", crate::harness::PASSWORD));
    let app = server.app("Watched");
    let prometheus = Prometheus::over(server.address());
    for scrapes in [3, 6, 9] {
        traffic(&server, &app);
        prometheus.await_scrapes(scrapes);
    }
    poll::until(Duration::from_secs(20), "a backup", || {
        (!prometheus.query("tallybox_backup_newest_seconds > 0").is_empty()).then_some(())
    });
    let text = server.get("/metrics").expect(200).text();
    let labels: BTreeSet<&str> =
        text.split(['{', ',']).filter_map(|part| part.split_once("=\"")).map(|(n, _)| n).collect();
    let queries = queries();
    assert!(queries.len() > 50, "{}", queries.len());
    for (title, query) in &queries {
        assert!(!prometheus.query(query).is_empty(), "{title} finds nothing: {query}\n{text}");
        for label in groups(query) {
            assert!(labels.contains(label), "{title} groups by {label}, which nothing has: {query}");
        }
    }
    // What is told is on the dashboard, but for what only PostgreSQL has, or what others are made of.
    let told = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let hidden = ["tallybox_replica_used", "tallybox_events_outside_partitions", "tallybox_database_schema"];
    for name in told.filter(|name| !hidden.contains(name)) {
        assert!(queries.iter().any(|(_, query)| query.contains(name)), "the dashboard leaves {name} out");
    }
    let (_, said) = promtool(&["check", "metrics"], &text);
    // Names of the hosted service's figures are given, whatever is thought of them, and days are counted, not measured.
    let given = ["ingest_", "tallybox_unsettled_days "];
    let complaints: Vec<&str> = said.lines().filter(|line| !given.iter().any(|name| line.starts_with(name))).collect();
    assert_eq!(complaints, Vec::<&str>::new());
}

#[test]
fn the_rules_are_rules_and_name_figures_that_exist() {
    let rules = packaged("alerts.yml");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &rules).unwrap();
    let (fine, said) = promtool(&["check", "rules", file.path().to_str().unwrap()], "");
    assert!(fine && said.contains("9 rules found"), "{said}");
    let text = Server::with().start_fresh().get("/metrics").expect(200).text();
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let known = ["tallybox_", "http_", "events_"];
    let named = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
    let named: BTreeSet<&str> = named
        .flat_map(|query| query.split(|c| !part(c)))
        .filter(|word| known.iter().any(|start| word.starts_with(start)))
        .map(|name| name.trim_end_matches("_bucket"))
        .collect();
    assert!(named.len() > 8, "{named:?}");
    for name in named {
        assert!(text.contains(&format!("# TYPE {name} ")), "there is no {name}");
    }
}
