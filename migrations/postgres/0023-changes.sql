-- A day whose sessions are counted holds also while some of them change: `state` is 3 then, and `changes` at least how many
-- rows are listed. `work` tells whose work is under way, 0 nobody's.
ALTER TABLE settled_sessions ADD COLUMN changes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settled_sessions ADD COLUMN work BIGINT NOT NULL DEFAULT 0;

-- How many more sessions began on a settled day than are counted, or how many fewer: under a set of facts, and of a class of
-- lengths. A session that has grown is one less of a class, and one more of another.
CREATE TABLE settled_changes (
    env_id   BIGINT NOT NULL,
    day      BIGINT NOT NULL,
    facts_id BIGINT NOT NULL,
    class    BIGINT NOT NULL,
    sessions BIGINT NOT NULL,
    crashed  BIGINT NOT NULL,
    PRIMARY KEY (env_id, day, facts_id, class)
);

-- As it was, for servers that list nothing. One that lists what it changes says so before it comes here.
CREATE OR REPLACE FUNCTION commit_change_sessions(bigint[], bigint[], bigint[], bigint[], bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    IF current_setting('tallybox.lists_sessions', true) = 'yes' THEN
        RETURN;
    END IF;
    FOR changed IN
        SELECT DISTINCT n.env_id, n.bucket / 96 AS day
        FROM unnest($1, $2, $3, $4, $5) AS n (env_id, dimension, bucket, sessions, crashed_sessions)
        WHERE n.dimension = 9 OR n.sessions <> 0 OR n.crashed_sessions <> 0 ORDER BY 1, 2
    LOOP
        UPDATE settled_sessions s SET state = 0
        WHERE s.env_id = changed.env_id AND s.day = changed.day AND s.state <> 0;
    END LOOP;
END $$;

-- Lists what a commit has changed of sessions beside days that are settled, behind its summaries. Of a day of which it lists
-- nothing, or for which there is no room, nothing holds any longer.
CREATE FUNCTION commit_list_sessions(
    changed_envs bigint[], changed_days bigint[],
    envs bigint[], days bigint[], facts bigint[], classes bigint[], counts bigint[], crashes bigint[],
    room bigint, room_share bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed record;
    listed bigint;
    settled settled_sessions%ROWTYPE;
BEGIN
    FOR changed IN SELECT * FROM unnest(changed_envs, changed_days) AS n (env_id, day) ORDER BY 1, 2
    LOOP
        -- Whoever ends work at the day meanwhile is waited for, and seen.
        SELECT * INTO settled FROM settled_sessions s
        WHERE s.env_id = changed.env_id AND s.day = changed.day AND s.state <> 0 FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        IF settled.state = 2 THEN
            settled.changes := 0;
        END IF;
        SELECT count(*) INTO listed FROM unnest(envs, days) AS n (env_id, day)
        WHERE n.env_id = changed.env_id AND n.day = changed.day;
        IF settled.state < 2 OR listed = 0 OR settled.changes + listed > room + settled.sessions / room_share THEN
            UPDATE settled_sessions s SET state = 0 WHERE s.env_id = changed.env_id AND s.day = changed.day;
            CONTINUE;
        END IF;
        IF settled.state = 2 THEN
            -- What an older version has unsettled and settled again left its list behind.
            DELETE FROM settled_changes c WHERE c.env_id = changed.env_id AND c.day = changed.day;
        END IF;
        INSERT INTO settled_changes AS c (env_id, day, facts_id, class, sessions, crashed)
        SELECT * FROM unnest(envs, days, facts, classes, counts, crashes) AS n (env_id, day, facts_id, class, sessions, crashed)
        WHERE n.env_id = changed.env_id AND n.day = changed.day
        ON CONFLICT (env_id, day, facts_id, class) DO UPDATE
        SET sessions = c.sessions + excluded.sessions, crashed = c.crashed + excluded.crashed;
        UPDATE settled_sessions s SET changes = settled.changes + listed, state = 3
        WHERE s.env_id = changed.env_id AND s.day = changed.day;
    END LOOP;
END $$;
