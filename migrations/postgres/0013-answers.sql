-- Requests that were answered, by hour since 1970 and kind, of all processes: what objectives are judged by.
CREATE TABLE answered_hours (
    hour     BIGINT NOT NULL,
    traffic  TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    failed   BIGINT NOT NULL,
    slow     BIGINT NOT NULL,
    PRIMARY KEY (hour, traffic)
);
