"""
The ledger: every occurrence, attempt and outcome, in SQL (SQLite or PostgreSQL). Nothing starts that is not
in it.

- **An occurrence** is inserted as `claimed` (`claims.py`), or as `queued` by `submit` or `run-now` and
  claimed later. Shortly before T its release is marked: from then on it counts as `running`, and may have
  been sent. `outcomes.py` makes it `finished`, with exactly one outcome; a second outcome changes nothing.
  Only `background_queue.py` leads back: a background run whose result is unknown is queued again.
- **A claim** belongs to the process whose insert succeeded. Its number is the fencing token: a commit changes
  no occurrence that another release has claimed since.
- **The lock** (`lock.py`): one process at a time runs jobs on a ledger. Each of its transactions checks the
  lock first. If it was lost and another process had it, the transaction fails with `LedgerLost` and the
  process ends.
- **Failures.** A transaction that raises has no effect. Only a commit that raised may be durable: then
  `write` reads by key whether it is. SQLAlchemy's errors become a `LedgerError` (`db_errors.py`):
  `LedgerAway` may pass by itself, `WrongLedger` needs the operator, `LedgerValueError` means that the values
  are wrong. A row that is not valid is left out and reported; the others are read.
- **The journal** (`journal.py`) has the outcomes that the database did not take. The next start writes them
  first (`journal_replay.py`).
- **After a crash** occurrences that were released and have no outcome become `unknown` (background runs:
  queued again); claimed ones start if they are not too late, otherwise they are `missed`.

A promise about data is a constraint (`tables.py`). Migrations are numbered and go forward only
(`migrate.py`).
"""
