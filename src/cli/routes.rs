//! The verb `routes`.

use serde_json::json;

use super::{serve, table};
use crate::config::Config;
use crate::http::Route;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// As a JSON list.
    #[arg(long)]
    json: bool,
}

/// Prints the list of routes.
pub fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let routes = serve::routes(config)?;
    table::print(&if args.json { as_json(&routes) } else { as_table(&routes) })
}

fn as_table(routes: &[Route]) -> String {
    let row = |route: &Route| {
        let limit = if route.body_limit == 0 { String::new() } else { route.body_limit.to_string() };
        [route.method.to_owned(), route.path.clone(), route.access.as_str().to_owned(), limit]
    };
    table::columns(["METHOD", "PATH", "ACCESS", "BODY LIMIT"], routes.iter().map(row).collect())
}

fn as_json(routes: &[Route]) -> String {
    let entry = |route: &Route| {
        let access = route.access.as_str();
        json!({ "method": route.method, "path": route.path, "access": access, "body_limit": route.body_limit })
    };
    format!("{:#}\n", serde_json::Value::Array(routes.iter().map(entry).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Access;

    #[test]
    fn routes_are_listed_for_people_and_programs() {
        let routes = [Route { method: "POST", path: "/v1/{app}".to_owned(), access: Access::IngestKey, body_limit: 9 }];
        assert_eq!(as_table(&routes).lines().nth(1), Some("POST    /v1/{app}  ingest-key  9"));
        let parsed: serde_json::Value = serde_json::from_str(&as_json(&routes)).unwrap();
        assert_eq!(parsed, json!([{ "method": "POST", "path": "/v1/{app}", "access": "ingest-key", "body_limit": 9 }]));
    }
}
