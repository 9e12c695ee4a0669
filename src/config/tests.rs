//! Facts about the settings, through [`Config::load`] alone.

use std::collections::HashSet;
use std::fs;

use secrecy::ExposeSecret;

use super::*;

const HEX_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn sources(flags: &[(&str, &str)], variables: &[(&str, &str)]) -> Sources {
    Sources {
        flags: flags.iter().map(|(key, text)| (key.to_string(), text.to_string())).collect(),
        file: None,
        variables: variables.iter().map(|(name, text)| (name.into(), text.into())).collect(),
        system_file: "/nonexistent/tallybox.toml".into(),
        root: false,
    }
}

fn with_file(text: &str, flags: &[(&str, &str)], variables: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("box.toml");
    fs::write(&path, text).unwrap();
    let mut sources = sources(flags, variables);
    sources.file = Some(path);
    (dir, sources)
}

fn problems(sources: &Sources) -> Vec<String> {
    Config::load(sources).expect_err("the configuration is wrong").problems
}

fn source_of(config: &Config, key: &str) -> String {
    config.shown().iter().find(|shown| shown.key == key).unwrap().source.to_string()
}

#[test]
fn flag_beats_environment_beats_alias_beats_file_beats_default() {
    let file = "port = 4";
    let all = [("TALLYBOX_PORT", "2"), ("PORT", "3")];
    let rows: [(&[_], &[_], &str, u16, &str); 5] = [
        (&[("port", "1")], &all, file, 1, "--port"),
        (&[], &all, file, 2, "variable TALLYBOX_PORT"),
        (&[], &all[1..], file, 3, "variable PORT"),
        (&[], &[], file, 4, "box.toml line 1"),
        (&[], &[], "", 3000, "default"),
    ];
    for (flags, variables, file, port, source) in rows {
        let (_dir, sources) = with_file(file, flags, variables);
        let config = Config::load(&sources).unwrap();
        assert_eq!(config.port, port);
        assert!(source_of(&config, "port").ends_with(source), "{source}");
    }
}

#[test]
fn every_default_is_valid_and_shown() {
    let config = Config::load(&sources(&[], &[("HOME", "/home/ada")])).unwrap();
    assert_eq!(config.data_dir, Path::new("/home/ada/.local/share/tallybox"));
    assert_eq!(config.database_path(), Some(Path::new("/home/ada/.local/share/tallybox/tallybox.db")));
    assert_eq!((config.max_body_bytes, config.max_event_bytes), (32 << 20, 64 << 10));
    assert_eq!((config.base_path.as_str(), config.public_url.as_deref()), ("", None));
    assert!(config.respect_dnt && !config.allow_network_fs && config.trusted_proxies.is_empty());
    assert!(config.warnings().is_empty());
    let keys: Vec<_> = config.shown().iter().map(|shown| shown.key).collect();
    assert_eq!(keys, SETTINGS.iter().map(|setting| setting.key).collect::<Vec<_>>());
}

#[test]
fn names_of_settings_never_collide() {
    let mut names = HashSet::new();
    for setting in SETTINGS {
        assert!(names.insert(setting.variable()), "{}", setting.key);
        assert!(setting.flag_keys().iter().all(|key| names.insert(Setting::flag(key))), "{}", setting.key);
        assert!(setting.alias.is_none_or(|alias| names.insert(alias.to_owned())), "{}", setting.key);
        assert!(setting.help().ends_with('.'), "{}", setting.key);
    }
}

