-- How a browser was signed in, what it calls itself, and when its member last proved who they are.
ALTER TABLE logins ADD COLUMN way TEXT NOT NULL DEFAULT 'password';
ALTER TABLE logins ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE logins ADD COLUMN proved_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX logins_member ON logins (member_id);

-- The secret of a member's authenticator app. It counts once `confirmed_at` stands; codes of `last_step` and before are
-- used up.
CREATE TABLE two_factor (
    member_id     INTEGER PRIMARY KEY REFERENCES members (id) ON DELETE CASCADE,
    sealed_secret BLOB NOT NULL,
    last_step     INTEGER NOT NULL DEFAULT 0,
    confirmed_at  INTEGER
) STRICT;

-- Those that were not used yet.
CREATE TABLE recovery_codes (
    hash      BLOB PRIMARY KEY,
    member_id INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_codes_member ON recovery_codes (member_id);

-- Who somebody is at a provider of sign-ins.
CREATE TABLE identities (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    member_id  INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_member ON identities (member_id);
