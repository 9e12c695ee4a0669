-- Who was there on a local day that is over: the numbers of its users as a Roaring bitmap. It holds while a row of
-- settled_counts with kind 3, that day as `first_day` and the same token does.
CREATE TABLE settled_users (
    env_id INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    token  INTEGER NOT NULL,
    users  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX settled_users_day ON settled_users (env_id, day);
