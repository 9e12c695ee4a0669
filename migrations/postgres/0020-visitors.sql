-- Random bytes of one app and UTC day (since 1970), under which addresses become names of visitors. Without them, which are
-- deleted after two days, nobody can tell any more whose a name was.
CREATE TABLE visitor_salts (
    app_id BIGINT NOT NULL,
    day    BIGINT NOT NULL,
    salt   BYTEA NOT NULL,
    PRIMARY KEY (app_id, day)
);
