-- Jobs of the background: how the last run went and when the next is due. `node` is empty for what one of the fleet does, else
-- it names the node whose own it is. Whoever does it is `holder` until `held_until`; `fence` grows with each that takes it,
-- so that one who was taken for dead finds out before it changes anything.
CREATE TABLE jobs (
    name       TEXT NOT NULL,
    node       TEXT NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    took       INTEGER NOT NULL DEFAULT 0,
    result     TEXT NOT NULL DEFAULT '',
    failures   INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL DEFAULT 0,
    holder     TEXT,
    held_until INTEGER,
    fence      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (name, node)
) STRICT, WITHOUT ROWID;

-- The number of the oldest schema whose programs can work with what a migration leaves; null: with none before it.
ALTER TABLE migrations ADD COLUMN lowest INTEGER;
