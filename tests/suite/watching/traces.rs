//! Traces: from a caller's header into every line of the log and back, and where the time of slow requests went.

use serde_json::Value;

use crate::harness::backend::on_both_backends;
use crate::harness::http::{Connection, Reply, Request};
use crate::harness::{Backend, Server, kit, poll};

on_both_backends! {
    a_trace_is_taken_from_the_caller_and_told_everywhere,
    slow_requests_are_told_with_where_their_time_went,
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The trace that a reply names, as the standard has it.
#[track_caller]
fn trace(reply: &Reply) -> String {
    let told = reply.header("traceresponse").unwrap_or_else(|| panic!("{:?}", reply.headers));
    let parts: Vec<&str> = told.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { panic!("{told}") };
    assert_eq!((version, trace.len(), flags.len()), ("00", 32, 2), "{told}");
    assert_eq!(Some(span), reply.header("x-request-id"), "the request is the span");
    trace.to_owned()
}

/// Lines of the log that are of a trace.
fn lines(server: &Server, trace: &str) -> Vec<Value> {
    let log = server.log();
    let all = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let names = |line: &Value, field: &str| line[field].as_str().is_some_and(|text| text.contains(trace));
    all.filter(|line| names(line, "trace_id") || names(line, "trace_ids")).collect()
}

fn a_trace_is_taken_from_the_caller_and_told_everywhere(backend: Backend) {
    let server = Server::with().backend(backend).setting("TALLYBOX_LOG_FORMAT", "json").start();
    let given = format!("00-{TRACE}-{PARENT}-01");
    let asked = |value: &str| server.send(&Request::get("/login").header("traceparent", value)).expect(200);
    let reply = asked(&given);
    assert_eq!(trace(&reply), TRACE);
    assert!(reply.header("traceresponse").unwrap().ends_with("-01"), "{:?}", reply.headers);
    let mut fresh = vec![trace(&server.get("/login")), trace(&server.get("/no/such/page"))];
    for wrong in ["", "nonsense", &given.to_uppercase(), &format!("{given}-x"), &given.replace(TRACE, &"0".repeat(32))]
    {
        fresh.push(trace(&asked(wrong)));
    }
    let twice = Request::get("/login").header("traceparent", &given).header("traceparent", &given);
    fresh.push(trace(&server.send(&twice).expect(200)));
    assert!(fresh.iter().all(|trace| trace != TRACE && trace.bytes().any(|b| b != b'0')), "{fresh:?}");
    let count = fresh.len();
    fresh.sort();
    fresh.dedup();
    assert_eq!(fresh.len(), count);
    let told = lines(&server, TRACE);
    assert!(told.iter().any(|line| line["message"] == "request" && line["path"] == "/login"), "{told:?}");
}

fn slow_requests_are_told_with_where_their_time_went(backend: Backend) {
    let launch = Server::with().backend(backend).setting("TALLYBOX_LOG_FORMAT", "json");
    let server = launch.setting("TALLYBOX_SLOW_REQUEST_MS", 1).setting("TALLYBOX_SLOW_QUERY_MS", 1).start();
    let app = server.app("Slow");
    // So many that a commit takes longer than a millisecond.
    let events: Vec<Value> = (0..1_000).map(|n| kit::event(&format!("e{}", n % 50))).collect();
    let request = app.sdk(&kit::batch(&events)).header("traceparent", &format!("00-{TRACE}-{PARENT}-00"));
    let reply = server.send(&request).expect(200);
    assert_eq!(trace(&reply), TRACE);
    let find = |trace: &str, message: &str| {
        poll::until(std::time::Duration::from_secs(20), message, || {
            lines(&server, trace).into_iter().find(|line| line["message"] == message)
        })
    };
    let slow = find(TRACE, "slow request");
    let ms = |name: &str| slow[name].as_f64().unwrap_or_else(|| panic!("{name}: {slow}"));
    let parts = ["body_ms", "queue_ms", "commit_ms", "report_ms", "store_ms", "other_ms"].map(ms);
    assert!(ms("commit_ms") > 0.0 && (parts.iter().sum::<f64>() - ms("duration_ms")).abs() < 1.0, "{slow}");
    assert_eq!(slow["path"], "/v1/ingest/{organization}/{app}", "{slow}");
    // The commit is told of the writer's thread, and names the request all the same.
    let told = lines(&server, TRACE);
    assert!(told.iter().any(|line| line["what"] == "a commit of events"), "{told:?}");

    // A client that keeps the box waiting.
    let other = TRACE.replace('4', "5");
    let request = app.sdk(&kit::batch(&[kit::event("late")])).header("traceparent", &format!("00-{other}-{PARENT}-00"));
    let bytes = request.bytes(&server.address().to_string());
    let mut connection = Connection::open(server.address()).unwrap();
    connection.write(&bytes[..bytes.len() - 10]).unwrap();
    poll::throughout(std::time::Duration::from_millis(300), poll::pause);
    connection.write(&bytes[bytes.len() - 10..]).unwrap();
    assert_eq!(trace(&connection.read(false).unwrap().expect(200)), other);
    let slow = find(&other, "slow request");
    assert!(slow["cause"] == "body" && slow["body_ms"].as_f64() >= Some(200.0), "{slow}");

    let cookie = server.sign_in();
    let figures = server.get("/metrics").expect(200).text();
    assert!(figures.contains("tallybox_slow_requests_total{cause=\"body\"}"), "{figures}");
    let told = server.page("/box.json", &cookie).expect(200).json();
    assert!(told["database"]["slowest"].as_array().is_some_and(|all| !all.is_empty()), "{told}");
}
