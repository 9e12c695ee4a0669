-- What the events of a settled part have of a property, in their order. Those of another token than the day's are of no
-- use. With no name and in place of a part, -1 says that all properties of the day's events are here; -2 that some are left
-- out, and those without any column have to be looked for in the events.
CREATE TABLE settled_columns (
    env_id BIGINT NOT NULL,
    day    BIGINT NOT NULL,
    token  BIGINT NOT NULL,
    prop   TEXT NOT NULL,
    part   BIGINT NOT NULL,
    body   BYTEA NOT NULL,
    PRIMARY KEY (env_id, day, token, prop, part)
);
ALTER TABLE settled_columns ALTER COLUMN body SET STORAGE EXTERNAL;
