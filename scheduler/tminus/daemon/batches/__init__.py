"""
Batches: from fire times that are due together to the last outcome of their batch.

`wakeups.py` says when to look, `agenda.py` which fire times there are, `planner.py` closes a batch its lead
before T. From then on one `Countdown` has it. An occurrence goes through these stages:

- **Waiting**: collected from a schedule, a `run-now` or a chain, or left by an earlier process.
- **Claimed**: its row is durable (`admission.py`). Too late for a claim: `missed`.
- **Arming**: sent to an executor (`batch_dispatcher.py`), or first to the Python that prepares its request
  (`prepare_phase.py`).
- **Committed**: the `releasing` row is durable; overlap and deletion have been decided.
- **Released**: its executor has the permit. A report is evaluated; without a report it is `unknown`.

Failures. A job that raises in any step ends alone, as `failed` and not sent, or `unknown` if it may have been
sent (`BatchResults.guard`). A ledger that is locked is retried until the last grace time is over; without a
commit nothing is released. An executor that dies before T is replaced and gets its shard again; after T,
what it had started is `unknown`. If the process is to end before the commit, the claims stay, and the next
start decides. If the countdown itself breaks, each occurrence still gets an outcome.
"""
