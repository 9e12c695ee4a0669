-- What is over, in the form in which it is counted fastest. Everything here is made from the other tables, and can be
-- made again. `state` is 0 where something has come since, 1 while it is being worked out, 2 where it holds; `token` tells
-- whose work it is, and `at` when that was begun.

-- UTC days since 1970 whose events stand in settled_events as well as in events.
CREATE TABLE settled_days (
    env_id INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    state  INTEGER NOT NULL,
    token  INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (env_id, day)
) STRICT, WITHOUT ROWID;

-- Events of a settled day by their name and by whether they tell of an error, each part in the order of their times.
-- Those of another token than the day's are of no use.
CREATE TABLE settled_events (
    env_id   INTEGER NOT NULL,
    day      INTEGER NOT NULL,
    name_id  INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    token    INTEGER NOT NULL,
    part     INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    events   INTEGER NOT NULL,
    body     BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX settled_events_part ON settled_events (env_id, day, name_id, failed, token, part);

-- How many different users (kind 0), users for whom something has crashed (1) and devices (2) there were from the local
-- day `first_day` to before `next_day`.
CREATE TABLE settled_counts (
    env_id    INTEGER NOT NULL,
    next_day  INTEGER NOT NULL,
    first_day INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    state     INTEGER NOT NULL,
    token     INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (env_id, next_day, first_day, kind)
) STRICT, WITHOUT ROWID;
