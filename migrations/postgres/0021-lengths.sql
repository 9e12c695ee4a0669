-- How long the sessions were that began on a UTC day (since 1970) that is over. `state` is 0 where one of them has changed
-- since, 1 while they are being counted, 2 where it holds; `token` tells whose work it is, and `at` when that was begun.
CREATE TABLE settled_sessions (
    env_id   BIGINT NOT NULL,
    day      BIGINT NOT NULL,
    state    BIGINT NOT NULL,
    token    BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    sessions BIGINT NOT NULL,
    PRIMARY KEY (env_id, day)
);

-- The same by the values of a fact. Those of another token than the day's are of no use.
CREATE TABLE settled_lengths (
    env_id BIGINT NOT NULL,
    day    BIGINT NOT NULL,
    fact   TEXT NOT NULL,
    token  BIGINT NOT NULL,
    body   BYTEA NOT NULL,
    PRIMARY KEY (env_id, day, fact)
);
ALTER TABLE settled_lengths ALTER COLUMN body SET STORAGE EXTERNAL;

-- A commit names each class of lengths (dimension 9) in which a session has changed. Such a day holds no longer: behind the
-- summaries, whose lock whoever begins to count sessions has to wait for. All commits take the days in the same order.
CREATE FUNCTION commit_change_sessions(bigint[], bigint[], bigint[], bigint[], bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    FOR changed IN
        SELECT DISTINCT n.env_id, n.bucket / 96 AS day
        FROM unnest($1, $2, $3, $4, $5) AS n (env_id, dimension, bucket, sessions, crashed_sessions)
        WHERE n.dimension = 9 OR n.sessions <> 0 OR n.crashed_sessions <> 0 ORDER BY 1, 2
    LOOP
        UPDATE settled_sessions s SET state = 0
        WHERE s.env_id = changed.env_id AND s.day = changed.day AND s.state <> 0;
    END LOOP;
END $$;

-- Both as they were, and that at their end.
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
    PERFORM commit_change_sessions($1, $2, $3, $6, $12);
END $$;

CREATE OR REPLACE FUNCTION commit_come(
    bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[],
    late_envs bigint[], late_days bigint[], late_claimed bigint[], late_events uuid[], room bigint, room_share bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    come record;
    named bigint;
    settled settled_days%ROWTYPE;
BEGIN
    INSERT INTO rollup_days AS r SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    ON CONFLICT (env_id, dimension, bucket, value) DO UPDATE SET events = r.events + excluded.events,
        sessions = r.sessions + excluded.sessions, users = r.users + excluded.users,
        day_users = r.day_users + excluded.day_users, new_users = r.new_users + excluded.new_users,
        errors = r.errors + excluded.errors, crashes = r.crashes + excluded.crashes,
        crashed_sessions = r.crashed_sessions + excluded.crashed_sessions;
    UPDATE settled_counts s SET state = 0
    FROM unnest($1, $2, $3, $5, $7) AS n (env_id, dimension, bucket, events, users)
    WHERE n.dimension = 0 AND (n.events <> 0 OR n.users <> 0)
        AND s.env_id = n.env_id AND s.next_day > n.bucket / 96 - 1 AND s.first_day <= n.bucket / 96 + 1 AND s.state <> 0;
    FOR come IN
        SELECT n.env_id, n.bucket / 96 AS day, sum(n.events)::bigint AS events
        FROM unnest($1, $2, $3, $5) AS n (env_id, dimension, bucket, events)
        WHERE n.dimension = 0 AND n.events <> 0 GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        -- Whoever ends work at the day meanwhile is waited for, and seen.
        SELECT * INTO settled FROM settled_days s
        WHERE s.env_id = come.env_id AND s.day = come.day AND s.state <> 0 FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        IF settled.state = 2 THEN
            settled.late := 0;
        END IF;
        SELECT count(*) INTO named FROM unnest(late_envs, late_days) AS l (env_id, day)
        WHERE l.env_id = come.env_id AND l.day = come.day;
        IF settled.state < 2 OR named <> come.events OR settled.late + named > room + settled.events / room_share THEN
            UPDATE settled_days s SET state = 0 WHERE s.env_id = come.env_id AND s.day = come.day;
            CONTINUE;
        END IF;
        IF settled.state = 2 THEN
            -- What an older version has unsettled and settled again left its list behind.
            DELETE FROM settled_late l WHERE l.env_id = come.env_id AND l.day = come.day;
        END IF;
        INSERT INTO settled_late AS l (env_id, day, claimed, event, during)
        SELECT n.env_id, n.day, n.claimed, n.event, settled.work
        FROM unnest(late_envs, late_days, late_claimed, late_events) AS n (env_id, day, claimed, event)
        WHERE n.env_id = come.env_id AND n.day = come.day
        ON CONFLICT (env_id, day, claimed, event) DO UPDATE SET during = excluded.during;
        UPDATE settled_days s SET late = settled.late + named, state = greatest(settled.state, 3)
        WHERE s.env_id = come.env_id AND s.day = come.day;
    END LOOP;
    PERFORM commit_change_sessions($1, $2, $3, $6, $12);
END $$;
