//! `GET /api/v1/openapi.json`: what there is to ask, for programs. The lists in it are filled in from the declarations
//! that answers are made by.

use std::sync::LazyLock;

use axum::extract::State;
use serde_json::{Value, json};

use super::super::state::WebState;
use super::{Answer, ApiError, Params, Units};
use crate::model::{Dimension, Metric, Unit};
use crate::query::{COHORTS, Compare, Interval, Preset};

/// All of it but the lists.
const TEXT: &str = include_str!("openapi.json");

/// What stands in lists of parameters for all filters.
const FILTERS: &str = "#/components/parameters/filters";

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// Answers with the document, in which addresses begin with this box's base path.
pub async fn show(State(state): State<WebState>, params: Params) -> Result<Answer, ApiError> {
    params.end()?;
    let mut document = DOCUMENT.clone();
    let base = state.site.base_path.as_str();
    document["servers"][0]["url"] = if base.is_empty() { "/" } else { base }.into();
    Ok(Answer::new(&document))
}

fn document() -> Value {
    let mut document: Value = serde_json::from_str(TEXT).expect("the file is JSON, which a test reads");
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let schemas = &mut document["components"]["schemas"];
    schemas["Metric"]["enum"] = Metric::ALL.map(Metric::name).as_slice().into();
    schemas["Dimension"]["anyOf"][0]["enum"] =
        Dimension::OFFERED.map(|dimension| dimension.to_string()).to_vec().into();
    schemas["Preset"]["enum"] = Preset::NAMED.map(Preset::name).as_slice().into();
    schemas["Interval"]["enum"] = Interval::ALL.map(Interval::name).as_slice().into();
    schemas["Comparison"]["enum"] = Compare::ALL.map(Compare::name).as_slice().into();
    schemas["Cohort_length"]["enum"] = COHORTS.map(|(interval, _)| interval.name()).as_slice().into();
    let units = [Unit::Count, Unit::Duration, Unit::Hundredths, Unit::Share];
    schemas["Unit"]["enum"] = units.map(Units::name).as_slice().into();

    let filters: Vec<(String, Value)> = Dimension::OFFERED.iter().flat_map(filters).collect();
    let names: Vec<&String> = filters.iter().map(|(name, _)| name).collect();
    let listed: Vec<Value> = names.iter().map(|name| reference(name)).chain([reference("properties")]).collect();
    if let Some(paths) = document["paths"].as_object_mut() {
        for path in paths.values_mut() {
            if let Some(parameters) = path["get"]["parameters"].as_array_mut()
                && parameters.iter().any(|parameter| parameter["$ref"] == FILTERS)
            {
                parameters.retain(|parameter| parameter["$ref"] != FILTERS);
                parameters.extend(listed.iter().cloned());
            }
        }
    }
    if let Some(parameters) = document["components"]["parameters"].as_object_mut() {
        parameters.extend(filters);
    }
    document
}

/// The two conditions on a dimension, by their names among the components.
fn filters(dimension: &Dimension) -> [(String, Value); 2] {
    let label = dimension.label();
    let parameter = |name: String, description: String| {
        let schema = json!({ "type": "array", "items": { "type": "string" } });
        json!({ "name": name, "in": "query", "description": description, "style": "form", "explode": true,
                "schema": schema, "example": ["a", "b"] })
    };
    let is = format!("{label}: one of these. An empty value is that of events that do not say.");
    let is_not = format!("{label}: none of these.");
    [
        (format!("is_{dimension}"), parameter(dimension.to_string(), is)),
        (format!("is_not_{dimension}"), parameter(format!("{dimension}!"), is_not)),
    ]
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}
