-- Random bytes of one app and UTC day (since 1970), under which addresses become names of visitors. Without them, which are
-- deleted after two days, nobody can tell any more whose a name was.
CREATE TABLE visitor_salts (
    app_id INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    salt   BLOB NOT NULL,
    PRIMARY KEY (app_id, day)
) STRICT, WITHOUT ROWID;
