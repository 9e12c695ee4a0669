//! The server that uses the data directory: whether it answers, and whether it is ready.

use super::super::client::Way;
use super::Ground;
use super::finding::Finding;

/// Asks the server that is there whether it is ready.
pub fn answers(ground: &Ground<'_>) -> Finding {
    const CHECK: &str = "server";
    let config = ground.config;
    if !ground.is_running {
        return Finding::ok(CHECK, "No server uses the data directory now.");
    }
    let address = std::fs::read_to_string(config.data_dir.join("tallybox.addr")).unwrap_or_default();
    let asked = Way::parse(&format!("http://{}{}", address.trim(), config.base_path));
    let fix = "look into its log, then restart it";
    match asked.and_then(|way| way.get("/health/ready", None)) {
        Ok(answer) if answer.status == 200 => Finding::ok(CHECK, format!("The server at {} is ready.", address.trim())),
        Ok(answer) => {
            let said: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
            Finding::problem(CHECK, format!("The server is not ready: it answers {} {said}", answer.status), fix)
        }
        Err(error) => Finding::problem(CHECK, format!("The server does not answer: {error:#}."), fix),
    }
}
