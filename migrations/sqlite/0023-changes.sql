-- A day whose sessions are counted holds also while some of them change: `state` is 3 then, and `changes` at least how many
-- rows are listed. `work` tells whose work is under way, 0 nobody's.
ALTER TABLE settled_sessions ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE settled_sessions ADD COLUMN work INTEGER NOT NULL DEFAULT 0;

-- How many more sessions began on a settled day than are counted, or how many fewer: under a set of facts, and of a class of
-- lengths. A session that has grown is one less of a class, and one more of another.
CREATE TABLE settled_changes (
    env_id   INTEGER NOT NULL,
    day      INTEGER NOT NULL,
    facts_id INTEGER NOT NULL,
    class    INTEGER NOT NULL,
    sessions INTEGER NOT NULL,
    crashed  INTEGER NOT NULL,
    PRIMARY KEY (env_id, day, facts_id, class)
) STRICT, WITHOUT ROWID;
