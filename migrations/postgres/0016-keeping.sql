-- For how long an environment keeps what ('events', 'sessions', 'set-aside'). `days` is null as the box is set, 0 for ever;
-- `changed_at` is when that was chosen. Everything of before the UTC day `gone_before` (since 1970) may be deleted.
CREATE TABLE keeping (
    env_id      BIGINT NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    days        BIGINT,
    changed_at  BIGINT NOT NULL DEFAULT 0,
    gone_before BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (env_id, kind)
);

-- One row: up to when the clock was believed when something was last deleted by age, and by how many milliseconds it may
-- still get ahead of what is seen to pass.
CREATE TABLE trusted_clock (
    id     BIGINT PRIMARY KEY CHECK (id = 1),
    at     BIGINT NOT NULL,
    credit BIGINT NOT NULL
);
