-- What the events of a settled part have of a property, in their order. Those of another token than the day's are of no
-- use. With no name and in place of a part, -1 says that all properties of the day's events are here; -2 that some are left
-- out, and those without any column have to be looked for in the events.
CREATE TABLE settled_columns (
    env_id INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    token  INTEGER NOT NULL,
    prop   TEXT NOT NULL,
    part   INTEGER NOT NULL,
    body   BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX settled_columns_part ON settled_columns (env_id, day, token, prop, part);