#[test]
fn data_directory_follows_its_surroundings() {
    let rows: [(&[_], bool, &str); 5] = [
        (&[("STATE_DIRECTORY", "/var/lib/private/a:/b"), ("HOME", "/h")], true, "/var/lib/private/a"),
        (&[("HOME", "/h")], true, "/var/lib/tallybox"),
        (&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")], false, "/x/tallybox"),
        (&[("XDG_DATA_HOME", ""), ("HOME", "/h")], false, "/h/.local/share/tallybox"),
        (&[("STATE_DIRECTORY", "/s"), ("TALLYBOX_DATA_DIR", "/own")], false, "/own"),
    ];
    for (variables, root, dir) in rows {
        let config = Config::load(&Sources { root, ..sources(&[], variables) }).unwrap();
        assert_eq!(config.data_dir, Path::new(dir));
    }
}

#[test]
fn file_is_found_where_it_usually_lies() {
    let (system, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = data.path().to_str().unwrap().to_owned();
    fs::write(system.path().join("tallybox.toml"), "port = 1").unwrap();
    let mut sources = sources(&[("data_dir", &dir)], &[]);
    sources.system_file = system.path().join("tallybox.toml");
    assert_eq!(Config::load(&sources).unwrap().port, 1);
    fs::write(data.path().join("tallybox.toml"), "port = 2").unwrap();
    assert_eq!(Config::load(&sources).unwrap().port, 2);
    let named = data.path().join("named.toml");
    fs::write(&named, "port = 3").unwrap();
    sources.variables.push(("TALLYBOX_CONFIG".into(), named.into()));
    assert_eq!(Config::load(&sources).unwrap().port, 3);
    sources.file = Some("/nonexistent/named.toml".into());
    assert!(problems(&sources)[0].starts_with("/nonexistent/named.toml: cannot be read"));
}

#[test]
fn unknown_names_are_told_with_the_nearest() {
    let file = "prot = 1\nunrelated_thing = 2\n[server]\nport = 3";
    let (_dir, sources) = with_file(file, &[], &[("TALLYBOX_DATADIR", "/x"), ("TALLYBOX_SETUP_TOKEN_FIEL", "/x")]);
    let problems = problems(&sources);
    assert_eq!(problems[0], "variable TALLYBOX_DATADIR: no such setting, did you mean TALLYBOX_DATA_DIR?");
    assert_eq!(
        problems[1],
        "variable TALLYBOX_SETUP_TOKEN_FIEL: no such setting, did you mean TALLYBOX_SETUP_TOKEN_FILE?"
    );
    assert!(problems[2].ends_with("box.toml line 1: no such setting: prot, did you mean port?"), "{problems:?}");
    assert!(problems[3..].iter().any(|p| p.ends_with("no such setting: unrelated_thing")), "{problems:?}");
    assert!(problems[3..].iter().any(|p| p.contains("line 3: no such setting: server")), "{problems:?}");
}

#[test]
fn all_problems_are_reported_together() {
    let (_dir, sources) =
        with_file("log_level = \"loud\"\nport = 3.5", &[("port", "http")], &[("TALLYBOX_HOST", "me"), ("PROT", "1")]);
    let error = Config::load(&sources).unwrap_err();
    assert_eq!(error.problems.len(), 4, "{error}");
    for part in ["--port: port must", "variable TALLYBOX_HOST: host must", "log_level must", "port must be a text"] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, " canary-0123456789-0123456789 \n").unwrap();
    let path = path.to_str().unwrap();
    let variables = [("TALLYBOX_SETUP_TOKEN_FILE", path), ("TALLYBOX_MASTER_KEY", HEX_KEY)];
    let config = Config::load(&sources(&[], &variables)).unwrap();
    assert_eq!(config.setup_token.as_ref().unwrap().expose_secret(), "canary-0123456789-0123456789");
    assert_eq!(source_of(&config, "setup_token"), "variable TALLYBOX_SETUP_TOKEN_FILE");
    let printed = format!("{config:?} {:?}", config.shown());
    assert!(printed.contains("(hidden)") && !printed.contains("canary") && !printed.contains(HEX_KEY));
    let flag = sources(&[("setup_token_file", path)], &[("TALLYBOX_SETUP_TOKEN", "another-0123456789-0123456789")]);
    let config = Config::load(&flag).unwrap();
    assert_eq!(config.setup_token.as_ref().unwrap().expose_secret(), "canary-0123456789-0123456789");
    assert_eq!(source_of(&config, "setup_token"), "--setup-token-file");
}

#[test]
fn secret_files_that_say_nothing_clear_are_refused_without_quoting_them() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, short) = (dir.path().join("empty"), dir.path().join("short"));
    fs::write(&empty, "\n").unwrap();
    fs::write(&short, "canary-too-short").unwrap();
    let (empty, short) = (empty.to_str().unwrap(), short.to_str().unwrap());
    let rows: [(&[(&str, &str)], &str); 6] = [
        (&[("TALLYBOX_SETUP_TOKEN_FILE", empty)], "is empty"),
        (&[("TALLYBOX_METRICS_TOKEN", "canary-of-21-letters-")], "metrics_token must be 22 to 256"),
        (&[("TALLYBOX_SETUP_TOKEN_FILE", short)], "must be 22 to 256"),
        (&[("TALLYBOX_SETUP_TOKEN_FILE", "/nonexistent/token")], "cannot be read"),
        (&[("TALLYBOX_SETUP_TOKEN_FILE", short), ("TALLYBOX_SETUP_TOKEN", "canary")], "is given directly as well"),
        (&[("TALLYBOX_MASTER_KEY", "canary")], "must be 64 hex digits"),
    ];
    for (variables, part) in rows {
        let problems = problems(&sources(&[], variables)).join("\n");
        assert!(problems.contains(part) && !problems.contains("canary"), "{problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn a_broken_file_is_told_by_line_without_quoting_it() {
    let (_dir, sources) = with_file("port = 1\nsetup_token = \"canary\n", &[], &[]);
    let problems = problems(&sources);
    assert!(problems[0].contains("box.toml line 2") && !problems[0].contains("canary"), "{problems:?}");
}

#[test]
fn values_are_read_or_refused() {
    let rows = [
        ("max_body_bytes", "1MiB", true),
        ("max_body_bytes", "64 kib", true),
        ("max_body_bytes", "63KiB", false),
        ("queue_bytes", "31MiB", false),
        ("max_event_bytes", "33MiB", false),
        ("max_event_bytes", "10", false),
        ("disk_floor_bytes", "2 MiB", true),
        ("disk_floor_bytes", "-1", false),
        ("disk_floor_bytes", "99999999999GiB", false),
        ("host", "::", true),
        ("host", "[::1]", true),
        ("host", "localhost", true),
        ("host", "example.org", false),
        ("port", "65536", false),
        ("database_url", "sqlite:///srv/box.db", true),
        ("database_url", "box.db", true),
        ("database_url", "sqlite:", false),
        ("database_url", "sqlite::memory:", false),
        ("database_url", "mysql://h/d", false),
        ("database_url", "postgres://ada@h/d", true),
        ("database_url", "PostgreSQL:///d?host=/run/postgresql&user=ada", true),
        ("database_url", "postgres://h/d?sslmode", false),
        ("database_url", "postgres:h", false),
        ("database_pool_max", "0", false),
        ("database_pool_max", "200", true),
        ("database_pool_max", "201", false),
        ("database_pool_min", "0", true),
        ("database_pool_min", "11", false),
        ("database_acquire_timeout_ms", "2s", false),
        ("database_acquire_timeout_ms", "250", true),
        ("database_idle_timeout_ms", "999", false),
        ("read_replica_max_lag_ms", "0", false),
        ("public_url", "https://[2001:db8::1]:8443/stats/", true),
        ("public_url", "https://Example.org", true),
        ("public_url", "ftp://example.org", false),
        ("public_url", "https://", false),
        ("public_url", "https://example.org/?q", false),
        ("public_url", "https://me@example.org", false),
        ("public_url", "https://example.org:0", false),
        ("public_url", "example.org", false),
        ("base_path", "/a/b/", true),
        ("base_path", "a", false),
        ("base_path", "/a//b", false),
        ("base_path", "/../b", false),
        ("trusted_proxies", "10.0.0.0/8, ::1 fd00::/8", true),
        ("trusted_proxies", "10.0.0.0/33", false),
        ("trusted_proxies", "10.0.0.0/+8", false),
        ("trusted_proxies", "proxy.local", false),
        ("trusted_user_header", "Cookie", false),
        ("trusted_user_header", "X-Forwarded-For", false),
        ("trusted_user_header", "Remote User", false),
        ("oidc_groups", "admins=admin, CN=Staff,staff=lab/viewer", false),
        ("oidc_groups", "admins=admin, CN=Staff=viewer, staff=lab/viewer", true),
        ("oidc_groups", "admins=root", false),
        ("oidc_groups", "=admin", false),
        ("oidc_scopes", "profile", false),
        ("oidc_scopes", "openid groups", true),
        ("oidc_issuer", "http://id.example.org", false),
        ("log_format", "xml", false),
        ("allow_network_fs", "on", true),
        ("allow_network_fs", "maybe", false),
        ("queue_requests", "0", false),
        ("synchronous", "off", false),
    ];
    for (key, text, fits) in rows {
        assert_eq!(Config::load(&sources(&[(key, text)], &[])).is_ok(), fits, "{key} = {text}");
    }
}

#[test]
fn files_may_use_lists_numbers_and_switches() {
    let file = "trusted_proxies = [\"10.0.0.1\", \"fd00::/8\"]\nmax_body_bytes = 1_048_576\nrespect_dnt = false\n";
    let (_dir, sources) = with_file(file, &[], &[]);
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.trusted_proxies, ["10.0.0.1", "fd00::/8"]);
    assert_eq!(config.max_body_bytes, 1 << 20);
    assert!(!config.respect_dnt);
}

