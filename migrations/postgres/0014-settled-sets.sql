-- Who was there on a local day that is over: the numbers of its users (kind 3) or devices (4) as a Roaring bitmap. It holds
-- while a row of settled_counts with the same kind and token, and that day as `first_day`, does.
CREATE TABLE settled_sets (
    env_id  BIGINT NOT NULL,
    kind    BIGINT NOT NULL,
    day     BIGINT NOT NULL,
    token   BIGINT NOT NULL,
    members BYTEA NOT NULL,
    PRIMARY KEY (env_id, kind, day)
);
