"""
The daemon: one process that plans and runs the jobs of one ledger.

- **Waiting** for the ledger's database, and for the lock of the ledger (`main.py`).
- **Recovering**: `service.py` starts the executors; `journal_recovery.py` and `recovery.py` decide what an
  earlier process left open.
- **Ready**, as reported to systemd. `reloads.py` and `configuration.py` keep the definitions up to date.
- **Stopping** after SIGTERM, SIGINT or the loss of the lock: no batch begins, and what is running has the
  shutdown grace. The exit status is 1 if the lock was lost, or if an outcome is neither in the ledger nor in
  the journal.

The main thread waits for signals and does nothing else (`foreground.py`). These have a `ServiceThread` each:
planner, wake-ups, recorder, journal, backlog, inbox, heartbeat, watchdog, clock watch, file watch, notifier,
beat, background runs, chains, requests of jobs. Each batch has a thread of its own.

Failures. A round of a service thread that raises is logged and repeated. A write that a locked ledger did not
take is retried (`ledger_retry.py`); a batch that is committed still starts. If another process has the
ledger's lock, nothing more is written, and this process ends with status 1. After `kill -9` the next start
decides everything that has no outcome: `missed`, `unknown`, or late. A second SIGTERM is the same as `kill
-9`.

Folders: `batches` runs occurrences that are due at one T; `runs` calls functions that have no T; `calls` runs
functions on runners now; `attempts` renders, evaluates and records one attempt; `notifications` decides and
delivers messages; `processes` has the executors; `log` writes the log.
"""
