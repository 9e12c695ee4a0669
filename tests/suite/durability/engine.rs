//! Goal R11: the SQLite that is linked in is one that keeps what it commits.

use crate::harness::Server;

#[test]
fn the_linked_sqlite_is_a_sound_one() {
    let version = rusqlite::version_number();
    assert!(version >= 3_051_003 && version != 3_052_000, "SQLite {version} can lose committed pages");
    let server = Server::with().prepare();
    let told: serde_json::Value = serde_json::from_str(&server.run(&["version", "--json"])).unwrap();
    assert_eq!(told["sqlite"], rusqlite::version(), "{told}");
}
