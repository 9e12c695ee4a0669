-- How long the sessions were that began on a UTC day (since 1970) that is over. `state` is 0 where one of them has changed
-- since, 1 while they are being counted, 2 where it holds; `token` tells whose work it is, and `at` when that was begun.
CREATE TABLE settled_sessions (
    env_id   INTEGER NOT NULL,
    day      INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    token    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    sessions INTEGER NOT NULL,
    PRIMARY KEY (env_id, day)
) STRICT, WITHOUT ROWID;

-- The same by the values of a fact. Those of another token than the day's are of no use.
CREATE TABLE settled_lengths (
    env_id INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    fact   TEXT NOT NULL,
    token  INTEGER NOT NULL,
    body   BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX settled_lengths_fact ON settled_lengths (env_id, day, fact);
