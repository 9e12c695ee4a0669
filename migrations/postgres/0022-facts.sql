-- All sets of facts of an app, in the order of their rows: who reads them so reads each page of the table once.
CREATE INDEX facts_app ON facts (app_id, id);
