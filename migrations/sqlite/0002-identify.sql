-- Who an installation is, and what its version may do: versions, devices, their users and sessions, who changed what.

ALTER TABLE apps ADD COLUMN first_session_at INTEGER;

-- Versions and builds as clients name them. `status` is SUPPORTED, UPDATE_AVAILABLE, UPDATE_RECOMMENDED,
-- UPDATE_REQUIRED or DISABLED; `status_at` is when it was set, where somebody set it. Numbers are what could be read of
-- the first three parts of the name.
CREATE TABLE versions (
    id         INTEGER PRIMARY KEY,
    app_id     INTEGER NOT NULL,
    uuid       BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    major      INTEGER NOT NULL,
    minor      INTEGER NOT NULL,
    patch      INTEGER NOT NULL,
    status     TEXT NOT NULL,
    notes      TEXT,
    status_at  INTEGER,
    created_at INTEGER NOT NULL,
    UNIQUE (app_id, name)
) STRICT;

CREATE TABLE builds (
    id         INTEGER PRIMARY KEY,
    version_id INTEGER NOT NULL,
    uuid       BLOB NOT NULL UNIQUE,
    number     INTEGER NOT NULL,
    platform   TEXT NOT NULL,
    status     TEXT NOT NULL,
    notes      TEXT,
    status_at  INTEGER,
    created_at INTEGER NOT NULL,
    UNIQUE (version_id, number, platform)
) STRICT;

-- What is required of versions by their number, on one platform or, with an empty name, on all.
CREATE TABLE version_rules (
    app_id      INTEGER NOT NULL,
    platform    TEXT NOT NULL,
    required    TEXT,
    recommended TEXT,
    notes       TEXT,
    store_url   TEXT,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (app_id, platform)
) STRICT, WITHOUT ROWID;

-- What an app tells of its users, where it does. `hash` is the user's in `users`; without an identifier it is nobody
-- known yet.
CREATE TABLE profiles (
    id         INTEGER PRIMARY KEY,
    env_id     INTEGER NOT NULL,
    uuid       BLOB NOT NULL UNIQUE,
    hash       BLOB NOT NULL,
    identifier TEXT,
    email      TEXT,
    name       TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX profiles_identifier ON profiles (env_id, identifier) WHERE identifier IS NOT NULL;
CREATE INDEX profiles_hash ON profiles (env_id, hash);

-- One installation each: `install_id` is what it calls itself.
CREATE TABLE devices (
    id             INTEGER PRIMARY KEY,
    env_id         INTEGER NOT NULL,
    install_id     TEXT NOT NULL,
    uuid           BLOB NOT NULL UNIQUE,
    profile_id     INTEGER,
    platform       TEXT NOT NULL,
    system_name    TEXT NOT NULL,
    system_version TEXT NOT NULL,
    name           TEXT NOT NULL,
    kind           TEXT NOT NULL,
    brand          TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    seen_at        INTEGER NOT NULL,
    UNIQUE (env_id, install_id)
) STRICT;
CREATE INDEX devices_profile ON devices (profile_id);
CREATE INDEX devices_seen ON devices (env_id, seen_at);

-- Sessions of devices; `hash` is the session's in `sessions`. `issued_at` is the time of its token in seconds.
CREATE TABLE device_sessions (
    id               INTEGER PRIMARY KEY,
    env_id           INTEGER NOT NULL,
    uuid             BLOB NOT NULL UNIQUE,
    hash             BLOB NOT NULL,
    device_id        INTEGER NOT NULL,
    profile_id       INTEGER NOT NULL,
    version_id       INTEGER NOT NULL,
    build_id         INTEGER NOT NULL,
    facts_id         INTEGER NOT NULL,
    issued_at        INTEGER NOT NULL,
    token_expires_at INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    started_at       INTEGER NOT NULL,
    seen_at          INTEGER NOT NULL,
    system_version   TEXT NOT NULL,
    sdk_name         TEXT,
    sdk_version      TEXT,
    ota              TEXT
) STRICT;
CREATE INDEX device_sessions_device ON device_sessions (device_id, id);
CREATE INDEX device_sessions_profile ON device_sessions (profile_id, started_at);
CREATE INDEX device_sessions_build ON device_sessions (build_id);

CREATE TABLE push_tokens (
    id         INTEGER PRIMARY KEY,
    env_id     INTEGER NOT NULL,
    platform   TEXT NOT NULL,
    token      TEXT NOT NULL,
    device_id  INTEGER NOT NULL,
    profile_id INTEGER NOT NULL,
    active     INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (env_id, platform, token)
) STRICT;
CREATE INDEX push_tokens_device ON push_tokens (device_id);

-- Who changed what. `member` is the name at that time.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    app_id  INTEGER,
    member  TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX audit_app ON audit (app_id, id);