#[test]
fn base_path_follows_the_public_address_unless_given() {
    let url = ("public_url", "https://Example.org/stats/");
    let config = Config::load(&sources(&[url], &[])).unwrap();
    assert_eq!(
        (config.base_path.as_str(), config.public_url.as_deref()),
        ("/stats", Some("https://example.org/stats"))
    );
    let config = Config::load(&sources(&[url, ("base_path", "")], &[])).unwrap();
    assert_eq!(config.base_path, "");
}

#[test]
fn the_url_of_a_server_is_shown_without_its_password() {
    let url = "postgres://me:canary@db/events?sslmode=require";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("url");
    fs::write(&path, format!("{url}\n")).unwrap();
    let path = path.to_str().unwrap();
    let rows: [(&[_], &[_], &str); 6] = [
        (&[], &[("DATABASE_URL", url)], "variable DATABASE_URL"),
        (&[], &[("DATABASE_URL_FILE", path)], "variable DATABASE_URL_FILE"),
        (&[], &[("TALLYBOX_DATABASE_URL_FILE", path)], "variable TALLYBOX_DATABASE_URL_FILE"),
        // Whichever form has our name goes before the platform's.
        (&[], &[("TALLYBOX_DATABASE_URL_FILE", path), ("DATABASE_URL", "x.db")], "variable TALLYBOX_DATABASE_URL_FILE"),
        (&[], &[("TALLYBOX_DATABASE_URL", url), ("DATABASE_URL_FILE", "/nowhere")], "variable TALLYBOX_DATABASE_URL"),
        (&[("database_url_file", path)], &[("DATABASE_URL", "x.db")], "--database-url-file"),
    ];
    for (flags, variables, source) in rows {
        let config = Config::load(&sources(flags, variables)).unwrap();
        let Database::Postgres(read) = &config.database_url else { panic!("{source} is not read") };
        assert_eq!((read.expose_secret(), config.database_path()), (url, None));
        let shown = config.shown().iter().find(|shown| shown.key == "database_url").unwrap();
        assert_eq!((shown.value.as_str(), source), ("postgres://me:(hidden)@db/events?sslmode=require", source));
        assert_eq!(shown.source.to_string(), source);
        assert!(!format!("{config:?}").contains("canary"));
    }
}

