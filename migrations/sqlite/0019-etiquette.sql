-- What the clients of an app are ordered to do. `env_id` is null for all environments; `versions` is 'all', 'below' or
-- 'exactly', the latter two with a version. A sample is in ten-thousandths, names of events are one a line. `quiet` is
-- 'paused', until an instant or, where that is null, until it is lifted, or 'stopped'.
CREATE TABLE client_orders (
    id         INTEGER PRIMARY KEY,
    app_id     INTEGER NOT NULL REFERENCES apps (id),
    env_id     INTEGER REFERENCES environments (id),
    versions   TEXT NOT NULL,
    version    TEXT NOT NULL DEFAULT '',
    sample     INTEGER,
    names      TEXT NOT NULL DEFAULT '',
    flush_secs INTEGER,
    quiet      TEXT,
    quiet_till INTEGER,
    member     TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX client_orders_app ON client_orders (app_id, id);
