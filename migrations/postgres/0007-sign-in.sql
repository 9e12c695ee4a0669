-- How a browser was signed in, what it calls itself, and when its member last proved who they are.
ALTER TABLE logins ADD COLUMN way TEXT COLLATE "C" NOT NULL DEFAULT 'password';
ALTER TABLE logins ADD COLUMN place TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE logins ADD COLUMN proved_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX logins_member ON logins (member_id);

-- The secret of a member's authenticator app. It counts once `confirmed_at` stands; codes of `last_step` and before are
-- used up.
CREATE TABLE two_factor (
    member_id     BIGINT PRIMARY KEY REFERENCES members (id) ON DELETE CASCADE,
    sealed_secret BYTEA NOT NULL,
    last_step     BIGINT NOT NULL DEFAULT 0,
    confirmed_at  BIGINT
);

-- Those that were not used yet.
CREATE TABLE recovery_codes (
    hash      BYTEA PRIMARY KEY,
    member_id BIGINT NOT NULL REFERENCES members (id) ON DELETE CASCADE
);
CREATE INDEX recovery_codes_member ON recovery_codes (member_id);

-- Who somebody is at a provider of sign-ins.
CREATE TABLE identities (
    issuer     TEXT COLLATE "C" NOT NULL,
    subject    TEXT COLLATE "C" NOT NULL,
    member_id  BIGINT NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_member ON identities (member_id);