#[test]
fn a_password_on_the_command_line_is_refused_without_quoting_it() {
    let rows = [
        ("postgres://me:canary@db/events", false),
        ("postgres://db/events?user=me&password=canary", false),
        ("postgres://me@db/events", true),
        ("sqlite:me:canary@db", true),
    ];
    for (url, fits) in rows {
        let loaded = Config::load(&sources(&[("database_url", url)], &[]));
        assert_eq!(loaded.is_ok(), fits, "{url}");
        let Err(error) = loaded else { continue };
        assert!(error.problems[0].starts_with("--database-url: ") && !error.to_string().contains("canary"), "{error}");
    }
}

#[test]
fn a_wrong_url_is_told_without_quoting_it() {
    for key in ["DATABASE_URL", "TALLYBOX_READ_REPLICA_URL"] {
        let problems = problems(&sources(&[], &[(key, "postgres://me:can@ary@db/events")]));
        assert!(problems[0].contains(key) && problems[0].contains("_url has an @"), "{problems:?}");
        assert!(!problems[0].contains("ary"), "{problems:?}");
    }
}

#[test]
fn settings_of_postgres_beside_sqlite_are_warned_of() {
    let variables =
        [("TALLYBOX_DATABASE_PASSWORD", "canary"), ("TALLYBOX_READ_REPLICA_URL", "postgres://me:canary@db")];
    let config = Config::load(&sources(&[], &variables)).unwrap();
    let warnings = config.warnings().join("\n");
    assert!(warnings.contains("database_password does nothing") && warnings.contains("read_replica_url does nothing"));
    assert!(!format!("{config:?} {warnings} {:?}", config.shown()).contains("canary"));
    let with_server = [&variables[..], &[("DATABASE_URL", "postgres://me@db")]].concat();
    assert!(Config::load(&sources(&[], &with_server)).unwrap().warnings().is_empty());
}

