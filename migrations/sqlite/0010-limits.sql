-- How much apps may send. A figure that is null is no limit; rates are requests a minute, `day_events` is by UTC day.
CREATE TABLE tiers (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE COLLATE NOCASE,
    key_rate      INTEGER,
    app_rate      INTEGER,
    network_rate  INTEGER,
    day_events    INTEGER,
    usual         INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The first is that of every app until another is chosen. The others have the figures of the telemetry-kit guide; its
-- quotas are by month, of which a day has a thirtieth.
INSERT INTO tiers (id, name, key_rate, app_rate, network_rate, day_events, usual) VALUES
    (1, 'Self-hosted', NULL, NULL, NULL, NULL, 1),
    (2, 'Free', 10, 10, 1200, 333, 0),
    (3, 'Pro', 100, 100, 1200, 3333, 0),
    (4, 'Business', 1000, 1000, 1200, 33333, 0),
    (5, 'Enterprise', NULL, NULL, 1200, NULL, 0);

-- What was set for an app. Lists are one entry a line.
CREATE TABLE app_limits (
    app_id   INTEGER PRIMARY KEY REFERENCES apps (id),
    tier_id  INTEGER REFERENCES tiers (id),
    networks TEXT NOT NULL DEFAULT '',
    origins  TEXT NOT NULL DEFAULT ''
) STRICT;

-- Who may not send to an app, by keyed hash. `identifier` is what installations call a user, hashed as well.
CREATE TABLE bans (
    id          INTEGER PRIMARY KEY,
    app_id      INTEGER NOT NULL REFERENCES apps (id),
    kind        TEXT NOT NULL,
    hash        BLOB NOT NULL,
    identifier  BLOB,
    label       TEXT NOT NULL,
    member      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    UNIQUE (app_id, kind, hash)
) STRICT;

-- Keys that were made before there were two kinds serve as either.
ALTER TABLE ingest_keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'either';
