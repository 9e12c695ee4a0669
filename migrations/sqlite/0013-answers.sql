-- Requests that were answered, by hour since 1970 and kind, of all processes: what objectives are judged by.
CREATE TABLE answered_hours (
    hour     INTEGER NOT NULL,
    traffic  TEXT NOT NULL,
    requests INTEGER NOT NULL,
    failed   INTEGER NOT NULL,
    slow     INTEGER NOT NULL,
    PRIMARY KEY (hour, traffic)
) STRICT, WITHOUT ROWID;
