//! The oracle's look at two databases: each row of each table, by `sqlite3` and `psql` alone.

use crate::harness::Database;

/// Each table with its columns, and apart from them those that hold bytes.
pub const TABLES: [(&str, &str, &str); 47] = [
    ("organizations", "id, slug, name, created_at", "uuid"),
    (
        "apps",
        "id, organization_id, slug, name, zone, strict, created_at, first_event_at, first_session_at, archived_at, deleted_at, collects_public",
        "uuid salt",
    ),
    ("environments", "id, app_id, slug", ""),
    (
        "ingest_keys",
        "id, environment_id, name, hint, created_at, last_used_at, revoked_at, kind",
        "token_hash sealed_secret",
    ),
    ("tiers", "id, name, key_rate, app_rate, network_rate, day_events, usual", ""),
    ("app_limits", "app_id, tier_id, networks, origins", ""),
    ("bans", "id, app_id, kind, label, member, created_at", "hash identifier"),
    (
        "client_orders",
        "id, app_id, env_id, versions, version, sample, names, flush_secs, quiet, quiet_till, member, created_at",
        "",
    ),
    ("keeping", "env_id, kind, days, changed_at, gone_before", ""),
    ("visitor_salts", "app_id, day", "salt"),
    ("trusted_clock", "id, at, credit", ""),
    (
        "api_tokens",
        "id, organization_id, app_id, name, hint, scopes, created_at, expires_at, last_used_at, revoked_at",
        "token_hash",
    ),
    ("directory", "id, version", ""),
    ("members", "id, name, password_hash, owner, created_at, disabled_at", ""),
    ("memberships", "member_id, organization_id, role, created_at", ""),
    ("invitations", "id, organization_id, role, note, invited_by, created_at, expires_at", "token_hash"),
    ("logins", "member_id, created_at, seen_at, way, place, proved_at", "token_hash"),
    ("two_factor", "member_id, last_step, confirmed_at", "sealed_secret"),
    ("recovery_codes", "member_id", "hash"),
    ("identities", "issuer, subject, member_id, created_at", ""),
    ("setup_tokens", "expires_at", "hash"),
    ("strings", "id, app_id, kind, text", ""),
    (
        "facts",
        "id, app_id, version, build, system, system_version, arch, device, locale, sdk, service, language, shell, ci, country",
        "digest",
    ),
    ("users", "id, env_id, first_at, last_day", "hash"),
    ("links", "id, env_id, linked_at, due_at, stage, position", "hash into_hash"),
    ("user_days", "env_id, day, user_id, hours, crashes", ""),
    ("device_days", "env_id, day, device_id, hours", ""),
    ("error_groups", "env_id, error_id, message, first_at, last_at", ""),
    ("sessions", "id, env_id, user_id, facts_id, started_at, ended_at, events, crashed", "hash"),
    (
        "events",
        "env_id, claimed_at, skew, delay, name_id, category_id, facts_id, user_id, session_id, props, error_id, fatal",
        "event_id",
    ),
    (
        "rollup_hours",
        "env_id, dimension, bucket, value, events, sessions, users, day_users, new_users, errors, crashes, crashed_sessions",
        "",
    ),
    (
        "rollup_days",
        "env_id, dimension, bucket, value, events, sessions, users, day_users, new_users, errors, crashes, crashed_sessions",
        "",
    ),
    ("answered_hours", "hour, traffic, requests, failed, slow", ""),
    ("intake_days", "app_id, day, outcome, events", ""),
    ("set_aside", "id, app_id, env_id, received_at, reason, detail, body, again", "event_id"),
    ("nonces", "at, app_id", "value"),
    ("versions", "id, app_id, name, major, minor, patch, status, notes, status_at, created_at", "uuid"),
    ("builds", "id, version_id, number, platform, status, notes, status_at, created_at", "uuid"),
    ("version_rules", "app_id, platform, required, recommended, notes, store_url, updated_at", ""),
    ("profiles", "id, env_id, identifier, email, name, created_at, updated_at", "uuid hash"),
    (
        "devices",
        "id, env_id, install_id, profile_id, platform, system_name, system_version, name, kind, brand, created_at, seen_at",
        "uuid",
    ),
    (
        "device_sessions",
        "id, env_id, device_id, profile_id, version_id, build_id, facts_id, issued_at, token_expires_at, expires_at, started_at, seen_at, system_version, sdk_name, sdk_version, ota",
        "uuid hash",
    ),
    ("push_tokens", "id, env_id, platform, token, device_id, profile_id, active, created_at, updated_at", ""),
    ("funnels", "id, env_id, name, query, saved_at", "uuid"),
    (
        "erasures",
        "id, app_id, env_id, kind, digest, user_id, profile_id, device_id, phase, position, counts, member, place, asked_at, changed_at, ended_at, worker, held_until",
        "uuid",
    ),
    ("erased_days", "env_id, day", ""),
    ("audit", "id, at, organization_id, app_id, member, place, action, subject, detail", ""),
];

/// All rows of all tables, table by table, in the order of their text.
#[track_caller]
pub fn all(database: &Database) -> Vec<(&'static str, Vec<String>)> {
    let read = |(table, columns, bytes): &(&'static str, &str, &str)| {
        let bytes = bytes.split_whitespace().map(|column| format!(", {}", database.hex(column)));
        let sql = format!("SELECT {columns}{} FROM {table}", bytes.collect::<String>());
        let mut rows: Vec<_> = database.sql(&sql).lines().map(str::to_owned).collect();
        rows.sort_unstable();
        (*table, rows)
    };
    TABLES.iter().map(read).collect()
}

/// Insists on the same rows in both. No server may run over either of them: it would write of its own what it has answered.
#[track_caller]
pub fn same(one: &Database, other: &Database) {
    for ((table, mine), (_, theirs)) in all(one).into_iter().zip(all(other)) {
        let different = mine.iter().zip(&theirs).find(|(mine, theirs)| mine != theirs);
        assert!(mine == theirs, "{table}: {} rows and {}, {different:?}", mine.len(), theirs.len());
        let rows = one.count(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(usize::try_from(rows).unwrap(), mine.len(), "{table} was not read row by row");
    }
}

#[test]
fn no_table_and_no_column_is_overlooked() {
    let server = crate::harness::Server::start();
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    // All but the migrations, the nodes, their jobs, and what is settled: a destination settles by itself.
    let left_out = 3 + server.count(&format!("{tables} AND name LIKE 'settled_%'"));
    assert_eq!(left_out, 12);
    assert_eq!(server.count(tables), i64::try_from(TABLES.len()).unwrap() + left_out);
    for (table, columns, bytes) in TABLES {
        let named = columns.split(',').count() + bytes.split_whitespace().count();
        // The number of an event's row is SQLite's own.
        let own = usize::from(table == "events");
        let known = server.count(&format!("SELECT count(*) FROM pragma_table_info('{table}')"));
        assert_eq!(usize::try_from(known).unwrap(), named + own, "{table}");
    }
}
