-- What pages ask of every morning: errors and crashes, lengths of sessions, active devices, more dimensions.

-- Where a request came from, as an ISO 3166 code.
ALTER TABLE facts ADD COLUMN country INTEGER;

-- `error_id` is the strings.id of the group that an event's error belongs to; `fatal` is 1 for a crash.
ALTER TABLE events ADD COLUMN error_id INTEGER;
ALTER TABLE events ADD COLUMN fatal INTEGER NOT NULL DEFAULT 0;
CREATE INDEX events_errors ON events (env_id, claimed_at) WHERE error_id IS NOT NULL;

-- Events whose client's clock was off, by the time at which they occurred: for all others that is their claimed time.
CREATE INDEX events_skewed ON events (env_id, (claimed_at + skew), event_id) WHERE skew <> 0;

-- Whether something has crashed in it.
ALTER TABLE sessions ADD COLUMN crashed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sessions_started ON sessions (env_id, started_at);

-- As `hours`, of the hours in which something has crashed for the user.
ALTER TABLE user_days ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;

-- As user_days, of devices that said who they are.
CREATE TABLE device_days (
    env_id    INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    device_id INTEGER NOT NULL,
    hours     INTEGER NOT NULL,
    PRIMARY KEY (env_id, day, device_id)
) STRICT, WITHOUT ROWID;

-- Groups of errors by environment: `message` is that of the first one to come.
CREATE TABLE error_groups (
    env_id   INTEGER NOT NULL,
    error_id INTEGER NOT NULL,
    message  TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (env_id, error_id)
) STRICT, WITHOUT ROWID;

-- Facts that events do not tell have no rows any more: they are the total without all that do.
DELETE FROM rollup_hours WHERE value = 0 AND dimension IN (2, 3, 4, 5, 6, 7);
DELETE FROM rollup_days WHERE value = 0 AND dimension IN (2, 3, 4, 5, 6, 7);

-- Events that tell of an error, of a crash; sessions begun in which something has crashed.
ALTER TABLE rollup_hours ADD COLUMN errors INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollup_hours ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollup_hours ADD COLUMN crashed_sessions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollup_days ADD COLUMN errors INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollup_days ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollup_days ADD COLUMN crashed_sessions INTEGER NOT NULL DEFAULT 0;
