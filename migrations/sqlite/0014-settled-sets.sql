-- Who was there on a local day that is over: the numbers of its users (kind 3) or devices (4) as a Roaring bitmap. It holds
-- while a row of settled_counts with the same kind and token, and that day as `first_day`, does.
CREATE TABLE settled_sets (
    env_id  INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    day     INTEGER NOT NULL,
    token   INTEGER NOT NULL,
    members BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX settled_sets_day ON settled_sets (env_id, kind, day);
