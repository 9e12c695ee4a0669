-- Members belong to organizations by memberships. One of them owns the box, and may do everything in all organizations.
CREATE TABLE members_new (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password_hash TEXT NOT NULL,
    owner         INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
) STRICT;
INSERT INTO members_new (id, name, password_hash, owner, created_at)
SELECT id, name, password_hash, id = (SELECT min(id) FROM members WHERE role = 'owner'), created_at FROM members;

CREATE TABLE memberships (
    member_id       INTEGER NOT NULL REFERENCES members_new (id) ON DELETE CASCADE,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    role            TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (member_id, organization_id)
) STRICT, WITHOUT ROWID;
INSERT INTO memberships (member_id, organization_id, role, created_at)
SELECT id, organization_id, role, created_at FROM members;

CREATE TABLE logins_new (
    token_hash BLOB PRIMARY KEY,
    member_id  INTEGER NOT NULL REFERENCES members_new (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO logins_new (token_hash, member_id, created_at, seen_at)
SELECT token_hash, member_id, created_at, seen_at FROM logins;
DROP TABLE logins;
DROP TABLE members;
ALTER TABLE members_new RENAME TO members;
ALTER TABLE logins_new RENAME TO logins;

-- The way in for somebody new, by a link. `note` says whom it is for.
CREATE TABLE invitations (
    id              INTEGER PRIMARY KEY,
    token_hash      BLOB NOT NULL UNIQUE,
    organization_id INTEGER NOT NULL REFERENCES organizations (id),
    role            TEXT NOT NULL,
    note            TEXT NOT NULL,
    invited_by      TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL
) STRICT;

-- An archived app takes nothing more and can be restored. A deleted one is gone for everybody; its rows go behind.
ALTER TABLE apps ADD COLUMN archived_at INTEGER;
ALTER TABLE apps ADD COLUMN deleted_at INTEGER;

-- `place` says from where something was done, in words and without an address.
ALTER TABLE audit ADD COLUMN organization_id INTEGER;
ALTER TABLE audit ADD COLUMN place TEXT NOT NULL DEFAULT '';
UPDATE audit SET organization_id = (SELECT organization_id FROM apps WHERE apps.id = audit.app_id);
CREATE INDEX audit_organization ON audit (organization_id, id);
