-- Times are milliseconds since 1970 UTC unless a name says otherwise. Ids of rows never leave the box.

CREATE TABLE organizations (
    id          INTEGER PRIMARY KEY,
    uuid        BLOB NOT NULL UNIQUE,
    slug        TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name        TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    uuid            BLOB NOT NULL UNIQUE,
    slug            TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name            TEXT NOT NULL,
    zone            TEXT NOT NULL,
    strict          INTEGER NOT NULL DEFAULT 0,
    salt            BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    first_event_at  INTEGER
) STRICT;

CREATE TABLE environments (
    id      INTEGER PRIMARY KEY,
    app_id  INTEGER NOT NULL REFERENCES apps (id),
    slug    TEXT NOT NULL,
    UNIQUE (app_id, slug)
) STRICT;

CREATE TABLE ingest_keys (
    id             INTEGER PRIMARY KEY,
    environment_id INTEGER NOT NULL REFERENCES environments (id),
    name           TEXT NOT NULL,
    hint           TEXT NOT NULL,
    token_hash     BLOB NOT NULL UNIQUE,
    sealed_secret  BLOB NOT NULL,
    created_at     INTEGER NOT NULL,
    last_used_at   INTEGER,
    revoked_at     INTEGER
) STRICT;

-- One row: grows with every change to the four tables above.
CREATE TABLE directory (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO directory (id, version) VALUES (1, 1);

CREATE TABLE members (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    name            TEXT NOT NULL UNIQUE COLLATE NOCASE,
    role            TEXT NOT NULL,
    password_hash   TEXT NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT;

CREATE TABLE logins (
    token_hash BLOB PRIMARY KEY,
    member_id  INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE setup_tokens (
    hash       BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The request's own time (in seconds) leads the key: rows arrive at the end, and expire from the front.
CREATE TABLE nonces (
    at     INTEGER NOT NULL,
    app_id INTEGER NOT NULL,
    value  BLOB NOT NULL,
    PRIMARY KEY (at, app_id, value)
) STRICT, WITHOUT ROWID;

-- Repeated texts: event names ('event'), categories ('category') and each fact under its own name.
CREATE TABLE strings (
    id     INTEGER PRIMARY KEY,
    app_id INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    text   TEXT NOT NULL,
    UNIQUE (app_id, kind, text)
) STRICT;

-- Repeated sets of facts; each column holds a strings.id, or NULL where the client did not say.
CREATE TABLE facts (
    id             INTEGER PRIMARY KEY,
    app_id         INTEGER NOT NULL,
    digest         BLOB NOT NULL,
    version        INTEGER,
    build          INTEGER,
    system         INTEGER,
    system_version INTEGER,
    arch           INTEGER,
    device         INTEGER,
    locale         INTEGER,
    sdk            INTEGER,
    service        INTEGER,
    language       INTEGER,
    shell          INTEGER,
    ci             INTEGER,
    UNIQUE (app_id, digest)
) STRICT;

-- End users: `hash` is keyed by the app's salt. Days are local days since 1970 in the app's zone.
CREATE TABLE users (
    id       INTEGER PRIMARY KEY,
    env_id   INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    first_at INTEGER NOT NULL,
    last_day INTEGER NOT NULL,
    UNIQUE (env_id, hash)
) STRICT;

-- One row for each local day on which a user was seen; bit N of `hours` is set if it was in hour N of that day.
CREATE TABLE user_days (
    env_id  INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    hours   INTEGER NOT NULL,
    PRIMARY KEY (env_id, day, user_id)
) STRICT, WITHOUT ROWID;

-- Sessions; without a hash where they were derived from pauses of half an hour.
CREATE TABLE sessions (
    id         INTEGER PRIMARY KEY,
    env_id     INTEGER NOT NULL,
    hash       BLOB,
    user_id    INTEGER,
    facts_id   INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER NOT NULL,
    events     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sessions_hash ON sessions (env_id, hash) WHERE hash IS NOT NULL;
CREATE INDEX sessions_derived ON sessions (user_id, started_at) WHERE hash IS NULL;

-- occurred_at = claimed_at + skew; received_at = claimed_at + skew + delay: small numbers take less room.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    env_id      INTEGER NOT NULL,
    claimed_at  INTEGER NOT NULL,
    event_id    BLOB NOT NULL,
    skew        INTEGER NOT NULL,
    delay       INTEGER NOT NULL,
    name_id     INTEGER NOT NULL,
    category_id INTEGER,
    facts_id    INTEGER NOT NULL,
    user_id     INTEGER,
    session_id  INTEGER,
    props       TEXT
) STRICT;
CREATE UNIQUE INDEX events_once ON events (env_id, claimed_at, event_id);

CREATE TABLE set_aside (
    id          INTEGER PRIMARY KEY,
    app_id      INTEGER NOT NULL,
    env_id      INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL,
    event_id    BLOB,
    body        TEXT NOT NULL
) STRICT;
CREATE INDEX set_aside_app ON set_aside (app_id, id);
CREATE UNIQUE INDEX set_aside_once ON set_aside (app_id, event_id) WHERE event_id IS NOT NULL;

-- Summaries. `bucket` counts quarters of an hour since 1970 UTC and is the first of its hour (or of its grain, in zones
-- whose offset is no whole hour); rollup_days sums whole UTC days of the same. `value` is a strings.id, 0 for none.
-- users: first sightings in a local hour; day_users: in a local day; new_users: ever.
CREATE TABLE rollup_hours (
    env_id    INTEGER NOT NULL,
    dimension INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    value     INTEGER NOT NULL,
    events    INTEGER NOT NULL,
    sessions  INTEGER NOT NULL,
    users     INTEGER NOT NULL,
    day_users INTEGER NOT NULL,
    new_users INTEGER NOT NULL,
    PRIMARY KEY (env_id, dimension, bucket, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_days (
    env_id    INTEGER NOT NULL,
    dimension INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    value     INTEGER NOT NULL,
    events    INTEGER NOT NULL,
    sessions  INTEGER NOT NULL,
    users     INTEGER NOT NULL,
    day_users INTEGER NOT NULL,
    new_users INTEGER NOT NULL,
    PRIMARY KEY (env_id, dimension, bucket, value)
) STRICT, WITHOUT ROWID;

-- What became of the events that arrived, by UTC day of arrival.
CREATE TABLE intake_days (
    app_id  INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    events  INTEGER NOT NULL,
    PRIMARY KEY (app_id, day, outcome)
) STRICT, WITHOUT ROWID;
