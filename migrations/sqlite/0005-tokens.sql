-- Tokens of the read API. Without an app, all apps of the organization may be read.
CREATE TABLE api_tokens (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    app_id          INTEGER REFERENCES apps (id),
    name            TEXT NOT NULL,
    hint            TEXT NOT NULL,
    token_hash      BLOB NOT NULL UNIQUE,
    scopes          TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER,
    last_used_at    INTEGER,
    revoked_at      INTEGER
) STRICT;
