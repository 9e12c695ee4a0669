-- Who was there on a local day that is over: the numbers of its users as a Roaring bitmap. It holds while a row of
-- settled_counts with kind 3, that day as `first_day` and the same token does.
CREATE TABLE settled_users (
    env_id BIGINT NOT NULL,
    day    BIGINT NOT NULL,
    token  BIGINT NOT NULL,
    users  BYTEA NOT NULL,
    PRIMARY KEY (env_id, day)
);
