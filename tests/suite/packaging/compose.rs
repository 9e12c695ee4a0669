//! Goal S22: the container files, as compose itself reads them.

use std::collections::BTreeMap;
use std::process::Command;

use super::{read, root, said};
use crate::harness::Server;

const FILES: [&str; 2] = ["packaging/compose.yaml", "packaging/compose.postgres.yaml"];

/// What every service must say.
const HARDENED: [&str; 8] = [
    "read_only: true\n",
    "cap_drop:\n  - ALL\n",
    "security_opt:\n  - no-new-privileges:true\n",
    "tmpfs:\n  - /tmp:size=64m,mode=1777,noexec,nosuid,nodev\n",
    "pids_limit: 256\n",
    "healthcheck:\n  test: [\"CMD\", ",
    "mem_limit: ",
    "restart: unless-stopped\n",
];

/// What none may say.
const SOFT: [&str; 8] =
    ["privileged:", "cap_add:", "network_mode:", "pid:", "ipc:", "devices:", "docker.sock", "seccomp"];

/// The services of a file that compose finds valid, each with its lines, without comments and the blanks in front.
fn services(file: &str) -> BTreeMap<String, String> {
    said(Command::new("docker-compose").arg("--file").arg(root().join(file)).args(["config", "--quiet"]));
    let whole = read(file);
    let (_, list) = whole.split_once("\nservices:\n").expect("a list of services");
    let mut services: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in list.lines().take_while(|line| line.is_empty() || line.starts_with(' ')) {
        match line.strip_prefix("    ") {
            Some(rest) if !rest.trim_start().starts_with('#') => {
                services.entry(last.clone()).or_default().push_str(&format!("{rest}\n"));
            }
            Some(_) => {}
            None => last = line.trim().trim_end_matches(':').to_owned(),
        }
    }
    services
}

#[test]
fn every_container_is_closed_as_far_as_it_can_be() {
    for file in FILES {
        let services = services(file);
        assert!(services.contains_key("tallybox"), "{services:?}");
        for (name, text) in &services {
            for line in HARDENED {
                assert!(text.contains(line), "{file}, {name}: no {line:?} in\n{text}");
            }
            for word in SOFT {
                assert!(!text.contains(word), "{file}, {name} says {word}");
            }
            let user = text.lines().find_map(|line| line.strip_prefix("user: ")).unwrap_or_default();
            let numbers: Vec<u32> = user.trim_matches('"').split(':').filter_map(|id| id.parse().ok()).collect();
            assert!(numbers.len() == 2 && numbers.iter().all(|id| *id > 0), "{file}, {name}: user {user:?}");
            // Ports are for a proxy on the same machine, and what is bound from the host is no folder of it.
            let (_, ports) = text.split_once("ports:\n").unwrap_or_default();
            let mut ports = ports.lines().take_while(|line| line.starts_with("  - "));
            assert!(ports.all(|port| port.starts_with("  - \"127.0.0.1:")), "{text}");
            assert!(!text.lines().any(|line| line.starts_with("  - /") && line.contains(":/")), "{text}");
        }
    }
}

#[test]
fn what_compose_says_is_what_the_image_and_the_box_take() {
    let image = read("packaging/Containerfile");
    assert!(image.contains("\nFROM scratch\n") && image.contains("\nUSER 65532:65532\n"), "{image}");
    assert!(image.contains("\nVOLUME /data\n") && image.contains("\nHEALTHCHECK "), "{image}");
    let command = image.lines().find_map(|line| line.split_once("HEALTHCHECK ")?.1.split_once("CMD ")).unwrap().1;
    for file in FILES {
        let text = services(file).remove("tallybox").unwrap();
        assert!(text.contains("user: \"65532:65532\"\n") && text.contains("\n  - data:/data\n"), "{text}");
        assert!(text.contains(&format!("  test: [\"CMD\", {}\n", command.trim_start_matches('['))), "{text}");
    }
}

#[test]
fn the_box_understands_the_settings_for_postgresql_and_no_secret_is_in_the_file() {
    let text = services(FILES[1]).remove("tallybox").unwrap();
    let server = Server::with().prepare();
    let secret = server.home().join("password");
    std::fs::write(&secret, "0123456789abcdef\n").unwrap();
    let mut command = server.command(&["config", "show"]);
    let mut given = 0;
    for (name, value) in text.lines().filter_map(|line| line.strip_prefix("  TALLYBOX_")?.split_once(": ")) {
        let value = if name.ends_with("_FILE") { secret.display().to_string() } else { value.to_owned() };
        command.env(format!("TALLYBOX_{name}"), value);
        given += 1;
    }
    assert_eq!(given, 2, "{text}");
    let shown = said(&mut command);
    assert!(shown.contains("postgres://tallybox@database/tallybox") && shown.contains("(hidden)"), "{shown}");
    for file in FILES {
        let whole = read(file).to_lowercase();
        let secrets = whole.lines().filter(|line| line.contains("password") && !line.trim_start().starts_with('#'));
        for line in secrets {
            let by_file = line.contains("_file: /run/secrets/")
                || line.ends_with("database_password")
                || line.ends_with("database_password:");
            assert!(by_file, "{file}: {line}");
        }
    }
}
