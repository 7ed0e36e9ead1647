"""The ledger: every occurrence, attempt and outcome, in SQL. Nothing starts that is not written here."""
