-- What it takes to try an event again that was set aside; null where that cannot work.
ALTER TABLE set_aside ADD COLUMN again TEXT COLLATE "C";

-- Processes that serve this database, as they last said of themselves.
CREATE TABLE nodes (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    version    TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