#[test]
fn ways_to_sign_in_need_what_makes_them_safe() {
    let header = ("trusted_user_header", "Remote-User");
    assert!(problems(&sources(&[header], &[]))[0].contains("needs trusted_proxies"));
    let config = Config::load(&sources(&[header, ("trusted_proxies", "10.0.0.1")], &[])).unwrap();
    assert_eq!(config.trusted_user_header.as_deref(), Some("remote-user"));
    assert!(config.warnings()[0].contains("can be any member"));
    for issuer in ["https://id.example.org/realms/a/", "http://localhost:4593/api", "http://[::1]:80"] {
        let told = problems(&sources(&[("oidc_issuer", issuer)], &[])).join("\n");
        for key in ["oidc_client_id", "oidc_groups", "public_url"] {
            assert!(told.contains(&format!("oidc_issuer needs {key}")), "{told}");
        }
        let flags = [
            ("oidc_issuer", issuer),
            ("oidc_client_id", "box"),
            ("oidc_groups", "staff=viewer"),
            ("public_url", "https://box.example.org"),
        ];
        let config = Config::load(&sources(&flags, &[("TALLYBOX_OIDC_CLIENT_SECRET", "canary")])).unwrap();
        assert_eq!(config.oidc_issuer.as_deref(), Some(issuer), "to the letter");
        assert!(!format!("{config:?} {:?}", config.shown()).contains("canary"));
    }
}

#[test]
fn dangerous_choices_are_warned_of() {
    let flags =
        [("synchronous", "normal"), ("allow_network_fs", "true"), ("trusted_proxies", "::/0"), ("host", "0.0.0.0")];
    assert_eq!(Config::load(&sources(&flags, &[])).unwrap().warnings().len(), 4);
}
