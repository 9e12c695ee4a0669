-- Days are settled from the moment they begin. What has come to one since is listed beside it, until it is settled again:
-- then `state` of settled_days is 3. It is 4 while a day that does not hold is being worked out. `work` tells whose work is
-- under way, 0 nobody's, and `late` how many events are listed. 1 is what older versions wrote for 4.
ALTER TABLE settled_days ADD COLUMN work INTEGER NOT NULL DEFAULT 0;
ALTER TABLE settled_days ADD COLUMN late INTEGER NOT NULL DEFAULT 0;

-- Events of a settled day that are not among its parts, by claimed time and id. `during` is whose work was under way when
-- they came.
CREATE TABLE settled_late (
    env_id  INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    claimed INTEGER NOT NULL,
    event   BLOB NOT NULL,
    during  INTEGER NOT NULL,
    PRIMARY KEY (env_id, day, claimed, event)
) STRICT, WITHOUT ROWID;
