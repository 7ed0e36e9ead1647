-- The key is the run that writes the entry, so a run that is called again does not write a second entry.
CREATE TABLE search_log (
    run         TEXT PRIMARY KEY,
    logged_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    phrase      TEXT NOT NULL,
    letters     TEXT NOT NULL,
    found       TEXT NOT NULL,
    remote_addr TEXT NOT NULL,
    browser     TEXT NOT NULL
)
