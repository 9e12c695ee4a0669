-- Funnels that are kept by name. `query` is what they ask, as the query string of an address.
CREATE TABLE funnels (
    id       INTEGER PRIMARY KEY,
    env_id   INTEGER NOT NULL,
    uuid     BLOB NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    query    TEXT NOT NULL,
    saved_at INTEGER NOT NULL,
    UNIQUE (env_id, name)
) STRICT;
