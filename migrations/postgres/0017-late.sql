-- Days are settled from the moment they begin. What has come to one since is listed beside it, until it is settled again:
-- then `state` of settled_days is 3. It is 4 while a day that does not hold is being worked out. `work` tells whose work is
-- under way, 0 nobody's, and `late` how many events are listed. 1 is what older versions wrote for 4.
ALTER TABLE settled_days ADD COLUMN work BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settled_days ADD COLUMN late BIGINT NOT NULL DEFAULT 0;

-- Events of a settled day that are not among its parts, by claimed time and id. `during` is whose work was under way when
-- they came.
CREATE TABLE settled_late (
    env_id  BIGINT NOT NULL,
    day     BIGINT NOT NULL,
    claimed BIGINT NOT NULL,
    event   UUID NOT NULL,
    during  BIGINT NOT NULL,
    PRIMARY KEY (env_id, day, claimed, event)
);

-- commit_add_days for a server that names its events: those of days of which all are named, and for which there is room,
-- are listed, and all other days unsettled. A server that is not upgraded yet calls commit_add_days, which unsettles them all.
CREATE FUNCTION commit_come(
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
END $$;
