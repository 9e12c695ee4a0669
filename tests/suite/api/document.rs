//! The OpenAPI document against the server that serves it.

use super::schema::{faults, resolve};
use super::*;
use tallybox::model::{Dimension, Metric};
use tallybox::query::{COHORTS, Compare, Interval, Preset};

on_both_backends! {
    answers_are_as_the_document_says,
    a_breakdown_tells_of_the_range_what_it_tells_without_one,
}

/// An app with something of everything, the token that reads it, and a user of it.
fn filled(server: &Server) -> (Credentials, String, String) {
    let app = server.app("Documented");
    let token = server.token(&[&app.slug]);
    server.accept(&app, &(0..3).map(|_| of_version("1.0", "ana", "mine")).collect::<Vec<_>>());
    let user = pseudonym(server, &app, &token, "mine");
    (app, token, user)
}

/// Every documented path, filled in, with its one operation.
fn operations<'d>(document: &'d Value, app: &Credentials, user: &str) -> Vec<(String, &'d Value)> {
    let paths = document["paths"].as_object().unwrap();
    let filled = |path: &String| path.replace("{app}", &app.slug).replace("{user}", user);
    paths.iter().map(|(path, methods)| (filled(path), &methods["get"])).collect()
}

/// The query strings that a documented parameter allows: its example, and each value of a list.
fn uses(document: &Value, parameter: &Value) -> Vec<String> {
    let name = parameter["name"].as_str().unwrap();
    let encode = |pairs: Vec<(String, String)>| -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = |value: &Value| match value {
        Value::Array(values) => values.iter().map(|value| (name.to_owned(), text(value))).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        value => vec![(name.to_owned(), text(value))],
    };
    let schema = resolve(document, &parameter["schema"]);
    let item = resolve(document, &schema["items"]);
    let listed = [schema, item].into_iter().flat_map(|schema| {
        let any = schema["anyOf"].as_array().into_iter().flatten();
        let all: Vec<Value> =
            any.chain([schema]).flat_map(|s| s["enum"].as_array().cloned().unwrap_or_default()).collect();
        all
    });
    let values: Vec<Value> = listed.chain(parameter.get("example").cloned()).collect();
    assert!(!values.is_empty(), "{name} has no example");
    for value in &values {
        let fits = faults(document, schema, value).is_empty() || faults(document, item, value).is_empty();
        assert!(fits, "{name}: {value}");
    }
    values.iter().map(|value| encode(pairs(value))).collect()
}

fn answers_are_as_the_document_says(backend: Backend) {
    let server = Server::over(backend);
    let (app, token, user) = filled(&server);
    let other = server.token(&[&server.app("Else").slug]);
    let document = server.get("/api/v1/openapi.json").expect(200).json();
    let mut checked = 0;
    for (path, operation) in operations(&document, &app, &user) {
        let schema = |status: u16| {
            let response = resolve(&document, &operation["responses"][status.to_string()]);
            &response["content"]["application/json"]["schema"]
        };
        let mut ask = |query: &str, status: u16| {
            let answer = server.read(&format!("{path}?{query}"), &token).expect(status).json();
            let found = faults(&document, schema(status), &answer);
            assert!(found.is_empty(), "{path}?{query}: {found:#?}\n{answer}");
            checked += 1;
        };
        ask("", 200);
        for parameter in operation["parameters"].as_array().unwrap() {
            let parameter = resolve(&document, parameter);
            let name = parameter["name"].as_str().unwrap();
            let before = match name {
                "to" => "from=2026-01-01&",
                "window" | "split" | "conditions" => "step=mine&step=mine&",
                _ => "",
            };
            if name == "id" {
                ask(&format!("id={}", keep_funnel(&server, &app, "Kept", "step=mine&step=mine")), 200);
            } else if parameter["in"] == "query" {
                for query in uses(&document, parameter) {
                    ask(&format!("{before}{query}"), 200);
                }
            }
        }
        if path.ends_with("/funnels") {
            ask("step=mine&step=mine&split=version", 200);
        }
        if path.ends_with("/query") {
            let all = Metric::ALL.map(|metric| format!("metric={}", metric.name())).join("&");
            for rest in ["", "&dimension=event&compare=year", "&from=2026-01-01&compare=previous"] {
                ask(&format!("{all}{rest}"), 200);
            }
        }
        if operation["security"] != serde_json::json!([]) {
            ask("nothing=1", 400);
            let of_one_app = path.contains("/apps/");
            for (token, status) in [("tb_wrong", 401), (&other, 403)] {
                if status == 401 || of_one_app {
                    let answer = server.read(&path, token).expect(status).json();
                    assert_eq!(faults(&document, schema(status), &answer), [""; 0], "{answer}");
                }
            }
        }
    }
    assert!(checked > 80, "only {checked} answers were looked at");
}

