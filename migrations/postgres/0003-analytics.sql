-- What pages ask of every morning: errors and crashes, lengths of sessions, active devices, more dimensions.

-- Where a request came from, as an ISO 3166 code.
ALTER TABLE facts ADD COLUMN country BIGINT;

-- `error_id` is the strings.id of the group that an event's error belongs to; `fatal` is 1 for a crash.
ALTER TABLE events ADD COLUMN error_id INTEGER;
ALTER TABLE events ADD COLUMN fatal INTEGER NOT NULL DEFAULT 0;
CREATE INDEX events_errors ON events (env_id, claimed_at) WHERE error_id IS NOT NULL;

-- Events whose client's clock was off, by the time at which they occurred: for all others that is their claimed time.
CREATE INDEX events_skewed ON events (env_id, (claimed_at + skew), event_id) WHERE skew <> 0;

-- Whether something has crashed in it.
ALTER TABLE sessions ADD COLUMN crashed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sessions_started ON sessions (env_id, started_at);

-- As `hours`, of the hours in which something has crashed for the user.
ALTER TABLE user_days ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;

-- As user_days, of devices that said who they are.
CREATE TABLE device_days (
    env_id    BIGINT NOT NULL,
    day       INTEGER NOT NULL,
    device_id BIGINT NOT NULL,
    hours     INTEGER NOT NULL,
    PRIMARY KEY (env_id, day, device_id)
);

-- Groups of errors by environment: `message` is that of the first one to come.
CREATE TABLE error_groups (
    env_id   BIGINT NOT NULL,
    error_id BIGINT NOT NULL,
    message  TEXT COLLATE "C" NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (env_id, error_id)
) WITH (fillfactor = 70);

-- Facts that events do not tell have no rows any more: they are the total without all that do.
DELETE FROM rollup_hours WHERE value = 0 AND dimension IN (2, 3, 4, 5, 6, 7);
DELETE FROM rollup_days WHERE value = 0 AND dimension IN (2, 3, 4, 5, 6, 7);

-- Events that tell of an error, of a crash; sessions begun in which something has crashed.
ALTER TABLE rollup_hours ADD COLUMN errors BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rollup_hours ADD COLUMN crashes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rollup_hours ADD COLUMN crashed_sessions BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rollup_days ADD COLUMN errors BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rollup_days ADD COLUMN crashes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rollup_days ADD COLUMN crashed_sessions BIGINT NOT NULL DEFAULT 0;

-- Statements of a commit that read or write the new columns. Those of the first migration stay for servers that are not
-- upgraded yet.

CREATE FUNCTION commit_find_sessions(bigint[], uuid[])
RETURNS TABLE (
    id bigint, started_at bigint, ended_at bigint, facts_id bigint, crashed bigint, env_id bigint, hash uuid
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT s.id, s.started_at, s.ended_at, s.facts_id, s.crashed, s.env_id, s.hash
    FROM unnest($1, $2) AS n (env_id, hash) JOIN sessions s ON s.env_id = n.env_id AND s.hash = n.hash
    WHERE s.hash IS NOT NULL ORDER BY s.env_id, s.hash FOR NO KEY UPDATE OF s;
END $$;

-- The users come first: without figures on a table the planner may think that part of a key finds few of its rows.
CREATE FUNCTION commit_find_days(bigint[], uuid[], bigint[])
RETURNS TABLE (env_id bigint, day integer, user_id bigint, hours integer, crashes integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY WITH known AS MATERIALIZED (
        SELECT n.env_id, n.day, u.id
        FROM unnest($1, $2, $3) AS n (env_id, hash, day) JOIN users u ON u.env_id = n.env_id AND u.hash = n.hash
    )
    SELECT d.env_id, d.day, d.user_id, d.hours, d.crashes
    FROM known k JOIN user_days d ON d.env_id = k.env_id AND d.day = k.day AND d.user_id = k.id;
END $$;

-- Of each user's derived sessions that begin in time the last one, and the one before it, which may come to be the last
-- when the first is moved.
CREATE FUNCTION commit_find_derived(bigint[], uuid[], bigint[])
RETURNS TABLE (id bigint, started_at bigint, ended_at bigint, facts_id bigint, crashed bigint, user_id bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT s.id, s.started_at, s.ended_at, s.facts_id, s.crashed, u.id
    FROM unnest($1, $2, $3) AS n (env_id, hash, until) JOIN users u ON u.env_id = n.env_id AND u.hash = n.hash
    CROSS JOIN LATERAL (
        SELECT d.id, d.started_at, d.ended_at, d.facts_id, d.crashed FROM sessions d
        WHERE d.user_id = u.id AND d.started_at <= n.until AND d.hash IS NULL ORDER BY d.started_at DESC LIMIT 2
    ) AS s;
END $$;

CREATE FUNCTION commit_put_hours(bigint[], bigint[], bigint[], bigint[], bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_days AS d (env_id, day, user_id, hours, crashes) SELECT * FROM unnest($1, $2, $3, $4, $5)
    ON CONFLICT (env_id, day, user_id)
    DO UPDATE SET hours = d.hours | excluded.hours, crashes = d.crashes | excluded.crashes;
END $$;

CREATE FUNCTION commit_put_devices(bigint[], bigint[], bigint[], bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO device_days AS d (env_id, day, device_id, hours) SELECT * FROM unnest($1, $2, $3, $4)
    ON CONFLICT (env_id, day, device_id) DO UPDATE SET hours = d.hours | excluded.hours;
END $$;

CREATE FUNCTION commit_put_sessions(
    bigint[], bigint[], uuid[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sessions (id, env_id, hash, user_id, facts_id, started_at, ended_at, events, crashed)
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9);
END $$;

CREATE FUNCTION commit_grow_sessions(bigint[], bigint[], bigint[], bigint[], bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions s SET ended_at = n.ended_at, events = s.events + n.events, crashed = n.crashed,
        started_at = coalesce(n.started_at, s.started_at)
    FROM unnest($1, $2, $3, $4, $5) AS n (id, ended_at, events, started_at, crashed) WHERE s.id = n.id;
END $$;

CREATE FUNCTION commit_put_errors(bigint[], bigint[], text[], bigint[], bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO error_groups AS g (env_id, error_id, message, first_at, last_at)
    SELECT * FROM unnest($1, $2, $3, $4, $5)
    ON CONFLICT (env_id, error_id) DO UPDATE SET first_at = least(g.first_at, excluded.first_at),
        last_at = greatest(g.last_at, excluded.last_at);
END $$;

CREATE FUNCTION commit_add_hours(
    bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_hours AS r SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (env_id, dimension, bucket, value) DO UPDATE SET events = r.events + excluded.events,
        sessions = r.sessions + excluded.sessions, users = r.users + excluded.users,
        day_users = r.day_users + excluded.day_users, new_users = r.new_users + excluded.new_users,
        errors = r.errors + excluded.errors, crashes = r.crashes + excluded.crashes,
        crashed_sessions = r.crashed_sessions + excluded.crashed_sessions;
END $$;

CREATE FUNCTION commit_add_days(
    bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_days AS r SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (env_id, dimension, bucket, value) DO UPDATE SET events = r.events + excluded.events,
        sessions = r.sessions + excluded.sessions, users = r.users + excluded.users,
        day_users = r.day_users + excluded.day_users, new_users = r.new_users + excluded.new_users,
        errors = r.errors + excluded.errors, crashes = r.crashes + excluded.crashes,
        crashed_sessions = r.crashed_sessions + excluded.crashed_sessions;
END $$;
