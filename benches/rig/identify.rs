//! Installations that say who they are, and programs that ask whether they must update.

use std::sync::Barrier;
use std::time::Instant;

use super::Rig;
use super::measure::{Figures, at};
use super::traffic::clients;

/// Connections.
const CLIENTS: usize = 64;
/// Installations, the same number for each connection.
const DEVICES: usize = 300 * CLIENTS;
/// Questions for the version, the same number for each connection.
const QUESTIONS: usize = 2_000 * CLIENTS;

/// New installations, the same ones again, and questions for the version.
pub fn measure(rig: &Rig, figures: &mut Figures) {
    let identify = |client: usize, n: usize| request(rig, client * (DEVICES / CLIENTS) + n);
    timed(rig, figures, "identify_cold", DEVICES / CLIENTS, identify);
    timed(rig, figures, "identify_known", DEVICES / CLIENTS, identify);
    let question = format!(
        "GET /v1/apps/{}/version-check?platform=IOS&version=1.2.3&build=45 HTTP/1.1\r\nhost: {}\r\n\r\n",
        rig.app, rig.address
    );
    timed(rig, figures, "version_check", QUESTIONS / CLIENTS, |_, _| question.clone().into_bytes());
}

/// `each` requests on every connection: how many a second, and how long they took.
fn timed(rig: &Rig, figures: &mut Figures, name: &str, each: usize, request: impl Fn(usize, usize) -> Vec<u8> + Sync) {
    let start = Barrier::new(CLIENTS);
    let results = clients(rig, CLIENTS, |client, mut connection| {
        let requests: Vec<_> = (0..each).map(|n| request(client, n)).collect();
        start.wait();
        let began = Instant::now();
        let mut waits = Vec::with_capacity(each);
        for request in &requests {
            let sent = Instant::now();
            assert_eq!(connection.exchange(request).0, 200, "{}", String::from_utf8_lossy(request));
            waits.push(sent.elapsed());
        }
        (began, Instant::now(), waits)
    });
    let began = results.iter().map(|r| r.0).min().expect("there are clients");
    let ended = results.iter().map(|r| r.1).max().expect("there are clients");
    let mut waits: Vec<_> = results.into_iter().flat_map(|r| r.2).collect();
    waits.sort_unstable();
    figures.add(format!("{name}_requests_per_s"), waits.len() as f64 / (ended - began).as_secs_f64());
    figures.add(format!("{name}_p50_ms"), at(&waits, 0.5));
    figures.add(format!("{name}_p99_ms"), at(&waits, 0.99));
}

/// What the `n`th installation says of itself, as the Teardown client sends it.
fn request(rig: &Rig, n: usize) -> Vec<u8> {
    let body = format!(
        "{{\"device\":{{\"os\":{{\"platform\":\"IOS\",\"name\":\"iOS\",\"version\":\"18.{}\"}},\"application\":\
         {{\"version\":\"1.2.{}\",\"build_number\":45}},\"hardware\":{{\"device_name\":\"telephone {n}\",\
         \"device_type\":\"phone\",\"device_brand\":\"Apple\"}},\"update\":null}}}}",
        n % 5,
        n % 7
    );
    format!(
        "POST /v1/identify HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ntd-api-key: {}\r\ntd-org-id: {}\r\n\
         td-project-id: {}\r\ntd-environment-slug: production\r\ntd-device-id: 37a4e0db-31c0-4a74-9959-{n:012x}\r\n\
         content-length: {}\r\n\r\n{body}",
        rig.address,
        rig.token,
        rig.organization,
        rig.app,
        body.len()
    )
    .into_bytes()
}
