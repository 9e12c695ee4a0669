//! As much of JSON Schema as the OpenAPI document uses; a word that is not known here is an error.

use serde_json::{Map, Value};

/// Says nothing of the value, or is judged elsewhere.
const SILENT: [&str; 5] = ["description", "example", "default", "title", "pattern"];

/// What is wrong with a value by a schema of a document; empty where nothing is.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "$", &mut found);
    found
}

/// The schema or parameter itself, where it is named by a reference.
pub fn resolve<'d>(document: &'d Value, place: &'d Value) -> &'d Value {
    match place["$ref"].as_str() {
        Some(name) => {
            let pointer = name.strip_prefix('#').unwrap_or_else(|| panic!("{name} lies elsewhere"));
            document.pointer(pointer).unwrap_or_else(|| panic!("{name} is not there"))
        }
        None => place,
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolve(document, schema).as_object().unwrap_or_else(|| panic!("no schema: {schema}"));
    for (word, rule) in schema {
        let fits = match word.as_str() {
            "type" => is_of_type(rule, value),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "anyOf" => rule.as_array().unwrap().iter().any(|one| faults(document, one, value).is_empty()),
            "format" => value.as_str().is_none_or(|text| has_format(rule.as_str().unwrap(), text)),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "required" => value.as_object().is_none_or(|value| requires(rule, value)),
            "properties" | "additionalProperties" | "propertyNames" | "items" => true,
            word if SILENT.contains(&word) => true,
            word => panic!("the test does not know {word}"),
        };
        if !fits {
            found.push(format!("{at}: {value} breaks {word} {rule}"));
        }
    }
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(items) = schema.get("items") {
            check(document, items, item, &format!("{at}[{place}]"), found);
        }
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        if let Some(names) = schema.get("propertyNames") {
            check(document, names, &name.as_str().into(), &at, found);
        }
        match (schema.get("properties").and_then(|known| known.get(name)), schema.get("additionalProperties")) {
            (Some(known), _) => check(document, known, member, &at, found),
            (None, Some(Value::Bool(false))) => found.push(format!("{at} is not in the schema")),
            (None, Some(Value::Bool(true)) | None) => {}
            (None, Some(further)) => check(document, further, member, &at, found),
        }
    }
}

fn requires(names: &Value, value: &Map<String, Value>) -> bool {
    names.as_array().unwrap().iter().all(|name| value.contains_key(name.as_str().unwrap()))
}

fn is_of_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type is called {other}"),
    };
    match rule {
        Value::Array(several) => several.iter().any(is),
        one => is(one),
    }
}

fn has_format(name: &str, text: &str) -> bool {
    match name {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        other => panic!("the test does not know the format {other}"),
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let schema = serde_json::json!({ "type": "object", "required": ["a"], "additionalProperties": false, "properties": {
        "a": { "type": ["integer", "null"] }, "b": { "anyOf": [{ "const": 1 }, { "enum": ["x"] }] },
        "c": { "type": "array", "items": { "type": "string", "format": "date-time" } } } });
    for (value, count) in [
        (serde_json::json!({ "a": null }), 0),
        (serde_json::json!({ "a": 1, "b": "x", "c": ["2026-01-01T00:00:00Z"] }), 0),
        (serde_json::json!({ "a": 1.5 }), 1),
        (serde_json::json!({}), 1),
        (serde_json::json!({ "a": 1, "b": "y" }), 1),
        (serde_json::json!({ "a": 1, "c": ["soon", 7] }), 2),
        (serde_json::json!({ "a": 1, "d": 1 }), 1),
        (serde_json::json!([]), 1),
    ] {
        let found = faults(&schema, &schema, &value);
        assert_eq!(found.len(), count, "{value}: {found:?}");
    }
}
