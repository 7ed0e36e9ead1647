"""
The operations for users, one per file. The command line calls these functions and prints their results.

- **Reads** (`status.py`, `history.py`, `skew.py`, `next_times.py`) take an open ledger or the definitions,
  and the time as an argument. They need no daemon, and leave out rows that are not valid.
- **`run_now.py`** turns a request row into queued occurrences, in the transaction in which the daemon, or the
  command itself, takes the row. If it raises, nothing is written.
- **Applications** (`inspect_app.py`, `check_apps.py`) are imported in a process of their own environment, and
  nothing of them is called. An import that fails or takes longer than 30 s is an error of that application
  alone.
- **Places** (`locations.py`, `published_ledger.py`): which jobs file and which ledger are meant, and whether
  a daemon uses another ledger for the same jobs file.

An error of a user is a `UsageError` or a `NotFound`, with a hint. A ledger that does not work is a
`LedgerError`.
"""
