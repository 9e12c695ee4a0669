//! The process is killed at random moments while eight clients identify devices: whoever was told their ids keeps them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::backend::on_both_backends;
use crate::harness::http::{Connection, Request};
use crate::harness::kit::Credentials;
use crate::harness::poll;
use crate::harness::random::Random;
use crate::harness::{Backend, Server, alone};

const KILLS: usize = 8;
const CLIENTS: u64 = 8;
const SEED: u64 = 0x7a11_0401;

on_both_backends! { a_device_that_was_told_its_ids_keeps_them }

/// Device and user of each installation that was answered.
type Told = Mutex<HashMap<u64, (String, String)>>;

fn a_device_that_was_told_its_ids_keeps_them(backend: Backend) {
    let _alone = alone();
    println!("seed {SEED}");
    let mut server = Server::over(backend);
    let app = server.app("Drill");
    let credentials = Credentials { token: server.public_key(&app.slug), ..app };
    let mut random = Random::seeded(SEED);
    let told = Told::default();
    for kill in 0..KILLS {
        let enough = random.between(50, 400);
        let before = told.lock().unwrap().len() as u64;
        let address = server.address();
        let answers = AtomicU64::new(0);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let mut random = Random::seeded(SEED + client + CLIENTS * kill as u64);
                let (told, answers, credentials) = (&told, &answers, &credentials);
                scope.spawn(move || {
                    let mut connection = Connection::open(address).unwrap();
                    // Half of them are new, the others come again; several clients may be one installation.
                    loop {
                        let install = random.between(0, before + 300);
                        let Ok(reply) = connection.send(&identify(credentials, install)) else { break };
                        let ids = answer(&reply.expect(200).json());
                        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                        assert_eq!(told.entry(install).or_insert_with(|| ids.clone()), &ids, "{install}");
                        answers.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            poll::until(Duration::from_secs(60), "enough answers", || {
                (answers.load(Ordering::SeqCst) >= enough).then_some(())
            });
            server.crash();
        });
        server.restart();
    }
    let told = told.into_inner().unwrap();
    assert!(told.len() > 300, "{} devices are no load", told.len());
    for (install, ids) in &told {
        let reply = server.send(&identify(&credentials, *install)).expect(200);
        assert_eq!(&answer(&reply.json()), ids, "{install}");
    }
    assert_eq!(
        server.count("SELECT count(*) FROM devices d LEFT JOIN profiles p ON p.id = d.profile_id WHERE p.id IS NULL"),
        0
    );
    assert_eq!(server.count("SELECT count(*) FROM profiles"), server.count("SELECT count(*) FROM devices"));
    assert!(server.stop().success());
}

fn identify(credentials: &Credentials, install: u64) -> Request {
    let body = json!({ "device": {
        "os": { "platform": "LINUX", "name": "Linux", "version": "6.1" },
        "application": { "version": format!("1.{}.0", install % 3), "build_number": install % 5 },
        "hardware": { "device_name": "d", "device_type": "desktop", "device_brand": "none" },
    }});
    Request::post("/v1/identify", body.to_string())
        .header("content-type", "application/json")
        .header("td-api-key", &credentials.token)
        .header("td-org-id", &credentials.organization)
        .header("td-project-id", &credentials.app)
        .header("td-environment-slug", "production")
        .header("td-device-id", &format!("install-{install}"))
}

/// Device and user.
fn answer(reply: &serde_json::Value) -> (String, String) {
    let id = |name: &str| reply["data"][name].as_str().unwrap().to_owned();
    (id("device_id"), id("user_id"))
}