fn a_breakdown_tells_of_the_range_what_it_tells_without_one(backend: Backend) {
    let server = Server::over(backend);
    let (app, token, _) = filled(&server);
    server.accept(&app, &[of_version("1.1", "bea", "other"), of_version("1.1", "ana", "mine")]);
    let all = Metric::ALL.map(|metric| format!("metric={}", metric.name())).join("&");
    for (rest, events) in [
        ("", 5),
        ("&version=1.1", 2),
        ("&event=mine&compare=previous", 4),
        ("&prop:nothing=1", 0),
        ("&from=2026-01-01&compare=year", 5),
    ] {
        let ask = |by: &str| {
            let path = format!("/api/v1/apps/{}/query?{all}{rest}{by}", app.slug);
            server.read(&path, &token).expect(200).json()
        };
        let plain = ask("");
        for by in ["event", "error", "version", "locale", "prop:command"] {
            let found = ask(&format!("&dimension={by}"));
            assert_eq!(found["total"], plain["total"], "{rest} by {by}");
            assert_eq!(found["compare"]["total"], plain["compare"]["total"], "{rest} by {by}");
        }
        assert_eq!(plain["total"]["events"], events, "{rest}");
    }
}

#[test]
fn every_route_is_documented_and_no_other() {
    let server = Server::start();
    let document = server.get("/api/v1/openapi.json").expect(200).json();
    let documented: BTreeSet<&String> = document["paths"].as_object().unwrap().keys().collect();
    let list: Value = serde_json::from_str(&server.run(&["routes", "--json"])).unwrap();
    let routes: Vec<_> = list.as_array().unwrap().iter().collect();
    let paths: BTreeSet<String> = routes
        .iter()
        .filter(|route| route["path"].as_str().unwrap().starts_with("/api/v1/"))
        .inspect(|route| assert_eq!(route["method"], "GET", "{route}"))
        .map(|route| route["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(documented, paths.iter().collect());
    for (path, methods) in document["paths"].as_object().unwrap() {
        let open = methods["get"]["security"] == serde_json::json!([]);
        let access = routes.iter().find(|route| route["path"] == path.as_str()).unwrap()["access"].as_str();
        assert_eq!(access, Some(if open { "public" } else { "api-token" }), "{path}");
        for name in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
            let parameters = methods["get"]["parameters"].as_array().unwrap().iter();
            let mut parameters = parameters.map(|parameter| resolve(&document, parameter));
            assert!(parameters.any(|p| p["name"] == name && p["in"] == "path"), "{path} says nothing of {name}");
        }
    }
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_list_in_the_document_is_that_of_the_program() {
    let document = Server::start().get("/api/v1/openapi.json").expect(200).json();
    let schemas = &document["components"]["schemas"];
    let list = |schema: &Value| -> Vec<String> {
        schema["enum"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list(&schemas["Metric"]), Metric::ALL.map(|metric| metric.name()));
    assert_eq!(list(&schemas["Dimension"]["anyOf"][0]), Dimension::OFFERED.map(|dimension| dimension.to_string()));
    assert_eq!(list(&schemas["Preset"]), Preset::NAMED.map(|preset| preset.name()));
    assert_eq!(list(&schemas["Interval"]), Interval::ALL.map(|interval| interval.name()));
    assert_eq!(list(&schemas["Comparison"]), Compare::ALL.map(|compare| compare.name()));
    assert_eq!(list(&schemas["Cohort_length"]), COHORTS.map(|(interval, _)| interval.name()));
    assert_eq!(list(&schemas["Unit"]), ["count", "milliseconds", "ratio", "share"]);
    for path in ["/api/v1/apps/{app}/query", "/api/v1/apps/{app}/events"] {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap().iter();
        let names: Vec<_> = parameters.map(|p| resolve(&document, p)["name"].as_str().unwrap().to_owned()).collect();
        for dimension in Dimension::OFFERED {
            for name in [dimension.to_string(), format!("{dimension}!")] {
                assert!(names.contains(&name), "{path} has no {name}");
            }
        }
    }
    // All that is named is there, and all that is there is named.
    let text = document.to_string();
    for kind in ["schemas", "parameters", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "nobody needs {kind} {name}");
        }
    }
    for rest in text.split("\"$ref\":\"#").skip(1) {
        let pointer = rest.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "there is no {pointer}");
    }
}

#[test]
fn addresses_keep_the_base_path() {
    let mut server = Server::with().setting("TALLYBOX_BASE_PATH", "/stats").prepare();
    server.launch();
    server.await_status("/stats/health/ready", 200);
    let app = server.app("Under a path");
    let token = server.token(&[&app.slug]);
    let sent = app.sdk(&kit::batch(&[kit::event("one"), kit::event("two")]));
    server.send(&Request { target: format!("/stats{}", sent.target), ..sent }).expect(200);
    let document = server.get("/stats/api/v1/openapi.json").expect(200).json();
    assert_eq!(document["servers"][0]["url"], "/stats");
    let path = format!("/stats/api/v1/apps/{}/events?limit=1", app.slug);
    let (first, next) = page(&server, &token, &path);
    let (second, end) = page(&server, &token, &next.expect("there are two"));
    assert_eq!((first.len(), second.len(), end), (1, 1, None));
    assert_eq!(server.read("/stats/api/v1/nothing", &token).expect(404).json()["error"]["code"], "not_found");
}
