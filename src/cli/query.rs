//! The verb `query`: counts of a running server, as a table.

use std::io::IsTerminal;

use serde_json::Value;

use super::client::{Client, Server, condition};
use super::table;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to count: events, users, sessions, error_rate and so on; several make several columns.
    #[arg(required = true, value_name = "METRIC")]
    metrics: Vec<String>,
    /// Break down by event, version, system, prop:NAME and so on, instead of by time.
    #[arg(long, value_name = "DIMENSION")]
    by: Option<String>,
    /// How far back: today, 24h, 7d, 28d, 90d, month, year or all [default: 28d].
    #[arg(long)]
    range: Option<String>,
    /// First day instead, such as 2026-03-01.
    #[arg(long, value_name = "DAY", conflicts_with = "range")]
    from: Option<String>,
    /// Last day.
    #[arg(long, value_name = "DAY", requires = "from")]
    to: Option<String>,
    /// Length of a row in time: hour, day, week or month [default: what suits the range].
    #[arg(long, value_name = "INTERVAL", conflicts_with = "by")]
    every: Option<String>,
    /// Only what NAME=VALUE or NAME!=VALUE holds for; several of one name are alternatives.
    #[arg(long = "where", value_name = "CONDITION", value_parser = condition)]
    conditions: Vec<(String, String)>,
    /// Most rows of a breakdown.
    #[arg(long)]
    limit: Option<u32>,
    /// The answer as it came.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Asks and prints: aligned for people, with tabs for programs.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let answer = Client::new(&args.server)?.ask("query", &pairs(args))?;
    if args.json {
        return table::print(&format!("{answer:#}\n"));
    }
    let people = std::io::stdout().is_terminal();
    let rows = rows(&answer, if people { told } else { plain });
    table::print(&if people { table::aligned(&rows) } else { table::tabbed(&rows) })
}

fn pairs(args: &Args) -> Vec<(String, String)> {
    let named = [
        ("dimension", args.by.clone()),
        ("range", args.range.clone()),
        ("from", args.from.clone()),
        ("to", args.to.clone()),
        ("by", args.every.clone()),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    let metrics = args.metrics.iter().map(|metric| ("metric".to_owned(), metric.clone()));
    let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    metrics.chain(named).chain(args.conditions.iter().cloned()).collect()
}

/// A header and one row for each period or value, with the sum of all where there is a dimension.
fn rows(answer: &Value, cell: fn(&Value, &str) -> String) -> Vec<Vec<String>> {
    let metrics: Vec<(&str, &str)> = match &answer["units"] {
        Value::Object(units) => units.iter().map(|(name, unit)| (name.as_str(), unit.as_str().unwrap_or(""))).collect(),
        _ => Vec::new(),
    };
    let (list, by) = match answer["breakdown"]["dimension"].as_str() {
        Some(dimension) => (&answer["breakdown"]["rows"], dimension),
        None => (&answer["periods"], "from"),
    };
    let first = |row: &Value| match (row["local"].as_str(), row["value"].as_str()) {
        (Some(local), _) => local.to_owned(),
        (None, Some(value)) => table::printable(value),
        (None, None) => "(not reported)".to_owned(),
    };
    let values = |row: &Value| metrics.iter().map(|(name, unit)| cell(&row["values"][name], unit)).collect::<Vec<_>>();
    let header = std::iter::once(by).chain(metrics.iter().map(|(name, _)| *name)).map(str::to_owned).collect();
    let rows = list.as_array().into_iter().flatten();
    std::iter::once(header).chain(rows.map(|row| [vec![first(row)], values(row)].concat())).collect()
}

/// For programs: what the answer has, nothing where there is nothing to speak of.
fn plain(value: &Value, _unit: &str) -> String {
    if value.is_null() { String::new() } else { value.to_string() }
}

/// For people.
fn told(value: &Value, unit: &str) -> String {
    match (unit, value.as_f64()) {
        (_, None) => "–".to_owned(),
        ("share", Some(share)) => format!("{:.2}%", share * 100.0),
        ("ratio", Some(ratio)) => format!("{ratio:.2}"),
        ("milliseconds", Some(ms)) => format!("{:.1}s", ms / 1_000.0),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_become_rows() {
        let units = json!({ "events": "count", "error_rate": "share", "session_length": "milliseconds" });
        let values = json!({ "events": 12, "error_rate": 0.125, "session_length": null });
        let series = json!({ "units": units, "breakdown": null,
            "periods": [{ "local": "2026-04-10T00:00:00+02:00", "values": values }] });
        assert_eq!(
            rows(&series, told),
            [["from", "events", "error_rate", "session_length"], ["2026-04-10T00:00:00+02:00", "12", "12.50%", "–"]]
        );
        let breakdown = json!({ "units": units, "periods": null, "breakdown": { "dimension": "version", "rows": [
            { "value": "1.0\u{1b}[2J", "values": values }, { "value": null, "values": values }] } });
        assert_eq!(
            rows(&breakdown, plain),
            [
                ["version", "events", "error_rate", "session_length"],
                ["1.0\\u{1b}[2J", "12", "0.125", ""],
                ["(not reported)", "12", "0.125", ""]
            ]
        );
    }
}
