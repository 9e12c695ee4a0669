//! How the box is watched: health, figures, objectives, traces.

mod dashboard;
mod health;
mod objectives;
mod push;
mod traces;

use serde_json::json;

use crate::harness::Server;
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};
use crate::teardown::client::Client;

/// Lets come what figures tell of: events, duplicates, refusals, devices, pages and errors.
fn traffic(server: &Server, app: &Credentials) {
    let event = kit::event("a");
    server.accept(app, std::slice::from_ref(&event));
    server.accept(app, &[event, kit::event("b")]);
    let mut malformed = kit::event("c");
    malformed["timestamp"] = json!("never");
    server.accept(app, &[malformed]);
    server.send(&Request::post(&app.path(), b"{}".to_vec())).expect(401);
    let mut client = Client::new(server, app);
    client.refresh();
    client.track(&[json!({ "event_name": "d", "device_id": client.device_id })]).unwrap();
    let cookie = server.sign_in();
    for path in ["/apps".to_owned(), format!("/apps/{}", app.slug), "/box".to_owned(), "/nowhere".to_owned()] {
        server.page(&path, &cookie);
    }
}
