-- Names that turned out to be one person's: who was `hash` in `users` is `into_hash`, which leads nowhere else. `due_at` is when
-- it is looked at next what is to be moved; null where nothing is left. `stage` and `position` are how far that is.
CREATE TABLE links (
    id        INTEGER PRIMARY KEY,
    env_id    INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    into_hash BLOB NOT NULL,
    linked_at INTEGER NOT NULL,
    due_at    INTEGER,
    stage     INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    UNIQUE (env_id, hash)
) STRICT;
CREATE INDEX links_into ON links (env_id, into_hash);
CREATE INDEX links_due ON links (due_at) WHERE due_at IS NOT NULL;
