-- What is over, in the form in which it is counted fastest. Everything here is made from the other tables, and can be
-- made again. `state` is 0 where something has come since, 1 while it is being worked out, 2 where it holds; `token` tells
-- whose work it is, and `at` when that was begun.

-- UTC days since 1970 whose events stand in settled_events as well as in events.
CREATE TABLE settled_days (
    env_id BIGINT NOT NULL,
    day    BIGINT NOT NULL,
    state  BIGINT NOT NULL,
    token  BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    events BIGINT NOT NULL,
    PRIMARY KEY (env_id, day)
);

-- Events of a settled day by their name and by whether they tell of an error, each part in the order of their times.
-- Those of another token than the day's are of no use.
CREATE TABLE settled_events (
    env_id   BIGINT NOT NULL,
    day      BIGINT NOT NULL,
    name_id  BIGINT NOT NULL,
    failed   BIGINT NOT NULL,
    token    BIGINT NOT NULL,
    part     BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    events   BIGINT NOT NULL,
    body     BYTEA NOT NULL,
    PRIMARY KEY (env_id, day, name_id, failed, token, part)
);
-- It is dense already: to press it once more would cost every reader.
ALTER TABLE settled_events ALTER COLUMN body SET STORAGE EXTERNAL;

-- How many different users (kind 0), users for whom something has crashed (1) and devices (2) there were from the local
-- day `first_day` to before `next_day`.
CREATE TABLE settled_counts (
    env_id    BIGINT NOT NULL,
    next_day  BIGINT NOT NULL,
    first_day BIGINT NOT NULL,
    kind      BIGINT NOT NULL,
    state     BIGINT NOT NULL,
    token     BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    count     BIGINT NOT NULL,
    PRIMARY KEY (env_id, next_day, first_day, kind)
);

-- Every commit ends with these, also that of a server which is not upgraded yet. What has come to a settled day, or into
-- a settled period, unsettles it: after the summaries, whose lock whoever begins to settle has to wait for, so that these
-- statements see every marker that this commit's own events are not counted under.
CREATE OR REPLACE FUNCTION commit_add_days(
    bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rollup_days AS r SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (env_id, dimension, bucket, value) DO UPDATE SET events = r.events + excluded.events,
        sessions = r.sessions + excluded.sessions, users = r.users + excluded.users,
        day_users = r.day_users + excluded.day_users, new_users = r.new_users + excluded.new_users,
        errors = r.errors + excluded.errors, crashes = r.crashes + excluded.crashes,
        crashed_sessions = r.crashed_sessions + excluded.crashed_sessions;
    UPDATE settled_days s SET state = 0
    FROM unnest($1, $2, $3, $5, $7) AS n (env_id, dimension, bucket, events, users)
    WHERE n.dimension = 0 AND (n.events <> 0 OR n.users <> 0)
        AND s.env_id = n.env_id AND s.day = n.bucket / 96 AND s.state <> 0;
    -- A local day begins up to a day before the UTC day of an instant in it, and ends up to a day after.
    UPDATE settled_counts s SET state = 0
    FROM unnest($1, $2, $3, $5, $7) AS n (env_id, dimension, bucket, events, users)
    WHERE n.dimension = 0 AND (n.events <> 0 OR n.users <> 0)
        AND s.env_id = n.env_id AND s.next_day > n.bucket / 96 - 1 AND s.first_day <= n.bucket / 96 + 1 AND s.state <> 0;
END $$;

CREATE OR REPLACE FUNCTION commit_put_devices(bigint[], bigint[], bigint[], bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO device_days AS d (env_id, day, device_id, hours) SELECT * FROM unnest($1, $2, $3, $4)
    ON CONFLICT (env_id, day, device_id) DO UPDATE SET hours = d.hours | excluded.hours;
    UPDATE settled_counts s SET state = 0 FROM unnest($1, $2) AS n (env_id, day)
    WHERE s.env_id = n.env_id AND s.next_day > n.day AND s.first_day <= n.day AND s.state <> 0;
END $$;
