//! Who users are, as far as calls tell it.

use serde_json::json;

use super::{names, post, server_with_key, set_aside, taken, track};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Server};

on_both_backends! { who_users_are_is_learnt_without_counting_it_as_events }

/// What is told of people, and how many names led to how many people.
pub fn told(server: &Server) -> (String, i64, i64) {
    let people = server.sql("SELECT identifier, email, name FROM profiles ORDER BY identifier");
    let links = server.count("SELECT count(*) FROM links");
    (people, links, server.count("SELECT count(DISTINCT into_hash) FROM links"))
}

fn who_users_are_is_learnt_without_counting_it_as_events(backend: Backend) {
    let (server, key) = server_with_key(backend);
    let anonymous = json!({ "type": "track", "event": "before", "anonymousId": "a-1", "messageId": "1" });
    let mut known = track("after");
    known["anonymousId"] = json!("a-1");
    let traits = json!({ "email": "ana@example.com", "name": "Ana", "plan": "pro", "address": { "city": "Oslo" } });
    for message in [
        anonymous,
        json!({ "type": "identify", "userId": "u-1", "anonymousId": "a-1", "traits": traits }),
        known,
        json!({ "type": "alias", "userId": "u-1", "previousId": "old-1" }),
        json!({ "type": "group", "userId": "u-1", "anonymousId": "a-2", "groupId": "g-1", "traits": { "name": "Acme" } }),
        json!({ "type": "identify", "userId": 22, "traits": { "firstName": "Bo", "lastName": "Lyn" } }),
        json!({ "type": "identify", "anonymousId": "a-3", "traits": { "email": "nobody@example.com" } }),
        json!({ "type": "alias", "userId": "u-1", "previousId": "u-1" }),
    ] {
        for _ in 0..2 {
            taken(&server, &post("/v1/batch", &key, &json!({ "batch": [message] })));
        }
    }
    assert_eq!((names(&server), set_aside(&server)), (vec!["after".to_owned(), "before".to_owned()], 0));
    let people = "22||Bo Lyn\nu-1|ana@example.com|Ana\n".to_owned();
    assert_eq!(told(&server), (people, 3, 1), "a-1, old-1 and a-2 are u-1");
}
