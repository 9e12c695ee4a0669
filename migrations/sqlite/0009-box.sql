-- What it takes to try an event again that was set aside; null where that cannot work.
ALTER TABLE set_aside ADD COLUMN again TEXT;

-- Processes that serve this database, as they last said of themselves.
CREATE TABLE nodes (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
