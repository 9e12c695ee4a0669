-- What people may ask of an app: to be erased, and to be told what it collects.

-- Whether the page of what an app collects can be read by everybody.
ALTER TABLE apps ADD COLUMN collects_public INTEGER NOT NULL DEFAULT 0;

-- Erasures, asked for, underway or done. `digest` is the beginning of a hash of whom they are of, since nothing else may
-- stay of them; rows of the person or device are named only until it is done. `phase` and `position` are how far it is, `counts`
-- what is gone by now. One worker holds it at a time, until `held_until`.
CREATE TABLE erasures (
    id          INTEGER PRIMARY KEY,
    uuid        BLOB NOT NULL UNIQUE,
    app_id      INTEGER NOT NULL,
    env_id      INTEGER,
    kind        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    user_id     INTEGER,
    profile_id  INTEGER,
    device_id   INTEGER,
    phase       TEXT NOT NULL,
    position    INTEGER NOT NULL,
    counts      TEXT NOT NULL,
    member      TEXT NOT NULL,
    place       TEXT NOT NULL,
    asked_at    INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    worker      TEXT,
    held_until  INTEGER
) STRICT;
CREATE INDEX erasures_app ON erasures (app_id, id);
CREATE INDEX erasures_open ON erasures (id) WHERE ended_at IS NULL;

-- UTC days whose summaries count somebody who is erased: what lies beneath comes to less since.
CREATE TABLE erased_days (
    env_id INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    PRIMARY KEY (env_id, day)
) STRICT, WITHOUT ROWID;
